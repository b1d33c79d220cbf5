//! The queue as its users see it, on a disk without faults.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::num::NonZeroU32;
use std::time::Instant;

use common::{append, new_record, open, options, payloads, read_from};
use spool::disk::simulated::SimulatedDisk;
use spool::{
    AppendCause, COMMIT_WITHIN, FileState, Flags, Keep, MAX_PAYLOAD_BYTES, OpenError, Options, Reader, Shrink, Spool,
};

#[test]
fn what_goes_in_comes_out_in_order_from_any_sequence() {
    let disk = SimulatedDisk::new();
    let (mut spool, recovery) = open(&disk);
    assert_eq!((recovery.identity, recovery.positions), (FileState::New, FileState::New));
    let texts: Vec<String> = (0..5000).map(|n| format!("payload {n}")).collect();
    let given = spool.append(texts.iter().map(|text| new_record("key", text)), Instant::now()).unwrap();
    assert_eq!((given.start, given.end), (spool.oldest(), spool.newest() + 1));
    assert_eq!(payloads(&spool), texts);
    for from in [0_usize, 1, 2, 777, 4999, 5000, 5001] {
        let expected = texts.get(from.max(1) - 1..).unwrap_or_default();
        let read: Vec<String> = read_from(&spool, from as u64).into_iter().map(|(_, _, text)| text).collect();
        assert_eq!(read, expected, "from {from}");
    }
}

#[test]
fn a_reader_follows_what_is_appended() {
    let (mut spool, _) = open(&SimulatedDisk::new());
    let mut reader = Reader::from(0);
    for n in 0..100 {
        assert!(reader.next_batch(&spool).unwrap().is_empty());
        let sequence = append(&mut spool, "key", &n.to_string());
        let batch = reader.next_batch(&spool).unwrap();
        assert_eq!(batch.iter().map(|record| record.sequence).collect::<Vec<_>>(), [sequence]);
    }
}

#[test]
fn each_reader_has_its_place_and_whole_segments_go_when_all_passed() {
    let disk = SimulatedDisk::new();
    let (mut spool, _) = open(&disk);
    let now = Instant::now();
    spool.keep_positions(&["near", "far"], now).unwrap();
    let text = "x".repeat(1000);
    for _ in 0..300 {
        append(&mut spool, "key", &text);
    }
    spool.advance("near", 300, now);
    assert_eq!((spool.depth("near").unwrap(), spool.depth("far").unwrap()), (Some(0), Some(300)));
    assert_eq!(spool.oldest(), 1);
    spool.advance("far", 200, now);
    assert_eq!(spool.depth("far").unwrap(), Some(100));
    assert!((100..=201).contains(&spool.oldest()), "{}", spool.oldest());
    assert_eq!(spool.depth("nobody").unwrap(), None);

    spool.commit(now).unwrap();
    drop(spool);
    let (mut spool, recovery) = open(&disk);
    assert_eq!(recovery.positions, FileState::Found);
    assert_eq!((spool.position("near"), spool.position("far")), (Some(300), Some(200)));
    spool.keep_positions(&["near", "new"], now).unwrap();
    assert_eq!((spool.position("far"), spool.position("new")), (None, Some(0)));
}

#[test]
fn sequences_are_never_given_twice() {
    let disk = SimulatedDisk::new();
    let (mut spool, _) = open(&disk);
    let given = append(&mut spool, "key", "lost");
    drop(spool);
    for name in ["00000000000000000001.segment", "positions"] {
        let _ = spool::disk::Disk::remove(&disk, name);
    }
    let (mut spool, _) = open(&disk);
    assert!(spool.newest() >= given);
    assert_eq!(append(&mut spool, "key", "new"), spool.opened_at());
    assert!(spool.opened_at() > given);
}

