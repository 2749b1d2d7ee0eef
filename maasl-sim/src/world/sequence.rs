//! A run with one call at a time.
//!
//! Owns: the calls of such a run in their order, each as it was asked and
//! answered, what happened between them, and what stands at the end. Promises: a
//! call is in it once, when it is answered; one that nobody answered is not.
//! Leaves to others: that there is one at a time (`world`), and what is done with
//! them (`conform`).

use std::collections::BTreeMap;
use std::sync::Arc;

use maasl_core::coordinator::io::{Call, Response};

use super::disk::Disk;
use crate::observe::{Ground, Observation, ProcessNo};

/// The calls of a run and what happened between them.
#[derive(Debug, Default)]
pub struct Sequence {
    /// What happened, in order.
    pub steps: Vec<Step>,
    /// The files at the end.
    pub files: BTreeMap<String, Arc<[u8]>>,
    /// The rows that were added to each database, in order.
    pub rows: BTreeMap<String, Vec<String>>,
    asked: Option<(String, Call)>,
}

/// Something that happened.
#[derive(Debug)]
pub enum Step {
    /// A process started.
    Started(String),
    /// A process died.
    Died(String),
    /// Somebody outside saved a file, or removed it.
    Outside {
        /// Which.
        path: String,
        /// What it holds now; nothing where it is gone.
        content: Option<Arc<[u8]>>,
    },
    /// A call was answered.
    Call(Box<Exchange>),
}

/// A call and its answer.
#[derive(Debug)]
pub struct Exchange {
    /// The process that was asked.
    pub process: String,
    /// The call as it was sent last.
    pub call: Call,
    /// The answer.
    pub response: Response,
}

impl Sequence {
    /// A call is sent, for the first time or again.
    pub(super) fn asked(&mut self, process: String, call: Call) {
        self.asked = Some((process, call));
    }

    pub(super) fn observe(&mut self, seen: &Observation<'_>, ground: &Ground<'_>) {
        let name = |process: &ProcessNo| ground.processes[usize::from(process.0)].clone();
        match seen {
            Observation::Started { process, .. } => self.steps.push(Step::Started(name(process))),
            Observation::Died { process, .. } => self.steps.push(Step::Died(name(process))),
            Observation::Outside { path, .. } => self.steps.push(Step::Outside {
                path: (*path).into(),
                content: ground.disk.read(path),
            }),
            Observation::DatabaseCommitted { db, rows, .. }
            | Observation::DatabaseCameBack { db, rows, .. } => {
                let of_db = self.rows.entry((*db).into()).or_default();
                of_db.extend_from_slice(rows);
            }
            Observation::Answered { response, .. } => {
                if let Some((process, call)) = self.asked.take() {
                    self.steps.push(Step::Call(Box::new(Exchange {
                        process,
                        call,
                        response: (*response).clone(),
                    })));
                }
            }
            _ => {}
        }
    }

    pub(super) fn finish(mut self, disk: &Disk) -> Self {
        let files = disk.files();
        let files = files.filter_map(|(path, _)| Some((path.to_owned(), disk.read(path)?)));
        self.files = files.collect();
        self
    }
}
