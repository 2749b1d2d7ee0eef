//! The clock of a store.
//!
//! Owns: reading the two times a transaction gets. Promises: `now` counts while
//! the machine sleeps and never goes back within one boot. Leaves to others:
//! telling one boot from another (an argument of opening).

use std::sync::Arc;

use maasl_core::lease::StoreClock;
use maasl_core::time::Timestamp;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// Reads the time when a transaction begins; replaced in tests.
pub type Clock = Arc<dyn Fn() -> StoreClock + Send + Sync>;

/// The clock of this machine.
#[must_use]
pub fn system() -> Clock {
    Arc::new(read)
}

fn read() -> StoreClock {
    let now = Timestamp::from_ns(crate::platform::now_ns());
    StoreClock {
        now,
        wall_ms: wall_ms(),
    }
}

/// Milliseconds since 1970.
pub(crate) fn wall_ms() -> u64 {
    nanoseconds(clock_gettime(ClockId::Realtime)) / 1_000_000
}

/// A time before the origin counts as the origin.
fn nanoseconds(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let rest = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}
