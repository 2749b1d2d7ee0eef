//! The rows of a store in memory, shared.
//!
//! Owns: [`SharedRows`], the rows of `maasl_core::lease::MemoryRows` behind one
//! mutex. Promises: a command is decided and applied as a whole, at a time read
//! after every command before it; tokens are reserved before they are issued.
//! Leaves to others: the rules (the core).

use maasl_core::id::Token;
use maasl_core::lease::command::Open;
use maasl_core::lease::{Command, MemoryRows, Outcome, StoreClock};

use crate::sync::{Mutex, MutexGuard};

/// Rows that several threads use.
#[derive(Debug)]
pub struct SharedRows(Mutex<MemoryRows>);

impl SharedRows {
    /// The rows of an empty store, opened at this time.
    #[must_use]
    pub fn open(clock: StoreClock) -> Self {
        let mut rows = MemoryRows::default();
        let open = Command::Open(Open {
            store: "memory".into(),
            boot: "memory".into(),
            floor: Token::default(),
            first_sequence: 1,
            session: None,
        });
        rows.transact(&open, clock);
        Self(Mutex::new(rows))
    }

    /// Runs a command. The clock is read inside, so that no command is decided at
    /// a time before that of one it follows.
    pub fn transact(&self, command: &Command, clock: impl FnOnce() -> StoreClock) -> Outcome {
        let mut rows = self.0.lock();
        let clock = clock();
        let outcome = rows.transact(command, clock);
        let Outcome::NeedReserve(token) = outcome else {
            return outcome;
        };
        // Nothing can bring back an older copy of this store, so it needs no
        // floor: the whole generation is covered at once.
        let all = Token::new(token.generation(), Token::SEQUENCE_MAX);
        let all = all.expect("the generation of a token that was made");
        rows.transact(&Command::Reserve(all), clock);
        rows.transact(command, clock)
    }

    /// The rows, for looking; nobody else does anything meanwhile.
    pub fn lock(&self) -> MutexGuard<'_, MemoryRows> {
        self.0.lock()
    }
}
