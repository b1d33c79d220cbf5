//! Everything that runs: a master's core and sender, two proxies, and two standbys, of which one has a core that writes
//! down what it is told. Whatever dies is started again when the script says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::feed::{FIRST_HOST, HOSTS, SERVICES_PER_HOST};
use super::recorder::Recorder;
use super::script::{Act, Side, Who};
use super::support::disk::Disk;
use super::support::master::{Master, Options};
use super::support::nagios4::{Nagios4, Objects};
use super::support::process::{Running, understudy_ocsp};
use super::support::proxy::Proxy;
use super::support::standby::{PASSWORD, Standby, write_secret};
use super::support::wait;

/// The disk of each daemon: larger than what it may take, so that nothing is compacted away.
const DISK_MIB: usize = 160;
const MAX_SIZE: &str = "100MiB";

/// How long a daemon that could not start is left alone before the next attempt, as by an init system.
const START_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// Seconds between two checks of one object of the master's core.
const CHECK_INTERVAL: u32 = 4;

/// What the master's core checks. Its outputs grow, so that their order shows.
const CHECK: &str = "echo \"check $(date +%s%N)|time=1s\"\nexit 1\n";

/// What the standby's core must never run.
const NEVER: &str = "echo 'the standby ran a check of its own'\nexit 3\n";

/// The lines of the README for `ocsp_command` and `ochp_command`, shortened.
const SERVICE_COMMAND: &str = "service '$HOSTNAME$' '$SERVICEDESC$' '$SERVICESTATEID$' '$SERVICEOUTPUT$' \
    --perfdata '$SERVICEPERFDATA$' --check-time '$LASTSERVICECHECK$'";
const HOST_COMMAND: &str = "host '$HOSTNAME$' '$HOSTSTATEID$' '$HOSTOUTPUT$' --perfdata '$HOSTPERFDATA$' \
    --check-time '$LASTHOSTCHECK$'";

/// What happened that may show results twice at the recording core.
#[derive(Default)]
pub struct Events {
    pub sender_kills: usize,
    pub recorder_restarts: usize,
    pub receiver_kills: Vec<ReceiverKill>,
}

/// The receiver of the recording core was killed.
#[derive(Clone, Copy)]
pub struct ReceiverKill {
    pub at: Instant,
    /// Since when its disk had been full without interruption.
    pub full_since: Option<Instant>,
    /// When its disk had last had room again.
    pub free_since: Option<Instant>,
    /// It had not yet given everything to a core that restarted.
    pub owed: bool,
}

pub struct Cast {
    pub master_core: Nagios4,
    pub master: Arc<Master>,
    pub sender: Daemon,
    pub standbys: [StandbyNode; 2],
    pub core: Option<Nagios4>,
    pub recorder: Recorder,
    pub events: Events,
    _directory: TempDir,
}

/// A receiver, and the network to it.
pub struct StandbyNode {
    pub receiver: Daemon,
    pub proxy: Proxy,
    directory: PathBuf,
}

impl Cast {
    /// Starts everything.
    pub fn enter() -> Self {
        let directory = TempDir::new().unwrap();
        let place = |name: &str| {
            let place = directory.path().join(name);
            fs::create_dir(&place).unwrap();
            place
        };
        let (of_nagios, of_recorder) = (place("nagios"), place("recorder"));
        let core = start_core(&of_nagios.join("core"));
        let recorder = Recorder::start(&of_recorder.join("nagios.cmd"));
        let core_of_nagios = format!("main_config = \"{}\"", core.main_config().display());
        let core_of_recorder = format!("command_file = \"{}/nagios.cmd\"", of_recorder.display());
        let standbys = [
            StandbyNode::new("nagios", of_nagios, &core_of_nagios),
            StandbyNode::new("recorder", of_recorder, &core_of_recorder),
        ];
        let addresses = standbys.each_ref().map(|node| format!("address = \"{}\"", node.proxy.address()));
        let master = Arc::new(Master::with(&Options {
            sender: &format!("spool.max_size = \"{MAX_SIZE}\""),
            destinations: &[("nagios", &addresses[0]), ("recorder", &addresses[1])],
            ..Options::default()
        }));
        let mut sender = Daemon::new(&master.command(), &master.state(), "sender sends");
        sender.start();
        wait::until("the sender", || sender.tend());
        let master_core = start_master_core(&place("master"), &master);
        let (core, events) = (Some(core), Events::default());
        let mut cast = Cast { master_core, master, sender, standbys, core, recorder, events, _directory: directory };
        wait::until("everybody's start", || {
            cast.tend();
            cast.all_run().then_some(())
        });
        cast
    }

