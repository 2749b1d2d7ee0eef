//! Times one uncontended acquire and release on each store.
//!
//! `cargo run --release -p maasl-node --example store_timing`
#![expect(clippy::print_stdout, reason = "figures are what it is for")]

use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::{Duration, Instant};

use maasl_core::id::{AgentId, LeaseId, Owner, SessionId};
use maasl_core::lease::command::{Acquire, Release};
use maasl_core::lease::{Command, LeaseKind, Outcome};
use maasl_core::policy::Urgency;
use maasl_core::resource::{ResourceKey, Want};
use maasl_node::state_dir::StateDir;
use maasl_node::store::{MemoryStore, OpenOptions, SqliteStore, Store};

const PAIRS: u32 = 20_000;

fn main() {
    time("memory, nothing else held", &MemoryStore::new(), 0, 0);
    let few = sqlite();
    let few_p50 = time("sqlite, 10 others held", &few.0, 0, 10);
    let many_p50 = time("sqlite, 100,000 others held", &few.0, 10, 100_000);
    println!(
        "ratio {:.2}",
        many_p50.as_secs_f64() / few_p50.as_secs_f64()
    );
    contend();
}

fn sqlite() -> (SqliteStore, tempfile::TempDir) {
    let root = tempfile::tempdir_in(".").expect("the current directory can be written");
    let dir = StateDir::open(root.path()).expect("a new directory");
    let options = OpenOptions::new("boot");
    let store = SqliteStore::open(&dir, options).expect("a new store");
    (store, root)
}

fn time(name: &str, store: &dyn Store, from: u32, to: u32) -> Duration {
    for n in from..to {
        take(store, &format!("held-{n}"), &format!("other/{n:06}/file"));
    }
    for n in 0..1000 {
        pair(store, n);
    }
    let mut times: Vec<Duration> = (0..PAIRS).map(|n| pair(store, n)).collect();
    print(name, &mut times)
}

fn print(name: &str, times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    let at = |share: usize| times[times.len() * share / 1000];
    println!(
        "{name}: {} pairs, p50 {:?}, p99 {:?}, p99.9 {:?}, max {:?}",
        times.len(),
        at(500),
        at(990),
        at(999),
        times[times.len() - 1]
    );
    at(500)
}

/// Several threads with a store each, as several processes would be.
fn contend() {
    let root = tempfile::tempdir_in(".").expect("the current directory can be written");
    let dir = StateDir::open(root.path()).expect("a new directory");
    let until = Instant::now() + Duration::from_secs(3);
    let work = |writer: u32| {
        let store = SqliteStore::open(&dir, OpenOptions::new("boot")).expect("a store");
        let mut times = Vec::new();
        while Instant::now() < until {
            times.push(pair(&store, writer));
        }
        times
    };
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4).map(|n| scope.spawn(move || work(n))).collect();
        for (n, writer) in writers.into_iter().enumerate() {
            let mut times = writer.join().expect("no panic");
            print(&format!("writer {n} of 4 at once"), &mut times);
        }
    });
}

fn pair(store: &dyn Store, n: u32) -> Duration {
    let id = format!("{n:032x}");
    let path = format!("src/module_{}/file.rs", n % 1000);
    let (take, give) = (acquire(&id, &path), release(&id, &path));
    let since = Instant::now();
    black_box(store.transact(&take).expect("granted"));
    black_box(store.transact(&give).expect("released"));
    since.elapsed()
}

fn take(store: &dyn Store, id: &str, path: &str) {
    let outcome = store.transact(&acquire(id, path)).expect("granted");
    assert!(matches!(outcome, Outcome::Granted { .. }));
}

fn acquire(id: &str, path: &str) -> Command {
    Command::Acquire(Acquire {
        lease: LeaseId::new(id),
        owner: Owner {
            session: SessionId::new("0123456789abcdef"),
            agent: AgentId::new("agent"),
        },
        wants: vec![Want::exclusive(ResourceKey::new("code", path), "CRIT_CODE")],
        kind: LeaseKind::Call,
        ttl_ms: 30_000_000,
        lock_delay_ms: 0,
        purpose: Some("write_file".into()),
        urgency: Urgency::Interactive,
        wait_ms: 0,
        ticket: None,
        dead: BTreeSet::new(),
        latched: BTreeSet::new(),
        request: None,
        waited_us: 0,
        max_waiters: 64,
    })
}

fn release(id: &str, path: &str) -> Command {
    Command::Release(Release {
        lease: LeaseId::new(id),
        latched: [ResourceKey::new("code", path)].into(),
        counts: Vec::new(),
    })
}
