//! A run with every choice made: what a scenario and a seed come to.
//!
//! Owns: the form of a plan. Promises: running a plan draws nothing; the same
//! plan gives the same run, and a plan can be edited by hand and run as it is.
//! Leaves to others: making one from a scenario (`draw`) and running it
//! (`world`).
//!
//! Durations that differ from message to message come from tables in the plan:
//! which entry applies follows from the identity of the message, never from how
//! many came before it. So taking a fault or a call out of a plan leaves all
//! other choices as they were.

pub mod call;
pub mod fault;
mod validate;
mod words;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::call::{Action, Call, GraphChange, GraphEdit, Together};
pub use self::fault::{Fault, FaultKind, Point, Side, When};
pub use self::validate::PlanError;
pub(crate) use self::validate::limit_of;
use crate::promise::Promise;

/// The form of plans this program reads and writes.
pub const PLAN_VERSION: u32 = 1;

/// A run with every choice made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`PLAN_VERSION`].
    pub plan_version: u32,
    /// The scenario it was drawn from.
    pub scenario: String,
    /// The seed it was drawn with; running the plan does not use it.
    pub seed: u64,
    /// Faults strike until then; afterwards everything is mended, so that what
    /// still waits must be served.
    pub quiet_from_ms: u64,
    /// How long the run goes on after that, at most.
    pub settle_ms: u64,
    /// Events after which a run is taken to go in circles.
    pub events_max: u64,
    /// The promises that are judged.
    pub promises: Vec<Promise>,
    /// What differs from the product's defaults.
    #[serde(default)]
    pub settings: Settings,
    /// How long things take.
    pub timing: Timing,
    /// Files that exist at the start.
    #[serde(default)]
    pub files: Vec<File>,
    /// The server processes.
    pub processes: Vec<Process>,
    /// The agents and what they do.
    pub agents: Vec<Agent>,
    /// What goes wrong.
    #[serde(default)]
    pub faults: Vec<Fault>,
}

impl Plan {
    /// The plan as a file that can be edited and run.
    ///
    /// # Errors
    /// If a number is larger than such files can hold, as a seed beyond
    /// `i64::MAX`.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }
}

/// Settings of the product that a plan may override.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Lease of calls, in the classes of files, databases and documents,
    /// milliseconds.
    pub lease_ttl_ms: Option<u64>,
    /// Its lock-delay, milliseconds.
    pub lock_delay_ms: Option<u64>,
    /// Its wait limit for interactive calls, milliseconds.
    pub interactive_max_wait_ms: Option<u64>,
    /// Its wait limit for batch calls, milliseconds.
    pub batch_max_wait_ms: Option<u64>,
    /// The drift that holders allow for, parts per million.
    pub clock_drift_ppm: Option<u64>,
    /// How long a call waits for a latch, milliseconds.
    pub latch_wait_ms: Option<u64>,
    /// How long a command waits for the store's gate, milliseconds.
    pub gate_wait_ms: Option<u64>,
    /// How many tokens the floor file covers ahead.
    pub floor_block: Option<u64>,
    /// How long a process rests before it looks after the dead again,
    /// milliseconds.
    pub housekeeping_ms: Option<u64>,
    /// Whether documents are written by a generator and not by those who ask.
    pub generator: Option<bool>,
    /// Whether documents are in one folder and not as their sources are.
    pub flat_documents: Option<bool>,
}

/// How long things take, in microseconds. Each table is used by identity: a
/// message or step takes the entry its name falls on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timing {
    /// Between an agent and its server, each way.
    pub client_us: Vec<u64>,
    /// To and from the store; its sum with nothing is a store in the process.
    pub store_us: Vec<u64>,
    /// Inside a transaction.
    pub transaction_us: Vec<u64>,
    /// An effect on files.
    pub effect_us: Vec<u64>,
    /// A sync to the device.
    pub sync_us: Vec<u64>,
    /// A doorbell.
    pub bell_us: Vec<u64>,
    /// Whether the store is reached by messages that can be lost, instead of
    /// being opened by each process.
    #[serde(default)]
    pub remote_store: bool,
    /// After how long without an answer a remote command counts as failed.
    #[serde(default = "store_timeout_ms")]
    pub store_timeout_ms: u64,
}

impl Timing {
    /// The tables, each with its name.
    pub(crate) fn tables(&self) -> [(&'static str, &[u64]); 6] {
        [
            ("client_us", &self.client_us),
            ("store_us", &self.store_us),
            ("transaction_us", &self.transaction_us),
            ("effect_us", &self.effect_us),
            ("sync_us", &self.sync_us),
            ("bell_us", &self.bell_us),
        ]
    }
}

fn store_timeout_ms() -> u64 {
    2_000
}

/// A file that exists at the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Relative to the root.
    pub path: String,
    /// The whole content.
    pub content: String,
}

/// A server process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Its name.
    pub name: String,
    /// How far its clock is ahead of the world's at the start, microseconds.
    #[serde(default)]
    pub clock_ahead_us: u64,
    /// How much faster its clock runs, parts per million.
    #[serde(default)]
    pub drift_ppm: i32,
    /// When it starts.
    #[serde(default)]
    pub start_at_ms: u64,
}

/// An agent, which makes its calls one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// Its name.
    pub name: String,
    /// The process that serves it, by name.
    pub process: String,
    /// How it takes a refusal.
    #[serde(default)]
    pub manner: Manner,
    /// What it does.
    #[serde(default)]
    pub calls: Vec<Call>,
}

/// How an agent takes a refusal or silence.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Manner {
    /// Reads again after `stale_version`, waits after `resource_busy`, goes on
    /// after a few attempts.
    #[default]
    Sensible,
    /// Repeats every refused call at once, as it was.
    Stubborn,
    /// Sends every request twice.
    Repeating,
    /// Never returns a reservation.
    Hoarding,
}
