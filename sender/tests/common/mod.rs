//! A stage for the sender: a directory, a configuration, results, and daemons that take them.

#![allow(dead_code, reason = "each test program uses its own part of this")]

pub(crate) mod daemon;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::{Destination, PerfdataFifo};
use nagios::{CheckResult, HostName, Object, PluginOutput, ReturnCode, ServiceDescription, Timestamp};
use nsca::greeting::Policy;
use nsca::packet::PacketSize;
use nsca::sealed::NodeName;
use nsca::{Method, Secret};
use sender::{Sender, StartError};

pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A sender whose files are in `directory`.
pub(crate) fn configuration(directory: &Path, destinations: Vec<Destination>) -> config::Sender {
    config::Sender {
        socket: directory.join("ocsp.sock"),
        socket_mode: 0o660,
        socket_group: None,
        spill: directory.join("spill"),
        perfdata: Some(PerfdataFifo { path: directory.join("perfdata.fifo"), copy_to: Some(directory.join("copy")) }),
        spool: config::Spool::default(),
        relay_passive: true,
        destinations,
    }
}

/// Starts a sender that calls its node "master".
pub(crate) async fn start_in(config: &config::Sender, state_directory: &Path) -> Result<Sender, StartError> {
    Sender::start(config, &node(state_directory), None, Arc::default(), None).await
}

pub(crate) fn node(state_directory: &Path) -> config::Node {
    config::Node {
        name: NodeName::try_from("master").unwrap(),
        state_directory: state_directory.to_owned(),
        control_socket: state_directory.join("control.sock"),
    }
}

pub(crate) fn secret() -> Secret {
    Secret::new(Method::Xor, b"a password")
}

pub(crate) fn destination(name: &str, address: &str) -> Destination {
    Destination {
        name: name.into(),
        address: address.parse().unwrap(),
        secret: secret(),
        sealed: Policy::Off,
        key_source: None,
        packet_size: PacketSize::Modern,
        lanes: 1,
    }
}

/// A result whose output is its number.
pub(crate) fn numbered(number: usize) -> CheckResult {
    let service = ServiceDescription::try_from("count").unwrap();
    CheckResult {
        object: Object::Service(HostName::try_from("web").unwrap(), service),
        code: ReturnCode::new(0),
        output: PluginOutput::from_text(number.to_string().as_bytes()),
        check_time: Timestamp::from_seconds(1_700_000_000),
        state_type: None,
        attempt: None,
        check_type: None,
    }
}

/// What [`numbered`] results look like on the other side.
pub(crate) fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("web;count;0;{number}")).collect()
}

/// Waits until `condition` holds.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
