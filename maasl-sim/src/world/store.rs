//! The store of a world: the real lease table over rows that can be lost.
//!
//! Owns: the rows, the token floor beside them, the store's clock, and what a
//! power cut or an old copy leaves of them. Promises: decisions are the core's
//! own; loss takes the newest commits first, as a log does. Leaves to others:
//! the gate and the time a transaction takes (`gate`).

use std::collections::VecDeque;

use maasl_core::id::{SessionId, Token};
use maasl_core::lease::command::Open;
use maasl_core::lease::floor::{self, Reading};
use maasl_core::lease::{Command, MemoryRows, Meta, Outcome, Query, Rows, Session, StoreClock};
use maasl_core::mutant::{Mutant, is_active};
use maasl_core::time::Timestamp;

use super::clock::Clock;

/// Wall clock at the start of a world: 2026-09-21, milliseconds since 1970. Tokens
/// begin where the wall clock says, so it must be one that a store can meet.
const ORIGIN_WALL_MS: u64 = 1_790_000_000_000;

/// What the store's clock reads at the start of a world, whose machine has been up
/// for more than an hour: times of that boot lie far ahead in the next one.
pub(super) const UPTIME_NS: u64 = 1 << 42;

/// What clocks that count from the boot read when a machine is up again.
pub(super) const BOOTED_NS: u64 = 1_000_000_000;

/// Commits that can be taken back by putting an old copy in place.
const COPIES_MAX: usize = 256;

/// A commit as the log has it.
#[derive(Clone, Debug)]
struct Logged {
    command: Command,
    clock: StoreClock,
}

/// What a loss would leave.
#[derive(Clone, Debug, Default)]
struct Shadow {
    /// The rows without the newest commits.
    rows: MemoryRows,
    /// Those commits, oldest first.
    log: VecDeque<Logged>,
    /// How many of them are on the device.
    synced: usize,
}

/// The store of a world.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) rows: MemoryRows,
    shadow: Option<Shadow>,
    floor: Option<Token>,
    /// What only a planted bug keeps back.
    floor_late: Option<Token>,
    floor_block: u64,
    wall_ahead_ms: i64,
    clock: Clock,
    boots: u32,
    /// Whether somebody opened it since the machine started.
    is_open: bool,
}

impl Store {
    /// An empty store; `can_lose` if a power cut or an old copy may come.
    pub(crate) fn new(can_lose: bool, floor_block: u64) -> Self {
        Self {
            rows: MemoryRows::default(),
            shadow: can_lose.then(Shadow::default),
            floor: None,
            floor_late: None,
            floor_block,
            wall_ahead_ms: 0,
            clock: Clock::new(UPTIME_NS, 0),
            boots: 1,
            is_open: false,
        }
    }

    /// Whether it takes commands: not after a power cut, until it is opened.
    pub(crate) fn is_open(&self) -> bool {
        self.is_open
    }

    pub(crate) fn clock(&self, world_ns: u64) -> StoreClock {
        StoreClock {
            now: self.clock.read(world_ns),
            wall_ms: (ORIGIN_WALL_MS + world_ns / 1_000_000)
                .saturating_add_signed(self.wall_ahead_ms),
        }
    }

    /// When the store's clock will read `time`, as things stand.
    pub(crate) fn instant_of(&self, time: Timestamp, world_ns: u64) -> Option<u64> {
        self.clock.instant_of(time, world_ns)
    }

    pub(crate) fn step_clock(&mut self, by_ms: i64, world_ns: u64) {
        self.clock.step(by_ms, world_ns);
    }

    pub(crate) fn step_wall_clock(&mut self, by_ms: i64) {
        self.wall_ahead_ms = self.wall_ahead_ms.saturating_add(by_ms);
    }

    /// Opens the store for a process; with what command.
    pub(crate) fn open(&mut self, session: &SessionId, world_ns: u64) -> (Command, Outcome) {
        let clock = self.clock(world_ns);
        let file = self.floor.map_or(Reading::Missing, Reading::Through);
        let floor = floor::at_opening(self.meta().as_ref(), file, clock.wall_ms);
        let open = Command::Open(Open {
            store: "store".into(),
            boot: format!("boot-{}", self.boots),
            floor,
            first_sequence: floor.sequence() + 1,
            session: Some(Session {
                id: session.clone(),
                pid: 1,
                role: "serve".into(),
                started_wall_ms: clock.wall_ms,
            }),
        });
        let outcome = self.apply(&open, clock);
        self.is_open = true;
        self.sync();
        (open, outcome)
    }

