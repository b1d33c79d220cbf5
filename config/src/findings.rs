//! What is found while a file is checked, beside what it says.

use std::collections::BTreeMap;

use nsca::sealed::{KeyError, Psk};

/// Collected over the whole file.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// What deserves a second look at every start.
    pub(crate) warnings: Vec<String>,
    /// What could be better.
    pub(crate) advice: Vec<String>,
    /// Deriving a key takes tens of milliseconds and 19 MiB: once for each password.
    derived: BTreeMap<Vec<u8>, Psk>,
}

impl Findings {
    pub(crate) fn warn(&mut self, warning: impl Into<String>) {
        note(&mut self.warnings, warning.into());
    }

    pub(crate) fn advise(&mut self, advice: impl Into<String>) {
        note(&mut self.advice, advice.into());
    }

    /// The key of sealed sessions that share no other secret than this password.
    pub(crate) fn key_from(&mut self, password: &[u8]) -> Result<Psk, KeyError> {
        if let Some(key) = self.derived.get(password) {
            return Ok(key.clone());
        }
        let key = Psk::from_password(password)?;
        self.derived.insert(password.to_owned(), key.clone());
        Ok(key)
    }
}

/// Says the same thing once, however many destinations or listeners it is true of.
fn note(notes: &mut Vec<String>, text: String) {
    if !notes.contains(&text) {
        notes.push(text);
    }
}
