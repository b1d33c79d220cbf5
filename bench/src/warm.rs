//! A pair with 100,000 services, each node with a real Nagios 4 that writes its status file every ten seconds: what the sender's
//! reading of it costs, how long a take-over lasts until the standby's core notifies, with the master's memory in it, and how
//! long that core pauses meanwhile.
//!
//! The pause is the longest time in which the core answers nothing at its query socket, and so takes no result and no
//! command.

use std::cell::Cell;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, ensure};
use nagios::status::{BlockKind, StatusReader};

use crate::report::{Row, Target};
use crate::rounds::Spread;
use crate::stage::PASSWORD;
use crate::stage::nagios4::Nagios4;
use crate::stage::programs::{Running, beside, free_port, run};
use crate::stage::results::{Results, Service};

const SERVICES: usize = 100_000;
const RESULTS: Results = Results { count: SERVICES, objects: SERVICES };

/// One in so many is a problem that the master has told of before the standby comes, and another one in so many is one
/// that both cores know and only the master has told of: that is to be merged.
const PROBLEM: usize = 50;
const PROBLEMS: usize = SERVICES / PROBLEM;

/// How many bad results make one.
const ATTEMPTS: usize = 3;

const SETTINGS: &str = "status_update_interval=10\nretain_state_information=1\nretention_update_interval=60\n\
                        use_retained_program_state=0\nlog_notifications=1\nlog_external_commands=1\n\
                        max_concurrent_checks=0\n";

/// How long reading is watched, in status files, each of which has a thirtieth of the services new: a check interval of five
/// minutes.
const FILES: u32 = 4;
const CHANGING: usize = 30;
const INTERVAL: Duration = Duration::from_secs(10);

/// How often the core is asked.
const ASK_EVERY: Duration = Duration::from_millis(5);

/// A site of this size takes minutes to prepare.
pub(crate) fn measure(_rounds: usize) -> Result<Vec<Row>> {
    let pair = Pair::start()?;
    let reading = pair.reading()?;
    let TakeOver { took, pause } = pair.take_over()?;
    let of = "100,000 services";
    let alone = |measure: &str, value: f64, target: Option<Target>| {
        Row::alone(format!("{of}: {measure}"), Spread::of(vec![value]), target)
    };
    let at_most = |most: f64| Some(Target::AtMost(most));
    Ok(vec![
        alone("reading the status file every 10 s, % of a core", 100.0 * reading, at_most(5.0)),
        alone("take-over with the master's memory, until notifications are on, s", took.as_secs_f64(), at_most(10.0)),
        alone("longest pause of the core meanwhile, s", pause.as_secs_f64(), None),
    ])
}

/// Both nodes.
struct Pair {
    master: Nagios4,
    standby: Nagios4,
    sender: Running,
    receiver: Running,
    directory: tempfile::TempDir,
}

struct TakeOver {
    took: Duration,
    pause: Duration,
}

impl Pair {
    /// A pair whose standby has all of the master's book, and the state of every service.
    fn start() -> Result<Pair> {
        let directory = tempfile::tempdir()?;
        let [at_master, at_standby] = ["master-core", "standby-core"].map(|name| directory.path().join(name));
        let mut master = Nagios4::start_with(&at_master, RESULTS, &format!("{SETTINGS}enable_notifications=1\n"))?;
        tell(&[&master], |number| (!number.is_multiple_of(PROBLEM)).then_some(0))?;
        for _ in 0..ATTEMPTS {
            tell(&[&master], |number| number.is_multiple_of(PROBLEM).then_some(2))?;
        }
        wait_until_told(&mut master, PROBLEMS)?;
        let mut standby = Nagios4::start_with(&at_standby, RESULTS, &format!("{SETTINGS}enable_notifications=0\n"))?;
        let port = free_port()?;
        let mut receiver = run(directory.path(), "standby.toml", &standby_config(directory.path(), &standby, port))?;
        receiver.wait_until_it_serves(port)?;
        let sender = run(directory.path(), "master.toml", &master_config(directory.path(), &master, port))?;
        let status = standby.path("status.dat");
        standby.wait_for("the standby knows every service", || Ok(checked(&status)? == SERVICES))?;
        wait_until_told(&mut standby, PROBLEMS)?;
        Ok(Pair { master, standby, sender, receiver, directory })
    }

    /// What the master's daemon takes of a processor while its core goes on checking. Both cores get the results: they are not
    /// what is measured.
    fn reading(&self) -> Result<f64> {
        let (begin, before) = (Instant::now(), self.sender.processor_time()?);
        for file in 0..FILES {
            let first = usize::try_from(file)?;
            tell(&[&self.master, &self.standby], |number| {
                (number % CHANGING == first && !number.is_multiple_of(PROBLEM)).then_some(0)
            })?;
            std::thread::sleep((INTERVAL * (file + 1)).saturating_sub(begin.elapsed()));
        }
        Ok((self.sender.processor_time()? - before).div_duration_f64(begin.elapsed()))
    }

