//! `--inetd`: one connection, which somebody else has accepted, on standard input.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::os::fd::AsFd as _;
use std::time::Duration;

use tokio::net::TcpStream;

use super::Refusal;
use crate::NscaCfg;

/// How long results may wait for the core after the peer has closed the connection.
const GRACE: Duration = Duration::from_secs(30);

/// Serves the peer to the end, then gives its results to the core.
pub(super) fn serve(cfg: &NscaCfg) -> Result<(), Refusal> {
    let failed = |what| move |error| Refusal::System(what, error);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(failed("cannot start the runtime"))?;
    runtime.block_on(async {
        let stream = standard_input().map_err(failed(
            "standard input is no connection: start this from inetd, xinetd or a systemd socket with Accept=yes",
        ))?;
        // The address is that of nobody: it only names the settings.
        let settings = cfg.receiver(&[SocketAddr::from((Ipv6Addr::UNSPECIFIED, cfg.port))]);
        let receiver = super::receive(&settings, Vec::new())?;
        let served = receiver.serve(stream, &settings.listeners[0]).await;
        receiver.stop(GRACE).await;
        served.map_err(failed("the peer was gone before it was served"))
    })
}

fn standard_input() -> io::Result<TcpStream> {
    let stream = std::net::TcpStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // Only a connected socket has a peer.
    stream.peer_addr()?;
    stream.set_nonblocking(true)?;
    TcpStream::from_std(stream)
}
