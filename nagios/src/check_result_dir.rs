//! The spool of check-result files (`check_result_path`), the other way into a core: no line limit, and nothing interleaves.
//!
//! Nagios 3 and 4, Icinga 1 and Naemon read it every `check_result_reaper_frequency` seconds (Icinga 2 has none):
//!
//! ```text
//! cXXXXXX        seven characters, the first a c; the core ignores it until cXXXXXX.ok exists, then reads and
//!                removes both; left without .ok it is removed after max_check_result_file_age (one hour)
//!
//! file_time=1700000000                   when it was written; too old and the core drops the file
//!                                        (an empty line ends a record)
//! host_name=web1
//! service_description=Disk C:            not for a host
//! check_type=1                           0 active, 1 passive
//! check_options=0
//! scheduled_check=0
//! reschedule_check=0
//! latency=0.0
//! start_time=1700000000.000000           becomes last_check
//! finish_time=1700000000.000000
//! early_timeout=0
//! exited_ok=1
//! return_code=2
//! output=full\nsecond line|a=1           escaped as for the command file
//! ```
//!
//! Tried on Nagios 4.4.6. A line that ends in a single backslash is continued by the next one, and of two backslashes at its
//! end the core drops one: so a line that ends in backslashes gets one more. In the spool, Naemon reads `\n` as a newline,
//! which its command file does not: multi-line results reach it unharmed only this way.
//!
//! **Invariant:** a file is complete before its `.ok` exists. A crash in between leaves a file that the core never reads, and
//! cleans up itself: therefore it is written under its own name, and not under another that nobody would remove.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::command::encode_spooled_output;
use crate::flavour::Flavour;
use crate::result::{CheckResult, CheckType, Object, Timestamp};

/// The core may run under another user of the same group; nobody else needs to see results.
const FILE_MODE: u32 = 0o660;

/// The core drops a record whose output is empty, but takes an empty line for one.
const EMPTY_OUTPUT: &[u8] = b"\\n";

/// How many names are tried before the directory counts as hopelessly full.
const MAX_NAMES_TRIED: u32 = 1000;

/// A writer of check-result files.
#[derive(Debug)]
pub struct CheckResultDir {
    path: PathBuf,
    flavour: Flavour,
    /// Where the search for a free name goes on.
    next_name: u64,
}

/// Why a check-result file could not be written. The core takes nothing of it.
#[derive(Debug, thiserror::Error)]
#[error("cannot write a check-result file into {}: {source}: {}", path.display(), advice(source))]
pub struct CheckResultDirError {
    path: PathBuf,
    source: io::Error,
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => "is this the core's check_result_path?",
        io::ErrorKind::PermissionDenied => "run as a member of the directory's group, and see its mode",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room on its disk",
        io::ErrorKind::AlreadyExists => "is the core running and reading it?",
        _ => "check the directory and its disk",
    }
}

