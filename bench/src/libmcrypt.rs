//! The real libmcrypt, behind a pipe: `libmcrypt.c`, compiled when the benchmark starts.
//!
//! A program of its own, since calling a library of C needs `unsafe`, which this workspace has none of. It measures its
//! own processor time, so that the pipe costs nothing.

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nsca::Method;

const SOURCE: &str = include_str!("libmcrypt.c");

/// The longest key of libmcrypt, of RC2.
pub(crate) const MAX_KEY_BYTES: u8 = 128;

/// The running program.
pub(crate) struct Libmcrypt {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// What it is asked for: `repetitions` times a buffer of `bytes`, as one chain.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) direction: Direction,
    pub(crate) bytes: usize,
    pub(crate) repetitions: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Encrypt,
    Decrypt,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Direction::Encrypt => "encryption",
            Direction::Decrypt => "decryption",
        })
    }
}

/// How long that took, and the last eight bytes of the buffer afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) took: Duration,
    pub(crate) check: [u8; 8],
}

impl Libmcrypt {
    /// Compiles the program into `directory` and starts it.
    ///
    /// # Errors
    ///
    /// Says what to install when compiler or library are missing.
    pub(crate) fn start(directory: &Path) -> Result<Self> {
        let (source, program) = (directory.join("libmcrypt.c"), directory.join("libmcrypt"));
        std::fs::write(&source, SOURCE).with_context(|| format!("cannot write {}", source.display()))?;
        let mut compiler = Command::new("gcc");
        compiler.args(["-O2", "-o"]).args([&program, &source]).arg("-lmcrypt");
        let compiled = compiler.status().context("cannot run gcc; install the packages gcc and libmcrypt-dev")?;
        if !compiled.success() {
            bail!("gcc cannot compile against libmcrypt; install the package libmcrypt-dev");
        }
        let mut child = Command::new(&program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        let requests = child.stdin.take().expect("it was asked for");
        let mut answers = BufReader::new(child.stdout.take().expect("it was asked for"));
        // Its version, which the package manager tells too.
        answers.read_line(&mut String::new())?;
        Ok(Libmcrypt { child, requests, answers })
    }

    /// Whether `method` is one that libmcrypt computes.
    pub(crate) fn has(method: Method) -> bool {
        name_and_key_bytes(method).is_some()
    }

    /// Carries a request out.
    ///
    /// # Errors
    ///
    /// When the program ended, or libmcrypt does not have the method.
    pub(crate) fn run(&mut self, request: Request) -> Result<Answer> {
        let (name, key_bytes) = name_and_key_bytes(request.method).context("libmcrypt does not have this method")?;
        let direction = match request.direction {
            Direction::Encrypt => 'e',
            Direction::Decrypt => 'd',
        };
        writeln!(self.requests, "{name} {key_bytes} {direction} {} {}", request.bytes, request.repetitions)?;
        self.requests.flush()?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        parse(&line).with_context(|| format!("the program that calls libmcrypt answered {line:?}"))
    }
}

impl Drop for Libmcrypt {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn parse(line: &str) -> Option<Answer> {
    let (nanoseconds, check) = line.trim_end().split_once(' ')?;
    let took = Duration::from_nanos(nanoseconds.parse().ok()?);
    Some(Answer { took, check: u64::from_str_radix(check, 16).ok()?.to_be_bytes() })
}

/// libmcrypt's name for a method, and the length of its longest key.
fn name_and_key_bytes(method: Method) -> Option<(&'static str, u8)> {
    match method {
        Method::None | Method::Xor => None,
        Method::Des => Some(("des", 8)),
        Method::TripleDes => Some(("tripledes", 24)),
        Method::Cast128 => Some(("cast-128", 16)),
        Method::Cast256 => Some(("cast-256", 32)),
        Method::Xtea => Some(("xtea", 16)),
        Method::Blowfish => Some(("blowfish", 56)),
        Method::Twofish => Some(("twofish", 32)),
        Method::Loki97 => Some(("loki97", 32)),
        Method::Rc2 => Some(("rc2", MAX_KEY_BYTES)),
        Method::Rijndael128 => Some(("rijndael-128", 32)),
        Method::Rijndael192 => Some(("rijndael-192", 32)),
        Method::Rijndael256 => Some(("rijndael-256", 32)),
        Method::Serpent => Some(("serpent", 32)),
        Method::Gost => Some(("gost", 32)),
        Method::SaferPlus => Some(("saferplus", 32)),
    }
}
