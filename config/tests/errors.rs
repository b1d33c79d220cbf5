//! Every key of the configuration, wrong: the error names line and column, and says what to do.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use config::{Config, ConfigError, KeySource};
use nsca::greeting::Policy;
use tempfile::TempDir;

/// A directory with a configuration and the files that it names.
struct Site {
    directory: TempDir,
}

impl Site {
    fn new() -> Self {
        let site = Site { directory: TempDir::new().unwrap() };
        site.secret_file("password", b"correct horse\n");
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn secret_file(&self, name: &str, content: &[u8]) {
        fs::write(self.path(name), content).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Reads a configuration; `DIR` in it stands for the directory.
    fn read(&self, toml: &str) -> Result<Config, ConfigError> {
        let text = toml.replace("DIR", self.directory.path().to_str().unwrap());
        self.secret_file("understudy.toml", text.as_bytes());
        Config::read(&self.path("understudy.toml"))
    }
}

const STANDBY: &str = r#"[node]
name = "standby"
[core]
command_file = "DIR/nagios.cmd"
status_file = "DIR/status.dat"
[receiver]
[[receiver.listener]]
address = "127.0.0.1:0"
password_file = "DIR/password"
"#;

const MASTER: &str = r#"[node]
name = "master"
[sender]
socket = "DIR/ocsp.sock"
[[sender.destination]]
name = "standby"
address = "standby.example.org"
password_file = "DIR/password"
"#;

#[test]
fn good_files_are_taken() {
    let site = Site::new();
    let standby = site.read(STANDBY).unwrap();
    assert_eq!(standby.node.name.as_str(), "standby");
    assert_eq!(standby.receiver.unwrap().listeners.len(), 1);
    let master = site.read(MASTER).unwrap();
    let destination = &master.sender.unwrap().destinations[0];
    assert_eq!(destination.address.to_string(), "standby.example.org:5667");
    assert_eq!(destination.secret.method().to_string(), "rijndael-128");
    let sized = MASTER.replace("[[", "[sender.spool]\nmax_size = \"1GiB\"\n[[");
    assert_eq!(site.read(&sized).unwrap().sender.unwrap().spool.max_size, 1 << 30);
}

#[test]
fn sessions_are_sealed_when_both_can_unless_it_is_said_otherwise() {
    let site = Site::new();
    site.secret_file("key", nsca::sealed::key_file_text(&[7; 32]).as_bytes());
    let policy =
        |extra: &str| site.read(&format!("{MASTER}{extra}")).unwrap().sender.unwrap().destinations.remove(0).sealed;
    assert!(matches!(policy(""), Policy::Auto(_)));
    assert!(matches!(policy("sealed = \"auto\"\nkey_file = \"DIR/key\"\n"), Policy::Auto(_)));
    assert!(matches!(policy("sealed = \"require\"\n"), Policy::Require(_)));
    assert!(matches!(policy("sealed = \"off\"\n"), Policy::Off));
    let keyed = STANDBY.replace("password_file = \"DIR/password\"", "key_file = \"DIR/key\"\nsealed = \"require\"");
    let listener = site.read(&keyed).unwrap().receiver.unwrap().listeners.remove(0);
    assert!(matches!(listener.sealed, Policy::Require(_)), "a key alone is enough where no session is classic");
    let open = STANDBY.replace("password_file = \"DIR/password\"", "encryption = \"none\"");
    let listener = site.read(&open).unwrap().receiver.unwrap().listeners.remove(0);
    assert!(matches!(listener.sealed, Policy::Off), "without any secret");
}

#[test]
fn it_is_known_where_the_key_of_sealed_sessions_comes_from() {
    let site = Site::new();
    site.secret_file("key", nsca::sealed::key_file_text(&[7; 32]).as_bytes());
    let of =
        |extra: &str| site.read(&format!("{MASTER}{extra}")).unwrap().sender.unwrap().destinations.remove(0).key_source;
    assert_eq!(of(""), Some(KeySource::Password));
    assert_eq!(of("key_file = \"DIR/key\"\n"), Some(KeySource::File(site.path("key"))));
    assert_eq!(of("sealed = \"off\"\n"), None);
    assert_eq!(site.read(STANDBY).unwrap().receiver.unwrap().listeners[0].key_source, Some(KeySource::Password));
}

/// Whoever may talk to the daemon finds its socket, also without its secrets, and while the file has mistakes elsewhere.
#[test]
fn the_control_socket_is_found_without_reading_the_rest() {
    let site = Site::new();
    let socket = |toml: &str| {
        site.secret_file("understudy.toml", toml.as_bytes());
        config::control_socket(&site.path("understudy.toml"))
    };
    let named = "[node]\ncontrol_socket = \"/run/other.sock\"\n[sender]\nmistake = 1\npassword_file = \"/absent\"\n";
    assert_eq!(socket(named).unwrap(), Path::new("/run/other.sock"));
    assert_eq!(socket(&MASTER.replace("DIR", "/absent")).unwrap(), Path::new(config::DEFAULT_CONTROL_SOCKET));
    let relative = socket("[node]\ncontrol_socket = \"other.sock\"\n").unwrap_err();
    assert_eq!(relative.position().unwrap().line, 2, "{relative}");
    assert!(socket("[node").is_err());
    assert!(config::control_socket(&site.path("absent")).is_err());
}

#[test]
fn a_password_that_sealed_sessions_depend_on_is_spoken_of() {
    let site = Site::new();
    let config = site.read(MASTER).unwrap();
    assert_eq!((config.warnings.len(), config.advice().len()), (0, 1), "{:?}", config.advice());
    assert!(config.advice()[0].contains("understudy key"), "{:?}", config.advice());
    let given_away = site.read(&format!("{MASTER}encryption = \"xor\"\n")).unwrap();
    assert!(given_away.warnings.iter().any(|warning| warning.contains("gives away")), "{:?}", given_away.warnings);
}

#[test]
fn the_password_ends_before_the_line_ending_of_its_file() {
    let site = Site::new();
    site.secret_file("password", b"  secret \r\n");
    assert!(site.read(STANDBY).is_ok());
    site.secret_file("password", b"\n");
    assert!(site.read(STANDBY).unwrap_err().message().contains("empty"));
}

/// In `base`, the line `replaces` becomes `with`; the error must be there and say `says`.
#[track_caller]
fn wrong(base: &str, replaces: &str, with: &str, column: usize, says: &str) {
    let site = Site::new();
    let line = base.lines().position(|line| line == replaces).expect("the line to replace") + 1;
    let text: String =
        base.lines().map(|l| if l == replaces { format!("{with}\n") } else { format!("{l}\n") }).collect();
    let error = site.read(&text).expect_err(with);
    let position = error.position().unwrap_or_else(|| panic!("no position: {error}"));
    assert_eq!((position.line, position.column), (line, column), "{with:?}: {error}");
    assert!(error.message().contains(says), "{with:?}: {error}");
    assert!(error.to_string().starts_with(&format!("{}:{line}:{column}: ", site.path("understudy.toml").display())));
}

/// In `base`, the line `key` is added after the line `after`.
#[track_caller]
fn wrong_addition(base: &str, after: &str, key: &str, column: usize, says: &str) {
    let site = Site::new();
    let line = base.lines().position(|line| line == after).expect("the line before") + 2;
    let text = base.replace(&format!("{after}\n"), &format!("{after}\n{key}\n"));
    let error = site.read(&text).expect_err(key);
    let position = error.position().unwrap_or_else(|| panic!("no position: {error}"));
    assert_eq!((position.line, position.column), (line, column), "{key:?}: {error}");
    assert!(error.message().contains(says), "{key:?}: {error}");
}

#[test]
fn unknown_keys_and_sections() {
    wrong(STANDBY, "name = \"standby\"", "nam = \"standby\"", 1, "unknown field `nam`, expected one of `name`");
    wrong(STANDBY, "[node]", "[nodes]", 2, "unknown field `nodes`");
    wrong_addition(STANDBY, "[core]", "command_fil = \"x\"", 1, "unknown field `command_fil`");
    wrong_addition(STANDBY, "[receiver]", "lisener = 1", 1, "unknown field `lisener`");
    wrong_addition(STANDBY, "address = \"127.0.0.1:0\"", "alow = []", 1, "unknown field `alow`");
    wrong_addition(MASTER, "[sender]", "sock = \"x\"", 1, "unknown field `sock`");
    wrong_addition(MASTER, "name = \"standby\"", "host = \"x\"", 1, "unknown field `host`");
}

#[test]
fn what_is_not_toml() {
    wrong(STANDBY, "name = \"standby\"", "name = standby", 8, "");
    wrong(STANDBY, "name = \"standby\"", "name \"standby\"", 6, "");
    wrong_addition(STANDBY, "name = \"standby\"", "name = \"twice\"", 1, "duplicate key");
}

#[test]
fn node_and_core() {
    wrong(STANDBY, "name = \"standby\"", "name = 1", 8, "expected a string");
    wrong(STANDBY, "name = \"standby\"", "name = \"\"", 8, "a node's name has 1 to 255 bytes");
    wrong(STANDBY, "name = \"standby\"", "name = \"a\\nb\"", 8, "without control characters");
    wrong_addition(STANDBY, "[node]", "control_socket = \"control.sock\"", 18, "relative path");
    let command_file = "command_file = \"DIR/nagios.cmd\"";
    wrong(STANDBY, command_file, "command_file = 7", 16, "expected");
    wrong(STANDBY, command_file, "command_file = \"nagios.cmd\"", 16, "relative path");
    wrong(STANDBY, command_file, "main_config = \"/nonexistent/nagios.cfg\"", 15, "/nonexistent/nagios.cfg");
    wrong_addition(STANDBY, command_file, "flavour = \"nagios5\"", 11, "nagios4");
    wrong(STANDBY, "status_file = \"DIR/status.dat\"", "status_file = \"status.dat\"", 15, "relative path");
    wrong_addition(STANDBY, command_file, "check_result_path = \"spool\"", 21, "relative path");
}

#[test]
fn what_is_missing_is_reported_at_its_section() {
    let site = Site::new();
    let missing = |toml: String, line: usize, says: &str| {
        let error = site.read(&toml).expect_err(says);
        assert_eq!(error.position().map(|p| p.line), Some(line), "{error}");
        assert!(error.message().contains(says), "{error}");
    };
    let core = "command_file = \"DIR/nagios.cmd\"\nstatus_file = \"DIR/status.dat\"\n";
    missing(STANDBY.replace(core, ""), 3, "name the core");
    missing(STANDBY.replace(&format!("[core]\n{core}"), ""), 3, "[core] section");
    missing(STANDBY.replace("command_file = \"DIR/nagios.cmd\"\n", ""), 5, "command_file");
    missing(STANDBY.split("[[").next().unwrap().to_owned(), 6, "listens nowhere");
    missing(STANDBY.replace("password_file = \"DIR/password\"\n", ""), 7, "password is missing");
    missing(STANDBY.replace("address = \"127.0.0.1:0\"\n", ""), 7, "missing field `address`");
    missing(MASTER.split("[[").next().unwrap().to_owned(), 3, "nowhere to send");
    missing(MASTER.replace("password_file = \"DIR/password\"\n", ""), 5, "password is missing");
    missing(MASTER.replace("name = \"standby\"\n", ""), 5, "missing field `name`");
    missing(MASTER.replace("address = \"standby.example.org\"\n", ""), 5, "missing field `address`");
    let error = site.read("[node]\n").unwrap_err();
    assert!(error.message().contains("starts no role"), "{error}");
}

#[test]
fn receiver() {
    let section = "[receiver]";
    wrong_addition(STANDBY, section, "inject = \"pipe\"", 10, "unknown variant `pipe`");
    wrong_addition(STANDBY, section, "inject = \"check-results\"", 10, "check_result_path is not known");
    wrong_addition(STANDBY, section, "max_connections = 0", 19, "nobody");
    wrong_addition(STANDBY, section, "max_connections = -1", 19, "expected usize");
    wrong_addition(STANDBY, section, "max_connections_per_peer = \"many\"", 28, "expected usize");
    wrong_addition(STANDBY, section, "max_connections_per_peer = 0", 28, "nobody");
    wrong_addition(STANDBY, section, "idle_timeout = 30", 16, "with its unit");
    wrong_addition(STANDBY, section, "idle_timeout = \"0s\"", 16, "nobody");
    wrong_addition(STANDBY, section, "packet_timeout = \"soon\"", 18, "is not a duration");
    wrong_addition(STANDBY, section, "packet_timeout = \"0\"", 18, "nobody");
    wrong_addition(STANDBY, section, "max_rate = 0", 12, "no result");
    wrong_addition(STANDBY, section, "max_rate = \"fast\"", 12, "expected u32");
    wrong_addition(STANDBY, section, "journal.max_size = \"1MiB\"", 20, "at least 16");
    wrong_addition(STANDBY, section, "journal.max_size = \"large\"", 20, "");
    wrong_addition(STANDBY, section, "journal.size = 1", 9, "unknown field `size`");
}

#[test]
fn old_cores_are_paced_and_the_journal_lies_in_the_state_directory() {
    let site = Site::new();
    let rate = |flavour: &str| {
        let toml = STANDBY.replace("[core]", &format!("[core]\nflavour = \"{flavour}\""));
        site.read(&toml).unwrap().receiver.unwrap().max_rate.map(std::num::NonZeroU32::get)
    };
    assert_eq!(["nagios3", "icinga1"].map(rate), [Some(3000); 2]);
    assert_eq!(["nagios4", "naemon", "icinga2"].map(rate), [None; 3]);
    let toml = STANDBY.replace("[node]", "[node]\nstate_directory = \"DIR/state\"");
    let journal = site.read(&toml).unwrap().receiver.unwrap().journal.unwrap();
    assert_eq!((journal.directory, journal.max_size), (site.path("state/journal"), 256 << 20));
}

#[test]
fn a_core_without_a_known_status_file_is_worth_a_warning() {
    let warnings = Site::new().read(&STANDBY.replace("status_file = \"DIR/status.dat\"\n", "")).unwrap().warnings;
    assert!(warnings.iter().any(|warning| warning.contains("status_file is not known")), "{warnings:?}");
}

#[test]
fn listener() {
    let address = "address = \"127.0.0.1:0\"";
    wrong(STANDBY, address, "address = \"localhost:5667\"", 11, "is not an address to listen on");
    wrong(STANDBY, address, "address = \"127.0.0.1\"", 11, "and a port");
    wrong(STANDBY, address, "address = 5667", 11, "expected a string");
    wrong_addition(STANDBY, address, "encryption = \"rot13\"", 14, "rijndael-128");
    wrong_addition(STANDBY, address, "encryption = \"arcfour\"", 14, "stream cipher");
    wrong_addition(STANDBY, address, "encryption = 24", 14, "");
    wrong_addition(STANDBY, address, "encryption = true", 14, "name or number");
    wrong_addition(STANDBY, address, "max_packet_age = \"16m\"", 18, "15 minutes");
    wrong_addition(STANDBY, address, "max_packet_age = 30", 18, "with its unit");
    wrong_addition(STANDBY, address, "allow = [\"192.0.2.0/33\"]", 10, "is no network");
    wrong_addition(STANDBY, address, "allow = \"192.0.2.0/24\"", 9, "expected a sequence");
    wrong_addition(STANDBY, address, "strict_mode_spoofing = 1", 24, "expected a boolean");
    wrong_addition(STANDBY, address, "password = \"x\"", 12, "exclude each other");
}

#[test]
fn two_listeners_at_one_address() {
    let twice = STANDBY.replace("127.0.0.1:0", "127.0.0.1:5667");
    let listener = &twice[twice.find("[[").unwrap()..];
    let error = Site::new().read(&format!("{twice}{listener}")).unwrap_err();
    assert_eq!(error.position().map(|p| (p.line, p.column)), Some((11, 11)), "{error}");
    assert!(error.message().contains("second listener"), "{error}");
}

#[test]
fn sender() {
    let socket = "socket = \"DIR/ocsp.sock\"";
    wrong(MASTER, socket, "socket = \"ocsp.sock\"", 10, "relative path");
    wrong_addition(MASTER, socket, "socket_mode = \"0999\"", 15, "octal");
    wrong_addition(MASTER, socket, "socket_mode = 660", 15, "as a string");
    wrong_addition(MASTER, socket, "socket_group = \"no such group\"", 16, "no group");
    wrong_addition(MASTER, socket, "spill = \"spill\"", 9, "relative path");
    wrong_addition(MASTER, socket, "relay_passive = \"no\"", 17, "expected a boolean");
    wrong_addition(MASTER, socket, "perfdata_fifo = \"fifo\"", 17, "relative path");
    wrong_addition(MASTER, socket, "perfdata_copy_to = \"/tmp/copy\"", 20, "nothing to copy");
    let spool = |key: &str, column, says: &str| {
        wrong_addition(MASTER, socket, &format!("spool.{key}"), column, says);
    };
    spool("max_size = 1000", 18, "with its unit");
    spool("max_size = \"much\"", 18, "is not a size");
    spool("max_size = \"31MiB\"", 18, "at least 32MiB");
    spool("size = \"1GiB\"", 7, "unknown field `size`");
}

#[test]
fn destination() {
    let address = "address = \"standby.example.org\"";
    wrong(MASTER, "name = \"standby\"", "name = \"\"", 8, "needs a name");
    wrong(MASTER, "name = \"standby\"", &format!("name = \"{}\"", "x".repeat(256)), 8, "shorten it");
    wrong(MASTER, address, "address = \"standby:port\"", 11, "is not an address");
    wrong(MASTER, address, "address = \"standby:70000\"", 11, "is not an address");
    wrong_addition(MASTER, address, "encryption = 99", 14, "");
    wrong_addition(MASTER, address, "legacy_2_7_mode = \"yes\"", 19, "expected a boolean");
    wrong_addition(MASTER, address, "lanes = 0", 9, "nothing would be sent");
    wrong_addition(MASTER, address, "lanes = 17", 9, "more than 16 lanes");
    wrong_addition(MASTER, address, "lanes = \"two\"", 9, "invalid type");
    wrong_addition(MASTER, address, "password = \"x\"", 12, "exclude each other");
    let destination = &MASTER[MASTER.find("[[").unwrap()..];
    let error = Site::new().read(&format!("{MASTER}{destination}")).unwrap_err();
    assert_eq!(error.position().map(|p| (p.line, p.column)), Some((10, 8)), "{error}");
    assert!(error.message().contains("second destination"), "{error}");
}

#[test]
fn password_files() {
    let good = "password_file = \"DIR/password\"";
    wrong(STANDBY, good, "password_file = \"DIR/absent\"", 17, "cannot be read");
    wrong(STANDBY, good, "password = \"\"", 12, "empty");
    wrong(STANDBY, good, &format!("password = \"{}\"", "x".repeat(2000)), 12, "longer than");
    wrong(STANDBY, good, "password_file = \"/proc/self/exe\"", 17, "");
}

#[test]
fn sealed_sessions() {
    for (base, place) in [(STANDBY, "address = \"127.0.0.1:0\""), (MASTER, "address = \"standby.example.org\"")] {
        wrong_addition(base, place, "sealed = \"never\"", 10, "expected one of `auto`, `require`, `off`");
        wrong_addition(base, place, "key_file = \"DIR/absent\"", 12, "cannot be read");
        wrong_addition(base, place, "key_file = \"DIR/password\"", 12, "64 hexadecimal digits");
        wrong_addition(base, place, "key_file = \"/proc/self/exe\"", 12, "");
        wrong_addition(base, place, "key_file = \"DIR/password\"\nsealed = \"off\"", 12, "no use");
    }
    let open = STANDBY.replace("password_file = \"DIR/password\"", "encryption = \"none\"");
    wrong_addition(&open, "encryption = \"none\"", "sealed = \"require\"", 10, "understudy key");
}

#[test]
fn secrets_that_others_can_read_are_refused() {
    let site = Site::new();
    fs::set_permissions(site.path("password"), fs::Permissions::from_mode(0o644)).unwrap();
    let error = site.read(STANDBY).unwrap_err();
    assert!(error.message().contains("chmod o="), "{error}");
    assert!(!error.to_string().contains("correct horse"));

    let site = Site::new();
    let path = site.path("open.toml");
    let directory = site.directory.path().to_str().unwrap();
    let text = STANDBY.replace("password_file = \"DIR/password\"", "password = \"hush\"").replace("DIR", directory);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let error = Config::read(&path).unwrap_err();
    assert_eq!(error.position().map(|p| (p.line, p.column)), Some((9, 12)), "{error}");
    assert!(error.message().contains("chmod o="), "{error}");
    assert!(!error.to_string().contains("hush"));
}

#[test]
fn files_that_are_no_configuration() {
    let site = Site::new();
    let absent = Config::read(&site.path("absent.toml")).unwrap_err();
    assert!(absent.message().contains("cannot be read"), "{absent}");
    fs::write(site.path("large.toml"), vec![b'\n'; 2 << 20]).unwrap();
    let large = Config::read(&site.path("large.toml")).unwrap_err();
    assert!(large.message().contains("is this the right file"), "{large}");
    fs::write(site.path("binary.toml"), [0xff, 0xfe]).unwrap();
    assert!(Config::read(&site.path("binary.toml")).is_err());
    assert!(Config::read(Path::new("/")).is_err());
}

#[test]
fn warnings_name_weak_encryption() {
    let site = Site::new();
    for (method, says) in [("none", "anyone"), ("xor", "learns the password"), ("des", "broken")] {
        let toml =
            STANDBY.replace("[[receiver.listener]]", &format!("[[receiver.listener]]\nencryption = \"{method}\""));
        let warnings = site.read(&toml).unwrap().warnings;
        assert!(warnings.iter().any(|warning| warning.contains(says)), "{method}: {warnings:?}");
    }
    assert_eq!(site.read(STANDBY).unwrap().warnings, Vec::<String>::new());
}

/// The complete examples, with the paths of this test's machine.
#[test]
fn the_examples_are_valid() {
    let site = Site::new();
    site.secret_file("key", nsca::sealed::key_file_text(&[7; 32]).as_bytes());
    fs::write(site.path("nagios.cfg"), "command_file=/var/nagios.cmd\nstatus_file=/var/status.dat\n").unwrap();
    let examples = [include_str!("../examples/master.toml"), include_str!("../examples/standby.toml")];
    for example in examples {
        let shipped = example
            .replace("/etc/nagios4/nagios.cfg", "DIR/nagios.cfg")
            .replace("/etc/understudy/password", "DIR/password")
            .replace("/etc/understudy/key", "DIR/key")
            .replace("socket_group = \"nagios\"", "socket_group = \"root\"");
        site.read(&shipped).unwrap();
        // With every commented key in force.
        let complete: String = shipped.lines().map(|line| uncomment(line) + "\n").collect();
        site.read(&complete).unwrap_or_else(|e| panic!("{e}\n{complete}"));
    }
}

/// A line `# key = value` without its `# `; prose stays a comment.
fn uncomment(line: &str) -> String {
    match line.strip_prefix("# ") {
        Some(rest) if rest.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')) => rest.to_owned(),
        _ => line.to_owned(),
    }
}
