//! Whether a call waits when its caller goes.
//!
//! Owns: the one flag between the two who find out. Promises: where a call waits
//! and its caller has gone, one of them says that it must stop; a call that does
//! not wait is left alone. Leaves to others: stopping it.

use crate::sync::{AtomicBool, Ordering};

/// One call, watched.
#[derive(Debug, Default)]
pub struct Vigil {
    waiting: AtomicBool,
}

impl Vigil {
    /// A call that does not wait yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The call waits from now on. Whether it must stop, as its caller `has_gone`.
    pub fn waits(&self, has_gone: impl FnOnce() -> bool) -> bool {
        // Set before it is asked who has gone, as the other side looks after
        // somebody went: one of them sees the other.
        self.waiting.store(true, Ordering::SeqCst);
        has_gone()
    }

    /// The caller has gone, and whoever asks now finds that. Whether the call
    /// must stop.
    pub fn has_gone(&self) -> bool {
        self.waiting.load(Ordering::SeqCst)
    }
}
