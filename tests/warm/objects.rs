//! What the three cores watch: the same objects, which differ in all that matters for notifications.

use std::fmt::Write as _;
use std::path::Path;

use crate::support::core::always;

pub const HOSTS: usize = 20;
const SERVICES_PER_HOST: usize = 10;

/// The most attempts that a service has.
pub const MAX_ATTEMPTS: usize = 5;

/// Seconds between two notifications of one problem; 0: there is one only. None is a multiple of a round, nor near one.
const INTERVALS: [u32; 5] = [10, 0, 6, 18, 10];

/// Seconds from the beginning of a problem to its first notification.
const DELAYS: [u32; 7] = [0, 0, 6, 0, 0, 0, 14];

/// What services notify of.
const OPTIONS: [&str; 6] = ["w,u,c,r,s", "w,u,c,r,s", "c,r,s", "w,u,c,r,s", "w,c,r,s", "w,u,c,s"];

/// At a check that is due and switched off, Nagios notifies of a host's problem again. When that is, differs between cores.
const NEVER: u32 = 100_000;

/// A host or a service.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Watched {
    host: usize,
    service: Option<usize>,
}

impl Watched {
    /// All of them, each host before its services.
    pub fn all() -> impl Iterator<Item = Watched> {
        let of_host = |host| {
            let services = (0..SERVICES_PER_HOST).map(move |service| Watched { host, service: Some(service) });
            std::iter::once(Watched { host, service: None }).chain(services)
        };
        (0..HOSTS).flat_map(of_host)
    }

    pub fn is_host(self) -> bool {
        self.service.is_none()
    }

    /// As in commands and in the log: `host` or `host;service`.
    pub fn name(self) -> String {
        match self.service {
            None => self.host_name(),
            Some(service) => format!("{};service-{service}", self.host_name()),
        }
    }

    /// Whether somebody is told at once of its problem, when it is critical and hard, and of its recovery.
    pub fn is_told_at_once(self) -> bool {
        let number = self.number();
        !self.is_host() && DELAYS[number % DELAYS.len()] == 0 && OPTIONS[number % OPTIONS.len()].contains("c,r")
    }

    fn host_name(self) -> String {
        format!("host-{:02}", self.host)
    }

    fn number(self) -> usize {
        self.host * SERVICES_PER_HOST + self.service.unwrap_or(0)
    }

    fn definition(self) -> String {
        let number = self.number();
        let (interval, delay) = (INTERVALS[number % INTERVALS.len()], DELAYS[number % DELAYS.len()]);
        let (kind, attempts, options, more) = match self.service {
            None => ("host", 1 + self.host % 3, "d,u,r,s", " address 127.0.0.1\n".to_owned()),
            Some(service) => {
                let volatile = usize::from(number.is_multiple_of(19));
                let more = format!(" service_description service-{service}\n is_volatile {volatile}\n");
                ("service", 1 + number % MAX_ATTEMPTS, OPTIONS[number % OPTIONS.len()], more)
            }
        };
        format!(
            "define {kind} {{\n host_name {}\n{more} check_command nothing\n active_checks_enabled 0\n \
             check_interval {NEVER}\n retry_interval {NEVER}\n max_check_attempts {attempts}\n check_period always\n notification_period always\n \
             notification_interval {interval}\n first_notification_delay {delay}\n notification_options {options}\n \
             flap_detection_enabled 0\n contacts admin\n}}\n{}",
            self.host_name(),
            self.escalation(interval)
        )
    }

    /// From its second notification on, another one is told, too.
    fn escalation(self, interval: u32) -> String {
        match self.service {
            Some(service) if self.number().is_multiple_of(11) => format!(
                "define serviceescalation {{\n host_name {}\n service_description service-{service}\n \
                 first_notification 2\n last_notification 0\n notification_interval {interval}\n contacts admin,boss\n}}\n",
                self.host_name()
            ),
            _ => String::new(),
        }
    }
}

/// The objects of a core in `directory`. Its contacts' commands append a line to the file `notified` there.
pub fn configuration(directory: &Path) -> String {
    let notify = directory.join("notify.sh");
    let notify = notify.display();
    let mut text = format!(
        "{}define command {{\n command_name nothing\n command_line /bin/true\n}}\n\
         define command {{\n command_name notify-service\n command_line /bin/sh {notify} \
         $CONTACTNAME$ $HOSTNAME$ $SERVICEDESC$ $NOTIFICATIONTYPE$ $SERVICESTATE$ $SERVICENOTIFICATIONNUMBER$\n}}\n\
         define command {{\n command_name notify-host\n command_line /bin/sh {notify} \
         $CONTACTNAME$ $HOSTNAME$ - $NOTIFICATIONTYPE$ $HOSTSTATE$ $HOSTNOTIFICATIONNUMBER$\n}}\n",
        always()
    );
    for contact in ["admin", "boss"] {
        write!(
            text,
            "define contact {{\n contact_name {contact}\n host_notification_period always\n \
             service_notification_period always\n host_notification_commands notify-host\n \
             service_notification_commands notify-service\n host_notification_options d,u,r,s\n \
             service_notification_options w,u,c,r,s\n}}\n"
        )
        .unwrap();
    }
    text + &Watched::all().map(Watched::definition).collect::<String>()
}

/// The script that the contacts' commands run.
pub fn notify_script(directory: &Path) -> String {
    format!("echo \"$*\" >> {}/notified\n", directory.display())
}
