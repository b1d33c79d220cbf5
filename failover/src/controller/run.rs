//! The task that owns the machine.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use super::saver::Saver;
use super::status::{PluginStatus, Status};
use super::{Heard, Request, Surroundings, Wrong, changed};
use crate::disk::History;
use crate::event::Event;
use crate::hook;
use crate::issue::{Issue, Issued, NotIssued, Obstacle};
use crate::machine::{Confirmed, Hook, Input, LocalCore, Machine, Now, Output, Presence, State, Transition};
use crate::plugin::{Outcome, Which};

/// How many hooks may run at once. More of them hang.
const MAX_HOOKS: usize = 8;

/// A sign of life that is older says nothing of the present.
const OLD_NEWS: Duration = Duration::from_secs(2);

/// What the task owns.
pub(super) struct Run {
    pub(super) config: config::Failover,
    pub(super) node: String,
    pub(super) machine: Machine,
    /// What each plugin told last: probes, then witnesses.
    pub(super) plugins: (Vec<PluginStatus>, Vec<PluginStatus>),
    pub(super) history: History,
    pub(super) issue: Box<dyn Issue>,
    /// The batch that is being written.
    pub(super) in_flight: Option<Batch>,
    /// Why a batch waits, or could not be written.
    pub(super) not_issued: Option<(String, Wrong)>,
    pub(super) saver: Saver,
    pub(super) hooks: JoinSet<()>,
    pub(super) presence: watch::Sender<Presence>,
    pub(super) paces: Paces,
    /// Whether a core that is started now is to begin silent.
    pub(super) silent_start: watch::Sender<bool>,
    /// This node is on stage, and its core does not run.
    pub(super) core_missed: Option<Wrong>,
}

/// Commands on their way.
pub(super) struct Batch {
    ticket: u64,
    written: Issued,
    obstacle: watch::Receiver<Option<String>>,
}

/// Where things happen.
pub(super) struct Inputs {
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) outcomes: mpsc::Receiver<Outcome>,
    pub(super) core: watch::Receiver<LocalCore>,
    pub(super) surroundings: Surroundings,
}

/// How often plugins run, from start to start.
pub(super) struct Paces {
    pub(super) probes: watch::Sender<Duration>,
    pub(super) witnesses: watch::Sender<Duration>,
}

impl Run {
    pub(super) async fn run(mut self, mut inputs: Inputs) {
        loop {
            self.act().await;
            let timeout = self.machine.timeout();
            let news = news(&mut self.in_flight);
            let Surroundings { heartbeat, peer, .. } = &mut inputs.surroundings;
            tokio::select! {
                request = inputs.requests.recv() => match request {
                    Some(request) => self.answer(request).await,
                    None => return,
                },
                news = news => match news {
                    News::Waits(obstacle) => self.note_obstacle(obstacle),
                    News::Ended(ticket, result) => self.handle_issued(ticket, result),
                },
                () = changed(heartbeat) => {
                    let heard = heartbeat.as_mut().and_then(|heard| *heard.borrow_and_update());
                    self.handle_heard(heard);
                }
                () = changed(peer) => {
                    if let Some(peer) = peer {
                        let presence = *peer.borrow_and_update();
                        self.machine.handle(Input::Peer(presence), Now::read());
                    }
                }
                Some(outcome) = inputs.outcomes.recv() => self.handle_outcome(outcome),
                Ok(()) = inputs.core.changed() => {
                    let core = inputs.core.borrow_and_update().clone();
                    if core == LocalCore::Gone {
                        // The next core may have to be switched the other way.
                        self.in_flight = None;
                        self.not_issued = None;
                    }
                    self.machine.handle(Input::Core(core), Now::read());
                }
                () = at(timeout) => self.machine.handle_timeout(Now::read()),
                Some(_) = self.hooks.join_next() => {}
            }
        }
    }

    /// Carries out what the machine wants.
    async fn act(&mut self) {
        let mut rest = VecDeque::new();
        while let Some(output) = self.machine.poll() {
            match output {
                Output::Save(snapshot) => self.saver.save(snapshot).await,
                other => rest.push_back(other),
            }
        }
        for output in rest {
            match output {
                Output::Issue { ticket, commands } => {
                    let names: Vec<_> = commands.iter().map(|command| command.name()).collect();
                    tracing::debug!(?names, "issuing");
                    // What is not yet written of the last batch is in this one. That one is withdrawn after this one was
                    // issued: what is in both goes on waiting where it was.
                    let (obstacle, told) = Obstacle::new();
                    let written = self.issue.issue(commands, obstacle);
                    self.in_flight = Some(Batch { ticket, written, obstacle: told });
                }
                Output::Transition(transition) => self.note(&transition),
                Output::RunHook { hook, transition } => self.run_hook(hook, transition),
                Output::Save(_) => {}
            }
        }
        let (probes, witnesses) = self.machine.pace();
        publish(&self.presence, self.machine.presence());
        publish(&self.paces.probes, probes);
        publish(&self.paces.witnesses, witnesses);
        publish(&self.silent_start, self.machine.is_to_start_silent());
        if self.in_flight.is_none() && self.machine.is_in_force() {
            self.not_issued = None;
        }
        self.miss_the_core();
    }

