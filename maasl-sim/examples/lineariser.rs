//! Measures the judge of lease histories: 10,000 operations over 16 resources.
//!
//! Owns: making the histories and taking the time. Promises: prints what it
//! measured, of the fast path and of the general search, and asserts nothing
//! about time. Run it with `cargo run --release -p maasl-sim --example lineariser`.

use std::time::Instant;

use maasl_sim::linear::lease::{LeaseOp, Resource, judge};
use maasl_sim::linear::{Timed, Verdict, search};

const OPERATIONS: u64 = 10_000;
const RESOURCES: u64 = 16;
const RUNS: usize = 21;

fn main() {
    let histories: Vec<_> = (0..RESOURCES).map(exclusive).collect();
    let mixed: Vec<_> = (0..RESOURCES).map(shared).collect();
    let count: usize = histories.iter().map(Vec::len).sum();
    report("by tokens", count, || {
        histories.iter().all(|one| held(judge(one, u64::MAX)))
    });
    report("by search", count, || {
        histories
            .iter()
            .all(|one| held(search(&Resource, one, u64::MAX)))
    });
    let count: usize = mixed.iter().map(Vec::len).sum();
    report("by search, readers too", count, || {
        mixed.iter().all(|one| held(judge(one, u64::MAX)))
    });
}

fn held(verdict: Verdict) -> bool {
    verdict == Verdict::Linearizable
}

#[expect(clippy::print_stdout, reason = "printing is what it is for")]
fn report(name: &str, count: usize, judged: impl Fn() -> bool) {
    let mut times: Vec<_> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            assert!(judged(), "the histories are right by construction");
            start.elapsed().as_micros()
        })
        .collect();
    times.sort_unstable();
    println!(
        "{name}: {count} operations, median {} us, slowest {} us",
        times[RUNS / 2],
        times[RUNS - 1]
    );
}

fn timed(at_ns: u64, slack_ns: u64, op: LeaseOp) -> Timed<LeaseOp> {
    Timed {
        from_ns: at_ns.saturating_sub(slack_ns),
        to_ns: Some(at_ns + slack_ns),
        op,
    }
}

/// Grant, two writes, end; each overlaps its neighbours.
fn exclusive(resource: u64) -> Vec<Timed<LeaseOp>> {
    let tenures = OPERATIONS / RESOURCES / 4;
    let ops = (0..=tenures).flat_map(|tenure| {
        let token = 1 + tenure * RESOURCES + resource;
        [
            LeaseOp::Grant {
                token,
                shared: false,
            },
            LeaseOp::Write { token },
            LeaseOp::Write { token },
            LeaseOp::End { token },
        ]
    });
    let ops = ops.zip(1..).map(|(op, at)| timed(at * 10, 14, op));
    ops.take(usize::try_from(OPERATIONS / RESOURCES).expect("a small number"))
        .collect()
}

/// Three readers at a time, then a writer.
fn shared(resource: u64) -> Vec<Timed<LeaseOp>> {
    let rounds = OPERATIONS / RESOURCES / 9;
    let ops = (0..=rounds).flat_map(|round| {
        let token = |n: u64| 1 + (round * 4 + n) * RESOURCES + resource;
        let grant = |n| LeaseOp::Grant {
            token: token(n),
            shared: n < 3,
        };
        let end = |n| LeaseOp::End { token: token(n) };
        [
            grant(0),
            grant(1),
            grant(2),
            end(1),
            end(0),
            end(2),
            grant(3),
            LeaseOp::Write { token: token(3) },
            end(3),
        ]
    });
    let ops = ops.zip(1..).map(|(op, at)| timed(at * 10, 14, op));
    ops.take(usize::try_from(OPERATIONS / RESOURCES).expect("a small number"))
        .collect()
}
