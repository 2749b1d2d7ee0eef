//! The types in which threads meet.
//!
//! Owns: which library each of them comes from: in the product `std`,
//! `parking_lot` and `tokio`; under `--cfg loom`, loom's own and what is made of
//! them in `modelled`, in the same shape. Promises: the rest of this crate names
//! no lock, condition, atomic or thread but these. Leaves to others: using them.

#[cfg(loom)]
mod modelled;

#[cfg(not(loom))]
pub use std::{
    sync::Arc,
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    thread,
    time::Instant,
};

#[cfg(not(loom))]
pub use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
#[cfg(not(loom))]
pub use tokio::sync::Notify;

#[cfg(loom)]
pub use loom::{
    sync::Arc,
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    thread,
};

#[cfg(loom)]
pub use self::modelled::{Condvar, Instant, Mutex, MutexGuard, Notify, RwLock, planted};
