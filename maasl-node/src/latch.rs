//! Latches: the cross-process critical sections around commits and grant ends.
//!
//! Owns: a fixed pool of lock files that are never unlinked. Promises: a latch is
//! free the moment its process is dead, and stays taken while its process is
//! stopped, so nobody else can commit or end a grant there; waiting for one is
//! bounded, and keeps no other call of this process waiting. Leaves to others:
//! which keys a commit needs (the core), which latches stand for them and in which
//! order they are taken (`maasl_threads::shards`).

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use maasl_core::refusal::Process;
use maasl_core::resource::ResourceKey;
use maasl_threads::shards::Shards;
use rustix::fs::{Mode, OFlags};

use crate::platform;

/// Waits between attempts, in microseconds: commits take a millisecond or so,
/// and the queue in the store keeps all but a few apart.
const PAUSE_US: std::ops::RangeInclusive<u64> = 30..=2_000;

/// The pool of one repository.
#[derive(Debug)]
pub struct Latches {
    dir: OwnedFd,
    wait: Duration,
}

/// Latches that are held until this is dropped.
#[derive(Debug)]
pub struct Latched {
    files: Vec<File>,
}

impl Latched {
    /// How many latches of the pool these are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.files.len()
    }
}

/// Why latches were not taken.
#[derive(Debug, thiserror::Error)]
pub enum LatchError {
    /// Another process is inside one of them.
    #[error("another process is inside the latch")]
    Busy(Option<Process>),
    /// The lock file cannot be used.
    #[error("latch: {0}")]
    Io(#[from] io::Error),
}

impl Latches {
    /// The pool in `dir`, with one limit for each attempt to take a set.
    #[must_use]
    pub fn new(dir: OwnedFd, wait: Duration) -> Self {
        Self { dir, wait }
    }

    /// Takes the latches of all `keys`, in the one order everybody uses.
    pub fn take(&self, keys: &[ResourceKey]) -> Result<Latched, LatchError> {
        let deadline = Instant::now() + self.wait;
        let files = Shards::of(keys).take(|shard| self.take_one(shard, deadline))?;
        Ok(Latched { files })
    }

    fn take_one(&self, shard: usize, deadline: Instant) -> Result<File, LatchError> {
        let file = self.open(shard)?;
        if !platform::try_lock_exclusive(file.as_fd())? {
            tokio::task::block_in_place(|| wait_for(&file, deadline))?;
        }
        let pid = format!("{:<10}\n", std::process::id());
        rustix::io::pwrite(&file, pid.as_bytes(), 0).map_err(io::Error::from)?;
        Ok(file)
    }

    fn open(&self, shard: usize) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let name = format!("{shard:03}");
        let file = rustix::fs::openat(&self.dir, name, flags, Mode::RUSR | Mode::WUSR)?;
        Ok(File::from(file))
    }
}

/// Tries again until the latch is taken or it is too late.
fn wait_for(file: &File, deadline: Instant) -> Result<(), LatchError> {
    let mut pause_us = *PAUSE_US.start();
    while Instant::now() < deadline {
        std::thread::sleep(Duration::from_micros(pause_us));
        pause_us = (pause_us * 2).min(*PAUSE_US.end());
        if platform::try_lock_exclusive(file.as_fd())? {
            return Ok(());
        }
    }
    Err(LatchError::Busy(inside(file)))
}

/// The process that is inside, or was a moment ago. What is written may be of the one
/// before, if this one was stopped at its first step: the system's own table of locks
/// is believed over it.
fn inside(file: &File) -> Option<Process> {
    let locker = platform::locker_of(file.as_fd());
    locker.or_else(|| recorded(file)).map(process)
}

/// The process that last wrote that it is inside.
fn recorded(file: &File) -> Option<u32> {
    let mut text = [0; 10];
    rustix::io::pread(file, &mut text[..], 0).ok()?;
    std::str::from_utf8(&text).ok()?.trim().parse().ok()
}

/// What can be told about a process for a refusal.
#[must_use]
pub fn process(pid: u32) -> Process {
    let state = platform::process_state(pid);
    Process {
        pid,
        stopped: state.as_ref().is_some_and(|state| state.stopped),
        command: state.map(|state| state.command),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use maasl_threads::shards::POOL;

    fn latches(dir: &tempfile::TempDir, wait_ms: u64) -> Latches {
        let dir = File::open(dir.path()).unwrap();
        Latches::new(dir.into(), Duration::from_millis(wait_ms))
    }

    fn key(path: &str) -> ResourceKey {
        ResourceKey::new("code", path)
    }

    #[test]
    fn a_latch_excludes_and_names_who_is_inside() {
        let dir = tempfile::tempdir().unwrap();
        let inside = latches(&dir, 0).take(&[key("a"), key("b")]).unwrap();
        let Err(LatchError::Busy(Some(process))) = latches(&dir, 5).take(&[key("b")]) else {
            panic!("the latch is taken");
        };
        assert_eq!((process.pid, process.stopped), (std::process::id(), false));
        drop(inside);
        latches(&dir, 0).take(&[key("b")]).unwrap();
    }

    #[test]
    fn who_was_inside_before_is_not_taken_for_who_is() {
        let dir = tempfile::tempdir().unwrap();
        let inside = latches(&dir, 0).take(&[key("a")]).unwrap();
        rustix::io::pwrite(&inside.files[0], b"1         \n", 0).unwrap();
        let Err(LatchError::Busy(Some(process))) = latches(&dir, 5).take(&[key("a")]) else {
            panic!("the latch is taken");
        };
        assert_eq!(process.pid, std::process::id());
    }

    #[test]
    fn equal_shards_are_taken_once() {
        let dir = tempfile::tempdir().unwrap();
        let keys: Vec<_> = (0..1_000).map(|n| key(&n.to_string())).collect();
        let taken = latches(&dir, 0).take(&keys).unwrap();
        assert!(taken.count() <= POOL);
    }
}
