//! The machine's rules at default settings, one by one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use config::{HandBack, Problems, Role, Switch, TakeOverWhen, Watches};
use failover::event::Event;
use failover::machine::{
    Flag, HeartbeatSettings, Input, LocalCore, Machine, Now, Order, Output, Presence, ProbeSettings, Settings, Shown,
    State,
};
use nagios::{ModeCommand, ServiceState, Timestamp};
use nsca::sealed::CoreVerdict;

const UNIX: i64 = 1_700_000_000;
/// The most that a heartbeat is late on a good day.
const BEAT: u64 = 1000;

/// A machine, and its time in milliseconds.
struct Stage {
    machine: Machine,
    beginning: Instant,
    at: u64,
    issued: Vec<ModeCommand>,
    hooks: usize,
}

fn defaults(probes: usize, witnesses: usize, heartbeat: bool) -> Settings {
    let probe = ProbeSettings { takes_over_on: Problems::ALL, watches: Watches::Core };
    let heartbeat = heartbeat.then_some(HeartbeatSettings {
        stale_after: Duration::from_secs(5),
        restart_grace: Duration::from_secs(30),
        goodbye_grace: Duration::from_secs(300),
    });
    Settings {
        role: Role::Standby,
        interval: Duration::from_secs(10),
        failures_to_take_over: 3,
        successes_to_hand_back: 3,
        take_over_when: TakeOverWhen::All,
        hand_back: HandBack::Automatic,
        fail_open: Duration::from_secs(30),
        switches: vec![Switch::ServiceChecks, Switch::HostChecks, Switch::Notifications, Switch::Obsessing],
        probes: vec![probe; probes],
        witnesses,
        heartbeat,
        confirmation: Duration::from_secs(22),
    }
}

impl Stage {
    /// Beside a core that is silent and shows it.
    fn new(settings: Settings) -> Self {
        let beginning = Instant::now();
        let now = Now { instant: beginning, wall: Timestamp::from_seconds(UNIX) };
        let machine = Machine::new(settings, None, now);
        let mut stage = Stage { machine, beginning, at: 0, issued: Vec::new(), hooks: 0 };
        stage.core_shows(false);
        stage
    }

    fn now(&self) -> Now {
        let micros = UNIX * 1_000_000 + i64::try_from(self.at).unwrap() * 1000;
        Now { instant: self.instant(self.at), wall: Timestamp::from_micros(micros) }
    }

    fn instant(&self, at: u64) -> Instant {
        self.beginning + Duration::from_millis(at)
    }

    fn tell(&mut self, input: Input) -> State {
        self.machine.handle(input, self.now());
        self.drain()
    }

    /// Time passes, and nothing else happens.
    fn pass(&mut self, millis: u64) -> State {
        let end = self.at + millis;
        while let Some(timeout) = self.machine.timeout().filter(|timeout| *timeout <= self.instant(end)) {
            self.at = u64::try_from((timeout - self.beginning).as_millis()).unwrap();
            self.machine.handle_timeout(self.now());
            self.drain();
        }
        self.at = end;
        self.machine.state()
    }

    /// Heartbeats for so many seconds.
    fn beats(&mut self, seconds: u64, verdict: CoreVerdict) -> State {
        for _ in 0..seconds {
            self.beat(verdict, false);
            self.pass(BEAT);
        }
        self.machine.state()
    }

    fn beat(&mut self, core: CoreVerdict, is_cold: bool) -> State {
        self.tell(Input::Heard { core, is_cold })
    }

    /// Both run at once, and then time passes.
    fn plugins(&mut self, probe: ServiceState, witness: ServiceState, millis: u64) -> State {
        let started = self.instant(self.at);
        self.tell(Input::Witness { index: 0, state: witness, started });
        self.tell(Input::Probe { index: 0, state: probe, started });
        self.pass(millis)
    }

