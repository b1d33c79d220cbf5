//! Two real Nagios 4: what the master's core checks, the standby's core shows.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nagios::Object;
use support::nagios4::{ILLEGAL_MACRO_OUTPUT_CHARS, Nagios4, Objects, Shown, obsessing};
use support::process::{Running, UNDERSTUDY};
use support::standby::{PASSWORD, Standby, write_secret};
use support::wait;
use tempfile::TempDir;

const HOSTS: usize = 50;
const SERVICES_PER_HOST: usize = 10;
const OBJECTS: usize = HOSTS * (1 + SERVICES_PER_HOST);

/// Seconds between two checks of one object.
const INTERVAL: u32 = 4;

/// How long it may take until a change of everything is through.
const CHANGE_WITHIN: Duration = Duration::from_secs(40);

/// How long the states of everything go on changing.
const CHANGES_FOR: Duration = Duration::from_secs(60);

/// A check whose state and texts follow from its object and the phase, with what shells and cores stumble over.
const CHECK: &str = r#"read phase < "${0%check.sh}phase"
number=$3
if [ -n "$2" ]; then state=$(( (number * 7 + phase * 3) % 4 )); else state=$(( (number + phase) % 5 == 0 ? 2 : 0 )); fi
case $(( number % 4 )) in
0) printf '%s\n' "phase $phase of $1 $2 | time=${phase}.${number}s;1;2;0; size=${number}B" ;;
1) printf '%s\n' "phase $phase $1: \"double\" 'single' \$dollar \`tick\` <tag> & ~ C:\\new\\table | 'a label'=$number;;;; b=2" \
   "second line: \\n is not a newline; \"\$HOME\" \`id\` 100%" "third line	with a tab | 'more data'=$phase" ;;
2) printf '%s\n' "phase $phase; Größe ändert sich – naïve “quotes” ($1)" "long output only" "" "after an empty line" ;;
3) printf '%s\n' "phase $phase" ;;
esac
exit $state
"#;

/// A check that must never run: the standby's core only listens.
const NEVER: &str = "echo 'the standby ran a check of its own'\nexit 3\n";

/// Everything that runs: dropped in this order.
struct Pair {
    master: Nagios4,
    sender: Running,
    standby: Nagios4,
    _receiver: Running,
    phase: PathBuf,
    _directory: TempDir,
}

/// How the master's core tells its results.
enum Intake {
    Ocsp,
    PerfdataFifo,
}

impl Pair {
    fn start(intake: &Intake) -> Self {
        let directory = TempDir::new().unwrap();
        let (master_directory, standby_directory) = (directory.path().join("master"), directory.path().join("standby"));
        fs::create_dir(&master_directory).unwrap();
        fs::create_dir(&standby_directory).unwrap();
        let phase = master_directory.join("phase");
        fs::write(&phase, "0\n").unwrap();

        let standby = start_core(&standby_directory, NEVER, "execute_service_checks=0\nexecute_host_checks=0\n", &[]);
        let receiver = Running::start(Command::new(UNDERSTUDY).args(["run", "--config"]).arg(write_secret(
            &standby_directory.join("understudy.toml"),
            &format!(
                "[node]\nname = \"standby\"\nstate_directory = \"{0}/state\"\n\
                 control_socket = \"{0}/control.sock\"\n[core]\nmain_config = \"{1}\"\n[[receiver.listener]]\n\
                 address = \"127.0.0.1:0\"\npassword = \"{PASSWORD}\"\n",
                standby_directory.display(),
                standby.main_config().display()
            ),
        )));
        receiver.wait_for("receiver listens");
        let address = wait::until("the bound address", || Standby::listening_address(&receiver.said()));
        let sender = start_sender(&master_directory, intake, &address.to_string());
        let master = start_master(&master_directory, intake);
        Pair { master, sender, standby, _receiver: receiver, phase, _directory: directory }
    }

