//! Check results as a core has them: the same for both sides.

use nagios::{CheckResult, Object, PluginOutput, ReturnCode, Timestamp};
use ocsp::handover::{HandOver, new_id};

/// As many services has each host.
const SERVICES_PER_HOST: usize = 10;

/// So many results of so many objects, which take turns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Results {
    pub(crate) count: usize,
    pub(crate) objects: usize,
}

/// What precedes the number of a result in its output, and what follows it.
const AROUND_NUMBER: (&str, &str) = (" OK - ", " bytes");

/// When every one was checked, where that is told, in Unix seconds.
const CHECKED: i64 = 1_700_000_000;

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) host: String,
    pub(crate) description: String,
    pub(crate) output: String,
}

impl Results {
    pub(crate) fn new(count: usize) -> Self {
        Results { count, objects: 1000 }
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Service> {
        (0..self.count).map(move |number| self.result(number))
    }

    /// The last one of each object.
    pub(crate) fn last(self) -> impl Iterator<Item = Service> {
        (self.count.saturating_sub(self.objects)..self.count).map(move |number| self.result(number))
    }

    fn result(self, number: usize) -> Service {
        let object = number % self.objects;
        Service {
            host: host(object / SERVICES_PER_HOST),
            description: description(object % SERVICES_PER_HOST),
            output: format!(
                "HTTP OK: HTTP/1.1 200{}{number}{} in 0.043 second response time |time=0.043s;;;0.0;10.0",
                AROUND_NUMBER.0, AROUND_NUMBER.1
            ),
        }
    }

    /// As `send_nsca` reads them.
    pub(crate) fn sets(self) -> Vec<u8> {
        let mut sets = Vec::new();
        for Service { host, description, output } in self.iter() {
            sets.extend_from_slice(format!("{host}\t{description}\t0\t{output}\u{17}").as_bytes());
        }
        sets
    }

    /// Hosts and how many services each of them has.
    pub(crate) fn inventory(self) -> (impl Iterator<Item = String>, impl Iterator<Item = String> + Clone) {
        ((0..self.objects.div_ceil(SERVICES_PER_HOST)).map(host), (0..SERVICES_PER_HOST).map(description))
    }
}

fn host(number: usize) -> String {
    format!("web{number}.example.org")
}

fn description(number: usize) -> String {
    format!("HTTP {number}")
}

impl Service {
    /// Which result it is whose output stands in this line.
    pub(crate) fn number_in(line: &str) -> Option<usize> {
        let (_, rest) = line.split_once(AROUND_NUMBER.0)?;
        rest.split_once(AROUND_NUMBER.1)?.0.parse().ok()
    }

    /// As a receiver has it.
    pub(crate) fn check_result(&self) -> CheckResult {
        let host = self.host.as_str().try_into().expect("a name");
        let object = Object::Service(host, self.description.as_str().try_into().expect("a name"));
        let output = PluginOutput::from_text(self.output.as_bytes());
        CheckResult::new(object, ReturnCode::new(0), output, Timestamp::from_seconds(CHECKED))
    }

    /// As `understudy-ocsp` hands it over.
    pub(crate) fn handover(&self, check_time_us: i64) -> HandOver {
        let (output, perfdata) = self.output.split_once('|').expect("every output has performance data");
        HandOver {
            id: new_id(),
            host: self.host.clone().into(),
            service: Some(self.description.clone().into()),
            code: 0,
            output: output.into(),
            perfdata: perfdata.into(),
            long_output: Vec::new(),
            check_time_us,
            state_type: None,
            attempt: None,
            check_type: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_which_result_it_is() {
        let results = Results { count: 30, objects: 20 };
        let lines = results.iter().map(|Service { host, description, output }| {
            format!("[1] PROCESS_SERVICE_CHECK_RESULT;{host};{description};0;{output}")
        });
        assert!(lines.map(|line| Service::number_in(&line)).eq((0..30).map(Some)));
        assert_eq!(Service::number_in("[1] ENABLE_NOTIFICATIONS"), None);
    }
}
