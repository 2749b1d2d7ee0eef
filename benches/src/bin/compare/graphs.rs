//! Merging graphs beside the plain way.
//!
//! Owns: measure 10: a whole graph with its log and digest, and one small patch
//! more. Promises: both sides get the same content and take turns; neither making
//! nor dropping what is merged is timed. Leaves to others: the content and the
//! plain way (`maasl_benches::graph`).

use std::hint::black_box;
use std::slice;

use maasl_benches::graph::{Plain, changes, seal, small_change};
use maasl_core::graph::changes::Changes;
use maasl_core::graph::patch::Patch;
use maasl_core::graph::state::Graph;

use crate::report::{Figure, Row, Target};
use crate::times::Times;
use crate::{Bench, Result};

/// How many nodes; there are three times as many edges.
const NODES: usize = 100_000;
/// How often each is merged.
const TIMES: usize = 9;

/// Measure 10.
pub(crate) fn measure(_: &Bench) -> Result<Vec<Row>> {
    let mut changes = changes(NODES);
    let patches = seal(&changes);
    let (merges, plain) = whole(&changes, &patches);
    changes.push((2, small_change(NODES)));
    let small = seal(&changes).pop().ok_or("nothing was sealed")?;
    let small = one_more(&patches, &small);
    Ok(vec![
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
    ])
}

/// The whole, each way in turn.
fn whole(changes: &[(usize, Changes)], patches: &[Patch]) -> (Times, Times) {
    let (mut ours, mut peer) = (Times::new(), Times::new());
    for _ in 0..TIMES {
        let graph = ours.time(|| {
            let mut graph = Graph::new();
            graph.merge(patches);
            black_box(graph.log(usize::MAX));
            black_box(graph.digest());
            graph
        });
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

/// One patch into a graph that is there.
fn one_more(patches: &[Patch], small: &Patch) -> Times {
    let mut graph = Graph::new();
    graph.merge(patches);
    let mut times = Times::new();
    for _ in 0..TIMES {
        let mut graph = graph.clone();
        times.time(|| {
            graph.merge(slice::from_ref(small));
            black_box(graph.digest());
        });
    }
    times
}
