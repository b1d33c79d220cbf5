//! Links against daemons that read, reset, close and vanish, over real TCP.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics, its helpers too")]

mod common;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use common::daemon::{Act, Daemon};
use common::{DEADLINE, configuration, destination, eventually, numbered, numbers, secret, start_in};
use nsca::{Method, Secret};
use sender::Sender;

async fn start(directory: &tempfile::TempDir, destinations: &[(&str, String)]) -> Sender {
    let destinations = destinations.iter().map(|(name, address)| destination(name, address)).collect();
    start_in(&configuration(directory.path(), destinations), directory.path()).await.unwrap()
}

fn submit(sender: &Sender, range: std::ops::Range<usize>) {
    range.for_each(|number| sender.submit(numbered(number)).unwrap());
}

/// A port on which nobody listens.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_destination_gets_everything_in_order_over_few_connections() {
    let directory = tempfile::tempdir().unwrap();
    let v4 = Daemon::start("127.0.0.1:0", secret(), &[]);
    let v6 = Daemon::start("[::1]:0", secret(), &[]);
    let sender =
        start(&directory, &[("v4", format!("localhost:{}", v4.address.port())), ("v6", v6.address.to_string())]).await;
    submit(&sender, 0..2500);
    eventually("both have all", || v4.results().len() >= 2500 && v6.results().len() >= 2500).await;
    assert_eq!(v4.results(), numbers(2500));
    assert_eq!(v6.results(), numbers(2500));
    assert!(v4.connections() <= 4, "{} connections", v4.connections());
    let summary = sender.stop(DEADLINE).await;
    assert_eq!(summary.left, [("v4".to_string(), 0), ("v6".to_string(), 0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_loses_nothing_and_keeps_the_order() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = Daemon::start("127.0.0.1:0", secret(), &[Act::ResetAfter(30), Act::Slam, Act::ResetAfter(1)]);
    let sender = start(&directory, &[("standby", daemon.address.to_string())]).await;
    submit(&sender, 0..600);
    eventually("a failure is seen", || sender.status().destinations[0].failure.is_some()).await;
    submit(&sender, 600..1200);
    eventually("all arrived", || daemon.results().len() >= 1200).await;
    assert_eq!(daemon.results(), numbers(1200));
    eventually("all confirmed", || sender.status().destinations[0].queued == 0).await;
    let status = &sender.status().destinations[0];
    assert_eq!((status.acknowledged, status.skipped.damaged, &status.failure), (1200, 0, &None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_destination_does_not_hold_up_a_live_one() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = Daemon::start("127.0.0.1:0", secret(), &[]);
    let dead = format!("127.0.0.1:{}", closed_port());
    let sender = start(&directory, &[("dead", dead), ("alive", daemon.address.to_string())]).await;
    submit(&sender, 0..100);
    eventually("the live one has all", || daemon.results().len() >= 100).await;
    eventually("the dead one is noticed", || sender.status().destinations[0].failure.is_some()).await;
    let status = sender.status();
    assert_eq!(status.destinations[0].queued, 100);
    assert!(status.destinations[0].failure.as_ref().unwrap().message.contains("no connection"), "{status:?}");
    let summary = sender.stop(Duration::from_millis(100)).await;
    assert_eq!(summary.left, [("dead".to_string(), 100), ("alive".to_string(), 0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_noticed_even_with_one_result_over_a_slow_line() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = Daemon::start("127.0.0.1:0", Secret::new(Method::Xor, b"another"), &[Act::Late, Act::Late]);
    let sender = start(&directory, &[("standby", daemon.address.to_string())]).await;
    submit(&sender, 0..1);
    let looked = || sender.status().destinations[0].clone();
    eventually("the attempt ended", || looked().failure.is_some() || looked().acknowledged > 0).await;
    assert_eq!((looked().queued, looked().acknowledged), (1, 0));
    assert!(looked().failure.unwrap().message.contains("wrong password"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = Daemon::start("127.0.0.1:0", secret(), &[]);
    let sender = start(&directory, &[("standby", daemon.address.to_string())]).await;
    let mut long = numbered(0);
    long.output = nagios::PluginOutput::from_text("ä".repeat(4000).as_bytes());
    sender.submit(long).unwrap();
    eventually("it arrived", || daemon.results().len() == 1).await;
    assert_eq!(daemon.results(), [format!("web;count;0;{}", "ä".repeat(2047))]);
    assert_eq!(sender.status().destinations[0].truncated, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_delivers_what_waits() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = Daemon::start("127.0.0.1:0", secret(), &[]);
    let sender = start(&directory, &[("standby", daemon.address.to_string())]).await;
    submit(&sender, 0..3000);
    let summary = sender.stop(DEADLINE).await;
    assert_eq!(summary.left, [("standby".to_string(), 0)]);
    assert_eq!(daemon.results(), numbers(3000));
    assert!(!directory.path().join("ocsp.sock").exists());
    assert!(directory.path().join("perfdata.fifo").exists(), "the core has it open");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stop_leaves_is_delivered_after_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let dead = format!("127.0.0.1:{}", closed_port());
    let sender = start(&directory, &[("standby", dead)]).await;
    submit(&sender, 0..300);
    eventually("a failure is seen", || sender.status().destinations[0].failure.is_some()).await;
    let begun = Instant::now();
    let summary = sender.stop(DEADLINE).await;
    assert!(begun.elapsed() < DEADLINE, "a destination that is away does not hold the stop up");
    assert_eq!(summary.left, [("standby".to_string(), 300)]);

    let daemon = Daemon::start("127.0.0.1:0", secret(), &[]);
    let sender =
        start(&directory, &[("standby", daemon.address.to_string()), ("new", daemon.address.to_string())]).await;
    let status = sender.status();
    assert_eq!(status.destinations[1].queued, 0, "a new destination gets what comes from now on");
    eventually("all arrived", || daemon.results().len() >= 300).await;
    assert_eq!(daemon.results(), numbers(300));
}
