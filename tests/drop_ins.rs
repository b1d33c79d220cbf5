//! Our `nsca` and `send_nsca` in the place of the stock ones: with the files that a site has, side by side with the
//! originals, and as daemons.

#![allow(clippy::unwrap_used, reason = "a test ends at whatever goes wrong")]

mod support;

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, User};
use nsca::Method;
use support::client::{Client, End};
use support::peers::{our_nsca, our_send_nsca, ours_linked_as, stock_nsca, stock_send_nsca};
use support::site::{Said, Site, free_port, run};
use support::wait;

const SENT: &str = "1 data packet(s) sent to host successfully.\n";
const RESULT: &[u8] = b"web1\tHTTP\t0\tOK\n";
const LINE: &[u8] = b"PROCESS_SERVICE_CHECK_RESULT;web1;HTTP;0;OK";

/// The file of a Debian package, changed as a site must: `changes` are keys with their new values.
fn site_version(path: &str, package: &str, changes: &[(&str, &str)]) -> String {
    let file = fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}: run `apt-get install {package}`"));
    let changed = |line: &str| {
        let key = line.split('=').next().unwrap_or_default();
        let change = changes.iter().find(|(changed, _)| *changed == key);
        change.map_or_else(|| line.to_owned(), |(key, value)| format!("{key}={value}"))
    };
    file.lines().map(changed).map(|line| line + "\n").collect()
}

#[test]
fn the_files_of_the_packages_work_with_every_pair_of_programs() {
    let mut pairs: Vec<(Command, Command)> = Vec::new();
    let links = tempfile::TempDir::new().unwrap();
    let link = |name| ours_linked_as(name, links.path());
    pairs.push((stock_nsca(), stock_send_nsca()));
    pairs.push((link("nsca"), stock_send_nsca()));
    pairs.push((stock_nsca(), link("send_nsca")));
    pairs.push((link("nsca"), link("send_nsca")));
    for (mut nsca, mut send_nsca) in pairs {
        let site = Site::new(Method::Xor);
        let path = |name| site.path(name).display().to_string();
        let nsca_cfg = site_version(
            "/etc/nsca.cfg",
            "nsca",
            &[
                ("server_port", &site.port.to_string()),
                ("pid_file", &path("nsca.pid")),
                ("command_file", &path("nagios.cmd")),
                ("alternate_dump_file", &path("nsca.dump")),
                // The directory of the test belongs to whoever runs it.
                ("nsca_user", &Uid::current().to_string()),
                ("nsca_group", "0"),
            ],
        );
        site.write("nsca.cfg", &nsca_cfg);
        site.write("send_nsca.cfg", &site_version("/etc/send_nsca.cfg", "nsca-client", &[]));
        let _daemon = site.start(&mut nsca, "--single");
        let said = site.send(&mut send_nsca, &[], RESULT);
        assert_eq!(said, Said { code: Some(0), out: SENT.into(), err: String::new() });
        site.core.wait_for(1);
        assert_eq!(site.commands(), [LINE], "{nsca:?}, {send_nsca:?}");
    }
}

/// How two programs that should be the same may still differ.
enum Alike {
    /// Every word.
    Exactly,
    /// The first line of standard error; then help in words of our own.
    Usage,
    /// The exit code.
    Code,
}

#[track_caller]
fn assert_alike(what: &str, alike: &Alike, ours: &Said, stock: &Said) {
    assert_eq!(ours.code, stock.code, "{what}: {ours:?}, {stock:?}");
    match alike {
        Alike::Exactly => assert_eq!((&ours.out, &ours.err), (&stock.out, &stock.err), "{what}"),
        Alike::Usage => {
            assert_eq!(ours.err, stock.err, "{what}");
            assert!(ours.out.contains("Usage: ") && stock.out.contains("Usage: "), "{what}: {ours:?}");
        }
        Alike::Code => {}
    }
}

