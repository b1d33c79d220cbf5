//! The injector with a real FIFO and a real journal; the test plays the core.

use std::fs::{self, File, OpenOptions};
use std::io::Read as _;
use std::num::NonZeroU32;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use ModeCommand::{
    DisableNotifications as DISABLE, EnableNotifications as ENABLE, ReadStateInformation as READ,
    SaveStateInformation as SAVE, StopExecutingServiceChecks as STOP,
};
use config::Route;
use nagios::ModeCommand;
use nagios::command::ObjectCommand;
use nagios::echo::Echoes;
use nix::sys::stat::Mode;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::*;
use crate::catching_up::Chase;
use crate::commands::{Progress, Ticket};
use crate::journal::{Journal, testing};

/// The deadline of a condition that should come true soon.
const SOON: Duration = Duration::from_secs(20);

/// A pipe of one page holds what one write brings, and no more until it is read.
const ONE_PAGE: i32 = 4096;

struct Stage {
    runtime: Runtime,
    directory: TempDir,
    journal: Arc<Journal>,
    injector: Option<Injector>,
    echoes: Arc<Mutex<Echoes>>,
    counters: Arc<Counters>,
}

/// What plays the core: it reads when the test wants it to.
struct Core {
    fifo: File,
    bytes: Vec<u8>,
}

/// What a test wants to be different.
#[derive(Default)]
struct Options {
    max_rate: Option<u32>,
    /// The content of the status file.
    status: Option<String>,
}

impl Stage {
    /// A receiver without a core: there is not even a FIFO.
    fn start(options: &Options) -> Self {
        let directory = TempDir::new().unwrap();
        let (echoes, counters) = (Arc::default(), Arc::default());
        let (journal, tail) = testing::open(directory.path(), &counters);
        let status_file = options.status.as_ref().map(|status| {
            let path = directory.path().join("status.dat");
            fs::write(&path, status).unwrap();
            path
        });
        let config = config::Receiver {
            listeners: Vec::new(),
            limits: config::Limits::default(),
            route: Route::CommandFile(fifo(directory.path())),
            flavour: Flavour::Nagios4,
            max_rate: options.max_rate.map(|rate| NonZeroU32::new(rate).unwrap()),
            journal: Some(config::Journal { status_file, ..testing::config(directory.path()) }),
            dump_file: None,
        };
        let runtime = Runtime::new().unwrap();
        let injector = {
            let _runtime = runtime.enter();
            let expected = ExpectedEchoes::new(Some(Arc::clone(&echoes)));
            Injector::start(&config, Waiting::Journal(Box::new(tail)), expected, Arc::clone(&counters)).unwrap()
        };
        Stage { runtime, directory, journal, injector: Some(injector), echoes, counters }
    }

    fn with_core(options: &Options) -> (Self, Core) {
        let stage = Stage::start(options);
        let core = stage.core();
        (stage, core)
    }

    /// A core comes.
    fn core(&self) -> Core {
        Core::start(&fifo(self.directory.path()))
    }

    /// See [`testing::result`].
    fn append(&self, outputs: impl IntoIterator<Item = impl AsRef<str>>) {
        let outputs: Vec<String> = outputs.into_iter().map(|output| output.as_ref().to_owned()).collect();
        testing::append(&self.journal, &outputs.iter().map(String::as_str).collect::<Vec<_>>());
    }

    fn issue(&self, commands: &[ModeCommand]) -> Ticket {
        self.injector().commands().issue(commands.to_vec())
    }

    fn written(&self, ticket: Ticket) -> Result<(), NotWritten> {
        self.runtime.block_on(async { tokio::time::timeout(SOON, ticket.written()).await }).expect("an answer in time")
    }

    fn injected(&self) -> usize {
        usize::try_from(self.counters.read().injected).unwrap()
    }

    fn injector(&self) -> &Injector {
        self.injector.as_ref().expect("only its end takes it")
    }

