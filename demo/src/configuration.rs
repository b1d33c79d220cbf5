//! The configuration files of both nodes, for both kinds of core.

use std::fmt::Write as _;

use crate::CoreKind;
use crate::scenario::{CHECK_INTERVAL_SECONDS, ILLEGAL_MACRO_OUTPUT_CHARS, ObsessiveCommands, checks};
use crate::site::Node;

const ENCRYPTION: &str = "rijndael-128";
const PASSWORD: &str = "the show must go on";

/// Takes over when the master's heartbeat tells that its core is gone. The times are the defaults, except that the master has to
/// be well for three seconds, not for thirty, before the standby hands back: nobody wants to wait for that.
const STANDBY_FAILOVER: &str = "[failover]\nrole = \"standby\"\ninterval = \"1s\"\n\n\
                                [failover.heartbeat]\nnode = \"master\"\n";

/// Keeps silent while the standby is active.
const MASTER_FAILOVER: &str = "[failover]\nrole = \"master\"\n";

/// Where the scripts are that cores execute.
pub(crate) struct Scripts {
    pub(crate) check: String,
    pub(crate) notify: String,
}

/// `understudy.toml` of the standby: takes results on 127.0.0.1 and injects them into its core.
pub(crate) fn receiver(node: &Node, core: CoreKind, port: u16) -> String {
    let (node, secret) = (node_and_core(node, core), secret());
    format!("{node}\n[[receiver.listener]]\naddress = \"127.0.0.1:{port}\"\n{secret}\n{STANDBY_FAILOVER}")
}

/// `understudy.toml` of the master: takes results from its core and sends them to the standby.
pub(crate) fn sender(node: &Node, core: CoreKind, port: u16) -> String {
    format!(
        "{}\n[sender]\nsocket = {}\nspill = {}\n\n[[sender.destination]]\nname = \"standby\"\n\
         address = \"127.0.0.1:{port}\"\n{}\n{MASTER_FAILOVER}",
        node_and_core(node, core),
        quoted(&node.path("ocsp.sock")),
        quoted(&node.path("spill")),
        secret()
    )
}

fn node_and_core(node: &Node, core: CoreKind) -> String {
    let name = quoted(node.name);
    let core = match core {
        CoreKind::Nagios4 => format!("main_config = {}\n", quoted(&node.path("nagios.cfg"))),
        CoreKind::Builtin => format!(
            "flavour = \"nagios4\"\ncommand_file = {}\nstatus_file = {}\n",
            quoted(&node.path("core.cmd")),
            quoted(&node.path("status.dat"))
        ),
    };
    let state_directory = quoted(&node.path("state"));
    format!(
        "[node]\nname = {name}\nstate_directory = {state_directory}\ncontrol_socket = {}\n\n[core]\n{core}",
        quoted(&node.path("control.sock"))
    )
}

