//! `[failover]`: defaults, contradictions with line and column, warnings and advice.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::time::Duration;

use config::{Config, ConfigError, Failover, HandBack, Mode, Problems, Role, Switch, TakeOverWhen, Watches};

const STANDBY: &str = r#"[node]
name = "standby"
[core]
main_config = "DIR/nagios.cfg"
[receiver]
[[receiver.listener]]
address = "127.0.0.1:0"
password = "correct horse"
[failover]
role = "standby"
[[failover.probe]]
name = "process"
command = ["/usr/lib/nagios/plugins/check_nrpe", "-H", "master"]
[failover.heartbeat]
node = "master"
"#;

const MASTER: &str = "[core]\nmain_config = \"DIR/nagios.cfg\"\n[failover]\nrole = \"master\"\n";

const CORE: &str = "command_file=/run/nagios.cmd\nstatus_file=/run/status.dat\n";

/// Reads a configuration beside a core with these settings.
fn read_with(toml: &str, core: &str) -> Result<Config, ConfigError> {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("nagios.cfg"), core).unwrap();
    let file = directory.path().join("understudy.toml");
    fs::write(&file, toml.replace("DIR", directory.path().to_str().unwrap())).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    Config::read(&file)
}

fn read(toml: &str) -> Result<Config, ConfigError> {
    read_with(toml, CORE)
}

#[track_caller]
fn failover(toml: &str) -> Failover {
    read(toml).unwrap().failover.unwrap()
}

/// With `key` after the line `after`, the error is at that line and this column, and says this.
#[track_caller]
fn wrong(base: &str, after: &str, key: &str, column: usize, says: &str) {
    let line = base.lines().position(|line| line == after).expect("the line before") + 2;
    let error = read(&base.replace(&format!("{after}\n"), &format!("{after}\n{key}\n"))).expect_err(key);
    let position = error.position().unwrap_or_else(|| panic!("no position: {error}"));
    assert_eq!((position.line, position.column), (line, column), "{key:?}: {error}");
    assert!(error.message().contains(says), "{key:?}: {error}");
}

#[test]
fn defaults_suit_a_first_user() {
    let standby = failover(STANDBY);
    assert_eq!((standby.role, standby.mode), (Role::Standby, Mode::Failover));
    assert_eq!((standby.failures_to_take_over, standby.successes_to_hand_back), (3, 3));
    assert_eq!((standby.interval, standby.fail_open), (Duration::from_secs(10), Duration::from_secs(30)));
    assert_eq!((standby.take_over_when, standby.hand_back), (TakeOverWhen::All, HandBack::Automatic));
    assert_eq!(standby.switches, [Switch::ServiceChecks, Switch::HostChecks, Switch::Notifications]);
    assert_eq!((standby.probes[0].takes_over_on, standby.probes[0].watches), (Problems::ALL, Watches::Core));
    let heartbeat = standby.heartbeat.unwrap();
    assert_eq!((heartbeat.node.as_str(), heartbeat.stale_after), ("master", Duration::from_secs(5)));
    assert_eq!(heartbeat.restart_grace, Duration::from_secs(30));
    assert_eq!(standby.status_file.to_str(), Some("/run/status.dat"));
    assert_eq!(failover(MASTER).switches, [Switch::Notifications]);
}

#[test]
fn the_mode_decides_what_fails_and_what_is_switched() {
    let redundant = failover(&STANDBY.replace("role = \"standby\"", "role = \"standby\"\nmode = \"redundant\""));
    assert_eq!(redundant.switches, [Switch::Notifications]);
    assert_eq!(redundant.probes[0].takes_over_on, Problems::CRITICAL);
    let chosen = STANDBY.replace("name = \"process\"", "name = \"process\"\ntakes_over_on = [\"unknown\"]");
    let problems = failover(&chosen).probes[0].takes_over_on;
    assert!(problems.unknown && !problems.critical && !problems.warning);
}