    /// Ends the injector as the daemon does.
    fn stop(&mut self) -> crate::Counts {
        if let Some(injector) = self.injector.take() {
            self.runtime.block_on(injector.stop(Instant::now() + SOON));
        }
        self.counters.read()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // The thread needs the runtime to its end.
        self.stop();
    }
}

impl Core {
    fn start(path: &Path) -> Self {
        if !path.exists() {
            nix::unistd::mkfifo(path, Mode::from_bits_truncate(0o600)).unwrap();
        }
        let fifo = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path).unwrap();
        Core { fifo, bytes: Vec::new() }
    }

    /// Makes the pipe as small as it can be.
    fn with_one_page(self) -> Self {
        nix::fcntl::fcntl(&self.fifo, nix::fcntl::FcntlArg::F_SETPIPE_SZ(ONE_PAGE)).unwrap();
        self
    }

    /// What it was told so far: outputs of results, names of commands.
    fn told(&mut self) -> Vec<String> {
        let mut buffer = [0; 1 << 16];
        while let Ok(n @ 1..) = self.fifo.read(&mut buffer) {
            self.bytes.extend_from_slice(&buffer[..n]);
        }
        let text = String::from_utf8(self.bytes.clone()).unwrap();
        text.lines().map(|line| line.rsplit([';', ' ']).next().unwrap().to_owned()).collect()
    }

    #[track_caller]
    fn wait_for(&mut self, count: usize) -> Vec<String> {
        wait_until(&format!("{count} lines"), || Some(self.told()).filter(|told| told.len() >= count))
    }
}

fn fifo(directory: &Path) -> PathBuf {
    directory.join("nagios.cmd")
}

#[track_caller]
fn wait_until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The hosts a to y, one after the other, again and again.
fn outputs(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{}{n:060}", char::from(b'a' + u8::try_from(n % 25).unwrap()))).collect()
}

/// The last of each host.
fn newest(outputs: &[String]) -> Vec<String> {
    outputs[outputs.len() - 25..].to_vec()
}

#[test]
fn what_silences_overtakes_a_portion_that_a_full_fifo_holds_up() {
    let (stage, core) = Stage::with_core(&Options::default());
    let mut core = core.with_one_page();
    let outputs = outputs(500);
    stage.append(&outputs);
    // The first write fills the pipe.
    let taken = wait_until("the first write", || Some(stage.injected()).filter(|n| *n > 0));
    assert!(taken < 100, "the pipe took {taken} results");
    let ticket = stage.issue(&[DISABLE, STOP]);
    let told = core.wait_for(502);
    let place = told.iter().position(|line| line == "DISABLE_NOTIFICATIONS").unwrap();
    assert!(place <= taken + 100, "written behind {place} results, when {taken} had been");
    assert_eq!(told[place + 1], "STOP_EXECUTING_SVC_CHECKS");
    assert_eq!(stage.written(ticket), Ok(()));
    let results: Vec<&String> = told[..place].iter().chain(&told[place + 2..]).collect();
    assert_eq!(results, outputs.iter().collect::<Vec<_>>(), "each result once and in order");
}

#[test]
fn what_enables_comes_after_the_newest_of_each_object_also_of_what_was_under_way() {
    let (mut stage, core) = Stage::with_core(&Options::default());
    let mut core = core.with_one_page();
    let outputs = outputs(2000);
    stage.append(&outputs);
    let taken = wait_until("the first write", || Some(stage.injected()).filter(|n| *n > 0));
    let ticket = stage.issue(&[DISABLE, ENABLE]);
    let told =
        wait_until("the command", || Some(core.told()).filter(|t| t.last().is_some_and(|l| l.starts_with("EN"))));
    assert_eq!(stage.written(ticket), Ok(()));
    let disabled = told.iter().position(|line| line == "DISABLE_NOTIFICATIONS").unwrap();
    assert!(disabled <= taken + 100, "what silences does not wait");
    assert_eq!(told[disabled + 1..told.len() - 1], newest(&outputs), "what silences goes ahead, and nothing else");
    let counts = stage.stop();
    assert_eq!(counts.superseded + counts.injected, 2000);
}