    fn core_shows(&mut self, on: bool) -> State {
        let flags: BTreeMap<_, _> = [Flag::ServiceChecks, Flag::HostChecks, Flag::Notifications]
            .into_iter()
            .chain([Flag::ObsessOverServices, Flag::ObsessOverHosts])
            .map(|flag| (flag, on))
            .collect();
        let created = self.now().wall.seconds() + 1;
        self.tell(Input::Core(LocalCore::Running(Some(Shown { program_start: UNIX, created, flags }))))
    }

    /// What is issued is written at once.
    fn drain(&mut self) -> State {
        while let Some(output) = self.machine.poll() {
            match output {
                Output::Issue { ticket, commands } => {
                    self.issued.extend(commands);
                    self.machine.handle(Input::Issued { ticket, written: true }, self.now());
                }
                Output::RunHook { .. } => self.hooks += 1,
                Output::Transition(_) | Output::Save(_) => {}
            }
        }
        self.machine.state()
    }
}

#[test]
fn only_a_core_that_does_not_run_is_to_begin_silent_and_only_off_stage() {
    let mut stage = Stage::new(defaults(0, 0, true));
    assert!(!stage.machine.is_to_start_silent(), "it runs");
    stage.tell(Input::Core(LocalCore::Gone));
    assert!(stage.machine.is_to_start_silent());
    stage.machine.handle_order(Order::TakeOver { reason: String::new() }, stage.now()).unwrap();
    assert!(!stage.machine.is_to_start_silent(), "it may notify from its beginning");
    stage.machine.handle_order(Order::HandBack, stage.now()).unwrap();
    assert!(stage.machine.is_to_start_silent());
    stage.tell(Input::Core(LocalCore::Running(None)));
    assert!(!stage.machine.is_to_start_silent());
}

#[test]
fn commands_come_in_the_documented_order() {
    use ModeCommand as C;
    let mut stage = Stage::new(defaults(0, 0, true));
    stage.machine.handle_order(Order::TakeOver { reason: String::new() }, stage.now()).unwrap();
    assert_eq!(stage.drain(), State::Active);
    let expected = [
        C::StartExecutingServiceChecks,
        C::StartExecutingHostChecks,
        C::EnableNotifications,
        C::StartObsessingOverServices,
        C::StartObsessingOverHosts,
        C::SaveStateInformation,
    ];
    assert_eq!(stage.issued, expected);
    stage.pass(21_999);
    assert_eq!(stage.issued.len(), 6, "not twice within the confirmation time");
    stage.core_shows(false);
    stage.pass(1);
    assert_eq!(stage.issued.len(), 12, "again after it");
    stage.core_shows(true);
    stage.pass(100_000);
    assert_eq!((stage.issued.len(), stage.machine.presence(), stage.hooks), (12, Presence::OnStage, 1));
}

#[test]
fn a_core_that_comes_back_is_switched_before_its_status_file_is_there() {
    let mut stage = Stage::new(defaults(0, 0, true));
    stage.machine.handle_order(Order::TakeOver { reason: String::new() }, stage.now()).unwrap();
    stage.drain();
    stage.tell(Input::Core(LocalCore::Gone));
    assert_eq!((stage.machine.presence(), stage.issued.len()), (Presence::Between, 6));
    stage.pass(1000);
    stage.tell(Input::Core(LocalCore::Running(None)));
    assert_eq!(stage.issued.len(), 12, "the next core knows nothing of what was written for the last one");

    stage.core_shows(true);
    let left_behind = stage.machine.core().clone();
    stage.tell(Input::Core(LocalCore::Gone));
    stage.pass(5000);
    stage.tell(Input::Core(left_behind));
    assert_eq!((stage.issued.len(), stage.machine.presence()), (18, Presence::Between));
}

#[test]
fn a_crash_takes_over_after_two_seconds_whatever_the_probes_say() {
    let mut stage = Stage::new(defaults(1, 1, true));
    stage.beats(5, CoreVerdict::Alive);
    stage.plugins(ServiceState::Ok, ServiceState::Ok, 0);
    assert_eq!(stage.beat(CoreVerdict::DeadCrash, false), State::Suspect);
    stage.pass(1000);
    stage.beat(CoreVerdict::DeadCrash, false);
    assert_eq!(stage.pass(999), State::Suspect);
    assert_eq!(stage.pass(1), State::Active);
}