#[test]
fn send_nsca_answers_as_the_original_does() {
    let directory = tempfile::TempDir::new().unwrap();
    let unused = &free_port().to_string();
    fs::write(directory.path().join("good.cfg"), "password=x\n").unwrap();
    fs::write(directory.path().join("unknown.cfg"), "password=x\nbogus=1\n").unwrap();
    fs::write(directory.path().join("no-value.cfg"), "password\n").unwrap();
    fs::write(directory.path().join("method.cfg"), "encryption_method=13\n").unwrap();
    let lines: &[(&str, Alike)] = &[
        ("", Alike::Usage),
        ("--help", Alike::Usage),
        ("-h", Alike::Usage),
        ("--version", Alike::Code),
        ("--license", Alike::Code),
        ("-H", Alike::Usage),
        ("-H 127.0.0.1 --bogus", Alike::Usage),
        ("-H 127.0.0.1 -to 0", Alike::Usage),
        ("-H 127.0.0.1 -c", Alike::Usage),
        ("-p 1 127.0.0.1", Alike::Usage),
        ("127.0.0.1 127.0.0.2", Alike::Usage),
        ("-V bogus", Alike::Usage),
        ("-H 127.0.0.1 -c good.cfg -p PORT", Alike::Exactly),
        ("127.0.0.1 -c good.cfg -p PORT --quiet", Alike::Exactly),
        ("-H ::1 -c good.cfg -p PORT", Alike::Exactly),
        ("-H nothing.invalid -c good.cfg", Alike::Exactly),
        ("-H 127.0.0.1 -c unknown.cfg", Alike::Exactly),
        ("-H 127.0.0.1 -c no-value.cfg", Alike::Exactly),
        ("-H 127.0.0.1 -c method.cfg", Alike::Exactly),
        ("-H 127.0.0.1 -c missing.cfg", Alike::Code),
    ];
    for (line, alike) in lines {
        let args = line.replace("PORT", unused);
        let answer = |mut program: Command| {
            let args = args.split(' ').filter(|arg| !arg.is_empty());
            run(program.args(args).current_dir(directory.path()), RESULT)
        };
        let ours = answer(ours_linked_as("send_nsca", directory.path()));
        assert_alike(line, alike, &ours, &answer(stock_send_nsca()));
    }
}

/// What a daemon does that is none.
#[derive(Clone, Copy)]
enum Impostor {
    ClosesAtOnce,
    SaysNothing,
    BreaksAfterInit,
    ReadsEverything,
}

/// Serves two clients.
fn impostor(kind: Impostor) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            match kind {
                Impostor::ClosesAtOnce => {}
                Impostor::SaysNothing => kept.push(stream),
                Impostor::BreaksAfterInit => {
                    stream.write_all(&[0; nsca::packet::INIT_BYTES]).unwrap();
                    socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
                }
                Impostor::ReadsEverything => {
                    stream.write_all(&[0; nsca::packet::INIT_BYTES]).unwrap();
                    std::io::copy(&mut stream, &mut std::io::sink()).unwrap();
                }
            }
        }
        // Those that are told nothing give up by themselves.
        kept.into_iter().for_each(|stream| drop(std::io::copy(&mut &stream, &mut std::io::sink())));
    });
    port
}

#[test]
fn send_nsca_ends_as_the_original_does_whatever_the_daemon_does() {
    let many = &[RESULT; 20_000].join(&0x17)[..];
    let too_long = &[b"web1\tHTTP\t0\tOK\x17web1\tHTTP\t0\t", &[b'x'; 6000][..]].concat()[..];
    type Case<'a> = (&'a str, Impostor, &'a [&'a str], &'a [u8], Alike);
    let cases: &[Case<'_>] = &[
        ("no init packet", Impostor::ClosesAtOnce, &[], RESULT, Alike::Exactly),
        ("silence", Impostor::SaysNothing, &["-to", "1"], RESULT, Alike::Exactly),
        ("nothing to send", Impostor::ReadsEverything, &[], b"", Alike::Exactly),
        ("rubbish to send", Impostor::ReadsEverything, &[], b"no tabs in here\n", Alike::Exactly),
        ("one result", Impostor::ReadsEverything, &[], RESULT, Alike::Exactly),
        ("quietly", Impostor::ReadsEverything, &["--quiet"], RESULT, Alike::Exactly),
        ("a set that is too long", Impostor::ReadsEverything, &[], too_long, Alike::Code),
        ("a connection that breaks", Impostor::BreaksAfterInit, &[], many, Alike::Code),
    ];
    for (what, kind, args, input, alike) in cases {
        let site = Site::new(Method::Xor);
        let daemon = (Ipv4Addr::LOCALHOST, impostor(*kind)).into();
        let ours = site.send_to(daemon, &mut our_send_nsca(), args, input);
        let stock = site.send_to(daemon, &mut stock_send_nsca(), args, input);
        assert_alike(what, alike, &ours, &stock);
    }
}

