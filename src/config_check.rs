//! `understudy config check`: says what a configuration would do.

use std::path::Path;
use std::process::ExitCode;

use config::{Config, Core, Failover, KeySource, Plugin, Probe, Receiver, Role, Route, Sender, TakeOverWhen};
use nagios::ServiceState;
use nsca::greeting::Policy;

use crate::EXIT_USAGE;

/// Checks the configuration at `path`; nothing is bound, nothing is changed.
pub(crate) fn main(path: &Path) -> ExitCode {
    match Config::read(path) {
        Ok(config) => {
            print(path, &config);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn print(path: &Path, config: &Config) {
    println!("{} is valid. Node {:?} will run:", path.display(), config.node.name.as_str());
    if let Some(sender) = &config.sender {
        print_sender(sender, &config.node.state_directory);
    }
    if let Some(receiver) = &config.receiver {
        print_receiver(receiver);
    }
    if let Some(failover) = &config.failover {
        print_failover(failover);
    }
    if let Some(core) = &config.core {
        print_core(core);
    }
    let socket = config.node.control_socket.display();
    println!("  and answers `understudy status` at {socket}, for its owner and group alone");
    for warning in &config.warnings {
        println!("warning: {warning}");
    }
    let of_memory = warm::needs::findings(config).into_iter().chain(warm::needs::forgetful_objects(config));
    for advice in config.advice().into_iter().chain(of_memory) {
        println!("advice: {advice}");
    }
    if let Some(fifo) = config.sender.as_ref().and_then(|sender| sender.perfdata.as_ref()) {
        println!("The core's main configuration needs these lines for the perfdata FIFO, and then a restart:");
        print!("{}", sender::perfdata::template::core_configuration(&fifo.path));
    }
}

fn print_sender(sender: &Sender, state_directory: &Path) {
    println!("  a sender that takes check results");
    println!("    from understudy-ocsp at {}", sender.socket.display());
    println!("    and, where it could not hand over, from {}", sender.spill.display());
    if let Some(fifo) = &sender.perfdata {
        println!("    and from the core's perfdata lines in {}", fifo.path.display());
        if let Some(copy_to) = &fifo.copy_to {
            println!("      (copied to {})", copy_to.display());
        }
    }
    let (spool, max_size) = (state_directory.join(sender::SPOOL_DIRECTORY), sender.spool.max_size);
    println!("    and keeps them in {} until they are delivered, at most {} MiB", spool.display(), max_size >> 20);
    for destination in &sender.destinations {
        let (name, address, method) = (&destination.name, &destination.address, destination.secret.method());
        println!("    and sends them to {name:?} at {address}, encrypted with {method}");
        println!("      {}", sealing(&destination.sealed, destination.key_source.as_ref()));
    }
    if !sender.relay_passive {
        println!("    and sends no passive results (relay_passive = false)");
    }
}

fn print_receiver(receiver: &Receiver) {
    println!("  a receiver that listens");
    for listener in &receiver.listeners {
        let (address, method) = (listener.address, listener.secret.method());
        let age = listener.max_packet_age.map_or("any age".to_owned(), |age| format!("up to {age:?} old"));
        let who = if listener.allow.is_empty() { "everyone".to_owned() } else { join(&listener.allow) };
        println!("    on {address} for {who}, encrypted with {method}, packets {age}");
        println!("      {}", sealing(&listener.sealed, listener.key_source.as_ref()));
    }
    if let Some(journal) = &receiver.journal {
        println!("    and keeps what was accepted in {}", journal.directory.display());
    }
    match &receiver.route {
        Route::CommandFile(path) => println!("    and injects into the command file {}", path.display()),
        Route::CheckResults(path) => println!("    and injects through check-result files in {}", path.display()),
    }
    if let Some(rate) = receiver.max_rate {
        println!("    at most {rate} results per second");
    }
}

fn print_failover(failover: &Failover) {
    match failover.role {
        Role::Standby => println!("  a failover controller that takes over when the master's core is gone"),
        Role::Master => println!("  a failover controller that keeps silent while a standby is active"),
    }
    if let Some(heartbeat) = &failover.heartbeat {
        println!("    and listens to the heartbeat of node {:?}", heartbeat.node.as_str());
    }
    for Probe { plugin, takes_over_on, .. } in &failover.probes {
        let fails = [ServiceState::Warning, ServiceState::Critical, ServiceState::Unknown];
        let fails = fails.into_iter().filter(|state| takes_over_on.contains(*state)).collect::<Vec<_>>();
        println!("    and runs the probe {}, which fails when it is {}", pace(plugin, failover), join(&fails));
    }
    if !failover.probes.is_empty() {
        let who = match failover.take_over_when {
            TakeOverWhen::All => "every probe",
            TakeOverWhen::Any => "any one probe",
        };
        println!("    and takes over when {who} has failed {} times in a row", failover.failures_to_take_over);
    }
    for witness in &failover.witnesses {
        println!("    and takes over only if this witness is OK: {}", pace(witness, failover));
    }
    println!("    and switches the core through {}", failover.command_file.display());
}

/// Which plugin, and when. Its command may hold secrets.
fn pace(plugin: &Plugin, failover: &Failover) -> String {
    format!("{:?} every {:?}, for at most {:?}", plugin.name, failover.interval, plugin.timeout)
}

/// Whether sessions are sealed, and with which key.
fn sealing(policy: &Policy, source: Option<&KeySource>) -> String {
    let key = match source {
        Some(KeySource::File(path)) => format!("with the key in {}", path.display()),
        Some(KeySource::Password) => "with a key from the password".to_owned(),
        None => String::new(),
    };
    match policy {
        Policy::Off => "never sealed".to_owned(),
        Policy::Auto(_) => format!("sealed where the other side is an Understudy, {key}"),
        Policy::Require(_) => format!("always sealed, {key}; classic sessions are refused"),
    }
}

fn print_core(core: &Core) {
    print!("  beside a core of flavour {}", core.flavour);
    match &core.status_file {
        Some(path) => println!(" with its status in {}", path.display()),
        None => println!(),
    }
}

fn join(list: &[impl ToString]) -> String {
    list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
