//! One `maasl serve` process of the demonstration.
//!
//! Owns: starting, signalling and reaping it. Promises: signals go only to a
//! process that was started here and has not been waited for, so its id cannot
//! belong to another; none outlives its slot. Leaves to others: talking to it.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// How servers are started.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    /// This program.
    pub(super) program: PathBuf,
    /// The repository to serve.
    pub(super) root: PathBuf,
    /// Where standard error goes, one file for each agent.
    pub(super) logs: PathBuf,
}

/// The place of one agent's server, shared with whoever kills and freezes it.
#[derive(Debug, Default)]
pub(super) struct Slot {
    child: Mutex<Option<Child>>,
    /// Whether its agent holds a lease across calls at the moment.
    pub(super) holding: AtomicBool,
    freezes: AtomicU64,
}

/// How long a server may take to end by itself.
const END_TIMEOUT: Duration = Duration::from_secs(5);

impl Slot {
    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a server for `agent`, in the place of one that has ended.
    pub(super) fn start(
        &self,
        launch: &Launch,
        agent: &str,
    ) -> std::io::Result<(ChildStdout, ChildStdin)> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(launch.logs.join(format!("{agent}.log")))?;
        let mut child = Command::new(&launch.program)
            .args(["serve", "--root"])
            .arg(&launch.root)
            .env("MAASL_AGENT", agent)
            .current_dir(&launch.root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        let pipes = (child.stdout.take(), child.stdin.take());
        *self.child() = Some(child);
        match pipes {
            (Some(stdout), Some(stdin)) => Ok((stdout, stdin)),
            _ => Err(std::io::Error::other("the server has no pipes")),
        }
    }

    /// Ends it at once, wherever it is.
    pub(super) fn kill(&self) -> bool {
        self.signal(Signal::KILL)
    }

    /// Stops it wherever it is.
    pub(super) fn freeze(&self) -> bool {
        self.freezes.fetch_add(1, Ordering::SeqCst);
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    pub(super) fn thaw(&self) -> bool {
        let thawed = self.signal(Signal::CONT);
        self.freezes.fetch_add(1, Ordering::SeqCst);
        thawed
    }

    /// Changes whenever a freeze begins or ends.
    pub(super) fn freezes(&self) -> u64 {
        self.freezes.load(Ordering::SeqCst)
    }

    fn signal(&self, signal: Signal) -> bool {
        // Holding the lock keeps the process from being waited for meanwhile.
        let child = self.child();
        let id = child.as_ref().and_then(Child::id);
        let pid = id.and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        pid.is_some_and(|pid| kill_process(pid, signal).is_ok())
    }

    /// Waits for it to end, and kills it if it does not.
    pub(super) async fn reap(&self) {
        let Some(mut child) = self.child().take() else {
            return;
        };
        if tokio::time::timeout(END_TIMEOUT, child.wait())
            .await
            .is_err()
        {
            // Nothing else is left to do where even this fails.
            let _ = child.kill().await;
        }
    }
}
