//! The master's book: what its core remembers and a check result does not carry, for the standby's core to know.
//!
//! ```text
//! master                                              standby
//! status file ─┐                                      ┌─▶ inherit ─▶ handover ─▶ retention file, READ, SAVE, ENABLE
//! log ─────────┴▶ Book ─▶ records ══ any transport ══▶ Book ─▶ mirror ─▶ ACKNOWLEDGE, SCHEDULE, ADD, DEL, …
//!                                                     └─▶ verify ─▶ one line for the operator
//! ```
//!
//! | module | what it knows |
//! | --- | --- |
//! | [`entry`] | what the book says of one object |
//! | [`record`] | an entry, or its changes, as bytes |
//! | [`book`] | all entries, kept up to date from status file and log, or from records |
//! | [`authority`] | whose memory counts, this core's or the peer's |
//! | [`feed`] | what one peer has not been told of the book yet |
//! | [`inherit`] | what of the book a core is to take over, and what becomes of two memories |
//! | [`handover`] | how a running core is given a retention file: when, in which order, and what if it does not take it |
//! | [`mirror`] | acknowledgements, downtimes, comments and switches: what a core shows and the book does not, and the other way |
//! | [`shelf`] | the book of another node, as it arrives |
//! | [`verify`] | in what a core differs from the book |
//!
//! Nothing here does I/O: blocks of a status file, lines of a log, bytes and time come in, records, patches and commands go
//! out. The files themselves are read and written by the crate `nagios`.
//!
//! A Nagios 4.4.6 with 100,000 services stood still for 0.7 s while it read 5,000 of them and saved, and for 1.1 s with all of
//! them; 0.6 s of both are its own save.
//!
//! # What cannot be carried over
//!
//! - **Notifications of flapping, and the history behind it.** Each core sees it for itself, from the same results.
//! - **When a notification number began to count for escalations by time**: the number goes over, the times of earlier ones
//!   do not.
//! - **The time of an acknowledgement's comment**: it is the moment when the standby is told.
//! - **An acknowledgement that expires**, on other cores than Icinga 1. It goes when it goes on the master.
//! - **What people did in the last seconds before a core died**: it is known from the next status file, which was not written.
//! - **The beginning and the end of a downtime that fall into the seconds of a take-over**: there is nobody to tell them.
//! - **The attempt of a problem that became hard because its host was down**: a core that reads it gives such a problem all its
//!   attempts, and then tells a recovery that Nagios 4.4.6 does not tell by itself.
//! - **`;` in the text of a downtime**: a command's field ends there.
//! - **A flexible or triggered downtime that is in effect**: the standby gets a fixed one for what is left of it. One whose
//!   trigger is over can begin no more, and is left out.
//! - **Comments of the core itself** on downtimes and flapping: the standby's core writes its own.
//! - **`passive_checks_enabled`**, since the standby lives on passive results, **obsessing and performance data**, which are each
//!   site's own, and changes for which there is no command that undoes them: check commands, intervals, periods, custom
//!   variables, and switches of contacts and of the whole core.

pub mod authority;
pub mod book;
pub mod entry;
pub mod feed;
pub mod handover;
pub mod inherit;
pub mod mirror;
pub mod record;
pub mod shelf;
pub mod verify;

mod wire;

pub use authority::{Activity, Authority};
pub use book::Book;
pub use entry::{Change, Entry};
pub use feed::{Feed, Telling};
pub use record::Record;
pub use shelf::Shelf;
