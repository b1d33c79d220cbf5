//! A machine with its core, its shell, and what is checked at every step whatever the schedule.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use config::Role;
use failover::machine::{Input, Machine, Now, Order, Output, Presence, Settings, Snapshot, State, Transition};
use nagios::{ModeCommand, Timestamp};

use crate::core::{Core, STATUS_EVERY};
use crate::random::Random;

/// When every schedule begins.
static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);
const BEGINNING_UNIX: i64 = 1_700_000_000;

pub fn now(millis: u64) -> Now {
    let micros = BEGINNING_UNIX * 1_000_000 + i64::try_from(millis).unwrap() * 1000;
    Now { instant: *BEGINNING + Duration::from_millis(millis), wall: Timestamp::from_micros(micros) }
}

pub struct Node {
    pub machine: Machine,
    pub core: Core,
    settings: Settings,
    saved: Option<Snapshot>,
    timeout: Option<Instant>,
    in_flight: Option<(u64, u64, Vec<ModeCommand>)>,
    /// When each command was written last to this run of the core by this daemon.
    written: BTreeMap<ModeCommand, u64>,
    /// When the core was started or stopped.
    core_changed: u64,
    pub transitions: Vec<Transition>,
    /// When the machine last did anything else than wait, or its core was restarted.
    pub calm_since: u64,
    /// When this node took over by itself, in Unix seconds.
    pub takeovers: Vec<i64>,
}

impl Node {
    pub fn new(settings: Settings, on: bool) -> Self {
        let mut node = Node {
            machine: Machine::new(settings.clone(), None, now(0)),
            core: Core::new(on),
            settings,
            saved: None,
            timeout: None,
            in_flight: None,
            written: BTreeMap::new(),
            core_changed: 0,
            transitions: Vec::new(),
            calm_since: 0,
            takeovers: Vec::new(),
        };
        node.drain(0, false, &mut Random::new(0));
        node
    }

    pub fn is_active(&self) -> bool {
        self.machine.state() == State::Active
    }

    pub fn is_held(&self) -> bool {
        self.machine.held().is_some()
    }

    pub fn handle(&mut self, input: Input, at: u64, random: &mut Random) {
        self.machine.handle(input, now(at));
        self.drain(at, false, random);
    }

    pub fn order(&mut self, order: Order, at: u64, random: &mut Random) {
        let before = (self.machine.state(), self.machine.held().cloned());
        if self.machine.handle_order(order, now(at)).is_err() {
            assert_eq!((self.machine.state(), self.machine.held().cloned()), before, "a refusal changes nothing");
        }
        self.drain(at, true, random);
    }

    /// The daemon is killed, and started again with what is on the disk.
    pub fn restart(&mut self, at: u64, random: &mut Random) {
        let state = self.machine.state();
        let on_disk = self.saved.as_ref().map(|snapshot| serde_json::to_string(snapshot).unwrap());
        let snapshot = on_disk.map(|text| serde_json::from_str(&text).unwrap());
        self.machine = Machine::new(self.settings.clone(), snapshot, now(at));
        if self.settings.role == Role::Standby {
            assert_eq!(state == State::Active, self.is_active(), "a restart neither takes over nor hands back");
        }
        self.in_flight = None;
        self.written.clear();
        self.calm_since = at;
        self.drain(at, false, random);
    }

    pub fn tick(&mut self, at: u64, random: &mut Random) {
        self.core.tick(at, now(at).wall.seconds());
        if at.is_multiple_of(1000) {
            let seen = self.core.seen();
            self.handle(Input::Core(seen), at, random);
        }
        if self.timeout.is_some_and(|timeout| timeout <= now(at).instant) {
            self.machine.handle_timeout(now(at));
            self.drain(at, false, random);
            assert!(self.timeout.is_none_or(|timeout| timeout > now(at).instant), "a timer that has run out");
        }
        if self.in_flight.as_ref().is_some_and(|(due, ..)| *due <= at) {
            let (_, ticket, commands) = self.in_flight.take().unwrap();
            let written = self.core.runs && !random.once_in(10);
            if written {
                self.write(&commands, at);
            }
            self.handle(Input::Issued { ticket, written }, at, random);
        }
    }

