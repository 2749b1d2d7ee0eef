//! A generator of documents that answers by a script, and the other tools.
//!
//! Owns: what it makes, how often it was asked, and who has the lock that other
//! tools take. Promises: what it makes names the source it was given. Leaves to
//! others: when it is run.

use std::sync::Arc;

use maasl_core::coordinator::io::{CallId, GeneratorRun};
use maasl_core::docgen::GeneratorFailure;

use super::world::Pid;

/// Who has the lock of the other tools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum DocgenLock {
    /// Nobody.
    #[default]
    Free,
    /// A call.
    Ours(Pid, CallId),
    /// A tool that knows nothing of leases.
    Theirs,
}

/// The generator of a world.
#[derive(Default)]
pub(crate) struct Generator {
    /// What it answers instead of a document.
    pub(crate) failure: Option<GeneratorFailure>,
    /// What it writes instead of its own text.
    pub(crate) writes: Option<String>,
    /// The sources it was run for.
    pub(crate) runs: Vec<String>,
}

impl Generator {
    pub(super) fn made(&mut self, run: &GeneratorRun) -> Result<Arc<[u8]>, GeneratorFailure> {
        self.runs.push(run.source.clone());
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let own = || format!("about {}\n", run.source_sha256);
        let text = self.writes.clone().unwrap_or_else(own);
        Ok(text.into_bytes().into())
    }
}
