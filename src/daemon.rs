//! Finding the daemon that a command talks to.

use std::fmt::Display;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use config::ConfigError;
use control::Client;

use crate::{DEFAULT_CONFIG, EXIT_USAGE};

/// Where the daemon is.
#[derive(Args)]
pub(crate) struct Daemon {
    /// The daemon's configuration file, of which only the place of the control socket is read [default:
    /// /etc/understudy/understudy.toml, if it can be read]
    #[arg(long, short, value_name = "FILE", conflicts_with = "socket")]
    config: Option<PathBuf>,
    /// The daemon's control socket [default: what the configuration says, else /run/understudy/control.sock]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

impl Daemon {
    /// Talks to the daemon; the exit code is that of `talk`, 1 when it fails, and 64 when nobody can know where the daemon is.
    pub(crate) fn ask<E: Display>(&self, talk: impl FnOnce(&Client) -> Result<ExitCode, E>) -> ExitCode {
        match self.socket() {
            Ok(socket) => talk(&Client::new(socket)).unwrap_or_else(|error| {
                eprintln!("understudy: {error}");
                ExitCode::FAILURE
            }),
            Err(error) => {
                eprintln!("{error}; or name the daemon's control socket with --socket PATH");
                ExitCode::from(EXIT_USAGE)
            }
        }
    }

    /// The daemon's configuration file, whether it can be read or not.
    pub(crate) fn config(&self) -> &Path {
        self.config.as_deref().unwrap_or(Path::new(DEFAULT_CONFIG))
    }

    fn socket(&self) -> Result<PathBuf, ConfigError> {
        let default = Path::new(DEFAULT_CONFIG);
        match (&self.socket, &self.config) {
            (Some(socket), _) => Ok(socket.clone()),
            (None, Some(config)) => config::control_socket(config),
            // It may hold secrets, and so be hidden from those who may ask.
            (None, None) if File::open(default).is_err() => Ok(config::DEFAULT_CONTROL_SOCKET.into()),
            (None, None) => config::control_socket(default),
        }
    }
}
