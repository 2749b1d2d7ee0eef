//! A call that begins to wait as its caller goes.

use loom::sync::{Arc, Mutex};
use loom::thread;
use maasl_threads::sync::{AtomicBool, Ordering};
use maasl_threads::vigil::Vigil;

use crate::explore::Search;

#[test]
fn a_call_that_waits_as_its_caller_goes_is_stopped() {
    Search::Whole.of(3, || {
        let vigil = Arc::new(Vigil::new());
        // What tells of the end, as tokio's does, under a mutex.
        let ended = Arc::new(Mutex::new(false));
        let (calls, ends) = (Arc::clone(&vigil), Arc::clone(&ended));
        let call = thread::spawn(move || calls.waits(|| *ends.lock().unwrap()));
        *ended.lock().unwrap() = true;
        let stops = vigil.has_gone();
        assert!(call.join().unwrap() || stops, "it waits for nobody");
    });
}

#[test]
fn a_look_before_the_flag_is_set_is_found() {
    Search::Whole.finds(
        "vigil::a_look_before_the_flag_is_set_is_found",
        "it waits for nobody",
        || {
            let waiting = Arc::new(AtomicBool::new(false));
            let ended = Arc::new(Mutex::new(false));
            let (calls, ends) = (Arc::clone(&waiting), Arc::clone(&ended));
            let call = thread::spawn(move || {
                let has_gone = *ends.lock().unwrap();
                calls.store(true, Ordering::SeqCst);
                has_gone
            });
            *ended.lock().unwrap() = true;
            let stops = waiting.load(Ordering::SeqCst);
            assert!(call.join().unwrap() || stops, "it waits for nobody");
        },
    );
}
