//! The server's side of a session, whatever a client sends.

use std::sync::LazyLock;

use nsca::classic::{ServerSession, SessionError};
use nsca::packet::{IV_BYTES, LEGACY_PACKET_BYTES, PACKET_BYTES};
use nsca::{Method, Secret};

use super::packet::is_sound;
use super::pieces::{SIZES_BYTES, pieces};

/// The password of the recordings in `nsca/tests/data`, which are seeds of this target.
const PASSWORD: &[u8] = b"correct horse battery staple, and then some more of it";
const OTHER_PASSWORD: &[u8] = b"korrect horse battery staple, and then some more of it";
/// The time of the recordings.
const NOW: u32 = 1_795_354_950;

/// Code, host, service, output.
pub(super) type Said = (i16, Vec<u8>, Vec<u8>, Vec<u8>);
/// What a session said, and how it ended.
pub(super) type Outcome = (Vec<Said>, Result<(), SessionError>);

/// `data`: the method (u8, an index), the sizes of pieces, and what the client sends.
///
/// Reports and errors do not depend on how the bytes are cut. With another password nothing comes out. Without
/// encryption, exactly the sound packets come out up to the first that is none.
pub fn session(data: &[u8]) {
    let Some(([method, sizes @ ..], stream)) = data.split_first_chunk::<{ 1 + SIZES_BYTES }>() else { return };
    let [secret, other] = secrets(*method);
    let whole = receive(&mut server(secret), [stream]);
    let cut = receive(&mut server(secret), pieces(stream, *sizes));
    assert!(whole == cut, "pieces make a difference: {whole:?} {cut:?}");
    if secret.method() == Method::None {
        let (said, end) = whole;
        let (packets, sound) = sound_packets(stream);
        assert_eq!(said.len(), packets, "not all sound packets, or not only they");
        assert_eq!(end.is_ok(), sound, "{end:?}");
    } else {
        let (said, end) = receive(&mut server(other), [stream]);
        assert!(said.is_empty(), "with another password: {said:?}");
        assert_eq!(end.is_ok(), stream.is_empty(), "with another password: {end:?}");
    }
}

/// One method with two passwords. They are made once: some key schedules take long.
pub(super) fn secrets(method: u8) -> &'static [Secret; 2] {
    static SECRETS: LazyLock<Vec<[Secret; 2]>> = LazyLock::new(|| {
        Method::all().map(|method| [PASSWORD, OTHER_PASSWORD].map(|password| Secret::new(method, password))).collect()
    });
    &SECRETS[usize::from(method) % SECRETS.len()]
}

/// Feeds the pieces, as a connection does, then end of file.
pub(super) fn receive<'a>(session: &mut ServerSession, pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    receive_at(NOW, session, pieces)
}

/// Like [`receive`], at another time.
pub(super) fn receive_at<'a>(
    now: u32,
    session: &mut ServerSession,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Outcome {
    let mut said = Vec::new();
    for mut bytes in pieces {
        while !bytes.is_empty() {
            let taken = session.handle_bytes(bytes);
            assert!(taken > 0, "there is room after a poll");
            bytes = &bytes[taken..];
            loop {
                match session.poll_report(now) {
                    Ok(Some(report)) => {
                        said.push((report.code, report.host.into(), report.service.into(), report.output.into()));
                    }
                    Ok(None) => break,
                    Err(error) => {
                        assert_eq!(session.poll_report(now), Err(error), "an error does not last");
                        assert_eq!(session.handle_eof(), Err(error), "an error does not last");
                        return (said, Err(error));
                    }
                }
            }
            assert!(session.buffered() < PACKET_BYTES, "a whole packet waits");
        }
    }
    (said, session.handle_eof())
}

fn server(secret: &Secret) -> ServerSession {
    ServerSession::new(secret.clone(), iv(), NOW, None)
}

/// The initialization vector of the recordings.
pub(super) fn iv() -> [u8; IV_BYTES] {
    let mut bytes = [0x29_u8; IV_BYTES];
    for at in 1..IV_BYTES {
        bytes[at] = bytes[at - 1].wrapping_add(0x49);
    }
    bytes
}

/// How many sound packets `stream` begins with, and whether it ends after them.
fn sound_packets(mut stream: &[u8]) -> (usize, bool) {
    let mut packets = 0;
    while let Some(bytes) =
        [LEGACY_PACKET_BYTES, PACKET_BYTES].into_iter().find(|bytes| stream.get(..*bytes).is_some_and(is_sound))
    {
        packets += 1;
        stream = &stream[bytes..];
    }
    (packets, stream.is_empty())
}
