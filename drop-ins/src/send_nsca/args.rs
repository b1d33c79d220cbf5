//! The command line of `send_nsca`, read as the original reads it.
//!
//! The first argument is the host, whatever it looks like, until `-H` names another; after it only options may come.
//! Numbers are read as C does. A question (`--help`) is answered only when everything around it is understood.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::Duration;

use nsca::packet::PacketSize;
use nsca::sets;

use crate::number::atoi;
use crate::question::Question;

/// Where NSCA daemons listen.
const DEFAULT_PORT: i64 = 5667;

/// The time that everything together may take.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// The file that is read unless `-c` names another.
const DEFAULT_CONFIG_FILE: &str = "/etc/send_nsca.cfg";

/// What to send, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Args {
    pub(super) host: OsString,
    /// As it was given; one that no port has leads nowhere.
    pub(super) port: i64,
    pub(super) timeout: Duration,
    pub(super) config_file: PathBuf,
    pub(super) delimiter: u8,
    pub(super) set_delimiter: u8,
    pub(super) quiet: bool,
    /// What the configuration may overrule.
    pub(super) packet_size: PacketSize,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    Send(Args),
    Answer(Question),
    Wrong,
}

/// Reads the arguments that follow the program's name.
pub(super) fn parse(args: impl Iterator<Item = OsString>) -> Parsed {
    let mut args = args.peekable();
    let Some(first) = args.peek() else {
        return Parsed::Answer(Question::Help);
    };
    let mut parsed = Args::to(first.clone());
    let mut question = None;
    let mut is_first = true;
    while let Some(arg) = args.next() {
        match Question::asked_by(&arg) {
            Some(asked) => question = question.max(Some(asked)),
            None => match parsed.take(&arg, &mut args) {
                Some(IsOption::Yes) => {}
                Some(IsOption::No) if is_first => {}
                Some(IsOption::No) | None => return Parsed::Wrong,
            },
        }
        is_first = false;
    }
    question.map_or(Parsed::Send(parsed), Parsed::Answer)
}

impl Args {
    fn to(host: OsString) -> Self {
        Args {
            host,
            port: DEFAULT_PORT,
            timeout: DEFAULT_TIMEOUT,
            config_file: DEFAULT_CONFIG_FILE.into(),
            delimiter: sets::FIELD_DELIMITER,
            set_delimiter: sets::SET_DELIMITER,
            quiet: false,
            packet_size: PacketSize::Modern,
        }
    }

    /// Takes an option and its value; `None` if its value is missing or useless.
    fn take(&mut self, option: &OsStr, rest: &mut impl Iterator<Item = OsString>) -> Option<IsOption> {
        match option.as_bytes() {
            b"-H" => self.host = rest.next()?,
            b"-p" => self.port = atoi(rest.next()?.as_bytes()),
            b"-to" => self.timeout = timeout(&rest.next()?)?,
            b"-c" => self.config_file = rest.next()?.into(),
            b"-d" => self.delimiter = sets::delimiter(rest.next()?.as_bytes()),
            b"-ds" => self.set_delimiter = sets::delimiter(rest.next()?.as_bytes()),
            b"--quiet" => self.quiet = true,
            b"--legacy-2-7-mode" => self.packet_size = PacketSize::Legacy,
            _ => return Some(IsOption::No),
        }
        Some(IsOption::Yes)
    }
}

enum IsOption {
    Yes,
    No,
}

/// Whole seconds, at least one.
fn timeout(seconds: &OsStr) -> Option<Duration> {
    let seconds = i32::try_from(atoi(seconds.as_bytes())).ok()?;
    u64::try_from(seconds).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> Parsed {
        parse(line.split(' ').filter(|arg| !arg.is_empty()).map(OsString::from))
    }

    fn send_args(line: &str) -> Args {
        match parse_line(line) {
            Parsed::Send(args) => args,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn every_option_counts() {
        let args = send_args("-H h -p 5668 -to 3 -c /f -d ; -ds 0x0a --quiet --legacy-2-7-mode");
        let expected = Args {
            host: "h".into(),
            port: 5668,
            timeout: Duration::from_secs(3),
            config_file: "/f".into(),
            delimiter: b';',
            set_delimiter: b'\n',
            quiet: true,
            packet_size: PacketSize::Legacy,
        };
        assert_eq!(args, expected);
    }

    #[test]
    fn the_first_argument_is_the_host_unless_an_option_names_one() {
        assert_eq!(send_args("h -p 1"), Args { port: 1, ..Args::to("h".into()) });
        assert_eq!(send_args("a -H b").host, "b");
        assert_eq!(send_args("-H a -H b").host, "b");
        // What the original makes of a forgotten host.
        assert_eq!(send_args("-c /f").host, "-c");
        assert_eq!(send_args("-help").host, "-help");
    }

    #[test]
    fn anything_else_is_wrong() {
        for line in [
            "-p 1 h",
            "h h",
            "-H",
            "-H h -p",
            "-H h -to",
            "-H h -to 0",
            "-H h -to -5",
            "-H h -to x",
            "-H h -to 999999999999",
            "-H h -c",
            "-H h -d",
            "-H h -ds",
            "-H h --bogus",
            "--quiet h",
            "-V bogus",
            "a b -V",
        ] {
            assert_eq!(parse_line(line), Parsed::Wrong, "{line}");
        }
    }

    #[test]
    fn questions_are_answered_instead_of_sending() {
        for line in ["", "-h", "--help", "-V -h", "h -p 1 -h"] {
            assert_eq!(parse_line(line), Parsed::Answer(Question::Help), "{line}");
        }
        assert_eq!(parse_line("-V"), Parsed::Answer(Question::Version));
        assert_eq!(parse_line("--version"), Parsed::Answer(Question::Version));
        assert_eq!(parse_line("-V --license"), Parsed::Answer(Question::License));
    }
}
