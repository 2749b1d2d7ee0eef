//! I9: a graph is what its patches say, whatever they came in.
//!
//! Owns: every patch that was appended, and what was acknowledged. Promises: what
//! an agent is shown is compared with a model of its own over the set of patches,
//! and with the same patches merged backwards and twice; an acknowledged patch is
//! shown to whoever asks later, over restarts and power cuts. Leaves to others: the
//! lease that checkpoints take (I1, I3).

use std::collections::{BTreeMap, BTreeSet};

use maasl_core::coordinator::graph::{GraphView, MAIN};
use maasl_core::coordinator::io::Reply;
use maasl_core::graph::conflict::Reason;
use maasl_core::graph::journal::Journal;
use maasl_core::graph::patch::{Patch, PatchId};
use maasl_core::graph::seen::Dot;
use maasl_core::graph::state::Graph;
use maasl_core::id::{ContentHash, OpId};
use maasl_core::lease::row::CommitPatch;
use maasl_core::lease::{Command, CommitIntent, Outcome, Query, RequestKey, Rows};
use maasl_core::reply::Receipt;

use super::graph_model::{Picture, picture};
use super::{Breach, Judge};
use crate::observe::{Asked, Ground, Observation, RequestNo};
use crate::plan::Action;
use crate::promise::Promise;

/// The judge.
#[derive(Debug, Default)]
pub(super) struct Graphs {
    /// The patches in the journal, by their dots.
    patches: BTreeMap<Dot, Patch>,
    /// The patches that commits carry, and under which keys. A power cut may bring
    /// any of these commits back.
    carried: BTreeMap<OpId, (CommitPatch, Option<RequestKey>)>,
    /// How often a patch was appended under each key.
    keys: BTreeMap<String, u32>,
    acknowledged: BTreeSet<Dot>,
    /// What had been acknowledged when an agent asked to see the graph.
    asked: BTreeMap<RequestNo, BTreeSet<Dot>>,
    /// The digest shown for each set of patches.
    digests: BTreeMap<String, ContentHash>,
    /// An old copy of the store was put back: what was acknowledged before may be
    /// told late, and nobody has it.
    restored: bool,
}

