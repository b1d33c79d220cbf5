//! What this node's core remembers at this moment: its log and its status file, followed into a [`book`].
//!
//! ```text
//! log ─────────┐
//! status file ─┴▶ Chronicle ─▶ the sender's links: what each peer has not been told
//!                           └▶ warm: what this core shows
//! ```