#[test]
fn send_nsca_warns_when_the_daemon_refuses_a_result() {
    let site = Site::new(Method::Rijndael128);
    let _daemon = site.start(&mut our_nsca(), "--single");
    site.write("send_nsca.cfg", "password=wrong\nencryption_method=14\n");
    let said = site.send(&mut our_send_nsca(), &[], RESULT);
    assert_eq!((said.code, said.out.as_str()), (Some(0), SENT), "as with the original");
    assert!(said.err.contains("Compare password and encryption method"), "{said:?}");
}

#[test]
fn nsca_refuses_to_start_as_the_original_does() {
    let site = Site::new(Method::Xor);
    let busy = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let busy_port = format!("server_port={}", busy.local_addr().unwrap().port());
    // Keys, and what our daemon prints. The original says the same, but only to syslog.
    let mut cases = vec![
        ("bogus=1", "Unknown option specified in config file"),
        ("password", "No variable value specified in config file"),
        ("server_port=-1", "Invalid port number specified in config file"),
        ("decryption_method=13", "Invalid decryption method (13) in config file"),
        ("max_packet_age=901", "Max packet age cannot be greater than 15 minutes (900 seconds)."),
        ("check_result_path=/nonexistent", "check_result_path config variable found, but directory not writeable."),
        ("server_address=nothing.invalid", "Server address nothing.invalid port"),
        ("server_address=192.0.2.1", "Network server bind failure (99: "),
        (&busy_port, "Network server bind failure (98: "),
    ];
    if Uid::current().is_root() {
        cases.push(("nsca_user=nobody-here", "Could not get passwd entry for 'nobody-here'"));
        cases.push(("nsca_group=nobody-here", "Could not get group entry for 'nobody-here'"));
        cases.push(("nsca_chroot=/nonexistent", "can not chdir into chroot directory: "));
    }
    for (line, message) in cases {
        site.write_nsca_cfg(line);
        let start = |mut nsca: Command| run(nsca.arg("-f").arg("-c").arg(site.path("nsca.cfg")), b"");
        let (ours, stock) = (start(our_nsca()), start(stock_nsca()));
        assert_eq!(ours.code, stock.code, "{line}: {ours:?}");
        assert!(ours.err.contains(message), "{line}: {ours:?}");
    }
}

#[test]
fn nsca_answers_questions_as_the_original_does() {
    let directory = tempfile::TempDir::new().unwrap();
    for (line, alike) in [
        ("", Alike::Usage),
        ("-h", Alike::Usage),
        ("--help", Alike::Usage),
        ("-V", Alike::Code),
        ("-c x --version", Alike::Code),
        ("-l", Alike::Code),
        ("-c", Alike::Usage),
        ("-x", Alike::Usage),
        ("nsca.cfg", Alike::Usage),
        ("-V x", Alike::Usage),
        ("-c /nonexistent", Alike::Code),
        ("-f", Alike::Code),
        ("-i -c /nonexistent", Alike::Code),
    ] {
        let answer = |mut program: Command| {
            let args = line.split(' ').filter(|arg| !arg.is_empty());
            run(program.args(args).current_dir(directory.path()), b"")
        };
        let ours = answer(ours_linked_as("nsca", directory.path()));
        assert_alike(line, &alike, &ours, &answer(stock_nsca()));
    }
}

/// A daemon in the background, ended with the test.
struct Background(Pid);

impl Background {
    #[track_caller]
    fn start(site: &Site) -> Self {
        let said = run(our_nsca().arg("--daemon").arg("-c").arg(site.path("nsca.cfg")), b"");
        assert_eq!((said.code, said.out.as_str()), (Some(0), ""), "{said:?}");
        // A stale file is still there for a moment.
        let running = || Self::named_in(&site.path("nsca.pid")).filter(|daemon| daemon.stat().is_some());
        wait::until("the pid file of a running daemon", running)
    }

    fn named_in(pid_file: &Path) -> Option<Self> {
        let text = fs::read_to_string(pid_file).ok()?;
        text.strip_suffix('\n')?.parse().ok().map(|pid| Background(Pid::from_raw(pid)))
    }

