//! The threads that take results: one for socket and spill directory, one for the perfdata FIFO.
//!
//! They are threads, not tasks: both answer a core that waits, and must not wait for whatever else the runtime does.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use config::PerfdataFifo;
use nagios::echo::Echoes;
use tracing::{info, warn};

use crate::StartError;
use crate::intake::Intake;
use crate::intake::socket::Socket;
use crate::intake::spill::Spill;
use crate::outbox::Outbox;
use crate::perfdata::copy::Copy;
use crate::perfdata::fifo::{Drain, Fifo};
use crate::sieve::Sieve;
use crate::status::Counters;

/// The running threads. They end when this is dropped.
#[derive(Default)]
pub(crate) struct Intakes {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Intakes {
    /// Binds and opens everything, and starts taking results only if all of it worked.
    pub(crate) fn start(
        config: &config::Sender,
        outbox: &Arc<Outbox>,
        counters: &Arc<Counters>,
        echoes: Arc<Mutex<Echoes>>,
    ) -> Result<Intakes, StartError> {
        let (mode, group) = (config.socket_mode, config.socket_group.map(nix::unistd::Gid::as_raw));
        let socket = Socket::bind(&config.socket, mode, group)?;
        let spill = Spill::open(&config.spill, mode, group)?;
        let fifo = |perfdata: &PerfdataFifo| Fifo::open(&perfdata.path, mode, group);
        let fifo = config.perfdata.as_ref().map(fifo).transpose()?;

        let mut intakes = Intakes::default();
        let sieve = Sieve::new(echoes, config.relay_passive, Arc::clone(counters));
        let intake = Intake::new(Arc::clone(outbox), Arc::clone(counters), sieve.clone());
        intakes.spawn("ocsp-socket", move |stop| socket.serve(intake, spill, stop))?;
        info!(socket = %config.socket.display(), spill = %config.spill.display(), "taking results from understudy-ocsp");
        if let (Some(fifo), Some(perfdata)) = (fifo, &config.perfdata) {
            let copy = perfdata.copy_to.clone().map(Copy::new);
            let drain = Drain { outbox: Arc::clone(outbox), counters: Arc::clone(counters), sieve, copy };
            intakes.spawn("perfdata-fifo", move |stop| fifo.serve(drain, stop))?;
            info!(fifo = %perfdata.path.display(), "taking results from the perfdata FIFO");
        }
        Ok(intakes)
    }

    /// Ends the threads and waits for them, at most a fraction of a second.
    pub(crate) fn join(&mut self) {
        self.stop.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                warn!("an intake's thread panicked");
            }
        }
    }

    fn spawn(&mut self, name: &str, serve: impl FnOnce(&AtomicBool) + Send + 'static) -> Result<(), StartError> {
        let stop = Arc::clone(&self.stop);
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || serve(&stop));
        self.threads.push(thread.map_err(StartError::Thread)?);
        Ok(())
    }
}

impl Drop for Intakes {
    fn drop(&mut self) {
        self.join();
    }
}
