//! The programs: stock ones as Debian installs them, ours as it was built beside this one.

use std::fs::{File, OpenOptions, Permissions};
use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use nsca::Method;
use nsca::packet::INIT_BYTES;
use ocsp::handover::{Answer, MAX_ANSWER_BYTES};

use super::results::{Results, Service};
use super::{PASSWORD, PATIENCE};

const NSCA: &str = "/usr/sbin/nsca";
const SEND_NSCA: &str = "/usr/sbin/send_nsca";

/// How often what has no other way to tell is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A running program. Dropping it kills it.
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts `command`, which says what it says into `log` in `directory`.
    pub(crate) fn start(command: &mut Command, directory: &Path) -> Result<Running> {
        let program = PathBuf::from(command.get_program());
        ensure!(program.exists(), "{} is missing: `make peers build`", program.display());
        let log = directory.join("log");
        let output = OpenOptions::new().create(true).append(true).open(&log)?;
        command.stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().with_context(|| format!("cannot run {}", program.display()))?;
        Ok(Running { child, log })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().expect("process ids are positive"))
    }

    /// Waits until it speaks first on a port, as a daemon does.
    pub(crate) fn wait_until_it_serves(&mut self, port: u16) -> Result<()> {
        self.wait_for("the daemon serves", || {
            let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return Ok(false) };
            stream.set_read_timeout(Some(PATIENCE))?;
            Ok(stream.read_exact(&mut [0; INIT_BYTES]).is_ok())
        })
    }

    /// Waits until something is so that does not tell by itself.
    pub(crate) fn wait_for(&mut self, what: &str, is_so: impl Fn() -> Result<bool>) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !is_so()? {
            let ended = self.child.try_wait()?;
            if ended.is_some() || Instant::now() > deadline {
                bail!(
                    "waiting in vain until {what}; the program ended ({ended:?}) or hangs, and said: {}",
                    self.said()
                );
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    /// Waits for its end, which must be a success.
    pub(crate) fn finish(mut self) -> Result<()> {
        let status = self.child.wait()?;
        ensure!(status.success(), "the program failed ({status}), and said: {}", self.said());
        Ok(())
    }

    /// Ends it in order.
    pub(crate) fn terminate(self) -> Result<()> {
        kill(self.pid(), Signal::SIGTERM)?;
        self.finish()
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A stock daemon in one process, which listens when this returns.
pub(crate) fn stock_nsca(directory: &Path, method: Method, command_file: &Path) -> Result<(Running, u16)> {
    let (port, file) = (free_port()?, directory.join("nsca.cfg"));
    let text = format!(
        "server_port={port}\nserver_address=127.0.0.1\npassword={PASSWORD}\ndecryption_method={}\ncommand_file={}\n",
        method.number(),
        command_file.display()
    );
    std::fs::write(&file, text)?;
    let mut daemon = Running::start(Command::new(NSCA).arg("-c").arg(file).args(["-f", "--single"]), directory)?;
    daemon.wait_until_it_serves(port)?;
    Ok((daemon, port))
}

/// A stock client that sends `results`.
pub(crate) fn stock_send_nsca(directory: &Path, method: Method, port: u16, results: Results) -> Result<SendNsca> {
    let (config, input) = (send_nsca_config(directory, method)?, directory.join("input"));
    std::fs::write(&input, results.sets())?;
    let mut command = Command::new(SEND_NSCA);
    command.args(["-H", "127.0.0.1", "-p", &port.to_string(), "-to", &PATIENCE.as_secs().to_string(), "-c"]);
    command.arg(config).stdin(File::open(input)?);
    Ok(SendNsca { command, directory: directory.to_owned() })
}

/// The configuration of a stock client.
pub(crate) fn send_nsca_config(directory: &Path, method: Method) -> Result<PathBuf> {
    let config = directory.join("send_nsca.cfg");
    std::fs::write(&config, format!("password={PASSWORD}\nencryption_method={}\n", method.number()))?;
    Ok(config)
}

/// A client that is ready to run.
pub(crate) struct SendNsca {
    command: Command,
    directory: PathBuf,
}

impl SendNsca {
    pub(crate) fn start(mut self) -> Result<Running> {
        Running::start(&mut self.command, &self.directory)
    }
}

/// Our daemon as a receiver, which listens when this returns. `core` and `listener` are lines for their sections.
pub(crate) fn our_receiver(directory: &Path, method: Method, core: &str, listener: &str) -> Result<(Running, u16)> {
    let port = free_port()?;
    let path = directory.display();
    let config = format!(
        "[node]\nname = \"standby\"\nstate_directory = \"{path}/standby\"\n\
         control_socket = \"{path}/standby.sock\"\n\
         [core]\n{core}\n\
         [[receiver.listener]]\naddress = \"127.0.0.1:{port}\"\npassword = \"{PASSWORD}\"\n\
         encryption = \"{method}\"\n{listener}\n"
    );
    let mut daemon = run(directory, "standby.toml", &config)?;
    daemon.wait_until_it_serves(port)?;
    Ok((daemon, port))
}

/// Our daemon as a sender, and its files.
pub(crate) struct OurSender {
    directory: PathBuf,
    config: String,
}

impl OurSender {
    /// What it calls its destination.
    pub(crate) const DESTINATION: &str = "standby";

    /// One that sends to `port`. `destination` are lines for its destination.
    pub(crate) fn new(directory: &Path, method: Method, port: u16, destination: &str) -> Result<OurSender> {
        std::fs::create_dir_all(directory.join("master"))?;
        let path = directory.display();
        let config = format!(
            "[node]\nname = \"master\"\nstate_directory = \"{path}/master\"\n\
             control_socket = \"{path}/master.sock\"\n\
             [sender]\nsocket = \"{path}/ocsp.sock\"\nspill = \"{path}/spill\"\n\
             [[sender.destination]]\nname = \"{}\"\naddress = \"127.0.0.1:{port}\"\npassword = \"{PASSWORD}\"\n\
             encryption = \"{method}\"\n{destination}\n",
            OurSender::DESTINATION
        );
        Ok(OurSender { directory: directory.to_owned(), config })
    }

    /// Starts it; it may not take results yet.
    pub(crate) fn start(&self) -> Result<Running> {
        run(&self.directory, "master.toml", &self.config)
    }

    /// Starts it, and hands `results` over to it.
    pub(crate) fn start_with(&self, results: Results) -> Result<Running> {
        let socket = self.directory.join("ocsp.sock");
        let mut daemon = self.start()?;
        daemon.wait_for("the sender takes results", || Ok(UnixDatagram::unbound()?.connect(&socket).is_ok()))?;
        hand_over(&self.directory, &socket, results).with_context(|| format!("the sender said: {}", daemon.said()))?;
        Ok(daemon)
    }
}

/// Does what so many `understudy-ocsp` do, one after the other.
fn hand_over(directory: &Path, socket: &Path, results: Results) -> Result<()> {
    let own = directory.join("client.sock");
    let client = UnixDatagram::bind(&own)?;
    client.set_read_timeout(Some(PATIENCE))?;
    client.connect(socket)?;
    results.iter().try_for_each(|result| hand_over_one(&client, &result))?;
    std::fs::remove_file(own)?;
    Ok(())
}

/// Hands one result over from a socket that is bound and connected, and waits until it is taken.
pub(crate) fn hand_over_one(client: &UnixDatagram, result: &Service) -> Result<()> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_micros();
    client.send(&result.handover(i64::try_from(now)?).encode())?;
    let mut buffer = [0; MAX_ANSWER_BYTES];
    let bytes = client.recv(&mut buffer)?;
    let answer = Answer::decode(&buffer[..bytes]).context("the sender's answer makes no sense")?;
    ensure!(answer.1 == Answer::Taken, "the sender took a result not: {answer:?}");
    Ok(())
}

/// The program that hands over, as `make build` leaves it: static.
pub(crate) fn understudy_ocsp() -> Result<PathBuf> {
    let program = beside("understudy-ocsp")?;
    ensure!(program.exists(), "{} is missing: `make build`", program.display());
    Ok(program)
}

/// Our daemon with this configuration, which is written into `directory` under `name`.
pub(crate) fn run(directory: &Path, name: &str, config: &str) -> Result<Running> {
    let file = directory.join(name);
    std::fs::write(&file, config)?;
    // It holds a password.
    std::fs::set_permissions(&file, Permissions::from_mode(0o600))?;
    Running::start(Command::new(beside("understudy")?).args(["run", "--config"]).arg(file), directory)
}

/// A program that was built beside this one.
pub(crate) fn beside(name: &str) -> Result<PathBuf> {
    Ok(std::env::current_exe().context("cannot find this program")?.with_file_name(name))
}

/// A port that nobody uses at the moment, for programs that must be told one.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Copies a directory of files and directories.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let copied = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &copied)?;
        } else {
            std::fs::copy(entry.path(), copied)?;
        }
    }
    Ok(())
}
