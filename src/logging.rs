//! Where log lines go: standard error, which systemd keeps in the journal.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// The environment variable that sets the log level, as in `debug` or `receiver=trace`. Default: `info`.
const LEVEL_VARIABLE: &str = "UNDERSTUDY_LOG";

/// Starts logging. Colours only for a person, times only where nobody else adds them.
pub(crate) fn start() {
    let filter = EnvFilter::try_from_env(LEVEL_VARIABLE).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        lines.without_time().init();
    } else {
        lines.init();
    }
}
