//! The process of a server.
//!
//! Owns: the child and the signals to it. Promises: a handle may be used from
//! any thread at any time; once the child was waited for, its number is nobody's
//! and is not signalled again. Leaves to others: when it is to die.

use std::io;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process, waitid};

/// A process that was started here.
#[derive(Clone, Debug)]
pub struct Process {
    state: Arc<Mutex<State>>,
    pid: Pid,
}

#[derive(Debug)]
struct State {
    child: Child,
    ended: Option<ExitStatus>,
    /// Whether it was killed by a handle.
    killed: bool,
}

impl Process {
    pub(crate) fn new(child: Child) -> Self {
        let pid = Pid::from_child(&child);
        let state = State {
            child,
            ended: None,
            killed: false,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            pid,
        }
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Freezes it; false if it has ended.
    #[must_use]
    pub fn stop(&self) -> bool {
        self.with(|state| state.signal(Signal::STOP))
    }

    /// Lets it go on; false if it has ended.
    #[must_use]
    pub fn go_on(&self) -> bool {
        self.with(|state| state.signal(Signal::CONT))
    }

    /// Kills it, frozen or not; false if it had ended.
    #[must_use]
    pub fn kill(&self) -> bool {
        self.with(|state| {
            state.killed = state.killed || state.ended.is_none();
            state.signal(Signal::KILL)
        })
    }

    /// Whether a handle killed it.
    #[must_use]
    pub fn was_killed(&self) -> bool {
        self.with(|state| state.killed)
    }

    /// Waits until it has been stopped, by a handle or by itself; false if it ended
    /// instead.
    ///
    /// # Errors
    /// The system's, if it cannot be waited for.
    pub fn wait_stopped(&self) -> io::Result<bool> {
        let changed = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let status = self.wait_for(changed)?;
        Ok(status.is_some_and(|status| status.stopped()))
    }

    /// Waits for its end; whoever asks later gets the same answer.
    ///
    /// # Errors
    /// The system's, if it cannot be waited for.
    pub fn wait(&self) -> io::Result<ExitStatus> {
        if let Some(status) = self.with(State::look)? {
            return Ok(status);
        }
        // Others may have to kill it first, so it is waited for without the lock,
        // and its number stays its own until it is looked at again.
        let waited = self.wait_for(WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        match self.with(State::look)? {
            Some(status) => Ok(status),
            None => Err(waited.err().unwrap_or(Errno::CHILD).into()),
        }
    }

    fn wait_for(&self, options: WaitIdOptions) -> Result<Option<WaitIdStatus>, Errno> {
        retry_on_intr(|| waitid(WaitId::Pid(self.pid), options))
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        // Nothing in here is left half done by a panic.
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn look(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait()?;
        }
        Ok(self.ended)
    }

    fn signal(&mut self, signal: Signal) -> bool {
        matches!(self.look(), Ok(None))
            && kill_process(Pid::from_child(&self.child), signal).is_ok()
    }
}
