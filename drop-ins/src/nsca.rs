//! A drop-in for `nsca`: what the original does around receiving. Receiving itself is the [`receiver`]'s.
//!
//! ```text
//! nsca.cfg ─▶ pid file free? ─▶ bind ─▶ fork ─▶ pid file ─▶ chroot ─▶ nsca_group, nsca_user ─▶ serve ─▶ remove pid file
//! ```
//!
//! `--single` and `--daemon` are the same here: one process serves every connection at the same time. `--inetd` serves
//! the connection on standard input. Arguments, messages and exit codes are the original's: 0 after an orderly end,
//! 2 when it cannot start, 3 for wrong arguments, questions and a chroot that fails.
//!
//! What is better than in the original:
//! - Errors at the start are printed too, not only logged, and seen in the exit code also without `-f`, because they are
//!   found before the fork. Ports below 1024 work together with `nsca_user`.
//! - SIGHUP keeps every connection and every result that waits, and a broken file keeps the old settings. (Inside a
//!   chroot the file is looked for inside too, as with the original.)
//! - A pid file that names no process, or this very process, is replaced.
//! - `max_packet_age` is enforced, and `alternate_dump_file` is used only for what could not be given to the core until
//!   the daemon stops: while the core is away, results wait.

mod args;
mod daemon;
mod help;
mod identity;
mod inetd;
mod log;
mod pid_file;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nsca::sealed::NodeName;
use receiver::{Bound, Receiver, StartError, Surroundings};

use crate::question::Question;
use crate::{DropInError, NscaCfg};
use args::{Args, Mode, Parsed};
use daemon::Daemon;
use identity::Identity;
use log::Log;
use pid_file::PidFile;

/// The exit code of wrong arguments, of questions, and of a chroot that fails.
const EXIT_USAGE: u8 = 3;

/// The exit code when it cannot start.
const EXIT_CRITICAL: u8 = 2;

/// Why the daemon does not start.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Configuration(#[from] DropInError),
    #[error("Network server bind failure ({}: {error})", errno(.error))]
    Bind {
        #[from]
        error: StartError,
    },
    #[error(transparent)]
    Running(#[from] pid_file::AlreadyRunning),
    #[error("Cannot become a daemon: {0}; run it in the foreground with -f")]
    Fork(#[from] daemonize::Error),
    #[error(transparent)]
    Identity(#[from] identity::IdentityError),
    #[error("{0}: {1}")]
    System(&'static str, std::io::Error),
}

impl Refusal {
    fn exit_code(&self) -> u8 {
        match self {
            Refusal::Identity(error) if error.is_about_chroot() => EXIT_USAGE,
            _ => EXIT_CRITICAL,
        }
    }
}

/// Does what `args`, those after the program's name, say. `program_name` is for the help text.
pub fn main(program_name: &str, args: impl Iterator<Item = OsString>) -> ExitCode {
    let args = match args::parse(args) {
        Parsed::Run(args) => args,
        Parsed::Answer(question) => {
            println!("{}", help::answer(question, program_name));
            return ExitCode::from(EXIT_USAGE);
        }
        Parsed::Wrong => {
            eprintln!("Incorrect command line arguments supplied");
            println!("{}", help::answer(Question::Help, program_name));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => {
            tracing::error!("{refusal}");
            ExitCode::from(refusal.exit_code())
        }
    }
}

fn run(args: &Args) -> Result<(), Refusal> {
    let file = absolute(&args.config_file);
    let cfg = NscaCfg::read(&file);
    let log = Log::start(cfg.as_ref().ok(), args.mode);
    let cfg = cfg?;
    for warning in &cfg.warnings {
        tracing::warn!("{warning}");
    }
    let identity = Identity::of(&cfg)?;
    match args.mode {
        Mode::Inetd => {
            identity.assume()?;
            inetd::serve(&cfg)
        }
        Mode::Standalone => stand_alone(args, file, cfg, &identity, log),
    }
}

fn stand_alone(args: &Args, config_file: PathBuf, cfg: NscaCfg, identity: &Identity, log: Log) -> Result<(), Refusal> {
    if let Some(path) = &cfg.pid_file {
        pid_file::refuse_if_running(path)?;
    }
    let settings = cfg.receiver(&cfg.listen_addresses()?);
    let bound = Receiver::bind(&settings)?;
    if !args.foreground {
        daemon::detach()?;
    }
    let pid_file = cfg.pid_file.as_deref().and_then(|path| PidFile::write(path, identity));
    receiver::raise_open_files();
    let served = identity.assume().map_err(Refusal::from).and_then(|()| {
        tracing::info!("Starting up daemon");
        Daemon::new(config_file, settings, bound, log).run()
    });
    if let Some(pid_file) = pid_file {
        pid_file.remove();
    }
    served
}

/// Starts to receive, as a node without a place: classic clients, the only ones that it takes, ask for no name either.
fn receive(settings: &config::Receiver, bound: Vec<Bound>) -> Result<Receiver, StartError> {
    let name = NodeName::try_from("nsca").expect("it is short and plain");
    let node = config::Node { name, state_directory: PathBuf::new(), control_socket: PathBuf::new() };
    Receiver::start(settings, &node, bound, Surroundings::default())
}

/// The daemon may read the file again, whatever its working directory is by then.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn errno(error: &StartError) -> i32 {
    match error {
        StartError::Bind { error, .. } | StartError::Thread(error) => error.raw_os_error().unwrap_or(0),
        StartError::NoRandom(error) => error.raw_os_error().unwrap_or(0),
        // There is none in the place of nsca.
        StartError::Journal(_) => 0,
    }
}