#[test]
fn a_new_epoch_lasts() {
    let disk = SimulatedDisk::new();
    let (mut spool, _) = open(&disk);
    assert_eq!((spool.id(), spool.epoch()), (common::ID, 1));
    append(&mut spool, "key", "stays");
    assert_eq!(spool.new_epoch(NonZeroU32::new(1).unwrap()).unwrap(), 2);
    assert_eq!(spool.new_epoch(NonZeroU32::MAX).unwrap(), 2 + u64::from(u32::MAX));
    drop(spool);
    disk.cut_power(1);
    let (spool, _) = open(&disk);
    assert_eq!((spool.id(), spool.epoch()), (common::ID, 2 + u64::from(u32::MAX)));
}

#[test]
fn commits_are_due_within_the_bound_and_can_run_elsewhere() {
    let (mut spool, _) = open(&SimulatedDisk::new());
    let now = Instant::now();
    assert_eq!(spool.next_commit_due(), None);
    append(&mut spool, "key", "1");
    assert!(spool.next_commit_due().unwrap() >= now + COMMIT_WITHIN);
    assert_eq!(spool.committed(), 0);

    let commit = spool.begin_commit(now).unwrap().unwrap();
    assert_eq!(spool.next_commit_due(), None);
    append(&mut spool, "key", "2");
    let committed = std::thread::spawn(|| commit.run()).join().unwrap();
    assert_eq!(spool.finish_commit(committed, now).unwrap(), 1);
    assert!(spool.next_commit_due().is_some(), "the second waits");
    assert_eq!(spool.commit(now).unwrap(), 2);
    assert_eq!(spool.next_commit_due(), None);
}

#[test]
fn what_is_too_long_is_refused_alone() {
    let (mut spool, _) = Spool::open_on(SimulatedDisk::new(), options(32 << 20, Keep::Unread), common::ID).unwrap();
    let long = "x".repeat(MAX_PAYLOAD_BYTES + 1);
    let records = ["before", &long, "after"].map(|text| new_record("key", text));
    let error = spool.append(records, Instant::now()).unwrap_err();
    assert!(matches!(error.cause, AppendCause::TooLong { .. }), "{error}");
    assert_eq!(error.appended, 1..2);
    append(&mut spool, "key", &long[1..]);
    assert_eq!(payloads(&spool), ["before", &long[1..]]);
}

#[test]
fn a_limit_too_small_to_work_in_is_refused() {
    let opened = Spool::open_on(SimulatedDisk::new(), options(1000, Keep::Unread), common::ID);
    assert!(matches!(opened.err(), Some(OpenError::TooSmall { .. })));
}

/// Keeps 20, then 5 bytes of a payload.
struct Cut;

impl Shrink for Cut {
    fn stages(&self) -> u8 {
        2
    }

    fn shrink(&self, stage: u8, _key: &[u8], payload: &[u8], out: &mut Vec<u8>) -> bool {
        let kept = if stage == 1 { 20 } else { 5 };
        out.extend_from_slice(&payload[..kept.min(payload.len())]);
        true
    }
}

fn small(keep: Keep) -> Spool<SimulatedDisk> {
    let options = Options { max_size: 128 * 1024, keep, shrink: Box::new(Cut) };
    Spool::open_on(SimulatedDisk::new(), options, common::ID).unwrap().0
}

