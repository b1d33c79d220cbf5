//! Tells what happens, with the time since the beginning.

use std::fmt;
use std::io::{self, Write};
use std::time::Instant;

pub(crate) struct Narrator {
    begin: Instant,
}

impl Narrator {
    pub(crate) fn new() -> Self {
        Self { begin: Instant::now() }
    }

    /// A line with the time in front.
    pub(crate) fn say(&self, line: fmt::Arguments<'_>) {
        let seconds = self.begin.elapsed().as_secs_f64();
        print(format_args!("{seconds:6.1} s  {line}\n"));
    }

    /// A line below the one before, without a time of its own.
    pub(crate) fn add(&self, line: fmt::Arguments<'_>) {
        print(format_args!("          {line}\n"));
    }

    /// A line at the margin.
    pub(crate) fn headline(&self, line: fmt::Arguments<'_>) {
        print(format_args!("{line}\n"));
    }
}

/// Who closes the output early (`| head`) does not want to read on; the processes still have to be ended.
fn print(line: fmt::Arguments<'_>) {
    let mut output = io::stdout().lock();
    let _ = output.write_fmt(line).and_then(|()| output.flush());
}
