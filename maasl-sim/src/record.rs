//! The record of a run: what happened, in a form that is cheap to keep.
//!
//! Owns: the records, their bytes and the rolling digest over them. Promises:
//! two runs with equal digests made the same steps in the same order with the
//! same outcomes. Leaves to others: files of records (`trace`) and showing them.

use std::collections::VecDeque;

use sha2::{Digest as _, Sha256};

/// How many of the newest records are kept for showing what led to a breach.
const TAIL: usize = 40;

/// Bytes that are collected before they are hashed.
const BLOCK_BYTES: usize = 8 * 1024;

/// The kind of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A process started; the detail is its incarnation.
    Started,
    /// A process died.
    Died,
    /// A process stands still or goes on; the detail is 1 or 0.
    Paused,
    /// A request reached a process; the detail is the request.
    Request,
    /// An answer reached an agent; the detail tells how it went.
    Answer,
    /// A command was executed; the detail tells with what outcome.
    Command,
    /// A command was not executed.
    CommandFault,
    /// An effect was executed; the detail tells what it met.
    Effect,
    /// A deadline of a process came.
    Timer,
    /// A doorbell rang; the detail is the ticket.
    Bell,
    /// A fault struck; the detail is its place in the plan.
    Fault,
    /// An agent acted; the detail is its call.
    Turn,
    /// Nothing goes wrong any more.
    Quiet,
}

impl Kind {
    /// All, by number.
    pub const ALL: [Self; 13] = [
        Self::Started,
        Self::Died,
        Self::Paused,
        Self::Request,
        Self::Answer,
        Self::Command,
        Self::CommandFault,
        Self::Effect,
        Self::Timer,
        Self::Bell,
        Self::Fault,
        Self::Turn,
        Self::Quiet,
    ];
}

/// One thing that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Nanoseconds from the start.
    pub at_ns: u64,
    /// What.
    pub kind: Kind,
    /// The place of its process or agent in the plan.
    pub who: u16,
    /// The name of the command, effect or code, if it has one.
    pub label: &'static str,
    /// The call, counted in its process; 0 for none.
    pub call: u64,
    /// What more there is, by kind.
    pub detail: u64,
}

/// The records of one run.
#[derive(Debug)]
pub struct Recorder {
    hash: Sha256,
    block: Vec<u8>,
    before_ns: u64,
    count: u64,
    tail: VecDeque<Record>,
    kept: Option<Vec<Record>>,
}

impl Recorder {
    /// An empty record; with `keep`, every record can be had in the end.
    #[must_use]
    pub fn new(keep: bool) -> Self {
        Self {
            hash: Sha256::new(),
            block: Vec::with_capacity(BLOCK_BYTES + 64),
            before_ns: 0,
            count: 0,
            tail: VecDeque::with_capacity(TAIL),
            kept: keep.then(Vec::new),
        }
    }

    /// Adds a record.
    pub fn add(&mut self, record: Record) {
        self.count += 1;
        self.encode(&record);
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(record);
        if let Some(kept) = &mut self.kept {
            kept.push(record);
        }
    }

    /// How many records there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The newest records, oldest first.
    #[must_use]
    pub fn tail(&self) -> Vec<Record> {
        self.tail.iter().copied().collect()
    }

    /// All records so far, if they are kept.
    #[must_use]
    pub fn kept(&self) -> &[Record] {
        self.kept.as_deref().unwrap_or_default()
    }

    /// Ends the record: its digest, and all records if they were kept.
    #[must_use]
    pub fn finish(mut self) -> ([u8; 32], Vec<Record>) {
        self.hash.update(&self.block);
        (self.hash.finalize().into(), self.kept.unwrap_or_default())
    }

    fn encode(&mut self, record: &Record) {
        varint(&mut self.block, record.at_ns.wrapping_sub(self.before_ns));
        self.before_ns = record.at_ns;
        self.block.push(record.kind as u8);
        varint(&mut self.block, u64::from(record.who));
        varint(&mut self.block, record.label.len() as u64);
        self.block.extend_from_slice(record.label.as_bytes());
        varint(&mut self.block, record.call);
        varint(&mut self.block, record.detail);
        if self.block.len() >= BLOCK_BYTES {
            self.hash.update(&self.block);
            self.block.clear();
        }
    }
}

/// Appends `value`, seven bits to a byte, lowest first.
#[expect(
    clippy::cast_possible_truncation,
    reason = "seven bits are taken at a time"
)]
pub fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}
