//! What is done for every result, as pieces whose instructions are counted.
//!
//! | module | pieces |
//! | --- | --- |
//! | [`wire`] | ciphers and packets of classic sessions |
//! | [`receiver`] | from what a connection has read to the lines for the command file |
//! | [`sender`] | from a datagram to the spool, and from the spool to what is sent |
//! | [`queue`] | appending and reading |
//! | [`encoders`] | command lines, hand-overs, frames |
//!
//! Everything that can be fixed is: keys, texts, initialization vectors, clocks. What cannot are the seeds of hash maps,
//! which move a count by less than a thousandth.
//!
//! What is prepared must not depend on how often the work is done, or it would be counted too: [`MOST`] times are prepared
//! in any case.

mod encoders;
mod queue;
mod receiver;
mod sealed;
mod sender;
mod wire;

use anyhow::{Context, Result};

use crate::stage::results::{Results, Service};

/// The most repetitions that are asked for.
pub(crate) const MOST: usize = 5;

/// How many results are brought together, where they come in batches.
const BATCH: usize = 64;

/// When everything happens, in Unix seconds.
const NOW: u32 = 1_780_000_000;

/// A piece of work.
struct HotPath {
    name: String,
    /// Does it so many times, at most [`MOST`].
    work: Box<dyn FnOnce(u32)>,
}

impl HotPath {
    fn new(name: impl Into<String>, work: impl FnOnce(u32) + 'static) -> Self {
        HotPath { name: name.into(), work: Box::new(work) }
    }
}

/// All of them, by name.
pub(crate) fn names() -> Vec<String> {
    all().map(|path| path.name).collect()
}

/// Does the work of one of them.
///
/// # Errors
///
/// When there is none of this name.
pub(crate) fn run(name: &str, repetitions: u32) -> Result<()> {
    let path = all().find(|path| path.name == name).context("there is no hot path of this name")?;
    (path.work)(repetitions);
    Ok(())
}

fn all() -> impl Iterator<Item = HotPath> {
    [wire::paths(), receiver::paths(), sender::paths(), queue::paths(), encoders::paths()].into_iter().flatten()
}

/// What a batch is made of.
fn services() -> Vec<Service> {
    Results { count: BATCH, objects: BATCH }.iter().collect()
}