/// How many bytes of a FIFO of one page are left when this has been written.
const NEARLY_A_PAGE: usize = 4000;

#[test]
fn what_reads_saves_and_enables_goes_in_one_write_behind_results() {
    let (stage, core) = Stage::with_core(&Options::default());
    let mut core = core.with_one_page();
    // There is room for one of the three lines behind it, and for two.
    let mut shortest = Vec::new();
    let _ = nagios::command::process_check_result(Flavour::Nagios4, &testing::result("y").result, &mut shortest);
    stage.append(["y".repeat(NEARLY_A_PAGE - shortest.len() + 1)]);
    let ticket = stage.issue(&[READ, SAVE, ENABLE]);
    wait_until("the full FIFO", || matches!(ticket.progress(), Progress::Waits(Waits::Core(_))).then_some(()));
    let mut page = [0; ONE_PAGE as usize];
    let first = core.fifo.read(&mut page).unwrap();
    assert_eq!(first, NEARLY_A_PAGE, "nothing of it was written yet: {}", String::from_utf8_lossy(&page[..first]));
    let told = core.wait_for(3);
    assert_eq!(told, ["READ_STATE_INFORMATION", "SAVE_STATE_INFORMATION", "ENABLE_NOTIFICATIONS"]);
    assert_eq!(stage.written(ticket), Ok(()));
}

fn remove_acknowledgement(host: &str) -> ObjectCommand {
    let object = nagios::Object::Host(nagios::HostName::try_from(host).unwrap());
    ObjectCommand { object, entered: 7, order: nagios::command::Order::RemoveAcknowledgement }
}

#[test]
fn what_is_said_of_objects_comes_behind_all_results_and_before_what_enables() {
    let (mut stage, core) = Stage::with_core(&Options::default());
    let mut core = core.with_one_page();
    let outputs = outputs(300);
    stage.append(&outputs);
    wait_until("the first write", || (stage.injected() > 0).then_some(()));
    let commands: Vec<_> = (0..500).map(|n| remove_acknowledgement(&format!("host-{n:0500}"))).collect();
    let errand = stage.injector().commands().issue_objects(&commands);
    let told = core.wait_for(300);
    assert_eq!(told[..300], outputs, "they are not reduced");
    let ticket = stage.issue(&[DISABLE, ENABLE]);
    let told = core.wait_for(802);
    assert_eq!((stage.written(errand), stage.written(ticket)), (Ok(()), Ok(())));
    let said: Vec<&String> = told[300..].iter().filter(|line| !line.ends_with("NOTIFICATIONS")).collect();
    assert!(said.iter().enumerate().all(|(n, line)| **line == format!("host-{n:0500}")), "whole and in order");
    assert_eq!(told[801], "ENABLE_NOTIFICATIONS");
    assert_eq!(stage.stop().injected, 300, "they are no results");
}

#[test]
fn what_is_said_of_objects_is_for_the_core_that_runs() {
    let stage = Stage::start(&Options::default());
    let errand = stage.injector().commands().issue_objects(&[remove_acknowledgement("a")]);
    assert_eq!(stage.written(errand), Err(NotWritten::CoreGone));
    let mut core = stage.core().with_one_page();
    stage.append(["a1"]);
    core.wait_for(1);
    let long: Vec<_> = (0..100).map(|n| remove_acknowledgement(&format!("host-{n:0500}"))).collect();
    let errand = stage.injector().commands().issue_objects(&long);
    wait_until("the first page", || (core.told().len() > 1).then_some(()));
    drop(core);
    assert_eq!(stage.written(errand), Err(NotWritten::CoreGone));
    let mut next = stage.core();
    stage.append(["b1"]);
    wait_until("the next result", || next.told().contains(&"b1".to_owned()).then_some(()));
    assert!(!next.told().iter().any(|line| line.starts_with("host-")), "{:?}", next.told());
}

