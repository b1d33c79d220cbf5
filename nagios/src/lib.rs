//! What every core reads and writes.
//!
//! | module | what it knows |
//! | --- | --- |
//! | [`result`] | a check result and its parts: names, return code, output, times |
//! | [`flavour`] | which core it is, and what that core does to a line |
//! | [`command`] | external commands that submit check results or change the core's mode: encode and parse, without I/O |
//! | [`echo`] | which results a core tells because it was given them |
//! | [`command_file`] | the core's FIFO: open, reopen, write, never block |
//! | [`check_result_dir`] | the core's spool of check-result files, the other way in |
//! | [`main_config`] | `nagios.cfg` and its kin: paths, flags, flavour |
//! | [`retention`] | the switches that a core begins with after a restart |
//! | [`status`] | the status file, block by block |
//! | [`memory`] | what a core remembers of an object beside its newest result |
//! | [`remark`] | comments and downtimes |
//! | [`log`] | the core's log: lines, what they tell, and the file as it grows and is rotated |
//! | [`retention`] | the retention file: a memory for another core to take |
//! | [`stored`] | a check result as bytes on a disk, for our own queues |
//!
//! **Invariant:** texts are bytes. Plugins print Latin-1 and worse, and a relay has no business repairing it.
//!
//! **Invariant:** no text can end a line. [`PluginOutput`] holds no NUL and no LF, and names hold no control byte
//! and no `;`, so nothing that a plugin or a peer says can become a second external command.

pub mod check_result_dir;
pub mod command;
pub mod command_file;
pub mod echo;
pub mod flavour;
pub mod log;
pub mod main_config;
pub mod memory;
pub mod remark;
pub mod result;
pub mod retention;
pub mod status;
pub mod stored;

pub use command::ModeCommand;
pub use flavour::Flavour;
pub use memory::Memory;
pub use remark::{Comment, Downtime};
pub use result::{
    Attributed, CheckResult, CheckType, HostName, HostState, NameError, Object, Outputs, PluginOutput, ReturnCode,
    ServiceDescription, ServiceState, StateType, StateWordError, Timestamp, unescape,
};
