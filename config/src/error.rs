//! Where a configuration file is wrong, and what to write instead.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// An error in a configuration file, with the place that it names.
///
/// It is shown as `FILE:LINE:COLUMN: MESSAGE`, the form that editors jump to.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    file: PathBuf,
    position: Option<Position>,
    message: String,
}

/// A place in a text file. Both count from one; the column counts characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl ConfigError {
    /// The file at fault.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The place in the file, if the error has one.
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    /// What is wrong, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn at_file(file: &Path, message: impl Into<String>) -> Self {
        ConfigError { file: file.to_owned(), position: None, message: message.into() }
    }

    pub(crate) fn unreadable(file: &Path, error: &std::io::Error) -> Self {
        ConfigError::at_file(file, format!("cannot be read: {error}"))
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(Position { line, column }) = self.position {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {}", self.message)
    }
}

/// The text that spans point into.
pub(crate) struct Source<'a> {
    path: &'a Path,
    text: &'a str,
}

impl<'a> Source<'a> {
    pub(crate) fn new(path: &'a Path, text: &'a str) -> Self {
        Source { path, text }
    }

    /// The configuration file itself.
    pub(crate) fn path(&self) -> &Path {
        self.path
    }

    /// An error about the value at `span`.
    pub(crate) fn at(&self, span: Range<usize>, message: impl Into<String>) -> ConfigError {
        let position = Some(self.position(span.start));
        ConfigError { file: self.path.to_owned(), position, message: message.into() }
    }

    /// An error about the file as a whole.
    pub(crate) fn whole(&self, message: impl Into<String>) -> ConfigError {
        ConfigError::at_file(self.path, message)
    }

    /// What the TOML reader found.
    pub(crate) fn toml(&self, error: &toml::de::Error) -> ConfigError {
        let message = error.message().replace('\n', "; ");
        match error.span() {
            Some(span) => self.at(span, message),
            None => self.whole(message),
        }
    }

    fn position(&self, offset: usize) -> Position {
        let before = &self.text[..offset.min(self.text.len())];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Position { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_from_one_and_in_characters() {
        let source = Source::new(Path::new("f.toml"), "a = 1\nbü = 2\n");
        assert_eq!(source.position(0), Position { line: 1, column: 1 });
        assert_eq!(source.position(6), Position { line: 2, column: 1 });
        assert_eq!(source.position("a = 1\nbü = ".len()), Position { line: 2, column: 6 });
        assert_eq!(source.at(6..7, "no").to_string(), "f.toml:2:1: no");
    }
}
