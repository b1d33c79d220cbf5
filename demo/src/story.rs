//! What happens in the demonstration, from the first process to the verdict.

use std::path::Path;
use std::time::Duration;

use crate::cores::Cores;
use crate::interrupt::Interrupt;
use crate::narrator::Narrator;
use crate::scenario::{CHECK_INTERVAL_SECONDS, HOSTS, SERVICES};
use crate::site::Site;
use crate::snapshot::Snapshot;
use crate::stage::Stage;
use crate::verdict::{Part, Verdict};
use crate::{CoreKind, failover, relay};

/// How long the two nodes may take to agree who notifies.
const AGREE_LIMIT: Duration = Duration::from_secs(20);

/// Plays it all and says how it ended.
pub(crate) fn play(kind: CoreKind, program: &Path) -> anyhow::Result<Verdict> {
    let interrupt = Interrupt::watch()?;
    let narrator = Narrator::new();
    let site = Site::create(program)?;
    let cores = match kind {
        CoreKind::Builtin => "built-in miniature cores",
        CoreKind::Nagios4 => "two real Nagios 4 cores",
    };
    narrator.headline(format_args!("A master and a standby with {cores}, in {}.", site.root().display()));
    narrator
        .headline(format_args!("Both cores write their status files once a second, and that is where this looks.\n"));
    let mut stage = Stage::new(Cores::prepare(kind, program, &site)?, interrupt);
    let mut verdict = Verdict::default();
    let master = enter(&mut stage, &narrator, &site)?;
    let comparison = relay::show(&mut stage, &narrator, &site)?;
    let word = comparison.to_string();
    verdict.note(Part::Relay, if comparison.is_agreement() { Ok(word) } else { Err(word) });
    failover::show(&mut stage, &narrator, &site, master, &mut verdict)?;
    stage.clear()?;
    narrator.say(format_args!("all processes have ended\n"));
    verdict.tell(&narrator);
    Ok(verdict)
}

/// Gives the process id of the master's core.
fn enter(stage: &mut Stage<'_>, narrator: &Narrator, site: &Site) -> anyhow::Result<u32> {
    let id = stage.start_standby_core()?;
    narrator.say(format_args!("standby  core      process {id}: checks nothing, knows only what it is told"));
    let (id, port) = stage.start_receiver()?;
    narrator.say(format_args!("standby  receiver  process {id}: understudy run, listens on 127.0.0.1:{port}"));
    let id = stage.start_sender(port)?;
    narrator.say(format_args!("master   sender    process {id}: understudy run, sends to 127.0.0.1:{port}"));
    let core = stage.start_master_core()?;
    let (hosts, services) = (HOSTS.len(), HOSTS.len() * SERVICES.len());
    narrator.say(format_args!(
        "master   core      process {core}: checks {hosts} hosts and {services} services every \
         {CHECK_INTERVAL_SECONDS} s, and executes understudy-ocsp for each result"
    ));
    stage.wait("the master notifies, since the standby does not", AGREE_LIMIT, || {
        let master = Snapshot::read(&site.master.status_file())?;
        Ok(master.filter(|master| master.notifications).map(drop))
    })?;
    narrator.say(format_args!("master   notifications are on: the standby says that it is standing by"));
    Ok(core)
}
