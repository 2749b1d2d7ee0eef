//! Acquire and release, uncontended, layer by layer.
//!
//! Owns: the figures of the lease table alone, of the memory store and of the
//! SQLite store. Promises: each iteration is one acquire and one release of a
//! free path. Leaves to others: peers and processes (`src/bin/compare`).

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use maasl_benches::lease::{Pair, hold_others, sqlite_store};
use maasl_core::id::Token;
use maasl_core::lease::command::Open;
use maasl_core::lease::{Command, MemoryRows, StoreClock};
use maasl_core::time::Timestamp;
use maasl_node::store::{MemoryStore, Store};

const FEW: u64 = 10;
const MANY: u64 = 100_000;

/// The rules and the rows in memory: no clock, no mutex.
fn core(criterion: &mut Criterion) {
    let clock = StoreClock {
        now: Timestamp::from_ns(1_000_000_000),
        wall_ms: 0,
    };
    let mut rows = MemoryRows::default();
    let open = Command::Open(Open {
        store: "bench".into(),
        boot: "boot".into(),
        floor: Token::default(),
        first_sequence: 1,
        session: None,
    });
    rows.transact(&open, clock);
    let all = Token::new(1, Token::SEQUENCE_MAX).expect("both parts are in range");
    rows.transact(&Command::Reserve(all), clock);
    let mut n = 0;
    criterion.bench_function("core/acquire+release", |bencher| {
        bencher.iter_batched(
            || next(&mut n),
            |pair| {
                black_box(rows.transact(&pair.acquire, clock));
                black_box(rows.transact(&pair.release, clock));
                pair
            },
            criterion::BatchSize::SmallInput,
        );
    });
}

fn memory(criterion: &mut Criterion) {
    for others in [FEW, MANY] {
        let store = MemoryStore::new();
        hold_others(&store, 0..others);
        pairs(criterion, "memory", others, &store);
    }
}

fn sqlite(criterion: &mut Criterion) {
    for others in [FEW, MANY] {
        let root = tempfile::tempdir_in(".").expect("the current directory can be written");
        let store = sqlite_store(root.path());
        hold_others(&store, 0..others);
        pairs(criterion, "sqlite", others, &store);
    }
}

fn pairs(criterion: &mut Criterion, name: &str, others: u64, store: &dyn Store) {
    let mut n = 0;
    let name = format!("{name}/acquire+release, {others} others held");
    criterion.bench_function(&name, |bencher| {
        bencher.iter_batched(
            || next(&mut n),
            |pair| {
                pair.run(store);
                pair
            },
            criterion::BatchSize::SmallInput,
        );
    });
}

fn next(n: &mut u64) -> Pair {
    *n += 1;
    Pair::new(*n)
}

criterion_group!(lease, core, memory, sqlite);
criterion_main!(lease);
