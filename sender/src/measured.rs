//! Pieces of the sender for `bench`, which counts their instructions: the real ones, without threads, sockets and clocks
//! around them. Nobody else has a use for them.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use nagios::echo::Echoes;
use nagios::stored;
use nsca::classic::ClientSession;
use ocsp::handover::{Answer, HandOver};
use spool::Batch;

use crate::StartError;
use crate::intake::Intake;
use crate::link;
use crate::outbox::Outbox;
use crate::sieve::Sieve;
use crate::status::Counters;

/// What the socket's thread does with what it has received.
pub struct HandOvers(Intake);

impl HandOvers {
    /// A spool in `state_directory`, with one destination.
    ///
    /// # Errors
    ///
    /// When the spool cannot be opened.
    pub fn open(state_directory: &Path) -> Result<HandOvers, StartError> {
        let outbox = Outbox::open(state_directory, config::Spool::default(), ["standby".to_owned()])?;
        let counters = Arc::<Counters>::default();
        let echoes = Arc::new(Mutex::new(Echoes::default()));
        let sieve = Sieve::new(echoes, true, Arc::clone(&counters));
        Ok(HandOvers(Intake::new(Arc::new(outbox), counters, sieve)))
    }

    /// Writes what is in these datagrams into the spool; how many were taken.
    pub fn take(&mut self, datagrams: &[Vec<u8>]) -> usize {
        let handovers = datagrams.iter().filter_map(|datagram| HandOver::decode(datagram).ok());
        let answers = self.0.take_all(handovers, Instant::now());
        answers.iter().filter(|answer| **answer == Answer::Taken).count()
    }
}

/// Makes packets of what was read from a spool, as a classic link does; how many.
pub fn packets(batch: &Batch<'_>, session: &mut ClientSession, now: Instant, out: &mut Vec<u8>) -> usize {
    let results = batch.iter().filter_map(|record| stored::decode(record.payload).ok());
    results.filter(|(result, _)| !link::encode(session, result, now, out).any()).count()
}
