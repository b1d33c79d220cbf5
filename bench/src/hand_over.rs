//! One hand-over by the core, from the start of a process to its end: `understudy-ocsp`, whose exit says that the sender has
//! written the result, against the documented ocsp script, which sends it to a stock `nsca`. And against `/bin/true`, which is
//! what a process costs that does nothing. µs.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nsca::Method;

use crate::report::{Row, Target};
use crate::rounds;
use crate::stage::drain::Drain;
use crate::stage::programs::{OurSender, free_port, send_nsca_config, stock_nsca, understudy_ocsp};
use crate::stage::results::Results;

const METHOD: Method = Method::Rijndael128;

/// As many processes run one after the other on each side of a round.
const PROCESSES: u32 = 200;

/// The processes are short: more rounds cost little, and other work on the machine shows less.
const MORE_ROUNDS: usize = 4;

pub(crate) fn measure(rounds: usize) -> Result<Vec<Row>> {
    let directory = tempfile::tempdir()?;
    let drain = Drain::new(directory.path().join("nagios.cmd"))?;
    let (_nsca, port) = stock_nsca(directory.path(), METHOD, drain.path())?;
    let script = script(directory.path(), port)?;
    // Nobody listens there: what is handed over stays in the spool.
    let sender = OurSender::new(directory.path(), METHOD, free_port()?, "")?.start_with(Results::new(1))?;
    let program = understudy_ocsp()?;
    let socket = directory.path().join("ocsp.sock");
    let ours = || {
        time(Command::new(&program).args(["service", HOST, SERVICE, "0", OUTPUT]).arg("--socket").arg(&socket))
            .context("understudy-ocsp")
    };
    let stock = || time(Command::new(&script).args([HOST, SERVICE, "OK", OUTPUT])).context("the documented script");
    let nothing = || time(&mut Command::new("/bin/true"));
    let against_script = rounds::compare(rounds * MORE_ROUNDS, stock, ours)?;
    let against_nothing = rounds::compare(rounds * MORE_ROUNDS, nothing, ours)?;
    drop(sender);
    let multiple = "an ocsp hand-over, as a multiple of /bin/true".to_owned();
    Ok(vec![
        Row::of("an ocsp hand-over against the documented script, µs".to_owned(), against_script, Target::Ratio(4.0)),
        Row::alone(multiple, against_nothing.ratio.inverse(), Target::AtMost(1.5)),
    ])
}

const HOST: &str = "web1.example.org";
const SERVICE: &str = "HTTP 1";
const OUTPUT: &str = "HTTP OK: HTTP/1.1 200 OK - 1234 bytes in 0.043 second response time |time=0.043s;;;0.0;10.0";

/// Runs it many times; how long once took.
fn time(command: &mut Command) -> Result<Duration> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let begin = Instant::now();
    for _ in 0..PROCESSES {
        ensure!(command.status()?.success(), "{} failed", command.get_program().display());
    }
    Ok(begin.elapsed() / PROCESSES)
}

/// The script that the documentation of Nagios and Icinga gives for `ocsp_command`, in our words.
fn script(directory: &Path, port: u16) -> Result<PathBuf> {
    let (path, config) = (directory.join("submit_check_result"), send_nsca_config(directory, METHOD)?);
    let text = format!(
        "#!/bin/sh\n\
         case \"$3\" in\n  OK) code=0 ;;\n  WARNING) code=1 ;;\n  CRITICAL) code=2 ;;\n  *) code=3 ;;\nesac\n\
         /usr/bin/printf \"%s\\t%s\\t%s\\t%s\\n\" \"$1\" \"$2\" \"$code\" \"$4\" | \
         /usr/sbin/send_nsca -H 127.0.0.1 -p {port} -c {}\n",
        config.display()
    );
    std::fs::write(&path, text)?;
    std::fs::set_permissions(&path, Permissions::from_mode(0o755))?;
    Ok(path)
}
