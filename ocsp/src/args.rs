//! The command line, as bytes: plugins and object names need not be UTF-8.
//!
//! Arguments come from the core's macros, so nothing in them may turn into an option: HOST, DESCRIPTION, STATE and
//! OUTPUT are taken by their number, whatever they look like, and options follow them. An option's value is
//! what follows its `=`, or else the next argument, whatever that looks like.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use crate::handover::{CheckType, HandOver, StateType, new_id};
use crate::{DEFAULT_SOCKET, spill};

pub(crate) const USAGE: &str = "\
Hands one check result from a monitoring core to the running `understudy` (its [sender] section).

usage: understudy-ocsp service HOST DESCRIPTION STATE OUTPUT [OPTION VALUE]...
       understudy-ocsp host HOST STATE OUTPUT [OPTION VALUE]...

STATE     OK, WARNING, CRITICAL, UNKNOWN; for hosts UP, DOWN, UNREACHABLE; or a number
OUTPUT    the first line, may be empty

--perfdata TEXT         performance data
--long TEXT             long output as the core's macro gives it: newlines as \\n
--check-time SECONDS    since the Unix epoch; default, and for 0: now
--state-type TYPE       HARD or SOFT
--attempt NUMBER
--check-type TYPE       ACTIVE or PASSIVE
--socket PATH           of the sender; default /run/understudy/ocsp.sock
--spill DIRECTORY       where results wait while the sender is away; default /var/lib/understudy/spill

Exit code 0: the sender has the result, or it waits in the spill directory. 1: it is lost, stderr says why.
64: wrong usage.

In the core's configuration (see ocsp_command and ochp_command in nagios.cfg or icinga.cfg):

  define command {
    command_name  understudy_service
    command_line  /usr/bin/understudy-ocsp service '$HOSTNAME$' '$SERVICEDESC$' '$SERVICESTATEID$' '$SERVICEOUTPUT$' \
--perfdata '$SERVICEPERFDATA$' --long '$LONGSERVICEOUTPUT$' --check-time '$LASTSERVICECHECK$' \
--state-type '$SERVICESTATETYPE$' --attempt '$SERVICEATTEMPT$' --check-type '$SERVICECHECKTYPE$'
  }
";

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Help,
    Version,
    Deliver(Box<Order>),
}

/// A result, and where it may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) handover: HandOver,
    pub(crate) socket: PathBuf,
    pub(crate) spill: PathBuf,
}

/// What is wrong with the command line, for the person who wrote the core's command definition.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UsageError(pub(crate) String);

/// Reads the arguments after the program's name. `now_us` is the check time unless one is told.
pub(crate) fn parse(mut args: impl Iterator<Item = OsString>, now_us: i64) -> Result<Request, UsageError> {
    let kind = args.next().ok_or_else(|| UsageError("nothing to do: begin with service or host".into()))?;
    match kind.as_bytes() {
        b"--help" | b"-h" => Ok(Request::Help),
        b"--version" | b"-V" => Ok(Request::Version),
        b"service" => {
            let [host, description, state, output] = positionals(args.by_ref())?;
            let code = state_code(&state, &SERVICE_STATES)?;
            order(host, Some(description), code, output, args, now_us)
        }
        b"host" => {
            let [host, state, output] = positionals(args.by_ref())?;
            let code = state_code(&state, &HOST_STATES)?;
            order(host, None, code, output, args, now_us)
        }
        other => Err(UsageError(format!("begin with service or host, not with {}", quoted(other)))),
    }
}

const SERVICE_STATES: [&str; 4] = ["OK", "WARNING", "CRITICAL", "UNKNOWN"];
const HOST_STATES: [&str; 3] = ["UP", "DOWN", "UNREACHABLE"];

fn positionals<const N: usize>(args: &mut impl Iterator<Item = OsString>) -> Result<[Vec<u8>; N], UsageError> {
    let taken: Vec<_> = args.take(N).map(OsString::into_vec).collect();
    taken.try_into().map_err(|taken: Vec<_>| {
        let got = taken.len();
        UsageError(format!("{got} of {N} arguments: each macro needs its own quotes, even when it is empty"))
    })
}

