//! An entry, or what changed in it, as bytes.
//!
//! All numbers are big-endian. Times are Unix seconds, 0 is "never".
//!
//! ```text
//!  0  version  u8 = 1
//!  1  kind     u8: 1 whole, fields that are not there are 0; 2 changed, they are as before; 3 gone
//!  2  host     u16 length, text
//! ..  service  u16 length, text; empty: the host itself
//! kinds 1 and 2:
//! ..  fields   u32, bit n: field n is there
//! ..  the fields, by number
//!
//!  0  status                 u8 state, u8 last hard state,
//!                            u8 bits: 1 checked, 2 hard, 4 flapping, 8 no more notifications,
//!                            u8 acknowledgement: 0 none, 1 normal, 2 sticky
//!  1  attempt                u32
//!  2  last check             i64
//!  3  last state change      i64
//!  4  last hard state change i64
//!  5–8  last time in state 0, 1, 2, 3   i64 each
//!  9  notified               u8 states, bit n for state n, u32 number
//! 10  last notification      i64
//! 11  next notification      i64
//! 12  switches               u32 what is on, u32 what operators changed; the core's own bits
//! 13  state change           u16, hundredths of a percent
//! 14  downtime depth         u32
//! 15  comments               u16 how many, of each: u64 number, u8 kind (1 user, 2 downtime, 3 flapping,
//!                            4 acknowledgement), u8 persistent, i64 entered, i64 expires, author, text (u16 length each)
//! 16  downtimes              u16 how many, of each: u64 number, i64 entered, i64 start, i64 end, i64 duration,
//!                            u64 triggered by, i64 began, u8 bits: 1 fixed, 2 in effect, author, text
//! ```
//!
//! In a whole record, attempt 1, HARD and all switches on are what "0" stands for, as [`Memory`](nagios::Memory)'s default has it.
//!
//! **Invariant:** a record is at most [`MAX_RECORD_BYTES`] long, and what is read again is what was written.

use nagios::memory::{Acknowledgement, States, Switches};
use nagios::remark::{Comment, CommentKind, Downtime, MAX_REMARK_BYTES, RemarkText};
use nagios::result::MAX_NAME_BYTES;
use nagios::{HostName, Object, ServiceDescription, StateType};

use crate::entry::{Change, Entry, Field, MAX_REMARKS};
use crate::wire::{Reader, put_text};

/// The longest record.
pub const MAX_RECORD_BYTES: usize = 256 + 2 * MAX_NAME_BYTES + 2 * MAX_REMARKS * (64 + 2 * MAX_REMARK_BYTES);
// It has to fit into a frame of a sealed session.
const _: () = assert!(MAX_RECORD_BYTES < 1 << 20);

const VERSION: u8 = 1;
const WHOLE: u8 = 1;
const CHANGED: u8 = 2;
const GONE: u8 = 3;

/// What the book of one node tells the book of another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// All about an object.
    Whole(Object, Change),
    /// What changed about an object that the other one knows.
    Changed(Object, Change),
    /// The core knows this object no more.
    Gone(Object),
}

/// Bytes that are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It was written by a later version.
    #[error("the record has version {version}, and only {VERSION} is known here: upgrade this node too")]
    Version {
        /// The one it has.
        version: u8,
    },
    /// It is damaged.
    #[error("the record is damaged: its {field} cannot be read")]
    Damaged {
        /// What cannot be read.
        field: &'static str,
    },
}

impl Record {
    /// What it is about.
    pub fn object(&self) -> &Object {
        match self {
            Self::Whole(object, _) | Self::Changed(object, _) | Self::Gone(object) => object,
        }
    }

    /// Appends it to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (kind, change) = match self {
            Self::Whole(_, change) => (WHOLE, Some(change)),
            Self::Changed(_, change) => (CHANGED, Some(change)),
            Self::Gone(_) => (GONE, None),
        };
        let start = out.len();
        out.extend_from_slice(&[VERSION, kind]);
        put_text(self.object().host().as_bytes(), out);
        put_text(self.object().service().map_or(&[], ServiceDescription::as_bytes), out);
        if let Some(change) = change {
            out.extend_from_slice(&change.fields.to_be_bytes());
            for field in Field::ALL.into_iter().filter(|field| change.touches(*field)) {
                put_field(field, &change.entry, out);
            }
        }
        debug_assert!(out.len() - start <= MAX_RECORD_BYTES);
    }

    /// Reads one again.
    ///
    /// # Errors
    /// It is of another version, or damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let damaged = |field| move || RecordError::Damaged { field };
        let mut reader = Reader(bytes);
        let version = reader.u8().ok_or_else(damaged("version"))?;
        if version != VERSION {
            return Err(RecordError::Version { version });
        }
        let kind = reader.u8().ok_or_else(damaged("kind"))?;
        let object = read_object(&mut reader).ok_or_else(damaged("object"))?;
        let record = match kind {
            WHOLE => Self::Whole(object, read_change(&mut reader).ok_or_else(damaged("fields"))?),
            CHANGED => Self::Changed(object, read_change(&mut reader).ok_or_else(damaged("fields"))?),
            GONE => Self::Gone(object),
            _ => return Err(RecordError::Damaged { field: "kind" }),
        };
        if reader.0.is_empty() { Ok(record) } else { Err(RecordError::Damaged { field: "end" }) }
    }
}

