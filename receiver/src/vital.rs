//! Threads that the daemon cannot do without.

use std::io;
use std::panic::AssertUnwindSafe;

use tokio::sync::oneshot;

/// Starts a thread. What is given ends with it. If it fails, the daemon ends, so that it is started anew: one that
/// takes results and does nothing with them would look alive.
pub(crate) fn spawn(name: &'static str, work: impl FnOnce() + Send + 'static) -> io::Result<oneshot::Receiver<()>> {
    let (at_end, ended) = oneshot::channel();
    std::thread::Builder::new().name(name.into()).spawn(move || {
        if std::panic::catch_unwind(AssertUnwindSafe(work)).is_err() {
            tracing::error!(thread = name, "a thread failed: the daemon ends, to be started anew; please report this");
            std::process::exit(1);
        }
        // Nobody waits any more when the receiver itself is gone.
        let _ = at_end.send(());
    })?;
    Ok(ended)
}
