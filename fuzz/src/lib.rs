//! What must hold for whatever bytes arrive, one function for each parser that reads what others wrote.
//!
//! Each function takes any bytes and panics when its invariant is violated. They are called from two sides:
//! `fuzz_targets/` hands them to libFuzzer, and `tests/corpus.rs` of the workspace above includes this module and
//! replays `corpus/` with them, on a stable compiler.
//!
//! Where a checksum or a cipher stands in a fuzzer's way, the function mends or encrypts the input itself, so that what
//! lies behind is reached.

mod command;
mod control_request;
mod handover;
mod log;
mod main_config;
mod packet;
mod perfdata;
mod pieces;
mod record;
mod sealed_frames;
mod session;
mod session_pair;
mod sets;
mod spool_segment;
mod status;
mod submission;

pub use command::command;
pub use control_request::control_request;
pub use handover::handover;
pub use log::log;
pub use main_config::main_config;
pub use packet::packet;
pub use perfdata::perfdata;
pub use record::record;
pub use sealed_frames::sealed_frames;
pub use session::session;
pub use session_pair::session_pair;
pub use sets::sets;
pub use spool_segment::spool_segment;
pub use status::status;

/// One invariant: any bytes in, a panic if it is violated.
pub type Invariant = fn(&[u8]);

/// Every invariant by the name of its target and of its folder in `corpus/`.
pub const TARGETS: [(&str, Invariant); 14] = [
    ("command", command),
    ("control_request", control_request),
    ("handover", handover),
    ("log", log),
    ("main_config", main_config),
    ("packet", packet),
    ("perfdata", perfdata),
    ("record", record),
    ("sealed_frames", sealed_frames),
    ("session", session),
    ("session_pair", session_pair),
    ("sets", sets),
    ("spool_segment", spool_segment),
    ("status", status),
];
