//! Blocks of comments and downtimes.

use super::memory::{number, time};
use super::{Block, BlockKind};
use crate::remark::{Comment, CommentKind, Downtime, RemarkText};

pub(super) fn comment(block: &Block<'_>) -> Option<Comment> {
    if !matches!(block.kind(), BlockKind::HostComment | BlockKind::ServiceComment) {
        return None;
    }
    let fields = Fields(block);
    Some(Comment {
        id: fields.number("comment_id"),
        kind: match fields.number("entry_type") {
            2 => CommentKind::Downtime,
            3 => CommentKind::Flapping,
            4 => CommentKind::Acknowledgement,
            _ => CommentKind::User,
        },
        entered: fields.time("entry_time"),
        persistent: fields.number("persistent") != 0,
        expires: if fields.number("expires") != 0 { fields.time("expire_time") } else { 0 },
        author: RemarkText::field(fields.text("author")),
        text: RemarkText::new(fields.text("comment_data")),
    })
}

pub(super) fn downtime(block: &Block<'_>) -> Option<Downtime> {
    if !matches!(block.kind(), BlockKind::HostDowntime | BlockKind::ServiceDowntime) {
        return None;
    }
    let fields = Fields(block);
    Some(Downtime {
        id: fields.number("downtime_id"),
        entered: fields.time("entry_time"),
        start: fields.time("start_time"),
        end: fields.time("end_time"),
        fixed: fields.number("fixed") != 0,
        duration: fields.time("duration"),
        triggered_by: fields.number("triggered_by"),
        in_effect: fields.number("is_in_effect") != 0,
        began: fields.time("flex_downtime_start"),
        author: RemarkText::field(fields.text("author")),
        text: RemarkText::field(fields.text("comment")),
    })
}

struct Fields<'a>(&'a Block<'a>);

impl<'a> Fields<'a> {
    fn text(&self, key: &str) -> &'a [u8] {
        self.0.get(key).unwrap_or_default()
    }

    fn number(&self, key: &str) -> u64 {
        number(self.text(key))
    }

    fn time(&self, key: &str) -> i64 {
        time(self.text(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::StatusReader;

    const FILE: &str = "\
servicecomment {
\thost_name=web1
\tservice_description=S
\tentry_type=4
\tcomment_id=7
\tsource=0
\tpersistent=1
\tentry_time=100
\texpires=1
\texpire_time=200
\tauthor=jo;e
\tcomment_data=mine; at last
\t}
hostdowntime {
\thost_name=web1
\tdowntime_id=3
\tcomment_id=9
\tentry_time=100
\tstart_time=110
\tflex_downtime_start=115
\tend_time=200
\ttriggered_by=2
\tfixed=0
\tduration=60
\tis_in_effect=1
\tstart_notification_sent=1
\tauthor=joe
\tcomment=new disk
\t}
";

    #[test]
    fn comments_and_downtimes_are_understood() {
        let mut reader = StatusReader::new(FILE.as_bytes());
        let block = reader.next_block().unwrap().unwrap();
        assert_eq!(block.object().unwrap().to_string(), "web1;S");
        assert!(block.downtime().is_none() && block.memory().is_none());
        let comment = Comment {
            id: 7,
            kind: CommentKind::Acknowledgement,
            entered: 100,
            persistent: true,
            expires: 200,
            author: RemarkText::new(b"jo,e"),
            text: RemarkText::new(b"mine; at last"),
        };
        assert_eq!(block.comment(), Some(comment));

        let block = reader.next_block().unwrap().unwrap();
        assert_eq!(block.object().unwrap().to_string(), "web1");
        assert!(block.comment().is_none());
        let downtime = Downtime {
            id: 3,
            entered: 100,
            start: 110,
            end: 200,
            fixed: false,
            duration: 60,
            triggered_by: 2,
            in_effect: true,
            began: 115,
            author: RemarkText::new(b"joe"),
            text: RemarkText::new(b"new disk"),
        };
        assert_eq!(block.downtime(), Some(downtime));
    }
}
