//! The command line of `nsca`, read as the original reads it: options in any order, the last one of a kind counts. A
//! question (`--help`) is answered only when everything around it is understood.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use crate::question::Question;

/// The file that is read unless `-c` names another: in the working directory.
const DEFAULT_CONFIG_FILE: &str = "nsca.cfg";

/// How to run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Args {
    pub(super) config_file: PathBuf,
    pub(super) foreground: bool,
    pub(super) mode: Mode,
}

/// Where connections come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// The program listens itself.
    Standalone,
    /// Somebody else has accepted the connection on standard input.
    Inetd,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    Run(Args),
    Answer(Question),
    Wrong,
}

/// Reads the arguments that follow the program's name.
pub(super) fn parse(args: impl Iterator<Item = OsString>) -> Parsed {
    let mut args = args.peekable();
    if args.peek().is_none() {
        return Parsed::Answer(Question::Help);
    }
    let mut parsed = Args { config_file: DEFAULT_CONFIG_FILE.into(), foreground: false, mode: Mode::Standalone };
    let mut question = None;
    while let Some(arg) = args.next() {
        if let Some(asked) = Question::asked_by(&arg) {
            question = question.max(Some(asked));
            continue;
        }
        match arg.as_bytes() {
            b"-f" | b"--foreground" => parsed.foreground = true,
            b"-d" | b"--daemon" | b"-s" | b"--single" => parsed.mode = Mode::Standalone,
            b"-i" | b"--inetd" => parsed.mode = Mode::Inetd,
            b"-c" => match args.next() {
                Some(file) => parsed.config_file = file.into(),
                None => return Parsed::Wrong,
            },
            _ => return Parsed::Wrong,
        }
    }
    question.map_or(Parsed::Run(parsed), Parsed::Answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> Parsed {
        parse(line.split(' ').filter(|arg| !arg.is_empty()).map(OsString::from))
    }

    fn run(config_file: &str, foreground: bool, mode: Mode) -> Parsed {
        Parsed::Run(Args { config_file: config_file.into(), foreground, mode })
    }

    #[test]
    fn options_come_in_any_order_and_the_last_mode_counts() {
        assert_eq!(parse_line("-c /f"), run("/f", false, Mode::Standalone));
        assert_eq!(parse_line("--daemon -c /f -f"), run("/f", true, Mode::Standalone));
        assert_eq!(parse_line("--foreground --single -c /f"), run("/f", true, Mode::Standalone));
        assert_eq!(parse_line("-c /e -c /f --inetd"), run("/f", false, Mode::Inetd));
        assert_eq!(parse_line("-i"), run("nsca.cfg", false, Mode::Inetd));
        assert_eq!(parse_line("--inetd -s"), run("nsca.cfg", false, Mode::Standalone));
    }

    #[test]
    fn anything_else_is_wrong() {
        for line in ["/f", "-c", "-c /f -x", "-V foo", "-V -c", "-c /f foo -V"] {
            assert_eq!(parse_line(line), Parsed::Wrong, "{line}");
        }
    }

    #[test]
    fn questions_are_answered_instead_of_running() {
        for (line, question) in [
            ("", Question::Help),
            ("--inetd -h", Question::Help),
            ("-V -h", Question::Help),
            ("-c /f -V", Question::Version),
            ("--version", Question::Version),
            ("-l -V", Question::License),
        ] {
            assert_eq!(parse_line(line), Parsed::Answer(question), "{line}");
        }
    }
}