fn put_field(field: Field, entry: &Entry, out: &mut Vec<u8>) {
    let memory = &entry.memory;
    match field {
        Field::Status => {
            let hard = memory.state_type == StateType::Hard;
            let bits = bits([memory.checked, hard, memory.flapping, memory.no_more_notifications]);
            let acknowledgement = match memory.acknowledgement {
                None => 0,
                Some(Acknowledgement::Normal) => 1,
                Some(Acknowledgement::Sticky) => 2,
            };
            out.extend_from_slice(&[memory.state, memory.last_hard_state, bits, acknowledgement]);
        }
        Field::Attempt => out.extend_from_slice(&memory.attempt.to_be_bytes()),
        Field::LastCheck => put_time(memory.last_check, out),
        Field::StateChange => put_time(memory.last_state_change, out),
        Field::HardStateChange => put_time(memory.last_hard_state_change, out),
        Field::LastTime0 | Field::LastTime1 | Field::LastTime2 | Field::LastTime3 => {
            put_time(memory.last_times[field.last_time().expect("these are the last times")], out);
        }
        Field::Notified => {
            out.push(memory.notified_on.bits());
            out.extend_from_slice(&memory.notifications.to_be_bytes());
        }
        Field::LastNotification => put_time(memory.last_notification, out),
        Field::NextNotification => put_time(memory.next_notification, out),
        Field::Switches => {
            out.extend_from_slice(&memory.switches.bits().to_be_bytes());
            out.extend_from_slice(&memory.modified.bits().to_be_bytes());
        }
        Field::PercentStateChange => out.extend_from_slice(&memory.percent_state_change.to_be_bytes()),
        Field::DowntimeDepth => out.extend_from_slice(&memory.downtime_depth.to_be_bytes()),
        Field::Comments => put_all(&entry.comments, put_comment, out),
        Field::Downtimes => put_all(&entry.downtimes, put_downtime, out),
    }
}

fn read_field(field: Field, reader: &mut Reader<'_>, entry: &mut Entry) -> Option<()> {
    let memory = &mut entry.memory;
    match field {
        Field::Status => {
            let [state, last_hard_state, bits, acknowledgement] = reader.array()?;
            (memory.state, memory.last_hard_state) = (known_state(state)?, known_state(last_hard_state)?);
            memory.checked = bits & 1 != 0;
            memory.state_type = if bits & 2 != 0 { StateType::Hard } else { StateType::Soft };
            (memory.flapping, memory.no_more_notifications) = (bits & 4 != 0, bits & 8 != 0);
            memory.acknowledgement = match acknowledgement {
                0 => None,
                1 => Some(Acknowledgement::Normal),
                2 => Some(Acknowledgement::Sticky),
                _ => return None,
            };
        }
        Field::Attempt => memory.attempt = reader.u32()?,
        Field::LastCheck => memory.last_check = reader.i64()?,
        Field::StateChange => memory.last_state_change = reader.i64()?,
        Field::HardStateChange => memory.last_hard_state_change = reader.i64()?,
        Field::LastTime0 | Field::LastTime1 | Field::LastTime2 | Field::LastTime3 => {
            memory.last_times[field.last_time()?] = reader.i64()?;
        }
        Field::Notified => {
            memory.notified_on = States::from_bits(reader.u8()?);
            memory.notifications = reader.u32()?;
        }
        Field::LastNotification => memory.last_notification = reader.i64()?,
        Field::NextNotification => memory.next_notification = reader.i64()?,
        Field::Switches => {
            memory.switches = Switches::from_bits(reader.u32()?);
            memory.modified = Switches::from_bits(reader.u32()?);
        }
        Field::PercentStateChange => memory.percent_state_change = reader.u16()?,
        Field::DowntimeDepth => memory.downtime_depth = reader.u32()?,
        Field::Comments => entry.comments = read_all(reader, read_comment)?,
        Field::Downtimes => entry.downtimes = read_all(reader, read_downtime)?,
    }
    Some(())
}

fn read_object(reader: &mut Reader<'_>) -> Option<Object> {
    let host = HostName::try_from(reader.text()?).ok()?;
    match reader.text()? {
        [] => Some(Object::Host(host)),
        service => Some(Object::Service(host, ServiceDescription::try_from(service).ok()?)),
    }
}

