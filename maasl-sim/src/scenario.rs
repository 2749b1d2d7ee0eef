//! A scenario: a story with room for chance.
//!
//! Owns: the form of scenario files. Promises: every field has a part in the plan
//! that is drawn, in the expectation it is judged by or in what is told about it.
//! Leaves to others: choosing (`draw`).
//!
//! A scenario names what may happen, a plan what does. Where a plan has a value,
//! a scenario may have a range or a choice.

mod expect;
mod form;
mod loose;
mod range;
mod read;
mod schema;
mod sense;
mod source;
pub mod steps;

use schemars::JsonSchema;
use serde::Deserialize;

pub use self::expect::{Expect, Verdict};
pub use self::loose::{ANY, Loose};
pub use self::range::{Number, Permille, Range};
pub use self::read::parse;
pub use self::schema::schema;
pub use self::source::ScenarioError;
use crate::plan::{Call, FaultKind, Manner, Settings, When};
use crate::promise::Promise;

/// The form of scenarios this program reads.
pub const SCHEMA_VERSION: u32 = 1;

/// A scenario.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The form of the file: 1.
    pub schema_version: u32,
    /// Its name, as the file has it.
    pub name: String,
    /// What happens, in prose. The first line says it in short.
    pub story: String,
    /// Where the story comes from, if it has a name in the literature or the field.
    pub source: Option<String>,
    /// Who takes part.
    #[serde(default)]
    pub topology: Topology,
    /// What agents do of which nobody says more.
    #[serde(default)]
    pub workload: Workload,
    /// What single agents do.
    #[serde(default)]
    pub script: Vec<Script>,
    /// What may go wrong.
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// What differs from the product's defaults.
    #[serde(default)]
    pub settings: Settings,
    /// The promises that are judged; all where none are named.
    #[serde(default = "all_promises")]
    pub promises: Vec<Promise>,
    /// How long things take.
    #[serde(default)]
    pub timing: Timing,
    /// What must come of it.
    #[serde(default)]
    pub expect: Expect,
}

fn all_promises() -> Vec<Promise> {
    Promise::ALL.to_vec()
}

/// Who takes part, and on what.
///
/// Processes are called `p0`, `p1`, …; agents after their process, `p0-a0`; files
/// stand in folders, `d0/f0.txt`; names that are free at the start are
/// `d0/new0.txt`. Files and free names go to the folders in turn.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Topology {
    /// Server processes.
    pub processes: Range<u32>,
    /// Agents that each process serves.
    pub agents_per_process: Range<u32>,
    /// Files that exist at the start, with a line for each agent.
    pub files: Range<u32>,
    /// Names for files that do not exist yet.
    pub free_names: Range<u32>,
    /// The folders they stand in.
    pub folders: Range<u32>,
    /// When each process starts.
    pub start_at_ms: Range<u64>,
    /// How far the clock of each process is ahead at the start.
    pub clock_ahead_us: Range<u64>,
    /// How much faster the clock of each process runs, parts per million.
    pub drift_ppm: Range<i32>,
    /// How agents take a refusal.
    pub manners: Manners,
}

impl Default for Topology {
    fn default() -> Self {
        Self {
            processes: Range::fixed(2),
            agents_per_process: Range::fixed(1),
            files: Range::fixed(2),
            free_names: Range::fixed(2),
            folders: Range::fixed(1),
            start_at_ms: Range::fixed(0),
            clock_ahead_us: Range::new(0, 5_000_000),
            drift_ppm: Range::new(-50, 50),
            manners: Manners::default(),
        }
    }
}

/// How agents take a refusal, by weight.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Manners {
    /// Reads again, waits, gives up after a few attempts.
    pub sensible: u32,
    /// Repeats every refused call at once.
    pub stubborn: u32,
    /// Sends every request twice.
    pub repeating: u32,
    /// Never returns a reservation.
    pub hoarding: u32,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            sensible: 1,
            stubborn: 0,
            repeating: 0,
            hoarding: 0,
        }
    }
}

