//! Results go once to everyone who wants them: through a node that relays, between two nodes whose cores obsess over
//! everything, and whatever the clocks say.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use control::status::SessionKind;
use nagios::Object;
use nsca::Method;
use ocsp::handover::HandOver;
use support::fifo::Recorder;
use support::master::handover;
use support::nagios4::{Nagios4, Objects, Shown, obsessing};
use support::peers::stock_send_nsca;
use support::process::{Running, UNDERSTUDY};
use support::site::{Said, Site, free_port, run};
use support::standby::{PASSWORD, write_secret};
use support::wait;
use tempfile::TempDir;

/// How many results a stock client sends.
const RESULTS: usize = 30;

/// A node that receives, and sends if it has a destination.
struct Node {
    directory: PathBuf,
    daemon: Running,
    port: u16,
}

/// Where a node sends to.
struct Destination {
    port: u16,
    relay_passive: bool,
}

impl Node {
    /// Starts the node `name` with its files in `directory`. `core` are lines for `[core]`.
    #[track_caller]
    fn start(name: &str, directory: &Path, core: &str, port: u16, destination: Option<&Destination>) -> Self {
        fs::create_dir_all(directory).unwrap();
        let path = directory.display();
        let mut toml = format!(
            "[node]\nname = \"{name}\"\nstate_directory = \"{path}/state\"\ncontrol_socket = \"{path}/control.sock\"\n\
             [core]\n{core}\n\
             [[receiver.listener]]\naddress = \"127.0.0.1:{port}\"\npassword = \"{PASSWORD}\"\n\
             encryption = \"rijndael-128\"\n"
        );
        if let Some(Destination { port, relay_passive }) = destination {
            write!(
                toml,
                "[sender]\nsocket = \"{path}/ocsp.sock\"\nspill = \"{path}/spill\"\nrelay_passive = {relay_passive}\n\
                 [[sender.destination]]\nname = \"other\"\naddress = \"127.0.0.1:{port}\"\n\
                 password = \"{PASSWORD}\"\nencryption = \"rijndael-128\"\n"
            )
            .unwrap();
        }
        let config = write_secret(&directory.join("understudy.toml"), &toml);
        let daemon = Running::start(Command::new(UNDERSTUDY).args(["run", "--config"]).arg(config));
        daemon.wait_for("receiver listens");
        if destination.is_some() {
            daemon.wait_for("sender sends");
        }
        Node { directory: directory.to_owned(), daemon, port }
    }

    /// A node whose core is a FIFO that the test reads.
    #[track_caller]
    fn with_fifo(name: &str, directory: &Path, destination: Option<&Destination>) -> (Self, Recorder) {
        fs::create_dir_all(directory).unwrap();
        let fifo = directory.join("nagios.cmd");
        let recorder = Recorder::start(&fifo);
        let core = format!("flavour = \"nagios4\"\ncommand_file = \"{}\"", fifo.display());
        (Node::start(name, directory, &core, free_port(), destination), recorder)
    }

    /// Sends results of a stock client, one for each of these objects.
    #[track_caller]
    fn send_nsca(&self, results: &[(String, String, String)]) {
        let site = Site::new(Method::Rijndael128);
        let mut input = String::new();
        for (host, service, output) in results {
            write!(input, "{host}\t{service}\t1\t{output}\n\x17").unwrap();
        }
        let daemon = SocketAddr::from(([127, 0, 0, 1], self.port));
        let Said { code, out, err } = site.send_to(daemon, &mut stock_send_nsca(), &[], input.as_bytes());
        assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    }

    /// Hands a result over, as the core does.
    #[track_caller]
    fn hand_over(&self, result: &HandOver) {
        let mut command = Command::new(support::process::understudy_ocsp());
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        command.args(["service", &text(&result.host), &text(result.service.as_ref().unwrap())]);
        command.args([result.code.to_string(), text(&result.output)]);
        command.arg("--check-time").arg((result.check_time_us / 1_000_000).to_string());
        command.arg("--check-type").arg("ACTIVE");
        command.arg("--socket").arg(self.directory.join("ocsp.sock")).arg("--spill").arg(self.directory.join("spill"));
        let said = run(&mut command, b"");
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    }

