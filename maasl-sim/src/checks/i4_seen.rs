//! I4: a write replaced what its author had seen.
//!
//! Owns: what each request was based on, what each swap displaced, and what the
//! line of each agent in each file was acknowledged to say. Promises: a change
//! is judged when its commit ends, by what the disk gave out, and when it is
//! acknowledged, by what its author named as seen. Leaves to others: whether it
//! survives (I5).
//!
//! A move without a base takes what is there, unless its server has told the author
//! of something else; what its author had not seen before is not seen after it.
//!
//! Not judged: what an agent replaces whole without saying what it had seen
//! (`Create`, a write from memory) against the lines of others; contents that
//! are no text; an edit's base, because an edit replaces no more than the text it
//! names, which the lines show; the base of a document, which replaces what was made
//! from an earlier source (I10).

use std::collections::{BTreeMap, BTreeSet};

use maasl_core::coordinator::io::{Reply, Response, Swapped};
use maasl_core::id::{ContentHash, OpId};
use maasl_core::lease::command::{FinishCommit, ItemEnd};
use maasl_core::lease::{Command, CommitIntent, CommitItem, Outcome};
use maasl_core::refusal::Refusal;
use maasl_core::reply::{FileChanged, Receipt};

use super::contents::{Contents, count_of, others};
use super::{Breach, Judge};
use crate::observe::{AgentNo, Asked, Ground, Observation, ProcessNo, RequestNo};
use crate::plan::{Action, FaultKind, Manner, Plan};
use crate::promise::Promise;

/// The judge.
#[derive(Debug, Default)]
pub(super) struct Seen {
    contents: Contents,
    asked: BTreeMap<RequestNo, BTreeMap<String, ContentHash>>,
    /// Contents that each agent was told of, by file.
    told: BTreeMap<(AgentNo, String), BTreeSet<ContentHash>>,
    /// What each agent was told of last, by file, as its server remembers it too.
    last: BTreeMap<(AgentNo, String), ContentHash>,
    /// The process that serves each agent, as long as it lives.
    served: BTreeMap<AgentNo, ProcessNo>,
    /// Agents whose server may have told them more than reached them.
    doubtful: BTreeSet<AgentNo>,
    /// Whether requests may be carried out twice, which a server remembers before
    /// its second answer comes.
    copies: bool,
    /// Files that an agent replaces without saying what it had seen.
    whole: BTreeSet<(String, String)>,
    open: BTreeMap<OpId, Open>,
    /// What the newest swap of each staged name displaced, and the age of the
    /// file's lines then; nothing where it brought another content than meant.
    displaced: BTreeMap<String, (Option<ContentHash>, Option<u64>)>,
    /// Contents that somebody destroyed who knows nothing of MAASL.
    destroyed: BTreeSet<ContentHash>,
    files: BTreeMap<String, Lines>,
    /// Whether bits changed by themselves: then lines may have run together, and
    /// whoever changes its own changes another's.
    rotten: bool,
}

/// A commit under way.
#[derive(Debug)]
struct Open {
    agent: String,
    items: Vec<CommitItem>,
    /// Staged names that held what they should when it began.
    sound: BTreeSet<String>,
}

/// The lines of one file.
#[derive(Debug, Default)]
struct Lines {
    /// Rises when somebody may take lines away.
    age: u64,
    /// The age in which each content came into the file.
    born: BTreeMap<ContentHash, u64>,
    /// What each agent was told its line says.
    acknowledged: BTreeMap<String, u64>,
}

impl Lines {
    fn start_anew(&mut self) {
        self.age += 1;
        self.born.clear();
        self.acknowledged.clear();
    }
}

