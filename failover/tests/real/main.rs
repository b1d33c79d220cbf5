//! The controller beside a real Nagios 4, with the real check_nrpe, nrpe and check_nagios.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "in a test binary nothing can be reached from outside")]

mod core;
mod orders;
mod process;
mod scenarios;
mod site;
mod verdict;
