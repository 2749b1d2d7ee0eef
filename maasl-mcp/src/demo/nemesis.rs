//! Whoever kills and freezes servers.
//!
//! Owns: when and whom, from the seed. Promises: only slots of this demonstration
//! are signalled, and nothing stays frozen when it ends. Leaves to others: starting
//! anew (`client`).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::random::Random;
use super::server_process::Slot;

/// What was done to the servers.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Faults {
    /// Servers killed (SIGKILL).
    pub killed: u64,
    /// Servers frozen (SIGSTOP) for longer than a lease lasts, then let go on.
    pub frozen: u64,
    /// Of these, while their agent held a lease across calls.
    pub frozen_holding: u64,
}

/// Time between faults.
const PAUSE_MS: (u64, u64) = (300, 900);
/// The longest wait for an agent that holds a lease.
const PATIENCE_MS: u64 = 1_500;
/// How long a freeze lasts: longer than the 2 s of a lease.
const FREEZE_MS: (u64, u64) = (2_300, 3_000);

/// Lets a server go on whatever happens to whoever froze it.
struct Thaw<'a>(&'a Slot);

impl Drop for Thaw<'_> {
    fn drop(&mut self) {
        self.0.thaw();
    }
}

/// Kills and freezes until then.
pub(super) async fn torment(slots: Vec<Arc<Slot>>, mut random: Random, until: Instant) -> Faults {
    let mut faults = Faults::default();
    loop {
        for freeze in [false, true, false] {
            let pause = random.millis(PAUSE_MS.0, PAUSE_MS.1);
            let needed = pause + Duration::from_millis(if freeze { FREEZE_MS.1 + 200 } else { 0 });
            if Instant::now() + needed >= until {
                // Too little is left for a whole freeze; kills still fit.
                if freeze {
                    continue;
                }
                return faults;
            }
            tokio::time::sleep(pause).await;
            if freeze {
                freeze_one(&slots, &mut random, &mut faults).await;
            } else {
                let victim = &slots[random.index(slots.len())];
                faults.killed += u64::from(victim.kill());
            }
        }
    }
}

async fn freeze_one(slots: &[Arc<Slot>], random: &mut Random, faults: &mut Faults) {
    let victim = choose(slots, random).await;
    let holding = victim.holding.load(Ordering::SeqCst);
    if !victim.freeze() {
        // Its agent was just starting another; undo the count of the freeze.
        victim.thaw();
        return;
    }
    let thaw = Thaw(victim);
    faults.frozen += 1;
    faults.frozen_holding += u64::from(holding);
    tokio::time::sleep(random.millis(FREEZE_MS.0, FREEZE_MS.1)).await;
    drop(thaw);
}

/// Somebody who holds a lease, if there is one soon; else anybody.
async fn choose<'a>(slots: &'a [Arc<Slot>], random: &mut Random) -> &'a Slot {
    let patience = Instant::now() + Duration::from_millis(PATIENCE_MS);
    let first = random.index(slots.len());
    while Instant::now() < patience {
        let mut slots = slots.iter().cycle().skip(first).take(slots.len());
        if let Some(slot) = slots.find(|slot| slot.holding.load(Ordering::SeqCst)) {
            return slot;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    &slots[first]
}