    /// Changes every state and text, and waits until the standby shows all of it.
    fn change(&self, phase: u32) {
        fs::write(&self.phase, format!("{phase}\n")).unwrap();
        let deadline = Instant::now() + CHANGE_WITHIN;
        loop {
            let shown = self.standby.shown();
            let of_this_phase = format!("phase {phase}");
            let behind = shown.iter().find(|(_, shown)| !shown.output.starts_with(&of_this_phase));
            if shown.len() == OBJECTS && behind.is_none() {
                return;
            }
            assert!(Instant::now() < deadline, "{} of {OBJECTS} shown; not of phase {phase}: {behind:?}", shown.len());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Stops the master's checks and waits until both cores show the same, as `comparable` sees it.
    fn settle(&self, comparable: impl Fn(&Shown) -> Shown) {
        self.master.command("STOP_EXECUTING_SVC_CHECKS");
        self.master.command("STOP_EXECUTING_HOST_CHECKS");
        let seen = |core: &Nagios4| -> BTreeMap<Object, Shown> {
            core.shown().into_iter().map(|(object, shown)| (object, comparable(&shown))).collect()
        };
        let deadline = Instant::now() + wait::SOON;
        loop {
            let (master, standby) = (seen(&self.master), seen(&self.standby));
            if master == standby && master.len() == OBJECTS {
                return;
            }
            assert!(Instant::now() < deadline, "the cores differ: {}", differences(&master, &standby));
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

fn start_core(directory: &Path, check: &str, settings: &str, commands: &[(&str, &str)]) -> Nagios4 {
    let script = directory.join("check.sh");
    fs::write(&script, check).unwrap();
    let objects = Objects { hosts: HOSTS, services_per_host: SERVICES_PER_HOST, check: script, interval: INTERVAL };
    Nagios4::start(directory, &objects, settings, commands)
}

fn start_sender(directory: &Path, intake: &Intake, standby: &str) -> Running {
    let path = directory.display();
    let fifo = match intake {
        Intake::Ocsp => String::new(),
        Intake::PerfdataFifo => format!("perfdata_fifo = \"{path}/perfdata.fifo\"\n"),
    };
    let config = format!(
        "[node]\nname = \"master\"\nstate_directory = \"{path}\"\ncontrol_socket = \"{path}/control.sock\"\n[core]\nstatus_file = \"{path}/status.dat\"\n\
         [sender]\nsocket = \"{path}/ocsp.sock\"\nspill = \"{path}/spill\"\n{fifo}\
         [[sender.destination]]\nname = \"standby\"\naddress = \"{standby}\"\npassword = \"{PASSWORD}\"\n"
    );
    let config = write_secret(&directory.join("understudy.toml"), &config);
    let sender = Running::start(Command::new(UNDERSTUDY).args(["run", "--config"]).arg(config));
    sender.wait_for("sender sends");
    sender
}

fn start_master(directory: &Path, intake: &Intake) -> Nagios4 {
    match intake {
        Intake::Ocsp => {
            let (settings, commands) = obsessing(directory);
            let commands: Vec<(&str, &str)> = commands.iter().map(|(name, line)| (*name, line.as_str())).collect();
            start_core(directory, CHECK, &settings, &commands)
        }
        Intake::PerfdataFifo => {
            let settings = sender::perfdata::template::core_configuration(&directory.join("perfdata.fifo"));
            start_core(directory, CHECK, &settings, &[])
        }
    }
}

fn differences(master: &BTreeMap<Object, Shown>, standby: &BTreeMap<Object, Shown>) -> String {
    let differing: Vec<_> =
        master.iter().filter(|(object, shown)| standby.get(object) != Some(shown)).map(|(object, _)| object).collect();
    let first =
        differing.first().map(|object| format!("{object}: {:#?} {:#?}", master.get(object), standby.get(object)));
    format!("{} of {}, such as {}", differing.len(), master.len(), first.unwrap_or_default())
}

/// Without what the core strips from macros before it executes a command: the characters of its configuration, and
/// control characters.
fn stripped(shown: &Shown) -> Shown {
    let is_stripped = |c: char| ILLEGAL_MACRO_OUTPUT_CHARS.contains(c) || (c.is_ascii_control() && c != '\n');
    let strip = |text: &str| text.chars().filter(|c| !is_stripped(*c)).collect();
    Shown {
        state: shown.state,
        output: strip(&shown.output),
        performance_data: strip(&shown.performance_data),
        long_output: strip(&shown.long_output),
    }
}

fn change_for_a_minute(pair: &Pair) {
    let end = Instant::now() + CHANGES_FOR;
    let mut phase = 0;
    while Instant::now() < end {
        phase += 1;
        pair.change(phase);
    }
    assert!(phase >= 4, "only {phase} changes in {CHANGES_FOR:?}");
}

#[test]
fn the_standby_shows_what_the_master_checked_through_ocsp_command() {
    let mut pair = Pair::start(&Intake::Ocsp);
    change_for_a_minute(&pair);
    pair.settle(stripped);
    assert_eq!(pair.sender.terminate().code(), Some(0));
}

#[test]
fn the_standby_shows_what_the_master_checked_through_the_perfdata_fifo() {
    let mut pair = Pair::start(&Intake::PerfdataFifo);
    change_for_a_minute(&pair);
    pair.settle(Shown::clone);
    assert_eq!(pair.sender.terminate().code(), Some(0));
}