#[test]
fn values_that_make_no_sense() {
    let role = "role = \"standby\"";
    wrong(STANDBY, role, "interval = \"0\"", 12, "from 1s");
    wrong(STANDBY, role, "interval = 10", 12, "with its unit");
    wrong(STANDBY, role, "failures_to_take_over = 0", 25, "from 1 to");
    wrong(STANDBY, role, "successes_to_hand_back = 1001", 26, "from 1 to");
    wrong(STANDBY, role, "mode = \"both\"", 8, "unknown variant");
    wrong(STANDBY, role, "hand_back = \"never\"", 13, "unknown variant");
    wrong(STANDBY, role, "switches = []", 12, "nothing is switched");
    wrong(STANDBY, role, "switches = [\"lights\"]", 13, "unknown variant");
    wrong(STANDBY, role, "fail_open = \"25h\"", 13, "to 24h");
    wrong(STANDBY, role, "interwal = \"1s\"", 1, "unknown field `interwal`");
    wrong(STANDBY, "node = \"master\"", "stale_after = \"1s\"", 15, "from 2s");
    let name = "name = \"process\"";
    wrong(STANDBY, name, "takes_over_on = []", 17, "never fail");
    wrong(STANDBY, name, "takes_over_on = [\"ok\"]", 18, "unknown variant");
}

#[test]
fn plugins() {
    let error = |from: &str, to: &str| read(&STANDBY.replace(from, to)).unwrap_err().message().to_owned();
    assert!(error("name = \"process\"", "name = \"\"").contains("a name has"));
    let command = "command = [\"/usr/lib/nagios/plugins/check_nrpe\", \"-H\", \"master\"]";
    assert!(error(command, "command = []").contains("name the program"));
    assert!(error(command, "command = \"check_nrpe -H master\"").contains("expected a sequence"));
    assert!(error(command, &format!("{command}\nshell = true")).contains("one line"));
    let twice = format!("{command}\n[[failover.probe]]\nname = \"process\"\n{command}");
    assert!(error(command, &twice).contains("twice"));
    let many: String = (0..40).map(|n| format!("[[failover.witness]]\nname = \"{n}\"\n{command}\n")).collect();
    assert!(read(&format!("{STANDBY}{many}")).unwrap_err().message().contains("more than 32"));
}

#[test]
fn contradictions() {
    let error = |toml: &str| read(toml).unwrap_err().message().to_owned();
    let probe = "[[failover.probe]]\nname = \"x\"\ncommand = [\"/bin/true\"]\n";
    assert!(error(&format!("{MASTER}{probe}")).contains("watches nobody"));
    assert!(error(&format!("{MASTER}[failover.heartbeat]\nnode = \"x\"\n")).contains("watches nobody"));
    assert!(error("[failover]\nrole = \"standby\"\n").contains("[core] section"));
    let heartbeat = MASTER.replace("master", "standby") + "[failover.heartbeat]\nnode = \"master\"\n";
    assert!(error(&heartbeat).contains("[[receiver.listener]]"));
    let without = read_with(MASTER, "command_file=/run/nagios.cmd\n").unwrap_err();
    assert!(without.message().contains("status_file is not known"), "{without}");
}

#[test]
fn what_deserves_a_second_look() {
    let warnings = |toml: &str| read(toml).unwrap().warnings.join("\n");
    assert!(!warnings(STANDBY).contains("probe"));
    assert!(warnings(MASTER).contains("without a [sender]"));
    assert!(warnings(&MASTER.replace("master", "standby")).contains("nothing watches the master"));
    let (before, rest) = STANDBY.split_once("[[failover.probe]]").unwrap();
    let heartbeat = &rest[rest.find("[failover.heartbeat]").unwrap()..];
    assert!(warnings(&format!("{before}{heartbeat}")).contains("a cut connection alone"));
    let host = STANDBY.replace("name = \"process\"", "name = \"host\"\nwatches = \"host\"");
    let (host, _) = host.split_once("[failover.heartbeat]").unwrap();
    assert!(warnings(host).contains("does not hand back"));

    let advice = |toml: &str| read(toml).unwrap().advice().join("\n");
    assert!(advice(STANDBY).contains("[[failover.witness]]"));
    let with_witness = format!("{STANDBY}[[failover.witness]]\nname = \"x\"\ncommand = [\"/bin/true\"]\n");
    assert!([&with_witness, MASTER].iter().all(|toml| !advice(toml).contains("witness")));
}

