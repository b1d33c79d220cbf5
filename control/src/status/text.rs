//! A status as text for people.
//!
//! ```text
//! WARNING: master: 1 thing to look at
//!   - nothing reaches "standby", 12 results wait: connection refused
//!
//! node          master, understudy 0.1.0, up 3 d 4 h
//!
//! sender        takes results at /run/understudy/ocsp.sock
//!   taken       1,234,567 results from understudy-ocsp
//!   …
//! ```

mod warm;

use std::collections::BTreeSet;

use super::number::{bytes, count, duration, offset, results};
use super::{
    ByCause, Destination, Failover, Hold, Intake, LastError, Plugin, Queue, Receiver, ReceiverSession, RememberedNode,
    Sender, SessionKind, Status, Transition,
};

/// Where lines are broken.
const COLUMNS: usize = 100;

/// So many classic sessions are shown each by itself: a relay may have thousands.
const CLASSIC_SHOWN: usize = 8;

/// So many changes of the failover's state are shown.
const TRANSITIONS_SHOWN: usize = 5;

/// Where values begin.
const VALUES_AT: usize = 15;

/// The whole text.
pub(super) fn of(status: &Status) -> String {
    let mut page = Page::default();
    verdict(status, &mut page);
    page.gap();
    let Status { node, version, uptime_seconds, .. } = status;
    page.field(0, "node", &format!("{node}, understudy {version}, up {}", duration(*uptime_seconds)));
    if let Some(core) = &status.core {
        let command_file = core.command_file.as_ref().map(|path| format!(", commands at {path}")).unwrap_or_default();
        page.field(0, "core", &format!("{}{command_file}", core.flavour));
        if let Some(trouble) = &core.trouble {
            page.field(1, "trouble", trouble);
        }
    }
    if let Some(sender) = &status.sender {
        of_sender(sender, &mut page);
    }
    if let Some(receiver) = &status.receiver {
        of_receiver(receiver, &mut page);
    }
    if let Some(failover) = &status.failover {
        of_failover(failover, &mut page);
    }
    if let Some(warm) = &status.warm {
        warm::of_warm(warm, &mut page);
    }
    page.text
}

fn verdict(status: &Status, page: &mut Page) {
    let node = &status.node;
    match status.warnings.len() {
        0 => page.paragraph("", &format!("OK: {node}: nothing to look at")),
        1 => page.paragraph("", &format!("WARNING: {node}: 1 thing to look at")),
        n => page.paragraph("", &format!("WARNING: {node}: {n} things to look at")),
    }
    status.warnings.iter().for_each(|warning| page.paragraph("  - ", warning));
}

fn of_sender(sender: &Sender, page: &mut Page) {
    page.gap();
    page.field(0, "sender", &format!("takes results at {}", sender.socket));
    let Intake { handed_over, from_spill, perfdata, relayed, dropped } = &sender.intake;
    let mut taken = format!("{} from understudy-ocsp", results(*handed_over));
    if *from_spill > 0 {
        taken += &format!(" ({} by the spill directory)", count(*from_spill));
    }
    for (number, source) in [(perfdata, "from perfdata lines"), (relayed, "from this node's receiver")] {
        if *number > 0 {
            taken += &format!(", {} {source}", count(*number));
        }
    }
    page.field(1, "taken", &taken);
    page.causes(1, "dropped", dropped);
    queue("spool", &sender.spool, page);
    sender.destinations.iter().for_each(|destination| of_destination(destination, page));
}

fn of_destination(destination: &Destination, page: &mut Page) {
    let Destination { name, address, queued, acknowledged, skipped, .. } = destination;
    page.field(1, "to", &format!("{name}, {address}"));
    page.field(2, "session", &session_of(destination));
    waiting(2, *queued, destination.oldest_waiting_seconds, page);
    page.field(2, "delivered", &results(*acknowledged));
    page.causes(2, "skipped", skipped);
    clock(destination.clock_offset_ms, page);
    if let Some(LastError { message, age_seconds }) = &destination.last_error {
        let age = age_seconds.map(|age| format!(" ({} ago)", duration(age))).unwrap_or_default();
        page.field(2, "last error", &format!("{message}{age}"));
    }
}

