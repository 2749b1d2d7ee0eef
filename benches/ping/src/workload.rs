//! What every simulator has to carry.
//!
//! Owns: who sends what to whom, and how hosts are addressed. Promises: it is the
//! same for all of them, without a clock, a socket or a choice; a message too many
//! is a panic, so that a simulator that repeats or invents one has no figure.
//! Leaves to others: carrying messages.

use std::net::Ipv4Addr;
use std::time::Duration;

/// How long a message is under way.
pub const LATENCY: Duration = Duration::from_nanos(LATENCY_NS);
/// The same as a number.
pub const LATENCY_NS: u64 = 1_000_000;

/// The addresses of hosts are counted from here.
const FIRST_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

/// Hosts in a circle. Each pings the next one, waits for its pong, and begins
/// again until it has done so for all rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    hosts: u32,
    rounds: u32,
}

impl Workload {
    /// Hosts that ping for so many rounds; nothing if they are fewer than two, or
    /// more than there are addresses for.
    #[must_use]
    pub fn new(hosts: u32, rounds: u32) -> Option<Self> {
        let possible = (2..=u32::from(u16::MAX)).contains(&hosts) && rounds > 0;
        possible.then_some(Self { hosts, rounds })
    }

    /// How many messages are delivered in all.
    #[must_use]
    pub fn deliveries(self) -> u64 {
        2 * u64::from(self.hosts) * u64::from(self.rounds)
    }

    /// How many hosts there are.
    #[must_use]
    pub fn host_count(self) -> u32 {
        self.hosts
    }

    /// How often each of them pings.
    #[must_use]
    pub fn rounds(self) -> u32 {
        self.rounds
    }

    /// The hosts, before their first ping.
    pub fn hosts(self) -> impl Iterator<Item = Host> {
        (0..self.hosts).map(move |no| Host {
            no,
            next: (no + 1) % self.hosts,
            pings_due: self.rounds,
            pongs_due: self.rounds,
        })
    }
}

/// What hosts send to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// Wants an answer.
    Ping,
    /// Is one.
    Pong,
}

impl Message {
    /// The message as sockets carry it.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 1] {
        match self {
            Self::Ping => [b'i'],
            Self::Pong => [b'o'],
        }
    }

    /// Reads what a socket carried; nothing if that was no message.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes {
            b"i" => Some(Self::Ping),
            b"o" => Some(Self::Pong),
            _ => None,
        }
    }
}

/// A message and the host that it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The host's number.
    pub to: u32,
    /// What it is told.
    pub message: Message,
}

/// One host.
#[derive(Debug)]
pub struct Host {
    no: u32,
    next: u32,
    pings_due: u32,
    pongs_due: u32,
}

impl Host {
    /// Its number.
    #[must_use]
    pub fn no(&self) -> u32 {
        self.no
    }

    /// What it sends first.
    #[must_use]
    pub fn first(&self) -> Letter {
        Letter {
            to: self.next,
            message: Message::Ping,
        }
    }

    /// Takes a message, and gives what the host sends because of it.
    ///
    /// # Panics
    /// If it is one more than there can be.
    pub fn receive(&mut self, from: u32, message: Message) -> Option<Letter> {
        match message {
            Message::Ping => {
                self.pings_due = one_less(self.pings_due);
                Some(Letter {
                    to: from,
                    message: Message::Pong,
                })
            }
            Message::Pong => {
                self.pongs_due = one_less(self.pongs_due);
                (self.pongs_due > 0).then(|| self.first())
            }
        }
    }

    /// Whether nothing more will reach it.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.pings_due == 0 && self.pongs_due == 0
    }
}

fn one_less(due: u32) -> u32 {
    due.checked_sub(1)
        .expect("a simulator delivers each message once")
}

/// The address of a host.
#[must_use]
pub fn address(no: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(FIRST_ADDRESS.to_bits() + no)
}

/// The host of an address.
#[must_use]
pub fn host_at(address: Ipv4Addr) -> u32 {
    address.to_bits() - FIRST_ADDRESS.to_bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_pings_as_often_as_there_are_rounds() {
        let workload = Workload::new(3, 2).expect("three hosts can ping");
        let mut host = workload.hosts().last().expect("there are three");
        assert_eq!((host.first().to, workload.deliveries()), (0, 12));
        assert_eq!(host.receive(0, Message::Pong), Some(host.first()));
        assert_eq!(host.receive(0, Message::Pong), None);
        assert!(!host.is_done());
        let pong = Letter {
            to: 1,
            message: Message::Pong,
        };
        assert_eq!(host.receive(1, Message::Ping), Some(pong));
        assert_eq!(host.receive(1, Message::Ping), Some(pong));
        assert!(host.is_done());
    }

    #[test]
    #[should_panic(expected = "each message once")]
    fn a_message_too_many_is_noticed() {
        let workload = Workload::new(2, 1).expect("two hosts can ping");
        let mut host = workload.hosts().next().expect("there are two");
        host.receive(1, Message::Pong);
        host.receive(1, Message::Pong);
    }

    #[test]
    fn there_are_two_hosts_at_least_and_one_round() {
        assert_eq!(Workload::new(1, 1), None);
        assert_eq!(Workload::new(2, 0), None);
        assert_eq!(Workload::new(1 << 16, 1), None);
    }

    #[test]
    fn addresses_and_messages_are_read_as_they_were_written() {
        for no in [0, 254, 255, 65_534] {
            assert_eq!(host_at(address(no)), no);
        }
        for message in [Message::Ping, Message::Pong] {
            assert_eq!(Message::from_bytes(&message.to_bytes()), Some(message));
        }
        assert_eq!(Message::from_bytes(b"io"), None);
    }
}