#[test]
fn a_slow_witness_is_one_too() {
    let mut stage = Stage::new(Settings { interval: Duration::from_secs(1), ..defaults(0, 1, true) });
    stage.beats(8, CoreVerdict::Alive);
    let started = stage.instant(stage.at - 4000);
    stage.tell(Input::Witness { index: 0, state: ServiceState::Ok, started });
    assert_eq!(stage.beats(3, CoreVerdict::DeadCrash), State::Active);
}

#[test]
fn a_restart_for_a_new_configuration_is_no_failover() {
    let mut stage = Stage::new(defaults(0, 0, true));
    stage.beats(5, CoreVerdict::Alive);
    assert_eq!(stage.beats(20, CoreVerdict::DeadClean), State::Suspect);
    assert_eq!(stage.beats(3, CoreVerdict::Alive), State::Standby);
    stage.beats(30, CoreVerdict::DeadClean);
    assert_eq!(stage.beat(CoreVerdict::DeadClean, false), State::Active);
}

#[test]
fn a_core_that_is_dead_in_turns_of_both_kinds_is_dead() {
    let mut stage = Stage::new(defaults(0, 0, true));
    stage.beats(5, CoreVerdict::Alive);
    for _ in 0..15 {
        stage.beats(1, CoreVerdict::DeadClean);
        stage.beats(1, CoreVerdict::DeadCrash);
    }
    assert_eq!(stage.beats(1, CoreVerdict::DeadClean), State::Active);
}

#[test]
fn one_lost_packet_and_one_slow_second_are_nothing() {
    let mut stage = Stage::new(defaults(0, 0, true));
    stage.beats(5, CoreVerdict::Alive);
    assert_ne!(stage.pass(2 * BEAT), State::Active);
    assert_eq!(stage.beats(1, CoreVerdict::Alive), State::Standby);
    stage.pass(3999);
    assert_eq!(stage.machine.state(), State::Suspect);
    assert_eq!(stage.beats(1, CoreVerdict::Alive), State::Standby);
}

#[test]
fn silence_takes_over_only_when_the_probes_fail_too() {
    let mut stage = Stage::new(defaults(1, 1, true));
    stage.beats(5, CoreVerdict::Alive);
    for _ in 0..30 {
        assert_ne!(stage.plugins(ServiceState::Ok, ServiceState::Ok, 1000), State::Active);
    }
    stage.plugins(ServiceState::Critical, ServiceState::Ok, 1000);
    stage.plugins(ServiceState::Critical, ServiceState::Ok, 1000);
    assert_eq!(stage.plugins(ServiceState::Critical, ServiceState::Ok, 1000), State::Active);
}

#[test]
fn while_the_heartbeat_is_late_plugins_run_every_second_but_not_for_ever() {
    let mut stage = Stage::new(defaults(1, 1, true));
    stage.beats(5, CoreVerdict::Alive);
    let (slow, fast) = (Duration::from_secs(10), Duration::from_secs(1));
    assert_eq!(stage.machine.pace(), (slow, slow));
    stage.pass(4000);
    assert_eq!(stage.machine.pace(), (fast, fast));
    stage.pass(60_000);
    assert_eq!(stage.machine.pace(), (slow, slow));
}

#[test]
fn without_probes_silence_alone_takes_over() {
    let mut stage = Stage::new(defaults(0, 0, true));
    stage.beat(CoreVerdict::Alive, false);
    assert_eq!(stage.pass(4999), State::Suspect);
    assert_eq!(stage.pass(1), State::Active);
    assert_eq!(stage.beats(29, CoreVerdict::Alive), State::Active);
    stage.beats(2, CoreVerdict::Alive);
    assert_eq!((stage.core_shows(false), stage.hooks), (State::Standby, 2));
}