fn session_of(destination: &Destination) -> String {
    let Some(kind) = destination.session else { return "none".to_owned() };
    let peer = destination.peer.as_ref().map(|peer| format!(" with node {peer}")).unwrap_or_default();
    let age = destination.session_seconds.map(|age| format!(", for {}", duration(age))).unwrap_or_default();
    format!("{}{peer}{age}", name_of(kind))
}

fn of_receiver(receiver: &Receiver, page: &mut Page) {
    page.gap();
    let addresses: Vec<&str> = receiver.listeners.iter().map(|listener| listener.address.as_str()).collect();
    page.field(0, "receiver", &format!("listens on {}", addresses.join(", ")));
    page.field(
        1,
        "accepted",
        &format!("{} in {} connections", results(receiver.accepted), count(receiver.connections)),
    );
    let cut = if receiver.cut == 0 { String::new() } else { format!(", {} of them cut", count(receiver.cut)) };
    page.field(1, "injected", &format!("{}{cut}", results(receiver.injected)));
    if let Some(number) = receiver.waiting {
        waiting(1, number, receiver.oldest_waiting_seconds, page);
    }
    page.causes(1, "dropped", &receiver.dropped);
    page.causes(1, "refused", &receiver.refused);
    if let Some(journal) = &receiver.journal {
        queue("journal", journal, page);
    }
    let (sealed, classic): (Vec<_>, Vec<_>) =
        receiver.sessions.iter().partition(|session| session.session == SessionKind::Sealed);
    sealed.iter().chain(classic.iter().take(CLASSIC_SHOWN)).for_each(|session| of_session(session, page));
    if classic.len() > CLASSIC_SHOWN {
        page.field(1, "from", &format!("{} more in classic sessions", classic.len() - CLASSIC_SHOWN));
    }
    absent(&receiver.nodes, page);
}

fn of_session(session: &ReceiverSession, page: &mut Page) {
    let ReceiverSession { address, node, accepted, received, acknowledged, .. } = session;
    page.field(1, "from", &node.as_ref().map_or_else(|| address.clone(), |node| format!("{node}, {address}")));
    let (kind, age) = (name_of(session.session), duration(session.session_seconds));
    page.field(2, "session", &format!("{kind}, for {age}"));
    let unconfirmed = received.unwrap_or_default().saturating_sub(acknowledged.unwrap_or(u64::MAX));
    let behind =
        if unconfirmed == 0 { String::new() } else { format!(", the last {} not confirmed", count(unconfirmed)) };
    page.field(2, "accepted", &format!("{}{behind}", results(*accepted)));
    clock(session.clock_offset_ms, page);
    if let Some(core) = &session.core {
        page.field(2, "its core", core);
    }
}

/// The nodes that have sent before and are not here now.
fn absent(nodes: &[RememberedNode], page: &mut Page) {
    let all: BTreeSet<&str> = nodes.iter().map(|node| node.node.as_str()).collect();
    let here: BTreeSet<&str> = nodes.iter().filter(|node| node.connected).map(|node| node.node.as_str()).collect();
    let absent: Vec<&str> = all.difference(&here).copied().collect();
    if !absent.is_empty() {
        page.field(1, "absent", &absent.join(", "));
    }
}

fn of_failover(failover: &Failover, page: &mut Page) {
    page.gap();
    let Failover { role, state, state_seconds, why, core, flags, .. } = failover;
    page.field(0, "failover", &format!("role {role}: {state} for {}", duration(*state_seconds)));
    page.field(1, "because", why);
    if let Some(Hold { reason, seconds }) = &failover.hold {
        page.field(1, "held", &format!("for {}: {reason}", duration(*seconds)));
    }
    let as_wanted = if failover.in_force { "as it should be" } else { "not known to be as it should be" };
    page.field(1, "its core", &format!("{core}, {as_wanted}"));
    let flags: Vec<String> = flags
        .iter()
        .map(|(flag, on)| format!("{} {}", flag.replace('_', " "), if *on { "on" } else { "off" }))
        .collect();
    if !flags.is_empty() {
        page.field(2, "switches", &flags.join(", "));
    }
    if let Some(trouble) = &failover.trouble {
        page.field(2, "trouble", trouble);
    }
    if let Some(heartbeat) = &failover.heartbeat {
        page.field(1, "heartbeat", heartbeat);
    }
    if let Some(reason) = &failover.waits_for {
        page.field(1, "not back", reason);
    }
    failover.probes.iter().for_each(|probe| plugin("probe", probe, page));
    failover.witnesses.iter().for_each(|witness| plugin("witness", witness, page));
    for Transition { from, to, why, age_seconds } in failover.transitions.iter().take(TRANSITIONS_SHOWN) {
        page.field(1, "history", &format!("{} ago from {from} to {to}: {why}", duration(*age_seconds)));
    }
}