impl Judge for Graphs {
    fn observe(&mut self, seen: &Observation<'_>, ground: &Ground<'_>) -> Result<(), Breach> {
        match seen {
            Observation::Transacted {
                command: Command::AppendPatch(append),
                outcome: Outcome::Appended { is_new: true, .. },
                ..
            } => self.note_patch(&append.part, append.request.as_ref()),
            Observation::Transacted {
                command: Command::BeginCommit(intent),
                outcome: Outcome::Begun,
                ..
            } => {
                self.carry(intent);
                Ok(())
            }
            Observation::Transacted {
                command: Command::FinishCommit(finish),
                outcome: Outcome::Finished { .. },
                ..
            } => self.note_end(&finish.op, ground),
            Observation::PowerCut => self.note_power_cut(ground),
            Observation::Restored => {
                *self = Self {
                    restored: true,
                    ..Self::default()
                };
                self.keep_what_is_there(ground);
                ground.rows.intents().for_each(|intent| self.carry(intent));
                Ok(())
            }
            Observation::Asked(asked) => {
                self.note_request(asked);
                Ok(())
            }
            Observation::Answered {
                request, response, ..
            } => match &response.result {
                Ok(Reply::Receipt(Receipt::Patched(changed))) => self.judge_answer(changed.patch),
                Ok(Reply::Receipt(Receipt::Changed { beyond, .. })) => match &beyond.graph {
                    Some(changed) => self.judge_answer(changed.patch),
                    None => Ok(()),
                },
                Ok(Reply::Graph(view)) => self.judge_view(*request, view),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

impl Graphs {
    fn carry(&mut self, intent: &CommitIntent) {
        if let Some(part) = &intent.patch {
            let carried = (CommitPatch::clone(part), intent.request.clone());
            self.carried.insert(intent.op.clone(), carried);
        }
    }

    /// A commit ended. Whether its patch had to be appended is the judge's of I5;
    /// whether it was, the journal says.
    fn note_end(&mut self, op: &OpId, ground: &Ground<'_>) -> Result<(), Breach> {
        match self.carried.get(op).cloned() {
            Some((part, request)) if is_there(journal(ground).as_ref(), &part.dot) => {
                self.note_patch(&part, request.as_ref())
            }
            _ => Ok(()),
        }
    }

    fn note_patch(
        &mut self,
        part: &CommitPatch,
        request: Option<&RequestKey>,
    ) -> Result<(), Breach> {
        let patch = Patch::from_bytes(part.bytes.as_slice());
        let patch = patch.map_err(|fault| breach("not-a-patch", fault.to_string()))?;
        let header = patch.header();
        if header.stamp <= header.seen.newest() {
            let message = format!(
                "patch {} has the time {}, and its author had seen {}",
                patch.id(),
                header.stamp,
                header.seen.newest()
            );
            return Err(breach("stamp-not-after-seen", message));
        }
        if let Some(request) = request {
            let times = self.keys.entry(request.key.clone()).or_default();
            *times += 1;
            if *times > 1 {
                let message = format!("two patches were appended under key {:?}", request.key);
                return Err(breach("appended-twice", message));
            }
        }
        let dot = header.dot.clone();
        if self.patches.insert(dot.clone(), patch).is_some() {
            let message = format!("two patches are the {}th of {}", dot.counter, dot.actor);
            return Err(breach("dot-used-twice", message));
        }
        Ok(())
    }

    fn note_request(&mut self, asked: &Asked<'_>) {
        if *asked.action == Action::GraphQuery {
            let acknowledged = &self.acknowledged;
            let asked = self.asked.entry(asked.request);
            asked.or_insert_with(|| acknowledged.clone());
        }
    }

    fn judge_answer(&mut self, patch: PatchId) -> Result<(), Breach> {
        let mut patches = self.patches.iter();
        match patches.find(|(_, one)| one.id() == patch) {
            Some((dot, _)) => {
                self.acknowledged.insert(dot.clone());
                Ok(())
            }
            None if self.restored && self.patches.is_empty() => Ok(()),
            None => {
                let message = format!("patch {patch} was acknowledged and is in no journal");
                Err(breach("acknowledged-and-not-there", message))
            }
        }
    }

    fn judge_view(&mut self, request: RequestNo, view: &GraphView) -> Result<(), Breach> {
        // Asked before the store was put back: it may be of what is gone.
        let Some(before) = self.asked.get(&request) else {
            return Ok(());
        };
        if let Some(dot) = before.iter().find(|dot| !view.seen.contains(dot)) {
            let message = format!(
                "the {}th patch was acknowledged and is not shown",
                dot.counter
            );
            return Err(breach("acknowledged-and-not-shown", message));
        }
        let shown = self.patches.iter();
        let shown: Vec<&Patch> = shown
            .filter(|(dot, _)| view.seen.contains(dot))
            .map(|(_, patch)| patch)
            .collect();
        if shown.len() as u64 != view.patches {
            let message = format!("{} patches are shown of {}", view.patches, shown.len());
            return Err(breach("not-of-its-patches", message));
        }
        let (expected, told) = (picture(shown.iter().copied()), told(view)?);
        if told != expected {
            let message = format!("the patches say {expected:?}, shown is {told:?}");
            return Err(breach("not-what-patches-say", message));
        }
        let known = self.digests.entry(view.seen.to_string());
        let known = *known.or_insert(view.digest);
        if known != view.digest || backwards(&shown) != view.digest {
            let message = format!("{} patches have two digests", shown.len());
            return Err(breach("order-matters", message));
        }
        Ok(())
    }

    fn note_power_cut(&mut self, ground: &Ground<'_>) -> Result<(), Breach> {
        let acknowledged = self.acknowledged.clone();
        self.keep_what_is_there(ground);
        let mut lost = acknowledged.iter();
        match lost.find(|dot| !self.acknowledged.contains(dot)) {
            None => Ok(()),
            Some(dot) => {
                let message = format!("the {}th patch was acknowledged and is lost", dot.counter);
                Err(breach("acknowledged-and-lost", message))
            }
        }
    }

    /// Forgets what the store does not have any more.
    fn keep_what_is_there(&mut self, ground: &Ground<'_>) {
        let journal = journal(ground);
        self.patches
            .retain(|dot, _| is_there(journal.as_ref(), dot));
        self.acknowledged
            .retain(|dot| is_there(journal.as_ref(), dot));
        self.keys.clear();
        self.digests.clear();
    }
}

/// The journal of the graph.
pub(super) fn journal(ground: &Ground<'_>) -> Option<Journal> {
    let Rows::Journals(journals) = ground.rows.load(&Query::Journal(MAIN.into())) else {
        unreachable!("a journal was asked for");
    };
    journals.into_iter().next()
}

/// Whether a journal has this patch.
pub(super) fn is_there(journal: Option<&Journal>, dot: &Dot) -> bool {
    let have = journal.map(|journal| &journal.have);
    have.is_some_and(|have| have.contains(dot))
}

/// What a view tells, in the terms of the model.
fn told(view: &GraphView) -> Result<Picture, Breach> {
    let mut picture = Picture::default();
    for node in &view.answer.nodes {
        picture.nodes.insert(node.id.clone());
        for (key, value) in &node.properties {
            let name = (node.id.clone(), key.clone());
            picture.properties.insert(name, value.to_string());
        }
    }
    for edge in &view.answer.edges {
        let edge = [&edge.source, &edge.relation, &edge.target].map(Clone::clone);
        picture.edges.insert(edge);
    }
    for conflict in &view.conflicts {
        if conflict.reason == Reason::SharedDot {
            return Err(breach("dot-used-twice", format!("{:?}", conflict.about)));
        }
        let name =
            |origin: &maasl_core::graph::patches::Origin| (origin.patch.to_string(), origin.index);
        let winner = conflict.winner.as_ref().map(name);
        picture.lost.insert((name(&conflict.loser), winner));
    }
    Ok(picture)
}

/// The digest of the same patches, the last first and each twice.
fn backwards(patches: &[&Patch]) -> ContentHash {
    let mut graph = Graph::new();
    for patch in patches.iter().rev() {
        graph.merge(&[(*patch).clone(), (*patch).clone()]);
    }
    graph.digest()
}

fn breach(site: &'static str, message: String) -> Breach {
    Breach::new(Promise::I9, site, message)
}

#[cfg(test)]
#[path = "i9_graph_tests.rs"]
mod tests;
