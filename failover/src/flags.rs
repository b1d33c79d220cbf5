//! What the local core shows: whether it runs, and its switches in the status file.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use nagios::Timestamp;
use nagios::status::{self, BlockKind, Look, ProgramStatus, StatusError, StatusReader, Version};
use nsca::sealed::CoreVerdict;

use crate::machine::{Flag, LocalCore, Shown};
use crate::verdict::CoreFiles;

/// Looks at the local core again and again.
#[derive(Debug)]
pub(crate) struct Flags {
    core: CoreFiles,
    status_file: PathBuf,
    /// The status file that was read last, and what it shows.
    read: Option<(Version, Shown)>,
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
        match status::look(&self.status_file, self.read.as_ref().map(|(version, _)| *version))? {
            Look::Missing => self.read = None,
            Look::Known => {}
            Look::New(version, reader) => self.read = shown(reader, version)?.map(|shown| (version, shown)),
        }
        Ok(())
    }
}

/// What the status file at `path` shows at this moment; none if it is not there, or shows no core.
///
/// # Errors
/// It cannot be read, or is none.
pub fn read(path: &Path) -> Result<Option<Shown>, StatusError> {
    match status::look(path, None)? {
        Look::New(version, reader) => shown(reader, version),
        Look::Missing | Look::Known => Ok(None),
    }
}

fn shown<R: Read>(mut reader: StatusReader<R>, version: Version) -> Result<Option<Shown>, StatusError> {
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
            let created = created.unwrap_or(version.modified);
            Some(Shown { program_start, created, flags: flags(&program) })
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
