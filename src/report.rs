//! What the roles say of themselves, as the document that `understudy status` shows.

use std::net::SocketAddr;

use control::status::{ByCause, Core, Destination, Intake, LastError, Listener, Queue, Receiver, Sender};
use receiver::Counts;
use sender::{DestinationStatus, IntakeStatus, SpoolStatus};

/// What the configuration knows of the core.
pub(crate) fn core(config: &config::Core) -> Core {
    let command_file = config.command_file.as_ref().map(|path| path.display().to_string());
    Core { flavour: config.flavour.to_string(), command_file }
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
    let IntakeStatus { handed_over, from_spill, duplicates, refused, perfdata, lost, damaged, foreign, not_copied } =
        status;
    Intake {
        handed_over,
        from_spill,
        perfdata,
        relayed: 0,
        dropped: causes([
            (duplicates, "came twice"),
            (refused, "have names that no core can have"),
            (lost, "of the perfdata FIFO found no room"),
            (damaged, "perfdata frames were not whole"),
            (foreign, "perfdata lines had no frame"),
            (not_copied, "perfdata lines were not copied"),
        ]),
    }
}

fn spool(config: &config::Sender, status: SpoolStatus) -> Queue {
    let SpoolStatus { results, bytes, superseded, cut, damaged_bytes, trouble } = status;
    Queue { results, bytes, max_bytes: config.spool.max_size, superseded, cut, damaged_bytes, trouble }
}

fn destination((config, status): (&config::Destination, DestinationStatus)) -> Destination {
    let DestinationStatus { name, queued, delivered, skipped, truncated, failure } = status;
    Destination {
        name,
        address: config.address.to_string(),
        queued,
        acknowledged: delivered,
        skipped: causes([(skipped, "could not be read"), (truncated, "did not fit into a packet whole")]),
        last_error: failure.map(|message| LastError { message, age_seconds: None }),
        ..Destination::default()
    }
}

/// The receiver's part; it listens on `addresses`.
pub(crate) fn receiver(addresses: &[SocketAddr], counts: Counts) -> Receiver {
    let Counts { connections, connections_refused, sessions_refused, accepted, refused, .. } = counts;
    let Counts { injected, cut, dumped, lost, superseded, older_than_own, .. } = counts;
    Receiver {
        listeners: addresses.iter().map(|address| Listener { address: address.to_string() }).collect(),
        connections,
        accepted,
        injected,
        cut,
        dropped: causes([
            (refused, "have names that no core can have, or another host's"),
            (dumped, "went into the dump file"),
            (lost, "made room for newer ones"),
            (superseded, "had newer ones of their objects, while this core is active"),
            (older_than_own, "were older than this core's own check"),
        ]),
        refused: causes([(connections_refused, "connections"), (sessions_refused, "sessions")]),
        ..Receiver::default()
    }
}

fn causes<const N: usize>(counts: [(u64, &str); N]) -> ByCause {
    counts.into_iter().map(|(number, cause)| (cause.to_owned(), number)).collect()
}
