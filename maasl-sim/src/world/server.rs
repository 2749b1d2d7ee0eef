//! A server process: one coordinator with a clock of its own.
//!
//! Owns: what a process has in memory, and which of its steps and messages a
//! fault waits for. Promises: nothing of it survives its death but its name.
//! Leaves to others: when anything reaches it.

use std::collections::BTreeMap;

use maasl_core::coordinator::Coordinator;
use maasl_core::coordinator::io::CallId;
use maasl_core::id::SessionId;

use super::clock::Clock;
use super::house::House;
use super::queue::Arrival;
use crate::observe::{AgentNo, RequestNo};
use crate::plan::fault::{Route, Side};

/// A fault that waits for a step.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    pub(crate) step: String,
    pub(crate) side: Side,
    /// How many more of these steps come before.
    pub(crate) left: u32,
    /// Its place in the plan.
    pub(crate) fault: usize,
}

/// A step that will go wrong.
#[derive(Clone, Debug)]
pub(crate) struct Doomed {
    pub(crate) step: String,
    pub(crate) left: u32,
    pub(crate) how: Doom,
}

/// How a step goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doom {
    /// It fails; whether it took effect all the same.
    Fails { executed: bool },
    /// Only so many bytes are staged, and nothing says so.
    Short { bytes: u32 },
}

/// What happens to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mishap {
    Late { by_ns: u64 },
    Lost,
    Twice { after_ns: u64 },
}

/// One kind of message to or from a process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lane {
    /// Messages that will meet a mishap, and how many come before.
    pub(crate) mishaps: Vec<(u32, Mishap)>,
    pub(crate) partitioned: bool,
    /// Until when messages are kept back, in nanoseconds.
    pub(crate) held_until_ns: u64,
}

impl Lane {
    fn is_clear(&self) -> bool {
        self.mishaps.is_empty() && !self.partitioned && self.held_until_ns == 0
    }

    /// When a message that would arrive at `at_ns` arrives, once or twice.
    pub(crate) fn arrivals(&mut self, at_ns: u64) -> [Option<u64>; 2] {
        if self.is_clear() {
            return [Some(at_ns), None];
        }
        if self.partitioned {
            return [None, None];
        }
        let at_ns = at_ns.max(self.held_until_ns);
        match self.mishap() {
            None => [Some(at_ns), None],
            Some(Mishap::Late { by_ns }) => [Some(at_ns + by_ns), None],
            Some(Mishap::Lost) => [None, None],
            Some(Mishap::Twice { after_ns }) => [Some(at_ns), Some(at_ns + after_ns)],
        }
    }

    /// Counts one message; the mishap that it meets, if any. A message meets one
    /// mishap; a second that was meant for it falls on the next.
    fn mishap(&mut self) -> Option<Mishap> {
        for (left, _) in &mut self.mishaps {
            *left = left.saturating_sub(1);
        }
        let due = self.mishaps.iter().position(|(left, _)| *left == 0)?;
        Some(self.mishaps.remove(due).1)
    }
}

/// A server process.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) session: SessionId,
    pub(crate) incarnation: u32,
    /// Nothing while it is dead.
    pub(crate) coordinator: Option<Coordinator>,
    pub(crate) clock: Clock,
    /// Until when it stands still, in nanoseconds.
    pub(crate) paused_until_ns: Option<u64>,
    /// What reached it meanwhile.
    pub(crate) deferred: Vec<Arrival>,
    /// The instant for which it will be woken, and the number of that timer.
    pub(crate) timer: Option<(u64, u64)>,
    pub(crate) timers: u64,
    pub(crate) house: House,
    pub(crate) next_call: u64,
    pub(crate) calls: BTreeMap<CallId, (AgentNo, RequestNo)>,
    pub(crate) watches: Vec<Watch>,
    pub(crate) doomed: Vec<Doomed>,
    lanes: [Lane; 5],
}

impl Server {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            session: SessionId::new(""),
            incarnation: 0,
            coordinator: None,
            clock,
            paused_until_ns: None,
            deferred: Vec::new(),
            timer: None,
            timers: 0,
            house: House::default(),
            next_call: 1,
            calls: BTreeMap::new(),
            watches: Vec::new(),
            doomed: Vec::new(),
            lanes: Default::default(),
        }
    }

    pub(crate) fn is_live(&self) -> bool {
        self.coordinator.is_some()
    }

    pub(crate) fn lane(&mut self, route: Route) -> &mut Lane {
        &mut self.lanes[route as usize]
    }

    /// Nothing goes wrong with it any more.
    pub(crate) fn mend(&mut self) {
        self.lanes = Default::default();
        self.watches.clear();
        self.doomed.clear();
    }

    /// Forgets everything, as death does.
    pub(crate) fn forget(&mut self) {
        self.coordinator = None;
        self.paused_until_ns = None;
        self.deferred.clear();
        self.timer = None;
        self.house = House::default();
        self.calls.clear();
    }

    /// Counts a step on one side; the fault that waits for it, if one does.
    pub(crate) fn struck_at(&mut self, step: &str, side: Side) -> Option<usize> {
        let mut watches = self.watches.iter_mut().enumerate();
        let due = watches.find_map(|(at, watch)| {
            let counts = watch.side == side && watch.step == step;
            watch.left -= u32::from(counts);
            (counts && watch.left == 0).then_some(at)
        })?;
        Some(self.watches.remove(due).fault)
    }

    /// Counts a step; how it goes wrong, if it does.
    pub(crate) fn doom_of(&mut self, step: &str) -> Option<Doom> {
        let mut doomed = self.doomed.iter_mut().enumerate();
        let due = doomed.find_map(|(at, one)| {
            let counts = one.step == step;
            one.left -= u32::from(counts);
            (counts && one.left == 0).then_some(at)
        })?;
        Some(self.doomed.remove(due).how)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_mishaps_of_one_message_strike_it_and_the_next() {
        let mut lane = Lane {
            mishaps: vec![(2, Mishap::Lost), (2, Mishap::Late { by_ns: 5 })],
            ..Lane::default()
        };
        assert_eq!(lane.arrivals(10), [Some(10), None]);
        assert_eq!(lane.arrivals(10), [None, None]);
        assert_eq!(lane.arrivals(10), [Some(15), None]);
        assert_eq!(lane.arrivals(10), [Some(10), None]);
    }
}
