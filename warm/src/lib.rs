//! Keeps this node's core like the one that is in charge, so that it can take over, or back, with everything that one knew.
//!
//! ```text
//! receiver ─▶ books of peers ─┐
//!                             ├▶ mirroring, resynchronisation, take-over of memory ─▶ commands, retention file ─▶ core
//! chronicle ─▶ what it shows ─┘
//! ```

pub mod resync;
pub mod warmth;