fn secret() -> String {
    format!("encryption = {}\npassword = {}\n", quoted(ENCRYPTION), quoted(PASSWORD))
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The miniature core's configuration. With `obsessive` commands it is the master's and runs checks.
pub(crate) fn builtin_core(node: &Node, scripts: &Scripts, obsessive: Option<&ObsessiveCommands>) -> String {
    let mut text = format!(
        "command_file={}\nstatus_file={}\nexecute_checks={}\nenable_notifications=0\n\
         check_interval={CHECK_INTERVAL_SECONDS}\nillegal_macro_output_chars={ILLEGAL_MACRO_OUTPUT_CHARS}\n\
         notification_command={}\n",
        node.path("core.cmd"),
        node.path("status.dat"),
        u8::from(obsessive.is_some()),
        notify(node, scripts)
    );
    let (script, diary) = (&scripts.check, node.path("checked"));
    if let Some(ObsessiveCommands { ocsp, ochp }) = obsessive {
        write!(text, "ocsp_command={ocsp}\nochp_command={ochp}\n").expect("a String takes every write");
    }
    for (host, service, seed) in checks() {
        let line = match service {
            Some(service) => {
                format!("service={host};{service};/bin/sh {script} {host} {service} {seed} {diary}\n")
            }
            None => format!("host={host};/bin/sh {script} {host} '' {seed} {diary}\n"),
        };
        text += &line;
    }
    text
}

/// The notification command, for services.
fn notify(node: &Node, scripts: &Scripts) -> String {
    let (script, diary) = (&scripts.notify, node.path("notified"));
    format!("/bin/sh {script} {diary} '$NOTIFICATIONTYPE$' '$HOSTNAME$' '$SERVICEDESC$' '$SERVICESTATEID$'")
}

/// `nagios.cfg`. With `obsess` it is the master's and runs checks. `user` and `group` are the ones to run as.
pub(crate) fn nagios4_main(node: &Node, user: &str, group: &str, obsess: bool) -> String {
    let path = |name: &str| node.path(name);
    let obsess = u8::from(obsess);
    let mut text = String::new();
    for (key, value) in [
        ("log_file", path("nagios.log")),
        ("cfg_file", path("objects.cfg")),
        ("object_cache_file", path("objects.cache")),
        ("precached_object_file", path("objects.precache")),
        ("status_file", path("status.dat")),
        ("command_file", path("core.cmd")),
        ("query_socket", path("nagios.qh")),
        ("lock_file", path("nagios.lock")),
        ("temp_file", path("nagios.tmp")),
        ("temp_path", path("")),
        ("check_result_path", path("checkresults")),
        ("state_retention_file", path("retention.dat")),
        ("log_archive_path", path("archives")),
        ("nagios_user", user.into()),
        ("nagios_group", group.into()),
        ("illegal_macro_output_chars", ILLEGAL_MACRO_OUTPUT_CHARS.into()),
    ] {
        writeln!(text, "{key}={value}").expect("a String takes every write");
    }
    write!(
        text,
        "check_external_commands=1\nstatus_update_interval=1\ninterval_length=1\nretain_state_information=0\n\
         enable_notifications=0\nenable_flap_detection=0\nuse_retained_program_state=0\ncheck_service_freshness=0\ncheck_host_freshness=0\n\
         service_inter_check_delay_method=n\nhost_inter_check_delay_method=n\ncheck_for_updates=0\n\
         accept_passive_service_checks=1\naccept_passive_host_checks=1\n\
         execute_service_checks={obsess}\nexecute_host_checks={obsess}\n\
         obsess_over_services={obsess}\nobsess_over_hosts={obsess}\n"
    )
    .expect("a String takes every write");
    if obsess == 1 {
        text += "ocsp_command=understudy_service\nochp_command=understudy_host\n";
    }
    text
}

/// The objects that `nagios.cfg` refers to.
pub(crate) fn nagios4_objects(node: &Node, scripts: &Scripts, commands: &ObsessiveCommands) -> String {
    let ObsessiveCommands { ocsp, ochp } = commands;
    let check = format!("/bin/sh {} '$ARG1$' '$ARG2$' '$ARG3$' {}", scripts.check, node.path("checked"));
    let notify = notify(node, scripts);
    let mut text = String::new();
    for (name, line) in
        [("check", check.as_str()), ("notify", &notify), ("understudy_service", ocsp), ("understudy_host", ochp)]
    {
        define(&mut text, "command", &[("command_name", name), ("command_line", line)]);
    }
    define(
        &mut text,
        "timeperiod",
        &[
            ("timeperiod_name", "always"),
            ("alias", "always"),
            ("sunday", "00:00-24:00"),
            ("monday", "00:00-24:00"),
            ("tuesday", "00:00-24:00"),
            ("wednesday", "00:00-24:00"),
            ("thursday", "00:00-24:00"),
            ("friday", "00:00-24:00"),
            ("saturday", "00:00-24:00"),
        ],
    );
    let contact = [
        ("contact_name", "somebody"),
        ("host_notification_period", "always"),
        ("service_notification_period", "always"),
        ("host_notification_options", "n"),
        ("service_notification_options", "w,u,c,r"),
        ("host_notification_commands", "notify"),
        ("service_notification_commands", "notify"),
    ];
    define(&mut text, "contact", &contact);
    for (host, service, seed) in checks() {
        let check = format!("check!{host}!{}!{seed}", service.unwrap_or(""));
        let interval = CHECK_INTERVAL_SECONDS.to_string();
        let mut fields = vec![
            ("host_name", host),
            ("check_command", &check),
            ("check_interval", &interval),
            ("retry_interval", &interval),
            ("max_check_attempts", "3"),
            ("check_period", "always"),
            ("notification_period", "always"),
            ("notification_interval", "0"),
            ("contacts", "somebody"),
        ];
        match service {
            Some(service) => fields.push(("service_description", service)),
            None => fields.extend([("alias", host), ("address", "127.0.0.1")]),
        }
        define(&mut text, if service.is_some() { "service" } else { "host" }, &fields);
    }
    text
}

fn define(text: &mut String, kind: &str, fields: &[(&str, &str)]) {
    writeln!(text, "define {kind} {{").expect("a String takes every write");
    for (key, value) in fields {
        writeln!(text, "  {key} {value}").expect("a String takes every write");
    }
    text.push_str("}\n");
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use super::*;
    use crate::site::Site;

    #[test]
    fn toml_strings() {
        assert_eq!(quoted(r#"a\b"c"#), r#""a\\b\"c""#);
    }

    #[test]
    fn understudy_configurations() {
        let site = Site::create(Path::new("/bin/true")).unwrap();
        let text = sender(&site.master, CoreKind::Builtin, 5667);
        for expected in [
            "[node]\nname = \"master\"\nstate_directory = ",
            "[core]\nflavour = \"nagios4\"\ncommand_file = ",
            "[[sender.destination]]\nname = \"standby\"\naddress = \"127.0.0.1:5667\"\nencryption = \"rijndael-128\"\n",
        ] {
            assert!(text.contains(expected), "{text}");
        }
        let text = receiver(&site.standby, CoreKind::Nagios4, 5667);
        assert!(text.contains("/standby/nagios.cfg\"\n"), "{text}");
        assert!(text.contains("[[receiver.listener]]\naddress = \"127.0.0.1:5667\"\n"), "{text}");
    }

    /// Where the real program is installed, it has the last word.
    #[test]
    fn nagios_accepts_its_configuration() {
        let site = Site::create(Path::new("/bin/true")).unwrap();
        let commands = ObsessiveCommands::new("/x", "/s", "/d");
        let scripts = Scripts { check: "/check.sh".into(), notify: "/notify.sh".into() };
        site.master.write("objects.cfg", &nagios4_objects(&site.master, &scripts, &commands)).unwrap();
        let (user, group) = crate::cores::user_and_group().unwrap();
        let main = site.master.write("nagios.cfg", &nagios4_main(&site.master, &user, &group, true)).unwrap();
        let output = Command::new("nagios4").arg("-v").arg(main).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}");
        assert!(text.contains("Total Errors:   0"), "{text}");
    }
}