#[test]
fn goodbye_is_no_failure_but_not_for_ever() {
    let mut stage = Stage::new(defaults(0, 0, true));
    stage.beats(5, CoreVerdict::Alive);
    stage.tell(Input::Goodbye);
    assert_ne!(stage.pass(299_999), State::Active);
    assert_eq!(stage.pass(1), State::Active);

    let mut stage = Stage::new(defaults(0, 0, true));
    stage.beats(5, CoreVerdict::Alive);
    stage.tell(Input::Goodbye);
    stage.pass(60_000);
    assert_eq!(stage.beats(5, CoreVerdict::Alive), State::Standby);
}

#[test]
fn after_a_goodbye_the_probes_decide() {
    let mut stage = Stage::new(defaults(1, 0, true));
    stage.beats(5, CoreVerdict::Alive);
    stage.tell(Input::Goodbye);
    stage.plugins(ServiceState::Critical, ServiceState::Ok, 10_000);
    stage.plugins(ServiceState::Critical, ServiceState::Ok, 10_000);
    assert_eq!(stage.plugins(ServiceState::Critical, ServiceState::Ok, 0), State::Active);
}

#[test]
fn a_failing_probe_beside_a_live_heartbeat_takes_over_nothing() {
    let mut stage = Stage::new(defaults(1, 0, true));
    for _ in 0..20 {
        stage.beat(CoreVerdict::Alive, false);
        assert_ne!(stage.plugins(ServiceState::Critical, ServiceState::Ok, 1000), State::Active);
    }
}

#[test]
fn a_standby_that_is_cut_off_stays_put() {
    let mut stage = Stage::new(defaults(1, 1, false));
    for _ in 0..10 {
        assert_ne!(stage.plugins(ServiceState::Critical, ServiceState::Critical, 10_000), State::Active);
    }
    assert_eq!(stage.plugins(ServiceState::Critical, ServiceState::Ok, 0), State::Active);
}

#[test]
fn a_standby_that_was_cut_off_looks_at_the_master_once_more() {
    let cut_off = || {
        let mut stage = Stage::new(defaults(1, 1, false));
        for _ in 0..10 {
            stage.plugins(ServiceState::Critical, ServiceState::Critical, 10_000);
        }
        assert_eq!(stage.machine.pace().0, Duration::from_secs(10));
        let started = stage.instant(stage.at);
        assert_eq!(stage.tell(Input::Witness { index: 0, state: ServiceState::Ok, started }), State::Suspect);
        assert_eq!(stage.machine.pace().0, Duration::from_secs(1), "the probe is hurried");
        stage.pass(1000);
        stage
    };
    let mut stage = cut_off();
    let started = stage.instant(stage.at);
    assert_eq!(stage.tell(Input::Probe { index: 0, state: ServiceState::Ok, started }), State::Standby);
    assert_eq!(stage.hooks, 0);

    let mut stage = cut_off();
    let before = stage.instant(stage.at - 1001);
    assert_eq!(stage.tell(Input::Probe { index: 0, state: ServiceState::Critical, started: before }), State::Suspect);
    let started = stage.instant(stage.at);
    assert_eq!(stage.tell(Input::Probe { index: 0, state: ServiceState::Critical, started }), State::Active);
    assert_eq!(stage.machine.pace().0, Duration::from_secs(10));
}

#[test]
fn a_standby_that_was_cut_off_waits_for_the_heartbeat_once_more() {
    let mut stage = Stage::new(defaults(0, 1, true));
    stage.beats(5, CoreVerdict::Alive);
    for state in [ServiceState::Critical, ServiceState::Critical, ServiceState::Ok] {
        stage.pass(5000);
        let started = stage.instant(stage.at);
        assert_eq!(stage.tell(Input::Witness { index: 0, state, started }), State::Suspect);
    }
    assert_eq!(stage.pass(4999), State::Suspect);
    let mut heard = stage.machine.clone();
    heard.handle(Input::Heard { core: CoreVerdict::Alive, is_cold: false }, stage.now());
    assert_eq!(heard.state(), State::Standby);
    assert_eq!(stage.pass(1), State::Active);
}

