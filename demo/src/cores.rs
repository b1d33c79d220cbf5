//! Starting the two cores: built-in ones, or real ones of Nagios 4.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Context;
use nix::unistd::{Gid, Group, Uid, User};

use crate::configuration::{Scripts, builtin_core, nagios4_main, nagios4_objects};
use crate::process::Process;
use crate::scenario::ObsessiveCommands;
use crate::site::{Node, Site};
use crate::{CORE_SUBCOMMAND, CoreKind, child};

const NAGIOS4: &str = "nagios4";
const BUILTIN_CONFIGURATION: &str = "core.cfg";
const NAGIOS4_CONFIGURATION: &str = "nagios.cfg";

/// Starts cores of one kind.
pub(crate) struct Cores<'a> {
    pub(crate) kind: CoreKind,
    /// `understudy`, which is the built-in core and the start of every child under its hidden subcommands.
    pub(crate) program: &'a Path,
    pub(crate) site: &'a Site,
}

impl<'a> Cores<'a> {
    /// Writes both configurations: sender and receiver may read them before the cores do.
    pub(crate) fn prepare(kind: CoreKind, program: &'a Path, site: &'a Site) -> anyhow::Result<Self> {
        let scripts = Scripts { check: text(&site.check_script())?, notify: text(&site.notify_script())? };
        let (socket, spill) = (site.master.path("ocsp.sock"), site.master.path("spill"));
        let commands = ObsessiveCommands::new(&text(&site.ocsp_program())?, &socket, &spill);
        for (node, commands_of_master) in [(&site.master, Some(&commands)), (&site.standby, None)] {
            match kind {
                CoreKind::Builtin => {
                    node.write(BUILTIN_CONFIGURATION, &builtin_core(node, &scripts, commands_of_master))?;
                }
                CoreKind::Nagios4 => {
                    let (user, group) = user_and_group()?;
                    let main = nagios4_main(node, &user, &group, commands_of_master.is_some());
                    node.write(NAGIOS4_CONFIGURATION, &main)?;
                    node.write("objects.cfg", &nagios4_objects(node, &scripts, &commands))?;
                }
            }
        }
        Ok(Self { kind, program, site })
    }

    /// The one of the master checks everything and tells the sender, the other knows what it is told. Neither notifies before it
    /// is told to.
    pub(crate) fn start(&self, node: &Node) -> anyhow::Result<Process> {
        let name = format!("the {}'s core", node.name);
        let log = PathBuf::from(node.path("core.log"));
        match self.kind {
            CoreKind::Builtin => {
                let arguments = [CORE_SUBCOMMAND.into(), node.path(BUILTIN_CONFIGURATION).into()];
                self.start_child(&name, self.program, arguments, log)
            }
            CoreKind::Nagios4 => {
                self.start_child(&name, Path::new(NAGIOS4), [node.path(NAGIOS4_CONFIGURATION).into()], log)
            }
        }
    }

    /// Starts a program that ends when the demonstration does.
    pub(crate) fn start_child(
        &self,
        name: &str,
        program: &Path,
        arguments: impl IntoIterator<Item = OsString>,
        log: PathBuf,
    ) -> anyhow::Result<Process> {
        Process::start(name, self.program, child::arguments(program, arguments), log)
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
    path.to_str().map(str::to_owned).with_context(|| format!("{} is not UTF-8", path.display()))
}