    /// What the daemon says of itself.
    #[track_caller]
    fn status(&self) -> control::Status {
        let socket = self.directory.join("control.sock");
        let said = run(Command::new(UNDERSTUDY).args(["status", "--json", "--socket"]).arg(socket), b"");
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
        serde_json::from_str(&said.out).unwrap()
    }

    /// Results in its journal since its start.
    #[track_caller]
    fn accepted(&self) -> usize {
        self.status().receiver.unwrap().accepted.try_into().unwrap()
    }

    /// Results that its core got.
    #[track_caller]
    fn injected(&self) -> usize {
        self.status().receiver.unwrap().injected.try_into().unwrap()
    }

    /// Results that its core told only because it had got them, and that went no further.
    #[track_caller]
    fn echoes(&self) -> usize {
        let dropped = self.status().sender.unwrap().intake.dropped;
        let echoes = dropped.iter().find(|(cause, _)| cause.contains("echoes")).map_or(0, |(_, count)| *count);
        echoes.try_into().unwrap()
    }
}

/// What a stock client sends, in order.
fn results(round: usize) -> Vec<(String, String, String)> {
    (0..RESULTS).map(|n| (format!("host-{}", n % 3), format!("service {}", n % 5), format!("{round}-{n}"))).collect()
}

/// The lines in a command file that these become.
fn lines(results: &[(String, String, String)]) -> Vec<String> {
    let line = |(host, service, output): &(String, String, String)| {
        format!("PROCESS_SERVICE_CHECK_RESULT;{host};{service};1;{output}")
    };
    results.iter().map(line).collect()
}

fn sentinel() -> HandOver {
    HandOver { check_time_us: now() * 1_000_000, ..handover("host-0", "service 0", "the last one") }
}

const SENTINEL: &str = "PROCESS_SERVICE_CHECK_RESULT;host-0;service 0;0;the last one";

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

#[test]
fn what_agents_send_to_the_master_reaches_the_standby_once_and_in_order() {
    let directory = TempDir::new().unwrap();
    let (standby, there) = Node::with_fifo("standby", &directory.path().join("standby"), None);
    let destination = Destination { port: standby.port, relay_passive: true };
    let (mut master, here) = Node::with_fifo("master", &directory.path().join("master"), Some(&destination));
    let first = results(1);
    master.send_nsca(&first);
    assert_eq!(here.wait_for(RESULTS), lines(&first));
    assert_eq!(there.wait_for(RESULTS), lines(&first));
    // What the master had accepted when it was killed is relayed by the next process.
    let core = format!("flavour = \"nagios4\"\ncommand_file = \"{}/nagios.cmd\"", master.directory.display());
    let second = results(2);
    master.send_nsca(&second);
    wait::until("all results in the journal", || (master.accepted() == 2 * RESULTS).then_some(()));
    master.daemon.signal(nix::sys::signal::Signal::SIGKILL);
    master.daemon.wait();
    let master = Node::start("master", &master.directory, &core, free_port(), Some(&destination));
    master.hand_over(&sentinel());
    let is_complete =
        |told: &Vec<String>| [SENTINEL, &lines(&second)[RESULTS - 1]].iter().all(|l| told.contains(&(*l).into()));
    let told = wait::until("the last results", || Some(there.commands()).filter(is_complete));
    // How far it had relayed is not on the disk at once, so some may come again.
    let mut first_arrivals: Vec<String> = Vec::new();
    for line in told {
        if line != SENTINEL && !first_arrivals.contains(&line) {
            first_arrivals.push(line);
        }
    }
    assert_eq!(first_arrivals, [lines(&first), lines(&second)].concat());
}

/// Objects that no core checks by itself.
fn objects(directory: &Path, hosts: usize) -> Objects {
    fs::create_dir_all(directory).unwrap();
    let check = directory.join("check.sh");
    let text = "echo \"checked $1 $2\"\nif [ \"$2\" = 'service 1' ]; then exit 2; fi\n";
    fs::write(&check, text).unwrap();
    Objects { hosts, services_per_host: 5, check, interval: 3600 }
}

