//! What was measured on, without anything that identifies the machine.

use std::fmt::Write;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

/// A list in Markdown: processor, kernel, compiler, and the `peers` that were measured against.
pub(crate) fn description(peers: &[String]) -> Result<String> {
    let mut text = String::new();
    writeln!(text, "- processor: {}, {} cores", processor()?, std::thread::available_parallelism()?)?;
    writeln!(text, "- kernel: Linux {}", kernel()?)?;
    writeln!(text, "- compiler: {}", rustc()?)?;
    for peer in peers {
        writeln!(text, "- {peer}")?;
    }
    Ok(text)
}

/// What is measured against, with versions where Debian's package manager knows them.
pub(crate) fn peers() -> Vec<String> {
    let packages = ["nsca", "nsca-client", "nagios4-core", "libmcrypt4"];
    let version = |package: &&str| {
        let mut query = Command::new("dpkg-query");
        first_line_of(query.args(["--show", "--showformat", "${Package} ${Version}\\n", package])).ok()
    };
    packages.iter().filter_map(version).filter(|line| !line.is_empty()).collect()
}

/// Its version, without what a vendor appends.
fn kernel() -> Result<String> {
    let release = nix::sys::utsname::uname()?.release().to_string_lossy().into_owned();
    Ok(release.split('-').next().unwrap_or_default().to_owned())
}

/// The version line of the Rust compiler.
pub(crate) fn rustc() -> Result<String> {
    first_line_of(Command::new("rustc").arg("--version"))
}

/// The first line that a program prints.
pub(crate) fn first_line_of(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run {}", command.get_program().display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn processor() -> Result<String> {
    let text = fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.trim_start().strip_prefix(": "));
    Ok(model.unwrap_or("unknown").to_owned())
}
