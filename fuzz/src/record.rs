//! What the book of another node tells.

use book::record::MAX_RECORD_BYTES;
use book::{Book, Record};

/// `data`: records, each behind its length (u16, big-endian).
///
/// What is understood is the same when it is written again, and no longer than a record may be. A book that took records can
/// tell itself to another book.
pub fn record(data: &[u8]) {
    let mut book = Book::default();
    let mut rest = data;
    while let Some(([high, low], tail)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(tail.len());
        let (bytes, tail) = tail.split_at(length);
        rest = tail;
        let Ok(record) = Record::decode(bytes) else { continue };
        let mut again = Vec::new();
        record.encode(&mut again);
        assert!(again.len() <= MAX_RECORD_BYTES);
        assert_eq!(Record::decode(&again), Ok(record.clone()));
        // Of objects that are not known, a change is refused.
        let _ = book.apply(record);
    }
    let mut other = Book::default();
    book.whole().for_each(|record| other.apply(record).expect("a whole record fits to any book"));
    assert!(other.entries().eq(book.entries()));
}
