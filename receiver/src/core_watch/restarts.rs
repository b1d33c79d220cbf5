//! What counts as a restart of the core. Without I/O.

use std::fmt;

/// Device and inode number.
pub(crate) type Inode = (u64, u64);

/// What is known of the core.
#[derive(Debug)]
pub(super) struct Restarts {
    /// Of the run that was seen last.
    program_start: Option<i64>,
    command_file: Option<Inode>,
    /// Nobody reads the command file.
    gone: bool,
    /// When a reader was last seen to be a new one: runs that began until then are told already.
    told_until: i64,
    restart: Restart,
}

/// What the last restart calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Restart {
    /// Nothing any more.
    Over,
    /// To begin.
    Fresh,
    /// To go on.
    UnderWay,
}

/// What survives the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Owed,
    Given(Option<i64>),
}

impl Restarts {
    /// Nothing is known but what the last process left. Without that, a core that runs has everything that it ought to.
    pub(super) fn new(mark: Option<Mark>) -> Self {
        Restarts {
            program_start: match mark {
                Some(Mark::Given(program_start)) => program_start,
                Some(Mark::Owed) | None => None,
            },
            command_file: None,
            gone: false,
            told_until: i64::MIN,
            restart: if mark == Some(Mark::Owed) { Restart::Fresh } else { Restart::Over },
        }
    }

    pub(super) fn handle_gone(&mut self) {
        self.gone = true;
    }

    /// The command file has a reader, at `now` in Unix seconds.
    pub(super) fn handle_reader(&mut self, command_file: Inode, now: i64) {
        let another = self.command_file.replace(command_file).is_some_and(|known| known != command_file);
        if std::mem::take(&mut self.gone) || another {
            self.handle_restart();
        }
        if self.restart == Restart::Fresh {
            self.told_until = now;
        }
    }

    /// The status file says when the core started, in Unix seconds.
    pub(super) fn handle_program_start(&mut self, at: i64) {
        let known = self.program_start.replace(at);
        if known.is_some_and(|known| known != at) && at > self.told_until {
            self.handle_restart();
        }
    }

    pub(super) fn handle_restart(&mut self) {
        self.restart = Restart::Fresh;
    }

    pub(super) fn handle_given(&mut self) {
        self.restart = Restart::Over;
    }

    /// Whether there is something to begin, which is under way from now on.
    pub(super) fn take_restart(&mut self) -> bool {
        let begins = self.restart == Restart::Fresh && !self.gone;
        if begins {
            self.restart = Restart::UnderWay;
        }
        begins
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.restart == Restart::UnderWay && !self.gone
    }

    pub(super) fn mark(&self) -> Mark {
        if self.restart == Restart::Over && !self.gone { Mark::Given(self.program_start) } else { Mark::Owed }
    }
}

impl Mark {
    pub(super) fn parse(text: &str) -> Option<Mark> {
        match text.trim_end() {
            "owed" => Some(Mark::Owed),
            "given" => Some(Mark::Given(None)),
            text => text.strip_prefix("given ")?.parse().ok().map(|start| Mark::Given(Some(start))),
        }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mark::Owed => f.write_str("owed\n"),
            Mark::Given(Some(start)) => writeln!(f, "given {start}"),
            Mark::Given(None) => f.write_str("given\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIFO: Inode = (1, 7);

    #[test]
    fn beside_a_running_core_nothing_is_owed() {
        let mut core = Restarts::new(None);
        core.handle_reader(FIFO, 100);
        core.handle_program_start(50);
        core.handle_reader(FIFO, 101);
        core.handle_program_start(50);
        assert!(!core.take_restart());
        assert_eq!(core.mark(), Mark::Given(Some(50)));
    }

    #[test]
    fn a_reader_that_comes_back_is_a_restart_and_its_program_start_is_the_same_one() {
        let mut core = Restarts::new(Some(Mark::Given(Some(50))));
        core.handle_reader(FIFO, 100);
        core.handle_program_start(50);
        core.handle_gone();
        assert!(!core.take_restart(), "there is no core to give anything to");
        core.handle_reader(FIFO, 120);
        assert!(core.take_restart() && core.is_under_way());
        assert_eq!(core.mark(), Mark::Owed);
        core.handle_given();
        core.handle_program_start(120);
        assert!(!core.take_restart(), "told twice");
        core.handle_program_start(121);
        assert!(core.take_restart(), "a restart that the command file did not tell");
    }

    #[test]
    fn another_fifo_and_a_start_while_we_were_away_are_restarts() {
        let mut core = Restarts::new(Some(Mark::Given(Some(50))));
        core.handle_reader(FIFO, 100);
        core.handle_reader((1, 8), 101);
        assert!(core.take_restart());
        core.handle_gone();
        assert!(!core.is_under_way(), "there is no core to go on with");
        core.handle_reader((1, 8), 102);
        assert!(core.take_restart(), "a second restart begins anew");
        let mut core = Restarts::new(Some(Mark::Given(Some(50))));
        core.handle_reader(FIFO, 100);
        core.handle_program_start(60);
        assert!(core.take_restart());
    }

    #[test]
    fn what_is_owed_outlives_the_process() {
        for mark in [Mark::Owed, Mark::Given(None), Mark::Given(Some(1_700_000_000))] {
            assert_eq!(Mark::parse(&mark.to_string()), Some(mark));
        }
        assert_eq!(Mark::parse("given soon"), None);
        let mut core = Restarts::new(None);
        core.handle_gone();
        assert_eq!(core.mark(), Mark::Owed, "the core may come back while nobody watches");
        let mut core = Restarts::new(Some(Mark::Owed));
        core.handle_reader(FIFO, 100);
        assert!(core.take_restart());
        core.handle_given();
        core.handle_program_start(50);
        core.handle_program_start(99);
        assert!(!core.take_restart(), "the status file was an old one");
    }
}
