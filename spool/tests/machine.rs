//! The queue on this machine's real file system: locks, full and read-only disks, kill -9, memory.
//!
//! Some tests run this program again as another process, with one of the tests named `as_…` and an order in the
//! environment; without an order those do nothing.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{append, new_record, options, payloads};
use spool::disk::LockError;
use spool::{Keep, NewRecord, OpenError, Reader, Spool, Trouble};

const DIRECTORY: &str = "SPOOL_TEST_DIRECTORY";

/// This program, running one test as another process, with a directory to work in.
fn this_program(test: &str, directory: &Path, wrapper: &[&str]) -> Command {
    let program = std::env::current_exe().unwrap();
    let mut command = match wrapper {
        [] => Command::new(&program),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(&program);
            command
        }
    };
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(DIRECTORY, directory).stdin(Stdio::null());
    command
}

fn ordered_directory() -> Option<std::path::PathBuf> {
    std::env::var_os(DIRECTORY).map(Into::into)
}

/// Waits for a line that ends with `text`: the test harness may have begun it.
fn await_line(child: &mut Child, text: &str) {
    let output = BufReader::new(child.stdout.as_mut().unwrap());
    let found = output.lines().map_while(Result::ok).any(|line| line.ends_with(text));
    assert!(found, "the other process ended early");
}

#[test]
fn as_writer_until_killed() {
    let Some(directory) = ordered_directory() else {
        return;
    };
    let (mut spool, _) = Spool::open(&directory, options(1 << 20, Keep::Unread), common::ID).unwrap();
    append(&mut spool, "key", "survives");
    println!("ready");
    loop {
        std::thread::park();
    }
}

#[test]
fn one_writer_per_directory_and_what_it_wrote_survives_its_death() {
    let directory = tempfile::tempdir().unwrap();
    let mut child =
        this_program("as_writer_until_killed", directory.path(), &[]).stdout(Stdio::piped()).spawn().unwrap();
    await_line(&mut child, "ready");
    let open = || Spool::open(directory.path(), options(1 << 20, Keep::Unread), [9; 16]);
    let refused = open().map(|_| ()).unwrap_err();
    assert!(matches!(refused, OpenError::Lock(LockError::InUse { .. })), "{refused}");
    let pid = format!("process {}", child.id());
    assert!(refused.to_string().contains(&pid), "{refused}");

    child.kill().unwrap();
    child.wait().unwrap();
    let (spool, recovery) = open().unwrap();
    assert!(recovery.is_unremarkable(), "{recovery:?}");
    assert_eq!((spool.id(), payloads(&spool)), (common::ID, vec!["survives".to_owned()]));
}

/// Runs a test in a mount namespace of its own, after a script that may mount things at `$SPOOL_TEST_DIRECTORY`.
fn in_own_mounts(test: &str, script: &str) {
    let directory = tempfile::tempdir().unwrap();
    let script = format!("{script} && exec \"$@\"");
    let output = this_program(test, directory.path(), &["unshare", "-rm", "sh", "-c", &script, "sh"])
        .output()
        .expect("unshare, of util-linux, is installed");
    assert!(
        output.status.success(),
        "{}{}\n(mount namespaces must be allowed here)",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("was here"));
}

