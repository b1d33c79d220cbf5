//! Files cut at every byte, and every byte damaged: what is whole is there, what is not is told.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::time::Instant;

use common::{append, open, payloads, read_from};
use spool::disk::Disk as _;
use spool::disk::simulated::SimulatedDisk;
use spool::{FileState, RECORD_HEADER_BYTES, Reader, Trouble};

const SEGMENT: &str = "00000000000000000001.segment";
const SEGMENT_HEADER: usize = 48;
const TEXTS: [&str; 4] = ["first", "", "a third that is longer", "last"];

/// A spool with the four texts, committed, and a reader that is done with the first; and its segment's bytes.
fn disk() -> (SimulatedDisk, Vec<u8>) {
    let disk = SimulatedDisk::new();
    let (mut spool, _) = open(&disk);
    let now = Instant::now();
    spool.keep_positions(&["reader"], now).unwrap();
    for text in TEXTS {
        append(&mut spool, "key", text);
    }
    spool.advance("reader", 1, now);
    spool.commit(now).unwrap();
    drop(spool);
    let bytes = disk.contents(SEGMENT);
    (disk, bytes)
}

/// Where each record ends.
fn ends() -> Vec<usize> {
    TEXTS
        .iter()
        .scan(SEGMENT_HEADER, |end, text| {
            *end += RECORD_HEADER_BYTES + "key".len() + text.len();
            Some(*end)
        })
        .collect()
}

#[test]
fn a_segment_cut_anywhere_keeps_its_whole_records_and_goes_on() {
    let (disk, bytes) = disk();
    for cut in 0..=bytes.len() {
        disk.tamper(SEGMENT, |file| *file = bytes[..cut].to_vec());
        let whole = ends().iter().filter(|end| **end <= cut).count();
        let (mut spool, recovery) = open(&disk);
        assert_eq!(payloads(&spool), TEXTS[..whole], "cut at {cut}");
        assert!(recovery.damage.is_empty(), "cut at {cut}: a torn end is no damage");
        let end = if whole == 0 { 0 } else { ends()[whole - 1] };
        let header_alone = whole == 0 && cut >= SEGMENT_HEADER;
        assert_eq!(
            usize::try_from(recovery.torn_bytes).unwrap(),
            if header_alone { cut - SEGMENT_HEADER } else { cut - end },
            "cut at {cut}"
        );
        let new = append(&mut spool, "key", "new");
        assert!(new > 4, "cut at {cut}: the lost sequences are not given again");
        drop(spool);
        let (spool, recovery) = open(&disk);
        assert!(recovery.is_unremarkable(), "cut at {cut}: {recovery:?}");
        assert_eq!(payloads(&spool), [&TEXTS[..whole], &["new"]].concat(), "cut at {cut}");
        drop(spool);
        for name in disk.names().unwrap() {
            if name.ends_with(".segment") && name != SEGMENT {
                disk.remove(&name).unwrap();
            }
        }
        if !disk.names().unwrap().contains(&SEGMENT.to_owned()) {
            disk.create(SEGMENT).unwrap();
        }
    }
}

#[test]
fn every_damaged_byte_costs_one_record_and_is_told() {
    let (disk, bytes) = disk();
    for at in 0..bytes.len() {
        disk.tamper(SEGMENT, |file| {
            file.clone_from(&bytes);
            file[at] ^= 0x41;
        });
        let damaged = ends().iter().position(|end| at < *end).unwrap();
        let (spool, recovery) = open(&disk);
        let expected: Vec<&str> =
            (0..TEXTS.len()).filter(|n| at < SEGMENT_HEADER || *n != damaged).map(|n| TEXTS[n]).collect();
        assert_eq!(payloads(&spool), expected, "byte {at}");
        let told = !recovery.damage.is_empty() || recovery.torn_bytes > 0;
        assert!(told && !recovery.is_unremarkable(), "byte {at}: {recovery:?}");
        if let [damage] = recovery.damage.entries() {
            assert_eq!(damage.file, SEGMENT);
            assert!((damage.offset..damage.offset + damage.bytes).contains(&(at as u64)), "byte {at}: {damage}");
        }
    }
}

#[test]
fn damage_that_comes_while_it_is_open_is_told_to_the_reader() {
    let (disk, bytes) = disk();
    let (spool, _) = open(&disk);
    let at = ends()[1] + RECORD_HEADER_BYTES + 5;
    disk.tamper(SEGMENT, |file| file[at] ^= 1);
    let mut reader = Reader::from(0);
    let batch = reader.next_batch(&spool).unwrap();
    assert_eq!(batch.iter().map(|record| record.sequence).collect::<Vec<_>>(), [1, 2, 4]);
    assert_eq!(batch.damage().entries()[0].sequences, [3]);

    disk.tamper(SEGMENT, |file| *file = bytes[..ends()[1]].to_vec());
    reader.seek(0);
    let batch = reader.next_batch(&spool).unwrap();
    assert_eq!(batch.len(), 2);
    assert_eq!(usize::try_from(batch.damage().bytes()).unwrap(), bytes.len() - ends()[1]);
    assert!(reader.next_batch(&spool).unwrap().is_empty());
}

