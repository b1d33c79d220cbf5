//! `understudy status`: how the running daemon is.

use std::io::Write;
use std::process::ExitCode;

use control::ClientError;

use crate::daemon::Daemon;

/// Prints the status, as text or as the JSON document behind it. The exit code says whether there is one, not whether all is
/// well: that is the first line of the text, and `warnings` in the document.
pub(crate) fn main(daemon: &Daemon, json: bool) -> ExitCode {
    daemon.ask(|client| -> Result<ExitCode, ClientError> {
        let status = client.status()?;
        let text = if json {
            serde_json::to_string_pretty(&status).expect("it came as JSON") + "\n"
        } else {
            status.to_text()
        };
        // A pager that was closed has seen enough.
        let _ = std::io::stdout().write_all(text.as_bytes());
        Ok(ExitCode::SUCCESS)
    })
}
