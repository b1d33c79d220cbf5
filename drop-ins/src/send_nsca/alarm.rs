//! The time-out of the whole run, which covers what no socket option does: resolving a name, waiting for input.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Ends the process when time is up, as the original's alarm does.
pub(super) struct Alarm {
    /// Held while the verdict is made, so that the process cannot end in the middle of a message.
    armed: Arc<Mutex<bool>>,
}

impl Alarm {
    /// Prints and exits with code 2 after `timeout`, unless it is cancelled before.
    pub(super) fn set(timeout: Duration) -> std::io::Result<Self> {
        let armed = Arc::new(Mutex::new(true));
        let watched = armed.clone();
        std::thread::Builder::new().name("alarm".into()).spawn(move || {
            std::thread::sleep(timeout);
            let armed = watched.lock().unwrap_or_else(PoisonError::into_inner);
            if *armed {
                eprintln!("Error: Timeout after {} seconds", timeout.as_secs());
                std::process::exit(2);
            }
        })?;
        Ok(Alarm { armed })
    }

    pub(super) fn cancel(&self) {
        *self.armed.lock().unwrap_or_else(PoisonError::into_inner) = false;
    }
}