#[test]
fn positions_cut_anywhere_cost_nothing_but_reading_again() {
    let (disk, _) = disk();
    let bytes = disk.contents("positions");
    for cut in 0..bytes.len() {
        disk.tamper("positions", |file| *file = bytes[..cut].to_vec());
        let (spool, recovery) = open(&disk);
        assert_eq!(recovery.positions, FileState::Replaced, "cut at {cut}");
        assert_eq!((spool.position("reader"), payloads(&spool).len()), (None, 4));
    }
}

#[test]
fn an_identity_cut_anywhere_is_replaced_by_another_one() {
    let (disk, _) = disk();
    let bytes = disk.contents("identity");
    for cut in 0..bytes.len() {
        disk.tamper("identity", |file| *file = bytes[..cut].to_vec());
        let options = common::options(1 << 20, spool::Keep::Unread);
        let (mut spool, recovery) = spool::Spool::open_on(disk.clone(), options, [9; 16]).unwrap();
        assert_eq!((recovery.identity, spool.id()), (FileState::Replaced, [9; 16]), "cut at {cut}");
        assert_eq!(payloads(&spool), TEXTS, "cut at {cut}: records stay readable");
        let new = append(&mut spool, "key", "new");
        assert_eq!(read_from(&spool, new).len(), 1, "cut at {cut}");
        drop(spool);
        disk.remove(&format!("{new:020}.segment")).unwrap();
    }
}

#[test]
fn a_full_disk_is_a_state_that_passes() {
    let disk = SimulatedDisk::new();
    let (mut spool, _) = open(&disk);
    append(&mut spool, "key", "before");
    spool.commit(Instant::now()).unwrap();
    let full = spool::disk::simulated::Faults { capacity: Some(disk.used_bytes() + 10), ..Default::default() };
    disk.set_faults(full);
    let error = spool.append([common::new_record("other", "does not fit")], Instant::now()).unwrap_err();
    assert!(matches!(spool.trouble(), Some(Trouble::DiskFull { .. })), "{error}");
    assert!(error.to_string().contains("make room there"), "{error}");
    assert_eq!(payloads(&spool), ["before"]);
    disk.set_faults(spool::disk::simulated::Faults::default());
    append(&mut spool, "other", "after");
    assert!(spool.trouble().is_none());
    assert_eq!(payloads(&spool), ["before", "after"]);
}

#[test]
fn a_failed_sync_is_no_commit_and_the_next_one_writes_anew() {
    let disk = SimulatedDisk::new();
    let (mut spool, _) = open(&disk);
    let now = Instant::now();
    append(&mut spool, "key", "text");
    disk.set_faults(spool::disk::simulated::Faults { failing_syncs: true, ..Default::default() });
    spool.commit(now).unwrap_err();
    assert_eq!(spool.committed(), 0);
    assert!(spool.next_commit_due().unwrap() > now, "it is tried again");
    disk.set_faults(spool::disk::simulated::Faults::default());
    assert_eq!(spool.commit(now).unwrap(), 1);
    drop(spool);
    for seed in 0..20 {
        disk.cut_power(seed);
        assert_eq!(payloads(&open(&disk).0), ["text"], "seed {seed}");
    }
}

#[test]
fn a_compaction_interrupted_anywhere_leaves_the_old_or_the_new() {
    const KEYS: u64 = 30;
    let text = "x".repeat(500);
    let mut leftovers = 0;
    for changes in 0.. {
        let disk = SimulatedDisk::new();
        let options = || common::options(128 * 1024, spool::Keep::Unread);
        let (mut spool, _) = spool::Spool::open_on(disk.clone(), options(), common::ID).unwrap();
        for n in 0..150 {
            append(&mut spool, &format!("key {}", n % KEYS), &text);
        }
        disk.set_faults(spool::disk::simulated::Faults {
            stop_after: Some(disk.changes() + changes),
            ..Default::default()
        });
        let finished = spool.compact().is_ok();
        let sequences = |spool: &spool::Spool<SimulatedDisk>| -> Vec<u64> {
            read_from(spool, 0).into_iter().map(|(sequence, ..)| sequence).collect()
        };
        let before = sequences(&spool);
        assert!(before.is_sorted_by(|a, b| a < b), "after {changes} changes, while it is open");
        assert!(before.ends_with(&(121..=150).collect::<Vec<_>>()), "after {changes} changes");
        drop(spool);
        disk.set_faults(spool::disk::simulated::Faults::default());
        let (mut spool, recovery) = spool::Spool::open_on(disk.clone(), options(), common::ID).unwrap();
        assert!(recovery.damage.is_empty(), "after {changes} changes: {recovery:?}");
        leftovers += recovery.leftovers;
        assert_eq!(sequences(&spool), before, "after {changes} changes");
        spool.compact().unwrap();
        assert_eq!(sequences(&spool), (121..=150).collect::<Vec<_>>());
        if finished {
            break;
        }
    }
    assert!(leftovers > 0, "some interruption came between the renaming and the removals");
}
