//! Brings this core up to date with the book of the peer.

pub mod machine;

pub use machine::{Behind, Cause, Ending, Obstacle, Report};