    fn note(&mut self, transition: &Transition) {
        let Transition { from, to, why, .. } = transition;
        if *to == State::Active && *from != State::Active {
            tracing::warn!(%from, %to, why, "this node takes over");
        } else {
            tracing::info!(%from, %to, why, "the failover's state changes");
        }
        if let Err(error) = self.history.append(transition) {
            tracing::error!(%error, "cannot write the failover's history: check the state directory's disk");
        }
    }

    fn run_hook(&mut self, hook: Hook, transition: Transition) {
        let words = match hook {
            Hook::TakeOver => &self.config.on_takeover,
            Hook::HandBack => &self.config.on_hand_back,
        };
        if words.is_empty() {
            return;
        }
        if self.hooks.len() >= MAX_HOOKS {
            tracing::error!(program = words[0], "not run: {MAX_HOOKS} hooks run already; do they hang?");
            return;
        }
        let (role, hold) = (self.config.role, self.machine.held().cloned());
        let facts = hook::Facts { node: self.node.clone(), role, hook, transition, hold };
        self.hooks.spawn(hook::run(words.clone(), facts, self.config.hook_timeout));
    }

    /// An order is confirmed when it is on the disk. Whoever asked may have gone away.
    async fn answer(&mut self, request: Request) {
        match request {
            Request::Status(answer) => drop(answer.send(self.status())),
            Request::Order(order, answer) => {
                tracing::info!(?order, "the operator orders");
                let confirmed = self.machine.handle_order(order, Now::read());
                self.act().await;
                drop(answer.send(confirmed));
            }
            Request::Event(event, answer) => {
                let confirmed = self.handle_event(event);
                self.act().await;
                drop(answer.send(confirmed));
            }
        }
    }

    fn handle_event(&mut self, event: Event) -> Confirmed {
        self.machine.handle(Input::Event(event), Now::read());
        let mut notes = vec![format!("this node is {}", self.machine.state())];
        notes.extend(self.machine.held().map(|hold| format!("held: {}", hold.reason)));
        notes.extend(self.machine.heartbeat().map(|heartbeat| format!("the master's heartbeat: {heartbeat}")));
        notes.extend(self.machine.waits_for().map(|reason| format!("not handed back: {reason}")));
        Confirmed { notes }
    }

    fn handle_heard(&mut self, heard: Option<Heard>) {
        let input = match heard {
            // From before the controller began.
            Some(Heard::Alive { at, .. }) if at.elapsed() > OLD_NEWS => return,
            Some(Heard::Alive { core, is_cold, .. }) => Input::Heard { core, is_cold },
            Some(Heard::Goodbye) => Input::Goodbye,
            None => return,
        };
        self.machine.handle(input, Now::read());
    }

    fn handle_outcome(&mut self, outcome: Outcome) {
        let now = Now::read();
        let Outcome { which, state, started, .. } = outcome;
        let (plugin, input) = match which {
            Which::Probe(index) => (self.plugins.0.get_mut(index), Input::Probe { index, state, started }),
            Which::Witness(index) => (self.plugins.1.get_mut(index), Input::Witness { index, state, started }),
        };
        if let Some(plugin) = plugin {
            plugin.handle_outcome(&outcome, now);
        }
        self.machine.handle(input, now);
    }

    fn handle_issued(&mut self, ticket: u64, result: Result<(), NotIssued>) {
        let written = result.is_ok();
        self.note_obstacle(result.err().map(|error| error.to_string()));
        self.machine.handle(Input::Issued { ticket, written }, Now::read());
    }

    /// Why the core cannot be switched, or that it can.
    fn note_obstacle(&mut self, obstacle: Option<String>) {
        let mut wrong = self.not_issued.take().map(|(_, wrong)| wrong);
        match obstacle {
            Some(reason) => {
                if Wrong::goes_on(&mut wrong, Instant::now()) {
                    tracing::warn!(reason, "cannot switch the core yet; trying on");
                }
                self.not_issued = wrong.map(|wrong| (reason, wrong));
            }
            None if wrong.is_some() => tracing::info!("the core takes commands again"),
            None => {}
        }
    }

    /// Says loudly that nobody notifies because this node's core does not run.
    fn miss_the_core(&mut self) {
        if !self.machine.state().is_on_stage() || *self.machine.core() != LocalCore::Gone {
            self.core_missed = None;
        } else if Wrong::goes_on(&mut self.core_missed, Instant::now()) {
            tracing::error!("this node is active, and its core does not run: nobody notifies; start the core");
        }
    }

    fn status(&self) -> Status {
        Status::new(self)
    }
}

/// What is new of the batch that is under way.
enum News {
    /// It waits for the core, and why; or, with none, no longer for that.
    Waits(Option<String>),
    Ended(u64, Result<(), NotIssued>),
}

/// Waits for news of the batch that is under way. Takes one that has ended.
async fn news(in_flight: &mut Option<Batch>) -> News {
    let Some(Batch { ticket, written, obstacle }) = in_flight else { return std::future::pending().await };
    let news = tokio::select! {
        ended = written => News::Ended(*ticket, ended),
        Ok(()) = obstacle.changed() => News::Waits(obstacle.borrow_and_update().clone()),
    };
    if matches!(news, News::Ended(..)) {
        *in_flight = None;
    }
    news
}

/// Tells a value if it is another one.
fn publish<T: PartialEq>(told: &watch::Sender<T>, value: T) {
    told.send_if_modified(|known| {
        let differs = *known != value;
        *known = value;
        differs
    });
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