    /// Does what is written in the script.
    pub fn perform(&mut self, act: Act) {
        match act {
            Act::Kill(who) => self.kill(who),
            Act::Start(who) => self.daemon(who).start(),
            Act::KillCore => {
                let mut core = self.core.take().expect("it runs");
                core.process().signal(Signal::SIGKILL);
                core.process().wait();
                fs::remove_file(core.status_file()).unwrap();
            }
            Act::StartCore => self.core = Some(start_core(&self.standbys[0].directory.join("core"))),
            Act::RestartRecorder => {
                self.recorder.restart();
                self.events.recorder_restarts += 1;
            }
            Act::StopReading => self.recorder.stop(true),
            Act::GoOnReading => self.recorder.stop(false),
            Act::FillDisk(who) => self.daemon(who).fill_disk(),
            Act::FreeDisk(who) => self.daemon(who).free_disk(),
            Act::Reset(side) => self.standbys[side as usize].proxy.reset(),
            Act::Weather(side, weather) => self.standbys[side as usize].proxy.set(weather),
        }
    }

    /// Starts again what ended, and shows the way to who has a new address.
    pub fn tend(&mut self) {
        self.sender.tend();
        for StandbyNode { receiver, proxy, .. } in &mut self.standbys {
            if let Some(said) = receiver.tend() {
                proxy.lead_to(Standby::listening_address(&said).expect("it says so when it is ready"));
            }
        }
    }

    /// Ends the daemons in order; gives what they said at their end.
    pub fn leave(&mut self) -> Vec<String> {
        let [nagios, recorder] = &mut self.standbys;
        [&mut self.sender, &mut nagios.receiver, &mut recorder.receiver].map(Daemon::terminate).to_vec()
    }

    fn all_run(&self) -> bool {
        self.sender.is_ready() && self.standbys.iter().all(|node| node.receiver.is_ready())
    }

    fn daemon(&mut self, who: Who) -> &mut Daemon {
        match who {
            Who::Sender => &mut self.sender,
            Who::Receiver(side) => &mut self.standbys[side as usize].receiver,
        }
    }

    fn kill(&mut self, who: Who) {
        self.daemon(who).kill();
        match who {
            Who::Sender => self.events.sender_kills += 1,
            Who::Receiver(Side::Nagios) => {}
            Who::Receiver(Side::Recorder) => {
                let Daemon { disk, full_since, free_since, .. } = &self.standbys[1].receiver;
                let mark = fs::read_to_string(disk.path("journal.core")).unwrap_or_default();
                let (full_since, free_since) = (*full_since, *free_since);
                let kill = ReceiverKill { at: Instant::now(), full_since, free_since, owed: mark.starts_with("owed") };
                self.events.receiver_kills.push(kill);
            }
        }
    }
}

impl StandbyNode {
    fn new(name: &str, directory: PathBuf, core: &str) -> Self {
        let path = directory.display();
        fs::create_dir(directory.join("state")).unwrap();
        write_secret(
            &directory.join("standby.toml"),
            &format!(
                "[node]\nname = \"{name}\"\nstate_directory = \"{path}/state\"\ncontrol_socket = \"{path}/control.sock\"\n\
                 [core]\n{core}\n[receiver]\njournal.max_size = \"{MAX_SIZE}\"\n\
                 [[receiver.listener]]\naddress = \"127.0.0.1:0\"\npassword = \"{PASSWORD}\"\n"
            ),
        );
        let mut receiver = Daemon::new(&Standby::command(&directory), &directory.join("state"), "receiver listens");
        receiver.start();
        StandbyNode { receiver, proxy: Proxy::start(), directory }
    }
}

