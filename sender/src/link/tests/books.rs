//! What sealed sessions tell beside results.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use chronicle::Chronicle;
use nagios::Flavour;
use nagios::main_config::MainConfig;
use nsca::sealed::{Want, Warmth};

use super::sealed::sender_with;
use super::standby::{Standby, eventually, psk};
use super::*;
use crate::Sender;

/// A core whose files are in `directory`, and what it remembers.
fn chronicle(directory: &Path) -> Chronicle {
    fs::create_dir(directory.join("core")).unwrap();
    show(directory, 100, &["a", "b"]);
    let log = format!("log_file={}/core/nagios.log\n", directory.display());
    let core = config::Core {
        flavour: Flavour::Nagios4,
        command_file: None,
        status_file: Some(directory.join("core/status.dat")),
        check_result_path: None,
        main: Some(MainConfig::parse(Path::new("nagios.cfg"), log.as_bytes()).unwrap()),
    };
    Chronicle::start(&core, directory).unwrap()
}

/// The core writes its status file.
fn show(directory: &Path, created: i64, services: &[&str]) {
    let mut file = format!("info {{\n\tcreated={created}\n\t}}\nprogramstatus {{\n\tprogram_start=50\n\t}}\n");
    for name in services {
        file.push_str(&format!(
            "servicestatus {{\n\thost_name=web\n\tservice_description={name}\n\thas_been_checked=1\n\tcurrent_state=1\n\
             \tcurrent_attempt=2\n\tlast_check={created}\n\tplugin_output=out\n\tlong_plugin_output=more\n\
             \tperformance_data=p=1\n\t}}\n"
        ));
    }
    fs::write(directory.join("core/status.tmp"), file).unwrap();
    fs::rename(directory.join("core/status.tmp"), directory.join("core/status.dat")).unwrap();
}

fn notify(directory: &Path, time: i64, service: &str) {
    let mut log = OpenOptions::new().create(true).append(true).open(directory.join("core/nagios.log")).unwrap();
    writeln!(log, "[{time}] SERVICE NOTIFICATION: admin;web;{service};CRITICAL;mail;said").unwrap();
}

async fn is_told(standby: &Standby, what: &[&str]) {
    eventually(&format!("{what:?} is told"), || {
        standby.state().told.ends_with(&what.iter().map(ToString::to_string).collect::<Vec<_>>())
    })
    .await;
}

fn submit(sender: &Sender, numbers: std::ops::Range<u64>) {
    numbers.for_each(|number| sender.submit(numbered(number)).unwrap());
}

const WHOLE: [&str; 4] = ["Begin 100", "record web;a", "record web;b", "End 100"];

#[tokio::test(flavor = "multi_thread")]
async fn the_book_goes_behind_the_results_that_wait() {
    let directory = tempfile::tempdir().unwrap();
    let standby = Standby::start(Policy::Auto(psk())).await;
    let chronicle = chronicle(directory.path());
    // The peer allows 100 on their way.
    let waiting = sender_with(directory.path(), "127.0.0.1:1".parse().unwrap(), Policy::Auto(psk()), None).await;
    submit(&waiting, 1..1001);
    waiting.stop(Duration::ZERO).await;
    while chronicle.read(|own| own.created) == 0 {
        tokio::task::yield_now().await;
    }
    let sender = sender_with(directory.path(), standby.address, Policy::Auto(psk()), Some(chronicle)).await;
    is_told(&standby, &WHOLE).await;
    let results = |told: &[String]| told.iter().filter(|told| told.starts_with("result")).count();
    let told = standby.state().told.clone();
    assert_eq!(results(&told[..told.len() - WHOLE.len()]), 1000);

    notify(directory.path(), 105, "b");
    is_told(&standby, &["End 100", "record web;b"]).await;
    show(directory.path(), 110, &["a"]);
    is_told(&standby, &["record web;a", "record web;b", "News 110"]).await;
    submit(&sender, 1001..1002);
    is_told(&standby, &["News 110", "result 1001"]).await;
    sender.stop(Duration::from_secs(20)).await;
    assert_eq!(standby.state().errors, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_peer_asks_for_is_answered() {
    let directory = tempfile::tempdir().unwrap();
    let standby = Standby::start(Policy::Auto(psk())).await;
    let chronicle = chronicle(directory.path());
    let sender = sender_with(directory.path(), standby.address, Policy::Auto(psk()), Some(chronicle)).await;
    is_told(&standby, &WHOLE).await;
    let of = |services: &[&str]| services.iter().map(|name| (b"web".to_vec(), name.as_bytes().to_vec())).collect();
    let results = |services: &[&str], is_last| Want::Results { objects: of(services), is_last };
    standby.state().wants = vec![results(&["b", "unknown"], false), results(&["a", ";"], true)];
    is_told(&standby, &["shown web;a 1 2 out|p=1\nmore", "shown web;b 1 2 out|p=1\nmore", "answered 2"]).await;
    standby.state().wants = vec![Want::Book];
    is_told(&standby, &[&["answered 2"][..], &WHOLE[..]].concat()).await;
    fs::remove_file(directory.path().join("core/status.dat")).unwrap();
    standby.state().wants = vec![results(&["b"], true)];
    is_told(&standby, &["End 100", "answered 0"]).await;

    sender.set_warmth(Warmth::Cold);
    eventually("it is known to be cold", || standby.state().warmth == Warmth::Cold).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_knows_of_no_books_gets_results_only() {
    let directory = tempfile::tempdir().unwrap();
    let standby = Standby::start(Policy::Auto(psk())).await;
    standby.state().books = false;
    let chronicle = chronicle(directory.path());
    let sender = sender_with(directory.path(), standby.address, Policy::Auto(psk()), Some(chronicle)).await;
    submit(&sender, 1..2);
    eventually("it is acknowledged", || sender.status().destinations[0].queued == 0).await;
    notify(directory.path(), 105, "b");
    submit(&sender, 2..3);
    is_told(&standby, &["result 1", "result 2"]).await;
    sender.stop(Duration::from_secs(20)).await;
    assert_eq!(standby.state().told.len(), 2);
    assert_eq!(standby.state().errors, []);
}
