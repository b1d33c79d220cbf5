//! Who is on stage, and how warm: what `[core]` and `[failover]` add to the sender and the receiver.
//!
//! ```text
//! Watch over the core ──────▶ set_core ─▶ sender, receiver ─▶ heartbeats; warm
//! Controller ── presence ───▶ set_duty ─▶ sender, receiver ─▶ heartbeats; warm
//! warm ──────── warmth ─────▶ set_warmth ▶ sender, receiver ─▶ heartbeats
//! receiver ─── a node has connected ─────────▶ sender: may be it can be reached again
//! receiver ─── what is heard of the master ──▶ Controller      role = "standby"
//! sender ───── what is heard of the standbys ▶ Controller      role = "master"
//! Controller ── mode commands ─▶ warm: the memory first ─▶ the receiver's injector, or the command file itself
//! ```

use std::sync::{Arc, Mutex, PoisonError};

use config::{Config, Role, Route};
use failover::machine::Presence;
use failover::verdict::{CoreFiles, Watch};
use failover::{Controller, Direct, Issue, Issued, NotIssued, Obstacle, Surroundings};
use nsca::sealed::{CoreVerdict, Duty, Reason, Warmth};
use receiver::{Commands, Contact, Progress, Receiver, Waits};
use sender::Sender;
use tokio::sync::watch;
use tokio::task::JoinSet;
use warm::Warm;

/// What runs beside sender and receiver.
pub(crate) struct Stage {
    pub(crate) controller: Option<Controller>,
    pub(crate) warm: Option<Arc<Warm>>,
    /// They carry news between the controller and the roles, and hold on to the roles until they end.
    couriers: JoinSet<()>,
    _core: Option<Watch>,
}

/// Those whose heartbeats tell of this node.
#[derive(Clone)]
struct Heralds {
    receiver: Option<Arc<Receiver>>,
    sender: Option<Arc<Sender>>,
}

impl Stage {
    /// Runs inside a tokio runtime.
    pub(crate) fn start(
        config: &Config,
        receiver: Option<&Arc<Receiver>>,
        sender: Option<&Arc<Sender>>,
        warm: Option<Warm>,
    ) -> Result<Stage, failover::StartError> {
        let warm = warm.map(Arc::new);
        let mut couriers = JoinSet::new();
        let heralds = Heralds { receiver: receiver.cloned(), sender: sender.cloned() };
        let core = config.core.as_ref().map(|core| Watch::start(CoreFiles::new(core)));
        if let Some(core) = &core {
            let (heralds, warm) = (heralds.clone(), warm.clone());
            couriers.spawn(follow(core.verdicts(), move |verdict| {
                heralds.set_core(verdict);
                warm.iter().for_each(|warm| warm.set_core(verdict));
            }));
        }
        if let Some((receiver, sender)) = receiver.zip(sender) {
            let sender = sender.clone();
            couriers.spawn(follow(receiver.arrivals(), move |_| sender.retry()));
        }
        if let Some(warm) = &warm {
            let heralds = heralds.clone();
            couriers.spawn(follow(warm.warmth(), move |warmth| heralds.set_warmth(warmth)));
        }
        let controller = match config.failover.as_ref().zip(config.core.as_ref()) {
            None => None,
            Some((failover, core)) => {
                let mut surroundings = surroundings(config, failover, &heralds, &mut couriers);
                surroundings.amend = warm.as_ref().map(|warm| warm.amend());
                let issue = issue(config, failover, receiver.map(Arc::as_ref));
                // Without anybody's book, the core notifies with what it remembers itself.
                let issue = match &warm {
                    Some(warm) => warm.issue(issue),
                    None => issue,
                };
                let controller = Controller::start(failover, &config.node, core, issue, surroundings)?;
                let warm = warm.clone();
                couriers.spawn(follow(controller.presence(), move |presence| {
                    heralds.set_duty(presence.duty());
                    warm.iter().for_each(|warm| warm.set_on_stage(presence == Presence::OnStage));
                }));
                Some(controller)
            }
        };
        Ok(Stage { controller, warm, couriers, _core: core })
    }

    /// The core stays as it is, and so does the role: the next daemon goes on with it.
    pub(crate) async fn stop(mut self) {
        drop(self.controller);
        self.couriers.shutdown().await;
        if let Some(warm) = self.warm {
            Arc::into_inner(warm).expect("its couriers have ended, and nobody else holds it").stop().await;
        }
    }
}

impl Heralds {
    fn set_core(&self, core: CoreVerdict) {
        self.receiver.iter().for_each(|receiver| receiver.set_core(core));
        self.sender.iter().for_each(|sender| sender.set_core(core));
    }

    fn set_duty(&self, duty: Duty) {
        self.receiver.iter().for_each(|receiver| receiver.set_duty(duty));
        self.sender.iter().for_each(|sender| sender.set_duty(duty));
    }

