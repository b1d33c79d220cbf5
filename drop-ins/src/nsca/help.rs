//! What `nsca` says about itself.

use crate::question::Question;

/// How the original names itself.
const ORIGINAL: &str = "NSCA - Nagios Service Check Acceptor\nVersion: 2.10.2";

/// The answer to `question`.
pub(super) fn answer(question: Question, program_name: &str) -> String {
    question.answer(ORIGINAL, program_name, HELP)
}

const HELP: &str = "\
[-f] -c <config_file> [mode]

Accepts check results that send_nsca sends, and gives them to the monitoring core on this machine.

Options:
  -c <config_file>   what nsca.cfg of the original says; default: nsca.cfg in the working directory
  -f, --foreground   stays in the foreground, and logs to standard error as well as to syslog
  [mode]             where connections come from:
    --daemon, -d     the program listens
    --single, -s     the same; default
    --inetd, -i      inetd or xinetd listens, and starts this program for each connection
";