fn order(
    host: Vec<u8>,
    service: Option<Vec<u8>>,
    code: i16,
    output: Vec<u8>,
    options: impl Iterator<Item = OsString>,
    now_us: i64,
) -> Result<Request, UsageError> {
    if host.is_empty() || service.as_ref().is_some_and(Vec::is_empty) {
        return Err(UsageError("HOST and DESCRIPTION must not be empty: does this core know the macros?".into()));
    }
    let handover = HandOver {
        id: new_id(),
        host,
        service,
        code,
        output,
        perfdata: Vec::new(),
        long_output: Vec::new(),
        check_time_us: now_us,
        state_type: None,
        attempt: None,
        check_type: None,
    };
    let mut order = Order { handover, socket: DEFAULT_SOCKET.into(), spill: spill::DEFAULT_DIRECTORY.into() };
    let mut options = options.map(OsString::into_vec);
    while let Some(option) = options.next() {
        let (name, value) = match option.iter().position(|&byte| byte == b'=') {
            Some(at) => (&option[..at], option[at + 1..].to_vec()),
            None => (&option[..], options.next().ok_or_else(|| UsageError(missing_value(&option)))?),
        };
        order.set(name, value)?;
    }
    Ok(Request::Deliver(Box::new(order)))
}

impl Order {
    fn set(&mut self, name: &[u8], value: Vec<u8>) -> Result<(), UsageError> {
        match name {
            b"--perfdata" => self.handover.perfdata = value,
            b"--long" => self.handover.long_output = value,
            b"--socket" => self.socket = OsString::from_vec(value).into(),
            b"--spill" => self.spill = OsString::from_vec(value).into(),
            b"--check-time" => {
                // The core gives 0 for what it never checked.
                if let Some(seconds) = number::<u32>(name, &value)?.filter(|&seconds| seconds != 0) {
                    self.handover.check_time_us = i64::from(seconds) * 1_000_000;
                }
            }
            b"--attempt" => self.handover.attempt = number(name, &value)?,
            b"--state-type" => {
                self.handover.state_type = word(name, &value, [("SOFT", StateType::Soft), ("HARD", StateType::Hard)])?;
            }
            b"--check-type" => {
                self.handover.check_type =
                    word(name, &value, [("ACTIVE", CheckType::Active), ("PASSIVE", CheckType::Passive)])?;
            }
            other if other.starts_with(b"--") => {
                return Err(UsageError(format!("there is no option {}", quoted(other))));
            }
            other => {
                let message = "one argument too many: each macro needs quotes around it";
                return Err(UsageError(format!("{message} ({})", quoted(other))));
            }
        }
        Ok(())
    }
}

/// A word, or a number as it is.
fn state_code(state: &[u8], words: &[&str]) -> Result<i16, UsageError> {
    let by_word = words.iter().position(|word| state.eq_ignore_ascii_case(word.as_bytes()));
    let code = match by_word {
        Some(index) => i16::try_from(index).ok(),
        None => std::str::from_utf8(state).ok().and_then(|text| text.parse().ok()),
    };
    code.ok_or_else(|| UsageError(format!("STATE is {}: {} or a number", quoted(state), words.join(", "))))
}

/// An empty value counts as not told: what the core has nothing to say about must not cost the result.
fn number<N: std::str::FromStr>(name: &[u8], value: &[u8]) -> Result<Option<N>, UsageError> {
    if value.is_empty() {
        return Ok(None);
    }
    let parsed = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    let wrong = || UsageError(format!("{} is {}: give a whole number", quoted(name), quoted(value)));
    parsed.ok_or_else(wrong).map(Some)
}

fn word<T: Copy, const N: usize>(name: &[u8], value: &[u8], words: [(&str, T); N]) -> Result<Option<T>, UsageError> {
    if value.is_empty() {
        return Ok(None);
    }
    let found = words.iter().find(|(word, _)| value.eq_ignore_ascii_case(word.as_bytes()));
    let wrong = || {
        let known = words.map(|(word, _)| word).join(" or ");
        UsageError(format!("{} is {}: give {known}", quoted(name), quoted(value)))
    };
    found.ok_or_else(wrong).map(|&(_, meaning)| Some(meaning))
}

fn missing_value(option: &[u8]) -> String {
    if option.starts_with(b"--") {
        format!("{} needs a value, an empty one in quotes", quoted(option))
    } else {
        format!("one argument too many: each macro needs quotes around it ({})", quoted(option))
    }
}