/// What a standby's core needs in mode failover, and what is advised when it is the other way, or not there.
const STANDBY_CORE: [&str; 8] = [
    "enable_notifications=0",
    "execute_service_checks=0",
    "execute_host_checks=0",
    "use_retained_program_state=0",
    "passive_host_checks_are_soft=1",
    "check_external_commands=1",
    "check_service_freshness=0",
    "check_host_freshness=0",
];

/// What is on by default, or off, as it should be.
const GOOD_BY_DEFAULT: [&str; 2] = ["check_external_commands=1", "check_host_freshness=0"];

/// What is advised for a core with these settings.
fn advice_with(toml: &str, settings: impl IntoIterator<Item = String>) -> Vec<String> {
    let lines: Vec<_> = settings.into_iter().collect();
    let advice = read_with(toml, &format!("{CORE}{}\n", lines.join("\n"))).unwrap().advice();
    advice.into_iter().filter(|line| line.starts_with("set ")).collect()
}

#[test]
fn the_core_is_to_leave_its_switches_to_the_controller() {
    assert_eq!(advice_with(STANDBY, STANDBY_CORE.map(str::to_owned)), Vec::<String>::new());
    for missing in STANDBY_CORE {
        let others = || STANDBY_CORE.into_iter().filter(move |setting| *setting != missing).map(str::to_owned);
        let advice = advice_with(STANDBY, others());
        let expected = usize::from(!GOOD_BY_DEFAULT.contains(&missing));
        assert_eq!(advice.len(), expected, "without {missing}: {advice:?}");

        let (key, value) = missing.split_once('=').unwrap();
        let opposite = format!("{key}={}", 1 - value.parse::<u8>().unwrap());
        let advice = advice_with(STANDBY, others().chain([opposite.clone()]));
        assert_eq!(advice.len(), 1, "with {opposite}: {advice:?}");
        assert!(advice[0].contains(&format!("set {missing}")), "with {opposite}: {advice:?}");
    }
}

#[test]
fn each_role_has_its_own_switches() {
    let checks = ["execute_service_checks", "execute_host_checks", "freshness", "obsess"];
    let redundant = STANDBY.replace("role = \"standby\"", "role = \"standby\"\nmode = \"redundant\"");
    for toml in [MASTER, &redundant] {
        let advice = advice_with(toml, []).join("\n");
        assert!(advice.contains("enable_notifications=0"), "{advice}");
        assert!(checks.iter().all(|key| !advice.contains(key)), "it goes on checking: {advice}");
    }

    let sends = format!(
        "{STANDBY}[sender]\n[[sender.destination]]\nname = \"noc\"\naddress = \"noc\"\npassword = \"correct horse\"\n"
    );
    let advice = advice_with(&sends, []).join("\n");
    assert!(advice.contains("set ocsp_command") && !advice.contains("obsess_over"), "{advice}");
    let obsessing = ["obsess_over_services=1", "obsess_over_hosts=1", "ocsp_command=x", "ochp_command=x"];
    let advice = advice_with(&sends, obsessing.map(str::to_owned)).join("\n");
    for setting in ["set obsess_over_services=0", "set obsess_over_hosts=0"] {
        assert!(advice.contains(setting), "{advice}");
    }
    assert!(!advice.contains("ocsp_command") && !advice.contains("ochp_command"), "{advice}");
}
