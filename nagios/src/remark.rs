//! Comments and downtimes: what people say of an object.
//!
//! **Invariant:** texts are bounded by [`MAX_REMARK_BYTES`] and hold no control characters, and authors no `;`, so that an
//! external command can carry them.

/// The longest author and the longest text that is kept, in bytes.
pub const MAX_REMARK_BYTES: usize = 2048;

/// A comment on a host or service. Times are Unix seconds, 0 is "never".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// `comment_id`: its number in this core. Other cores have others.
    pub id: u64,
    /// `entry_type`.
    pub kind: CommentKind,
    /// `entry_time`.
    pub entered: i64,
    /// `persistent`: it survives restarts of the core, and of an acknowledgement its end.
    pub persistent: bool,
    /// `expire_time`, which only Icinga 1 uses.
    pub expires: i64,
    /// `author`
    pub author: RemarkText,
    /// `comment_data`
    pub text: RemarkText,
}

/// Why there is a comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CommentKind {
    /// 1: somebody wrote it.
    User,
    /// 2: the core's, for a downtime.
    Downtime,
    /// 3: the core's, for flapping.
    Flapping,
    /// 4: somebody acknowledged a problem.
    Acknowledgement,
}

/// A scheduled downtime of a host or service. Times are Unix seconds, 0 is "never".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downtime {
    /// `downtime_id`: its number in this core. Other cores have others.
    pub id: u64,
    /// `entry_time`
    pub entered: i64,
    /// `start_time`
    pub start: i64,
    /// `end_time`
    pub end: i64,
    /// `fixed`: it lasts from start to end. Otherwise it begins with the first problem in between.
    pub fixed: bool,
    /// `duration` in seconds, which counts if it is not fixed.
    pub duration: i64,
    /// `triggered_by`: it begins with that downtime; 0 if with none.
    pub triggered_by: u64,
    /// `is_in_effect`
    pub in_effect: bool,
    /// `flex_downtime_start`: when it began, if it is not fixed and in effect.
    pub began: i64,
    /// `author`
    pub author: RemarkText,
    /// `comment`
    pub text: RemarkText,
}

/// An author, or what they say: bytes that fit into an external command.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RemarkText(Box<[u8]>);

impl RemarkText {
    /// `text` without what an external command cannot carry: control characters and, for who wants it as a field that is not
    /// the last one, `;`. Both become blanks. What is beyond [`MAX_REMARK_BYTES`] is cut.
    pub fn new(text: &[u8]) -> Self {
        let mut end = text.len().min(MAX_REMARK_BYTES);
        // Not inside of a UTF-8 character.
        while end < text.len() && end > 0 && text[end] & 0xc0 == 0x80 {
            end -= 1;
        }
        let clean = |byte: &u8| if byte.is_ascii_control() { b' ' } else { *byte };
        Self(text[..end].iter().map(clean).collect())
    }

    /// As [`RemarkText::new`], with a comma for each `;`.
    pub fn field(text: &[u8]) -> Self {
        let Self(mut text) = Self::new(text);
        text.iter_mut().filter(|byte| **byte == b';').for_each(|byte| *byte = b',');
        Self(text)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_remark_can_break_a_command() {
        assert_eq!(RemarkText::new(b"a\nb;c\0").as_bytes(), b"a b;c ");
        assert_eq!(RemarkText::field(b"a\nb;c").as_bytes(), b"a b,c");
    }

    #[test]
    fn a_long_remark_is_cut_between_characters() {
        let long = format!("x{}", "ü".repeat(MAX_REMARK_BYTES));
        let text = RemarkText::new(long.as_bytes());
        assert_eq!(text.as_bytes().len(), MAX_REMARK_BYTES - 1);
        assert!(str::from_utf8(text.as_bytes()).is_ok());
        assert_eq!(RemarkText::new(&[0x80; 3000]).as_bytes().len(), 0, "no text at all");
    }
}