fn quoted(bytes: &[u8]) -> String {
    format!("'{}'", bytes.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 5_000_000;

    fn parse_words(args: &[&str]) -> Result<Request, UsageError> {
        parse(args.iter().map(OsString::from), NOW)
    }

    fn order_of(args: &[&str]) -> Order {
        match parse_words(args) {
            Ok(Request::Deliver(order)) => *order,
            other => panic!("{other:?}"),
        }
    }

    fn error_of(args: &[&str]) -> String {
        parse_words(args).unwrap_err().0
    }

    #[test]
    fn a_service_with_everything() {
        let args = "service web1 disk / CRITICAL full --perfdata /=90% --long a\\nb --check-time=17 --state-type \
                    hard --attempt 3 --check-type PASSIVE --socket /s --spill=/d";
        let mut args: Vec<_> = args.split_whitespace().collect();
        args.remove(3);
        let order = order_of(&args);
        let handover = order.handover;
        assert_eq!(handover.host, b"web1");
        assert_eq!(handover.service.as_deref(), Some(&b"disk"[..]));
        assert_eq!((handover.code, &handover.output[..]), (2, &b"full"[..]));
        assert_eq!((&handover.perfdata[..], &handover.long_output[..]), (&b"/=90%"[..], &b"a\\nb"[..]));
        assert_eq!((handover.check_time_us, handover.attempt), (17_000_000, Some(3)));
        assert_eq!((handover.state_type, handover.check_type), (Some(StateType::Hard), Some(CheckType::Passive)));
        assert_eq!((order.socket, order.spill), ("/s".into(), "/d".into()));
    }

    #[test]
    fn what_is_not_told() {
        let order = order_of(&["host", "web1", "1", ""]);
        assert_eq!(order.handover.service, None);
        assert_eq!(order.handover.check_time_us, NOW);
        assert_eq!(order.handover.attempt, None);
        assert_eq!(order.socket.to_str(), Some("/run/understudy/ocsp.sock"));
        assert_eq!(order.spill.to_str(), Some("/var/lib/understudy/spill"));
        for time in ["--check-time=0", "--check-time="] {
            assert_eq!(order_of(&["host", "web1", "1", "", time]).handover.check_time_us, NOW);
        }
    }

    #[test]
    fn outputs_and_values_may_look_like_options() {
        let order = order_of(&["service", "h", "s", "0", "--socket=/tmp/evil", "--perfdata", "--long"]);
        assert_eq!(order.handover.output, b"--socket=/tmp/evil");
        assert_eq!(order.handover.perfdata, b"--long");
        assert_eq!(order.socket.to_str(), Some(DEFAULT_SOCKET));
        assert_eq!(order_of(&["host", "h", "0", "--", "--long=a=b"]).handover.long_output, b"a=b");
    }

    #[test]
    fn states() {
        for (state, code) in [("ok", 0), ("Warning", 1), ("CRITICAL", 2), ("unknown", 3), ("7", 7), ("-1", -1)] {
            assert_eq!(order_of(&["service", "h", "s", state, "x"]).handover.code, code);
        }
        for (state, code) in [("UP", 0), ("down", 1), ("UNREACHABLE", 2), ("2", 2)] {
            assert_eq!(order_of(&["host", "h", state, "x"]).handover.code, code);
        }
        assert!(error_of(&["host", "h", "OK", "x"]).contains("UP, DOWN, UNREACHABLE or a number"));
        assert!(error_of(&["service", "h", "s", "99999", "x"]).contains("'99999'"));
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_kept() {
        let args = [&b"host"[..], b"h\xfc", b"0", b"\xff"].map(|bytes| OsString::from_vec(bytes.to_vec()));
        let Ok(Request::Deliver(order)) = parse(args.into_iter(), NOW) else { panic!() };
        assert_eq!((&order.handover.host[..], &order.handover.output[..]), (&b"h\xfc"[..], &b"\xff"[..]));
    }

    #[test]
    fn errors_say_what_to_do() {
        let cases: [(&[&str], &str); 11] = [
            (&[], "begin with service or host"),
            (&["svc"], "not with 'svc'"),
            (&["service", "h", "s", "0"], "3 of 4 arguments"),
            (&["host", "", "0", "x"], "must not be empty"),
            (&["host", "h", "0", "x", "--longer", "y"], "no option '--longer'"),
            (&["host", "h", "0", "two", "words"], "one argument too many"),
            (&["host", "h", "0", "has", "three", "words"], "one argument too many"),
            (&["host", "h", "0", "x", "--perfdata"], "needs a value"),
            (&["host", "h", "0", "x", "--attempt", "many"], "whole number"),
            (&["host", "h", "0", "x", "--state-type", "stiff"], "SOFT or HARD"),
            (&["host", "h", "0", "x", "--check-time=-1"], "whole number"),
        ];
        for (args, expected) in cases {
            let error = error_of(args);
            assert!(error.contains(expected), "{args:?}: {error}");
        }
    }

    #[test]
    fn help_and_version() {
        assert_eq!(parse_words(&["--help"]), Ok(Request::Help));
        assert_eq!(parse_words(&["--version"]), Ok(Request::Version));
        assert!(USAGE.contains(DEFAULT_SOCKET) && USAGE.contains(spill::DEFAULT_DIRECTORY));
    }
}
