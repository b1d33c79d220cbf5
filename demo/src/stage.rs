//! The processes that play, in the order in which they entered, and waiting for what they do.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nagios::command_file::CommandFile;

use crate::configuration;
use crate::cores::Cores;
use crate::interrupt::Interrupt;
use crate::process::Process;
use crate::site::{Node, free_port};

/// After this time everything that is still awaited has failed. The rest of two minutes is for the clean-up.
const PLAY_LIMIT: Duration = Duration::from_secs(100);
/// How long a process may take until it is ready.
const START_LIMIT: Duration = Duration::from_secs(10);
/// How many ports are tried when others are faster in taking them.
const PORT_ATTEMPTS: usize = 3;
const POLL: Duration = Duration::from_millis(50);

pub(crate) struct Stage<'a> {
    cores: Cores<'a>,
    interrupt: Interrupt,
    end: Instant,
    cast: Vec<Process>,
}

/// Something did not happen in time.
#[derive(Debug)]
pub(crate) struct InVain {
    what: String,
    /// How long it was awaited.
    limit: Duration,
    /// What the processes said last.
    logs: String,
}

impl fmt::Display for InVain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let InVain { what, limit, logs } = self;
        write!(f, "waited in vain for {} s until {what}; the logs end with:\n{logs}", limit.as_secs())
    }
}

impl InVain {
    /// In a line, without the logs.
    pub(crate) fn summary(&self) -> String {
        format!("waited in vain for {} s until {}", self.limit.as_secs(), self.what)
    }
}

impl std::error::Error for InVain {}

impl<'a> Stage<'a> {
    pub(crate) fn new(cores: Cores<'a>, interrupt: Interrupt) -> Self {
        Self { cores, interrupt, end: Instant::now() + PLAY_LIMIT, cast: Vec::new() }
    }

    /// Each of these returns the new process's id when it is ready.
    pub(crate) fn start_standby_core(&mut self) -> anyhow::Result<u32> {
        let core = self.cores.start(&self.cores.site.standby)?;
        self.enter_core(core, &self.cores.site.standby)
    }

    /// As [`Self::start_standby_core`]. It begins to check at once.
    pub(crate) fn start_master_core(&mut self) -> anyhow::Result<u32> {
        let core = self.cores.start(&self.cores.site.master)?;
        self.enter_core(core, &self.cores.site.master)
    }

    fn enter_core(&mut self, core: Process, node: &Node) -> anyhow::Result<u32> {
        let id = self.enter(core);
        let mut command_file = CommandFile::new(node.command_file());
        let what = format!("the {}'s core opens its command file", node.name);
        self.wait(&what, START_LIMIT, || Ok(matches!(command_file.wait_writable(POLL), Ok(true)).then_some(id)))
    }

    /// As [`Self::start_standby_core`], and the port on which the receiver listens.
    pub(crate) fn start_receiver(&mut self) -> anyhow::Result<(u32, u16)> {
        for attempt in 1.. {
            let port = free_port()?;
            let node = &self.cores.site.standby;
            let text = configuration::receiver(node, self.cores.kind, port);
            let receiver = self.start_understudy("the receiver", node, &text)?;
            let id = self.enter(receiver);
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            let listening = self.wait("the receiver listens", START_LIMIT, || {
                Ok(TcpStream::connect_timeout(&address, POLL).ok().map(|_| (id, port)))
            });
            if listening.is_ok() || attempt == PORT_ATTEMPTS || self.interrupt.check().is_err() {
                return listening;
            }
            self.cast.pop();
        }
        unreachable!("the last attempt returns")
    }

    /// As [`Self::start_standby_core`].
    pub(crate) fn start_sender(&mut self, port: u16) -> anyhow::Result<u32> {
        let node = &self.cores.site.master;
        let text = configuration::sender(node, self.cores.kind, port);
        let socket = node.path("ocsp.sock");
        let sender = self.start_understudy("the sender", node, &text)?;
        let id = self.enter(sender);
        self.wait("the sender opens its socket", START_LIMIT, || Ok(Path::new(&socket).exists().then_some(id)))
    }

    /// Ends the process with this id as a crash does, and everything that it started.
    pub(crate) fn kill(&mut self, id: u32) -> anyhow::Result<()> {
        let index = self.cast.iter().position(|process| process.id() == id).expect("it entered");
        self.cast.remove(index).kill()
    }

    fn start_understudy(&self, name: &str, node: &Node, configuration: &str) -> anyhow::Result<Process> {
        let file = node.write("understudy.toml", configuration)?;
        let arguments = ["run".into(), "--config".into(), file.into_os_string()];
        self.cores.start_child(name, self.cores.program, arguments, node.path("understudy.log").into())
    }

    fn enter(&mut self, process: Process) -> u32 {
        let id = process.id();
        self.cast.push(process);
        id
    }

    /// Asks until there is an answer. An error when a process ends meanwhile, when it takes too long, and on Ctrl-C.
    pub(crate) fn wait<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut ask: impl FnMut() -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        let deadline = self.end.min(Instant::now() + limit);
        loop {
            if let Some(answer) = ask()? {
                return Ok(answer);
            }
            self.interrupt.check()?;
            for process in &mut self.cast {
                process.check_running()?;
            }
            if Instant::now() >= deadline {
                let logs = self.cast.iter().map(Process::log_end).collect::<Vec<_>>().join("\n");
                return Err(InVain { what: what.to_owned(), limit, logs }.into());
            }
            thread::sleep(POLL);
        }
    }

    /// Ends all processes, the last first; an error when one does not end as it should.
    pub(crate) fn clear(mut self) -> anyhow::Result<()> {
        while let Some(process) = self.cast.pop() {
            process.stop()?;
        }
        Ok(())
    }
}