#[test]
fn commands_wait_for_the_core_and_the_newest_word_counts() {
    let mut stage = Stage::start(&Options::default());
    let outputs = outputs(100);
    stage.append(&outputs[..50]);
    let first = stage.issue(&[ENABLE, SAVE]);
    wait_until("why it waits", || match first.progress() {
        Progress::Waits(Waits::Core(reason)) => {
            assert!(reason.contains("does not exist"), "{reason}");
            Some(())
        }
        Progress::Waits(Waits::Turn) => None,
        other => panic!("{other:?}"),
    });
    let second = stage.issue(&[ENABLE]);
    assert_eq!(stage.written(first), Err(NotWritten::Replaced));
    // What comes while there is no core comes before the command, too.
    stage.append(&outputs[50..]);
    let mut core = stage.core();
    let told = core.wait_for(27);
    assert_eq!(told[..25], newest(&outputs));
    assert_eq!(told[25..], ["SAVE_STATE_INFORMATION", "ENABLE_NOTIFICATIONS"]);
    assert_eq!(stage.written(second), Ok(()));
    let third = stage.issue(&[DISABLE]);
    assert_eq!(core.wait_for(28)[27], "DISABLE_NOTIFICATIONS");
    assert_eq!(stage.written(third), Ok(()));
    let late = stage.injector().commands();
    stage.stop();
    let runtime = Runtime::new().unwrap();
    assert_eq!(runtime.block_on(late.issue(vec![ENABLE]).written()), Err(NotWritten::Stopped));
}

#[test]
fn commands_that_wait_for_results_do_not_wait_for_the_core_any_more() {
    let stage = Stage::start(&Options { max_rate: Some(1), ..Options::default() });
    stage.append(outputs(3));
    let ticket = stage.issue(&[ENABLE]);
    wait_until("the core's absence", || matches!(ticket.progress(), Progress::Waits(Waits::Core(_))).then_some(()));
    let core = stage.core();
    wait_until("the backlog's turn", || (ticket.progress() == Progress::Waits(Waits::Turn)).then_some(()));
    assert_eq!(stage.written(ticket), Ok(()));
    drop(core);
}

#[test]
fn a_core_that_dies_meanwhile_gets_what_came_since_before_what_enables() {
    let (stage, core) = Stage::with_core(&Options::default());
    let core = core.with_one_page();
    let outputs = outputs(500);
    stage.append(&outputs[..250]);
    wait_until("the first write", || (stage.injected() > 0).then_some(()));
    let ticket = stage.issue(&[ENABLE]);
    wait_until("the backlog to be measured", || (!stage.injector().desk.lacks_mark()).then_some(()));
    drop(core);
    wait_until("why it waits", || matches!(ticket.progress(), Progress::Waits(Waits::Core(_))).then_some(()));
    stage.append(&outputs[250..]);
    let mut core = stage.core();
    let is_enabled = |told: &Vec<String>| told.iter().any(|line| line == "ENABLE_NOTIFICATIONS");
    let told = wait_until("the command", || Some(core.told()).filter(is_enabled));
    assert_eq!(stage.written(ticket), Ok(()));
    let enabled = told.iter().position(|line| line == "ENABLE_NOTIFICATIONS").unwrap();
    assert!(newest(&outputs).iter().all(|last| told[..enabled].contains(last)), "{told:?}");
    assert_eq!(told.len(), enabled + 1, "nothing old follows");
}

#[test]
fn commands_are_not_paced_behind_results() {
    const RATE: usize = 200;
    let (stage, mut core) = Stage::with_core(&Options { max_rate: Some(200), ..Options::default() });
    let start = Instant::now();
    let outputs = outputs(3 * RATE);
    stage.append(&outputs);
    // One second's worth goes at once, the others at their pace.
    let before = core.wait_for(RATE + 1).len();
    let ticket = stage.issue(&[DISABLE]);
    assert_eq!(stage.written(ticket), Ok(()));
    let disabled = core.told().iter().position(|line| line == "DISABLE_NOTIFICATIONS").unwrap();
    assert!(disabled <= before + RATE / 2, "behind {disabled} results, when {before} had been written");
    let told = core.wait_for(3 * RATE + 1);
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(1900), "{took:?} for 3 seconds' worth of results, of which one goes at once");
    let results: Vec<String> = told.into_iter().filter(|line| line != "DISABLE_NOTIFICATIONS").collect();
    assert_eq!(results, outputs);
}