/// What agents do, and how long the run takes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Workload {
    /// Until when something may go wrong.
    pub quiet_from_ms: Range<u64>,
    /// How long the run goes on after that, at most.
    pub settle_ms: u64,
    /// Events after which a run is taken to go in circles.
    pub events_max: u64,
    /// Calls of each agent.
    pub calls_per_agent: Range<u32>,
    /// Calls that each agent makes on top, all agents at nearly the same time, once
    /// nothing goes wrong any more.
    pub quiet_calls: Range<u32>,
    /// How long an agent thinks before a call.
    pub think_us: Range<u64>,
    /// How many calls carry an idempotency key.
    pub keyed_permille: Permille,
    /// How many calls are made under the agent's reservation.
    pub under_lease_permille: Permille,
    /// How many calls are batch work.
    pub batch_permille: Permille,
    /// How many calls are cancelled.
    pub cancelled_permille: Permille,
    /// After how long those are cancelled.
    pub cancel_after_ms: Range<u64>,
    /// The longest wait that agents accept; the class decides where not given.
    pub max_wait_ms: Option<Range<u64>>,
    /// How many calls may not wait at all.
    pub at_once_permille: Permille,
    /// After how long without an answer agents ask again.
    pub patience_ms: Range<u64>,
    /// How often agents try in all.
    pub attempts: Range<u32>,
    /// How many whole-file writes are merged with what came between.
    pub merge_permille: Permille,
    /// How many whole-file writes go by what the agent saw last.
    pub from_memory_permille: Permille,
    /// How many moves give what stands under a free name the name of a file.
    pub move_back_permille: Permille,
    /// How many moves are made without reading first, and without a word of what
    /// their agent has seen.
    pub move_blind_permille: Permille,
    /// Files that one refactoring changes.
    pub refactor_files: Range<u32>,
    /// Rows that one write adds to a database.
    pub db_rows: Range<u32>,
    /// Documents that one transaction brings.
    pub transact_documents: Range<u32>,
    /// How many transactions change the graph as well.
    pub transact_patch_permille: Permille,
    /// Nodes that patches of the graph are about: fewer meet more.
    pub graph_nodes: Range<u32>,
    /// How many patches are made without having seen the graph.
    pub graph_blind_permille: Permille,
    /// What calls ask for.
    pub mix: Mix,
    /// What reservations are like.
    pub reservations: Reservations,
}

impl Default for Workload {
    fn default() -> Self {
        Self {
            quiet_from_ms: Range::fixed(20_000),
            settle_ms: 240_000,
            events_max: 2_000_000,
            calls_per_agent: Range::fixed(0),
            quiet_calls: Range::fixed(2),
            think_us: Range::new(1_000, 200_000),
            keyed_permille: Permille(0),
            under_lease_permille: Permille(0),
            batch_permille: Permille(0),
            cancelled_permille: Permille(0),
            cancel_after_ms: Range::new(1, 500),
            max_wait_ms: None,
            at_once_permille: Permille(0),
            patience_ms: Range::fixed(60_000),
            attempts: Range::fixed(3),
            merge_permille: Permille(0),
            from_memory_permille: Permille(0),
            move_back_permille: Permille(0),
            move_blind_permille: Permille(0),
            refactor_files: Range::new(2, 3),
            db_rows: Range::new(1, 3),
            transact_documents: Range::fixed(0),
            transact_patch_permille: Permille(0),
            graph_nodes: Range::fixed(4),
            graph_blind_permille: Permille(0),
            mix: Mix::default(),
            reservations: Reservations::default(),
        }
    }
}

