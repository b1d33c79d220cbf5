//! The failover controller: it takes this node's core on stage when the master's is gone, and off it again.
//!
//! [`machine`] decides, without I/O; everything else feeds it or carries out what it decides.

pub mod event;
pub mod machine;
