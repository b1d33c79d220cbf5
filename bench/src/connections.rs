//! One packet for each connection, as most of the field sends, without encryption, from many addresses. From the first
//! connection to the last line read.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result};
use nsca::classic::ClientSession;
use nsca::packet::{INIT_BYTES, IV_BYTES, Init, PacketSize};
use nsca::{Method, Secret};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::task::JoinSet;

use crate::report::{Row, Target};
use crate::rounds;
use crate::stage::PATIENCE;
use crate::stage::drain::Drain;
use crate::stage::feeder::encode;
use crate::stage::programs::{our_receiver, stock_nsca};
use crate::stage::results::Results;

const METHOD: Method = Method::None;
const CONNECTIONS: usize = 20_000;

/// As many clients connect to ours at the same time, each from addresses of its own: no port is used twice.
const CLIENTS: u8 = 8;

/// The stock daemon soon answers nobody any more when two connections are open at the same time. With one client after the
/// other it is at its best.
const CLIENTS_OF_STOCK: u8 = 1;

pub(crate) fn measure(rounds: usize) -> Result<Vec<Row>> {
    let comparison = rounds::compare(rounds, stock, ours)?;
    let measure = "connections with one packet each, no encryption, stock at its best, connections/s".to_owned();
    Ok(vec![Row::of(measure, comparison.per_second(CONNECTIONS), Target::Ratio(2.0))])
}

fn stock() -> Result<Duration> {
    let directory = tempfile::tempdir()?;
    let drain = Drain::new(directory.path().join("nagios.cmd"))?;
    let (_daemon, port) = stock_nsca(directory.path(), METHOD, drain.path())?;
    connect_all(&drain, port, CLIENTS_OF_STOCK).context("stock nsca")
}

fn ours() -> Result<Duration> {
    let directory = tempfile::tempdir()?;
    let drain = Drain::new(directory.path().join("nagios.cmd"))?;
    let (_daemon, port) = our_receiver(directory.path(), METHOD, &drain.core(), "")?;
    connect_all(&drain, port, CLIENTS).context("understudy")
}

fn connect_all(drain: &Drain, port: u16, clients: u8) -> Result<Duration> {
    let packets = packets()?;
    let left = Arc::new(AtomicUsize::new(CONNECTIONS));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let begin = Instant::now();
    runtime.block_on(async {
        let mut running = JoinSet::new();
        for (number, packet) in (0..clients).zip(packets) {
            running.spawn(client(number, packet, port, left.clone()));
        }
        let all = async {
            while let Some(ended) = running.join_next().await {
                ended.expect("a client does not panic")?;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(PATIENCE, all).await.context("not all connections were served")?
    })?;
    Ok(drain.take(CONNECTIONS)? - begin)
}

/// Connects again and again, as long as connections are left to be made.
async fn client(number: u8, packet: Vec<u8>, port: u16, left: Arc<AtomicUsize>) -> Result<()> {
    let daemon = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let is_wanted = || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
    let mut address = 0;
    while is_wanted() {
        address = address % 250 + 1;
        let socket = TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::new(127, 1, number, address), 0).into())?;
        let mut stream = socket.connect(daemon).await.context("cannot connect")?;
        stream.read_exact(&mut [0; INIT_BYTES]).await.context("no init packet")?;
        stream.write_all(&packet).await?;
        stream.shutdown().await?;
        stream.read(&mut [0]).await.context("the packet was refused")?;
    }
    Ok(())
}

/// A packet for each client. Daemons take them for some seconds after they were made.
fn packets() -> Result<Vec<Vec<u8>>> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let init = Init { iv: [0; IV_BYTES], timestamp: u32::try_from(now)? };
    let mut session = ClientSession::new(Secret::new(METHOD, b""), PacketSize::Modern, 1);
    session.handle_bytes(&init.encode(), Instant::now())?;
    let packet = |result| {
        let mut packet = Vec::new();
        encode(&mut session, &result, &mut packet);
        packet
    };
    Ok(Results::new(CLIENTS.into()).iter().map(packet).collect())
}
