//! Sealed sessions, and the ways in which they do not come about.

use std::path::Path;

use chronicle::Chronicle;
use nagios::{Attributed, CheckType};
use nsca::sealed::{Psk, Reason};

use super::super::connect::System;
use super::standby::{Act, Standby, eventually, psk, secret};
use super::*;
use crate::{Sender, SessionKind};

/// A sender with this destination, which keeps everything in `directory`.
async fn sender(directory: &Path, address: SocketAddr, sealed: Policy) -> Sender {
    sender_with(directory, address, sealed, None).await
}

/// And with this book.
pub(super) async fn sender_with(
    directory: &Path,
    address: SocketAddr,
    sealed: Policy,
    chronicle: Option<Chronicle>,
) -> Sender {
    let destination = Destination {
        name: "standby".into(),
        address: address.to_string().parse().unwrap(),
        secret: secret(),
        sealed,
        key_source: None,
        packet_size: PacketSize::Modern,
        lanes: 1,
    };
    let config = config::Sender {
        socket: directory.join("ocsp.sock"),
        socket_mode: 0o660,
        socket_group: None,
        spill: directory.join("spill"),
        perfdata: None,
        spool: config::Spool::default(),
        relay_passive: true,
        destinations: vec![destination],
    };
    let node = config::Node {
        name: NodeName::try_from("master").unwrap(),
        state_directory: directory.to_owned(),
        control_socket: directory.join("control.sock"),
    };
    Sender::start(&config, &node, None, Arc::default(), chronicle).await.unwrap()
}

fn submit(sender: &Sender, numbers: std::ops::Range<u64>) {
    numbers.for_each(|number| sender.submit(numbered(number)).unwrap());
}

