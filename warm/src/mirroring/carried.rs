//! What was carried over, on disk: a book, as [`crate::stored`] lays it out, which is replaced as a whole.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use book::Book;
use nsca::sealed::NodeName;

use crate::{shelves, stored};

/// The name's end, beside the peer's book.
const EXTENSION: &str = "carried";

/// Where it is kept for `peer`.
pub(super) fn path(state_directory: &Path, peer: &NodeName) -> PathBuf {
    shelves::directory(state_directory).join(shelves::file_name(peer, EXTENSION))
}

/// What an earlier run has carried over; nothing if that cannot be read.
pub(super) fn read(path: &Path) -> Book {
    let stored = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Book::default(),
        opened => opened.map_err(stored::ReadError::from).and_then(stored::read),
    };
    match stored {
        Ok(stored) => stored.shelf.into_book(),
        Err(error) => {
            tracing::warn!(
                file = %path.display(), %error,
                "what was carried over to this core cannot be read: what ended on the other node meanwhile may stay here"
            );
            Book::default()
        }
    }
}

/// Replaces it. Blocks on the disk.
pub(super) fn write(path: &Path, peer: &NodeName, carried: &Book) -> io::Result<()> {
    spool::disk::replace(path, &stored::records(peer, carried))
}
