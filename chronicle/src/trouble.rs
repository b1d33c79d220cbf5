//! What goes wrong is logged when it begins and when it is over, and not each time.

use std::fmt::Display;

use tracing::{info, warn};

/// What one file does to us.
#[derive(Debug)]
pub(crate) struct Trouble {
    /// What is not done, and its consequence.
    what: &'static str,
    last: Option<String>,
}

impl Trouble {
    pub(crate) fn new(what: &'static str) -> Self {
        Trouble { what, last: None }
    }

    /// It could not be used. Logged if this is news.
    pub(crate) fn note(&mut self, error: &impl Display) {
        let error = error.to_string();
        if self.last.is_none() {
            warn!(%error, "{}", self.what);
        }
        self.last = Some(error);
    }

    /// It could.
    pub(crate) fn is_over(&mut self) {
        if let Some(error) = self.last.take() {
            info!(was = error, "this is over: {}", self.what);
        }
    }
}
