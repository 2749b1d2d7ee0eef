//! Merging graphs beside the plain way.
//!
//! Owns: measure 10: a whole graph with its log and digest, and one small patch
//! more. Promises: both sides get the same content and take turns; neither making
//! nor dropping what is merged is timed, nor tidying up after it. Leaves to others: the content and the
//! plain way (`maasl_benches::graph`).

use std::hint::black_box;
use std::slice;

use maasl_benches::graph::{Plain, changes, seal, small_change};
use maasl_core::graph::changes::Changes;
use maasl_core::graph::patch::Patch;
use maasl_core::graph::state::Graph;

use crate::report::{Figure, Row, Target};
use crate::times::Times;

/// How many nodes; there are three times as many edges.
const NODES: usize = 100_000;
/// How often each is merged.
const TIMES: usize = 9;

/// Measure 10.
pub(crate) fn measure() -> Vec<Row> {
    let mut changes = changes(NODES);
    let patches = seal(&changes);
    let (merges, plain) = whole(&changes, &patches);
    let more = (0..=TIMES).map(|nth| (2, small_change(NODES, nth)));
    changes.extend(more);
    let small = one_more(&seal(&changes), patches.len());
    vec![
        Row::new(
            format!(
                "10 merge of {NODES} nodes, {} edges, log, digest, p50",
                3 * NODES
            ),
            Figure::us(merges.p50_us()),
            Target::RatioAtMost(0.5),
        )
        .beside("foldhash maps, sorted digest", Figure::us(plain.p50_us()))
        .note(format!("ours {}; peer {}", merges.spread(), plain.spread())),
        Row::new(
            "10 a patch of a hundredth more, digest, share of the merge",
            Figure::percent(small.p50_us() * 100.0 / merges.p50_us()),
            Target::AtMost(5.0),
        )
        .note(format!("p50 {:.0} us, {}", small.p50_us(), small.spread())),
    ]
}

/// The whole, each way in turn.
fn whole(changes: &[(usize, Changes)], patches: &[Patch]) -> (Times, Times) {
    let (mut ours, mut peer) = (Times::new(), Times::new());
    for _ in 0..TIMES {
        tidy_up();
        let graph = ours.time(|| {
            let mut graph = Graph::new();
            graph.merge(patches);
            black_box(graph.log(usize::MAX));
            black_box(graph.digest());
            graph
        });
        tidy_up();
        let plain = peer.time(|| {
            let mut plain = Plain::default();
            for (_, changes) in changes {
                plain.merge(changes);
            }
            black_box(plain.digest());
            plain
        });
        drop((graph, plain));
    }
    (ours, peer)
}

/// Patch after patch into a graph that is there: all but the first so many, and
/// one that makes room.
fn one_more(patches: &[Patch], first: usize) -> Times {
    let (whole, more) = patches.split_at(first + 1);
    let mut graph = Graph::new();
    graph.merge(whole);
    let mut times = Times::new();
    for patch in more {
        times.time(|| {
            graph.merge(slice::from_ref(patch));
            black_box(graph.digest());
        });
    }
    times
}

/// The allocator puts off what there is to do after many small things were given
/// back, and whoever next asks for much does it.
fn tidy_up() {
    drop(black_box(Vec::<u8>::with_capacity(1 << 16)));
}
