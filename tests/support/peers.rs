//! The stock programs, and ours in their place.

use std::path::Path;
use std::process::Command;

use super::process::UNDERSTUDY;

/// The stock daemon.
#[track_caller]
pub fn stock_nsca() -> Command {
    stock("/usr/sbin/nsca", "nsca")
}

/// The stock client.
#[track_caller]
pub fn stock_send_nsca() -> Command {
    stock("/usr/sbin/send_nsca", "nsca-client")
}

/// Our daemon, as a subcommand.
pub fn our_nsca() -> Command {
    ours("nsca")
}

/// Our client, as a subcommand.
pub fn our_send_nsca() -> Command {
    ours("send")
}

/// Our program under another name: what a link in the place of a stock program does.
pub fn ours_linked_as(name: &str, directory: &Path) -> Command {
    let link = directory.join(name);
    if !link.exists() {
        std::os::unix::fs::symlink(UNDERSTUDY, &link).unwrap();
    }
    Command::new(link)
}

fn ours(subcommand: &str) -> Command {
    let mut command = Command::new(UNDERSTUDY);
    command.arg(subcommand);
    command
}

#[track_caller]
fn stock(path: &str, package: &str) -> Command {
    assert!(Path::new(path).exists(), "{path} is missing: run `apt-get install {package}`");
    Command::new(path)
}
