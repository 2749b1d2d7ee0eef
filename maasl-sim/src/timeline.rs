//! A run as lanes over time.
//!
//! Owns: what a timeline shows. Promises: what the store granted and what holders
//! believed stand side by side, at every step; the page and the text say the
//! same. Leaves to others: collecting it (`collect`, `spans`), the page (`page`)
//! and the text (`text`).

mod collect;
mod page;
mod spans;
mod text;

use serde::Serialize;

/// A run as lanes over time. Steps are counted from 0; lanes by their place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Timeline {
    /// The scenario and seed.
    pub title: String,
    /// What came of it.
    pub verdict: String,
    /// Whether a promise was broken.
    pub broken: bool,
    /// The processes, by name.
    pub processes: Vec<String>,
    /// The resources that were asked for, by key.
    pub resources: Vec<String>,
    /// What happened.
    pub steps: Vec<Step>,
    /// What the store granted.
    pub grants: Vec<Span>,
    /// What processes relied on.
    pub beliefs: Vec<Span>,
    /// Processes that stood still or were dead.
    pub silences: Vec<Silence>,
    /// Faults, with how long they lasted.
    pub faults: Vec<Band>,
    /// What happened to the resources themselves.
    pub marks: Vec<Mark>,
    /// The step at which a promise broke, or else the first stale write that was
    /// refused, or else the first refusal.
    pub first_error: Option<usize>,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Nanoseconds from the start.
    pub at_ns: u64,
    /// The process; nothing for the world.
    pub process: Option<usize>,
    /// Process, agent or world, by name.
    pub who: String,
    /// What happened.
    pub what: String,
    /// What it looks like.
    pub look: Look,
    /// The resources of its request.
    pub resources: Vec<usize>,
}

/// What a record looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Look {
    /// An agent asks or is answered.
    Agent,
    /// A stale write is refused.
    Stale,
    /// Something else is refused.
    Refused,
    /// A command to the store.
    Store,
    /// An effect.
    Effect,
    /// A process lives, dies, wakes.
    Life,
    /// Something goes wrong.
    Fault,
}

/// An instant: how many steps were before it, and its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Instant {
    /// How many steps were before it.
    pub step: usize,
    /// Nanoseconds from the start.
    pub ns: u64,
}

/// A lease on one resource, as granted or as believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// The resource.
    pub resource: usize,
    /// The process of the holder, where the plan has it.
    pub process: Option<usize>,
    /// The agent.
    pub agent: String,
    /// The token.
    pub token: String,
    /// Beside other readers.
    pub shared: bool,
    /// From when.
    pub from: Instant,
    /// Until when.
    pub to: Instant,
    /// When it expired, by the store's clock or the holder's.
    pub expires_ns: Option<u64>,
    /// What ended it.
    pub end: String,
    /// Of what is believed: since when another had been granted it.
    pub false_from: Option<Instant>,
}

/// A process that did nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Silence {
    /// Which.
    pub process: usize,
    /// Whether it was dead; otherwise it stood still.
    pub dead: bool,
    /// From when.
    pub from: Instant,
    /// Until when.
    pub to: Instant,
}

/// A fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Band {
    /// What it is.
    pub name: String,
    /// The process it strikes.
    pub process: Option<usize>,
    /// Whether it strikes the store.
    pub store: bool,
    /// From when.
    pub from: Instant,
    /// Until when; the same instant for what does not last.
    pub to: Instant,
}

/// Something that happened to a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mark {
    /// Which.
    pub resource: usize,
    /// When.
    pub at: Instant,
    /// What it looks like.
    pub sign: Sign,
    /// What it is.
    pub text: String,
}

/// What a mark looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// A change became visible.
    Change,
    /// A change was taken back.
    Back,
    /// Somebody outside changed it, or a bit flipped.
    Outside,
    /// A stale write was refused.
    Stale,
    /// Something else was refused.
    Refused,
}
