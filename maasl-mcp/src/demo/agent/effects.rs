//! Each thing an agent does, step by step.
//!
//! Owns: reading, thinking and changing, in the order a real agent would. Promises:
//! one journal entry for each effect, whatever happened to it. Leaves to others:
//! retries of one change and timing (`agent`).

use super::{Agent, TRIES};
use crate::demo::account::count_of;
use crate::demo::hands::{Change, Edit, Hands, Hurry};
use crate::demo::journal::{Effect, Outcome};
use crate::demo::markup::{Language, insert, open_page, page};
use crate::demo::workspace::{BATONS, COUNTER, EVERYONE, SCRATCH, Source, own_file};

impl<H: Hands> Agent<H> {
    /// A file to work on; half of the work is on the first two, as it is in any
    /// week of any project.
    fn source(&mut self) -> Source {
        let all = self.plan.sources.len();
        let hot = self.random.below(2) == 0;
        let place = self.random.index(if hot { all.min(2) } else { all });
        self.plan.sources[place].clone()
    }

    fn region(&self, own: bool) -> String {
        if own {
            self.name.clone()
        } else {
            EVERYONE.to_owned()
        }
    }

    /// Reads, thinks, and inserts a line by an edit.
    pub(super) async fn edit_region(&mut self, own_region: bool) {
        let (source, mark) = (self.source(), self.mark());
        self.read(&source.path).await;
        self.ponder().await;
        let change = Change::Edit(insertion(&source, &self.region(own_region), &mark));
        let outcome = self.insist(&change, Hurry::Interactive).await;
        let path = source.path;
        let effect = Effect::Note {
            path,
            mark,
            own_region,
        };
        self.enter(effect, outcome);
    }

    /// Reads, thinks, and writes the whole file back with one more line.
    pub(super) async fn rewrite(&mut self) {
        let (source, mark) = (self.source(), self.mark());
        let own_region = self.random.below(2) == 0;
        let anchor = source.language.anchor(&self.region(own_region));
        let line = source.language.mark(&mark);
        let path = source.path;
        let mut outcome = Outcome::Refused;
        for _ in 0..TRIES {
            let Some(read) = self.read(&path).await else {
                continue;
            };
            self.ponder().await;
            let Some(content) = insert(&read.content, &anchor, &line) else {
                break;
            };
            let change = Change::Write {
                path: path.clone(),
                content,
                base: Some(read.sha256),
                merge: own_region,
            };
            if let Some(end) = self.attempt(&change, Hurry::Interactive, None).await {
                outcome = end;
                break;
            }
            if !self.has_time() {
                break;
            }
        }
        let effect = Effect::Note {
            path,
            mark,
            own_region,
        };
        self.enter(effect, outcome);
    }

    /// Reads the shared counter and writes the next number.
    pub(super) async fn count(&mut self) {
        let mark = self.mark();
        let mut outcome = Outcome::Refused;
        for _ in 0..TRIES {
            let Some(read) = self.read(COUNTER).await else {
                continue;
            };
            let Some(count) = count_of(&read.content) else {
                self.log.torn_reads += 1;
                continue;
            };
            self.ponder().await;
            let change = Change::Write {
                path: COUNTER.to_owned(),
                content: page(&format!("count: {}", count + 1), &mark),
                base: Some(read.sha256),
                merge: false,
            };
            if let Some(end) = self.attempt(&change, Hurry::Interactive, None).await {
                outcome = end;
                break;
            }
            if !self.has_time() {
                break;
            }
        }
        let path = COUNTER.to_owned();
        self.enter(Effect::Increment { path }, outcome);
    }

    /// Changes three files at once.
    pub(super) async fn refactor(&mut self) {
        let mark = self.mark();
        let first = self.random.index(self.plan.sources.len());
        let sources = self.plan.sources.iter().cycle().skip(first).take(3);
        let sources: Vec<Source> = sources.cloned().collect();
        let edits = sources
            .iter()
            .map(|source| insertion(source, EVERYONE, &mark))
            .collect();
        let outcome = self.insist(&Change::Set(edits), Hurry::Batch).await;
        let paths = sources.into_iter().map(|source| source.path).collect();
        self.enter(Effect::Set { paths, mark }, outcome);
    }

    /// Finds a file by the beginning of its name and renames it.
    pub(super) async fn rename(&mut self, shared: bool) {
        self.sequence += 1;
        let (folder, start) = if shared {
            (BATONS, self.baton())
        } else {
            (SCRATCH, format!("{}.", self.name))
        };
        let to = format!("{folder}/{start}{}-{}.txt", self.name, self.sequence);
        for last in (0..TRIES).rev() {
            let Some(from) = self.hands.find(folder, &start) else {
                self.think(1, 3).await;
                continue;
            };
            if self.read(&from).await.is_none() {
                continue;
            }
            self.ponder().await;
            let change = Change::Move {
                from: from.clone(),
                to: to.clone(),
            };
            let outcome = self.attempt(&change, Hurry::Interactive, None).await;
            if let Some(outcome) = outcome.or_else(|| self.is_over(last)) {
                return self.enter(Effect::Move { from, to, shared }, outcome);
            }
        }
    }

