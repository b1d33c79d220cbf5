//! Arguments, messages and exit codes, side by side with the originals.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;

use nix::unistd::Uid;
use nsca::Method;

use crate::support::peers::{our_nsca, our_send_nsca, ours_linked_as, stock_nsca, stock_send_nsca};
use crate::support::site::{Said, Site, free_port, run};
use crate::{RESULT, SENT};

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