#[test]
fn at_the_limit_the_newest_of_each_key_is_kept_and_loss_is_marked() {
    let mut spool = small(Keep::Unread);
    spool.keep_positions(&["reader"], Instant::now()).unwrap();
    let text = "x".repeat(200);
    append(&mut spool, "once", "only one");
    for n in 0..2000 {
        append(&mut spool, &format!("key {}", n % 20), &format!("{n:04} {text}"));
    }
    assert!(spool.bytes() <= 128 * 1024);
    let compactions = spool.take_compactions();
    assert!(compactions.len() > 1 && compactions.iter().all(|c| c.lost > 0 && c.cut == 0));

    spool.compact().unwrap();
    let mut reader = Reader::from(0);
    let batch = reader.next_batch(&spool).unwrap();
    let read: Vec<_> =
        batch.iter().map(|r| (r.sequence, r.flags, String::from_utf8_lossy(&r.payload[..4]).into_owned())).collect();
    let mut expected = vec![(1, Flags::NONE, "only".to_owned())];
    expected.extend((1980..2000).map(|n| (n + 2, Flags::LOST_HISTORY, n.to_string())));
    assert_eq!(read, expected);
    assert_eq!(spool.newest_of_each_key().unwrap(), expected.iter().map(|e| e.0).collect::<Vec<_>>());
    assert_eq!(spool.depth("reader").unwrap(), Some(21));
    spool.advance("reader", 1990, Instant::now());
    assert_eq!(spool.depth("reader").unwrap(), Some(11));
}

#[test]
fn when_that_is_not_enough_payloads_are_cut_stage_by_stage() {
    let mut spool = small(Keep::Unread);
    let text = "x".repeat(400);
    for n in 0..400 {
        append(&mut spool, &format!("key {n}"), &text);
    }
    let compactions = spool.take_compactions();
    assert!(compactions.iter().all(|c| c.lost == 0 && c.cut > 0), "{compactions:?}");
    let lengths: Vec<usize> = payloads(&spool).iter().map(String::len).collect();
    assert_eq!(lengths.len(), 400);
    assert!(lengths.contains(&20) && !lengths.contains(&5));
    let batch_flags = |reader: &mut Reader| reader.next_batch(&spool).unwrap().iter().next().unwrap().flags;
    assert_eq!(batch_flags(&mut Reader::from(0)), Flags::CUT);
}

#[test]
fn too_many_keys_are_refused_and_taken_again_when_there_is_room() {
    let mut spool = small(Keep::Unread);
    spool.keep_positions(&["reader"], Instant::now()).unwrap();
    let mut n = 0;
    let error = loop {
        let key = format!("key {n}");
        match spool.append([new_record(&key, "state")], Instant::now()) {
            Ok(_) => n += 1,
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("raise max_size"), "{error}");
    assert_eq!(spool.trouble().unwrap().to_string(), error.to_string());
    assert_eq!(spool.records(), n, "nothing was lost");
    spool.advance("reader", spool.newest() / 2, Instant::now());
    append(&mut spool, "one more", "state");
    assert!(spool.trouble().is_none());
}

#[test]
fn a_journal_keeps_the_newest_of_each_key_when_read() {
    let mut spool = small(Keep::NewestOfEachKey);
    spool.keep_positions(&["injector"], Instant::now()).unwrap();
    let text = "x".repeat(200);
    for n in 0..5000 {
        let sequence = append(&mut spool, &format!("key {}", n % 50), &format!("{n:04} {text}"));
        spool.advance("injector", sequence.saturating_sub(10), Instant::now());
    }
    assert!(spool.take_compactions().iter().all(|c| c.lost == 0 && c.forgotten == 0));
    let newest = spool.newest_of_each_key().unwrap();
    assert_eq!(newest, (4951..=5000).collect::<Vec<_>>());
}

#[test]
fn a_journal_of_too_many_keys_forgets_the_oldest_that_were_read() {
    let mut spool = small(Keep::NewestOfEachKey);
    spool.keep_positions(&["injector"], Instant::now()).unwrap();
    for n in 0..20_000 {
        let sequence = append(&mut spool, &format!("key {n}"), "state");
        spool.advance("injector", sequence, Instant::now());
    }
    assert!(spool.take_compactions().iter().all(|c| c.lost == 0 && c.forgotten > 0));
    let newest = spool.newest_of_each_key().unwrap();
    assert_eq!(newest.last(), Some(&20_000));
    assert_eq!(newest, (20_001 - newest.len() as u64..=20_000).collect::<Vec<_>>());
}
