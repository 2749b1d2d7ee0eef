//! One ping workload, for several simulators.
//!
//! Owns: the workload, running it on turmoil and on madsim, and the line that
//! tells how fast that was. Promises: without the feature `turmoil` and without
//! `--cfg madsim` nothing of these two is compiled. Leaves to others: MAASL's own
//! queue, and the table (`maasl-benches`).

#[cfg(madsim)]
pub mod on_madsim;
#[cfg(feature = "turmoil")]
pub mod on_turmoil;
pub mod rate;
pub mod workload;