    /// An operator has the standby take over, after more problems.
    fn take_over(mut self) -> Result<TakeOver> {
        for _ in 0..ATTEMPTS {
            tell(&[&self.master, &self.standby], |number| (number % PROBLEM == 1).then_some(2))?;
        }
        wait_until_told(&mut self.master, 2 * PROBLEMS)?;
        let watch = Watch::start(self.standby.path("nagios.qh"));
        let log = self.standby.path("nagios.log");
        let begin = Instant::now();
        let ordered = Command::new(beside("understudy")?)
            .args(["takeover", "--config"])
            .arg(self.directory.path().join("standby.toml"))
            .output()?;
        ensure!(ordered.status.success(), "understudy takeover: {}", String::from_utf8_lossy(&ordered.stderr));
        let enabled = Cell::new(begin);
        self.standby.wait_for("the standby's core notifies", || {
            enabled.set(Instant::now());
            Ok(fs::read_to_string(&log)?.contains("EXTERNAL COMMAND: ENABLE_NOTIFICATIONS"))
        })?;
        let took = enabled.get() - begin;
        wait_until_told(&mut self.standby, 2 * PROBLEMS)?;
        // What it reads, it reads before it enables; what it saves, before that.
        let pause = watch.end()?;
        self.receiver.terminate()?;
        Ok(TakeOver { took, pause })
    }
}

/// Asks a core again and again, and knows the longest time that an answer took.
struct Watch {
    ends: Arc<AtomicBool>,
    thread: JoinHandle<Result<Duration>>,
}

impl Watch {
    fn start(socket: PathBuf) -> Self {
        let ends = Arc::<AtomicBool>::default();
        let thread = std::thread::spawn({
            let ends = ends.clone();
            move || {
                let mut longest = Duration::ZERO;
                while !ends.load(Ordering::Relaxed) {
                    let begin = Instant::now();
                    let mut stream = UnixStream::connect(&socket).context("the core's query socket")?;
                    stream.write_all(b"#echo x\0")?;
                    stream.read_exact(&mut [0])?;
                    longest = longest.max(begin.elapsed());
                    std::thread::sleep(ASK_EVERY);
                }
                Ok(longest)
            }
        });
        Watch { ends, thread }
    }

    fn end(self) -> Result<Duration> {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.join().expect("the thread does not panic")
    }
}

/// Gives cores the results that they would have of their own checks.
fn tell(cores: &[&Nagios4], code: impl Fn(usize) -> Option<u8>) -> Result<()> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let mut lines = String::new();
    for (number, Service { host, description, output }) in RESULTS.iter().enumerate() {
        if let Some(code) = code(number) {
            writeln!(lines, "[{now}] PROCESS_SERVICE_CHECK_RESULT;{host};{description};{code};{output}")?;
        }
    }
    for core in cores {
        OpenOptions::new().write(true).open(core.command_file())?.write_all(lines.as_bytes())?;
    }
    Ok(())
}

/// Waits until a core shows that somebody was told of so many problems, by itself or by what it was given.
fn wait_until_told(core: &mut Nagios4, problems: usize) -> Result<()> {
    let status = core.path("status.dat");
    core.wait_for("all notifications are known", || Ok(notified(&status)? == problems))
}

/// How many services somebody was told of, by a status file.
fn notified(status_file: &Path) -> Result<usize> {
    count(status_file, |memory| memory.notifications > 0)
}

/// How many services have a state, by a status file.
fn checked(status_file: &Path) -> Result<usize> {
    count(status_file, |memory| memory.checked)
}

fn count(status_file: &Path, is_one: impl Fn(&nagios::Memory) -> bool) -> Result<usize> {
    // Not to look all the time: it is 130 MB.
    std::thread::sleep(Duration::from_secs(1));
    let mut reader = StatusReader::new(BufReader::new(fs::File::open(status_file)?));
    let mut found = 0;
    while let Some(block) = reader.next_block()? {
        found +=
            usize::from(block.kind() == BlockKind::Service && block.memory().is_some_and(|memory| is_one(&memory)));
    }
    Ok(found)
}

fn master_config(directory: &Path, core: &Nagios4, port: u16) -> String {
    let path = directory.display();
    format!(
        "[node]\nname = \"master\"\nstate_directory = \"{path}/master\"\ncontrol_socket = \"{path}/master.sock\"\n\
         [core]\nmain_config = \"{}\"\n\
         [sender]\nsocket = \"{path}/ocsp.sock\"\nspill = \"{path}/spill\"\n\
         [[sender.destination]]\nname = \"standby\"\naddress = \"127.0.0.1:{port}\"\npassword = \"{PASSWORD}\"\n",
        core.main_config().display()
    )
}

fn standby_config(directory: &Path, core: &Nagios4, port: u16) -> String {
    let path = directory.display();
    format!(
        "[node]\nname = \"standby\"\nstate_directory = \"{path}/standby\"\ncontrol_socket = \"{path}/standby.sock\"\n\
         [core]\nmain_config = \"{}\"\n\
         [[receiver.listener]]\naddress = \"127.0.0.1:{port}\"\npassword = \"{PASSWORD}\"\n\
         [failover]\nrole = \"standby\"\n[failover.heartbeat]\nnode = \"master\"\n",
        core.main_config().display()
    )
}
