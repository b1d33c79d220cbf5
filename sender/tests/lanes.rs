//! Several connections to one destination: each object keeps its order, and what a lane has not confirmed is kept.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use common::daemon::{Act, Daemon};
use common::{DEADLINE, configuration, destination, eventually, secret, start_in};
use nagios::{CheckResult, HostName, Object, PluginOutput, ReturnCode, Timestamp};
use sender::Sender;
use tempfile::TempDir;

const OBJECTS: usize = 50;
const RESULTS: usize = 2000;
const LANES: usize = 3;

/// Results take turns with the objects; the output is the number.
fn result(number: usize) -> CheckResult {
    let host = HostName::try_from(format!("host-{}", number % OBJECTS).as_str()).unwrap();
    let output = PluginOutput::from_text(number.to_string().as_bytes());
    CheckResult::new(Object::Host(host), ReturnCode::new(0), output, Timestamp::from_seconds(1_700_000_000))
}

/// The numbers of each object, in the order in which they arrived. They are what [`result`] made.
fn by_object(results: &[String]) -> BTreeMap<usize, Vec<usize>> {
    let mut found: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for result in results {
        let (host, output) = result.split_once(";;0;").unwrap();
        let (object, number) = (host.strip_prefix("host-").unwrap().parse().unwrap(), output.parse().unwrap());
        assert_eq!(number % OBJECTS, object, "{result}");
        found.entry(object).or_default().push(number);
    }
    found
}

/// Each object got each of its results once, in order.
#[track_caller]
fn assert_once_and_in_order(results: &[String]) {
    let expected = (0..OBJECTS).map(|object| (object, (object..RESULTS).step_by(OBJECTS).collect())).collect();
    let found: BTreeMap<usize, Vec<usize>> = by_object(results);
    assert_eq!(found, expected);
}

async fn start(directory: &TempDir, address: &str) -> Sender {
    let mut standby = destination("standby", address);
    standby.lanes = LANES;
    start_at(directory.path(), standby).await
}

async fn start_at(directory: &Path, standby: config::Destination) -> Sender {
    start_in(&configuration(directory, vec![standby]), directory).await.unwrap()
}

/// After a sender that was dropped: what of it is still under way holds its spool for a moment.
async fn start_again(directory: &TempDir, address: &str) -> Sender {
    eventually("the spool is free", || spool::disk::Directory::open(&directory.path().join("spool")).is_ok()).await;
    start(directory, address).await
}

/// Leaves all results in the spool of a sender whose destination is away.
async fn prepare(directory: &TempDir) {
    let sender = start(directory, "127.0.0.1:1").await;
    (0..RESULTS).for_each(|number| sender.submit(result(number)).unwrap());
    assert_eq!(sender.stop(Duration::ZERO).await.left, [("standby".to_owned(), RESULTS as u64)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_object_keeps_its_order_over_all_lanes() {
    let directory = tempfile::tempdir().unwrap();
    prepare(&directory).await;
    let daemon = Daemon::start_for_many("127.0.0.1:0", secret(), &[]);
    let sender = start(&directory, &daemon.address.to_string()).await;
    eventually("all arrived", || daemon.results().len() >= RESULTS).await;
    assert_once_and_in_order(&daemon.results());
    assert!(daemon.connections() >= LANES, "{} connections", daemon.connections());
    eventually("all is confirmed", || sender.status().destinations[0].queued == 0).await;
    assert_eq!(sender.status().destinations[0].acknowledged, RESULTS as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_fails_sends_again_and_the_others_do_not() {
    let directory = tempfile::tempdir().unwrap();
    prepare(&directory).await;
    let daemon = Daemon::start_for_many("127.0.0.1:0", secret(), &[Act::Take, Act::ResetAfter(10)]);
    let sender = start(&directory, &daemon.address.to_string()).await;
    eventually("a lane has failed", || daemon.broken() == 1).await;
    eventually("all is confirmed", || sender.status().destinations[0].queued == 0).await;
    assert_once_and_in_order(&daemon.results());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_lane_has_not_confirmed_waits_for_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    prepare(&directory).await;
    let mut script = vec![Act::Take, Act::Slam, Act::Take];
    script.extend([Act::Slam; 100]);
    let daemon = Daemon::start_for_many("127.0.0.1:0", secret(), &script);
    let sender = start(&directory, &daemon.address.to_string()).await;
    eventually("the other lanes are done", || daemon.connections() == LANES - 1).await;
    eventually("the failure is seen", || sender.status().destinations[0].failure.is_some()).await;
    let before = by_object(&daemon.results());
    let missing: Vec<usize> = (0..OBJECTS).filter(|object| !before.contains_key(object)).collect();
    assert!(!missing.is_empty() && missing.len() < OBJECTS, "lanes share the objects: {missing:?}");
    let left = sender.stop(Duration::ZERO).await.left[0].1;
    assert!(left >= (missing.len() * RESULTS / OBJECTS) as u64, "only {left} wait");

    let later = Daemon::start_for_many("127.0.0.1:0", secret(), &[]);
    let sender = start(&directory, &later.address.to_string()).await;
    eventually("all is confirmed", || sender.status().destinations[0].queued == 0).await;
    let after = by_object(&later.results());
    for object in missing {
        let expected: Vec<usize> = (object..RESULTS).step_by(OBJECTS).collect();
        assert_eq!(after.get(&object), Some(&expected), "host-{object}");
    }
}

/// A kill forgets what lanes have confirmed beyond the position: the batch is sent again, in order, to its newest result.
#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_is_killed_leaves_nothing_out() {
    let directory = tempfile::tempdir().unwrap();
    prepare(&directory).await;
    let daemon = Daemon::start_for_many("127.0.0.1:0", secret(), &[Act::Take, Act::ResetAfter(10), Act::Late]);
    let sender = start(&directory, &daemon.address.to_string()).await;
    eventually("one lane is done", || daemon.connections() > 0).await;
    drop(sender);
    let later = Daemon::start_for_many("127.0.0.1:0", secret(), &[]);
    let sender = start_again(&directory, &later.address.to_string()).await;
    eventually("all is confirmed", || sender.status().destinations[0].queued == 0).await;
    let arrived = [daemon.results(), later.results()].concat();
    let found = by_object(&arrived);
    for object in 0..OBJECTS {
        let numbers = &found[&object];
        let expected: BTreeSet<usize> = (object..RESULTS).step_by(OBJECTS).collect();
        assert_eq!(numbers.iter().copied().collect::<BTreeSet<_>>(), expected, "host-{object}");
        assert_eq!(numbers.last(), expected.last(), "the newest comes last");
    }
    let _ = sender.stop(DEADLINE).await;
}