    /// The core was started anew or stopped.
    pub fn handle_another_run(&mut self, at: u64) {
        self.written.clear();
        self.calm_since = at;
        self.core_changed = at;
    }

    fn write(&mut self, commands: &[ModeCommand], at: u64) {
        for command in commands {
            self.core.obey(*command);
            if *command == ModeCommand::SaveStateInformation {
                continue;
            }
            let before = self.written.insert(*command, at);
            // In the second of the core's start nobody can say which run of it got a command.
            if let Some(before) = before.filter(|before| before / 1000 > self.core.started / 1000) {
                let passed = Duration::from_millis(at - before);
                assert!(passed >= self.settings.confirmation, "{command:?} again after {passed:?}");
            }
            self.written.remove(&opposite(*command));
        }
        assert_eq!(commands.last(), Some(&ModeCommand::SaveStateInformation), "what was changed is kept");
    }

    /// Takes what the machine wants; `ordered` by the operator, or by itself.
    fn drain(&mut self, at: u64, ordered: bool, random: &mut Random) {
        while let Some(output) = self.machine.poll() {
            match output {
                Output::Save(snapshot) => self.saved = Some(snapshot),
                Output::Issue { ticket, commands } => {
                    let due = at + random.below(1500);
                    let replaced = self.in_flight.replace((due, ticket, commands));
                    for command in replaced.into_iter().flat_map(|(_, _, commands)| commands) {
                        // The machine does not know how far it came.
                        self.written.remove(&opposite(command));
                    }
                }
                Output::Transition(transition) => self.note(transition, at, ordered),
                Output::RunHook { .. } => {}
            }
        }
        self.timeout = self.machine.timeout();
    }

    fn note(&mut self, transition: Transition, at: u64, ordered: bool) {
        let (from, to) = (transition.from, transition.to);
        if self.is_held() && !ordered {
            assert_eq!(from.is_on_stage(), to.is_on_stage(), "the hold is broken: {transition:?}");
        }
        if to == State::Active && from != State::Active && !transition.why.starts_with("ordered") {
            self.takeovers.push(transition.at);
        }
        if from.is_on_stage() != to.is_on_stage() {
            self.calm_since = at;
        }
        self.transitions.push(transition);
    }

    /// What the peer is told is true. A core that was started or stopped just now is known by its last status file.
    #[track_caller]
    pub fn assert_presence(&self, at: u64) {
        let said = match self.machine.presence() {
            Presence::OnStage => true,
            Presence::OffStage => false,
            Presence::Between | Presence::Unreachable => return,
        };
        if at - self.core_changed > 2 * STATUS_EVERY {
            assert_eq!(self.core.notifies(), said, "{:?} in {}", self.machine.presence(), self.machine.state());
        }
    }

    /// When nothing but time has passed for long enough, the core's switches are where they are to be.
    #[track_caller]
    pub fn assert_switches_agree(&self, at: u64) {
        // Each writing may fail a few times, and be noticed only after the confirmation time.
        let bound = self.settings.confirmation * 3 + Duration::from_secs(20);
        if self.core.runs && Duration::from_millis(at - self.calm_since) > bound {
            let on = self.machine.state().is_on_stage();
            assert_eq!(self.core.notifies(), on, "the core is not what {} wants", self.machine.state());
        }
    }
}

fn opposite(command: ModeCommand) -> ModeCommand {
    use ModeCommand as C;
    match command {
        C::EnableNotifications => C::DisableNotifications,
        C::DisableNotifications => C::EnableNotifications,
        C::StartExecutingServiceChecks => C::StopExecutingServiceChecks,
        C::StopExecutingServiceChecks => C::StartExecutingServiceChecks,
        C::StartExecutingHostChecks => C::StopExecutingHostChecks,
        C::StopExecutingHostChecks => C::StartExecutingHostChecks,
        C::StartObsessingOverServices => C::StopObsessingOverServices,
        C::StopObsessingOverServices => C::StartObsessingOverServices,
        C::StartObsessingOverHosts => C::StopObsessingOverHosts,
        C::StopObsessingOverHosts => C::StartObsessingOverHosts,
        C::SaveStateInformation => C::SaveStateInformation,
        C::ReadStateInformation | C::SyncStateInformation => unreachable!("the machine hands no memory over"),
    }
}
