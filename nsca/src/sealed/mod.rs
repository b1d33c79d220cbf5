//! A session between two Understudies, on the port and with the password of a classic one: authenticated,
//! encrypted, acknowledged, and without limits of size. [`Client`] sends, [`Server`] receives.
//!
//! ```text
//! sender                                     receiver
//!   │ ◀───────────── init packet ────────────── │   as in every classic session; the IV is marked
//!   │ ──────────── upgrade request ───────────▶ │
//!   │ ──────────── Noise: psk, e ─────────────▶ │   Hello
//!   │ ◀─────────── Noise: e, ee ─────────────── │   Welcome or Refusal
//!   │ ◀══════════ Noise messages ═════════════▶ │   frames: results, heartbeats, acknowledgements, books
//! ```
//!
//! Every byte of it is in ARCHITECTURE.md, "Sealed sessions on the wire".
//!
//! **Invariants:** no result is given out that is not authentic, fresh and within the credit; nothing is sent before the
//! other side has proven that it knows the key, but for the encrypted Hello; a peer without the key costs 1 KiB and a few
//! hashes.
//!
//! `tests/data/sealed/session.py` is a second implementation of everything above; what it computed is what the tests
//! compare with.

mod books;
mod channel;
mod client;
mod clock;
mod credit;
mod error;
mod frame;
mod hello;
mod lanes;
mod mark;
mod noise;
mod outbox;
mod packet;
mod psk;
mod pulse;
mod result;
mod server;
mod shown;
#[cfg(test)]
pub(crate) mod tests;
mod timers;
mod wire;

use std::time::Duration;

pub use books::{Heading, MAX_WANTED_OBJECTS, Part, Want};
pub use client::{Client, ClientEvent, ClientSettings, Sent};
pub use clock::{ClockOffset, Now};
pub use credit::{Credit, Window};
pub use error::{Reason, SealedError};
pub use frame::{CoreVerdict, Duty, Heartbeat, MAX_FRAME_BYTES, Warmth};
pub use hello::{Hello, InvalidNodeName, MAX_NODE_NAME_BYTES, NodeName, SpoolId, Welcome};
pub use mark::{MARKED_RANDOM_BYTES, UPGRADE_BYTES, is_marked, marked_iv, upgrade_request};
pub use noise::Ephemeral;
pub use psk::{KEY_BYTES, KeyError, Psk, key_file_text};
pub use pulse::HEARTBEAT_INTERVAL;
pub use result::{CheckType, ResultFrame, StateType};
pub use server::{Server, ServerEvent, ServerSettings};
pub use shown::ShownFrame;

/// After how long a silence a side ends the session, unless it is told otherwise: ten heartbeats.
pub const STALE_AFTER: Duration = Duration::from_secs(10);

/// How long a side waits for the other one's part of the handshake.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
