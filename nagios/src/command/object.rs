//! External commands about one object: acknowledgements, downtimes, comments, switches.
//!
//! ```text
//! [entered] ACKNOWLEDGE_SVC_PROBLEM;host;description;1 or 2, sticky;0, tell nobody;persistent;author;text␊
//! [entered] ACKNOWLEDGE_SVC_PROBLEM_EXPIRE;…;persistent;expires;author;text␊                    Icinga 1
//! [entered] REMOVE_SVC_ACKNOWLEDGEMENT;host;description␊
//! [entered] SCHEDULE_SVC_DOWNTIME;host;description;start;end;fixed;triggered by;duration;author;text␊
//! [entered] ADD_SVC_COMMENT;host;description;persistent;author;text␊
//! [entered] DEL_SVC_DOWNTIME;number␊         DEL_SVC_COMMENT;number␊
//! [entered] DISABLE_SVC_NOTIFICATIONS;host;description␊      and other switches
//! ```
//!
//! `HOST` instead of `SVC`, and no description, for a host. Tried on Nagios 4.4.6: the time in brackets becomes the
//! `entry_time` of downtimes and comments, but not of an acknowledgement's comment; of a downtime's text, what follows a
//! `;` is lost.

use std::io::Write as _;

use crate::flavour::Flavour;
use crate::memory::{Acknowledgement, Switches};
use crate::remark::RemarkText;
use crate::result::{Object, Timestamp};

/// A command about one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectCommand {
    /// The object.
    pub object: Object,
    /// The time in brackets, in Unix seconds.
    pub entered: i64,
    /// What is to be done.
    pub order: Order,
}

/// What is to be done with an object. Times are Unix seconds, 0 is "never".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Acknowledge its problem, and tell nobody. A core ignores it while there is no problem.
    Acknowledge {
        /// How long it lasts.
        kind: Acknowledgement,
        /// Whether its comment survives restarts and its end.
        persistent: bool,
        /// When it ends by itself, which only Icinga 1 knows.
        expires: i64,
        /// Who takes care.
        author: RemarkText,
        /// What they say.
        text: RemarkText,
    },
    /// Nobody takes care of its problem any more.
    RemoveAcknowledgement,
    /// Notify of nothing for some time.
    ScheduleDowntime {
        /// When it begins, or may begin.
        start: i64,
        /// When it is over, or must have begun.
        end: i64,
        /// Whether it lasts from start to end.
        fixed: bool,
        /// The number that this core gave to the downtime that it begins with; 0 for none.
        triggered_by: u64,
        /// How long it lasts if it is not fixed, in seconds.
        duration: i64,
        /// Who wants it.
        author: RemarkText,
        /// Why.
        text: RemarkText,
    },
    /// End or cancel the downtime with this number, and what it triggered.
    DeleteDowntime(u64),
    /// Add a comment.
    AddComment {
        /// Whether it survives restarts.
        persistent: bool,
        /// Who says it.
        author: RemarkText,
        /// What.
        text: RemarkText,
    },
    /// Delete the comment with this number.
    DeleteComment(u64),
    /// Turn a switch on or off.
    Switch(ObjectSwitch, bool),
}

/// A switch of an object for which there are commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectSwitch {
    /// `notifications_enabled`
    Notifications,
    /// `active_checks_enabled`
    ActiveChecks,
    /// `event_handler_enabled`
    EventHandler,
    /// `flap_detection_enabled`
    FlapDetection,
}

impl ObjectSwitch {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Notifications, Self::ActiveChecks, Self::EventHandler, Self::FlapDetection];

    /// Its place among the core's switches.
    pub const fn switch(self) -> Switches {
        match self {
            Self::Notifications => Switches::NOTIFICATIONS,
            Self::ActiveChecks => Switches::ACTIVE_CHECKS,
            Self::EventHandler => Switches::EVENT_HANDLER,
            Self::FlapDetection => Switches::FLAP_DETECTION,
        }
    }

    /// The command's name is ENABLE or DISABLE, HOST or SVC, and this.
    const fn name(self) -> &'static str {
        match self {
            Self::Notifications => "NOTIFICATIONS",
            Self::ActiveChecks => "CHECK",
            Self::EventHandler => "EVENT_HANDLER",
            Self::FlapDetection => "FLAP_DETECTION",
        }
    }
}

