//! Files into settings.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{MAX_DEPTH, MAX_FILE_BYTES, MAX_FILES, MainConfig, MainConfigError, Setting, relative_to_file};

pub(super) fn read(path: &Path) -> Result<MainConfig, MainConfigError> {
    let mut reader = Reader::new(path, Includes::Follow);
    reader.read_file(path, 0)?;
    Ok(reader.config)
}

pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<MainConfig, MainConfigError> {
    let mut reader = Reader::new(path, Includes::Ignore);
    reader.parse(&path.into(), bytes, 0)?;
    Ok(reader.config)
}

#[derive(PartialEq)]
enum Includes {
    Follow,
    Ignore,
}

struct Reader {
    config: MainConfig,
    includes: Includes,
    files: usize,
}

impl Reader {
    fn new(path: &Path, includes: Includes) -> Self {
        Self { config: MainConfig { path: path.into(), settings: BTreeMap::new() }, includes, files: 0 }
    }

    fn read_file(&mut self, path: &Path, depth: usize) -> Result<(), MainConfigError> {
        self.files += 1;
        if self.files > MAX_FILES {
            return Err(too_much(path, "too many files are included"));
        }
        if depth > MAX_DEPTH {
            return Err(too_much(path, "files include each other too deeply"));
        }
        let bytes = read_bounded(path).map_err(|source| unreadable(path, source))?;
        if bytes.len() > MAX_FILE_BYTES {
            return Err(too_much(path, "the file is too large"));
        }
        self.parse(&path.into(), &bytes, depth)
    }

    fn read_directory(&mut self, directory: &Path, depth: usize) -> Result<(), MainConfigError> {
        let entries = fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let entries = entries.map_err(|source| unreadable(directory, source))?;
        let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "cfg"));
        files.sort();
        files.into_iter().try_for_each(|file| self.read_file(&file, depth))
    }

    fn parse(&mut self, file: &Arc<Path>, bytes: &[u8], depth: usize) -> Result<(), MainConfigError> {
        let mut lines = (1..).zip(bytes.split(|byte| *byte == b'\n'));
        while let Some((number, line)) = lines.next() {
            let mut line = line.trim_ascii().to_vec();
            while let Some(begun) = continued(&line) {
                line.truncate(begun);
                let Some((_, more)) = lines.next() else { break };
                line.extend_from_slice(more.trim_ascii());
            }
            if !line.is_empty() && !matches!(line[0], b'#' | b';') {
                self.set(file, number, &line, depth)?;
            }
        }
        Ok(())
    }

    fn set(&mut self, file: &Arc<Path>, line: usize, text: &[u8], depth: usize) -> Result<(), MainConfigError> {
        let not_a_setting = || MainConfigError::NotASetting { file: file.to_path_buf(), line };
        let at = memchr::memchr(b'=', text).ok_or_else(not_a_setting)?;
        let (key, value) = (text[..at].trim_ascii(), text[at + 1..].trim_ascii());
        if key.is_empty() {
            return Err(not_a_setting());
        }
        let setting = Setting { value: value.into(), file: Arc::clone(file), line };
        let name = String::from_utf8_lossy(key).into_owned();
        self.config.settings.entry(name).or_default().push(setting);
        match key {
            b"include_file" if self.includes == Includes::Follow => {
                self.read_file(&relative_to_file(file, value), depth + 1)
            }
            b"include_dir" if self.includes == Includes::Follow => {
                self.read_directory(&relative_to_file(file, value), depth + 1)
            }
            _ => Ok(()),
        }
    }
}

/// Where the backslash is that continues the line, if one does. Two of them are one at the end of a complete line.
fn continued(line: &[u8]) -> Option<usize> {
    (line.ends_with(b"\\") && !line.ends_with(b"\\\\")).then(|| line.len() - 1)
}

/// At most one byte more than the limit.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn too_much(file: &Path, what: &'static str) -> MainConfigError {
    MainConfigError::TooMuch { file: file.into(), what }
}

fn unreadable(file: &Path, source: io::Error) -> MainConfigError {
    MainConfigError::Unreadable { file: file.into(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(text: &[u8]) -> Vec<u8> {
        MainConfig::parse(Path::new("x"), text).unwrap().get("key").unwrap().to_vec()
    }

    #[test]
    fn lines_are_read_as_the_cores_do() {
        assert_eq!(value(b"key=a"), b"a");
        assert_eq!(value(b"  key\t=  a = b \r\n"), b"a = b");
        assert_eq!(value(b"key=a \\\n   b \\\n\tc\n"), b"a b c");
        assert_eq!(value(b"key=a\\"), b"a");
        assert_eq!(value(b" # key=b\n; key=c\nkey=caf\xe9\n"), b"caf\xe9");
        assert_eq!(value(b"key="), b"");
    }

    #[test]
    fn what_is_no_setting_names_its_line() {
        for text in ["a=1\n\nnonsense\nb=2", "a=1\n\n=b"] {
            let error = MainConfig::parse(Path::new("/etc/nagios.cfg"), text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with("/etc/nagios.cfg, line 3:"), "{error}");
        }
    }

    #[test]
    fn includes_are_read_where_they_stand() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path
        };
        file("conf.d/b.cfg", "key=b\nlog_file=b.log\n");
        file("conf.d/a.cfg", "key=a\n");
        file("conf.d/c.txt", "nonsense");
        file("more.cfg", "key=more\n");
        let main = file("naemon.cfg", "key=1\ninclude_dir=conf.d\nkey=2\ninclude_file=more.cfg\n");
        let config = MainConfig::read(&main).unwrap();
        let values: Vec<&[u8]> = config.all("key").collect();
        assert_eq!(values, [&b"1"[..], b"a", b"b", b"2", b"more"]);
        assert_eq!(config.log_file(), Some(directory.path().join("conf.d/b.log")));
        assert_eq!(config.place_of("key"), Some((directory.path().join("more.cfg").as_path(), 1)));
    }

    #[test]
    fn endless_and_missing_includes_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let main = directory.path().join("naemon.cfg");
        let error = || MainConfig::read(&main).unwrap_err().to_string();
        assert!(error().contains("cannot read"));
        fs::write(&main, "include_file=naemon.cfg\n").unwrap();
        assert!(error().contains("too deeply"));
        fs::write(&main, "include_dir=none\n").unwrap();
        assert!(error().contains("/none: "), "{}", error());
        fs::write(&main, vec![b'#'; MAX_FILE_BYTES + 1]).unwrap();
        assert!(error().contains("too large"));
        assert!(MainConfig::read(directory.path()).unwrap_err().to_string().contains("not a regular file"));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_read_or_refused(
            text in "(key=|\n|#|\\\\|=| |\\PC){0,60}", bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let _ = MainConfig::parse(Path::new("x"), text.as_bytes());
            let _ = MainConfig::parse(Path::new("x"), &bytes);
        }
    }
}
