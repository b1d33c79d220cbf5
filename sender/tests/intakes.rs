//! The ways in: socket, spill directory and perfdata FIFO, with real files.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics, its helpers too")]

mod common;

use std::fs::OpenOptions;
use std::io::Write;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;

use common::daemon::Daemon;
use common::{DEADLINE, configuration, destination, eventually, numbered, secret, start_in};
use nagios::{HostName, Object, PluginOutput};
use ocsp::handover::{Answer, HandOver, new_id};
use sender::perfdata::template;
use sender::{NotTaken, StartError};

fn handover(host: &str) -> HandOver {
    HandOver {
        id: new_id(),
        host: host.into(),
        service: None,
        code: 1,
        output: b"DOWN".to_vec(),
        perfdata: Vec::new(),
        long_output: Vec::new(),
        check_time_us: 1_700_000_000_000_000,
        state_type: None,
        attempt: None,
        check_type: None,
    }
}

/// What `understudy-ocsp` does; blocks.
fn hand_over(socket: &Path, handover: &HandOver) -> Answer {
    let name = format!("sender-test-{:032x}", u128::from_be_bytes(new_id()));
    let client = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name).unwrap()).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    client.connect(socket).unwrap();
    client.send(&handover.encode()).unwrap();
    let mut buffer = [0; 4096];
    let bytes = client.recv(&mut buffer).unwrap();
    let (id, answer) = Answer::decode(&buffer[..bytes]).unwrap();
    assert_eq!(id, handover.id);
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn spilled_results_go_ahead_of_the_socket_s_and_none_goes_twice() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = Daemon::start("127.0.0.1:0", secret(), &[]);
    let config = configuration(directory.path(), vec![destination("standby", &daemon.address.to_string())]);
    std::fs::create_dir(&config.spill).unwrap();
    for n in 0..3 {
        ocsp::spill::write(&config.spill, &handover(&format!("spilled{n}"))).unwrap();
    }
    let sender = start_in(&config, directory.path()).await.unwrap();
    let twice = handover("over-socket");
    assert_eq!(hand_over(&config.socket, &twice), Answer::Taken);
    ocsp::spill::write(&config.spill, &twice).unwrap();
    ocsp::spill::write(&config.spill, &handover("last")).unwrap();
    let expected = ["spilled0", "spilled1", "spilled2", "over-socket", "last"].map(|host| format!("{host};;1;DOWN"));
    eventually("all arrived", || daemon.results().len() >= expected.len()).await;
    assert_eq!(daemon.results(), expected);
    assert_eq!(sender.status().intake.duplicates, 1);
    assert_eq!(std::fs::read_dir(&config.spill).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_answers_full_and_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = configuration(directory.path(), vec![destination("dead", "127.0.0.1:1")]);
    config.spool.max_size = spool::MIN_MAX_SIZE;
    let sender = start_in(&config, directory.path()).await.unwrap();
    assert!(matches!(hand_over(&config.socket, &handover("a;b")), Answer::Refused(_)));
    let mut objects = 0..;
    let taken = |length: usize, object: usize| {
        let mut result = numbered(0);
        result.object = Object::Host(HostName::try_from(object.to_string().as_str()).unwrap());
        result.output = PluginOutput::from_text("x".repeat(length).as_bytes());
        sender.submit(result)
    };
    for length in [1000, 100, 0] {
        while taken(length, objects.next().unwrap()).is_ok() {}
    }
    assert_eq!(hand_over(&config.socket, &handover("late")), Answer::Full);
    assert!(matches!(taken(0, objects.next().unwrap()), Err(NotTaken::Spool(_))));
    let status = sender.status();
    assert_eq!((status.destinations[0].queued, status.spool.superseded), (status.spool.results, 0));
    assert!(status.spool.trouble.unwrap().contains("raise max_size"));
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_hand_over_take_nothing_down() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = Daemon::start("127.0.0.1:0", secret(), &[]);
    let config = configuration(directory.path(), vec![destination("standby", &daemon.address.to_string())]);
    let sender = start_in(&config, directory.path()).await.unwrap();
    let client = UnixDatagram::unbound().unwrap();
    let whole = handover("web").encode();
    for length in [0, 1, 31, 40, whole.len() - 1] {
        client.send_to(&whole[..length], &config.socket).unwrap();
    }
    assert_eq!(hand_over(&config.socket, &handover("web")), Answer::Taken);
    // A client without an address gets no answer, and its result is taken.
    client.send_to(&handover("nameless").encode(), &config.socket).unwrap();
    eventually("both arrived", || daemon.results().len() == 2).await;
    assert_eq!(sender.status().intake.handed_over, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_sender_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let config = configuration(directory.path(), vec![destination("dead", "127.0.0.1:1")]);
    let _first = start_in(&config, directory.path()).await.unwrap();
    let on_our_spool = start_in(&config, directory.path()).await;
    assert!(matches!(on_our_spool, Err(StartError::Spool(spool::OpenError::Lock(_)))));
    let on_our_socket = start_in(&config, &directory.path().join("other")).await;
    assert!(matches!(on_our_socket, Err(StartError::AlreadyRunning(_))));
}

/// A line as the core makes it of our template.
fn line(service: &str, output: &str) -> String {
    let macros = [
        ("$HOSTNAME$", "web"),
        ("$SERVICEDESC$", service),
        ("$LASTSERVICECHECK$", "1700000000"),
        ("$SERVICESTATEID$", "2"),
        ("$SERVICESTATETYPE$", "HARD"),
        ("$SERVICEATTEMPT$", "3"),
        ("$SERVICECHECKTYPE$", "ACTIVE"),
        ("$SERVICEOUTPUT$", output),
        ("$SERVICEPERFDATA$", "t=1"),
        ("$LONGSERVICEOUTPUT$", "more\\nlast"),
    ];
    macros.iter().fold(template::service(), |line, (name, value)| line.replace(name, value))
}

#[tokio::test(flavor = "multi_thread")]
async fn torn_lines_of_a_real_fifo_are_counted_and_whole_ones_arrive() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = Daemon::start("127.0.0.1:0", secret(), &[]);
    let config = configuration(directory.path(), vec![destination("standby", &daemon.address.to_string())]);
    let sender = start_in(&config, directory.path()).await.unwrap();
    let mut core = OpenOptions::new().read(true).write(true).open(directory.path().join("perfdata.fifo")).unwrap();
    let torn = line("torn", "never seen");
    for (n, end) in (0..torn.len()).step_by(7).enumerate() {
        let newline = if n % 2 == 0 { "\n" } else { "" };
        writeln!(core, "{}{newline}{}", &torn[..end], line(&format!("whole{n}"), "\"$x\" `y`")).unwrap();
    }
    let whole = torn.len().div_ceil(7);
    eventually("the whole ones arrived", || daemon.results().len() >= whole).await;
    let expected: Vec<_> = (0..whole).map(|n| format!("web;whole{n};2;\"$x\" `y`|t=1\nmore\nlast")).collect();
    assert_eq!(daemon.results(), expected);
    let intake = sender.status().intake;
    assert_eq!(intake.perfdata, whole as u64);
    assert!(intake.damaged > whole as u64 / 2, "{intake:?}");
    let copied = std::fs::read_to_string(directory.path().join("copy")).unwrap();
    assert!(copied.contains(&line("whole0", "\"$x\" `y`")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_fifo_is_put_back_and_both_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = Daemon::start("127.0.0.1:0", secret(), &[]);
    let config = configuration(directory.path(), vec![destination("standby", &daemon.address.to_string())]);
    let _sender = start_in(&config, directory.path()).await.unwrap();
    let path = directory.path().join("perfdata.fifo");
    let mut running_core = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    eventually("the FIFO is back", || path.exists()).await;
    let mut restarted_core = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    writeln!(running_core, "{}", line("old", "x")).unwrap();
    writeln!(restarted_core, "{}", line("new", "x")).unwrap();
    eventually("both lines arrived", || daemon.results().len() == 2).await;
}