impl ObjectCommand {
    /// Appends it to `out` as one whole line, which is shorter than every core's limit.
    pub fn encode(&self, flavour: Flavour, out: &mut Vec<u8>) {
        let what = if self.object.service().is_some() { "SVC" } else { "HOST" };
        let mut line = Line::begin(out, Timestamp::from_seconds(self.entered));
        match &self.order {
            Order::Acknowledge { kind, persistent, expires, author, text } => {
                let with_end = *expires > 0 && flavour == Flavour::Icinga1;
                line.name(&format!("ACKNOWLEDGE_{what}_PROBLEM{}", if with_end { "_EXPIRE" } else { "" }));
                line.object(&self.object);
                line.number(match kind {
                    Acknowledgement::Normal => 1,
                    Acknowledgement::Sticky => 2,
                });
                line.flag(false);
                line.flag(*persistent);
                if with_end {
                    line.number(*expires);
                }
                line.remark(author, text);
            }
            Order::RemoveAcknowledgement => {
                line.name(&format!("REMOVE_{what}_ACKNOWLEDGEMENT"));
                line.object(&self.object);
            }
            Order::ScheduleDowntime { start, end, fixed, triggered_by, duration, author, text } => {
                line.name(&format!("SCHEDULE_{what}_DOWNTIME"));
                line.object(&self.object);
                line.number(*start);
                line.number(*end);
                line.flag(*fixed);
                line.number(*triggered_by);
                line.number(*duration);
                line.remark(author, text);
            }
            Order::DeleteDowntime(id) => {
                line.name(&format!("DEL_{what}_DOWNTIME"));
                line.number(*id);
            }
            Order::AddComment { persistent, author, text } => {
                line.name(&format!("ADD_{what}_COMMENT"));
                line.object(&self.object);
                line.flag(*persistent);
                line.remark(author, text);
            }
            Order::DeleteComment(id) => {
                line.name(&format!("DEL_{what}_COMMENT"));
                line.number(*id);
            }
            Order::Switch(switch, on) => {
                line.name(&format!("{}_{what}_{}", if *on { "ENABLE" } else { "DISABLE" }, switch.name()));
                line.object(&self.object);
            }
        }
        line.end();
    }
}

/// A line that is being written.
struct Line<'a>(&'a mut Vec<u8>);

impl<'a> Line<'a> {
    fn begin(out: &'a mut Vec<u8>, at: Timestamp) -> Self {
        write!(out, "[{}] ", at.seconds()).expect("a Vec takes every write");
        Self(out)
    }

    fn name(&mut self, name: &str) {
        self.0.extend_from_slice(name.as_bytes());
    }

    fn object(&mut self, object: &Object) {
        self.field(object.host().as_bytes());
        if let Some(service) = object.service() {
            self.field(service.as_bytes());
        }
    }

    fn number(&mut self, number: impl std::fmt::Display) {
        write!(self.0, ";{number}").expect("a Vec takes every write");
    }

    fn flag(&mut self, on: bool) {
        self.number(u8::from(on));
    }

    fn remark(&mut self, author: &RemarkText, text: &RemarkText) {
        self.field(RemarkText::field(author.as_bytes()).as_bytes());
        self.field(text.as_bytes());
    }

    fn field(&mut self, field: &[u8]) {
        self.0.push(b';');
        self.0.extend_from_slice(field);
    }

