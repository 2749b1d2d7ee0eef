//! The workload on turmoil.
//!
//! Owns: its hosts and their sockets. Promises: what suits turmoil best: datagrams,
//! which cost it one delivery a message, and a tick as long as the latency, as
//! every tick costs it something for each host. Leaves to others: what hosts send
//! (`workload`), timing (`rate`).

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use turmoil::net::UdpSocket;

use crate::workload::{self, Host, LATENCY, Letter, Message, Workload};

const PORT: u16 = 1_000;

/// Carries the workload; how many messages were delivered.
///
/// # Panics
/// If turmoil fails.
#[must_use]
pub fn carry(workload: Workload) -> u64 {
    let mut sim = turmoil::Builder::new()
        .rng_seed(1)
        .tick_duration(LATENCY)
        .min_message_latency(LATENCY)
        .max_message_latency(LATENCY)
        .udp_capacity(usize::MAX >> 4)
        .simulation_duration(time_max(workload))
        .build();
    let delivered = Rc::new(Cell::new(0));
    for host in workload.hosts() {
        let address = IpAddr::V4(workload::address(host.no()));
        sim.client(address, live(host, Rc::clone(&delivered)));
    }
    sim.run().expect("hosts only ping");
    delivered.get()
}

/// More than twice of what the rounds need; turmoil stops there.
fn time_max(workload: Workload) -> Duration {
    LATENCY * (workload.rounds() + 10) * 5
}

async fn live(mut host: Host, delivered: Rc<Cell<u64>>) -> turmoil::Result {
    let socket = UdpSocket::bind(("0.0.0.0", PORT)).await?;
    send(&socket, host.first()).await?;
    let mut bytes = [0; 2];
    while !host.is_done() {
        let (length, from) = socket.recv_from(&mut bytes).await?;
        delivered.set(delivered.get() + 1);
        let message = Message::from_bytes(&bytes[..length]).ok_or("no message")?;
        if let Some(letter) = host.receive(sender(from)?, message) {
            send(&socket, letter).await?;
        }
    }
    Ok(())
}

async fn send(socket: &UdpSocket, letter: Letter) -> turmoil::Result {
    let to = (IpAddr::V4(workload::address(letter.to)), PORT);
    socket.send_to(&letter.message.to_bytes(), to).await?;
    Ok(())
}

fn sender(from: SocketAddr) -> Result<u32, &'static str> {
    match from.ip() {
        IpAddr::V4(address) => Ok(workload::host_at(address)),
        IpAddr::V6(_) => Err("hosts have addresses of version 4"),
    }
}
