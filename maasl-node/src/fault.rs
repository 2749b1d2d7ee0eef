//! Pause and kill points for tests, and boots.
//!
//! Owns: stopping or killing this process at a named step, and letting it believe
//! that the machine was started another time. Promises: compiled out of release
//! builds. Leaves to others: what is found afterwards.
//!
//! `MAASL_FAULT=stop@before:swap` stops the process (`SIGSTOP`) before its first
//! swap; `kill@after:begin_commit:2` kills it after the second commit point.
//! `MAASL_BOOT=NAME` takes the place of the identity of this boot: whoever opens
//! the same store without it comes after a power cut.

/// On which side of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Before it happens.
    Before,
    /// After it happened.
    After,
}

/// Stops or kills this process if the environment says so for this step.
#[cfg(debug_assertions)]
pub fn point(side: Side, step: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static PLAN: OnceLock<Option<Plan>> = OnceLock::new();
    static SEEN: AtomicU64 = AtomicU64::new(0);
    let plan = PLAN.get_or_init(|| {
        std::env::var("MAASL_FAULT")
            .ok()
            .map(|text| Plan::parse(&text))
    });
    let Some(plan) = plan
        .as_ref()
        .filter(|plan| plan.side == side && plan.step == step)
    else {
        return;
    };
    if SEEN.fetch_add(1, Ordering::Relaxed) + 1 == plan.at {
        rustix::process::kill_process(rustix::process::getpid(), plan.signal)
            .expect("a process may signal itself");
        await_delivery();
    }
}

/// A stop signal goes to any thread of the process: this one would run on until
/// that one has taken it, past the step it is to stop before. Once the signal is
/// no longer pending, the kernel stops every thread where it returns to the
/// program, so this one stops here.
#[cfg(debug_assertions)]
fn await_delivery() {
    let stop = 1_u64 << (rustix::process::Signal::STOP.as_raw() - 1);
    let pending = |status: &str| {
        let mask = status
            .lines()
            .find_map(|line| line.strip_prefix("ShdPnd:"))?;
        u64::from_str_radix(mask.trim(), 16).ok()
    };
    while std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| pending(&status))
        .is_some_and(|mask| mask & stop != 0)
    {
        std::thread::yield_now();
    }
}

/// Stops or kills this process if the environment says so for this step.
#[cfg(not(debug_assertions))]
pub fn point(_side: Side, _step: &str) {}

/// The identity of the boot that the environment says this process runs in.
#[cfg(debug_assertions)]
#[must_use]
pub fn boot() -> Option<String> {
    std::env::var("MAASL_BOOT").ok()
}

/// The identity of the boot that the environment says this process runs in.
#[cfg(not(debug_assertions))]
#[must_use]
pub fn boot() -> Option<String> {
    None
}

#[cfg(debug_assertions)]
struct Plan {
    signal: rustix::process::Signal,
    side: Side,
    step: String,
    at: u64,
}

#[cfg(debug_assertions)]
impl Plan {
    fn parse(text: &str) -> Self {
        let (signal, rest) = text
            .split_once('@')
            .expect("MAASL_FAULT is SIGNAL@SIDE:STEP[:N]");
        let mut parts = rest.split(':');
        let side = match parts.next() {
            Some("before") => Side::Before,
            Some("after") => Side::After,
            other => panic!("MAASL_FAULT: {other:?} is neither before nor after"),
        };
        Self {
            signal: match signal {
                "stop" => rustix::process::Signal::STOP,
                "kill" => rustix::process::Signal::KILL,
                other => panic!("MAASL_FAULT: {other:?} is neither stop nor kill"),
            },
            side,
            step: parts.next().expect("MAASL_FAULT names a step").to_string(),
            at: parts
                .next()
                .map_or(1, |n| n.parse().expect("MAASL_FAULT counts from 1")),
        }
    }
}