#[test]
fn what_a_witness_said_before_the_trouble_does_not_count() {
    let mut stage = Stage::new(defaults(1, 1, true));
    stage.beat(CoreVerdict::Alive, false);
    stage.tell(Input::Witness { index: 0, state: ServiceState::Ok, started: stage.instant(0) });
    for _ in 0..3 {
        stage.pass(2500);
        let started = stage.instant(stage.at);
        assert_ne!(stage.tell(Input::Probe { index: 0, state: ServiceState::Unknown, started }), State::Active);
    }
    let started = stage.instant(stage.at);
    assert_eq!(stage.tell(Input::Witness { index: 0, state: ServiceState::Ok, started }), State::Active);
}

#[test]
fn a_host_that_is_up_never_hands_back() {
    let mut settings = defaults(1, 0, false);
    settings.probes[0].watches = Watches::Host;
    let mut stage = Stage::new(settings);
    for _ in 0..3 {
        stage.plugins(ServiceState::Critical, ServiceState::Ok, 10_000);
    }
    for _ in 0..100 {
        assert_eq!(stage.plugins(ServiceState::Ok, ServiceState::Ok, 10_000), State::Active);
    }
    assert!(stage.machine.waits_for().unwrap().contains("host"));

    let mut stage = Stage::new(defaults(0, 0, false));
    stage.tell(Input::Event(Event::ProcessOk));
    assert_eq!(stage.tell(Input::Event(Event::HostDown)), State::Active);
    assert_eq!(stage.tell(Input::Event(Event::HostUp)), State::Active, "an OK from before proves nothing");
    assert_ne!(stage.tell(Input::Event(Event::ProcessOk)), State::Active);
}

#[test]
fn every_probe_must_fail_or_any_one() {
    let fails = |stage: &mut Stage, index: usize, times: u32| {
        for _ in 0..times {
            let started = stage.instant(stage.at);
            stage.tell(Input::Probe { index, state: ServiceState::Critical, started });
            stage.tell(Input::Probe { index: 0, state: ServiceState::Ok, started });
            stage.pass(10_000);
        }
        stage.machine.state()
    };
    let mut stage = Stage::new(defaults(3, 0, false));
    assert_ne!(fails(&mut stage, 1, 10), State::Active);
    assert_ne!(fails(&mut stage, 2, 10), State::Active, "the first one is well");
    for times in 1..=3 {
        let started = stage.instant(stage.at);
        let state = stage.tell(Input::Probe { index: 0, state: ServiceState::Critical, started });
        assert_eq!(state == State::Active, times == 3);
    }

    let mut stage = Stage::new(Settings { take_over_when: TakeOverWhen::Any, ..defaults(3, 0, false) });
    assert_ne!(fails(&mut stage, 1, 2), State::Active);
    assert_eq!(fails(&mut stage, 1, 1), State::Active);
}

#[test]
fn each_probe_has_its_own_failures() {
    let none = Problems { warning: false, critical: false, unknown: false };
    let every = [
        (ServiceState::Warning, Problems { warning: true, ..none }),
        (ServiceState::Critical, Problems { critical: true, ..none }),
        (ServiceState::Unknown, Problems { unknown: true, ..none }),
    ];
    for (state, only) in every {
        for (told, _) in every {
            let mut settings = defaults(1, 0, false);
            settings.probes[0].takes_over_on = only;
            let mut stage = Stage::new(settings);
            for _ in 0..3 {
                stage.plugins(told, ServiceState::Ok, 10_000);
            }
            assert_eq!(stage.machine.state() == State::Active, told == state, "{told} where {state} is a failure");
        }
    }
}

#[test]
fn warnings_that_are_no_failures_say_nothing() {
    let mut settings = defaults(1, 0, false);
    settings.probes[0].takes_over_on = Problems::CRITICAL;
    let mut stage = Stage::new(settings);
    for state in [ServiceState::Critical, ServiceState::Warning, ServiceState::Unknown, ServiceState::Critical] {
        assert_ne!(stage.plugins(state, ServiceState::Ok, 10_000), State::Active);
    }
    assert_eq!(stage.plugins(ServiceState::Critical, ServiceState::Ok, 0), State::Active);
}