    fn stat(&self) -> Option<String> {
        fs::read_to_string(format!("/proc/{}/stat", self.0)).ok().filter(|stat| !stat.contains(") Z "))
    }

    #[track_caller]
    fn terminate(&self) {
        kill(self.0, Signal::SIGTERM).unwrap();
        wait::until("the daemon to end", || self.stat().is_none().then_some(()));
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if self.stat().is_some() {
            // It may end at this moment.
            let _ = kill(self.0, Signal::SIGKILL);
        }
    }
}

fn site_with_pid_file() -> (Site, String) {
    let site = Site::new(Method::Rijndael128);
    let lines = format!("decryption_method=14\npid_file={}\n", site.path("nsca.pid").display());
    site.write_nsca_cfg(&lines);
    (site, lines)
}

#[test]
fn nsca_becomes_a_daemon_and_leaves_nothing_behind() {
    let (site, _) = site_with_pid_file();
    let daemon = Background::start(&site);
    assert!(site.path("nsca.pid").metadata().unwrap().permissions().mode() & 0o777 == 0o644);
    let stat = daemon.stat().unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    // State, parent, group, session, terminal.
    assert_ne!(fields[1], std::process::id().to_string(), "it has another parent");
    assert_eq!(fields[4], "0", "it has no terminal");
    for descriptor in 0..3 {
        let target = fs::read_link(format!("/proc/{}/fd/{descriptor}", daemon.0)).unwrap();
        assert_eq!(target, Path::new("/dev/null"));
    }
    // It listened before its starter ended: nothing to wait for.
    assert_eq!(site.send(&mut stock_send_nsca(), &[], RESULT).code, Some(0));
    site.core.wait_for(1);
    daemon.terminate();
    assert!(!site.path("nsca.pid").exists());
}

#[test]
fn a_second_instance_is_refused_and_a_stale_pid_file_is_not() {
    let (site, _) = site_with_pid_file();
    site.write("nsca.pid", "2147483647\n");
    let daemon = Background::start(&site);
    let ours = run(our_nsca().args(["-f", "-c"]).arg(site.path("nsca.cfg")), b"");
    let stock = run(stock_nsca().args(["-f", "-c"]).arg(site.path("nsca.cfg")), b"");
    assert_eq!(ours.code, stock.code);
    let message = format!("There's already an NSCA server running (PID {}).  Bailing out...", daemon.0);
    assert!(ours.err.contains(&message), "{ours:?}");
    assert_eq!(site.send(&mut our_send_nsca(), &[], RESULT).code, Some(0), "the first one serves on");
}

#[test]
fn a_reload_takes_new_settings_and_keeps_connections() {
    let (mut site, lines) = site_with_pid_file();
    let mut daemon = site.start(&mut our_nsca(), "--daemon");
    let mut patient = Client::connect((Ipv4Addr::LOCALHOST, site.port).into());
    patient.send("web1", "before", "sent before the reload");
    site.core.wait_for(1);

    // Another password.
    site.write_nsca_cfg(&format!("{lines}password=new\n"));
    daemon.signal(Signal::SIGHUP);
    site.write("send_nsca.cfg", "password=new\nencryption_method=14\n");
    let mut lines_so_far = 1;
    wait::until("the new password to count", || {
        let said = site.send(&mut our_send_nsca(), &[], RESULT);
        said.err.is_empty().then_some(())
    });
    lines_so_far += 1;
    site.core.wait_for(lines_so_far);

    // The connection from before still has the old one.
    patient.send("web1", "after", "sent after the reload");
    assert_eq!(patient.end(), End::Clean);
    lines_so_far += 1;
    site.core.wait_for(lines_so_far);

    // A broken file changes nothing.
    site.write_nsca_cfg(&format!("{lines}bogus=1\n"));
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for("the settings stay as they were");
    assert_eq!(site.send(&mut our_send_nsca(), &[], RESULT).err, "");
    lines_so_far += 1;

    // Another port and another command file.
    site.port = free_port();
    let elsewhere = support::fifo::Recorder::start(&site.path("elsewhere.cmd"));
    let command_file = site.path("elsewhere.cmd").display().to_string();
    site.write_nsca_cfg(&format!("{lines}password=new\ncommand_file={command_file}\n"));
    daemon.signal(Signal::SIGHUP);
    site.wait_until_served();
    assert_eq!(site.send(&mut our_send_nsca(), &[], RESULT).err, "");
    elsewhere.wait_for(1);
    assert_eq!(site.core.wait_for(lines_so_far).len(), lines_so_far);
    assert_eq!(daemon.terminate().code(), Some(0));
}

