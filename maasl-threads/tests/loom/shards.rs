//! Taking several latches.

use std::collections::BTreeMap;

use loom::sync::{Arc, Mutex, MutexGuard};
use loom::thread;
use maasl_core::resource::ResourceKey;
use maasl_threads::shards::Shards;

use crate::explore::Search;

/// Latches, as mutexes that are waited for without limit.
type Pool = BTreeMap<usize, Mutex<()>>;

fn keys(names: &[&str]) -> Vec<ResourceKey> {
    let key = |name: &&str| ResourceKey::new("code", name);
    names.iter().map(key).collect()
}

fn pool(names: &[&str]) -> Arc<Pool> {
    let all = Shards::of(&keys(names));
    let pool = all.take(|shard| Ok::<_, ()>((shard, Mutex::new(()))));
    let pool = Pool::from_iter(pool.unwrap());
    assert_eq!(pool.len(), names.len(), "they share no latch");
    Arc::new(pool)
}

fn take<'a>(pool: &'a Pool, names: &[&str]) -> Vec<MutexGuard<'a, ()>> {
    let taken = Shards::of(&keys(names)).take(|shard| pool[&shard].lock());
    taken.expect("they are waited for")
}

fn attempt(pool: &Pool, names: &[&str]) -> bool {
    let taken = Shards::of(&keys(names)).take(|shard| pool[&shard].try_lock());
    taken.is_ok()
}

#[test]
fn nobody_waits_in_a_circle() {
    Search::Whole.of(4, || {
        let pool = pool(&["a", "b", "c"]);
        let others = Arc::clone(&pool);
        let other = thread::spawn(move || drop(take(&others, &["c", "b", "a"])));
        drop(take(&pool, &["a", "c"]));
        other.join().unwrap();
    });
}

#[test]
fn latches_taken_as_they_are_named_are_found() {
    Search::Whole.finds(
        "shards::latches_taken_as_they_are_named_are_found",
        "deadlock",
        || {
            let pool = pool(&["a", "b"]);
            let as_named = |pool: &Pool, names: [&str; 2]| {
                let held = names.map(|name| take(pool, &[name]));
                drop(held);
            };
            let others = Arc::clone(&pool);
            let other = thread::spawn(move || as_named(&others, ["b", "a"]));
            as_named(&pool, ["a", "b"]);
            other.join().unwrap();
        },
    );
}

#[test]
fn who_cannot_have_all_keeps_none() {
    Search::Whole.of(5, || {
        let pool = pool(&["a", "b"]);
        let others = Arc::clone(&pool);
        let other = thread::spawn(move || attempt(&others, &["b", "a"]));
        let own = attempt(&pool, &["a", "b"]);
        assert!(other.join().unwrap() || own, "one finds the first free");
        assert!(attempt(&pool, &["a", "b"]), "a latch was kept");
    });
}
