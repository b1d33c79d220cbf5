//! Every combination of stock and own programs writes what the stock pair writes: byte for byte, apart from the time,
//! for every encryption method. The two differences that are meant have tests of their own.

#![allow(clippy::unwrap_used, reason = "a test ends at whatever goes wrong")]

mod cases;
#[path = "../support/mod.rs"]
mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use cases::Case;
use nsca::Method;
use support::fifo::Recorder;
use support::peers::{our_nsca, our_send_nsca, stock_nsca, stock_send_nsca};
use support::process::Running;
use support::site::{Site, commands};
use support::standby::{Options, Standby};

/// A daemon of any kind, and the core that it writes to.
struct Daemon {
    /// Where its clients' configuration is.
    site: Site,
    address: SocketAddr,
    kind: Kind,
}

/// What runs, until it is dropped.
enum Kind {
    Nsca { _running: Running },
    Standby { _running: Standby, core: Recorder },
}

impl Daemon {
    /// A program that takes `nsca.cfg`.
    #[track_caller]
    fn start(method: Method, nsca: &mut Command, mode: &str) -> Self {
        let site = Site::new(method);
        let running = site.start(nsca, mode);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, site.port));
        Daemon { site, address, kind: Kind::Nsca { _running: running } }
    }

    /// `understudy run`.
    #[track_caller]
    fn standby(method: Method) -> Self {
        let listener = format!("encryption = \"{method}\"");
        let standby = Standby::start(&Options { listener: &listener, ..Options::default() });
        let core = Recorder::start(&standby.command_file());
        let address = standby.address;
        Daemon { site: Site::new(method), address, kind: Kind::Standby { _running: standby, core } }
    }

    fn core(&self) -> &Recorder {
        match &self.kind {
            Kind::Nsca { .. } => &self.site.core,
            Kind::Standby { core, .. } => core,
        }
    }

    /// Sends each case over a connection of its own, and returns what the core read.
    #[track_caller]
    fn take(&self, send_nsca: fn() -> Command, cases: &[Case]) -> Vec<Vec<u8>> {
        let mut lines = 0;
        for Case { name, args, input, results } in cases {
            let said = self.site.send_to(self.address, &mut send_nsca(), args, input);
            assert_eq!(said.out, format!("{results} data packet(s) sent to host successfully.\n"), "{name}: {said:?}");
            assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{name}");
            lines += results;
            self.core().wait_for(lines);
        }
        commands(self.core())
    }
}

#[track_caller]
fn assert_same(who: &str, method: Method, lines: &[Vec<u8>], stock: &[Vec<u8>]) {
    for (ours, stock) in lines.iter().zip(stock) {
        let text = |line: &[u8]| line.escape_ascii().to_string();
        assert_eq!(text(ours), text(stock), "{who}, {method}");
    }
    assert_eq!(lines.len(), stock.len(), "{who}, {method}");
}

/// All combinations for one method, at the same time.
fn all_combinations(method: Method) {
    let modern = &cases::modern();
    let legacy = &cases::legacy();
    let stock = &Daemon::start(method, &mut stock_nsca(), "--single");
    let expected = &stock.take(stock_send_nsca, modern);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let ours = Daemon::start(method, &mut our_nsca(), "--daemon");
            assert_same("stock send_nsca to our nsca", method, &ours.take(stock_send_nsca, modern), expected);
        });
        scope.spawn(|| {
            let ours = Daemon::standby(method);
            assert_same("stock send_nsca to understudy run", method, &ours.take(stock_send_nsca, modern), expected);
        });
        scope.spawn(|| {
            let single = Daemon::start(method, &mut stock_nsca(), "--single");
            assert_same("our send to nsca --single", method, &single.take(our_send_nsca, modern), expected);
        });
        scope.spawn(|| {
            // It may take a second for each connection, so all sets share one.
            let together = cases::together();
            let daemon = Daemon::start(method, &mut stock_nsca(), "--daemon");
            let lines = daemon.take(our_send_nsca, &[together]);
            assert_same("our send to nsca --daemon", method, &lines, &expected[..lines.len()]);
        });
    });
    let expected = &Daemon::start(method, &mut stock_nsca(), "--single").take(stock_send_nsca, legacy);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let ours = Daemon::start(method, &mut our_nsca(), "--single");
            assert_same("legacy, stock to ours", method, &ours.take(stock_send_nsca, legacy), expected);
        });
        scope.spawn(|| {
            let single = Daemon::start(method, &mut stock_nsca(), "--single");
            assert_same("legacy, ours to stock", method, &single.take(our_send_nsca, legacy), expected);
        });
        scope.spawn(|| {
            let ours = Daemon::start(method, &mut our_nsca(), "--single");
            let lines = ours.take(our_send_nsca, &[cases::legacy_together()]);
            assert_same("legacy, many in one connection, ours to ours", method, &lines, expected);
        });
    });
}

macro_rules! methods {
    ($($test:ident $number:literal)*) => {
        $(
            #[test]
            fn $test() {
                all_combinations(Method::try_from($number).unwrap());
            }
        )*

        #[test]
        fn every_method_is_here() {
            assert_eq!(Method::all().map(Method::number).collect::<Vec<u8>>(), [$($number),*]);
        }
    };
}

methods! {
    none 0
    xor 1
    des 2
    triple_des 3
    cast_128 4
    cast_256 5
    xtea 6
    blowfish 8
    twofish 9
    loki97 10
    rc2 11
    rijndael_128 14
    rijndael_192 15
    rijndael_256 16
    serpent 20
    gost 23
    safer_plus 26
}

/// A difference that is meant: where a text does not fit, the original cuts through the middle of a character,
/// and this program before it.
#[test]
fn a_cut_spares_the_character_that_the_original_splits() {
    let prefix = b"PROCESS_SERVICE_CHECK_RESULT;web1;Long;0;";
    let output = "ü".repeat(2100);
    let written_by = |send_nsca| {
        let input = format!("web1\tLong\t0\t{output}").into_bytes();
        let case = Case { name: "a character on the edge", args: &[], input, results: 1 };
        let daemon = Daemon::start(Method::Xor, &mut stock_nsca(), "--single");
        let line = daemon.take(send_nsca, &[case]).remove(0);
        line.strip_prefix(prefix).expect("the result that was sent").to_vec()
    };
    let (ours, stock) = (written_by(our_send_nsca), written_by(stock_send_nsca));
    assert_eq!(ours, output.as_bytes()[..4094]);
    assert_eq!(stock, output.as_bytes()[..4095]);
}