/// Starts a core that obsesses over everything, beside a sender with its files in `directory`.
#[track_caller]
fn obsessing_core(directory: &Path, hosts: usize) -> Nagios4 {
    let (settings, commands) = obsessing(directory);
    let commands: Vec<(&str, &str)> = commands.iter().map(|(name, line)| (*name, line.as_str())).collect();
    let settings = format!("{settings}execute_service_checks=0\nexecute_host_checks=0\n");
    Nagios4::start(&directory.join("core"), &objects(directory, hosts), &settings, &commands)
}

#[test]
fn a_core_that_obsesses_does_not_double_what_is_relayed() {
    let directory = TempDir::new().unwrap();
    let (standby, there) = Node::with_fifo("standby", &directory.path().join("standby"), None);
    let destination = Destination { port: standby.port, relay_passive: true };
    let place = directory.path().join("master");
    let core = obsessing_core(&place, 3);
    let main_config = format!("main_config = \"{}\"", core.main_config().display());
    let master = Node::start("master", &place, &main_config, free_port(), Some(&destination));
    let sent = results(1);
    master.send_nsca(&sent);
    assert_eq!(there.wait_for(RESULTS), lines(&sent));
    wait::until("all echoes", || (master.echoes() == RESULTS).then_some(()));
    master.hand_over(&sentinel());
    assert_eq!(there.wait_for(RESULTS + 1)[RESULTS..], [SENTINEL]);
}

#[test]
fn who_relays_nothing_sends_on_what_its_core_checks_alone() {
    let directory = TempDir::new().unwrap();
    let (standby, there) = Node::with_fifo("standby", &directory.path().join("standby"), None);
    let destination = Destination { port: standby.port, relay_passive: false };
    let place = directory.path().join("master");
    let core = obsessing_core(&place, 3);
    let main_config = format!("main_config = \"{}\"", core.main_config().display());
    let master = Node::start("master", &place, &main_config, free_port(), Some(&destination));
    master.send_nsca(&results(1));
    wait::until("all results in the master's core", || (master.injected() == RESULTS).then_some(()));
    wait::until("the master's core to show them", || {
        core.shown().values().any(|shown| shown.output == format!("1-{}", RESULTS - 1)).then_some(())
    });
    master.hand_over(&sentinel());
    assert_eq!(there.wait_for(1), [SENTINEL]);
}

/// Two nodes with a real core each, which send everything to each other.
struct Pair {
    nodes: [Node; 2],
    cores: [Nagios4; 2],
}

impl Pair {
    const HOSTS: usize = 4;

    fn start(directory: &Path) -> Self {
        let ports = [free_port(), free_port()];
        let places = ["left", "right"].map(|name| directory.join(name));
        let cores = [0, 1].map(|n| obsessing_core(&places[n], Pair::HOSTS));
        let nodes = [0, 1].map(|n| {
            let destination = Destination { port: ports[1 - n], relay_passive: true };
            let main_config = format!("main_config = \"{}\"", cores[n].main_config().display());
            Node::start(["left", "right"][n], &places[n], &main_config, ports[n], Some(&destination))
        });
        for node in &nodes {
            wait::until("a sealed session", || {
                (node.status().sender?.destinations[0].session == Some(SessionKind::Sealed)).then_some(())
            });
        }
        Pair { nodes, cores }
    }

    /// Has a core check all services of a host itself; how many.
    fn check(&self, core: usize, host: usize) -> usize {
        for service in 0..5 {
            self.command(core, &format!("SCHEDULE_FORCED_SVC_CHECK;host-{host};service {service};{}", now()));
        }
        5
    }

    /// Submits a result of each service of a host to a core, and one of the host; how many.
    fn submit(&self, core: usize, host: usize, output: &str) -> usize {
        for service in 0..5 {
            let code = service % 4;
            let command = "PROCESS_SERVICE_CHECK_RESULT";
            self.command(core, &format!("{command};host-{host};service {service};{code};{output} {service}"));
        }
        self.command(core, &format!("PROCESS_HOST_CHECK_RESULT;host-{host};0;{output}"));
        6
    }

    fn command(&self, core: usize, command: &str) {
        let fifo = self.nodes[core].directory.join("core/nagios.cmd");
        fs::write(fifo, format!("[{}] {command}\n", now())).unwrap();
    }