impl CheckResultDir {
    /// The spool at `path` of a core of `flavour`. Nothing is opened or created yet.
    pub fn new(path: PathBuf, flavour: Flavour) -> Self {
        // Any start will do: names are only tried, and the nanoseconds keep two writers from trying the same ones.
        let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.subsec_nanos());
        Self { path, flavour, next_name: u64::from(nanos) ^ u64::from(std::process::id()) << 16 }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Hands `results` to the core in one file, in their order. True if an output had to be altered for its flavour.
    ///
    /// Not synced to disk: a core that has read a result can lose it as well.
    ///
    /// # Errors
    /// The core takes none of them.
    pub fn submit(&mut self, results: &[CheckResult]) -> Result<bool, CheckResultDirError> {
        if results.is_empty() {
            return Ok(false);
        }
        let mut text = Vec::new();
        let altered = encode(self.flavour, results, SystemTime::now().into(), &mut text);
        self.write(&text).map_err(|source| CheckResultDirError { path: self.path.clone(), source })?;
        Ok(altered)
    }

    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        let Spooled { mut file, path, ok_path } = self.create()?;
        let written = file.write_all(text).and_then(|()| create_new(&ok_path).map(drop));
        written.inspect_err(|_| remove(&path))
    }

    /// Creates an empty file under a free name.
    fn create(&mut self) -> io::Result<Spooled> {
        for _ in 0..MAX_NAMES_TRIED {
            let name = file_name(self.next_name);
            self.next_name = self.next_name.wrapping_add(1);
            let (path, ok_path) = (self.path.join(&name), self.path.join(name + ".ok"));
            match create_new(&path) {
                // The core removes the .ok after the file. While it is there, ours would be read before it is written.
                Ok(_) if ok_path.exists() => remove(&path),
                Ok(file) => return Ok(Spooled { file, path, ok_path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

/// A file that the core ignores as long as there is nothing at `ok_path`.
struct Spooled {
    file: File,
    path: PathBuf,
    ok_path: PathBuf,
}

/// `c` and six of the letters and digits that `mkstemp` uses.
fn file_name(number: u64) -> String {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut rest = number;
    let mut name = String::from("c");
    for _ in 0..6 {
        let digit = usize::try_from(rest % 62).expect("less than 62");
        name.push(char::from(ALPHABET[digit]));
        rest /= 62;
    }
    name
}

fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)
}

/// Of no consequence if it fails: without its `.ok` the core removes the file in an hour.
fn remove(file: &Path) {
    let _ = fs::remove_file(file);
}

/// Appends a whole file. True if an output had to be altered.
fn encode(flavour: Flavour, results: &[CheckResult], now: Timestamp, text: &mut Vec<u8>) -> bool {
    append(text, "file_time", now.seconds().to_string().as_bytes());
    let mut altered = false;
    for result in results {
        text.push(b'\n');
        altered |= encode_result(flavour, result, text);
    }
    altered
}

fn encode_result(flavour: Flavour, result: &CheckResult, text: &mut Vec<u8>) -> bool {
    append(text, "host_name", result.object.host().as_bytes());
    if let Object::Service(_, service) = &result.object {
        append(text, "service_description", service.as_bytes());
    }
    // What arrives here is passive for this core, whoever ran the check.
    append(text, "check_type", (CheckType::Passive as u8).to_string().as_bytes());
    for (key, value) in
        [("check_options", "0"), ("scheduled_check", "0"), ("reschedule_check", "0"), ("latency", "0.0")]
    {
        append(text, key, value.as_bytes());
    }
    let time = format!("{}.{:06}", result.check_time.seconds(), result.check_time.subsec_micros());
    append(text, "start_time", time.as_bytes());
    append(text, "finish_time", time.as_bytes());
    append(text, "early_timeout", b"0");
    append(text, "exited_ok", b"1");
    append(text, "return_code", result.code.to_string().as_bytes());
    let mut output = Vec::with_capacity(result.output.escaped().len());
    let altered = encode_spooled_output(flavour, &result.output, &mut output);
    if output.is_empty() {
        output.extend_from_slice(EMPTY_OUTPUT);
    }
    append(text, "output", &output);
    altered
}

fn append(text: &mut Vec<u8>, key: &str, value: &[u8]) {
    text.extend_from_slice(key.as_bytes());
    text.push(b'=');
    text.extend_from_slice(value);
    if value.ends_with(b"\\") {
        text.push(b'\\');
    }
    text.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::{HostName, PluginOutput, ReturnCode, ServiceDescription};
    use std::collections::BTreeSet;
    use std::os::unix::fs::PermissionsExt as _;

    fn results() -> [CheckResult; 2] {
        let host = HostName::try_from("web1").unwrap();
        let service = Object::Service(host.clone(), ServiceDescription::try_from("Disk C:\\").unwrap());
        let time = Timestamp::from_micros(1_700_000_000_000_007);
        [
            CheckResult::new(service, ReturnCode::new(2), PluginOutput::from_text(b"full C:\\new|a=1\nsecond\\"), time),
            CheckResult::new(Object::Host(host), ReturnCode::new(1), PluginOutput::default(), time),
        ]
    }

    #[test]
    fn a_file_is_what_the_core_reads() {
        let mut text = Vec::new();
        assert!(!encode(Flavour::Nagios4, &results(), Timestamp::from_seconds(1_700_000_009), &mut text));
        let expected = r"file_time=1700000009

host_name=web1
service_description=Disk C:\\
check_type=1
check_options=0
scheduled_check=0
reschedule_check=0
latency=0.0
start_time=1700000000.000007
finish_time=1700000000.000007
early_timeout=0
exited_ok=1
return_code=2
output=full C:\\new|a=1\nsecond\\\

host_name=web1
check_type=1
check_options=0
scheduled_check=0
reschedule_check=0
latency=0.0
start_time=1700000000.000007
finish_time=1700000000.000007
early_timeout=0
exited_ok=1
return_code=1
output=\n
";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn every_file_has_its_own_name_and_an_ok_file() {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = CheckResultDir::new(directory.path().into(), Flavour::Nagios4);
        for _ in 0..3 {
            spool.next_name = 0;
            spool.submit(&results()).unwrap();
        }
        spool.submit(&[]).unwrap();
        let names: BTreeSet<String> = fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let expected = ["cAAAAAA", "cBAAAAA", "cCAAAAA"].map(|name| [name.to_owned(), format!("{name}.ok")]);
        assert_eq!(names, expected.into_iter().flatten().collect());
        let mode = fs::metadata(directory.path().join("cAAAAAA")).unwrap().permissions().mode();
        assert_eq!(mode & 0o007, 0, "others must not read results");
    }

    #[test]
    fn a_name_whose_ok_file_is_still_there_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("cAAAAAA.ok"), "").unwrap();
        let mut spool = CheckResultDir::new(directory.path().into(), Flavour::Nagios4);
        spool.next_name = 0;
        spool.submit(&results()).unwrap();
        assert!(!directory.path().join("cAAAAAA").exists());
        assert!(directory.path().join("cBAAAAA.ok").exists());
    }

    #[test]
    fn a_wrong_directory_is_not_created() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("none");
        let error = CheckResultDir::new(path.clone(), Flavour::Nagios4).submit(&results()).unwrap_err().to_string();
        assert!(error.contains("none") && error.contains("check_result_path"), "{error}");
        assert!(!path.exists());
    }
}
