//! `send_nsca/`: what send_nsca 2.10.2 sent for each input.

use std::time::Instant;

use super::*;
use crate::classic::{ClientSession, ServerSession};
use crate::packet::{Init, PacketSize};
use crate::sets;

#[derive(Deserialize)]
struct Index {
    iv: String,
    timestamp: u32,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    case: String,
    method: u8,
    password: String,
    args: Vec<String>,
    stdin_hex: String,
    file: String,
    stdout: String,
}

/// What a set or a report says.
type Said = (i16, Vec<u8>, Vec<u8>, Vec<u8>);

impl Index {
    fn read() -> Self {
        serde_json::from_slice(&std::fs::read(data("send_nsca/index.json")).unwrap()).unwrap()
    }

    fn init(&self) -> Init {
        Init { iv: hex(&self.iv).try_into().unwrap(), timestamp: self.timestamp }
    }
}

impl Case {
    fn secret(&self) -> Secret {
        Secret::new(Method::try_from(self.method).unwrap(), self.password.as_bytes())
    }

    fn size(&self) -> PacketSize {
        let legacy = self.args.iter().any(|arg| arg == "--legacy-2-7-mode");
        if legacy { PacketSize::Legacy } else { PacketSize::Modern }
    }

    fn recorded(&self) -> Vec<u8> {
        std::fs::read(data("send_nsca").join(&self.file)).unwrap()
    }

    /// What send_nsca read.
    fn given(&self) -> Vec<Said> {
        let delimiter = self.args.iter().position(|arg| arg == "-d").map(|at| self.args[at + 1].as_bytes());
        let delimiter = delimiter.map_or(sets::FIELD_DELIMITER, sets::delimiter);
        let stdin = hex(&self.stdin_hex);
        let given = stdin.split(|byte| *byte == sets::SET_DELIMITER);
        let given = given.filter_map(|set| sets::parse(set, delimiter));
        given.map(|set| (set.code, set.host.into(), set.service.into(), set.output.into())).collect()
    }
}

#[test]
fn every_recording_is_understood() {
    let index = Index::read();
    assert_eq!(index.cases.len(), 24);
    for case in &index.cases {
        let mut session = ServerSession::new(case.secret(), index.init().iv, index.timestamp, None);
        let recorded = case.recorded();
        let mut reports: Vec<Said> = Vec::new();
        let mut rest = &recorded[..];
        while !rest.is_empty() {
            let taken = session.handle_bytes(rest);
            rest = &rest[taken..];
            while let Some(report) = session.poll_report(index.timestamp).unwrap() {
                assert_eq!(report.timestamp, index.timestamp);
                reports.push((report.code, report.host.into(), report.service.into(), report.output.into()));
            }
        }
        session.handle_eof().unwrap();
        let mut given = case.given();
        for (_, host, service, output) in &mut given {
            host.truncate(63);
            service.truncate(127);
            output.truncate(case.size().max_output_bytes());
        }
        assert_eq!(reports, given, "{}", case.case);
        assert!(case.stdout.starts_with(&format!("{} data packet(s)", reports.len())), "{}", case.case);
    }
}

#[test]
fn our_client_sends_the_same_but_for_the_filler() {
    let index = Index::read();
    let now = Instant::now();
    for case in &index.cases {
        let mut session = ClientSession::new(case.secret(), case.size(), 1);
        session.handle_bytes(&index.init().encode(), now).unwrap();
        let mut sent = Vec::new();
        for (code, host, service, output) in case.given() {
            let _ = session.encode(code, &host, &service, &output, now, &mut sent);
        }
        let ours = decrypt(case, &index, &sent);
        let theirs = decrypt(case, &index, &case.recorded());
        assert_eq!(ours.len(), theirs.len(), "{}", case.case);
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert!(without_filler(ours) == without_filler(theirs), "{}", case.case);
        }
    }
}

#[test]
fn the_recorded_packets_encrypt_to_the_recorded_bytes() {
    let index = Index::read();
    for case in &index.cases {
        let mut keystream = Keystream::new(case.secret(), index.init().iv);
        let mut encrypted = Vec::new();
        for mut packet in decrypt(case, &index, &case.recorded()) {
            keystream.begin_packet();
            keystream.encrypt(&mut packet);
            encrypted.extend(packet);
        }
        assert!(encrypted == case.recorded(), "{}", case.case);
    }
}

/// The packets in what was sent for `case`, decrypted.
fn decrypt(case: &Case, index: &Index, sent: &[u8]) -> Vec<Vec<u8>> {
    let mut keystream = Keystream::new(case.secret(), index.init().iv);
    let packets = sent.chunks_exact(case.size().bytes());
    packets
        .map(|packet| {
            let mut packet = packet.to_vec();
            keystream.begin_packet();
            keystream.decrypt(&mut packet);
            packet
        })
        .collect()
}

/// A packet with zeros where each sender may put what it likes, and in its CRC, which depends on that.
fn without_filler(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    packet[2..8].fill(0);
    let end = packet.len();
    packet[end - 2..].fill(0);
    for field in [14..78, 78..206, 206..end - 2] {
        let field = &mut packet[field];
        let nul = field.iter().position(|byte| *byte == 0).expect("every text ends in NUL");
        field[nul..].fill(0);
    }
    packet
}