    /// Waits until each core got this many results from its receiver, and told each of them as an echo.
    #[track_caller]
    fn settle(&self, expected: [usize; 2]) {
        let mut seen = Vec::new();
        let settled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait::until("both nodes to settle", || {
                seen = self.nodes.iter().map(|node| (node.injected(), node.echoes())).collect();
                (seen == expected.map(|count| (count, count))).then_some(())
            });
        }));
        assert!(settled.is_ok(), "injected and echoed: {seen:?}, expected {expected:?}");
    }

    /// Waits until both cores show the same, and these outputs: a status file is a second late.
    #[track_caller]
    fn agree(&self, outputs: &BTreeMap<String, String>) {
        let mut shown = [BTreeMap::new(), BTreeMap::new()];
        let agreed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait::until("both cores to agree", || {
                shown = [0, 1].map(|n| self.cores[n].shown());
                let told = |shown: &BTreeMap<Object, Shown>| -> BTreeMap<String, String> {
                    shown.iter().map(|(object, shown)| (object.to_string(), shown.output.clone())).collect()
                };
                (shown[0] == shown[1] && told(&shown[0]) == *outputs).then_some(())
            });
        }));
        assert!(agreed.is_ok(), "expected {outputs:#?}\nbut the cores show {shown:#?}");
    }
}

#[test]
fn two_nodes_that_send_everything_to_each_other_settle() {
    let directory = TempDir::new().unwrap();
    let pair = Pair::start(directory.path());
    let mut expected = [0, 0];
    for round in 0..3 {
        // What comes into one node goes to the other one.
        expected[1] += pair.check(0, 0);
        expected[1] += pair.submit(0, 1, &format!("round {round} left"));
        expected[0] += pair.check(1, 2);
        let output = format!("round {round} of an agent");
        let sent: Vec<_> = (0..5).map(|n| ("host-3".to_owned(), format!("service {n}"), output.clone())).collect();
        pair.nodes[1].send_nsca(&sent);
        expected = expected.map(|count| count + sent.len());
        pair.settle(expected);
    }
    // Nothing is under way any more: what comes now comes alone.
    expected[1] += pair.submit(0, 1, "the last");
    pair.settle(expected);
    let mut outputs = BTreeMap::from([("host-1".to_owned(), "the last".to_owned())]);
    for service in (0..5).map(|n| format!("service {n}")) {
        outputs.insert(format!("host-0;{service}"), format!("checked host-0 {service}"));
        outputs.insert(format!("host-1;{service}"), format!("the last {}", &service["service ".len()..]));
        outputs.insert(format!("host-2;{service}"), format!("checked host-2 {service}"));
        outputs.insert(format!("host-3;{service}"), "round 2 of an agent".to_owned());
    }
    pair.agree(&outputs);
}

/// A result of one object that was checked at `check_time`.
fn checked(output: &str, check_time: i64) -> HandOver {
    HandOver { check_time_us: check_time * 1_000_000, ..handover("web", "http", output) }
}

#[test]
fn whatever_the_clocks_say_the_standby_ends_with_what_the_master_has() {
    let directory = TempDir::new().unwrap();
    let (standby, there) = Node::with_fifo("standby", &directory.path().join("standby"), None);
    let destination = Destination { port: standby.port, relay_passive: true };
    let (master, here) = Node::with_fifo("master", &directory.path().join("master"), Some(&destination));
    let line = |output: &str, code: u8| format!("PROCESS_SERVICE_CHECK_RESULT;web;http;{code};{output}");
    let mut expected = Vec::new();
    let mut told = |more: String| {
        expected.push(more);
        assert_eq!(there.wait_for(expected.len()), expected);
    };
    master.hand_over(&checked("an hour ahead", now() + 3600));
    told(line("an hour ahead", 0));
    master.hand_over(&checked("corrected", now()));
    told(line("corrected", 0));
    // A check begins; before it ends, an agent sends something newer, which the master's core has before.
    let began = now() - 30;
    master.send_nsca(&[("web".to_owned(), "http".to_owned(), "of an agent".to_owned())]);
    assert_eq!(here.wait_for(1), [line("of an agent", 1)]);
    told(line("of an agent", 1));
    master.hand_over(&checked("slow", began));
    told(line("slow", 0));
}
