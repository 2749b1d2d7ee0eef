//! Something that several threads find unusable at once.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;
use maasl_threads::replaceable::Replaceable;
use maasl_threads::sync::RwLock;

use crate::explore::Search;

/// Both ask for generation 1; how often one is made, and what they got.
fn both(usable: impl Fn(&AtomicU32) -> u32 + Clone + Send + 'static) {
    let made = Arc::new(AtomicU32::new(0));
    let (others, other_usable) = (Arc::clone(&made), usable.clone());
    let other = thread::spawn(move || other_usable(&others));
    let own = usable(&made);
    assert_eq!([own, other.join().unwrap()], [1, 1]);
    assert_eq!(made.load(Ordering::SeqCst), 1, "made twice");
}

#[test]
fn what_two_find_unusable_is_replaced_once() {
    Search::Whole.of(5, || {
        let place = Arc::new(Replaceable::new(0));
        both(move |made| {
            let usable = place.usable(
                |generation| *generation == 1,
                |former| {
                    made.fetch_add(1, Ordering::SeqCst);
                    Some(former + 1)
                },
            );
            *usable
        });
    });
}

#[test]
fn a_replacement_without_a_second_look_is_found() {
    Search::Whole.finds(
        "replaceable::a_replacement_without_a_second_look_is_found",
        "made twice",
        || {
            let place = Arc::new(RwLock::new(0));
            both(move |made| {
                if *place.read() == 1 {
                    return 1;
                }
                let mut place = place.write();
                made.fetch_add(1, Ordering::SeqCst);
                *place = 1;
                *place
            });
        },
    );
}
