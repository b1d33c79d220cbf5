//! Ctrl-C and SIGTERM.
//!
//! Signals are caught, not blocked: programs that are started would inherit the blocking, and a core that cannot hear
//! SIGTERM cannot be stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, bail};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Runs `action` on a thread of its own at the first SIGINT, SIGTERM or SIGHUP; later ones do nothing.
pub(crate) fn on_interrupt(action: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let catch = |kind: SignalKind| -> anyhow::Result<Signal> {
        let _context = runtime.enter();
        signal(kind).context("cannot catch signals")
    };
    let [mut interrupt, mut terminate, mut hangup] =
        [catch(SignalKind::interrupt())?, catch(SignalKind::terminate())?, catch(SignalKind::hangup())?];
    thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
        });
        action();
    });
    Ok(())
}

/// Asks whether the user wants the demonstration to end.
pub(crate) struct Interrupt {
    requested: Arc<AtomicBool>,
}

impl Interrupt {
    /// See [`on_interrupt`].
    pub(crate) fn watch() -> anyhow::Result<Self> {
        let requested = Arc::new(AtomicBool::new(false));
        let request = Arc::clone(&requested);
        on_interrupt(move || request.store(true, Ordering::Relaxed))?;
        Ok(Self { requested })
    }

    /// An error once the user does.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if self.requested.load(Ordering::Relaxed) {
            bail!("interrupted");
        }
        Ok(())
    }
}
