//! What a running program has used of the machine, as /proc tells it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::unistd::{SysconfVar, sysconf};

use super::programs::Running;

impl Running {
    /// Processor time until now, in steps of 10 ms on most machines.
    pub(crate) fn processor_time(&self) -> Result<Duration> {
        let stat = self.proc("stat")?;
        // The program's name may hold anything; what follows it is from the third field on.
        let (_, fields) = stat.rsplit_once(") ").context("a line of another kind")?;
        let user_and_system = fields.split(' ').skip(11).take(2);
        let ticks: u32 = user_and_system.map(str::parse::<u32>).sum::<Result<_, _>>()?;
        let per_second = sysconf(SysconfVar::CLK_TCK)?.context("the system has no clock")?;
        Ok(Duration::from_secs(ticks.into()) / u32::try_from(per_second)?)
    }

    /// Resident memory, in MiB.
    pub(crate) fn resident_mib(&self) -> Result<f64> {
        let status = self.proc("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no resident memory")?;
        let kib: u32 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(f64::from(kib) / 1024.0)
    }

    fn proc(&self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.pid());
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
    }
}