fn read_change(reader: &mut Reader<'_>) -> Option<Change> {
    let mut change = Change { fields: reader.u32()?, entry: Entry::default() };
    let known = Field::ALL.into_iter().fold(0, |bits, field| bits | field.bit());
    if change.fields & !known != 0 {
        return None;
    }
    for field in Field::ALL.into_iter().filter(|field| change.fields & field.bit() != 0) {
        read_field(field, reader, &mut change.entry)?;
    }
    Some(change)
}

fn put_comment(comment: &Comment, out: &mut Vec<u8>) {
    let kind = match comment.kind {
        CommentKind::User => 1,
        CommentKind::Downtime => 2,
        CommentKind::Flapping => 3,
        CommentKind::Acknowledgement => 4,
    };
    out.extend_from_slice(&comment.id.to_be_bytes());
    out.extend_from_slice(&[kind, u8::from(comment.persistent)]);
    put_time(comment.entered, out);
    put_time(comment.expires, out);
    put_text(comment.author.as_bytes(), out);
    put_text(comment.text.as_bytes(), out);
}

fn read_comment(reader: &mut Reader<'_>) -> Option<Comment> {
    Some(Comment {
        id: reader.u64()?,
        kind: match reader.u8()? {
            1 => CommentKind::User,
            2 => CommentKind::Downtime,
            3 => CommentKind::Flapping,
            4 => CommentKind::Acknowledgement,
            _ => return None,
        },
        persistent: reader.u8()? != 0,
        entered: reader.i64()?,
        expires: reader.i64()?,
        author: RemarkText::field(reader.text()?),
        text: RemarkText::new(reader.text()?),
    })
}

fn put_downtime(downtime: &Downtime, out: &mut Vec<u8>) {
    out.extend_from_slice(&downtime.id.to_be_bytes());
    [downtime.entered, downtime.start, downtime.end, downtime.duration].iter().for_each(|time| put_time(*time, out));
    out.extend_from_slice(&downtime.triggered_by.to_be_bytes());
    put_time(downtime.began, out);
    out.push(bits([downtime.fixed, downtime.in_effect, false, false]));
    put_text(downtime.author.as_bytes(), out);
    put_text(downtime.text.as_bytes(), out);
}

fn read_downtime(reader: &mut Reader<'_>) -> Option<Downtime> {
    let id = reader.u64()?;
    let (entered, start, end, duration) = (reader.i64()?, reader.i64()?, reader.i64()?, reader.i64()?);
    let (triggered_by, began, bits) = (reader.u64()?, reader.i64()?, reader.u8()?);
    let (fixed, in_effect) = (bits & 1 != 0, bits & 2 != 0);
    let (author, text) = (RemarkText::field(reader.text()?), RemarkText::field(reader.text()?));
    Some(Downtime { id, entered, start, end, fixed, duration, triggered_by, in_effect, began, author, text })
}

fn put_all<R>(remarks: &[R], put: fn(&R, &mut Vec<u8>), out: &mut Vec<u8>) {
    let count = remarks.len().min(MAX_REMARKS);
    out.extend_from_slice(&u16::try_from(count).expect("MAX_REMARKS is small").to_be_bytes());
    remarks[..count].iter().for_each(|remark| put(remark, out));
}

fn read_all<R>(reader: &mut Reader<'_>, read: fn(&mut Reader<'_>) -> Option<R>) -> Option<Vec<R>> {
    let count = usize::from(reader.u16()?);
    if count > MAX_REMARKS {
        return None;
    }
    (0..count).map(|_| read(reader)).collect()
}

fn put_time(seconds: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(&seconds.to_be_bytes());
}

fn known_state(state: u8) -> Option<u8> {
    (state < 4).then_some(state)
}

