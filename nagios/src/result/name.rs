//! The bytes of a name: nearly all are short, and are kept without an allocation.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

/// Names up to this length are kept in place. With it, a name takes as much room as four words.
const SHORT_BYTES: usize = 30;
const _: () = assert!(size_of::<Name>() == 32);

/// Bytes that do not change.
#[derive(Clone)]
pub(super) enum Name {
    Short { length: u8, bytes: [u8; SHORT_BYTES] },
    Long(Box<[u8]>),
}

impl Name {
    pub(super) fn new(name: &[u8]) -> Self {
        match u8::try_from(name.len()) {
            Ok(length) if name.len() <= SHORT_BYTES => {
                let mut bytes = [0; SHORT_BYTES];
                bytes[..name.len()].copy_from_slice(name);
                Name::Short { length, bytes }
            }
            _ => Name::Long(name.into()),
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Name::Short { length, bytes } => &bytes[..usize::from(*length)],
            Name::Long(bytes) => bytes,
        }
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Name {}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_length_are_what_they_were_made_of_and_sort_as_bytes_do() {
        let text = [b'x'; 2 * SHORT_BYTES];
        for end in 0..=text.len() {
            assert_eq!(Name::new(&text[..end]).as_bytes(), &text[..end]);
        }
        let mut names = [&b"b"[..], b"aa", &text, &text[..SHORT_BYTES], b"a"].map(Name::new);
        names.sort();
        let sorted: Vec<&[u8]> = names.iter().map(Name::as_bytes).collect();
        assert_eq!(sorted, [&b"a"[..], b"aa", b"b", &text[..SHORT_BYTES], &text]);
    }
}