    fn set_warmth(&self, warmth: Warmth) {
        self.receiver.iter().for_each(|receiver| receiver.set_warmth(warmth));
        self.sender.iter().for_each(|sender| sender.set_warmth(warmth));
    }
}

/// What the other nodes tell in their heartbeats.
fn surroundings(
    config: &Config,
    failover: &config::Failover,
    heralds: &Heralds,
    couriers: &mut JoinSet<()>,
) -> Surroundings {
    let mut surroundings = Surroundings::default();
    match failover.role {
        Role::Standby => {
            if let Some((heartbeat, receiver)) = failover.heartbeat.as_ref().zip(heralds.receiver.as_ref()) {
                let heard = receiver.heard(heartbeat.node.as_str());
                let (tell, told) = watch::channel(None);
                couriers.spawn(follow(heard, move |heard| {
                    if let Some(sign) = sign_of_life(&heard) {
                        tell.send_replace(Some(sign));
                    }
                }));
                surroundings.heartbeat = Some(told);
            }
        }
        Role::Master => {
            if let Some((sections, sender)) = config.sender.as_ref().zip(heralds.sender.as_ref()) {
                let names = sections.destinations.iter().map(|destination| destination.name.as_str());
                surroundings.peer = Some(presence_of_all(names, sender, couriers));
            }
        }
    }
    surroundings
}

/// What it means for the controller. A connection that broke off is no sign of anything: silence follows, or the next one.
fn sign_of_life(heard: &receiver::Heard) -> Option<failover::Heard> {
    match heard.contact {
        Contact::Connected => {
            let is_cold = heard.warmth == Warmth::Cold;
            heard.at.map(|at| failover::Heard::Alive { at, core: heard.core, is_cold })
        }
        Contact::Goodbye(Reason::Stopping) => Some(failover::Heard::Goodbye),
        Contact::Goodbye(_) | Contact::Cut | Contact::Never => None,
    }
}

/// What counts of all destinations.
fn presence_of_all<'a>(
    names: impl Iterator<Item = &'a str>,
    sender: &Sender,
    couriers: &mut JoinSet<()>,
) -> watch::Receiver<Presence> {
    let heard: Vec<_> = names.filter_map(|name| sender.heard(name)).collect();
    let each = Arc::new(Mutex::new(vec![Presence::Unreachable; heard.len()]));
    let (tell, told) = watch::channel(Presence::Unreachable);
    let tell = Arc::new(tell);
    for (index, heard) in heard.into_iter().enumerate() {
        let (each, tell) = (each.clone(), tell.clone());
        couriers.spawn(follow(heard, move |heard| {
            // Under the lock, so that an older presence never follows a newer one.
            let mut each = each.lock().unwrap_or_else(PoisonError::into_inner);
            each[index] = presence(&heard);
            let all = Presence::of_all(each.iter().copied());
            tell.send_if_modified(|known| std::mem::replace(known, all) != all);
        }));
    }
    told
}

fn presence(heard: &sender::Heard) -> Presence {
    match (heard.at, heard.ended) {
        (Some(_), None) => Presence::heard(heard.duty),
        (None, _) | (_, Some(_)) => Presence::Unreachable,
    }
}

/// Where a receiver injects into the core's command file, mode commands go the same way, so that they have one order with the
/// results.
fn issue(config: &Config, failover: &config::Failover, receiver: Option<&Receiver>) -> Box<dyn Issue> {
    let route = config.receiver.as_ref().map(|receiver| &receiver.route);
    match (receiver, route) {
        (Some(receiver), Some(Route::CommandFile(path))) if *path == failover.command_file => {
            Box::new(ByReceiver(receiver.commands()))
        }
        _ => Box::new(Direct::new(failover.command_file.clone())),
    }
}

/// Issues through the receiver.
struct ByReceiver(Commands);

impl Issue for ByReceiver {
    fn issue(&mut self, commands: Vec<nagios::ModeCommand>, obstacle: Obstacle) -> Issued {
        let mut ticket = self.0.issue(commands);
        Box::pin(async move {
            loop {
                match ticket.next().await {
                    Progress::Waits(Waits::Turn) => obstacle.tell(None),
                    Progress::Waits(Waits::Core(reason)) => obstacle.tell(Some(reason)),
                    Progress::Written => return Ok(()),
                    Progress::NotWritten(reason) => return Err(NotIssued(reason.to_string())),
                }
            }
        })
    }
}

/// Gives every value to `take`, the present one first, until nobody tells any more.
async fn follow<T: Clone>(mut told: watch::Receiver<T>, mut take: impl FnMut(T)) {
    loop {
        let value = told.borrow_and_update().clone();
        take(value);
        if told.changed().await.is_err() {
            return;
        }
    }
}
