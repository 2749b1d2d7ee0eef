//! The ping workload on the queue of MAASL's simulator.
//!
//! Owns: hosts around a queue. Promises: the queue is the one every world of
//! `maasl-sim` runs on; nothing else of a world is in it, so its figure is what
//! the event loop allows, not what a simulated MAASL reaches. Leaves to others:
//! the workload, and the same on turmoil and madsim (`maasl-ping`).

use maasl_ping::workload::{Host, LATENCY_NS, Letter, Workload};
use maasl_sim::world::queue::Queue;

/// A letter and the number of its sender.
struct Delivery {
    from: u32,
    letter: Letter,
}

/// Carries the workload; how many messages were delivered.
#[must_use]
pub fn carry(workload: Workload) -> u64 {
    let mut hosts: Vec<Host> = workload.hosts().collect();
    let mut queue = Queue::default();
    for host in &hosts {
        let (from, letter) = (host.no(), host.first());
        queue.push(LATENCY_NS, Delivery { from, letter });
    }
    let mut delivered = 0;
    while let Some((at_ns, Delivery { from, letter })) = queue.pop() {
        delivered += 1;
        let host = &mut hosts[letter.to as usize];
        if let Some(answer) = host.receive(from, letter.message) {
            let from = letter.to;
            let letter = answer;
            queue.push(at_ns + LATENCY_NS, Delivery { from, letter });
        }
    }
    delivered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_delivered() {
        let workload = Workload::new(3, 5).expect("three hosts can ping");
        assert_eq!(carry(workload), 30);
    }
}
