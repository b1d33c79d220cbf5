//! Which destinations could seal: from then on, nobody talks them into classic sessions.
//!
//! ```text
//! state_directory/sealed-peers.json
//! {"version":1,"can_seal":["standby","third"]}
//! ```
//!
//! **Invariant:** the file is replaced as a whole, and on the disk before anybody is told so. A file that cannot be read keeps the
//! sender from starting: taking it for an empty one would let an attacker who strips a mark have what it was to prevent.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nsca::greeting::PeerAbility;
use serde::{Deserialize, Serialize};

use crate::StartError;

/// The file's name in the state directory.
const FILE_NAME: &str = "sealed-peers.json";

const VERSION: u32 = 1;

const FILE_MODE: u32 = 0o600;

/// What is remembered of all destinations.
pub(crate) struct Abilities {
    path: PathBuf,
    can_seal: Mutex<BTreeSet<String>>,
}

/// Why a destination was not forgotten.
#[derive(Debug, thiserror::Error)]
pub enum ForgetError {
    /// The configuration names no such destination.
    #[error("there is no destination called {0:?}: see `understudy status` for their names")]
    Unknown(String),
    /// It is remembered as before.
    #[error("{path} cannot be written: {source}; make room or correct its permissions, and try again")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    version: u32,
    can_seal: BTreeSet<String>,
}

impl Abilities {
    /// Reads the file, and drops destinations that the configuration does not name any more.
    pub(crate) fn open(state_directory: &Path, destinations: &[String]) -> Result<Abilities, StartError> {
        let path = state_directory.join(FILE_NAME);
        let before = match fs::read(&path) {
            Ok(bytes) => parse(&bytes).map_err(|reason| StartError::SealedPeers { path: path.clone(), reason })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeSet::new(),
            Err(error) => return Err(StartError::io(&path, "read what is remembered of destinations")(error)),
        };
        let can_seal: BTreeSet<String> = before.iter().filter(|name| destinations.contains(name)).cloned().collect();
        if can_seal != before {
            write(&path, &can_seal).map_err(StartError::io(&path, "write what is remembered of destinations"))?;
        }
        Ok(Abilities { path, can_seal: Mutex::new(can_seal) })
    }

    pub(crate) fn of(&self, destination: &str) -> PeerAbility {
        if self.lock().contains(destination) { PeerAbility::CanSeal } else { PeerAbility::Unknown }
    }

    /// Remembers a destination as able. When this returns, the disk knows. Blocks.
    pub(crate) fn remember(&self, destination: &str) -> io::Result<()> {
        self.change(|can_seal| can_seal.insert(destination.to_owned())).map(drop)
    }

    /// Forgets a destination; says whether it was remembered. When this returns, the disk knows. Blocks.
    pub(crate) fn forget(&self, destination: &str) -> Result<bool, ForgetError> {
        let forgotten = self.change(|can_seal| can_seal.remove(destination));
        forgotten.map_err(|source| ForgetError::Io { path: self.path.clone(), source })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What `change` did counts when the disk knows.
    fn change(&self, change: impl FnOnce(&mut BTreeSet<String>) -> bool) -> io::Result<bool> {
        let mut can_seal = self.lock();
        let mut changed = can_seal.clone();
        if !change(&mut changed) {
            return Ok(false);
        }
        write(&self.path, &changed)?;
        *can_seal = changed;
        Ok(true)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.can_seal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parse(bytes: &[u8]) -> Result<BTreeSet<String>, String> {
    let contents: Contents = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if contents.version != VERSION {
        return Err(format!("it is of version {}", contents.version));
    }
    Ok(contents.can_seal)
}

fn write(path: &Path, can_seal: &BTreeSet<String>) -> io::Result<()> {
    let contents = Contents { version: VERSION, can_seal: can_seal.clone() };
    let bytes = serde_json::to_vec(&contents)?;
    let partial = path.with_extension("partial");
    let mut file = File::options().write(true).create(true).truncate(true).mode(FILE_MODE).open(&partial)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&partial, path)?;
    File::open(path.parent().expect("it is in the state directory"))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(directory: &Path, names: &[&str]) -> Result<Abilities, StartError> {
        Abilities::open(directory, &names.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_remembered_outlives_the_process_until_it_is_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let abilities = open(directory.path(), &["a", "new\nline"]).unwrap();
        assert_eq!(abilities.of("a"), PeerAbility::Unknown);
        abilities.remember("a").unwrap();
        abilities.remember("new\nline").unwrap();
        let abilities = open(directory.path(), &["a", "new\nline"]).unwrap();
        assert_eq!((abilities.of("a"), abilities.of("new\nline")), (PeerAbility::CanSeal, PeerAbility::CanSeal));
        assert!(abilities.forget("a").unwrap());
        assert!(!abilities.forget("a").unwrap());
        let abilities = open(directory.path(), &["a", "new\nline"]).unwrap();
        assert_eq!((abilities.of("a"), abilities.of("new\nline")), (PeerAbility::Unknown, PeerAbility::CanSeal));
    }

    #[test]
    fn destinations_that_left_the_configuration_are_dropped() {
        let directory = tempfile::tempdir().unwrap();
        open(directory.path(), &["a"]).unwrap().remember("a").unwrap();
        open(directory.path(), &["b"]).unwrap();
        assert_eq!(open(directory.path(), &["a"]).unwrap().of("a"), PeerAbility::Unknown);
    }

    #[test]
    fn the_file_is_as_documented_and_a_damaged_one_is_no_empty_one() {
        let directory = tempfile::tempdir().unwrap();
        open(directory.path(), &["a"]).unwrap().remember("a").unwrap();
        let path = directory.path().join(FILE_NAME);
        let whole = fs::read(&path).unwrap();
        assert_eq!(whole, br#"{"version":1,"can_seal":["a"]}"#);
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let Err(error) = open(directory.path(), &["a"]) else { panic!("cut at {cut}, and taken") };
            assert!(error.to_string().contains("understudy forget") || error.to_string().contains("delete"), "{error}");
        }
        fs::write(&path, br#"{"version":2,"can_seal":[]}"#).unwrap();
        assert!(open(directory.path(), &["a"]).is_err());
    }

    #[test]
    fn what_cannot_be_written_is_not_believed() {
        let directory = tempfile::tempdir().unwrap();
        let abilities = open(directory.path(), &["a"]).unwrap();
        fs::create_dir(directory.path().join("sealed-peers.partial")).unwrap();
        assert!(abilities.remember("a").is_err());
        assert_eq!(abilities.of("a"), PeerAbility::Unknown);
    }
}
