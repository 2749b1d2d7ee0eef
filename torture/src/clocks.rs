//! Clocks that are off by seconds to days.
//!
//! Owns: which process of the run gets which clock. Promises: the machine's own
//! clock is never set; the seed decides the clocks of each agent in their order.
//! Leaves to others: what the processes make of it.
//!
//! A process in a time namespace of its own reads other times since boot than the
//! machine does (`time_namespaces(7)`). The wall clock cannot be shifted in this way.

use maasl_sim::rng::Stream;
use rustix::time::{ClockId, clock_gettime};

/// How far clocks go ahead, in seconds: up to 10 s, 10 min, 10 h, 10 d.
const AHEAD: [u64; 4] = [10, 600, 36_000, 864_000];

/// What a program is started through to have a clock of its own; nothing for one
/// that has that of the machine, which is every other.
pub(crate) fn drawn(draws: &mut Stream) -> Vec<String> {
    if draws.permille(500) {
        return Vec::new();
    }
    let boottime = offset(draws, ClockId::Boottime);
    let monotonic = offset(draws, ClockId::Monotonic);
    let number = |offset: i64| offset.to_string();
    ["unshare", "--time", "--boottime"]
        .map(str::to_owned)
        .into_iter()
        .chain([number(boottime), "--monotonic".into(), number(monotonic)])
        .collect()
}

/// Seconds, ahead more often than behind: no clock may read less than nothing.
fn offset(draws: &mut Stream, clock: ClockId) -> i64 {
    let read = u64::try_from(clock_gettime(clock).tv_sec).unwrap_or(0);
    let behind = draws.permille(250);
    let most = AHEAD[usize::try_from(draws.below(AHEAD.len() as u64)).expect("it is an index")];
    let most = if behind { most.min(read / 2) } else { most };
    let seconds = i64::try_from(draws.below(most + 1)).expect("it is some days");
    if behind { -seconds } else { seconds }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_have_the_clock_of_the_machine_and_others_are_ahead_or_behind() {
        let mut draws = Stream::of(1, &["test"]);
        let drawn: Vec<_> = (0..200).map(|_| drawn(&mut draws)).collect();
        let offsets = drawn.iter().filter_map(|through| through.get(3));
        let offsets: Vec<i64> = offsets.map(|offset| offset.parse().unwrap()).collect();
        assert!((60..140).contains(&offsets.len()));
        assert!(offsets.iter().any(|offset| *offset > 86_400));
        assert!(offsets.iter().any(|offset| *offset < 0));
    }
}