    /// Executes a command, making room for tokens where it needs that.
    pub(crate) fn transact(&mut self, command: &Command, clock: StoreClock) -> Outcome {
        loop {
            let outcome = self.apply(command, clock);
            let Outcome::NeedReserve(token) = outcome else {
                return outcome;
            };
            let through = self.raise_floor(token);
            self.apply(&Command::Reserve(through), clock);
        }
    }

    /// Whether anything can be lost at all.
    pub(crate) fn can_lose(&self) -> bool {
        self.shadow.is_some()
    }

    /// Brings every commit to the device.
    pub(crate) fn sync(&mut self) {
        if let Some(shadow) = &mut self.shadow {
            shadow.synced = shadow.log.len();
            shadow.trim();
        }
    }

    /// Loses power: of the commits that were not synced, the oldest `kept` stay, and
    /// the clock counts from the next boot.
    pub(crate) fn cut_power(&mut self, kept: u32, world_ns: u64) {
        let shadow = self
            .shadow
            .as_mut()
            .expect("a loss was expected from the start");
        let length = shadow.log.len().min(shadow.synced + kept as usize);
        self.rows = shadow.rewind(length);
        self.boots += 1;
        self.clock.begin_again(BOOTED_NS, world_ns);
        self.is_open = false;
    }

    /// Puts a copy in place that lacks the newest commits.
    pub(crate) fn restore(&mut self, commits_back: u32, with_floor: bool) {
        let shadow = self
            .shadow
            .as_mut()
            .expect("a loss was expected from the start");
        let length = shadow.log.len().saturating_sub(commits_back as usize);
        self.rows = shadow.rewind(length);
        self.is_open = false;
        if with_floor {
            // The floor file of that time: it is raised before the row says so.
            let reserved = self.meta().map(|meta| meta.reserved_through);
            self.floor = reserved.filter(|token| *token > Token::default());
        }
    }

    fn meta(&self) -> Option<Meta> {
        match self.rows.load(&Query::Meta) {
            Rows::Meta(meta) => meta,
            other => panic!("the row about the store was asked for, not {other:?}"),
        }
    }

    fn apply(&mut self, command: &Command, clock: StoreClock) -> Outcome {
        let outcome = self.rows.transact(command, clock);
        if let Some(shadow) = &mut self.shadow
            && !command.is_read_only()
        {
            let command = command.clone();
            shadow.log.push_back(Logged { command, clock });
        }
        outcome
    }

    fn raise_floor(&mut self, token: Token) -> Token {
        let through = floor::raised_for(token, self.floor_block);
        let late = self.floor_late.replace(through);
        let written = if is_active(Mutant::TokenVisibleBeforeDurable) {
            late
        } else {
            Some(through)
        };
        self.floor = self.floor.max(written);
        through
    }
}

/// The clock that judges expiry: the store's, but for one planted bug.
pub(crate) fn judged_by(clock: StoreClock, holders: Timestamp) -> StoreClock {
    if is_active(Mutant::ExpiryOnHoldersClock) {
        return StoreClock {
            now: holders,
            ..clock
        };
    }
    clock
}

impl Shadow {
    /// Forgets how to take back what lies too far back.
    fn trim(&mut self) {
        while self.log.len() > COPIES_MAX && self.synced > 0 {
            let Some(oldest) = self.log.pop_front() else {
                return;
            };
            self.rows.transact(&oldest.command, oldest.clock);
            self.synced -= 1;
        }
    }

    /// The rows after the first `length` commits of the log, which are all that
    /// is left of it.
    fn rewind(&mut self, length: usize) -> MemoryRows {
        self.log.truncate(length);
        self.synced = self.synced.min(length);
        let mut rows = self.rows.clone();
        for logged in &self.log {
            rows.transact(&logged.command, logged.clock);
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_begins_the_clock_again_long_before_the_times_of_the_last_one() {
        let mut store = Store::new(true, floor::BLOCK);
        store.open(&SessionId::new("s"), 0);
        let (before, wall_ms) = (store.clock(5_000_000), store.clock(5_000_000).wall_ms);
        store.cut_power(9, 5_000_000);
        let after = store.clock(5_000_000);
        assert_eq!(after.now.as_ns(), BOOTED_NS);
        assert!(before.now.ms_since(after.now) > 3_600_000);
        assert_eq!(after.wall_ms, wall_ms);
    }
}
