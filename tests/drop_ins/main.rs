//! Our `nsca` and `send_nsca` in the place of the stock ones.

#![allow(clippy::unwrap_used, reason = "a test ends at whatever goes wrong")]

mod answers;
mod daemon;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::process::Command;

use nix::unistd::Uid;
use nsca::Method;
use support::peers::{ours_linked_as, stock_nsca, stock_send_nsca};
use support::site::{Said, Site};

const SENT: &str = "1 data packet(s) sent to host successfully.\n";
const RESULT: &[u8] = b"web1\tHTTP\t0\tOK\n";
const LINE: &[u8] = b"PROCESS_SERVICE_CHECK_RESULT;web1;HTTP;0;OK";

/// The file of a Debian package, changed as a site must: `changes` are keys with their new values.
fn site_version(path: &str, package: &str, changes: &[(&str, &str)]) -> String {
    let file = fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}: run `apt-get install {package}`"));
    let changed = |line: &str| {
        let key = line.split('=').next().unwrap_or_default();
        let change = changes.iter().find(|(changed, _)| *changed == key);
        change.map_or_else(|| line.to_owned(), |(key, value)| format!("{key}={value}"))
    };
    file.lines().map(changed).map(|line| line + "\n").collect()
}

#[test]
fn the_files_of_the_packages_work_with_every_pair_of_programs() {
    let mut pairs: Vec<(Command, Command)> = Vec::new();
    let links = tempfile::TempDir::new().unwrap();
    let link = |name| ours_linked_as(name, links.path());
    pairs.push((stock_nsca(), stock_send_nsca()));
    pairs.push((link("nsca"), stock_send_nsca()));
    pairs.push((stock_nsca(), link("send_nsca")));
    pairs.push((link("nsca"), link("send_nsca")));
    for (mut nsca, mut send_nsca) in pairs {
        let site = Site::new(Method::Xor);
        let path = |name| site.path(name).display().to_string();
        let nsca_cfg = site_version(
            "/etc/nsca.cfg",
            "nsca",
            &[
                ("server_port", &site.port.to_string()),
                ("pid_file", &path("nsca.pid")),
                ("command_file", &path("nagios.cmd")),
                ("alternate_dump_file", &path("nsca.dump")),
                // The directory of the test belongs to whoever runs it.
                ("nsca_user", &Uid::current().to_string()),
                ("nsca_group", "0"),
            ],
        );
        site.write("nsca.cfg", &nsca_cfg);
        site.write("send_nsca.cfg", &site_version("/etc/send_nsca.cfg", "nsca-client", &[]));
        let _daemon = site.start(&mut nsca, "--single");
        let said = site.send(&mut send_nsca, &[], RESULT);
        assert_eq!(said, Said { code: Some(0), out: SENT.into(), err: String::new() });
        site.core.wait_for(1);
        assert_eq!(site.commands(), [LINE], "{nsca:?}, {send_nsca:?}");
    }
}
