//! Merging graphs: the whole at once, and one small patch more.
//!
//! Owns: the figures of the core's graphs beside those of the plain way. Promises:
//! each iteration merges the same content, with a digest, on either side; the
//! core's also makes the conflict log. Leaves to others: the content (`src/graph`).

use std::hint::black_box;
use std::slice;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use maasl_benches::graph::{Plain, changes, seal, small_change};
use maasl_core::graph::state::Graph;

/// How many nodes; there are three times as many edges.
const NODES: usize = 100_000;

fn whole(criterion: &mut Criterion) {
    let changes = changes(NODES);
    let patches = seal(&changes);
    let mut group = criterion.benchmark_group("graph/100,000 nodes, 300,000 edges");
    group.sample_size(10);
    group.bench_function("plain maps, sorted digest", |bencher| {
        bencher.iter_with_large_drop(|| {
            let mut plain = Plain::default();
            for (_, changes) in &changes {
                plain.merge(changes);
            }
            black_box(plain.digest());
            plain
        });
    });
    group.bench_function("merge, digest and log", |bencher| {
        bencher.iter_with_large_drop(|| {
            let mut graph = Graph::new();
            graph.merge(&patches);
            black_box(graph.log(usize::MAX));
            graph
        });
    });
    group.bench_function("patches from changes", |bencher| {
        bencher.iter_with_large_drop(|| seal(&changes));
    });
    group.finish();
}

fn one_more(criterion: &mut Criterion) {
    let mut changes = changes(NODES);
    let mut graph = Graph::new();
    graph.merge(&seal(&changes));
    changes.extend([0, 1].map(|nth| (2, small_change(NODES, nth))));
    let patches = seal(&changes);
    let [.., first, small] = &patches[..] else {
        panic!("two were added");
    };
    // A graph that is patched has room for the next patch; a copy of one has none.
    let in_use = || {
        let mut graph = graph.clone();
        graph.merge(slice::from_ref(first));
        graph
    };
    let mut group = criterion.benchmark_group("graph/100,000 nodes, 300,000 edges");
    group.sample_size(20);
    group.bench_function("one patch of a hundredth, digest", |bencher| {
        bencher.iter_batched_ref(
            in_use,
            |graph| graph.merge(slice::from_ref(small)),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("checkpoint", |bencher| {
        bencher.iter_with_large_drop(|| graph.checkpoint());
    });
    let checkpoint = graph.checkpoint();
    group.bench_function("restore from checkpoint", |bencher| {
        bencher.iter_with_large_drop(|| {
            let mut graph = Graph::new();
            graph.absorb(&checkpoint);
            graph
        });
    });
    group.finish();
}

criterion_group!(benches, whole, one_more);
criterion_main!(benches);
