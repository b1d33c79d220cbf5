//! What the rows against stock programs have in common: the programs, what is around them, and the input.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`results`] | the check results that both sides get |
//! | [`programs`] | stock `nsca` and `send_nsca`, `understudy run`, and their files |
//! | [`nagios4`] | a real core |
//! | [`drain`] | a command file that is read as fast as it is written, and counts lines |
//! | [`feeder`] | a client that has encrypted everything before its clock starts |
//! | [`usage`] | what a running program has used |
//! | [`sink`] | a daemon that reads everything and does nothing with it |
//!
//! Everything listens on loopback, on ports of the system's choice, and lives in a temporary directory. What a program says
//! is in `log` there, and its end is part of the error when something does not happen in time.

pub(crate) mod drain;
pub(crate) mod feeder;
pub(crate) mod nagios4;
pub(crate) mod programs;
pub(crate) mod results;
pub(crate) mod sink;
pub(crate) mod usage;

use std::time::Duration;

/// Both sides have the same password.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// What has not happened by then will not happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);