fn plugin(label: &str, plugin: &Plugin, page: &mut Page) {
    let Plugin { name, state, output, age_seconds } = plugin;
    page.field(1, label, name);
    let state = state.as_deref().unwrap_or("has not ended yet");
    let age = age_seconds.map(|age| format!(" ({} ago)", duration(age))).unwrap_or_default();
    let output = if output.is_empty() { String::new() } else { format!(": {output}") };
    page.field(2, "last", &format!("{state}{age}{output}"));
}

fn waiting(level: usize, number: u64, oldest_seconds: Option<u64>, page: &mut Page) {
    let oldest = oldest_seconds.filter(|age| *age > 0).map(|age| format!(", the oldest for {}", duration(age)));
    page.field(level, "waiting", &format!("{}{}", results(number), oldest.unwrap_or_default()));
}

fn queue(label: &str, queue: &Queue, page: &mut Page) {
    let Queue { results: number, bytes: used, max_bytes, .. } = *queue;
    page.field(1, label, &format!("{}, {} of {}", results(number), bytes(used), bytes(max_bytes)));
    if let Some(trouble) = &queue.trouble {
        page.field(2, "trouble", trouble);
    }
    if queue.superseded > 0 {
        page.field(2, "was full", &format!("{} dropped in favour of newer ones", results(queue.superseded)));
    }
    if queue.cut > 0 {
        page.field(2, "was full", &format!("text of {} cut", results(queue.cut)));
    }
    if queue.damaged_bytes > 0 {
        page.field(2, "damaged", &bytes(queue.damaged_bytes));
    }
}

fn clock(ahead_ms: Option<i64>, page: &mut Page) {
    if let Some(ms) = ahead_ms {
        page.field(2, "its clock", &offset(ms));
    }
}

fn name_of(kind: SessionKind) -> &'static str {
    match kind {
        SessionKind::Classic => "classic",
        SessionKind::Sealed => "sealed",
    }
}

/// The text so far.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn gap(&mut self) {
        self.text.push('\n');
    }

    /// A label and its value. Levels are two columns deep.
    fn field(&mut self, level: usize, label: &str, value: &str) {
        let label = format!("{:indent$}{label} ", "", indent = 2 * level);
        self.paragraph(&format!("{label:VALUES_AT$}"), value);
    }

    /// A label, and how many of what; nothing if there are none.
    fn causes(&mut self, level: usize, label: &str, causes: &ByCause) {
        let causes = causes.iter().filter(|(_, number)| **number > 0);
        let causes: Vec<String> =
            causes.map(|(cause, number)| format!("{} {}", count(*number), cause.replace('_', " "))).collect();
        if !causes.is_empty() {
            self.field(level, label, &causes.join("; "));
        }
    }

    /// Words behind `start`, broken into lines; what follows the first line is indented by its length.
    fn paragraph(&mut self, start: &str, words: &str) {
        let indent = start.chars().count();
        self.text += start;
        let mut column = indent;
        for (index, word) in words.split_whitespace().enumerate() {
            let word: String = word.chars().map(printable).collect();
            let width = word.chars().count();
            if index > 0 && column + 1 + width > COLUMNS {
                self.text += &format!("\n{:indent$}", "");
                column = indent;
            } else if index > 0 {
                self.text.push(' ');
                column += 1;
            }
            self.text += &word;
            column += width;
        }
        self.text.push('\n');
    }
}

/// Names and messages come from other machines: none gets at the terminal.
fn printable(character: char) -> char {
    if character.is_control() { '\u{fffd}' } else { character }
}