#[test]
fn results_wait_for_the_core_and_a_stop_waits_for_them() {
    let site = Site::new(Method::Rijndael128);
    let (command_file, dump) = (site.path("absent.cmd"), site.path("nsca.dump"));
    site.write_nsca_cfg(&format!(
        "decryption_method=14\ncommand_file={}\nalternate_dump_file={}\n",
        command_file.display(),
        dump.display()
    ));
    let mut daemon = site.start(&mut our_nsca(), "--single");
    let many = [RESULT; 300].join(&0x17);
    assert_eq!(site.send(&mut our_send_nsca(), &[], &many).code, Some(0));
    daemon.wait_for("results wait");
    daemon.signal(Signal::SIGTERM);
    daemon.wait_for("Caught SIGTERM - shutting down...");
    assert!(!command_file.exists(), "no regular file in the place of the command file");
    let core = support::fifo::Recorder::start(&command_file);
    assert_eq!(daemon.wait().code(), Some(0));
    daemon.wait_for("Daemon shutdown");
    assert_eq!(core.wait_for(300).len(), 300);
    assert!(!dump.exists());
}

#[test]
fn under_inetd_it_serves_the_connection_on_standard_input() {
    let site = Site::new(Method::Rijndael128);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    let duplicate = || Stdio::from(OwnedFd::from(accepted.try_clone().unwrap()));
    let mut nsca = our_nsca();
    nsca.arg("-c").arg(site.path("nsca.cfg")).arg("--inetd");
    nsca.stdin(duplicate()).stdout(duplicate()).stderr(duplicate());
    let mut child = nsca.spawn().unwrap();
    drop((nsca, accepted));
    let mut client = Client::greet(stream, support::client::secret(), 0);
    client.send("web1", "HTTP", "OK");
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.wait_for_close(), End::Clean, "nothing but the init packet was said");
    let status = wait::until("the end", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    site.core.wait_for(1);
    assert_eq!(site.commands(), [LINE]);

    // The original exits 0, and inetd's administrator wonders.
    let said = run(our_nsca().arg("-c").arg(site.path("nsca.cfg")).arg("--inetd"), b"");
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "without a connection");
}

/// As root it gives up its rights; anybody else has none to give up, and cannot change root.
#[test]
fn it_changes_root_and_user() {
    let site = Site::new(Method::Rijndael128);
    let jail = site.path("jail");
    fs::create_dir(&jail).unwrap();
    let core = support::fifo::Recorder::start(&jail.join("nagios.cmd"));
    site.write_nsca_cfg(&format!(
        "decryption_method=14\npid_file={}\nnsca_user=nobody\nnsca_chroot={}\ncommand_file=/nagios.cmd\n",
        site.path("nsca.pid").display(),
        jail.display()
    ));
    if !Uid::current().is_root() {
        let said = run(our_nsca().args(["-f", "-c"]).arg(site.path("nsca.cfg")), b"");
        assert_eq!(said.code, Some(3));
        assert!(said.err.contains("can not chroot: "), "{said:?}");
        return;
    }
    let nobody = User::from_name("nobody").unwrap().expect("every Debian has a user nobody");
    fs::set_permissions(&jail, fs::Permissions::from_mode(0o755)).unwrap();
    nix::unistd::chown(&jail.join("nagios.cmd"), Some(nobody.uid), None).unwrap();
    let daemon = site.start(&mut our_nsca(), "--single");
    let process = format!("/proc/{}", daemon.pid());
    assert_eq!(fs::read_link(format!("{process}/root")).unwrap(), jail);
    let status = fs::read_to_string(format!("{process}/status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(field("Uid:"), vec![nobody.uid.to_string(); 4]);
    assert_eq!(field("Gid:"), vec![nobody.gid.to_string(); 4]);
    assert!(!field("Groups:").contains(&"0".to_owned()));
    assert_eq!(site.path("nsca.pid").metadata().unwrap().uid(), nobody.uid.as_raw());
    assert_eq!(site.send(&mut stock_send_nsca(), &[], RESULT).code, Some(0));
    core.wait_for(1);
}
