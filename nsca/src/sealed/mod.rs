//! A session between two Understudies, on the port and with the password of a classic one: authenticated,
//! encrypted, acknowledged, and without limits of size. [`Client`] sends, [`Server`] receives.
//!
//! All numbers are big-endian; `‖` puts one thing after the other; texts in quotes are ASCII without a NUL.
//!
//! # Before: the offer and its acceptance
//!
//! ```text
//! sender                                     receiver
//!   │ ◀───────────── init packet ────────────── │   132 bytes, as in every classic session; the IV is marked
//!   │ ──────────── upgrade request ───────────▶ │   32 bytes
//!   │ ──────────── Noise: psk, e ─────────────▶ │   Hello
//!   │ ◀─────────── Noise: e, ee ─────────────── │   Welcome or Refusal
//!   │ ◀══════════ Noise messages ═════════════▶ │   frames
//!
//! init packet, from a receiver that offers sealed sessions
//!   0  random     112 bytes
//! 112  mark       16 bytes, SHA-256("understudy sealed 1" ‖ random)[0..16]
//! 128  timestamp  u32, Unix time in seconds
//!
//! upgrade request, from a sender that accepts
//!   0  SHA-256("understudy upgrade 1" ‖ IV), where IV is the first 128 bytes of the init packet
//! ```
//!
//! For everybody else a marked IV is a random one. A receiver that reads anything but its upgrade request has a
//! classic client before it: see [`greeting`](crate::greeting).
//!
//! # The keys
//!
//! `Noise_NNpsk0_25519_AESGCM_SHA256`, revision 34 of the Noise specification. The sender is the initiator. The
//! prologue is `init packet ‖ upgrade request` (164 bytes), so that a handshake fits one connection only. The
//! pre-shared key is
//!
//! - the 32 bytes of a key file, which holds them as 64 hexadecimal digits, or as they are;
//! - without one, Argon2id (version 0x13) of the password: 19,456 KiB, 2 passes, 1 lane, salt
//!   "understudy sealed 1", no secret, no associated data, 32 bytes.
//!
//! Every Noise message goes behind its length:
//!
//! ```text
//! 0  length   u16: at most 1,024 in the handshake, then at most 65,535
//! 2  message  in the handshake: public key, 32 bytes ‖ payload, encrypted ‖ tag, 16 bytes
//!             after it:         payload, encrypted ‖ tag, 16 bytes
//! ```
//!
//! After every 65,536 messages of the session in one direction, the key of that direction is renewed with Noise's
//! `Rekey`; the nonce counts on. A message that is not authentic ends the session.
//!
//! # The handshake's payloads
//!
//! ```text
//! Hello                                      Welcome
//!  0  version   u8 = 1                        0  answer    u8 = 1
//!  1  features  u32 = 0                       1  version   u8 = 1
//!  5  spool id  16 bytes                      2  features  u32 = 0
//! 21  epoch     u64                           6  accepted  u64, 0: nothing
//! 29  oldest    u64                          14  results   u64 ┐ the first credit
//! 37  newest    u64, 0: none                 22  bytes     u64 ┘
//! 45  node      u8 length, text              30  node      u8 length, text
//!
//!                                            Refusal
//!                                             0  answer    u8 = 2
//!                                             1  reason    u8, as in Goodbye
//!                                             2  node      u8 length, text
//! ```
//!
//! - `version` is the highest that a node speaks; both go on with the lower one. `features` are bits, none of which is
//!   defined; what both have set is in use. What follows the last field is ignored.
//! - `node` is 1 to 255 bytes of UTF-8 without control characters. A node that is told its own name refuses.
//! - Results are identified by (node, spool id, epoch, sequence). Sequence numbers begin with 1. `oldest` and `newest`
//!   are what the spool holds; `accepted` is the newest result of this spool id and epoch that is committed.
//! - The sender goes on with the first result after `accepted`. If `accepted` is greater than `newest`, its spool is an
//!   older copy: it says Goodbye (8), begins a new epoch, and connects again.
//!
//! # Frames
//!
//! What the messages of one direction carry is one stream of bytes. It consists of frames, which may span messages:
//!
//! ```text
//! 0  length   u32, of the content: at most 1,048,576
//! 4  kind     u8
//! 5  content
//!
//! Result, kind 1, sender to receiver           Heartbeat, kind 2, both ways
//!  0  sequence    u64                            0  time  i64, the node's clock when it sealed this, in
//!  8  check time  i64, µs since the Unix epoch            µs since the Unix epoch
//! 16  state type  u8, 1 soft, 2 hard             8  echo  i64, `time` of the peer's newest heartbeat; 0: none
//! 17  check type  u8, 1 active, 2 passive       16  held  u32, µs between its arrival and `time`, or the
//! 18  attempt     u32, from 1                             greatest number if they were more
//! 22  origin      u8 length, text               20  core  u8, 1 alive, 2 crashed, 3 stopped in order
//! ..  packet      of version 4
//!                                              Ack, kind 3, receiver to sender
//! packet of version 4                           0  committed  u64, a sequence number
//!  0  version    i16 = 4                        8  results    u64 ┐ the credit
//!  2  crc        u32                           16  bytes      u64 ┘
//!  6  timestamp  u32
//! 10  code       i16                           Goodbye, kind 4, both ways
//! 12  host       u16 length, text               0  reason  u8, 1 stopping, 2 own name, 3 name in use,
//! ..  service    u16 length, text                          4 superseded, 5 unavailable, 6 misbehaved,
//! ..  output     u32 length, text                          7 silent, 8 new epoch
//! ```
//!
//! - **Result.** Sequence numbers ascend within a session; gaps are legal. Zero, and every number that is not listed, is
//!   "unknown". `origin` is the node whose spool the result entered first; empty: the sender. The packet has the fields
//!   of [version 3](crate::packet) with their meaning, and ends the frame: `crc` is the CRC-32 (IEEE) of the packet with
//!   these four bytes zero, `timestamp` is the init packet's, an empty `service` is a host check, `output` is the
//!   plugin's text with real newlines.
//! - **Heartbeat.** Sent once a second, and at once when `core` changes. If nothing authentic is heard for `stale_after`,
//!   a side ends the session. From `time`, `echo` and `held` both sides know how far their clocks differ
//!   ([`ClockOffset`]).
//! - **Ack.** Every result up to `committed` is on the receiver's disk. The credit is how many results, and bytes of
//!   their frames, headers included, the sender may have sent since the session began. It may send a result while it
//!   has sent less than both; the last one may exceed the bytes. Credit never shrinks.
//! - **Goodbye.** This side sends nothing more. A connection that ends without it was cut.
//! - What follows the last field of a heartbeat, an acknowledgement or a goodbye is ignored. Frames of other kinds are
//!   skipped.
//!
//! The receiver always reads: what it cannot take yet, it does not allow. Heartbeats and acknowledgements go ahead of
//! results that wait. As frames are not interleaved, what can delay one is the message that is on its way, or the rest
//! of a result that is longer than a message; silence is therefore judged by messages, not by heartbeats.
//!
//! **Invariants:** no result is given out that is not authentic, fresh and within the credit; nothing is sent before the
//! other side has proven that it knows the key, but for the encrypted Hello; a peer without the key costs 1 KiB and a few
//! hashes.
//!
//! `tests/data/sealed/session.py` is a second implementation of everything above; what it computed is what the tests
//! compare with.