    fn end(self) {
        self.0.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remark::MAX_REMARK_BYTES;
    use crate::result::{HostName, MAX_NAME_BYTES, ServiceDescription};

    fn host() -> Object {
        Object::Host(HostName::try_from("web1").unwrap())
    }

    fn service() -> Object {
        Object::Service(HostName::try_from("web1").unwrap(), ServiceDescription::try_from("S").unwrap())
    }

    fn line(flavour: Flavour, object: Object, order: Order) -> String {
        let mut out = Vec::new();
        ObjectCommand { object, entered: 7, order }.encode(flavour, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn text(text: &str) -> RemarkText {
        RemarkText::new(text.as_bytes())
    }

    #[test]
    fn commands_are_what_the_cores_know() {
        let line = |object, order| line(Flavour::Nagios4, object, order);
        let acknowledge = Order::Acknowledge {
            kind: Acknowledgement::Sticky,
            persistent: true,
            expires: 99,
            author: text("jo;e"),
            text: text("mine; at last"),
        };
        assert_eq!(
            line(service(), acknowledge.clone()),
            "[7] ACKNOWLEDGE_SVC_PROBLEM;web1;S;2;0;1;jo,e;mine; at last\n"
        );
        assert_eq!(line(host(), acknowledge), "[7] ACKNOWLEDGE_HOST_PROBLEM;web1;2;0;1;jo,e;mine; at last\n");
        assert_eq!(line(host(), Order::RemoveAcknowledgement), "[7] REMOVE_HOST_ACKNOWLEDGEMENT;web1\n");
        let downtime = Order::ScheduleDowntime {
            start: 10,
            end: 20,
            fixed: false,
            triggered_by: 3,
            duration: 5,
            author: text("joe"),
            text: text("disk"),
        };
        assert_eq!(line(service(), downtime), "[7] SCHEDULE_SVC_DOWNTIME;web1;S;10;20;0;3;5;joe;disk\n");
        assert_eq!(line(service(), Order::DeleteDowntime(4)), "[7] DEL_SVC_DOWNTIME;4\n");
        let comment = Order::AddComment { persistent: false, author: text("joe"), text: text("a; b") };
        assert_eq!(line(host(), comment), "[7] ADD_HOST_COMMENT;web1;0;joe;a; b\n");
        assert_eq!(line(host(), Order::DeleteComment(5)), "[7] DEL_HOST_COMMENT;5\n");
        let switch = |object, switch, on| line(object, Order::Switch(switch, on));
        assert_eq!(switch(host(), ObjectSwitch::Notifications, false), "[7] DISABLE_HOST_NOTIFICATIONS;web1\n");
        assert_eq!(switch(service(), ObjectSwitch::ActiveChecks, true), "[7] ENABLE_SVC_CHECK;web1;S\n");
        assert_eq!(switch(service(), ObjectSwitch::FlapDetection, true), "[7] ENABLE_SVC_FLAP_DETECTION;web1;S\n");
    }

    #[test]
    fn an_acknowledgement_that_expires_is_for_icinga_1() {
        let acknowledge = Order::Acknowledge {
            kind: Acknowledgement::Normal,
            persistent: false,
            expires: 99,
            author: text("joe"),
            text: text("mine"),
        };
        let line = line(Flavour::Icinga1, service(), acknowledge);
        assert_eq!(line, "[7] ACKNOWLEDGE_SVC_PROBLEM_EXPIRE;web1;S;1;0;0;99;joe;mine\n");
    }

    #[test]
    fn the_longest_command_fits_into_every_core() {
        let name = "x".repeat(MAX_NAME_BYTES);
        let host = HostName::try_from(name.as_str()).unwrap();
        let object = Object::Service(host, ServiceDescription::try_from(name.as_str()).unwrap());
        let long = text(&"y".repeat(2 * MAX_REMARK_BYTES));
        let order = Order::ScheduleDowntime {
            start: i64::MAX,
            end: i64::MAX,
            fixed: true,
            triggered_by: u64::MAX,
            duration: i64::MAX,
            author: long.clone(),
            text: long,
        };
        for flavour in Flavour::all() {
            assert!(line(flavour, object.clone(), order.clone()).len() < flavour.max_line_bytes());
        }
    }
}
