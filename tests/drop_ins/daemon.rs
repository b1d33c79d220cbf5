//! The daemon as a process: in the background, reloaded, stopped, under inetd, in a chroot as another user.

use std::fs;
use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, User};
use nsca::Method;

use crate::support::client::{self, Client, End};
use crate::support::fifo::Recorder;
use crate::support::peers::{our_nsca, our_send_nsca, stock_nsca, stock_send_nsca};
use crate::support::site::{Site, free_port, run};
use crate::support::wait;
use crate::{LINE, RESULT};

/// How long a connection may linger that has to end.
const LINGER: Duration = Duration::from_secs(1);

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

    // The connection from before goes on with the old one, and is not among those that must end.
    patient.stream.set_read_timeout(Some(2 * LINGER)).unwrap();
    let closed = wait::uninterrupted(|| patient.stream.read(&mut [0]));
    assert_eq!(closed.unwrap_err().kind(), ErrorKind::WouldBlock, "it is open");
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
    let elsewhere = Recorder::start(&site.path("elsewhere.cmd"));
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
    let core = Recorder::start(&command_file);
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
    let mut client = Client::greet(stream, client::secret(), 0);
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
    let core = Recorder::start(&jail.join("nagios.cmd"));
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
