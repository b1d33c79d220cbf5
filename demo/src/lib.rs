//! The demonstration.

pub mod core;
