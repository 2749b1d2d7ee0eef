//! What goes wrong, and when.
//!
//! Owns: the kinds of fault. Promises: a fault says everything about itself;
//! what it strikes follows from names, never from a draw. Leaves to others: its
//! effect (`world::fault`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// When it strikes.
    pub when: When,
    /// What happens.
    pub what: FaultKind,
}

/// When a fault strikes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, deny_unknown_fields)]
pub enum When {
    /// At an instant.
    At {
        /// Milliseconds from the start.
        at_ms: u64,
    },
    /// When a process comes to a step.
    Point(Point),
}

/// A side of a step of a process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// The process, by name.
    pub process: String,
    /// The command or effect, by its name in the core.
    pub step: String,
    /// Which of them, counted from 1 over the life of the name.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub nth: u32,
    /// Before it happened, inside it, or after, with its answer still to come.
    pub side: Side,
}

fn first() -> u32 {
    1
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks with a reference"
)]
fn is_first(value: &u32) -> bool {
    *value == 1
}

/// On which side of a step.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The step has not happened.
    Before,
    /// It is under way: a command is inside the store's gate, the commit of a
    /// database is in its log and nobody has seen it. Other effects have no inside.
    Inside,
    /// It has happened; its answer has not arrived.
    After,
}

/// Which messages of a process a fault strikes.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// From its agents.
    Request,
    /// To its agents.
    Response,
    /// To the store.
    Command,
    /// From the store.
    Outcome,
    /// From other processes' doorbells.
    Bell,
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultKind {
    /// A process dies; what it was doing is over, what it wrote stays.
    Kill {
        /// Which.
        process: String,
        /// When its successor starts, if one does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        restart_after_ms: Option<u64>,
    },
    /// The machine loses power: every process dies, and of what was not synced
    /// some survives. All processes start again under another boot identity.
    PowerCut {
        /// How many of the commits that were not synced survive, oldest first.
        commits_kept: u32,
        /// Which changes of names that were not synced survive: bit n for the
        /// nth, oldest first, repeating.
        names_kept: u64,
        /// How many bytes of content that was not synced survive in each file.
        bytes_kept: u32,
        /// When the processes start again.
        restart_after_ms: u64,
    },
    /// A process stands still.
    Pause {
        /// Which.
        process: String,
        /// For how long.
        for_ms: u64,
    },
    /// The whole machine sleeps: clocks go on, nothing else does.
    Suspend {
        /// For how long.
        for_ms: u64,
    },
    /// The clock of a process jumps.
    ClockStep {
        /// Which.
        process: String,
        /// By how much; backward if negative.
        by_ms: i64,
    },
    /// The clock of a process changes its rate.
    ClockDrift {
        /// Which.
        process: String,
        /// How much faster than the world's, from now on.
        ppm: i32,
    },
    /// The clock of a process stands still.
    ClockFreeze {
        /// Which.
        process: String,
        /// For how long.
        for_ms: u64,
    },
    /// The store's clock jumps.
    StoreClockStep {
        /// By how much; backward if negative.
        by_ms: i64,
    },
    /// The wall clock is set.
    WallClockStep {
        /// By how much; backward if negative.
        by_ms: i64,
    },
    /// A message arrives late.
    Delay {
        /// Of which process.
        process: String,
        /// On which route.
        route: Route,
        /// Which message, counted from 1 from when the fault strikes.
        nth: u32,
        /// By how much.
        by_ms: u64,
    },
    /// A message is lost.
    Drop {
        /// Of which process.
        process: String,
        /// On which route.
        route: Route,
        /// Which message, counted from 1 from when the fault strikes.
        nth: u32,
    },
    /// A message arrives a second time.
    Duplicate {
        /// Of which process.
        process: String,
        /// On which route.
        route: Route,
        /// Which message, counted from 1 from when the fault strikes.
        nth: u32,
        /// How much later; a process that started meanwhile gets it too.
        after_ms: u64,
    },
    /// No message of a route gets through.
    Partition {
        /// Of which process.
        process: String,
        /// On which route.
        route: Route,
        /// For how long.
        for_ms: u64,
    },
    /// Messages of a route are kept back and then delivered all at once.
    Hold {
        /// Of which process.
        process: String,
        /// On which route.
        route: Route,
        /// For how long.
        for_ms: u64,
    },
    /// The store's gate does not open.
    StoreBusy {
        /// For how long.
        for_ms: u64,
    },
    /// Every transaction takes longer.
    StoreSlow {
        /// By how much.
        by_us: u64,
        /// For how long.
        for_ms: u64,
    },
    /// A transaction fails.
    StoreFails {
        /// Of which process.
        process: String,
        /// Which command.
        step: String,
        /// Which of them, counted from 1 from when the fault strikes.
        nth: u32,
        /// Whether it took effect all the same.
        executed: bool,
    },
    /// The store has no room: every transaction that writes fails.
    StoreFull {
        /// For how long.
        for_ms: u64,
    },
    /// An effect fails.
    EffectFails {
        /// Of which process.
        process: String,
        /// Which effect.
        step: String,
        /// Which of them, counted from 1 from when the fault strikes.
        nth: u32,
        /// Whether it took effect all the same, as a sync that fails after the
        /// bytes were written.
        executed: bool,
    },
    /// The disk is full: nothing can be staged.
    DiskFull {
        /// For how long.
        for_ms: u64,
    },
    /// The system lets nobody change a file, or what is in a folder.
    Forbidden {
        /// Which.
        path: String,
        /// For how long.
        for_ms: u64,
    },
    /// A staged file gets only its first bytes.
    ShortWrite {
        /// Of which process.
        process: String,
        /// Which staging, counted from 1 from when the fault strikes.
        nth: u32,
        /// How many bytes.
        bytes: u32,
    },
    /// One bit of a file changes by itself.
    BitFlip {
        /// Which file.
        path: String,
        /// Which bit, counted from the front, repeating.
        bit: u64,
    },
    /// Somebody who knows nothing of MAASL saves a file.
    OutsideWrite {
        /// Which.
        path: String,
        /// The new content.
        content: String,
    },
    /// Somebody who knows nothing of MAASL removes a file.
    OutsideDelete {
        /// Which.
        path: String,
    },
    /// The state directory is put back as it was at an earlier instant, without
    /// the floor file, or with it.
    StoreRestored {
        /// How many commits are taken back.
        commits_back: u32,
        /// Whether the floor file is put back too.
        with_floor: bool,
    },
}
