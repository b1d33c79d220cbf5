//! What the command line means.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use control::{EventKind, Request};

use crate::daemon::Daemon;
use crate::{DEFAULT_CONFIG, EXIT_USAGE, config_check, demo, forget, key, operator, run, status, verify};

/// A warm standby for Nagios, Icinga 1 and Naemon.
///
/// On a master, every check result of the core is streamed to the standby; there it is injected into the standby's
/// core. It speaks NSCA, so that every send_nsca and nsca in the field can be the other side.
#[derive(Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The daemon: runs every role that the configuration has a section for
    Run(ConfigFile),
    /// Work with the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Says how the running daemon is
    ///
    /// The first line is the verdict: OK, or WARNING with reasons. The exit code is 0 whatever the verdict, and 1 when no
    /// daemon answers.
    Status {
        /// Prints the JSON document behind the text; its `warnings` are the verdict
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        daemon: Daemon,
    },
    /// Says whether this node's core agrees with the one in charge: a plugin for Nagios
    ///
    /// Compares every host and service of this core with what the other node tells of its own:
    /// state, SOFT or HARD and the attempt, acknowledgement, downtimes, whether notifications are
    /// enabled. What differs for a moment only, because results are on their way, does not count;
    /// so the answer may take half a minute where something differs.
    ///
    /// The first line is for people and has performance data; then follows a line for each object
    /// that differs. The exit code is 0 if all agree, 1 if something differs, and 3 if nothing can
    /// be said: no daemon, no book of another node, one that is older than five minutes because
    /// that node is away, or this node is itself in charge.
    ///
    /// As a check of the standby's core, whose user must be in the group of the control socket:
    ///
    ///     define command {
    ///         command_name  check_understudy
    ///         command_line  /usr/bin/understudy verify
    ///     }
    ///
    /// By way of NRPE: command[check_understudy]=/usr/bin/understudy verify, and check_nrpe -t 60 -u.
    #[command(verbatim_doc_comment)]
    Verify {
        /// What differs at this moment differs: answers at once
        #[arg(long)]
        at_once: bool,
        /// How long to wait until what differs does so no more, in seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 40, conflicts_with = "at_once")]
        wait: u64,
        #[command(flatten)]
        daemon: Daemon,
    },
    /// Brings this node's core up to date with the one in charge, now
    ///
    /// That happens by itself when the other node connects, when this core was started, and when results are missing. Objects
    /// that lack a result get it, with its real check time, and what the other core remembers of notifications goes over. Nothing
    /// is done while this core notifies.
    Resync {
        #[command(flatten)]
        daemon: Daemon,
    },
    /// Makes the running sender forget that a destination could seal its sessions
    ///
    /// A sender with sealed = "auto" that has once had a sealed session with a destination refuses classic ones from then
    /// on, since somebody in between could pretend that the destination has become a stock nsca. If it has, say so with
    /// this command.
    Forget {
        /// The destination's name in the configuration
        destination: String,
        #[command(flatten)]
        daemon: Daemon,
    },
    /// Makes this node active, and holds it so until a release or hand-back
    Takeover {
        /// Why; it is shown with the hold
        #[arg(default_value = "")]
        reason: String,
        #[command(flatten)]
        daemon: Daemon,
    },
    /// Makes this node stand by, and holds it so until a release or takeover
    HandBack {
        #[command(flatten)]
        daemon: Daemon,
    },
    /// Keeps this node as it is, active or standing by, until a release
    Hold {
        /// Why; it is shown with the hold
        #[arg(default_value = "")]
        reason: String,
        #[command(flatten)]
        daemon: Daemon,
    },
    /// Ends a hold: the node decides for itself again
    Release {
        #[command(flatten)]
        daemon: Daemon,
    },
    /// For event handlers of the standby's core: tells how the master is
    ///
    /// Only HARD states count. Where no daemon answers within some seconds, the commands that follow are written to the core at
    /// once, unless the node is held, and the next daemon goes on from there. The exit code is 1 when nobody took the event.
    Event {
        /// Whether it is about the master's host, or the service that watches its core
        kind: EventOf,
        /// $HOSTSTATE$ or $SERVICESTATE$
        state: String,
        /// $HOSTSTATETYPE$ or $SERVICESTATETYPE$
        state_type: String,
        #[command(flatten)]
        daemon: Daemon,
    },
    /// Prints a new random key for `key_file`
    Key,
    /// Shows a master and a standby on this machine: relay, take-over and hand-back, in about a minute
    Demo {
        /// Which cores to run; default: nagios4 where it is installed
        #[arg(long)]
        core: Option<DemoCore>,
    },
    /// Sends check results from standard input: a drop-in for send_nsca
    #[command(disable_help_flag = true, disable_version_flag = true)]
    Send(Untouched),
    /// Receives check results as an existing nsca.cfg says: a drop-in for nsca
    #[command(disable_help_flag = true, disable_version_flag = true)]
    Nsca(Untouched),
    /// A miniature core, as the demonstration runs it
    #[command(hide = true)]
    DemoCore {
        /// Its configuration
        config: PathBuf,
    },
    /// A program that ends when the demonstration does
    #[command(hide = true)]
    DemoChild(Untouched),
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Checks the configuration and prints what would run; binds nothing, changes nothing
    Check(ConfigFile),
}

#[derive(Args)]
struct ConfigFile {
    /// The configuration file
    #[arg(long, short, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
}

/// Arguments in the manner of the program that is replaced.
#[derive(Args)]
struct Untouched {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    args: Vec<OsString>,
}

#[derive(Clone, Copy, ValueEnum)]
enum EventOf {
    Host,
    Service,
}

#[derive(Clone, Copy, ValueEnum)]
enum DemoCore {
    /// Miniature cores that are part of this program
    Builtin,
    /// Two real Nagios 4
    Nagios4,
}

/// Reads the command line and does what it says.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { EXIT_USAGE } else { 0 };
            // Standard output or error are closed: nobody is there to be told.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match cli.command {
        Command::Run(file) => run::main(&file.config),
        Command::Config(ConfigCommand::Check(file)) => config_check::main(&file.config),
        Command::Status { json, daemon } => status::main(&daemon, json),
        Command::Verify { at_once, wait, daemon } => verify::main(&daemon, at_once, Duration::from_secs(wait)),
        Command::Resync { daemon } => operator::order(&daemon, &Request::Resync),
        Command::Forget { destination, daemon } => forget::main(&daemon, &destination),
        Command::Takeover { reason, daemon } => operator::order(&daemon, &Request::Takeover { reason }),
        Command::HandBack { daemon } => operator::order(&daemon, &Request::HandBack),
        Command::Hold { reason, daemon } => operator::order(&daemon, &Request::Hold { reason }),
        Command::Release { daemon } => operator::order(&daemon, &Request::Release),
        Command::Event { kind, state, state_type, daemon } => {
            let kind = match kind {
                EventOf::Host => EventKind::Host,
                EventOf::Service => EventKind::Service,
            };
            operator::event(&daemon, kind, state, state_type)
        }
        Command::Key => key::main(),
        Command::Demo { core } => demo::main(core.map(|core| match core {
            DemoCore::Builtin => ::demo::CoreKind::Builtin,
            DemoCore::Nagios4 => ::demo::CoreKind::Nagios4,
        })),
        Command::Send(arguments) => drop_ins::send_nsca::main("understudy send", arguments.args.into_iter()),
        Command::Nsca(arguments) => drop_ins::nsca::main("understudy nsca", arguments.args.into_iter()),
        Command::DemoCore { config } => demo::core(&config),
        Command::DemoChild(words) => demo::child(&words.args),
    }
}
