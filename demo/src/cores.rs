//! Starting the two cores: built-in ones, or real ones of Nagios 4.

use std::path::{Path, PathBuf};

use anyhow::Context;
use nix::unistd::{Gid, Group, Uid, User};

use crate::configuration::{builtin_core, nagios4_main, nagios4_objects};
use crate::process::Process;
use crate::scenario::ObsessiveCommands;
use crate::site::{Node, Site};
use crate::{CORE_SUBCOMMAND, CoreKind};

const NAGIOS4: &str = "nagios4";

/// Starts cores of one kind.
pub(crate) struct Cores<'a> {
    pub(crate) kind: CoreKind,
    /// `understudy`, which is the built-in core under its hidden subcommand.
    pub(crate) program: &'a Path,
    pub(crate) site: &'a Site,
}

impl Cores<'_> {
    /// Checks everything, and tells the sender.
    pub(crate) fn start_master(&self) -> anyhow::Result<Process> {
        self.start(&self.site.master, true)
    }

    /// Checks nothing, knows what it is told.
    pub(crate) fn start_standby(&self) -> anyhow::Result<Process> {
        self.start(&self.site.standby, false)
    }

    fn start(&self, node: &Node, is_master: bool) -> anyhow::Result<Process> {
        let name = format!("the {}'s core", node.name);
        let log = PathBuf::from(node.path("core.log"));
        let script = text(&self.site.check_script())?;
        let master = &self.site.master;
        let program = text(&self.site.ocsp_program())?;
        let commands = ObsessiveCommands::new(&program, &master.path("ocsp.sock"), &master.path("spill"));
        match self.kind {
            CoreKind::Builtin => {
                let configuration = builtin_core(node, &script, is_master.then_some(&commands));
                let file = node.write("core.cfg", &configuration)?;
                Process::start(&name, self.program, [Path::new(CORE_SUBCOMMAND), &file], log)
            }
            CoreKind::Nagios4 => {
                let (user, group) = user_and_group()?;
                node.write("objects.cfg", &nagios4_objects(&script, &commands))?;
                let file = node.write("nagios.cfg", &nagios4_main(node, &user, &group, is_master))?;
                Process::start(&name, Path::new(NAGIOS4), [file], log)
            }
        }
    }
}

/// Whether a real Nagios 4 is on the PATH.
pub(crate) fn nagios4_is_installed() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(NAGIOS4).is_file())
}

/// The names of the user and group that this process runs as: what a core that root starts should stay.
pub(crate) fn user_and_group() -> anyhow::Result<(String, String)> {
    let user = User::from_uid(Uid::current())?.context("the current user has no name")?;
    let group = Group::from_gid(Gid::current())?.context("the current group has no name")?;
    Ok((user.name, group.name))
}

fn text(path: &Path) -> anyhow::Result<String> {
    path.to_str()
        .map(str::to_owned)
        .with_context(|| format!("{} is not UTF-8", path.display()))
}
