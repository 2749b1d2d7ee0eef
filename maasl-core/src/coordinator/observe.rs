//! Observe mode: what the guard would have done, and going on without it.
//!
//! Owns: which refusals observe mode passes over. Promises: in enforce mode every
//! refusal stands; in observe mode a call is neither held up nor refused for what
//! others do, and is told of each time that it would have been. Leaves to others:
//! what cannot be done at all, with or without a guard: that is refused in both.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::call::Cx;
use super::facts::paths_of;
use super::io::{Event, FileOp, OnStale};
use super::plan::Facts;
use crate::config::GuardMode;
use crate::id::ContentHash;
use crate::lease::{Command, Count, Counter};
use crate::observed::Observed;
use crate::refusal::{Busy, Refusal};

impl Cx {
    /// Whether calls are only watched.
    pub(super) fn observes(&self) -> bool {
        self.config().mode == GuardMode::Observe
    }

    /// Passes over a refusal in observe mode.
    pub(super) fn unless_observed(&self, refusal: Refusal) -> Result<(), Refusal> {
        if !self.observes() {
            return Err(refusal);
        }
        match refusal {
            Refusal::ResourceBusy(busy) => self.would_block(busy),
            refusal if is_passed_over(&refusal) => self.would_refuse(refusal),
            refusal => return Err(refusal),
        }
        Ok(())
    }

    /// Notes that the call would have waited.
    pub(super) fn would_block(&self, busy: Box<Busy>) {
        self.note(&Observed::WouldBlock(busy));
    }

    /// Notes that the call would have been refused.
    fn would_refuse(&self, refusal: Refusal) {
        self.note(&Observed::WouldRefuse(Box::new(refusal)));
    }

    /// One retry of a call may meet the same thing again.
    fn note(&self, what: &Observed) {
        if self.add_observed(what) {
            self.event(Event::Observed {
                agent: self.seed.agent.clone(),
                what: what.name(),
                code: what.code(),
            });
        }
    }
}

/// What others did to a call, as against what the call itself gets wrong.
fn is_passed_over(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::StaleVersion(_)
            | Refusal::LeaseLost(_)
            | Refusal::DocgenStale(_)
            | Refusal::Unmarked(_)
    )
}

/// Whether a call whose commit was refused for this is to be made again.
pub(super) fn is_made_again(cx: &Cx, refusal: &Refusal) -> bool {
    cx.observes() && matches!(refusal, Refusal::StaleVersion(_) | Refusal::LeaseLost(_))
}

/// Counts what was observed. A count that cannot be kept is no reason to fail.
pub(super) async fn count(cx: &Cx, observed: &[Observed], class: &'static str) {
    if observed.is_empty() {
        return;
    }
    let counts = observed.iter().map(|what| {
        let counter = match what {
            Observed::WouldBlock(_) => Counter::WouldBlock,
            Observed::WouldRefuse(_) => Counter::WouldRefuse,
        };
        cx.count(counter, class)
    });
    let counts: Vec<Count> = counts.collect();
    let _ = cx.store(Command::Tally(counts)).await;
}

/// The operations as somebody asks for them who goes by what the files hold now.
pub(super) fn unopposed(ops: &[FileOp], facts: &Facts) -> Vec<FileOp> {
    let mut ops = ops.to_vec();
    for op in &mut ops {
        let path = paths_of(op).first().map(|path| (**path).clone());
        let now = path.and_then(|path| hash_of(facts, &path));
        match op {
            FileOp::Write { base, on_stale, .. } => {
                *base = now;
                *on_stale = OnStale::Refuse;
            }
            FileOp::Edit { base, .. }
            | FileOp::Move { base, .. }
            | FileOp::Delete { base, .. }
            | FileOp::Restore { base, .. }
            | FileOp::Document { base, .. }
            | FileOp::Graph { base, .. } => *base = now,
        }
    }
    ops
}

fn hash_of(facts: &Facts, path: &String) -> Option<ContentHash> {
    let content = facts.files.get(path)?.as_ref()?;
    Some(content.hash)
}