#[test]
fn as_filler_of_a_small_disk() {
    let Some(directory) = ordered_directory() else {
        return;
    };
    println!("was here");
    // The spool may take 4 MiB, the disk has 1.
    let (mut spool, recovery) = Spool::open(&directory, options(4 << 20, Keep::Unread), common::ID).unwrap();
    assert!(recovery.is_unremarkable(), "{recovery:?}");
    let now = Instant::now();
    spool.keep_positions(&["reader"], now).unwrap();
    spool.commit(now).unwrap();
    let text = "x".repeat(500);
    // Few keys, and nothing is dropped for a disk that is full for a while.
    let key = |n: u64| format!("key {}", n % 50);
    let fitted = (0..).take_while(|n| spool.append([new_record(&key(*n), &text)], now).is_ok()).count();
    let almost = now + spool::DISK_FULL_PATIENCE / 2;
    let refused = spool.append([new_record(&key(0), &text)], almost).unwrap_err();
    assert!(matches!(spool.trouble(), Some(Trouble::DiskFull { .. })), "{refused}");
    assert_eq!(spool.records(), fitted as u64);
    assert!(spool.take_compactions().iter().all(|compaction| compaction.lost == 0));

    // What the reader has makes room at once.
    spool.advance("reader", spool.newest(), almost);
    let next_try = almost + spool::COMPACTION_RETRY;
    spool.append([new_record(&key(0), &text)], next_try).unwrap();

    // After a while compaction makes room, again and again, though the disk is full.
    let mut patient = next_try;
    let refused = (0..).find(|n| spool.append([new_record(&key(*n), &text)], patient).is_err());
    assert!(refused.is_some());
    patient += spool::DISK_FULL_PATIENCE;
    for n in 0..20_000 {
        patient += Duration::from_millis(10);
        spool.append([new_record(&key(n), &text)], patient).unwrap();
    }
    let compactions = spool.take_compactions();
    assert!(!compactions.is_empty());
    assert!(spool.records() >= 50 && spool.committed() > 0);

    // Many keys: nothing can be dropped.
    let mut n = 0;
    let error = loop {
        match spool.append([new_record(&format!("other {n}"), &text)], now) {
            Ok(_) => n += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(spool.trouble(), Some(Trouble::DiskFull { .. })), "{error}");
    let waiting = spool.records();
    assert!(waiting >= n);

    // Opening on the full disk works, and nothing is lost.
    drop(spool);
    let (mut spool, recovery) = Spool::open(&directory, options(4 << 20, Keep::Unread), common::ID).unwrap();
    assert!(recovery.damage.is_empty(), "{recovery:?}");
    assert_eq!(spool.records(), waiting);

    // What is delivered makes room.
    let now = Instant::now();
    spool.advance("reader", spool.newest(), now);
    append(&mut spool, "key", "fits again");
    spool.commit(now).unwrap();
    assert!(spool.trouble().is_none());
}

#[test]
fn a_full_disk() {
    in_own_mounts("as_filler_of_a_small_disk", "mount -t tmpfs -o size=1m none \"$SPOOL_TEST_DIRECTORY\"");
}

#[test]
fn as_user_of_a_read_only_disk() {
    let Some(directory) = ordered_directory() else {
        return;
    };
    println!("was here");
    let mount = |options: &str| {
        let status = Command::new("mount").args(["-o", options]).arg(&directory).status().unwrap();
        assert!(status.success());
    };
    let new = || Spool::open(&directory.join("spool"), options(1 << 20, Keep::Unread), common::ID);
    mount("remount,ro");
    let refused = new().map(|_| ()).unwrap_err();
    assert!(matches!(refused, OpenError::Trouble(Trouble::ReadOnly { .. })), "{refused}");
    assert!(refused.to_string().contains("mount it read-write"), "{refused}");

    mount("remount,rw");
    let (mut spool, _) = new().unwrap();
    append(&mut spool, "key", "text");
    assert_eq!(payloads(&spool), ["text"]);
}

#[test]
fn a_read_only_disk() {
    in_own_mounts("as_user_of_a_read_only_disk", "mount -t tmpfs -o size=4m none \"$SPOOL_TEST_DIRECTORY\"");
}

/// Most memory that this process ever had, in KiB.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn as_holder_of_a_million() {
    const COUNT: u64 = 1_000_000;
    const KEYS: u64 = 100_000;
    let Some(directory) = ordered_directory() else {
        return;
    };
    println!("was here");
    let open = || Spool::open(&directory, options(512 << 20, Keep::Unread), common::ID).unwrap().0;
    let mut spool = open();
    let now = Instant::now();
    spool.keep_positions(&["reader"], now).unwrap();
    for batch in 0..COUNT / 1000 {
        let keys: Vec<String> = (0..1000).map(|n| format!("host;service {}", (batch * 1000 + n) % KEYS)).collect();
        let records = keys.iter().map(|key| NewRecord { key: key.as_bytes(), payload: &[b'x'; 200] });
        spool.append(records, now).unwrap();
    }
    spool.commit(now).unwrap();
    drop(spool);
    let mut spool = open();
    assert_eq!(spool.depth("reader").unwrap(), Some(COUNT));
    let mut reader = Reader::from(0);
    let mut read = 0;
    while let Some(records) = Some(reader.next_batch(&spool).unwrap().len()).filter(|records| *records > 0) {
        read += records as u64;
    }
    assert_eq!(read, COUNT);
    let reading = peak_memory();
    spool.compact().unwrap();
    assert_eq!(spool.depth("reader").unwrap(), Some(KEYS));
    let compacting = peak_memory();
    println!("peak memory: {reading} KiB, with a compaction {compacting} KiB");
    assert!(reading < 16 * 1024, "{reading} KiB to append and read a million records");
    assert!(compacting < 40 * 1024, "{compacting} KiB to compact them to 100,000");
}

#[test]
fn a_million_records_take_little_memory() {
    let directory = tempfile::tempdir().unwrap();
    let output = this_program("as_holder_of_a_million", directory.path(), &[]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("was here"), "{text}{}", String::from_utf8_lossy(&output.stderr));
    println!("{text}");
}
