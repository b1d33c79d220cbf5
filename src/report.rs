//! What the roles say of themselves, as the document that `understudy status` shows.

mod warmth;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use control::status::{
    ByCause, Core, Destination, Failover, Hold, Intake, LastError, Listener, Plugin, Queue, Receiver, ReceiverSession,
    RememberedNode, Sender, SessionKind, Transition,
};
use failover::controller::{CoreStatus, PluginStatus};
use failover::machine::{Flag, State};
use nagios::command_file::{CommandFile, CommandFileError};
use receiver::{Counts, JournalStatus, NodeStatus, SessionStatus};
use sender::{DestinationStatus, Failure, IntakeStatus, SpoolStatus};

pub(crate) use warmth::{resync_ended, resync_refused, untold, warm};

/// How long a core's command file may be full without being in trouble.
const FULL_FOR: Duration = Duration::from_millis(200);

/// What can be told of the core without asking it. Blocks for [`FULL_FOR`] at most.
pub(crate) fn core(config: &config::Core, is_injected_into: bool) -> Core {
    Core {
        flavour: config.flavour.to_string(),
        command_file: config.command_file.as_ref().map(|path| path.display().to_string()),
        trouble: config.command_file.as_ref().and_then(|path| core_trouble(path, is_injected_into)),
    }
}

fn core_trouble(command_file: &Path, is_injected_into: bool) -> Option<String> {
    match CommandFile::new(command_file.to_owned()).wait_writable(FULL_FOR) {
        Ok(true) => None,
        Ok(false) => Some(CommandFileError::Full { path: command_file.to_owned() }.to_string()),
        // A sender may run as a user who must not command the core.
        Err(CommandFileError::Denied { .. }) if !is_injected_into => None,
        Err(error) => Some(error.to_string()),
    }
}

/// The sender's part.
pub(crate) fn sender(config: &config::Sender, status: sender::Status) -> Sender {
    Sender {
        socket: config.socket.display().to_string(),
        intake: intake(status.intake),
        spool: spool(config, status.spool),
        destinations: config.destinations.iter().zip(status.destinations).map(destination).collect(),
    }
}

fn intake(status: IntakeStatus) -> Intake {
    let IntakeStatus { handed_over, from_spill, duplicates, refused, perfdata, lost, damaged, foreign, .. } = status;
    let IntakeStatus { not_copied, echoes, relayed, not_relayed, .. } = status;
    Intake {
        handed_over,
        from_spill,
        perfdata,
        relayed,
        dropped: causes([
            (duplicates, "came_twice"),
            (refused, "impossible_names"),
            (lost, "no_room_for_perfdata"),
            (damaged, "perfdata_frames_not_whole"),
            (foreign, "perfdata_lines_without_frame"),
            (not_copied, "perfdata_lines_not_copied"),
            (echoes, "echoes_of_what_the_core_was_given"),
            (not_relayed, "passive_and_not_relayed"),
        ]),
    }
}

fn spool(config: &config::Sender, status: SpoolStatus) -> Queue {
    let SpoolStatus { results, bytes, superseded, cut, damaged_bytes, trouble } = status;
    Queue { results, bytes, max_bytes: config.spool.max_size, superseded, cut, damaged_bytes, trouble }
}

fn destination((config, status): (&config::Destination, DestinationStatus)) -> Destination {
    let DestinationStatus { name, session, peer, queued, acknowledged, skipped, truncated, .. } = status;
    let DestinationStatus { session_seconds, oldest_waiting_seconds, clock_offset_ms, failure, .. } = status;
    Destination {
        name,
        address: config.address.to_string(),
        session: session.map(|kind| match kind {
            sender::SessionKind::Classic => SessionKind::Classic,
            sender::SessionKind::Sealed => SessionKind::Sealed,
        }),
        peer,
        session_seconds,
        queued,
        oldest_waiting_seconds,
        acknowledged,
        skipped: causes([
            (skipped.origin, "came_from_there"),
            (skipped.damaged, "unreadable"),
            (skipped.cut, "cut_to_a_frame"),
            (truncated, "cut_to_a_packet"),
        ]),
        clock_offset_ms,
        last_error: failure.map(|Failure { message, seconds }| LastError { message, age_seconds: Some(seconds) }),
    }
}

/// The receiver's part; it listens on `addresses`.
pub(crate) fn receiver(config: &config::Receiver, addresses: &[SocketAddr], status: receiver::Status) -> Receiver {
    let receiver::Status { counts, refused, journal, sessions, nodes } = status;
    Receiver {
        listeners: addresses.iter().map(|address| Listener { address: address.to_string() }).collect(),
        connections: counts.connections,
        accepted: counts.accepted,
        injected: counts.injected,
        cut: counts.cut,
        waiting: journal.as_ref().and_then(|journal| journal.waiting),
        oldest_waiting_seconds: None,
        journal: config.journal.as_ref().zip(journal).map(self::journal),
        dropped: dropped(counts),
        refused: refused.into_iter().map(|(cause, number)| (cause.to_owned(), number)).collect(),
        sessions: sessions.into_iter().map(session).collect(),
        nodes: nodes.into_iter().map(node).collect(),
    }
}

