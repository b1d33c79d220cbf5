//! Where log lines go: to syslog with the facility of `nsca.cfg`, and to standard error while somebody may read it.

use std::io::IsTerminal as _;

use syslog_tracing::{Options, Syslog};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, fmt, reload};

use super::args::Mode;
use crate::{Facility, NscaCfg};

/// The running log.
pub(super) struct Log {
    level: reload::Handle<LevelFilter, Registry>,
}

impl Log {
    /// Starts logging as `cfg` says, or by default if it could not be read.
    ///
    /// The connection to syslog is made at once: there may be no way to it from inside a chroot. Under inetd standard
    /// error is the connection, so nothing goes there.
    pub(super) fn start(cfg: Option<&NscaCfg>, mode: Mode) -> Log {
        let facility = cfg.map_or(Facility::Daemon, |cfg| cfg.facility);
        let (level, handle) = reload::Layer::new(level(cfg.is_some_and(|cfg| cfg.debug)));
        let syslog = Syslog::new(c"nsca", Options::LOG_PID | Options::LOG_NDELAY, facility.into()).map(|syslog| {
            fmt::layer().with_writer(syslog).without_time().with_level(false).with_target(false).with_ansi(false)
        });
        let stderr = (mode == Mode::Standalone).then(|| {
            fmt::layer()
                .with_writer(std::io::stderr)
                .without_time()
                .with_target(false)
                .with_ansi(std::io::stderr().is_terminal())
        });
        tracing_subscriber::registry().with(level).with(syslog).with(stderr).init();
        Log { level: handle }
    }

    /// What `debug` says, when the file is read again.
    pub(super) fn set_debug(&self, debug: bool) {
        if let Err(error) = self.level.reload(level(debug)) {
            tracing::warn!(%error, "debug stays as it was");
        }
    }
}

fn level(debug: bool) -> LevelFilter {
    if debug { LevelFilter::DEBUG } else { LevelFilter::INFO }
}
