//! What README and docs/failover.md tell people to write is valid, complete, and taken by a real core.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use config::Config;
use nix::unistd::{Gid, Group, Uid, User};
use tempfile::TempDir;

const README: &str = include_str!("../../README.md");
const FAILOVER: &str = include_str!("../../docs/failover.md");

/// What every core's main configuration has.
const CORE: &str = "command_file=/var/lib/nagios4/rw/nagios.cmd\nstatus_file=/var/lib/nagios4/status.dat\n";

/// One block of code.
struct Block<'a> {
    /// What stands behind the opening fence.
    language: &'a str,
    /// Of `<!-- test: … -->` in the line above; empty without one.
    marked: &'a str,
    text: String,
}

#[test]
fn the_recipes_for_failover_are_complete() {
    let blocks = blocks(FAILOVER);
    let mut read = 0;
    for (role, core_of) in [("master", "core of master"), ("standby", "core of standby")] {
        let nodes = blocks.iter().filter(|block| block.language == "toml" && block.marked == role);
        let cores = blocks.iter().filter(|block| block.marked.starts_with(core_of));
        for (node, core) in nodes.zip(cores) {
            let config = read_beside(&node.text, &core.text);
            assert_eq!(advice(&config), [""; 0], "{}\n{}", core.text, node.text);
            read += 1;
        }
    }
    assert_eq!(read, 3, "a master, and a standby for each scenario");
    for role in ["master", "standby"] {
        let table = |marked: &str| -> toml::Table {
            blocks.iter().find(|block| block.marked == marked).unwrap().text.parse().unwrap()
        };
        let mut node = table(role);
        merge(&mut node, table(&format!("also on the {role}")));
        read_beside(&node.to_string(), "");
    }
    let unmarked = blocks.iter().filter(|block| block.marked.is_empty()).count();
    assert_eq!(unmarked, 0, "what is not marked is not tested");
}

#[test]
fn the_readmes_examples_are_valid_each_with_those_that_it_adds_to() {
    let blocks = blocks(README);
    let toml: Vec<toml::Table> =
        blocks.iter().filter(|block| block.language == "toml").map(|block| block.text.parse().unwrap()).collect();
    let (nodes, additions): (Vec<_>, Vec<_>) = toml.into_iter().partition(|table| table.contains_key("core"));
    assert_eq!(nodes.len(), 2, "a standby and a master");
    for node in &nodes {
        read_beside(&node.to_string(), "");
    }
    for addition in additions {
        let sends = addition.contains_key("sender");
        let node = nodes.iter().find(|node| node.contains_key("sender") == sends).unwrap();
        let mut node = node.clone();
        merge(&mut node, addition);
        read_beside(&node.to_string(), "");
    }
    let standby = nodes.iter().find(|node| node.contains_key("receiver")).unwrap();
    let settings = blocks.iter().find(|block| block.text.contains("execute_service_checks=0")).unwrap();
    assert_eq!(advice(&read_beside(&standby.to_string(), &settings.text)), [""; 0]);
}

/// With the templates and commands that Debian installs.
#[test]
fn a_real_core_takes_the_settings_and_objects() {
    let (readme, failover) = (blocks(README), blocks(FAILOVER));
    let block = |blocks: &[Block<'_>], holds: &dyn Fn(&Block<'_>) -> bool| {
        blocks.iter().find(|block| holds(block)).map(|block| block.text.clone()).unwrap()
    };
    let told = block(&readme, &|block| block.text.contains("execute_service_checks=0"));
    let tells = block(&readme, &|block| block.text.contains("\nocsp_command="));
    let commands = block(&readme, &|block| block.text.contains("command_name  understudy-service"));
    takes(&told, "");
    takes(&tells, &commands);
    for core in failover.iter().filter(|block| block.marked.starts_with("core of ")) {
        takes(&core.text, &commands);
    }
    let handlers = block(&failover, &|block| block.marked.ends_with("with handlers"));
    let said = takes(&handlers, &block(&failover, &|block| block.marked == "objects"));
    assert!(said.contains("Checked 1 hosts") && said.contains("Checked 1 services"), "{said}");
}

