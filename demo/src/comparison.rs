//! Whether the standby shows what the master shows.

use std::collections::BTreeSet;
use std::fmt;

use nagios::Object;

use crate::snapshot::{Shown, Snapshot};

/// The outcome of comparing two snapshots, object by object.
#[derive(Debug)]
pub(crate) struct Comparison {
    /// How many objects agree in state, output, performance data and long output.
    pub(crate) agreeing: usize,
    pub(crate) differences: Vec<Difference>,
}

/// An object on which the two disagree, and how.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) object: Object,
    pub(crate) what: String,
}

impl Comparison {
    /// Characters in `stripped` do not count: the master's core takes them out before it tells the ocsp command.
    pub(crate) fn of(master: &Snapshot, standby: &Snapshot, stripped: &str) -> Self {
        let objects: BTreeSet<_> = master.objects.keys().chain(standby.objects.keys()).collect();
        let mut comparison = Self { agreeing: 0, differences: Vec::new() };
        for object in objects {
            let shown = (master.objects.get(object), standby.objects.get(object));
            match difference(shown.0, shown.1, stripped.as_bytes()) {
                None => comparison.agreeing += 1,
                Some(what) => comparison.differences.push(Difference { object: object.clone(), what }),
            }
        }
        comparison
    }

    /// Agreement on nothing is none.
    pub(crate) fn is_agreement(&self) -> bool {
        self.differences.is_empty() && self.agreeing > 0
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.agreeing + self.differences.len();
        write!(f, "{} of {all} hosts and services are the same on master and standby", self.agreeing)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object, self.what)
    }
}

fn difference(master: Option<&Shown>, standby: Option<&Shown>, stripped: &[u8]) -> Option<String> {
    let (Some(master), Some(standby)) = (master, standby) else {
        return Some("only one of the two knows it".into());
    };
    if master.last_check.is_none() || standby.last_check.is_none() {
        return Some("no result yet".into());
    }
    if master.state != standby.state {
        return Some(format!("state {} on the master, {} on the standby", master.state, standby.state));
    }
    let texts = [
        ("output", &master.output, &standby.output),
        ("performance data", &master.perfdata, &standby.perfdata),
        ("long output", &master.long_output, &standby.long_output),
    ];
    let strip = |text: &[u8]| -> Vec<u8> {
        let kept = text.iter().copied().filter(|byte| !stripped.contains(byte)).collect::<Vec<_>>();
        kept.trim_ascii().to_vec()
    };
    texts.into_iter().find_map(|(what, master, standby)| {
        let (master, standby) = (strip(master), strip(standby));
        let (on_master, on_standby) = (String::from_utf8_lossy(&master), String::from_utf8_lossy(&standby));
        (master != standby).then(|| format!("{what} {on_master:?} on the master, {on_standby:?} on the standby"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::tests::snapshot;

    fn comparison(master: &[&str], standby: &[&str]) -> Comparison {
        Comparison::of(&snapshot(master), &snapshot(standby), "'|")
    }

    #[test]
    fn agreement() {
        let comparison = comparison(&["a;b=1/it's/'p'=1/l", "a;c=0/x//"], &["a;b=1/its/p=1/l", "a;c=0/x//"]);
        assert!(comparison.is_agreement(), "{comparison:?}");
        assert_eq!(comparison.agreeing, 2);
    }

    #[test]
    fn nothing_is_no_agreement() {
        assert!(!comparison(&[], &[]).is_agreement());
        assert!(!comparison(&["a;b=0///"], &["a;b=0///"]).is_agreement(), "pending on both");
    }

    #[test]
    fn every_difference_shows() {
        let cases = [
            ("a;b=2/x/p/l", "state 1 on the master, 2 on the standby"),
            ("a;b=1/y/p/l", "output \"x\" on the master, \"y\" on the standby"),
            ("a;b=1/x/q/l", "performance data"),
            ("a;b=1/x/p/m", "long output"),
            ("a;b=1//p/l", "no result yet"),
            ("a;c=1/x/p/l", "only one of the two"),
        ];
        for (standby, expected) in cases {
            let comparison = comparison(&["a;b=1/x/p/l"], &[standby]);
            assert!(!comparison.is_agreement());
            assert!(comparison.differences[0].to_string().contains(expected), "{comparison:?}");
        }
    }
}
