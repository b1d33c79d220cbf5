//! New problems that several cores are told of, and who notified of which.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::libc;

use crate::SOON;
use crate::core::Core;
use crate::support::wait::until_within;

/// How often there is a new problem.
const EVERY: Duration = Duration::from_millis(200);

/// A running feed. It ends when it is dropped.
pub struct Feed {
    told: Arc<Mutex<Vec<Instant>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Feed {
    /// Tells each of `cores` the same.
    pub fn start(cores: [&Core; 2]) -> Self {
        let (told, ended) = (Arc::<Mutex<Vec<Instant>>>::default(), Arc::<AtomicBool>::default());
        let (telling, ending) = (told.clone(), ended.clone());
        let files: Vec<PathBuf> = cores.iter().map(|core| core.command_file()).collect();
        let thread = std::thread::spawn(move || {
            while !ending.load(Ordering::Relaxed) {
                let number = {
                    let mut told = telling.lock().unwrap();
                    told.push(Instant::now());
                    told.len() - 1
                };
                files.iter().for_each(|file| tell(file, number));
                std::thread::sleep(EVERY);
            }
        });
        Feed { told, ended, thread: Some(thread) }
    }

    /// How many problems there were.
    pub fn told(&self) -> usize {
        self.told.lock().unwrap().len()
    }

    /// Waits until `core` notifies of problems that are new now. The first one of them.
    #[track_caller]
    pub fn wait_for(&self, core: &Core) -> usize {
        let now = self.told();
        until_within(SOON, "a notification of a new problem", || notified(core).range(now..).next().copied())
    }

    /// When each of the problems was told, by number.
    pub fn times(&self) -> Vec<Instant> {
        self.told.lock().unwrap().clone()
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The problems that the contact of `core` was notified of.
pub fn notified(core: &Core) -> BTreeSet<usize> {
    let notifications = core.notifications();
    let numbers = notifications.lines().filter_map(|line| line.strip_prefix("PROBLEM/web1/passive/CRITICAL/number "));
    numbers.map(|number| number.parse().unwrap()).collect()
}

/// A core that is dead is told nothing.
fn tell(command_file: &Path, number: usize) {
    let commands = format!(
        "[1] PROCESS_SERVICE_CHECK_RESULT;web1;passive;0;well\n\
         [1] PROCESS_SERVICE_CHECK_RESULT;web1;passive;2;number {number}\n"
    );
    let file = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(command_file);
    let _ = file.and_then(|mut file| file.write_all(commands.as_bytes()));
}