fn numbers(range: std::ops::Range<u64>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

fn failure(sender: &Sender) -> String {
    sender.status().destinations[0].failure.clone().map(|failure| failure.message).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_goes_over_one_connection_that_stays() {
    let directory = tempfile::tempdir().unwrap();
    let standby = Standby::start(Policy::Auto(psk())).await;
    let sender = sender(directory.path(), standby.address, Policy::Auto(psk())).await;
    // Also without results: somebody waits for signs of life.
    eventually("there is a session", || sender.status().destinations[0].session.is_some()).await;
    for batch in 0..3 {
        submit(&sender, 1 + 1000 * batch..1001 + 1000 * batch);
        eventually("all is acknowledged", || sender.status().destinations[0].queued == 0).await;
    }
    let state = standby.state();
    assert_eq!(state.sealed, numbers(1..3001));
    assert_eq!((state.connections, state.classic.len()), (1, 0));
    drop(state);
    let status = &sender.status().destinations[0];
    assert_eq!((status.session, status.peer.as_deref()), (Some(SessionKind::Sealed), Some("standby")));
    assert_eq!((status.acknowledged, &status.failure, status.oldest_waiting_seconds), (3000, &None, None));
    assert!(status.session_seconds.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_tell_how_both_nodes_are() {
    let directory = tempfile::tempdir().unwrap();
    let standby = Standby::start(Policy::Auto(psk())).await;
    let sender = sender(directory.path(), standby.address, Policy::Auto(psk())).await;
    sender.set_core(CoreVerdict::DeadCrash);
    sender.set_duty(Duty::Active);
    eventually("both were told", || {
        let state = standby.state();
        (state.core, state.duty) == (CoreVerdict::DeadCrash, Duty::Active)
    })
    .await;
    let heard = sender.heard("standby").unwrap();
    eventually("the standby was heard", || heard.borrow().core == CoreVerdict::Alive).await;
    assert_eq!((heard.borrow().ended, sender.heard("nobody").is_some()), (None, false));
    eventually("the clocks are compared", || sender.status().destinations[0].clock_offset_ms.is_some()).await;
    let offset = sender.status().destinations[0].clock_offset_ms.unwrap();
    assert!(offset.abs() < 1000, "{offset}");
    standby.state().act = Act::Leave(Reason::Stopping);
    eventually("it has left", || heard.borrow().ended == Some(Ended::Goodbye(Reason::Stopping))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_welcomes_and_leaves_is_met_again_soon() {
    let directory = tempfile::tempdir().unwrap();
    let standby = Standby::start(Policy::Auto(psk())).await;
    standby.state().act = Act::Leave(Reason::Stopping);
    let _sender = sender(directory.path(), standby.address, Policy::Auto(psk())).await;
    // Pauses that grow would leave time for six.
    eventually("it was met often", || standby.state().connections >= 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_may_be_back_is_tried_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let standby = Standby::start(Policy::Auto(psk())).await;
    standby.state().act = Act::Cut;
    let sender = sender(directory.path(), standby.address, Policy::Auto(psk())).await;
    eventually("the next pause is one of seconds", || standby.state().connections >= 5).await;
    let (before, began) = (standby.state().connections, Instant::now());
    eventually("three more", || {
        sender.retry();
        standby.state().connections >= before + 3
    })
    .await;
    assert!(began.elapsed() < Duration::from_secs(3), "after {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_cut_it_goes_on_where_acknowledgements_ended() {
    let directory = tempfile::tempdir().unwrap();
    let standby = Standby::start(Policy::Auto(psk())).await;
    let sender = sender(directory.path(), standby.address, Policy::Auto(psk())).await;
    submit(&sender, 1..501);
    eventually("some have arrived", || standby.state().sealed.len() > 100).await;
    standby.state().act = Act::Cut;
    eventually("it is noticed", || !failure(&sender).is_empty()).await;
    submit(&sender, 501..1001);
    standby.state().act = Act::Take;
    eventually("all is acknowledged", || sender.status().destinations[0].queued == 0).await;
    let mut arrived = standby.state().sealed.clone();
    arrived.dedup();
    // What came with the cut was not acknowledged, and comes again, in order.
    let mut last_of_each = Vec::new();
    for number in arrived.iter().rev() {
        if !last_of_each.contains(number) {
            last_of_each.push(number.clone());
        }
    }
    last_of_each.reverse();
    assert_eq!(last_of_each, numbers(1..1001));
    assert_eq!(failure(&sender), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_daemon_gets_classic_sessions_and_its_successor_sealed_ones() {
    let directory = tempfile::tempdir().unwrap();
    let standby = Standby::start(Policy::Off).await;
    let sender = sender(directory.path(), standby.address, Policy::Auto(psk())).await;
    submit(&sender, 1..11);
    eventually("all arrived", || standby.state().classic.len() == 10).await;
    eventually("all is confirmed", || sender.status().destinations[0].queued == 0).await;
    let status = &sender.status().destinations[0];
    assert_eq!((status.session, status.acknowledged), (Some(SessionKind::Classic), 10));
    standby.state().policy = Policy::Auto(psk());
    submit(&sender, 11..12);
    eventually("all is confirmed", || sender.status().destinations[0].queued == 0).await;
    assert_eq!(standby.state().sealed, numbers(11..12));
    assert_eq!(sender.status().destinations[0].session, Some(SessionKind::Sealed));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_could_seal_gets_no_classic_session_until_it_is_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let standby = Standby::start(Policy::Auto(psk())).await;
    let first = sender(directory.path(), standby.address, Policy::Auto(psk())).await;
    submit(&first, 1..2);
    eventually("it arrived", || standby.state().sealed.len() == 1).await;
    // Somebody strips the mark, also after a restart.
    standby.state().policy = Policy::Off;
    standby.state().act = Act::Cut;
    first.stop(Duration::from_secs(5)).await;
    let second = sender(directory.path(), standby.address, Policy::Auto(psk())).await;
    submit(&second, 2..3);
    eventually("it is noticed", || failure(&second).contains("understudy forget")).await;
    assert!(failure(&second).contains(&standby.address.to_string()), "{}", failure(&second));
    assert_eq!((standby.state().classic.len(), second.status().destinations[0].queued), (0, 1));
    assert!(matches!(second.forget("nobody"), Err(crate::ForgetError::Unknown(_))));
    assert!(second.forget("standby").unwrap());
    eventually("it arrived", || standby.state().classic.len() == 1).await;
    assert!(!second.forget("standby").unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_another_key_nothing_is_sent_and_nothing_remembered() {
    let directory = tempfile::tempdir().unwrap();
    let standby = Standby::start(Policy::Auto(Psk::new([8; 32]))).await;
    let sender = sender(directory.path(), standby.address, Policy::Auto(psk())).await;
    submit(&sender, 1..2);
    eventually("it is noticed", || failure(&sender).contains("password or key_file differ")).await;
    let state = standby.state();
    assert_eq!((state.sealed.len(), state.classic.len()), (0, 0));
    assert!(!sender.forget("standby").unwrap(), "a mark alone says nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn required_sessions_are_never_classic() {
    let directory = tempfile::tempdir().unwrap();
    let standby = Standby::start(Policy::Off).await;
    let sender = sender(directory.path(), standby.address, Policy::Require(psk())).await;
    submit(&sender, 1..2);
    eventually("it is noticed", || failure(&sender).contains("sealed = \"require\"")).await;
    assert_eq!((standby.state().classic.len(), sender.status().destinations[0].queued), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let standby = Standby::start(Policy::Auto(psk())).await;
    standby.state().act = Act::Refuse(Reason::NameInUse);
    let sender = sender(directory.path(), standby.address, Policy::Auto(psk())).await;
    eventually("it is noticed", || failure(&sender).contains("a name of its own")).await;
    assert_eq!(sender.status().destinations[0].session, None);
    let address = standby.address;
    let needs_somebody =
        |reason| LinkError::sealed(address, nsca::sealed::SealedError::Refused(reason)).needs_somebody();
    assert!([Reason::NameInUse, Reason::OwnName, Reason::Superseded].into_iter().all(needs_somebody));
    assert!(![Reason::Unavailable, Reason::Stopping].into_iter().any(needs_somebody));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_knows_another_future_of_the_spool_gets_a_new_epoch() {
    for claimed in [1, 1 << 40] {
        let directory = tempfile::tempdir().unwrap();
        let standby = Standby::start(Policy::Auto(psk())).await;
        standby.state().claimed = claimed;
        let sender = sender(directory.path(), standby.address, Policy::Auto(psk())).await;
        submit(&sender, 1..4);
        eventually("all is acknowledged", || sender.status().destinations[0].queued == 0).await;
        assert_eq!(standby.state().sealed, numbers(1..4));
        assert_eq!(standby.state().connections, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_acknowledgements_and_says_goodbye() {
    let directory = tempfile::tempdir().unwrap();
    let standby = Standby::start(Policy::Auto(psk())).await;
    let sender = sender(directory.path(), standby.address, Policy::Auto(psk())).await;
    submit(&sender, 1..2001);
    let summary = sender.stop(Duration::from_secs(20)).await;
    assert_eq!(summary.left, [("standby".to_string(), 0)]);
    assert_eq!(standby.state().sealed, numbers(1..2001));
    eventually("goodbye was said", || standby.state().goodbyes == [Reason::Stopping]).await;
    assert_eq!(standby.state().errors, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_that_cannot_wait_says_goodbye_too() {
    let directory = tempfile::tempdir().unwrap();
    let standby = Standby::start(Policy::Auto(psk())).await;
    standby.state().act = Act::Ignore;
    let first = sender(directory.path(), standby.address, Policy::Auto(psk())).await;
    submit(&first, 1..6);
    eventually("all arrived", || standby.state().sealed.len() == 5).await;
    let summary = first.stop(Duration::from_millis(50)).await;
    assert_eq!(summary.left, [("standby".to_string(), 5)]);
    eventually("goodbye was said", || standby.state().goodbyes == [Reason::Stopping]).await;
    standby.state().act = Act::Take;
    let second = sender(directory.path(), standby.address, Policy::Auto(psk())).await;
    eventually("all is acknowledged", || second.status().destinations[0].queued == 0).await;
    assert_eq!(standby.state().sealed[5..], numbers(1..6));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_from_the_peer_does_not_go_back() {
    let directory = tempfile::tempdir().unwrap();
    let standby = Standby::start(Policy::Auto(psk())).await;
    let sender = sender(directory.path(), standby.address, Policy::Auto(psk())).await;
    let inlet = sender.inlet();
    let from = |origin: &str, number| {
        let result = CheckResult { check_type: Some(CheckType::Passive), ..numbered(number) };
        Attributed { result, origin: origin.into() }
    };
    let results = [from("standby", 1), from("", 2), from("third", 3), from("standby", 4)];
    assert_eq!(tokio::task::spawn_blocking(move || inlet.append(&results)).await.unwrap().unwrap(), 4);
    eventually("all is acknowledged", || sender.status().destinations[0].queued == 0).await;
    assert_eq!(standby.state().sealed, ["2", "3 of third"]);
    // The next sign of life brings the count.
    eventually("they are counted", || sender.status().destinations[0].skipped.origin == 2).await;
    assert_eq!(sender.status().intake.relayed, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_stalls_is_left_and_met_again() {
    let standby = Standby::start(Policy::Auto(psk())).await;
    let mut stage = Stage::new(&standby.address.to_string(), Policy::Auto(psk()), System);
    // The peer says something each second.
    stage.link.stale_after = Duration::from_millis(1500);
    let (outbox, record, stop) = (stage.outbox, stage.record, Stop::default());
    assert!(outbox.append(&[numbered(1)])[0].is_ok());
    let running = tokio::spawn(stage.link.run(stop.clone()));
    eventually("it is acknowledged", || outbox.waiting(0) == 0).await;
    standby.state().act = Act::Stall;
    assert!(outbox.append(&[numbered(2)])[0].is_ok());
    eventually("the silence is noticed", || {
        record.snapshot().failure.is_some_and(|(failure, _)| failure.contains("nothing was heard"))
    })
    .await;
    standby.state().act = Act::Take;
    eventually("it is acknowledged", || outbox.waiting(0) == 0).await;
    let mut arrived = standby.state().sealed.clone();
    // It may have been taken without an acknowledgement.
    arrived.dedup();
    assert_eq!(arrived, ["1", "2"]);
    stop.drain.cancel();
    running.await.unwrap();
    assert!(stage.directory.path().join("sealed-peers.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_remembered_is_not_sent() {
    let standby = Standby::start(Policy::Auto(psk())).await;
    let stage = Stage::new(&standby.address.to_string(), Policy::Auto(psk()), System);
    let (outbox, record, stop) = (stage.outbox, stage.record, Stop::default());
    let in_the_way = stage.directory.path().join("sealed-peers.partial");
    std::fs::remove_file(&in_the_way).unwrap();
    std::fs::create_dir(&in_the_way).unwrap();
    assert!(outbox.append(&[numbered(1)])[0].is_ok());
    let running = tokio::spawn(stage.link.run(stop.clone()));
    eventually("it is noticed", || {
        record.snapshot().failure.is_some_and(|(failure, _)| failure.contains("cannot be written"))
    })
    .await;
    assert_eq!(standby.state().sealed.len(), 0);
    std::fs::remove_dir(in_the_way).unwrap();
    eventually("it is acknowledged", || outbox.waiting(0) == 0).await;
    stop.drain.cancel();
    running.await.unwrap();
}
