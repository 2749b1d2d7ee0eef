//! Holding the lock that says that a process lives.
//!
//! Owns: taking it although others look at it. Promises: when [`hold`] says that
//! it is held, nobody finds its process dead from then on. Leaves to others: the
//! file, and who is told of it when.
//!
//! Whoever asks whether a process is dead takes a shared lock of its file for an
//! instant. A file that was put back from a copy is known to others before its
//! process locks it again, so an attempt may meet such a look and must be made
//! again: left at that, the process would be found dead for as long as it lives.

use crate::sync::{Instant, thread};

/// A file whose exclusive lock says that its process lives.
pub trait LifeFile {
    /// Why it cannot be locked.
    type Error;

    /// Takes the exclusive lock if nobody has any; whether it did.
    fn try_exclusive(&self) -> Result<bool, Self::Error>;
}

/// Takes the lock of `file`, which nobody else holds for longer than a look;
/// whether it is held. Where `is_ours` already, by another descriptor of the same
/// file, that is enough.
pub fn hold<F: LifeFile>(file: &F, is_ours: bool, deadline: Instant) -> Result<bool, F::Error> {
    loop {
        if file.try_exclusive()? || is_ours {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        thread::yield_now();
    }
}