/// A daemon with a small disk for its state, which is started until it runs.
pub struct Daemon {
    command: Command,
    disk: Disk,
    /// What it says when it is ready.
    ready: &'static str,
    wanted: bool,
    running: Option<Running>,
    is_ready: bool,
    start_again: Instant,
    full_since: Option<Instant>,
    free_since: Option<Instant>,
    /// What those before said.
    said: String,
}

impl Daemon {
    fn new(command: &Command, state: &Path, ready: &'static str) -> Self {
        let disk = Disk::mount(state, DISK_MIB);
        Daemon {
            command: disk.command(command),
            disk,
            ready,
            wanted: false,
            running: None,
            is_ready: false,
            start_again: Instant::now(),
            full_since: None,
            free_since: None,
            said: String::new(),
        }
    }

    fn start(&mut self) {
        self.wanted = true;
        self.running = Some(Running::start(&mut self.command));
    }

    fn kill(&mut self) {
        self.wanted = false;
        if let Some(mut running) = self.running.take() {
            running.signal(Signal::SIGKILL);
            running.wait();
            self.note_end(&running);
        }
    }

    fn note_end(&mut self, running: &Running) {
        self.is_ready = false;
        self.said.push_str(&running.said());
    }

    /// Starts it again if it ended. When it has become ready, gives what it said.
    fn tend(&mut self) -> Option<String> {
        let Some(mut running) = self.running.take() else {
            if self.wanted && Instant::now() >= self.start_again {
                self.start();
            }
            return None;
        };
        if !running.is_running() {
            self.note_end(&running);
            self.start_again = Instant::now() + START_AGAIN_AFTER;
            return None;
        }
        let said = (!self.is_ready).then(|| running.said()).filter(|said| said.contains(self.ready));
        self.is_ready |= said.is_some();
        self.running = Some(running);
        said
    }

    fn is_ready(&self) -> bool {
        self.is_ready
    }

    fn fill_disk(&mut self) {
        self.full_since = Some(Instant::now());
        self.disk.fill();
    }

    fn free_disk(&mut self) {
        self.disk.free();
        self.free_since = Some(Instant::now());
    }

    /// Ends it in order; gives what it said since its start.
    #[track_caller]
    fn terminate(&mut self) -> String {
        self.wanted = false;
        let mut running = self.running.take().expect("it runs");
        assert_eq!(running.terminate().code(), Some(0), "{}", running.said());
        running.said()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- what daemons that were killed said:\n{}", self.said);
        }
    }
}

fn start_core(directory: &Path) -> Nagios4 {
    let settings = "execute_service_checks=0\nexecute_host_checks=0\n";
    core(directory, HOSTS, NEVER, settings, &[])
}

/// The master's core has the first hosts only, and hands its results over as the README says.
fn start_master_core(directory: &Path, master: &Master) -> Nagios4 {
    let program = understudy_ocsp();
    let places = format!("--socket {0}/ocsp.sock --spill {0}/spill", master.directory.path().display());
    let service = format!("{} {SERVICE_COMMAND} {places}", program.display());
    let host = format!("{} {HOST_COMMAND} {places}", program.display());
    let settings = "obsess_over_services=1\nocsp_command=understudy-service\nobsess_over_hosts=1\n\
        ochp_command=understudy-host\n";
    core(directory, FIRST_HOST, CHECK, settings, &[("understudy-service", &service), ("understudy-host", &host)])
}

fn core(directory: &Path, hosts: usize, check: &str, settings: &str, commands: &[(&str, &str)]) -> Nagios4 {
    fs::create_dir_all(directory).unwrap();
    let script = directory.join("check.sh");
    fs::write(&script, check).unwrap();
    let objects = Objects { hosts, services_per_host: SERVICES_PER_HOST, check: script, interval: CHECK_INTERVAL };
    Nagios4::start(directory, &objects, settings, commands)
}