fn bits(flags: [bool; 4]) -> u8 {
    flags.iter().rev().fold(0, |bits, flag| bits << 1 | u8::from(*flag))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::tests::entry;
    use nagios::Memory;
    use proptest::prelude::*;

    fn service() -> Object {
        Object::Service(HostName::try_from("web").unwrap(), ServiceDescription::try_from("http").unwrap())
    }

    fn encoded(record: &Record) -> Vec<u8> {
        let mut out = Vec::new();
        record.encode(&mut out);
        out
    }

    fn text(text: &str) -> RemarkText {
        RemarkText::new(text.as_bytes())
    }

    #[test]
    fn a_change_is_laid_out_as_documented() {
        let memory = Memory {
            checked: true,
            state: 2,
            last_hard_state: 2,
            acknowledgement: Some(Acknowledgement::Sticky),
            notified_on: States::only(2),
            notifications: 258,
            last_notification: -2,
            percent_state_change: 625,
            ..Memory::default()
        };
        let comments = vec![Comment {
            id: 7,
            kind: CommentKind::Acknowledgement,
            entered: 1,
            persistent: true,
            expires: 2,
            author: text("joe"),
            text: text("x"),
        }];
        let downtimes = vec![Downtime {
            id: 8,
            entered: 1,
            start: 2,
            end: 3,
            fixed: true,
            duration: 4,
            triggered_by: 5,
            in_effect: true,
            began: 6,
            author: text("a"),
            text: text("b"),
        }];
        let change = Change::whole(&Entry { memory, comments, downtimes });
        let record = Record::Changed(service(), change);

        let number = |number: u8| [0, 0, 0, 0, 0, 0, 0, number];
        let mut expected = vec![1, 2];
        expected.extend(b"\x00\x03web\x00\x04http");
        expected.extend([0, 0b1, 0b1010_0110, 0b0000_0001]);
        expected.extend([2, 2, 0b11, 2]);
        expected.extend([0b100, 0, 0, 1, 2]);
        expected.extend([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe]);
        expected.extend([2, 113]);
        expected.extend([0, 1]);
        expected.extend(number(7));
        expected.extend([4, 1]);
        expected.extend([number(1), number(2)].concat());
        expected.extend(b"\x00\x03joe\x00\x01x");
        expected.extend([0, 1]);
        expected.extend([8, 1, 2, 3, 4, 5, 6].map(number).concat());
        expected.push(0b11);
        expected.extend(b"\x00\x01a\x00\x01b");
        assert_eq!(encoded(&record), expected);
        assert_eq!(Record::decode(&expected), Ok(record));

        let host = Object::Host(service().host().clone());
        assert_eq!(encoded(&Record::Gone(host)), b"\x01\x03\x00\x03web\x00\x00");
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let record = encoded(&Record::Whole(service(), Change::whole(&Entry::default())));
        assert_eq!(Record::decode(&[&[2], &record[1..]].concat()), Err(RecordError::Version { version: 2 }));
        let damaged = |field| Err(RecordError::Damaged { field });
        assert_eq!(Record::decode(&[&record[..], b"x"].concat()), damaged("end"));
        assert_eq!(Record::decode(&[1, 9, 0, 1, b'a', 0, 0]), damaged("kind"));
        assert_eq!(Record::decode(&[1, 3, 0, 1, b';', 0, 0]), damaged("object"));
        assert_eq!(Record::decode(&[1, 1, 0, 1, b'a', 0, 0, 0x80, 0, 0, 0]), damaged("fields"), "a field of later");
        assert_eq!(
            Record::decode(&[1, 1, 0, 1, b'a', 0, 0, 0, 0, 0, 1, 9, 0, 0, 0]),
            damaged("fields"),
            "a state of 9"
        );
        for end in 0..record.len() {
            assert!(Record::decode(&record[..end]).is_err());
        }
    }

    #[test]
    fn the_longest_record_fits() {
        let long = text(&"x".repeat(2 * MAX_REMARK_BYTES));
        let comment = Comment {
            id: 0,
            kind: CommentKind::User,
            entered: 0,
            persistent: false,
            expires: 0,
            author: long.clone(),
            text: long.clone(),
        };
        let downtime = Downtime {
            id: 0,
            entered: 0,
            start: 0,
            end: 0,
            fixed: false,
            duration: 0,
            triggered_by: 0,
            in_effect: false,
            began: 0,
            author: long.clone(),
            text: long,
        };
        let memory = Memory::default();
        let entry = Entry { memory, comments: vec![comment; MAX_REMARKS], downtimes: vec![downtime; MAX_REMARKS] };
        let name = "x".repeat(MAX_NAME_BYTES);
        let host = HostName::try_from(name.as_str()).unwrap();
        let object = Object::Service(host, ServiceDescription::try_from(name.as_str()).unwrap());
        let bytes = encoded(&Record::Whole(object, Change::whole(&entry)));
        assert!(bytes.len() <= MAX_RECORD_BYTES);
        assert!(Record::decode(&bytes).is_ok());
    }

    proptest! {
        #[test]
        fn every_record_is_read_as_it_was(old in entry(), new in entry()) {
            let whole = Record::Whole(service(), Change::whole(&new));
            prop_assert_eq!(Record::decode(&encoded(&whole)), Ok(whole));
            if let Some(change) = Change::between(&old, &new) {
                let changed = Record::Changed(service(), change);
                prop_assert_eq!(Record::decode(&encoded(&changed)), Ok(changed));
            }
        }

        #[test]
        fn no_bytes_make_a_reader_panic(bytes: Vec<u8>, entry in entry(), at: usize, with: u8) {
            let _ = Record::decode(&bytes);
            let mut record = encoded(&Record::Whole(service(), Change::whole(&entry)));
            let at = at % record.len();
            record[at] = with;
            let _ = Record::decode(&record);
        }
    }
}