impl Judge for Seen {
    fn observe(&mut self, seen: &Observation<'_>, ground: &Ground<'_>) -> Result<(), Breach> {
        self.contents.observe(seen, ground);
        match seen {
            Observation::Asked(asked) => self.note_asked(asked, ground),
            Observation::GaveUp { agent, .. } => {
                self.doubtful.insert(*agent);
            }
            Observation::Died { process, .. } => self.forget_served_by(*process),
            Observation::Transacted {
                command: Command::BeginCommit(intent),
                outcome: Outcome::Begun,
                ..
            } => self.note_begun(intent, ground),
            Observation::Transacted {
                command: Command::FinishCommit(finish),
                outcome: Outcome::Finished { .. },
                ..
            } => return self.judge_finished(finish, ground),
            Observation::Swapped {
                item,
                back: false,
                swapped: Swapped::Displaced(displaced),
                now,
                ..
            } => {
                let file = self.files.entry(item.path.clone()).or_default();
                if *now != item.new {
                    // The device did not keep what was staged.
                    file.start_anew();
                }
                let swap = (*displaced, (*now == item.new).then_some(file.age));
                self.displaced.insert(item.stage.clone(), swap);
            }
            Observation::Outside { path, before, .. } => {
                self.destroyed.extend(*before);
                self.start_anew(path);
            }
            Observation::Rotted { path, before, .. } => {
                self.destroyed.insert(*before);
                self.rotten = true;
                self.start_anew(path);
            }
            // What a cut leaves of staged names is the judge's of I5.
            Observation::PowerCut => {
                self.forget_lines_under_way();
                for open in self.open.values_mut() {
                    open.sound.clear();
                }
            }
            // A commit that an old copy brings back was judged before.
            Observation::Restored => {
                self.forget_lines_under_way();
                self.open.clear();
            }
            Observation::Answered {
                agent,
                request,
                response,
            } => return self.judge_answer(*agent, *request, response, ground),
            _ => {}
        }
        Ok(())
    }
}

impl Seen {
    /// The judge of a plan.
    pub(super) fn of(plan: &Plan) -> Self {
        let repeats = plan
            .agents
            .iter()
            .any(|agent| agent.manner == Manner::Repeating);
        let mut faults = plan.faults.iter();
        let twice = faults.any(|fault| matches!(fault.what, FaultKind::Duplicate { .. }));
        Self {
            copies: repeats || twice,
            ..Self::default()
        }
    }

    fn note_asked(&mut self, asked: &Asked<'_>, ground: &Ground<'_>) {
        if asked.attempt > 1 {
            self.doubtful.insert(asked.agent);
        }
        self.served.insert(asked.agent, asked.process);
        let bases = asked.bases.iter().cloned().collect();
        if let Action::Create { path } | Action::Write { path, .. } = asked.action
            && asked.bases.is_empty()
        {
            let agent = ground.agents[usize::from(asked.agent.0)].clone();
            self.whole.insert((agent, path.clone()));
        }
        self.asked.insert(asked.request, bases);
    }

    fn note_begun(&mut self, intent: &CommitIntent, ground: &Ground<'_>) {
        let sound = intent
            .items
            .iter()
            .filter(|item| item.new.is_some() && ground.disk.hash_staged(&item.stage) == item.new);
        let open = Open {
            agent: intent.owner.agent.as_str().into(),
            sound: sound.map(|item| item.stage.clone()).collect(),
            items: intent.items.clone(),
        };
        self.open.insert(intent.op.clone(), open);
    }

    fn start_anew(&mut self, path: &str) {
        self.files.entry(path.into()).or_default().start_anew();
    }

    /// The store may have forgotten commits whose swaps stay: nobody will say
    /// what became of their files.
    fn forget_lines_under_way(&mut self) {
        for item in self.open.values().flat_map(|open| &open.items) {
            let file = self.files.entry(item.path.clone()).or_default();
            file.start_anew();
        }
    }

    fn judge_finished(&mut self, finish: &FinishCommit, ground: &Ground<'_>) -> Result<(), Breach> {
        let Some(open) = self.open.remove(&finish.op) else {
            return Ok(());
        };
        for item in &open.items {
            let displaced = self.displaced.remove(&item.stage);
            match finish.exceptions.get(&item.path) {
                None => self.judge_effect(&open, item, displaced, ground)?,
                Some(ItemEnd::Undone) => {}
                Some(ItemEnd::Conflict { found, .. }) => {
                    let kept = item.new.filter(|_| open.sound.contains(&item.stage));
                    self.judge_conflict(item, *found, kept, ground)?;
                    self.start_anew(&item.path);
                }
            }
        }
        Ok(())
    }

