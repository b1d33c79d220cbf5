//! The sender of `understudy run` to stock `nsca`: every method, `--single` and `--daemon`, all of them at once.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;
use std::process::Command;

use nsca::Method;
use support::peers::{stock_nsca, stock_send_nsca};
use support::process::{Running, UNDERSTUDY, understudy_ocsp};
use support::site::{Site, commands};
use support::standby::{PASSWORD, write_secret};
use tempfile::TempDir;

/// A result as the core's macros tell it, and the same as `send_nsca` is told it.
struct Told {
    ocsp: &'static [&'static str],
    send_nsca: &'static str,
}

/// Long output comes escaped from the core's macro.
const RESULTS: [Told; 6] = [
    Told { ocsp: &["service", "web1", "HTTP", "OK", "OK - 0.2 s"], send_nsca: "web1\tHTTP\t0\tOK - 0.2 s" },
    Told { ocsp: &["host", "web1", "DOWN", "no answer", "--check-type", "ACTIVE"], send_nsca: "web1\t1\tno answer" },
    Told {
        ocsp: &["service", "web1", "Disk", "2", "full", "--perfdata", "/=99;95;98", "--long", r"/ 99 %\n/home 98 %"],
        send_nsca: "web1\tDisk\t2\tfull|/=99;95;98\n/ 99 %\n/home 98 %",
    },
    Told {
        ocsp: &["service", "win1", "Disk C:", "1", r"C:\new is full", "--long", r"see C:\\temp; a|b"],
        send_nsca: "win1\tDisk C:\t1\tC:\\new is full\nsee C:\\temp; a|b",
    },
    Told {
        ocsp: &["service", "köln1", "Platz für Züge", "UNKNOWN", "„voll“ – 12 €"],
        send_nsca: "köln1\tPlatz für Züge\t3\t„voll“ – 12 €",
    },
    Told { ocsp: &["service", "web1", "Log", "0", ""], send_nsca: "web1\tLog\t0\t" },
];

/// A stock daemon and what it is called in the configuration.
struct Destination {
    name: String,
    method: Method,
    site: Site,
    _daemon: Running,
}

impl Destination {
    fn start(method: Method, mode: &str) -> Self {
        let site = Site::new(method);
        let daemon = site.start(&mut stock_nsca(), mode);
        Destination { name: format!("{method} {mode}"), method, site, _daemon: daemon }
    }

    fn toml(&self) -> String {
        let Destination { name, method, site, .. } = self;
        format!(
            "[[sender.destination]]\nname = \"{name}\"\naddress = \"127.0.0.1:{}\"\nencryption = \"{method}\"\n\
             password = \"{PASSWORD}\"\n",
            site.port
        )
    }
}

/// Runs `understudy-ocsp` as the core does.
fn hand_over(directory: &Path, arguments: &[&str]) {
    let mut command = Command::new(understudy_ocsp());
    command
        .args(arguments)
        .arg("--socket")
        .arg(directory.join("ocsp.sock"))
        .arg("--spill")
        .arg(directory.join("spill"));
    let ended = command.output().unwrap();
    assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()), (Some(0), ""), "{arguments:?}");
}

/// What the stock pair writes for the same results.
fn written_by_the_stock_pair() -> Vec<Vec<u8>> {
    let stock = Destination::start(Method::None, "--single");
    for (index, told) in RESULTS.iter().enumerate() {
        let said = stock.site.send(&mut stock_send_nsca(), &[], told.send_nsca.as_bytes());
        assert_eq!(said.code, Some(0), "{said:?}");
        stock.site.core.wait_for(index + 1);
    }
    stock.site.commands()
}

#[test]
fn every_stock_daemon_writes_what_it_writes_for_stock_send_nsca() {
    // send_nsca takes a set without output for another kind of set, so the last line cannot be compared with its own.
    let mut expected = written_by_the_stock_pair();
    *expected.last_mut().unwrap() = b"PROCESS_SERVICE_CHECK_RESULT;web1;Log;0;".to_vec();

    let modes = ["--single", "--daemon"];
    let destinations: Vec<Destination> =
        modes.iter().flat_map(|mode| Method::all().map(|method| Destination::start(method, mode))).collect();
    assert_eq!(destinations.len(), 34);
    let directory = TempDir::new().unwrap();
    let path = directory.path().display();
    let toml: String = destinations.iter().map(Destination::toml).collect();
    let config = format!(
        "[node]\nname = \"master\"\nstate_directory = \"{path}\"\n\
         control_socket = \"{path}/control.sock\"\n[sender]\nsocket = \"{path}/ocsp.sock\"\nspill = \"{path}/spill\"\n{toml}"
    );
    let config = write_secret(&directory.path().join("understudy.toml"), &config);
    let mut sender = Running::start(Command::new(UNDERSTUDY).args(["run", "--config"]).arg(config));
    sender.wait_for("sender sends");

    for told in &RESULTS {
        hand_over(directory.path(), told.ocsp);
    }
    for Destination { name, site, .. } in &destinations {
        site.core.wait_for(RESULTS.len());
        let text = |lines: Vec<Vec<u8>>| lines.iter().map(|line| line.escape_ascii().to_string()).collect::<Vec<_>>();
        assert_eq!(text(commands(&site.core)), text(expected.clone()), "{name}");
    }
    assert_eq!(sender.terminate().code(), Some(0));
}
