//! What was found damaged, for the operator.

use std::fmt;

/// How many stretches are told one by one.
pub const MAX_DAMAGE_ENTRIES: usize = 100;
/// How many sequences one [`Damage`] names.
const MAX_NAMED_SEQUENCES: usize = 100;

/// A stretch of a file that is no record and was skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file's name within the spool's directory.
    pub file: String,
    /// Where the stretch begins.
    pub offset: u64,
    /// How long it is.
    pub bytes: u64,
    /// The sequences of those records in it whose header is whole.
    pub sequences: Vec<u64>,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, bytes, sequences } = self;
        write!(f, "{file} is damaged: {bytes} bytes from offset {offset} were skipped")?;
        match sequences.as_slice() {
            [] => Ok(()),
            [one] => write!(f, ", among them record {one}"),
            [first, .., last] => write!(f, ", among them records {first} to {last}"),
        }?;
        write!(f, ". Check the disk and the system's log")
    }
}

/// A bounded list of [`Damage`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DamageLog {
    entries: Vec<Damage>,
    bytes: u64,
}

impl DamageLog {
    /// The first [`MAX_DAMAGE_ENTRIES`] stretches.
    pub fn entries(&self) -> &[Damage] {
        &self.entries
    }

    /// How many bytes were skipped in all, also those that no entry tells.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether nothing was damaged.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Adds a stretch, to the last entry if it goes on from there.
    pub(crate) fn note(&mut self, file: &str, offset: u64, bytes: usize, sequence: Option<u64>) {
        let bytes = bytes as u64;
        self.bytes += bytes;
        let goes_on = |last: &&mut Damage| last.file == file && last.offset + last.bytes == offset;
        if let Some(last) = self.entries.last_mut().filter(goes_on) {
            last.bytes += bytes;
            if last.sequences.len() < MAX_NAMED_SEQUENCES {
                last.sequences.extend(sequence);
            }
        } else if self.entries.len() < MAX_DAMAGE_ENTRIES && bytes > 0 {
            self.entries.push(Damage {
                file: file.to_owned(),
                offset,
                bytes,
                sequences: sequence.into_iter().collect(),
            });
        }
    }

    /// Takes back what reaches from `offset` to the end of `file`: a torn tail is none.
    pub(crate) fn remove_tail(&mut self, file: &str, offset: u64) {
        if let Some(tail) = self.entries.pop_if(|last| last.file == file && last.offset == offset) {
            self.bytes -= tail.bytes;
        }
    }

    pub(crate) fn append(&mut self, other: Self) {
        self.bytes += other.bytes;
        let room = MAX_DAMAGE_ENTRIES - self.entries.len();
        self.entries.extend(other.entries.into_iter().take(room));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjacent_stretches_are_one_and_the_list_is_bounded() {
        let mut log = DamageLog::default();
        log.note("a", 48, 10, Some(3));
        log.note("a", 58, 10, None);
        assert_eq!(
            log.entries()[0].to_string(),
            "a is damaged: 20 bytes from offset 48 were skipped, among them record 3. \
             Check the disk and the system's log"
        );
        for offset in 0..1000 {
            log.note("b", offset * 2, 1, None);
        }
        assert_eq!((log.entries().len(), log.bytes()), (MAX_DAMAGE_ENTRIES, 1020));
    }
}
