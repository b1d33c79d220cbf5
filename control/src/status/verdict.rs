//! What somebody should look at now.
//!
//! Only what is so at this moment counts. What was lost in the past stands in the text, but a warning that lasts until the
//! next restart would soon be read no more.

use super::number::{bytes, duration, offset, results};
use super::{Destination, Failover, Hold, Queue, Receiver, Sender, Status, Warm};

/// Results that wait this long are stuck.
const STUCK_SECONDS: u64 = 60;

/// From here on, check times of two nodes, which count whole seconds, contradict each other.
const CLOCKS_DIFFER_MS: u64 = 1000;

/// A queue beyond this part of its limit will drop history soon, in percent.
const NEARLY_FULL_PERCENT: u64 = 80;

/// So long a core may take until its status file shows that its switches are what they are to be.
const SWITCHING_SECONDS: u64 = 30;

/// One sentence each.
pub(super) fn warnings(status: &Status) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(trouble) = status.core.as_ref().and_then(|core| core.trouble.as_ref()) {
        warnings.push(format!("the core takes no commands: {trouble}"));
    }
    if let Some(sender) = &status.sender {
        of_sender(sender, &mut warnings);
    }
    if let Some(receiver) = &status.receiver {
        of_receiver(receiver, &mut warnings);
    }
    if let Some(failover) = &status.failover {
        of_failover(failover, status.uptime_seconds, &mut warnings);
    }
    if let Some(warm) = &status.warm {
        of_warm(warm, &mut warnings);
    }
    warnings
}

fn of_sender(sender: &Sender, warnings: &mut Vec<String>) {
    of_queue("spool", &sender.spool, warnings);
    sender.destinations.iter().for_each(|destination| of_destination(destination, warnings));
}

fn of_destination(destination: &Destination, warnings: &mut Vec<String>) {
    let Destination { name, queued, oldest_waiting_seconds, clock_offset_ms, .. } = destination;
    let oldest = oldest_waiting_seconds.filter(|age| *age >= STUCK_SECONDS);
    let since = oldest.map(|age| format!(", the oldest for {}", duration(age))).unwrap_or_default();
    match &destination.last_error {
        Some(error) if destination.session.is_none() => {
            warnings.push(format!("nothing reaches {name:?}, {} waiting{since}: {}", results(*queued), error.message));
        }
        _ if oldest.is_some() => warnings.push(format!("{name:?} is slow: {} waiting{since}", results(*queued))),
        _ => {}
    }
    of_clock(name, *clock_offset_ms, warnings);
}

fn of_receiver(receiver: &Receiver, warnings: &mut Vec<String>) {
    if let Some(journal) = &receiver.journal {
        of_queue("journal", journal, warnings);
    }
    if let Some(age) = receiver.oldest_waiting_seconds.filter(|age| *age >= STUCK_SECONDS) {
        let waiting = results(receiver.waiting.unwrap_or_default());
        warnings.push(format!("{waiting} waiting for the core, the oldest for {}: is it running?", duration(age)));
    }
    for session in &receiver.sessions {
        of_clock(session.node.as_deref().unwrap_or(&session.address), session.clock_offset_ms, warnings);
    }
}

fn of_failover(failover: &Failover, uptime_seconds: u64, warnings: &mut Vec<String>) {
    let Failover { role, state, state_seconds, why, .. } = failover;
    let (active, since) = (state == "active", duration(*state_seconds));
    match role.as_str() {
        "standby" if active => warnings.push(format!("this standby has been active for {since}: {why}")),
        "master" if !active => warnings.push(format!("this master has been standing by for {since}: {why}")),
        _ => {}
    }
    if let Some(Hold { reason, seconds }) = &failover.hold {
        let held = format!("held by the operator for {}: {reason}; `understudy release` ends it", duration(*seconds));
        warnings.push(held);
    }
    if active && failover.core == "gone" {
        warnings.push("this node is active and its core does not run, so nobody notifies: start it".to_owned());
    } else if let Some(trouble) = &failover.trouble {
        warnings.push(format!("the core cannot be switched: {trouble}"));
    } else if !failover.in_force && (*state_seconds).min(uptime_seconds) >= SWITCHING_SECONDS {
        let wanted = if active { "on" } else { "off" };
        warnings.push(format!("the core's switches are not known to be {wanted}, as they should be: see its log"));
    }
}

fn of_warm(warm: &Warm, warnings: &mut Vec<String>) {
    if warm.peer.is_none() && warm.books.len() > 1 {
        let nodes: Vec<&str> = warm.books.iter().map(|book| book.node.as_str()).collect();
        let nodes = nodes.join(", ");
        warnings.push(format!(
            "several nodes send their books ({nodes}), and none of them counts: name one, node = \"…\" in [failover.heartbeat]"
        ));
    }
}

fn of_queue(what: &str, queue: &Queue, warnings: &mut Vec<String>) {
    let Queue { bytes: used, max_bytes, .. } = *queue;
    if let Some(trouble) = &queue.trouble {
        warnings.push(format!("the {what} takes no results: {trouble}"));
    } else if max_bytes > 0 && u128::from(used) * 100 >= u128::from(max_bytes) * u128::from(NEARLY_FULL_PERCENT) {
        warnings.push(format!("the {what} is nearly full: {} of {}", bytes(used), bytes(max_bytes)));
    }
}

fn of_clock(who: &str, ahead_ms: Option<i64>, warnings: &mut Vec<String>) {
    if let Some(ms) = ahead_ms.filter(|ms| ms.unsigned_abs() >= CLOCKS_DIFFER_MS) {
        warnings.push(format!("the clock of {who:?} is {}: is NTP running on both?", offset(ms)));
    }
}
