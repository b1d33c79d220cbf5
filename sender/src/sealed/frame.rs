//! A stored result as a frame of a session.

use nagios::{CheckResult, PluginOutput};
use nsca::sealed::{CheckType, Client, ResultFrame, Sent, ShownFrame, StateType};

use crate::shrink;

/// What became of a result.
pub(super) struct Offered {
    /// Never [`Sent::TooLong`].
    pub(super) sent: Sent,
    /// Whether a part of its text is missing.
    pub(super) is_cut: bool,
}

/// Gives a result to the client; one that no frame can hold without its long output, then without its perfdata, then
/// without any text. Its state is never cut.
pub(super) fn offer(client: &mut Client, sequence: u64, result: &CheckResult, origin: &[u8]) -> Offered {
    offer_output(result, |output| send(client, sequence, result, origin, output))
}

/// Gives a result that the peer has asked for, cut alike.
pub(super) fn show(client: &mut Client, result: &CheckResult) -> Sent {
    let show = |output: &PluginOutput| {
        client.send_shown(&ShownFrame {
            check_time_us: result.check_time.micros(),
            state_type: result.state_type.map(state_type),
            check_type: result.check_type.map(check_type),
            attempt: result.attempt.unwrap_or_default(),
            code: result.code.get(),
            host: result.object.host().as_bytes(),
            service: result.object.service().map_or(b"", |service| service.as_bytes()),
            output: &output.to_text(),
        })
    };
    offer_output(result, show).sent
}

fn offer_output(result: &CheckResult, mut send: impl FnMut(&PluginOutput) -> Sent) -> Offered {
    let sent = send(&result.output);
    if sent != Sent::TooLong {
        return Offered { sent, is_cut: false };
    }
    let shorter = (1..=shrink::STAGES).filter_map(|stage| shrink::shortened(stage, &result.output));
    for output in shorter.chain([PluginOutput::default()]) {
        let sent = send(&output);
        if sent != Sent::TooLong {
            return Offered { sent, is_cut: true };
        }
    }
    unreachable!("names and origin are a few thousand bytes at most, and fit");
}

fn send(client: &mut Client, sequence: u64, result: &CheckResult, origin: &[u8], output: &PluginOutput) -> Sent {
    client.send(&ResultFrame {
        sequence,
        check_time_us: result.check_time.micros(),
        state_type: result.state_type.map(state_type),
        check_type: result.check_type.map(check_type),
        attempt: result.attempt.unwrap_or_default(),
        origin,
        code: result.code.get(),
        host: result.object.host().as_bytes(),
        service: result.object.service().map_or(b"", |service| service.as_bytes()),
        // The true text: escaping it for the command file is the receiver's work.
        output: &output.text(),
    })
}

fn state_type(kind: nagios::StateType) -> StateType {
    match kind {
        nagios::StateType::Soft => StateType::Soft,
        nagios::StateType::Hard => StateType::Hard,
    }
}

fn check_type(kind: nagios::CheckType) -> CheckType {
    match kind {
        nagios::CheckType::Active => CheckType::Active,
        nagios::CheckType::Passive => CheckType::Passive,
    }
}