/// What calls ask for, by weight.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mix {
    /// Reads a file.
    pub read: u32,
    /// Replaces a whole file.
    pub write: u32,
    /// Replaces the agent's own line.
    pub edit: u32,
    /// Creates a file under a free name.
    pub create: u32,
    /// Gives a file a free name.
    #[serde(rename = "move")]
    pub move_: u32,
    /// Removes a file.
    pub delete: u32,
    /// Edits several files, all or nothing.
    pub refactor: u32,
    /// Brings back what was there before.
    pub restore: u32,
    /// Adds rows to the retrieval database.
    pub db_write: u32,
    /// Has the document of a file made.
    pub docgen: u32,
    /// Edits several files, adds rows to the retrieval database and does what else
    /// belongs to a transaction, all or nothing.
    pub transact: u32,
    /// Takes a lease over several calls.
    pub reserve: u32,
    /// Extends it.
    pub renew: u32,
    /// Returns it.
    pub release: u32,
    /// Takes leases away from whoever holds them.
    pub revoke: u32,
    /// Settles what dead processes left open.
    pub recover: u32,
    /// Changes the graph.
    pub graph_patch: u32,
    /// Looks at the graph.
    pub graph_query: u32,
    /// Makes a checkpoint of the graph.
    pub graph_compact: u32,
}

impl Default for Mix {
    fn default() -> Self {
        Self {
            read: 3,
            write: 2,
            edit: 5,
            create: 0,
            move_: 0,
            delete: 0,
            refactor: 0,
            restore: 0,
            db_write: 0,
            docgen: 0,
            transact: 0,
            reserve: 0,
            renew: 0,
            release: 0,
            revoke: 0,
            recover: 0,
            graph_patch: 0,
            graph_query: 0,
            graph_compact: 0,
        }
    }
}

/// What reservations are like.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Reservations {
    /// Files of one.
    pub files: Range<u32>,
    /// How many are of whole folders.
    pub subtree_permille: Permille,
    /// How many stand beside other readers.
    pub shared_permille: Permille,
    /// How many are renewed by the server.
    pub keep_permille: Permille,
    /// For how long; the class decides where not given.
    pub ttl_ms: Option<Range<u64>>,
}

impl Default for Reservations {
    fn default() -> Self {
        Self {
            files: Range::fixed(1),
            subtree_permille: Permille(0),
            shared_permille: Permille(0),
            keep_permille: Permille(0),
            ttl_ms: None,
        }
    }
}

/// What one agent does.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Which agent, as `p0-a0`.
    pub agent: String,
    /// How it takes a refusal; drawn where not given.
    pub manner: Option<Manner>,
    /// Its calls, in the form plans have them, instead of drawn ones.
    pub calls: Option<Vec<Loose<Call>>>,
}

/// Something that may go wrong.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What its draws are named after; its kind where not given. Two faults of
    /// one kind need names, so that taking one out leaves the other as it was.
    pub name: Option<String>,
    /// In how many runs of a thousand it is there at all.
    #[serde(default = "Permille::always")]
    pub probability_permille: Permille,
    /// How many of it there are then, each with draws of its own.
    #[serde(default = "once")]
    pub count: Range<u32>,
    /// When it strikes: between two instants, or at a step of a process.
    pub when: Loose<When>,
    /// What happens, in the form plans have it.
    pub what: Loose<FaultKind>,
}

fn once() -> Range<u32> {
    Range::fixed(1)
}

impl Fault {
    /// What its draws are named after.
    #[must_use]
    pub fn label(&self) -> &str {
        let kind = self.what.text("kind").unwrap_or_default();
        self.name.as_deref().unwrap_or(kind)
    }
}

/// How long things take.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Timing {
    /// Between an agent and its server, each way.
    pub client_us: Range<u64>,
    /// To and from a remote store, each way.
    pub store_us: Range<u64>,
    /// Inside a transaction.
    pub transaction_us: Range<u64>,
    /// An effect on files.
    pub effect_us: Range<u64>,
    /// A sync to the device.
    pub sync_us: Range<u64>,
    /// A doorbell.
    pub bell_us: Range<u64>,
    /// Whether the store is reached by messages that can be lost.
    pub remote_store: bool,
    /// After how long without an answer a remote command counts as failed.
    pub store_timeout_ms: Range<u64>,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            client_us: Range::new(50, 1_000),
            store_us: Range::new(100, 2_000),
            transaction_us: Range::new(50, 500),
            effect_us: Range::new(20, 200),
            sync_us: Range::new(200, 3_000),
            bell_us: Range::new(50, 500),
            remote_store: false,
            store_timeout_ms: Range::fixed(2_000),
        }
    }
}
