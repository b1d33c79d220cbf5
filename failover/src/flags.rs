//! What the local core shows: whether it runs, and its switches in the status file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nagios::Timestamp;
use nagios::status::{BlockKind, ProgramStatus, StatusError, StatusReader};
use nsca::sealed::CoreVerdict;

use crate::machine::{Flag, LocalCore, Shown};
use crate::verdict::CoreFiles;

/// How much of the status file is read at once: what is wanted is at its beginning.
const READ_BYTES: usize = 16 << 10;

/// Looks at the local core again and again.
#[derive(Debug)]
pub(crate) struct Flags {
    core: CoreFiles,
    status_file: PathBuf,
    /// Modification time and inode of the status file that was read last, and what it shows.
    read: Option<((i64, i64, u64), Shown)>,
}

impl Flags {
    pub(crate) fn new(core: CoreFiles, status_file: PathBuf) -> Self {
        Flags { core, status_file, read: None }
    }

    /// What is known of the core now. The status file is read only if it was written since.
    pub(crate) fn look(&mut self) -> (LocalCore, Option<StatusError>) {
        match self.core.verdict() {
            CoreVerdict::DeadCrash | CoreVerdict::DeadClean => {
                self.read = None;
                (LocalCore::Gone, None)
            }
            CoreVerdict::Alive | CoreVerdict::Unknown => match self.read_if_new() {
                Ok(()) => (LocalCore::Running(self.read.as_ref().map(|(_, shown)| shown.clone())), None),
                Err(error) => (LocalCore::Running(None), Some(error)),
            },
        }
    }

    fn read_if_new(&mut self) -> Result<(), StatusError> {
        let unreadable = |source: io::Error| StatusError::Io { line: 0, source };
        let file = match File::open(&self.status_file) {
            Ok(file) => file,
            // A core writes it a while after its start.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.read = None;
                return Ok(());
            }
            Err(error) => return Err(unreadable(error)),
        };
        let found = file.metadata().map_err(unreadable)?;
        let version = (found.mtime(), found.mtime_nsec(), found.ino());
        if self.read.as_ref().is_none_or(|(known, _)| *known != version) {
            self.read = shown(file, found.mtime())?.map(|shown| (version, shown));
        }
        Ok(())
    }
}

/// What the status file at `path` shows at this moment; none if it shows no core.
pub fn read(path: &Path) -> Result<Option<Shown>, StatusError> {
    let unreadable = |source: io::Error| StatusError::Io { line: 0, source };
    let file = File::open(path).map_err(unreadable)?;
    let modified = file.metadata().map_err(unreadable)?.mtime();
    shown(file, modified)
}

fn shown(file: File, modified: i64) -> Result<Option<Shown>, StatusError> {
    let mut reader = StatusReader::new(BufReader::with_capacity(READ_BYTES, file));
    let mut created = None;
    while let Some(block) = reader.next_block()? {
        if let Some(info) = block.info_status() {
            created = info.created().map(Timestamp::seconds);
        }
        if block.kind() != BlockKind::Program {
            continue;
        }
        let program = block.program_status();
        return Ok(program.and_then(|program| {
            let program_start = program.program_start()?.seconds();
            Some(Shown { program_start, created: created.unwrap_or(modified), flags: flags(&program) })
        }));
    }
    Ok(None)
}

fn flags(program: &ProgramStatus<'_>) -> BTreeMap<Flag, bool> {
    [
        (Flag::ServiceChecks, program.active_service_checks_enabled()),
        (Flag::HostChecks, program.active_host_checks_enabled()),
        (Flag::Notifications, program.enable_notifications()),
        (Flag::ObsessOverServices, program.obsess_over_services()),
        (Flag::ObsessOverHosts, program.obsess_over_hosts()),
    ]
    .into_iter()
    .filter_map(|(flag, on)| Some((flag, on?)))
    .collect()
}