    /// A change took effect, says its commit.
    fn judge_effect(
        &mut self,
        open: &Open,
        item: &CommitItem,
        swap: Option<(Option<ContentHash>, Option<u64>)>,
        ground: &Ground<'_>,
    ) -> Result<(), Breach> {
        let Some((displaced, age)) = swap else {
            let message = format!("{} is said to be changed and no swap did it", item.path);
            return Err(breach("no-swap", message));
        };
        if displaced != item.old {
            let message = format!(
                "{} replaced {} where {} was expected, and does not say so",
                item.path,
                short(displaced),
                short(item.old)
            );
            return Err(breach("replaced-unseen", message));
        }
        if let Some(old) = displaced
            && !self.destroyed.contains(&old)
            && !ground.disk.holds(old)
        {
            let message = format!("what {} held before is gone", item.path);
            return Err(breach("displaced-lost", message));
        }
        let file = self.files.entry(item.path.clone()).or_default();
        if Some(file.age) == age {
            return self.judge_lines(open, item);
        }
        Ok(())
    }

    /// Whether the lines of others are what they were.
    fn judge_lines(&mut self, open: &Open, item: &CommitItem) -> Result<(), Breach> {
        let by_lines = matches!(item.op.as_str(), "write" | "edit")
            && !self
                .whole
                .contains(&(open.agent.clone(), item.path.clone()));
        let file = self.files.entry(item.path.clone()).or_default();
        let (Some(old), Some(new), true) = (item.old, item.new, by_lines) else {
            file.start_anew();
            file.born.extend(item.new.map(|new| (new, file.age)));
            return Ok(());
        };
        file.born.insert(new, file.age);
        let (Some(before), Some(after)) = (self.contents.text(old), self.contents.text(new)) else {
            return Ok(());
        };
        let touched = others(before, &open.agent) != others(after, &open.agent);
        if touched && !self.rotten {
            let message = format!(
                "{} changed lines of others in {}: {before:?} became {after:?}",
                open.agent, item.path
            );
            return Err(breach("others-changed", message));
        }
        for (agent, told) in &file.acknowledged {
            let says = count_of(after, agent);
            if says.is_none_or(|says| says < *told) {
                let says = says.map_or_else(|| "nothing".into(), |says| says.to_string());
                let message = format!(
                    "{agent} was told that its line in {} says {told}, and {} made it say {says}",
                    item.path, open.agent
                );
                return Err(breach("line-fell", message));
            }
        }
        Ok(())
    }

    fn judge_conflict(
        &self,
        item: &CommitItem,
        found: Option<ContentHash>,
        kept: Option<ContentHash>,
        ground: &Ground<'_>,
    ) -> Result<(), Breach> {
        for content in [found, kept].into_iter().flatten() {
            if !self.destroyed.contains(&content) && !ground.disk.holds(content) {
                let message = format!(
                    "{} met a change from outside, and {} is gone",
                    item.path,
                    short(Some(content))
                );
                return Err(breach("conflict-lost", message));
            }
        }
        Ok(())
    }

    fn judge_answer(
        &mut self,
        agent: AgentNo,
        request: RequestNo,
        response: &Response,
        ground: &Ground<'_>,
    ) -> Result<(), Breach> {
        match &response.result {
            Ok(Reply::Read(read)) => {
                let of = (agent, read.path.clone());
                let told = self.told.entry(of.clone()).or_default();
                told.insert(read.sha256);
                self.know(of, read.sha256);
            }
            Ok(Reply::Receipt(Receipt::Changed { files, .. })) => {
                for file in files {
                    self.judge_base(agent, request, file)?;
                }
                let name = &ground.agents[usize::from(agent.0)];
                for file in files {
                    self.acknowledge(agent, name, file);
                }
            }
            Ok(Reply::NeedsContent(_)) => self.forget(agent),
            Err(refusal) => {
                // Of a file that is gone its reader has seen nothing any more.
                self.forget(agent);
                if let Refusal::Internal { .. } = refusal {
                    self.doubtful.insert(agent);
                }
            }
            Ok(_) => {}
        }
        Ok(())
    }

