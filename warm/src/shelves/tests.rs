//! Shelves over a directory, across runs.

use std::fs;
use std::time::Instant;

use book::{Activity, Change, Entry};
use nagios::{HostName, Memory, Object};

use super::*;

fn node(name: &str) -> NodeName {
    NodeName::try_from(name).unwrap()
}

fn record(name: &str, last_check: i64) -> Vec<u8> {
    let memory = Memory { last_check, ..Memory::default() };
    let object = Object::Host(HostName::try_from(name).unwrap());
    let mut bytes = Vec::new();
    Record::Whole(object, Change::whole(&Entry { memory, ..Entry::default() })).encode(&mut bytes);
    bytes
}

fn seen(shelves: &Shelves, name: &str) -> Option<Vec<i64>> {
    shelves
        .read(&node(name), |shelf| shelf.book().entries().map(|(_, entry)| entry.memory.last_check).collect::<Vec<_>>())
}

const HEADING: Heading = Heading { program_start: 5, created: 9, notifies: Some(true) };

fn tell(shelves: &Shelves, name: &str) {
    let node = node(name);
    shelves.head(&node, HEADING);
    shelves.begin(&node);
    shelves.take(&node, &record("a", 1)).unwrap();
    shelves.take(&node, &record("b", 2)).unwrap();
    shelves.end(&node);
}

#[test]
fn the_next_run_knows_what_this_one_was_told() {
    let directory = tempfile::tempdir().unwrap();
    let shelves = Shelves::open(directory.path()).unwrap();
    assert_eq!(seen(&shelves, "m"), None);
    let changes = shelves.changes();
    tell(&shelves, "m");
    assert!(changes.has_changed().unwrap());
    assert!(shelves.take(&node("m"), b"no record").is_err());
    drop(shelves);
    let shelves = Shelves::open(directory.path()).unwrap();
    assert_eq!((shelves.nodes(), seen(&shelves, "m")), (vec![node("m")], Some(vec![1, 2])));
    let known = shelves.read(&node("m"), |shelf| (shelf.heading(), shelf.activity(), shelf.is_whole()));
    assert_eq!(known, Some((HEADING, Some(Activity { since: 9, until: 9 }), true)));
    // What comes now is appended.
    shelves.take(&node("m"), &record("a", 3)).unwrap();
    shelves.stop();
    let shelves = Shelves::open(directory.path()).unwrap();
    assert_eq!(seen(&shelves, "m"), Some(vec![3, 2]));
}

#[test]
fn what_arrived_is_on_the_disk_soon_without_an_orderly_end() {
    let directory = tempfile::tempdir().unwrap();
    let shelves = Shelves::open(directory.path()).unwrap();
    tell(&shelves, "m");
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        // As another daemon would find it, were this one killed now.
        let copy = tempfile::tempdir().unwrap();
        fs::create_dir(copy.path().join("books")).unwrap();
        for file in fs::read_dir(directory.path().join("books")).unwrap() {
            let file = file.unwrap();
            // The one that is being written may be renamed in between.
            let _ = fs::copy(file.path(), copy.path().join("books").join(file.file_name()));
        }
        if seen(&Shelves::open(copy.path()).unwrap(), "m") == Some(vec![1, 2]) {
            break;
        }
        assert!(Instant::now() < deadline, "it is not written");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_damaged_book_is_forgotten_alone() {
    let directory = tempfile::tempdir().unwrap();
    let shelves = Shelves::open(directory.path()).unwrap();
    tell(&shelves, "m");
    tell(&shelves, "other");
    drop(shelves);
    let path = directory.path().join("books/m.book");
    let mut bytes = fs::read(&path).unwrap();
    bytes[60] ^= 1;
    fs::write(&path, bytes).unwrap();
    fs::write(directory.path().join("books/x.book"), "no book").unwrap();
    let shelves = Shelves::open(directory.path()).unwrap();
    assert_eq!((seen(&shelves, "m"), seen(&shelves, "other")), (None, Some(vec![1, 2])));
    tell(&shelves, "m");
    drop(shelves);
    assert_eq!(seen(&Shelves::open(directory.path()).unwrap(), "m"), Some(vec![1, 2]));
}

#[test]
fn a_book_with_a_damaged_end_is_written_anew() {
    let directory = tempfile::tempdir().unwrap();
    let shelves = Shelves::open(directory.path()).unwrap();
    tell(&shelves, "m");
    drop(shelves);
    let path = directory.path().join("books/m.book");
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend(b"cut off");
    fs::write(&path, bytes).unwrap();
    let shelves = Shelves::open(directory.path()).unwrap();
    assert_eq!(seen(&shelves, "m"), Some(vec![1, 2]));
    shelves.take(&node("m"), &record("c", 7)).unwrap();
    drop(shelves);
    assert_eq!(seen(&Shelves::open(directory.path()).unwrap(), "m"), Some(vec![1, 2, 7]));
}

#[test]
fn the_node_that_was_not_heard_of_for_longest_makes_room() {
    let directory = tempfile::tempdir().unwrap();
    let shelves = Shelves::open(directory.path()).unwrap();
    for number in 0..MAX_NODES {
        tell(&shelves, &format!("n{number}"));
    }
    tell(&shelves, "n0");
    tell(&shelves, "new");
    drop(shelves);
    let shelves = Shelves::open(directory.path()).unwrap();
    assert_eq!(shelves.nodes().len(), MAX_NODES);
    assert!(seen(&shelves, "n1").is_none() && seen(&shelves, "n0").is_some() && seen(&shelves, "new").is_some());
}

#[test]
fn a_disk_that_takes_nothing_costs_the_file_only() {
    let directory = tempfile::tempdir().unwrap();
    let shelves = Shelves::open(directory.path()).unwrap();
    let books = directory.path().join("books");
    fs::remove_dir(&books).unwrap();
    tell(&shelves, "m");
    shelves.stop();
    assert_eq!(seen(&shelves, "m"), Some(vec![1, 2]));
}