#[test]
fn heartbeats_that_are_a_little_late_are_not_suspicious() {
    let mut settings = defaults(0, 0, true);
    settings.heartbeat.as_mut().unwrap().stale_after = Duration::from_secs(2);
    let mut stage = Stage::new(settings);
    for _ in 0..10 {
        stage.beat(CoreVerdict::Alive, false);
        assert_eq!(stage.pass(1400), State::Standby);
    }
    assert_eq!(stage.pass(100), State::Suspect);
    assert_eq!(stage.pass(500), State::Active);
}

#[test]
fn a_master_that_says_that_its_core_is_dead_gets_nothing_back() {
    let mut stage = Stage::new(defaults(1, 0, true));
    stage.beats(5, CoreVerdict::DeadCrash);
    assert_eq!(stage.machine.state(), State::Active);
    for _ in 0..100 {
        stage.beat(CoreVerdict::DeadCrash, false);
        assert_eq!(stage.plugins(ServiceState::Ok, ServiceState::Ok, 1000), State::Active);
    }
    assert_eq!(stage.hooks, 1, "not even for a moment");
}

/// A standby that is active beside a master whose core lives again.
fn active_beside(is_cold: bool, seconds: u64) -> Stage {
    let mut stage = Stage::new(defaults(0, 0, true));
    assert_eq!(stage.beats(3, CoreVerdict::DeadCrash), State::Active);
    for _ in 0..seconds {
        assert_eq!(stage.beat(CoreVerdict::Alive, is_cold), State::Active);
        stage.pass(BEAT);
    }
    stage
}

#[test]
fn a_master_whose_core_is_cold_waits_until_it_is_warm() {
    let mut stage = active_beside(true, 45);
    assert_eq!(stage.machine.waits_for(), Some("the master's core is not up to date yet"));
    assert_ne!(stage.beat(CoreVerdict::Alive, false), State::Active);
    assert_eq!(stage.machine.since().1, "the master's core lives");
}

#[test]
fn a_master_whose_core_stays_cold_gets_the_work_back_all_the_same() {
    let mut stage = active_beside(true, 60);
    assert_ne!(stage.beat(CoreVerdict::Alive, true), State::Active);
    assert_eq!(stage.machine.since().1, "the master's core lives, but was not brought up to date in time");
}

#[test]
fn a_core_that_dies_again_is_waited_for_again() {
    let mut stage = active_beside(true, 50);
    stage.beat(CoreVerdict::DeadCrash, true);
    stage.pass(BEAT);
    for _ in 0..60 {
        assert_eq!(stage.beat(CoreVerdict::Alive, true), State::Active);
        stage.pass(BEAT);
    }
    assert_ne!(stage.beat(CoreVerdict::Alive, true), State::Active);
}

#[test]
fn a_hold_survives_everything_and_a_release_counts_from_zero() {
    let mut stage = Stage::new(defaults(1, 0, false));
    stage.machine.handle_order(Order::Hold { reason: "works".into() }, stage.now()).unwrap();
    for _ in 0..10 {
        assert_eq!(stage.plugins(ServiceState::Critical, ServiceState::Ok, 10_000), State::Standby);
    }
    let text = serde_json::to_string(&stage.machine.snapshot()).unwrap();
    let snapshot = serde_json::from_str(&text).unwrap();
    stage.machine = Machine::new(defaults(1, 0, false), Some(snapshot), stage.now());
    assert_eq!(stage.machine.held().unwrap().reason, "works");
    stage.plugins(ServiceState::Critical, ServiceState::Ok, 10_000);
    stage.machine.handle_order(Order::Release, stage.now()).unwrap();
    assert_eq!(stage.plugins(ServiceState::Critical, ServiceState::Ok, 10_000), State::Suspect);
    stage.plugins(ServiceState::Critical, ServiceState::Ok, 10_000);
    assert_eq!(stage.plugins(ServiceState::Critical, ServiceState::Ok, 0), State::Active);
}