    fn judge_base(
        &self,
        agent: AgentNo,
        request: RequestNo,
        file: &FileChanged,
    ) -> Result<(), Breach> {
        let is_of_text = file.op == "edit" || file.document.is_some();
        if file.merged || file.rebased || file.conflict.is_some() || is_of_text {
            return Ok(());
        }
        let Some(bases) = self.asked.get(&request) else {
            return Ok(());
        };
        let named = file.source.as_ref().unwrap_or(&file.path);
        let met = match file.source {
            Some(_) => file.sha256,
            None => file.previous_sha256,
        };
        let right = match (bases.get(named), met) {
            (Some(base), met) => met == Some(*base),
            (None, None) => true,
            // A move loses none of what it takes, and neither does a write of what
            // is there already.
            (None, Some(met)) if file.source.is_some() => self.may_move(agent, named, met),
            (None, Some(_)) if file.sha256 == met => true,
            (None, Some(met)) => {
                self.doubtful.contains(&agent)
                    || self
                        .told
                        .get(&(agent, file.path.clone()))
                        .is_some_and(|told| told.contains(&met))
            }
        };
        if right {
            return Ok(());
        }
        let last = self.last.get(&(agent, named.clone()));
        let message = format!(
            "request {} of {} replaced {}, but its author had seen {}",
            request.0,
            file.path,
            short(met),
            short(bases.get(named).or(last).copied())
        );
        Err(breach("stale-base", message))
    }

    /// Whether a move that says nothing of what its author had seen may take this.
    fn may_move(&self, agent: AgentNo, source: &str, met: ContentHash) -> bool {
        let last = self.last.get(&(agent, source.to_owned()));
        self.copies || self.doubtful.contains(&agent) || last.is_none_or(|last| *last == met)
    }

    fn know(&mut self, of: (AgentNo, String), content: ContentHash) {
        // What a process told before it died, its successor does not know.
        if self.served.contains_key(&of.0) {
            self.last.insert(of, content);
        }
    }

    fn forget(&mut self, agent: AgentNo) {
        self.last.retain(|(of, _), _| *of != agent);
    }

    fn forget_served_by(&mut self, process: ProcessNo) {
        self.served.retain(|_, by| *by != process);
        let served = &self.served;
        self.last.retain(|(agent, _), _| served.contains_key(agent));
    }

    /// What an agent has seen of a file that it has changed: what it wrote itself, and
    /// what it moved if it had seen that before.
    fn remember(&mut self, agent: AgentNo, file: &FileChanged) {
        let of = (agent, file.path.clone());
        self.last.remove(&of);
        let mut unread = false;
        if let Some(source) = &file.source {
            let from = (agent, source.clone());
            let told = self.told.get(&from);
            unread = !told.is_some_and(|told| file.sha256.is_some_and(|new| told.contains(&new)));
            self.last.remove(&from);
        }
        let Some(new) = file.sha256.filter(|_| !unread) else {
            return;
        };
        self.told.entry(of.clone()).or_default().insert(new);
        if file.op == "write" && !file.merged {
            self.know(of, new);
        }
    }

    fn acknowledge(&mut self, agent: AgentNo, name: &str, file: &FileChanged) {
        self.remember(agent, file);
        let Some(new) = file.sha256 else {
            return;
        };
        let Some(lines) = self.files.get_mut(&file.path) else {
            return;
        };
        let current = lines.born.remove(&new) == Some(lines.age);
        let count = self.contents.text(new);
        let count = count.and_then(|text| count_of(text, name));
        if let Some(count) = count.filter(|_| current) {
            let told = lines.acknowledged.entry(name.into()).or_default();
            *told = count.max(*told);
        }
    }
}

fn breach(site: &'static str, message: String) -> Breach {
    Breach::new(Promise::I4, site, message)
}

/// A content, for people.
fn short(content: Option<ContentHash>) -> String {
    content.map_or_else(
        || "nothing".into(),
        |hash| maasl_core::id::hex(&hash.as_bytes()[..4]),
    )
}

#[cfg(test)]
#[path = "i4_seen_tests.rs"]
mod tests;