/// Has a core verify these settings and objects beside what it needs besides. What it says.
#[track_caller]
fn takes(settings: &str, objects: &str) -> String {
    const HOST: &str = "define host {\n use generic-host\n host_name h\n address 127.0.0.1\n check_command check-host-alive\n \
                        max_check_attempts 3\n}\n\
                        define service {\n use generic-service\n host_name h\n service_description s\n \
                        check_command check-host-alive\n}\n";
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().display();
    let objects = if objects.contains("define host ") { objects.to_owned() } else { format!("{HOST}{objects}") };
    fs::write(directory.path().join("objects.cfg"), objects).unwrap();
    let mut main = format!("log_file={path}/nagios.log\ncfg_file={path}/objects.cfg\n{settings}");
    for file in ["commands.cfg", "contacts.cfg", "timeperiods.cfg", "templates.cfg"] {
        main += &format!("cfg_file=/etc/nagios4/objects/{file}\n");
    }
    let user = User::from_uid(Uid::current()).unwrap().unwrap().name;
    let group = Group::from_gid(Gid::current()).unwrap().unwrap().name;
    main += &format!("cfg_dir=/etc/nagios-plugins/config\nnagios_user={user}\nnagios_group={group}\n");
    for (key, file) in [("object_cache_file", "objects.cache"), ("check_result_path", ""), ("temp_path", "")] {
        main += &format!("{key}={path}/{file}\n");
    }
    fs::write(directory.path().join("nagios.cfg"), main).unwrap();
    let checked =
        Command::new("/usr/sbin/nagios4").arg("-v").arg(directory.path().join("nagios.cfg")).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success() && said.contains("Total Errors:   0"), "{settings}\n{said}");
    said
}

/// The plugin is where the recipe says, and takes the options that it gives.
#[test]
fn nrpe_s_command_is_one() {
    let blocks = blocks(FAILOVER);
    let nrpe = blocks.iter().find(|block| block.marked == "nrpe").unwrap();
    let command = nrpe.text.lines().find_map(|line| line.strip_prefix("command[check_nagios]=")).unwrap();
    let mut words = command.split(' ');
    let ran = Command::new(words.next().unwrap()).args(words).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    // The plugin understood, and judges a core that does not run here; usage would be 3 with other words.
    assert!(said.contains("NAGIOS"), "{command}: {said}");
    assert!(nrpe.text.lines().any(|line| line.starts_with("allowed_hosts=")), "{}", nrpe.text);
}

fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let (mut lines, mut above) = (text.lines(), "");
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let inside = lines.by_ref().take_while(|line| *line != "```");
            let text = inside.flat_map(|line| [line, "\n"]).collect();
            let marked =
                above.strip_prefix("<!-- test: ").and_then(|rest| rest.strip_suffix(" -->")).unwrap_or_default();
            blocks.push(Block { language, marked, text });
        }
        above = line;
    }
    blocks
}

/// What the configuration means beside a core with these settings, with the files that it names.
fn read_beside(node: &str, settings: &str) -> Config {
    let directory = TempDir::new().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    };
    let name = |path: &Path| path.to_str().unwrap().to_owned();
    let password = name(&write("password", "a long and random one"));
    let main = name(&write("nagios.cfg", &format!("{CORE}{settings}")));
    let node = node.replace("/etc/understudy/password", &password).replace("/etc/nagios4/nagios.cfg", &main);
    Config::read(&write("understudy.toml", &node)).unwrap_or_else(|error| panic!("{error}\n{node}"))
}

/// What is said of the core's settings.
fn advice(config: &Config) -> Vec<String> {
    config.advice().into_iter().filter(|line| line.starts_with("set ")).collect()
}

fn merge(into: &mut toml::Table, addition: toml::Table) {
    for (key, value) in addition {
        match (into.get_mut(&key), value) {
            (Some(toml::Value::Table(known)), toml::Value::Table(more)) => merge(known, more),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}
