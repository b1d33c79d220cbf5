//! Which core a main configuration is for.

use std::os::unix::ffi::OsStrExt as _;

use memchr::memmem;

use super::MainConfig;
use crate::flavour::Flavour;

/// Keys that only one core knows.
const OWN_KEYS: &[(&str, Flavour)] = &[
    ("icinga_user", Flavour::Icinga1),
    ("icinga_group", Flavour::Icinga1),
    ("sync_retention_file", Flavour::Icinga1),
    ("use_daemon_log", Flavour::Icinga1),
    ("event_profiling_enabled", Flavour::Icinga1),
    ("naemon_user", Flavour::Naemon),
    ("naemon_group", Flavour::Naemon),
    ("include_dir", Flavour::Naemon),
    ("enable_embedded_perl", Flavour::Nagios3),
    ("external_command_buffer_slots", Flavour::Nagios3),
    ("check_result_buffer_slots", Flavour::Nagios3),
];

/// Keys that Nagios 4 shares with Naemon only.
const WORKER_KEYS: &[(&str, Flavour)] = &[("query_socket", Flavour::Nagios4), ("check_workers", Flavour::Nagios4)];

const FORKS: &[(&str, Flavour)] = &[("icinga", Flavour::Icinga1), ("naemon", Flavour::Naemon)];
const NAGIOS_3: &[(&str, Flavour)] = &[("nagios3", Flavour::Nagios3)];

const PATHS: [&str; 5] = ["command_file", "status_file", "log_file", "lock_file", "check_result_path"];

pub(super) fn flavour(config: &MainConfig) -> Flavour {
    by_file_name(config)
        .or_else(|| by_key(config, OWN_KEYS))
        .or_else(|| by_path(config, FORKS))
        .or_else(|| by_key(config, WORKER_KEYS))
        .or_else(|| by_path(config, NAGIOS_3))
        .unwrap_or_default()
}

fn by_file_name(config: &MainConfig) -> Option<Flavour> {
    match config.path.file_name()?.as_bytes() {
        b"icinga.cfg" => Some(Flavour::Icinga1),
        b"naemon.cfg" => Some(Flavour::Naemon),
        _ => None,
    }
}

fn by_key(config: &MainConfig, keys: &[(&str, Flavour)]) -> Option<Flavour> {
    keys.iter().find(|(key, _)| config.get(key).is_some()).map(|(_, flavour)| *flavour)
}

/// By a word in the path of this file or of the core's own files.
fn by_path(config: &MainConfig, words: &[(&str, Flavour)]) -> Option<Flavour> {
    let own = config.path.as_os_str().as_bytes();
    let paths = || std::iter::once(own).chain(PATHS.iter().filter_map(|key| config.get(key)));
    let in_a_path = |word: &str| paths().any(|path| memmem::find(path, word.as_bytes()).is_some());
    words.iter().find(|(word, _)| in_a_path(word)).map(|(_, flavour)| *flavour)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn each_core_gives_itself_away() {
        for (path, text, flavour) in [
            ("/etc/icinga/icinga.cfg", "", Flavour::Icinga1),
            ("/opt/naemon.cfg", "query_socket=x", Flavour::Naemon),
            ("/opt/main.cfg", "icinga_user=icinga", Flavour::Icinga1),
            ("/opt/nagios.cfg", "enable_embedded_perl=1", Flavour::Nagios3),
            ("/etc/nagios3/nagios.cfg", "query_socket=x", Flavour::Nagios4),
            ("/etc/nagios3/nagios.cfg", "", Flavour::Nagios3),
            ("/opt/nagios.cfg", "command_file=/var/lib/nagios4/rw/nagios.cmd", Flavour::Nagios4),
            ("/opt/nagios.cfg", "command_file=/var/lib/naemon/naemon.cmd", Flavour::Naemon),
            ("/opt/nagios.cfg", "", Flavour::Nagios4),
        ] {
            let config = MainConfig::parse(Path::new(path), text.as_bytes()).unwrap();
            assert_eq!(config.flavour(), flavour, "{path} {text}");
        }
    }
}