    fn is_over(&self, tries_left: u32) -> Option<Outcome> {
        (tries_left == 0 || !self.has_time()).then_some(Outcome::Refused)
    }

    fn baton(&mut self) -> String {
        let number = self.random.index(self.plan.batons);
        format!("baton-{number}.")
    }

    /// Adds a line to a file that others rename meanwhile.
    pub(super) async fn sign(&mut self) {
        let (mark, start) = (self.mark(), self.baton());
        let family = format!("{BATONS}/{start}");
        let mut outcome = Outcome::Refused;
        for _ in 0..TRIES {
            let Some(path) = self.hands.find(BATONS, &start) else {
                self.think(1, 3).await;
                continue;
            };
            let Some(read) = self.read(&path).await else {
                continue;
            };
            self.ponder().await;
            let line = Language::Hash.mark(&mark);
            let change = Change::Write {
                path,
                content: format!("{}{line}\n", read.content),
                base: Some(read.sha256),
                merge: false,
            };
            if let Some(end) = self.attempt(&change, Hurry::Interactive, None).await {
                outcome = end;
                break;
            }
            if !self.has_time() {
                break;
            }
        }
        self.enter(Effect::Sign { family, mark }, outcome);
    }

    /// Rewrites the file that is its own.
    pub(super) async fn write_own(&mut self) {
        let (path, mark) = (own_file(&self.name), self.mark());
        let change = Change::Write {
            path: path.clone(),
            content: page("own", &mark),
            base: None,
            merge: false,
        };
        let outcome = self.insist_reading(&path, &change).await;
        if outcome == Outcome::Acknowledged {
            self.own.push(mark.clone());
        }
        let effect = Effect::Own {
            path,
            mark,
            restored: false,
        };
        self.enter(effect, outcome);
    }

    /// Brings back what its own file was a few writes ago.
    pub(super) async fn restore_own(&mut self) {
        let earlier = self.own.len().saturating_sub(2);
        if earlier == 0 {
            return self.write_own().await;
        }
        let back = self.random.index(earlier.min(6));
        let mark = self.own[earlier - 1 - back].clone();
        let path = own_file(&self.name);
        let change = Change::Restore {
            path: path.clone(),
            content: page("own", &mark),
        };
        let outcome = self.insist_reading(&path, &change).await;
        let effect = Effect::Own {
            path,
            mark,
            restored: true,
        };
        self.enter(effect, outcome);
    }

    /// The same change until it is done or final, after seeing the file each time:
    /// that is what makes it the agent's to replace.
    async fn insist_reading(&mut self, path: &str, change: &Change) -> Outcome {
        for _ in 0..TRIES {
            if self.read(path).await.is_none() {
                continue;
            }
            if let Some(end) = self.attempt(change, Hurry::Interactive, None).await {
                return end;
            }
            if !self.has_time() {
                break;
            }
        }
        Outcome::Refused
    }

    /// Reserves a file, reads it, takes its time, and edits it under the lease.
    pub(super) async fn edit_carefully(&mut self) {
        let (source, mark) = (self.source(), self.mark());
        let own_region = self.random.below(2) == 0;
        let change = Change::Edit(insertion(&source, &self.region(own_region), &mark));
        let mut outcome = Outcome::Refused;
        for _ in 0..TRIES {
            match self.hands.acquire(&source.path).await {
                Err(code) => self.refused(code),
                Ok(lease) => {
                    self.read(&source.path).await;
                    self.think(40, 160).await;
                    let end = self
                        .attempt(&change, Hurry::Interactive, Some(&lease))
                        .await;
                    self.hands.release(&lease).await;
                    if let Some(end) = end {
                        outcome = end;
                        break;
                    }
                }
            }
            if !self.has_time() {
                break;
            }
            self.think(5, 25).await;
        }
        let path = source.path;
        let effect = Effect::Note {
            path,
            mark,
            own_region,
        };
        self.enter(effect, outcome);
    }

    /// Reads pages that must be whole.
    pub(super) async fn look(&mut self) {
        let own = own_file(&self.name);
        for path in [COUNTER, own.as_str()] {
            if let Some(read) = self.read(path).await
                && open_page(&read.content).is_none()
            {
                self.log.torn_reads += 1;
            }
        }
    }
}

fn insertion(source: &Source, region: &str, mark: &str) -> Edit {
    let anchor = source.language.anchor(region);
    let line = source.language.mark(mark);
    Edit {
        path: source.path.clone(),
        new: format!("{anchor}\n{line}"),
        old: anchor,
    }
}