mod channel;
mod client;
mod clock;
mod credit;
mod error;
mod frame;
mod hello;
mod mark;
mod noise;
mod outbox;
mod psk;
mod pulse;
mod result;
mod server;
#[cfg(test)]
pub(crate) mod tests;
mod timers;
mod wire;

use std::time::Duration;

pub use client::{Client, ClientEvent, ClientSettings, Sent};
pub use clock::{ClockOffset, Now};
pub use credit::{Credit, Window};
pub use error::{Reason, SealedError};
pub use frame::{CoreVerdict, Heartbeat, MAX_FRAME_BYTES};
pub use hello::{Hello, InvalidNodeName, MAX_NODE_NAME_BYTES, NodeName, SpoolId, Welcome};
pub use mark::{MARKED_RANDOM_BYTES, UPGRADE_BYTES, is_marked, marked_iv, upgrade_request};
pub use noise::Ephemeral;
pub use psk::{KEY_BYTES, KeyError, Psk, key_file_text};
pub use pulse::HEARTBEAT_INTERVAL;
pub use result::{CheckType, ResultFrame, StateType};
pub use server::{Server, ServerEvent, ServerSettings};

/// After how long a silence a side ends the session, unless it is told otherwise: ten heartbeats.
pub const STALE_AFTER: Duration = Duration::from_secs(10);

/// How long a side waits for the other one's part of the handshake.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
