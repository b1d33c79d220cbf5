//! The core's main configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use nagios::main_config::{MainConfig, MainConfigError};

const FILE: &str = "/etc/nagios/main.cfg";

type Settings = BTreeMap<String, Vec<Vec<u8>>>;

/// `data`: the file.
///
/// What was read, written down one `key=value` a line, is read the same again, and so is the file with the line ends of
/// another system. An error names the first line that is none.
pub fn main_config(data: &[u8]) {
    let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    let config = match MainConfig::parse(Path::new(FILE), data) {
        Ok(config) => config,
        Err(MainConfigError::NotASetting { line, .. }) => {
            assert!((1..=lines.len()).contains(&line), "line {line} of {}", lines.len());
            let before = lines[..line - 1].join(&b'\n');
            assert!(MainConfig::parse(Path::new(FILE), &before).is_ok(), "not the first bad line");
            return;
        }
        Err(error) => panic!("a short file without includes, but {error}"),
    };
    let settings = settings(&config, data);
    check_bounds(&config, &settings, &lines);

    let plain = write(&settings);
    let again = MainConfig::parse(Path::new(FILE), &plain).expect("plain settings are read");
    assert_eq!(self::settings(&again, &plain), settings);
    assert_eq!(read_by_name(&again), read_by_name(&config));

    let foreign = lines.join(&b"\r\n"[..]);
    let foreign = MainConfig::parse(Path::new(FILE), &foreign).expect("line ends make no difference");
    assert_eq!(self::settings(&foreign, data), settings);
}

/// All settings. Keys cannot be enumerated, so whatever stands before a `=` is asked for.
fn settings(config: &MainConfig, data: &[u8]) -> Settings {
    let lines = joined_lines(data);
    let keys: BTreeSet<String> = lines
        .iter()
        .filter_map(|line| line.split(|byte| *byte == b'=').next())
        .map(|key| String::from_utf8_lossy(key.trim_ascii()).into_owned())
        .collect();
    keys.into_iter()
        .map(|key| (config.all(&key).map(<[u8]>::to_vec).collect::<Vec<_>>(), key))
        .filter(|(values, _)| !values.is_empty())
        .map(|(values, key)| (key, values))
        .collect()
}

/// The file's lines, each with those that continue it.
fn joined_lines(data: &[u8]) -> Vec<Vec<u8>> {
    let mut lines = data.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let mut joined = Vec::new();
    while let Some(line) = lines.next() {
        let mut line = line.to_vec();
        while line.ends_with(b"\\") && !line.ends_with(b"\\\\") {
            line.pop();
            line.extend_from_slice(lines.next().unwrap_or_default());
        }
        joined.push(line);
    }
    joined
}

/// No more than what is in the file, and in a line of it.
fn check_bounds(config: &MainConfig, settings: &Settings, lines: &[&[u8]]) {
    assert!(settings.values().map(Vec::len).sum::<usize>() <= lines.len(), "more settings than lines");
    for (key, values) in settings {
        assert_eq!(config.get(key), values.last().map(Vec::as_slice));
        let (file, line) = config.place_of(key).expect("a setting stands somewhere");
        assert!(file == Path::new(FILE) && (1..=lines.len()).contains(&line));
        assert!(!values.iter().any(|value| value.contains(&b'\n')), "a value of several lines");
        let path = config.path_of(key);
        assert!(path.is_none_or(|path| path.is_absolute()), "{key} is relative to nothing");
    }
}

fn write(settings: &Settings) -> Vec<u8> {
    let mut plain = Vec::new();
    for (key, value) in settings.iter().flat_map(|(key, values)| values.iter().map(move |value| (key, value))) {
        plain.extend_from_slice(key.as_bytes());
        plain.push(b'=');
        plain.extend_from_slice(value);
        // A backslash at the end is one only in front of a continuation, here of nothing.
        plain.extend_from_slice(if value.ends_with(b"\\") { b" \\\n\n" } else { b"\n" });
    }
    plain
}

/// What is read by names that the code under test knows, flavour included.
fn read_by_name(config: &MainConfig) -> impl PartialEq + std::fmt::Debug + use<> {
    (
        config.flavour(),
        config.command_file(),
        config.status_file(),
        config.status_update_interval(),
        config.ocsp_timeout(),
        config.enable_notifications(),
        config.use_retained_program_state(),
        config.illegal_macro_output_chars().map(<[u8]>::to_vec),
    )
}