fn dropped(counts: Counts) -> ByCause {
    let Counts { refused, own, older, repeated, dumped, lost, superseded, older_than_own, .. } = counts;
    causes([
        (refused, "impossible_names"),
        (own, "from_this_node_itself"),
        (older, "older_than_another_origins"),
        (repeated, "taken_before"),
        (dumped, "into_the_dump_file"),
        (lost, "no_room"),
        (superseded, "superseded_while_the_core_is_active"),
        (older_than_own, "older_than_the_cores_own"),
    ])
}

fn journal((config, status): (&config::Journal, JournalStatus)) -> Queue {
    let JournalStatus { results, bytes, trouble, .. } = status;
    Queue { results, bytes, max_bytes: config.max_size, trouble, ..Queue::default() }
}

fn session(status: SessionStatus) -> ReceiverSession {
    let SessionStatus { address, node, kind, since, accepted, received, acknowledged, clock_ahead_us, core } = status;
    ReceiverSession {
        address: address.to_string(),
        node,
        session: if kind == "sealed" { SessionKind::Sealed } else { SessionKind::Classic },
        session_seconds: unix_seconds().saturating_sub(since),
        accepted,
        received,
        acknowledged,
        clock_offset_ms: clock_ahead_us.map(|us| us / 1000),
        core: core.map(str::to_owned),
    }
}

fn node(status: NodeStatus) -> RememberedNode {
    let NodeStatus { node, spool, epoch, accepted, connected } = status;
    RememberedNode { node, spool, epoch, accepted, connected }
}

fn causes<const N: usize>(counts: [(u64, &str); N]) -> ByCause {
    counts.into_iter().map(|(number, cause)| (cause.to_owned(), number)).collect()
}

/// The failover controller's part.
pub(crate) fn failover(status: failover::Status) -> Failover {
    let failover::Status { role, state, since, why, hold, in_force, core, shown, not_issued, .. } = status;
    let failover::Status { heartbeat, waits_for, probes, witnesses, history, .. } = status;
    let flags = shown.map(|shown| shown.flags).unwrap_or_default();
    Failover {
        role: match role {
            config::Role::Standby => "standby".to_owned(),
            config::Role::Master => "master".to_owned(),
        },
        state: state_name(state),
        state_seconds: seconds_since(since),
        why,
        hold: hold.map(|hold| Hold { reason: hold.reason, seconds: seconds_since(hold.since) }),
        in_force,
        core: match core {
            CoreStatus::Unknown => "unknown".to_owned(),
            CoreStatus::Gone => "gone".to_owned(),
            CoreStatus::Running => "running".to_owned(),
        },
        flags: flags.into_iter().map(|(flag, on)| (flag_name(flag).to_owned(), on)).collect(),
        trouble: not_issued,
        heartbeat: heartbeat.map(str::to_owned),
        waits_for: waits_for.map(str::to_owned),
        probes: probes.into_iter().map(plugin).collect(),
        witnesses: witnesses.into_iter().map(plugin).collect(),
        transitions: history.into_iter().map(transition).collect(),
    }
}

fn state_name(state: State) -> String {
    match state {
        State::Standby => "standby",
        State::Suspect => "suspect",
        State::Active => "active",
        State::HandingBack => "handing-back",
    }
    .to_owned()
}

fn flag_name(flag: Flag) -> &'static str {
    match flag {
        Flag::ServiceChecks => "service_checks",
        Flag::HostChecks => "host_checks",
        Flag::Notifications => "notifications",
        Flag::ObsessOverServices => "obsessing_over_services",
        Flag::ObsessOverHosts => "obsessing_over_hosts",
    }
}

fn plugin(status: PluginStatus) -> Plugin {
    let PluginStatus { name, state, output, at, took: _ } = status;
    Plugin { name, state, output, age_seconds: at.map(seconds_since) }
}

fn transition(transition: failover::machine::Transition) -> Transition {
    let failover::machine::Transition { from, to, why, at } = transition;
    Transition { from: state_name(from), to: state_name(to), why, age_seconds: seconds_since(at) }
}

/// How long ago that was by the clock; zero if it is yet to come.
fn seconds_since(unix: i64) -> u64 {
    unix_seconds().saturating_sub(u64::try_from(unix).unwrap_or_default())
}

/// The clock.
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}
