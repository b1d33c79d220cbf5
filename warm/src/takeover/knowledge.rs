//! What this node's core knows at the moment of a take-over.
//!
//! Its status file may be as old as `status_update_interval`; results that came since would be taken for missing. So the core is
//! told to save, and what it saves is read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nagios::status::{Look, StatusError, Version, look};
use nagios::{CheckResult, Flavour, Memory, Object};

/// How long the core may take to save: 100,000 services take it 0.6 s.
const SAVED_WITHIN: Duration = Duration::from_secs(3);

/// How often it is looked whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Which retention file was there before the core was told to save.
#[derive(Debug)]
pub(crate) struct Before {
    path: PathBuf,
    version: Option<Version>,
}

impl Before {
    pub(crate) fn look(path: PathBuf) -> Self {
        Self { version: crate::handing_over::version(&path), path }
    }

    /// Waits until the core has saved, which it was told by now, and gives what it remembers. Blocks.
    ///
    /// # Errors
    /// It has not, or what it saved cannot be read: why.
    pub(crate) fn wait(&self) -> Result<BTreeMap<Object, Memory>, String> {
        let deadline = Instant::now() + SAVED_WITHIN;
        loop {
            match look(&self.path, self.version) {
                Ok(Look::New(_, mut reader)) => return memories(&mut reader).map_err(|error| self.unreadable(&error)),
                Ok(Look::Known | Look::Missing) => {}
                Err(error) => return Err(self.unreadable(&error)),
            }
            if Instant::now() >= deadline {
                return Err(format!("the core has not saved {} within {SAVED_WITHIN:?}", self.path.display()));
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn unreadable(&self, error: &StatusError) -> String {
        format!("{}: {error}", self.path.display())
    }
}

/// The newest results of `objects`, by the retention file at `path`. Blocks.
pub(crate) fn results(path: &Path, flavour: Flavour, objects: &BTreeSet<Object>) -> Vec<CheckResult> {
    if objects.is_empty() {
        return Vec::new();
    }
    chronicle::results_in(path, flavour, objects).unwrap_or_else(|error| {
        tracing::error!(%error, "recoveries that are owed wait for the next results of their objects");
        Vec::new()
    })
}

/// The version of the core that wrote the status file at `path`, `4.4.6` for example.
pub(crate) fn core_version(path: &Path) -> Option<String> {
    let Ok(Look::New(_, mut reader)) = look(path, None) else { return None };
    let block = reader.next_block().ok()??;
    Some(String::from_utf8_lossy(block.info_status()?.version()?).into_owned())
}

/// What the core remembers, by its retention file.
pub(crate) fn memories<R: std::io::Read>(
    reader: &mut nagios::status::StatusReader<R>,
) -> Result<BTreeMap<Object, Memory>, StatusError> {
    let mut memories = BTreeMap::new();
    while let Some(block) = reader.next_block()? {
        if let Some((memory, object)) = block.memory().zip(block.object().ok()) {
            memories.insert(object, memory);
        }
    }
    Ok(memories)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nagios::HostName;

    const SAVED: &str = "info {\nversion=4.4.6\n}\nhost {\nhost_name=web\nhas_been_checked=1\ncurrent_state=1\n\
                         last_check=90\nplugin_output=away\nperformance_data=p=1\nnotified_on_down=1\n}\n\
                         hostcomment {\nhost_name=web\ncomment_id=1\ncomment_data=x\n}\n";

    fn web() -> Object {
        Object::Host(HostName::try_from("web").unwrap())
    }

    #[test]
    fn what_the_core_saves_next_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("retention.dat");
        std::fs::write(&path, "info {\n}\n").unwrap();
        let before = Before::look(path.clone());
        let saving = std::thread::spawn({
            let path = path.clone();
            move || {
                std::fs::write(path.with_extension("new"), SAVED).unwrap();
                std::fs::rename(path.with_extension("new"), &path).unwrap();
            }
        });
        let memories = before.wait().unwrap();
        saving.join().unwrap();
        assert_eq!(memories.len(), 1);
        assert_eq!((memories[&web()].last_check, memories[&web()].notified_on.contains(1)), (90, true));
        let results = results(&path, Flavour::Nagios4, &BTreeSet::from([web()]));
        assert_eq!((results[0].check_time.seconds(), results[0].code.get()), (90, 1));
        assert_eq!(results[0].output.to_text(), b"away|p=1");
        assert_eq!(core_version(&path).as_deref(), Some("4.4.6"));
    }

    #[test]
    fn a_core_that_does_not_save_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let before = Before::look(directory.path().join("retention.dat"));
        assert!(before.wait().unwrap_err().contains("has not saved"));
    }
}
