//! Client and daemon over a real socket: what each tells the other, and what bad clients cost.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use control::protocol::MAX_REQUEST_BYTES;
use control::{Answer, Client, ClientError, Control, Forgot, Handler, MAX_CONNECTIONS, Request, Serving, Status};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Answers like a daemon with one destination that was sealed.
struct Daemon;

impl Handler for Daemon {
    async fn handle(&self, request: Request) -> Answer {
        match request {
            Request::Status => Answer::Status(Box::new(Status { node: "master".into(), ..Status::default() })),
            Request::Forget { destination } => match destination.as_str() {
                "sealed" => Answer::Forgotten,
                "classic" => Answer::NothingToForget,
                "defect" => panic!("this is a test"),
                _ => Answer::NoSuchDestination { known: vec!["sealed".into(), "classic".into()] },
            },
            Request::Takeover { reason } => Answer::Done { notes: vec![reason] },
            _ => Answer::Refused { reason: "this daemon has no [failover] section".into() },
        }
    }
}

struct Site {
    socket: PathBuf,
    daemon: Arc<Daemon>,
    serving: Option<Serving>,
    runtime: Runtime,
    _directory: TempDir,
}

impl Site {
    fn new() -> Site {
        let directory = TempDir::new().unwrap();
        let (socket, daemon) = (directory.path().join("control.sock"), Arc::new(Daemon));
        let runtime = Runtime::new().unwrap();
        let control = Control::bind(&socket).unwrap();
        let serving = runtime.block_on(async { control.serve(daemon.clone()).unwrap() });
        Site { socket, daemon, serving: Some(serving), runtime, _directory: directory }
    }

    fn client(&self) -> Client {
        Client::new(&self.socket)
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// What the daemon answers to these bytes.
    fn say(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        // A daemon that has heard enough closes.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    fn stop(&mut self) {
        self.runtime.block_on(self.serving.take().unwrap().stop());
    }
}

#[test]
fn each_request_gets_its_answer() {
    let site = Site::new();
    assert_eq!(site.client().status().unwrap().node, "master");
    assert_eq!(site.client().forget("sealed").unwrap(), Forgot::Something);
    assert_eq!(site.client().forget("classic").unwrap(), Forgot::Nothing);
    let unknown = site.client().forget("standby").unwrap_err().to_string();
    assert!(unknown.contains("\"standby\"") && unknown.contains("sealed, classic"), "{unknown}");
    assert_eq!(site.client().order(&Request::Takeover { reason: "work".into() }).unwrap(), ["work"]);
    let refused = site.client().order(&Request::Release).unwrap_err().to_string();
    assert!(refused.contains("refuses") && refused.contains("[failover]"), "{refused}");
}

#[test]
fn nonsense_is_refused_with_a_reason() {
    let site = Site::new();
    let newer = site.say(b"{\"protocol\":2,\"request\":\"status\"}\n");
    assert!(newer.contains("\"answer\":\"refused\"") && newer.contains("version 2"), "{newer}");
    for nonsense in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\n", b"{}", b"\xff\xfe\x00\n", &vec![b'{'; MAX_REQUEST_BYTES]] {
        let answer = site.say(nonsense);
        assert!(answer.contains("\"answer\":\"refused\""), "{answer}");
    }
    let long = site.say(&vec![b' '; MAX_REQUEST_BYTES + 1]);
    assert!(long.contains("at most 65536 bytes"), "{long}");
    assert_eq!(site.say(b""), "");
    assert!(site.client().status().is_ok());
}

/// All places but one are held by clients that say nothing, or not all of it.
#[test]
fn clients_that_hang_hold_nobody_up_and_are_gone_after_some_seconds() {
    let site = Site::new();
    let mut hanging: Vec<UnixStream> = (1..MAX_CONNECTIONS).map(|_| site.connect()).collect();
    hanging[0].write_all(b"{\"protocol\":").unwrap();
    let asked = Instant::now();
    for _ in 0..100 {
        site.client().status().unwrap();
    }
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}: the others were waited for", asked.elapsed());
    // Now every place is taken, and still there is an answer: after the first of them is given up.
    hanging.push(site.connect());
    site.client().status().unwrap();
    for mut stream in hanging {
        assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "it is closed");
    }
}

#[test]
fn a_stop_cuts_those_who_have_not_asked_and_lets_go_of_the_handler() {
    let mut site = Site::new();
    let mut hanging = site.connect();
    site.client().status().unwrap();
    let begun = Instant::now();
    site.stop();
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}: it waited for a client that hangs", begun.elapsed());
    assert_eq!(hanging.read(&mut [0; 1]).unwrap(), 0);
    assert_eq!(Arc::strong_count(&site.daemon), 1);
    assert!(!site.socket.exists());
    assert!(matches!(site.client().status(), Err(ClientError::NotRunning(_))));
}

#[test]
fn a_defect_ends_one_conversation_only() {
    let site = Site::new();
    let error = site.client().forget("defect").unwrap_err();
    assert!(matches!(error, ClientError::NoAnswer(_)), "{error}");
    assert!(site.client().status().is_ok());
}

#[test]
fn the_client_says_what_is_the_matter() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("control.sock");
    let ask = || Client::new(&path).status().unwrap_err();
    assert!(matches!(ask(), ClientError::NotRunning(_)));
    drop(UnixListener::bind(&path).unwrap());
    let stale = ask();
    assert!(matches!(stale, ClientError::NotRunning(_)) && stale.to_string().contains("systemctl status"), "{stale}");
    std::fs::remove_file(&path).unwrap();
    for (answer, says) in [
        ("{\"protocol\":7,\"answer\":\"status\"}\n", "version 7"),
        ("220 mail.example.org ESMTP\n", "another version"),
        ("{\"protocol\":1,\"answer\":\"forgotten\"}\n", "something else"),
        ("{\"protocol\":1,\"answer\":\"refused\",\"reason\":\"not today\"}\n", "not today"),
        ("", "without an answer"),
    ] {
        let _listener = serve_once(&path, answer);
        let error = ask().to_string();
        assert!(error.contains(says), "{error}");
        std::fs::remove_file(&path).unwrap();
    }
}

/// A daemon that gives one client this answer.
fn serve_once(path: &Path, answer: &'static str) -> std::thread::JoinHandle<()> {
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        assert!(stream.read(&mut request).unwrap() > 0);
        stream.write_all(answer.as_bytes()).unwrap();
    })
}
