//! What the demonstration monitors: the same objects on both nodes, and plugins whose results change by the clock.

use std::fmt::Write as _;

pub(crate) const HOSTS: [&str; 5] = ["web1", "web2", "db1", "mail1", "gateway"];
pub(crate) const SERVICES: [&str; 4] = ["ping", "disk", "load", "log"];
pub(crate) const OBJECTS: usize = HOSTS.len() * (SERVICES.len() + 1);

/// How often the master checks each object.
pub(crate) const CHECK_INTERVAL_SECONDS: u32 = 2;

/// What cores usually take out of outputs before they put them into a command line.
pub(crate) const ILLEGAL_MACRO_OUTPUT_CHARS: &str = "`~$&|'\"<>";

/// A plugin for everything: `check.sh HOST SERVICE SEED DIARY`, without service for a host check.
/// States change every four seconds, each object at its own turn.
pub(crate) const CHECK_SCRIPT: &str = r#"#!/bin/sh
host=$1 service=$2 now=$(date +%s.%N)
echo "$now $host $service" >> "$4"
turn=$(( (${now%.*} / 4 + $3) % 6 ))
case $turn in
  3) code=1 word=WARNING ;;
  4) code=2 word=CRITICAL ;;
  5) code=3 word=UNKNOWN ;;
  *) code=0 word=OK ;;
esac
case $service in
  '')
    case $host$turn in
      gateway[024]) echo "DOWN - $host does not answer|pl=100%"; exit 2 ;;
    esac
    echo "UP - $host answers in $turn.2 ms|rta=$turn.2ms;100;500;0 pl=0%;20;60;0"
    exit 0 ;;
  ping)
    echo "PING $word - $host: packet loss = ${turn}0%|rta=1$turn.5ms;100;500;0 pl=${turn}0%;20;60;0" ;;
  disk)
    printf '%s\n' "DISK $word - /: 8$turn% used; /home: 4$turn% used|'/'=8$turn%;80;90;0;100" \
      "/dev/sda1 on /" "/dev/sda2 on /home|'/home'=4$turn%;80;90;0;100" ;;
  load)
    echo "LOAD $word - load average: $turn.07, 1.00, 0.93|load1=$turn.07;3;4;0; load5=1.00;3;4;0;" ;;
  log)
    printf '%s\n' "LOG $word - $turn lines with \"Übertragung\" & 'naïve' <quotes>" \
      "C:\\temp\\new.log: $turn × Übertragung" "  and a line that ends in a backslash \\" "last line" ;;
esac
exit $code
"#;

/// Notifies nobody but a diary: `notify.sh DIARY TYPE HOST SERVICE STATEID`.
pub(crate) const NOTIFY_SCRIPT: &str = r#"#!/bin/sh
echo "$(date +%s.%N) $2 $3 $4 $5" >> "$1"
"#;

/// The arguments of the plugin for each object: host, service (none for the host itself) and seed.
pub(crate) fn checks() -> impl Iterator<Item = (&'static str, Option<&'static str>, usize)> {
    let services = || std::iter::once(None).chain(SERVICES.into_iter().map(Some));
    let objects = HOSTS.into_iter().flat_map(move |host| services().map(move |service| (host, service)));
    objects.enumerate().map(|(seed, (host, service))| (host, service, seed))
}

/// The `ocsp_command` and the `ochp_command`, as one writes them into a real core's configuration.
pub(crate) struct ObsessiveCommands {
    pub(crate) ocsp: String,
    pub(crate) ochp: String,
}

impl ObsessiveCommands {
    /// For the program `understudy-ocsp`, the sender's socket and spill directory.
    pub(crate) fn new(program: &str, socket: &str, spill: &str) -> Self {
        let line = |kind: &str, object: &str, of: &str| {
            let mut line = format!("{program} {kind} {object}");
            write!(line, " '${of}STATEID$' '${of}OUTPUT$' --perfdata '${of}PERFDATA$' --long '$LONG{of}OUTPUT$'")
                .expect("a String takes every write");
            write!(line, " --check-time '$LAST{of}CHECK$' --state-type '${of}STATETYPE$'")
                .expect("a String takes every write");
            write!(line, " --attempt '${of}ATTEMPT$' --check-type '${of}CHECKTYPE$'")
                .expect("a String takes every write");
            line + &format!(" --socket {socket} --spill {spill}")
        };
        Self {
            ocsp: line("service", "'$HOSTNAME$' '$SERVICEDESC$'", "SERVICE"),
            ochp: line("host", "'$HOSTNAME$'", "HOST"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn every_object_has_a_check() {
        assert_eq!(checks().count(), OBJECTS);
    }

    #[test]
    fn command_lines() {
        let commands = ObsessiveCommands::new("/x", "/s", "/d");
        assert_eq!(
            commands.ochp,
            "/x host '$HOSTNAME$' '$HOSTSTATEID$' '$HOSTOUTPUT$' --perfdata '$HOSTPERFDATA$' --long '$LONGHOSTOUTPUT$' \
             --check-time '$LASTHOSTCHECK$' --state-type '$HOSTSTATETYPE$' --attempt '$HOSTATTEMPT$' \
             --check-type '$HOSTCHECKTYPE$' --socket /s --spill /d"
        );
        assert!(commands.ocsp.starts_with("/x service '$HOSTNAME$' '$SERVICEDESC$' '$SERVICESTATEID$' "));
    }

    #[test]
    fn the_plugin_runs() {
        for (host, service, seed) in checks() {
            let arguments = [CHECK_SCRIPT, "check.sh", host, service.unwrap_or(""), &seed.to_string(), "/dev/null"];
            let output = Command::new("/bin/sh").arg("-c").args(arguments).output().unwrap();
            assert!((0..=3).contains(&output.status.code().unwrap()), "{host} {service:?}");
            assert!(output.stderr.is_empty() && output.stdout.contains(&b'-'), "{host} {service:?}");
        }
    }
}
