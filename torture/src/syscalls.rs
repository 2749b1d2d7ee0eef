//! Calls of a running server that the system answers with an error.
//!
//! Owns: strace, attached to a process for a moment. Promises: what is attached
//! is let go of when this is dropped, and the process goes on. Leaves to others:
//! whom, when and for how long (`nemesis`).
//!
//! A block device that fails would need the device mapper, which many kernels and
//! all containers lack. What a server sees of one is the error of its calls, and
//! that can be made everywhere where processes may be traced.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::world::PATIENCE;

/// Calls that reach the disk by a descriptor. `write` is left out: answers go
/// through it to the client.
const WRITES: &str = "fsync,fdatasync,pwrite64,ftruncate,fallocate";
/// Calls that change names.
const NAMES: &str = "renameat2,linkat,unlinkat,mkdirat,mknodat,fchmodat,utimensat";

/// What the calls are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Error {
    /// An error of the disk, under writes and syncs.
    Io,
    /// The disk is read-only, under writes, syncs and changes of names.
    ReadOnly,
}

/// A process whose calls fail.
#[derive(Debug)]
pub(crate) struct Spoiled {
    strace: Child,
    /// Where strace says what it did.
    log: PathBuf,
}

impl Spoiled {
    /// Lets calls of `process` fail: of every thread the `first` one and then each
    /// `every`th. What fails is kept in `log` meanwhile.
    pub(crate) fn begin(
        process: i32,
        error: Error,
        (first, every): (u64, u64),
        log: PathBuf,
    ) -> Option<Self> {
        let (calls, errno) = match error {
            Error::Io => (WRITES.to_owned(), "EIO"),
            Error::ReadOnly => (format!("{WRITES},{NAMES}"), "EROFS"),
        };
        let inject = format!("inject={calls}:error={errno}:when={first}+{every}");
        let only = format!("trace={calls}");
        let strace = trace(process, &log)
            .args(["-f", "-e", &only, "-e", &inject])
            .spawn();
        Some(Self {
            strace: strace.ok()?,
            log,
        })
    }

    /// Lets go; how many calls failed.
    pub(crate) fn end(self) -> u64 {
        let log = self.log.clone();
        drop(self);
        let said = fs::read_to_string(&log).unwrap_or_default();
        // There is none if nothing could be attached.
        let _ = fs::remove_file(log);
        said.matches("(INJECTED)").count() as u64
    }

    /// Why no process can be spoiled here; nothing if that works.
    pub(crate) fn why_not() -> Option<String> {
        let mut traced = Command::new("cat");
        let Ok(mut traced) = traced.stdin(Stdio::piped()).spawn() else {
            return Some("no process to try it on".to_owned());
        };
        let process = Pid::from_child(&traced).as_raw_nonzero().get();
        let strace = trace(process, Path::new("/dev/null"))
            .args(["-e", "trace=none"])
            .spawn();
        let why = match strace {
            Err(_) => Some("there is no strace".to_owned()),
            Ok(mut strace) => {
                let is_traced = comes_to_trace(&mut strace, process);
                let_go(&mut strace);
                (!is_traced).then(|| "processes may not be traced here".to_owned())
            }
        };
        let _ = traced.kill();
        let _ = traced.wait();
        why
    }
}

/// Waits until the process is traced, or strace has given up.
fn comes_to_trace(strace: &mut Child, process: i32) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let tracer = status
            .lines()
            .find_map(|line| line.strip_prefix("TracerPid:"));
        if tracer.is_some_and(|tracer| tracer.trim() != "0") {
            return true;
        }
        if !matches!(strace.try_wait(), Ok(None)) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5)); // tidy: a look now and then, with a deadline
    }
    false
}

impl Drop for Spoiled {
    fn drop(&mut self) {
        let_go(&mut self.strace);
    }
}

/// Ends strace, which lets go before it ends; it has ended by itself if its process has.
/// An interrupt would be lost where it is ignored from the start, as in the background
/// of a shell, and strace has not come to listen for it yet. Where a process dies just
/// then, strace may wait for its first thread for ever, which is not over before strace
/// has been told of the others: the kernel lets go when strace is killed.
fn let_go(strace: &mut Child) {
    if matches!(strace.try_wait(), Ok(None)) {
        let _ = kill_process(Pid::from_child(strace), Signal::TERM);
    }
    let deadline = Instant::now() + PATIENCE;
    while matches!(strace.try_wait(), Ok(None)) {
        if Instant::now() > deadline {
            let _ = strace.kill();
            break;
        }
        std::thread::sleep(Duration::from_millis(5)); // tidy: a look now and then, with a deadline
    }
    let _ = strace.wait();
}

fn trace(process: i32, log: &Path) -> Command {
    let mut strace = Command::new("strace");
    strace
        .args(["-qq", "-p", &process.to_string(), "-o"])
        .arg(log)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    strace
}
