//! What operators said: at the end all three cores have the same comments and downtimes, each once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::cast::{Actor, Cast};
use crate::play::THE_END;

/// How long the silent core may take to show what people did on the other one.
const WITHIN: Duration = Duration::from_secs(20);

/// How often each one is there.
type Remarks = BTreeMap<String, usize>;

/// Waits until all cores have the same ones.
#[track_caller]
pub fn assert_same(cast: &Cast) {
    let deadline = Instant::now() + WITHIN;
    loop {
        let [oracle, master, standby] = cast.actors().map(remarks);
        if oracle == master && oracle == standby {
            assert!(!oracle.is_empty(), "nobody said anything");
            println!("{} comments and downtimes agree", oracle.len());
            return;
        }
        let told = || format!("master: {}\nstandby: {}", differences(&oracle, &master), differences(&oracle, &standby));
        assert!(Instant::now() < deadline, "comments or downtimes differ from the oracle's\n{}", told());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// What a core shows, without what it writes itself about acknowledgements and downtimes.
fn remarks(actor: &Actor) -> Remarks {
    let mut remarks = Remarks::new();
    let shown = std::fs::read_to_string(actor.core.status_file()).unwrap_or_default();
    for block in shown.split("\n\n") {
        let field = |name: &str| block.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='));
        let text = field("comment_data").or_else(|| field("comment")).filter(|text| *text != THE_END);
        let Some(text) = text else { continue };
        let kind = block.trim_start().split(' ').next().unwrap_or_default();
        let is_own = kind.ends_with("comment") && field("entry_type") != Some("1");
        if is_own || !(kind.ends_with("comment") || kind.ends_with("downtime")) {
            continue;
        }
        let [host, service] = ["host_name", "service_description"].map(|name| field(name).unwrap_or_default());
        *remarks.entry(format!("{kind} of {host};{service}: {text}")).or_default() += 1;
    }
    remarks
}

fn differences(expected: &Remarks, shown: &Remarks) -> String {
    let all = expected.keys().chain(shown.keys().filter(|remark| !expected.contains_key(*remark)));
    let counts = |remark: &String| [expected, shown].map(|remarks| remarks.get(remark).copied().unwrap_or(0));
    let differing = all.map(|remark| (remark, counts(remark))).filter(|(_, [expected, shown])| expected != shown);
    differing.map(|(remark, [expected, shown])| format!("\n  {shown} instead of {expected}: {remark}")).collect()
}
