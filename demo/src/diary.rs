//! What a core did, written down by the programs that it executed.
//!
//! ```text
//! 1795354950.123456789 PROBLEM web1 disk 2
//! ```

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Context;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) at: SystemTime,
    pub(crate) what: String,
}

/// All whole lines of a diary, in order; nothing when none was begun.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<Entry>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    Ok(parse(&String::from_utf8_lossy(&text)))
}

fn parse(text: &str) -> Vec<Entry> {
    let whole = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    let entry = |line: &str| {
        let (time, what) = line.split_once(' ')?;
        let since_epoch = Duration::try_from_secs_f64(time.parse().ok()?).ok()?;
        Some(Entry { at: SystemTime::UNIX_EPOCH + since_epoch, what: what.to_owned() })
    };
    whole.filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_lines_count() {
        let entries = parse("1.5 PROBLEM web1 disk 2\nnonsense\n2.25 RECOVERY web1 disk 0\n3.0 PROB");
        let told: Vec<_> = entries
            .iter()
            .map(|entry| (entry.at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis(), entry.what.as_str()))
            .collect();
        assert_eq!(told, [(1500, "PROBLEM web1 disk 2"), (2250, "RECOVERY web1 disk 0")]);
        assert_eq!(read(Path::new("/nonexistent/diary")).unwrap(), []);
    }
}
