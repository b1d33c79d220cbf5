//! A daemon that reads everything and does nothing with it, so that it is never what is waited for.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, bail};
use nsca::packet::{IV_BYTES, Init, PACKET_BYTES};

use super::PATIENCE;

/// Listens; who connects waits until it is served.
pub(crate) struct Sink(TcpListener);

impl Sink {
    pub(crate) fn new() -> Result<Sink> {
        Ok(Sink(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?))
    }

    pub(crate) fn port(&self) -> Result<u16> {
        Ok(self.0.local_addr()?.port())
    }

    /// Serves one connection. How long so many packets took, from the init packet on.
    pub(crate) fn serve(&self, packets: usize) -> Result<Duration> {
        let (mut stream, _) = self.0.accept()?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
        let init = Init { iv: [7; IV_BYTES], timestamp: u32::try_from(now)? };
        let mut buffer = vec![0; 1 << 18];
        let mut missing = packets * PACKET_BYTES;
        let begin = Instant::now();
        stream.write_all(&init.encode())?;
        while missing > 0 {
            let bytes = stream.read(&mut buffer).context("the client does not send")?;
            if bytes == 0 || bytes > missing {
                bail!("the client sent other than {packets} packets: {missing} bytes were missing, {bytes} came");
            }
            missing -= bytes;
        }
        let took = begin.elapsed();
        // To the client's end: a close before it would look like a refusal.
        while stream.read(&mut buffer).context("the client does not end")? > 0 {}
        Ok(took)
    }
}