#[test]
fn commands_do_not_wait_for_the_next_result_at_a_low_rate() {
    let (stage, mut core) = Stage::with_core(&Options { max_rate: Some(1), ..Options::default() });
    stage.append(outputs(100));
    core.wait_for(1);
    for _ in 0..20 {
        let ticket = stage.issue(&[DISABLE]);
        assert_eq!(stage.written(ticket), Ok(()));
    }
    let results = core.told().iter().filter(|line| *line != "DISABLE_NOTIFICATIONS").count();
    assert!(results <= 3, "twenty commands took as long as {results} results at one a second");
}

#[test]
fn each_result_is_expected_back_once_for_each_time_that_it_is_written() {
    let (stage, core) = Stage::with_core(&Options::default());
    let core = core.with_one_page();
    let outputs = outputs(100);
    stage.append(&outputs);
    let taken = wait_until("the first write", || Some(stage.injected()).filter(|n| *n > 0));
    // The core dies in the middle of a portion, and the next one gets the newest again.
    drop(core);
    wait_until("the rest to be taken back", || (stage.echoes.lock().unwrap().len() == taken).then_some(()));
    let mut core = stage.core();
    wait_until("the last result", || core.told().contains(&outputs[99]).then_some(()));
    let written = wait_until("all counts", || Some(stage.injected()).filter(|n| *n >= 100));
    let mut echoes = stage.echoes.lock().unwrap();
    assert_eq!(echoes.len(), written);
    let told =
        nagios::CheckResult { check_type: Some(nagios::CheckType::Passive), ..testing::result(&outputs[99]).result };
    assert!(echoes.consume(&told, Instant::now()));
}

/// A status file of a core that notifies, and checked host a long after all results of a test.
fn active() -> String {
    format!(
        "info {{\n\tcreated=1\n\t}}\nprogramstatus {{\n\tprogram_start=1\n\tenable_notifications=1\n\t}}\n\
         hoststatus {{\n\thost_name=a\n\tcheck_type=0\n\thas_been_checked=1\n\tlast_check={}\n\t}}\n",
        testing::CHECKED + 1
    )
}

#[test]
fn an_active_core_gets_of_peers_the_newest_unless_it_knows_better() {
    let mut stage = Stage::start(&Options { status: Some(active()), ..Options::default() });
    stage.append(["A1", "B1", "c1", "B2", "a2", "C2", "A3"]);
    let mut core = stage.core();
    assert_eq!(core.wait_for(4), ["c1", "B2", "a2", "C2"]);
    stage.append(["A4", "B5"]);
    assert_eq!(core.wait_for(5)[4..], ["B5"]);
    let counts = stage.stop();
    assert_eq!((counts.injected, counts.superseded, counts.older_than_own), (5, 2, 2));
}

#[test]
fn while_a_peer_catches_up_an_active_core_gets_nothing_but_commands() {
    let (mut stage, mut core) = Stage::with_core(&Options { status: Some(active()), ..Options::default() });
    stage.append(["d0"]);
    core.wait_for(1);
    let chase = Chase::begin(stage.injector().catching_up(), "peer", 1, 201, Instant::now());
    for n in 0..100 {
        stage.append([format!("B{n}"), format!("C{n}")]);
    }
    let ticket = stage.issue(&[DISABLE]);
    assert_eq!(stage.written(ticket), Ok(()));
    assert!(chase.unwrap().go_on(201, Instant::now()).is_none());
    assert_eq!(core.wait_for(4)[1..], ["DISABLE_NOTIFICATIONS", "B99", "C99"]);
    assert_eq!(stage.stop().superseded, 198);
}
