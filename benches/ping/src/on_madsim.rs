//! The workload on madsim.
//!
//! Owns: its nodes and their sockets. Promises: datagrams, which cost madsim one
//! delivery a message. Its sockets delay each message by some simulated time of
//! their own, which cannot be switched off; what counts is deliveries. Leaves to
//! others: what hosts send (`workload`), timing (`rate`).

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use madsim::net::{NetSim, UdpSocket};
use madsim::runtime::{Handle, Runtime};

use crate::workload::{self, Host, LATENCY, Letter, Message, Workload};

const PORT: u16 = 1_000;
/// Latencies are drawn from a range that must not be empty.
const SHORTEST: Duration = Duration::from_nanos(1);

/// Carries the workload; how many messages were delivered.
///
/// # Panics
/// If madsim fails.
#[must_use]
pub fn carry(workload: Workload) -> u64 {
    Runtime::with_seed_and_config(1, madsim::Config::default()).block_on(world(workload))
}

async fn world(workload: Workload) -> u64 {
    NetSim::current().update_config(|config| {
        config.packet_loss_rate = 0.0;
        config.send_latency = LATENCY..LATENCY + SHORTEST;
    });
    let hosts: Vec<_> = workload.hosts().map(start).collect();
    let mut delivered = 0;
    for host in hosts {
        let received = host.await.expect("no host is killed");
        delivered += received.expect("hosts only ping");
    }
    delivered
}

fn start(host: Host) -> madsim::task::JoinHandle<io::Result<u64>> {
    let handle = Handle::current();
    let node = handle.create_node();
    let node = node.ip(IpAddr::V4(workload::address(host.no())));
    node.build().spawn(live(host))
}

async fn live(mut host: Host) -> io::Result<u64> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
    // What is sent to a host without a socket is lost.
    madsim::time::sleep(LATENCY).await;
    send(&socket, host.first()).await?;
    let mut received = 0;
    let mut bytes = [0; 2];
    while !host.is_done() {
        let (length, from) = socket.recv_from(&mut bytes).await?;
        received += 1;
        let message = Message::from_bytes(&bytes[..length]).ok_or(io::ErrorKind::InvalidData)?;
        if let Some(letter) = host.receive(sender(from)?, message) {
            send(&socket, letter).await?;
        }
    }
    Ok(received)
}

async fn send(socket: &UdpSocket, letter: Letter) -> io::Result<()> {
    let to = SocketAddr::from((workload::address(letter.to), PORT));
    socket.send_to(to, &letter.message.to_bytes()).await
}

fn sender(from: SocketAddr) -> io::Result<u32> {
    match from.ip() {
        IpAddr::V4(address) => Ok(workload::host_at(address)),
        IpAddr::V6(_) => Err(io::ErrorKind::InvalidData.into()),
    }
}
