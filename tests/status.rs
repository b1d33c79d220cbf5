//! `understudy status`, `forget` and `key`, against daemons that run.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use control::Status;
use control::status::SessionKind;
use nix::sys::signal::Signal;
use nsca::{Method, Secret};
use support::client::{Client, End};
use support::fifo::Recorder;
use support::master::{Master, handover, kill};
use support::process::{Running, UNDERSTUDY};
use support::sealed::{SealedSender, hello, psk, result};
use support::site::{Said, free_port, run};
use support::standby::{Options, Standby, write_secret};
use support::wait;

/// A user without any rights: nobody.
const STRANGER: &str = "65534";

fn understudy(arguments: &[&str]) -> Said {
    run(Command::new(UNDERSTUDY).args(arguments), b"")
}

/// The socket of a daemon whose files are in this directory.
fn socket(directory: &Path) -> PathBuf {
    directory.join("control.sock")
}

fn ask(directory: &Path, arguments: &[&str]) -> Said {
    let socket = socket(directory);
    run(Command::new(UNDERSTUDY).args(arguments).arg("--socket").arg(socket), b"")
}

/// The document, by way of `--json`.
#[track_caller]
fn status(directory: &Path) -> Status {
    let said = ask(directory, &["status", "--json"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    serde_json::from_str(&said.out).unwrap()
}

#[test]
fn both_sides_say_what_went_through_them() {
    let standby = Standby::start(&Options::default());
    let core = Recorder::start(&standby.command_file());
    let master = Master::new(standby.address.port(), "rijndael-128", "64MiB");
    let _sender = master.start();
    for n in 0..7 {
        master.deliver(&handover("web", "disk", &format!("number {n}")));
    }
    core.wait_for(7);

    let there = wait::until("seven delivered results", || {
        let there = status(master.directory.path());
        (there.sender.as_ref().unwrap().destinations[0].acknowledged == 7).then_some(there)
    });
    assert_eq!(there.warnings, [""; 0]);
    assert!(there.receiver.is_none());
    let sender = there.sender.unwrap();
    assert_eq!((sender.intake.handed_over, sender.spool.max_bytes), (7, 64 << 20));
    let destination = &sender.destinations[0];
    assert_eq!((destination.name.as_str(), destination.queued), ("standby", 0));
    assert_eq!(destination.address, standby.address.to_string());
    assert_eq!((destination.session, destination.peer.as_deref()), (Some(SessionKind::Sealed), Some("standby")));
    wait::until("both clocks to be compared", || {
        let destination = status(master.directory.path()).sender.unwrap().destinations.remove(0);
        destination.clock_offset_ms.filter(|ms| ms.abs() < 1000)
    });

    let here = status(standby.directory.path());
    assert!(here.sender.is_none());
    let receiver = here.receiver.unwrap();
    assert_eq!((receiver.accepted, receiver.injected), (7, 7));
    assert_eq!(receiver.sessions[0].node.as_deref(), Some("master"));
    assert_eq!(receiver.listeners[0].address, standby.address.to_string());
    assert_eq!(here.core.unwrap().command_file, Some(standby.command_file().display().to_string()));

    let shown = ask(standby.directory.path(), &["status"]);
    assert_eq!((shown.code, shown.err.as_str()), (Some(0), ""));
    assert!(shown.out.starts_with("OK: "), "{}", shown.out);
    assert!(shown.out.contains("injected     7 results\n"), "{}", shown.out);
}

/// And what waits for it is counted.
#[test]
fn a_core_that_is_away_is_the_verdict() {
    let standby = Standby::start(&Options::default());
    let mut client = Client::connect(standby.address);
    client.send("host", "service", "waits");
    assert_eq!(client.end(), End::Clean);
    let here = status(standby.directory.path());
    assert!(here.warnings.iter().any(|warning| warning.contains("nagios.cmd does not exist")), "{:?}", here.warnings);
    assert_eq!(here.receiver.unwrap().waiting, Some(1));

    let core = Recorder::start(&standby.command_file());
    core.wait_for(1);
    wait::until("nothing that waits", || {
        let here = status(standby.directory.path());
        (here.warnings.is_empty() && here.receiver.unwrap().waiting == Some(0)).then_some(())
    });
}

#[test]
fn clients_that_are_connected_and_refused_are_shown() {
    let standby = Standby::start(&Options::default());
    let _core = Recorder::start(&standby.command_file());
    let mut client = Client::connect(standby.address);
    client.send("host", "service", "one");
    let address = client.stream.local_addr().unwrap().to_string();
    let mut stranger = Client::connect_with(standby.address, Secret::new(Method::Rijndael128, b"another password"));
    stranger.send("host", "service", "forged");
    assert_eq!(stranger.end(), End::Reset);
    wait::until("the session's result", || {
        let receiver = status(standby.directory.path()).receiver.unwrap();
        let session = receiver.sessions.iter().find(|session| session.address == address)?;
        assert_eq!((session.session, &session.node), (SessionKind::Classic, &None));
        (session.accepted == 1 && receiver.refused.values().sum::<u64>() == 1).then_some(())
    });
}

#[test]
fn a_node_in_a_sealed_session_is_shown_and_remembered_when_it_has_gone() {
    let standby = Standby::start(&Options::default());
    let _core = Recorder::start(&standby.command_file());
    let mut sender = SealedSender::connect(standby.address, &psk(), hello("master", 1, 9));
    sender.send(&result(5, "host", "one"));
    sender.wait_for_ack(5);
    let receiver = status(standby.directory.path()).receiver.unwrap();
    let session = &receiver.sessions[0];
    assert_eq!((session.session, session.node.as_deref()), (SessionKind::Sealed, Some("master")));
    assert_eq!((session.accepted, session.received, session.acknowledged), (1, Some(5), Some(5)));
    assert!(receiver.nodes[0].connected);

    sender.goodbye();
    assert_eq!(sender.wait_for_end(), Ok(()));
    let gone = wait::until("the end of the session", || {
        let said = ask(standby.directory.path(), &["status"]).out;
        said.contains("absent       master\n").then(|| status(standby.directory.path()))
    });
    let node = &gone.receiver.unwrap().nodes[0];
    assert_eq!((node.node.as_str(), node.accepted, node.connected), ("master", 5, false));
}

/// The exit code says that there is a status, its first line that not all is well.
#[test]
fn a_destination_that_is_away_is_the_verdict() {
    let master = Master::new(free_port(), "rijndael-128", "64MiB");
    let _sender = master.start();
    master.deliver(&handover("web", "disk", "waits"));
    let said = wait::until("a warning", || {
        let said = ask(master.directory.path(), &["status"]);
        assert_eq!(said.code, Some(0));
        said.out.starts_with("WARNING: ").then_some(said.out)
    });
    assert!(said.contains("nothing reaches \"standby\", 1 result waiting"), "{said}");
}

#[test]
fn the_socket_is_found_by_configuration_and_its_absence_explained() {
    let standby = Standby::start(&Options::default());
    let config = standby.directory.path().join("standby.toml");
    let by_config = understudy(&["status", "--config", config.to_str().unwrap()]);
    assert_eq!((by_config.code, by_config.err.as_str()), (Some(0), ""));

    let absent = ask(&standby.directory.path().join("absent"), &["status"]);
    assert_eq!((absent.code, absent.out.as_str()), (Some(1), ""));
    assert!(absent.err.contains("is it running"), "{}", absent.err);
    let no_config = understudy(&["status", "--config", "/absent/understudy.toml"]);
    assert_eq!(no_config.code, Some(64));
    assert!(no_config.err.contains("--socket PATH"), "{}", no_config.err);
}

/// Asks as another user, with these groups.
fn ask_as(user: &str, group: &str, more_groups: &str, socket: &Path) -> Said {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", user, "--regid", group, "--groups", more_groups]);
    run(command.args([UNDERSTUDY, "status", "--socket"]).arg(socket), b"")
}

#[test]
fn the_socket_is_for_its_owner_and_group_alone() {
    let standby = Standby::start(&Options::default());
    let (directory, socket) = (standby.directory.path(), socket(standby.directory.path()));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let set_mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    assert_eq!(mode(&socket), 0o660);
    if !nix::unistd::geteuid().is_root() {
        // Nobody else can act as other users.
        return;
    }

    set_mode(directory, 0o700);
    let hidden = ask_as(STRANGER, STRANGER, STRANGER, &socket);
    assert_eq!(hidden.code, Some(1));
    assert!(hidden.err.contains("is for its owner and the group \"root\" alone"), "{}", hidden.err);
    set_mode(directory, 0o755);
    let seen = ask_as(STRANGER, STRANGER, STRANGER, &socket);
    assert_eq!(seen.code, Some(1));
    assert!(seen.err.contains("is for its owner and the group \"root\" alone"), "{}", seen.err);

    assert_eq!(ask_as(STRANGER, "0", STRANGER, &socket).code, Some(0), "by the first group");
    assert_eq!(ask_as(STRANGER, STRANGER, "0", &socket).code, Some(0), "by another group");

    set_mode(&socket, 0o666);
    let opened = ask_as(STRANGER, STRANGER, STRANGER, &socket);
    assert_eq!(opened.code, Some(1));
    assert!(opened.err.contains("refuses"), "{}", opened.err);
    standby.daemon.wait_for("a stranger asked");
}

#[test]
fn a_dead_daemons_socket_is_replaced_and_a_live_ones_is_not() {
    let master = Master::new(free_port(), "rijndael-128", "64MiB");
    kill(master.start());
    assert!(socket(master.directory.path()).exists());
    let sender = master.start();
    assert!(status(master.directory.path()).sender.is_some());

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().display();
    let toml = format!(
        "[node]\nstate_directory = \"{path}\"\ncontrol_socket = \"{}\"\n[core]\ncommand_file = \"{path}/nagios.cmd\"\n\
         [[receiver.listener]]\naddress = \"127.0.0.1:0\"\nencryption = \"none\"\n",
        socket(master.directory.path()).display()
    );
    let config = write_secret(&directory.path().join("second.toml"), &toml);
    let mut second = Running::start(Command::new(UNDERSTUDY).args(["run", "--config"]).arg(&config));
    assert_eq!(second.wait().code(), Some(1));
    second.wait_for("another understudy runs with this control socket");
    assert!(status(master.directory.path()).sender.is_some(), "the first one still answers");

    // A daemon that hangs is a live one.
    sender.signal(Signal::SIGSTOP);
    let mut second = Running::start(Command::new(UNDERSTUDY).args(["run", "--config"]).arg(&config));
    assert_eq!(second.wait().code(), Some(1));
    sender.signal(Signal::SIGCONT);

    let elsewhere = toml.replace("control.sock", "absent/control.sock");
    let config = write_secret(&directory.path().join("third.toml"), &elsewhere);
    let mut third = Running::start(Command::new(UNDERSTUDY).args(["run", "--config"]).arg(&config));
    assert_eq!(third.wait().code(), Some(1));
    third.wait_for("create it, writable for this daemon's user");
}

#[test]
fn bad_clients_cost_nothing_else() {
    let standby = Standby::start(&Options::default());
    let core = Recorder::start(&standby.command_file());
    let master = Master::new(standby.address.port(), "rijndael-128", "64MiB");
    let mut sender = master.start();
    let socket = socket(master.directory.path());
    let hanging: Vec<UnixStream> = (0..100).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    for garbage in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 4096], b"{\"protocol\":1,\"request\":[[[[", &[b'x'; 200_000]]
    {
        // The daemon closes when it has heard enough.
        let _ = UnixStream::connect(&socket).unwrap().write_all(garbage);
    }
    for n in 0..50 {
        master.deliver(&handover("web", "disk", &format!("number {n}")));
    }
    core.wait_for(50);
    assert!(sender.is_running());
    drop(hanging);
    assert_eq!(status(master.directory.path()).sender.unwrap().intake.handed_over, 50);

    let mut hanging = UnixStream::connect(&socket).unwrap();
    assert_eq!(sender.terminate().code(), Some(0));
    assert_eq!(hanging.read(&mut [0; 1]).unwrap(), 0, "nobody is waited for at the end");
}