#[test]
fn hand_back_by_hand() {
    let mut stage = Stage::new(Settings { hand_back: HandBack::Manual, ..defaults(1, 0, false) });
    for _ in 0..3 {
        stage.plugins(ServiceState::Critical, ServiceState::Ok, 10_000);
    }
    for _ in 0..100 {
        assert_eq!(stage.plugins(ServiceState::Ok, ServiceState::Ok, 10_000), State::Active);
    }
    assert_eq!(stage.machine.waits_for(), Some("hand_back is manual"));
    let confirmed = stage.machine.handle_order(Order::HandBack, stage.now()).unwrap();
    assert!(!confirmed.notes.iter().any(|note| note.contains("nobody")), "{confirmed:?}");
    stage.drain();
    assert_eq!(stage.core_shows(false), State::Standby);
}

fn master() -> Stage {
    let settings = Settings { role: Role::Master, switches: vec![Switch::Notifications], ..defaults(0, 0, false) };
    Stage::new(settings)
}

#[test]
fn a_master_enables_at_once_when_no_standby_is_active() {
    assert_eq!(master().tell(Input::Peer(Presence::OffStage)), State::Active);
}

#[test]
fn a_master_waits_for_the_hand_back() {
    let mut stage = master();
    stage.tell(Input::Peer(Presence::OnStage));
    assert_eq!(stage.pass(3_600_000), State::Standby);
    assert_eq!(stage.tell(Input::Peer(Presence::Between)), State::Suspect);
    assert_eq!(stage.tell(Input::Peer(Presence::OffStage)), State::Active);
}

#[test]
fn a_master_that_cannot_reach_its_standby_fails_open() {
    let mut stage = master();
    assert_eq!(stage.pass(29_999), State::Suspect);
    assert_eq!(stage.pass(1), State::Active);
    assert_eq!(stage.tell(Input::Peer(Presence::OnStage)), State::HandingBack);
}

#[test]
fn a_master_whose_core_returns_while_the_standby_takes_over_waits_for_it() {
    let mut stage = master();
    assert_eq!(stage.tell(Input::Peer(Presence::OffStage)), State::Active);
    assert_eq!(stage.tell(Input::Core(LocalCore::Gone)), State::Active, "its core alone changes nothing");
    assert_eq!(stage.tell(Input::Peer(Presence::Between)), State::Suspect);
    assert_eq!(stage.tell(Input::Peer(Presence::OnStage)), State::Standby);
    assert_eq!(stage.core_shows(false), State::Standby);
    assert_eq!(stage.tell(Input::Peer(Presence::OffStage)), State::Active);

    assert_eq!(stage.tell(Input::Peer(Presence::Between)), State::Active, "its core runs");
    stage.pass(29_000);
    assert_eq!(stage.tell(Input::Core(LocalCore::Gone)), State::Suspect);
    assert_eq!(stage.pass(1_000), State::Active);
    assert_eq!(stage.tell(Input::Core(LocalCore::Gone)), State::Active, "it has waited");
}

#[test]
fn a_restarted_master_goes_on_only_beside_the_same_core() {
    let mut stage = master();
    stage.tell(Input::Peer(Presence::OffStage));
    let snapshot = stage.machine.snapshot();
    let again = |start: i64| {
        let settings = Settings { role: Role::Master, switches: vec![Switch::Notifications], ..defaults(0, 0, false) };
        let mut machine = Machine::new(settings, Some(snapshot.clone()), stage.now());
        assert_eq!(machine.state(), State::Suspect);
        let flags = BTreeMap::from([(Flag::Notifications, true)]);
        let shown = Shown { program_start: start, created: start + 1, flags };
        machine.handle(Input::Core(LocalCore::Running(Some(shown))), stage.now());
        machine.state()
    };
    assert_eq!(again(UNIX), State::Active);
    assert_eq!(again(UNIX + 100), State::Suspect);
}
