//! A crash-safe queue on disk.
//!
//! Records with a key and a payload go in at one end and get a sequence; any number of named readers go through them,
//! each at its pace; what all are done with is deleted. What the records mean is no business of the queue.
//!
//! ```text
//! append ─▶ [segment] [segment] [segment ▪▪▪▪▪··] ─▶ Reader ─▶ … ─▶ advance(name) ─▶ whole segments deleted
//!            oldest                       newest        at any sequence
//! ```
//!
//! | module | what it knows |
//! | --- | --- |
//! | `record`, [`segment`] | the format of records and of the files that hold them, to the byte |
//! | `identity`, `positions` | the two small files beside them, to the byte |
//! | `spool` | appending, group commit, compaction, and what is found when a spool is opened |
//! | `reader` | reading in batches |
//! | [`disk`] | what is asked of a file system; a real one, and one that fails on request |
//! | `damage`, `trouble` | what the operator is told |
//!
//! **Invariant:** an appended record survives the death of the process at once, and a power cut when it is committed.
//!
//! **Invariant:** no sequence is given twice within one (id, epoch), whatever the disk loses; see `identity`.
//!
//! **Invariant:** damage costs the records that it touches, and is told.
//!
//! **Invariant:** memory does not grow with the number of records: what is held per segment is an index entry per 64 KiB.
//!
//! There is no clock and no random source inside: time and id are arguments. The calls block on the disk;
//! [`Spool::begin_commit`] moves the longest wait to another thread.

mod damage;
pub mod disk;
mod identity;
mod options;
mod positions;
mod reader;
mod record;
pub mod segment;
mod spool;
mod trouble;

pub use damage::{Damage, DamageLog, MAX_DAMAGE_ENTRIES};
pub use options::{Keep, MIN_MAX_SIZE, NoShrink, Options, Shrink};
pub use positions::{MAX_NAME_BYTES, MAX_POSITIONS, NameError};
pub use reader::{BATCH_BYTES, Batch, Reader};
pub use record::{Flags, MAX_KEY_BYTES, MAX_PAYLOAD_BYTES, MAX_RECORD_BYTES, RECORD_HEADER_BYTES, Record};
pub use spool::{
    COMMIT_RETRY, COMMIT_WITHIN, COMPACTION_RETRY, Commit, Committed, Compaction, DISK_FULL_PATIENCE, FileState,
    NewRecord, POSITIONS_WITHIN, Recovery, Spool,
};
pub use trouble::{AppendCause, AppendError, OpenError, Trouble};