#[test]
fn forget_tells_what_there_was_to_forget() {
    let master = Master::new(free_port(), "rijndael-128", "64MiB");
    let _sender = master.start();
    let known = ask(master.directory.path(), &["forget", "standby"]);
    assert_eq!((known.code, known.err.as_str()), (Some(0), ""));
    assert!(known.out.contains("nothing was remembered"), "{}", known.out);
    let unknown = ask(master.directory.path(), &["forget", "standbye"]);
    assert_eq!((unknown.code, unknown.out.as_str()), (Some(1), ""));
    assert!(
        unknown.err.contains("no destination \"standbye\": those in the daemon's configuration are standby"),
        "{}",
        unknown.err
    );
}

/// What is forgotten stays so for the next daemon.
#[test]
fn a_destination_that_could_seal_is_forgotten_once() {
    let standby = Standby::start(&Options::default());
    let master = Master::new(standby.address.port(), "rijndael-128", "64MiB");
    let mut sender = master.start();
    wait::until("a sealed session", || {
        let destination = status(master.directory.path()).sender.unwrap().destinations.remove(0);
        (destination.session == Some(SessionKind::Sealed)).then_some(())
    });
    let forgotten = ask(master.directory.path(), &["forget", "standby"]);
    assert_eq!((forgotten.code, forgotten.err.as_str()), (Some(0), ""));
    assert!(forgotten.out.contains("standby: forgotten"), "{}", forgotten.out);
    sender.wait_for("told over the control socket");
    drop(standby);
    assert_eq!(sender.terminate().code(), Some(0));
    let _sender = master.start();
    let nothing = ask(master.directory.path(), &["forget", "standby"]);
    assert!(nothing.out.contains("nothing was remembered"), "{}", nothing.out);
}

#[test]
fn a_key_is_64_digits_that_a_key_file_takes() {
    let keys = [understudy(&["key"]), understudy(&["key"])];
    assert_ne!(keys[0].out, keys[1].out);
    let Said { code, out, err } = &keys[0];
    assert_eq!((*code, err.as_str(), out.len()), (Some(0), "", 65));
    assert!(out.ends_with('\n'));

    let master = Master::new(free_port(), "rijndael-128", "64MiB");
    let key = write_secret(&master.directory.path().join("key"), out);
    let config = master.directory.path().join("master.toml");
    let toml =
        fs::read_to_string(&config).unwrap() + &format!("key_file = \"{}\"\nsealed = \"require\"\n", key.display());
    fs::write(&config, toml).unwrap();
    let checked = understudy(&["config", "check", "--config", config.to_str().unwrap()]);
    assert_eq!(checked.code, Some(0), "{}", checked.err);
    for says in [
        &format!("always sealed, with the key in {}; classic sessions are refused", key.display()),
        &format!("`understudy status` at {}", socket(master.directory.path()).display()),
    ] {
        assert!(checked.out.contains(says), "{says:?} is not in\n{}", checked.out);
    }
    assert!(!checked.out.contains(out.trim_end()), "a secret is shown");
}
