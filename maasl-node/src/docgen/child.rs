//! A child process that is held to bounds.
//!
//! Owns: feeding it, listening to it, and its end. Promises: it is over within
//! its time, whatever it does; when it is over, however it ended, it and every
//! process of its group have been killed; it can neither block on its input nor
//! on an output nobody reads; none is started for a caller that has gone. Leaves
//! to others: what it is, and what it said.
//!
//! A child of its own that leaves the group (`setsid`) is not killed. It cannot
//! hold anybody up: what it keeps open is read no further once its leader has
//! ended.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use maasl_core::docgen::{GeneratorFailure, GeneratorFault};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio_util::sync::CancellationToken;

/// How often it is looked whether the child has ended, or its caller has gone,
/// while it says nothing.
const LOOK: Duration = Duration::from_millis(20);
/// The same once it has closed its outputs, which children do as they end.
const LOOK_AT_END: Duration = Duration::from_millis(1);
/// How much of the end of its standard error is kept.
const STDERR_BYTES_MAX: usize = 4 * 1024;
/// Read at once.
const CHUNK: usize = 64 * 1024;

/// What a child may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) time: Duration,
    pub(super) max_output_bytes: u64,
}

/// Runs a command with this input; what it wrote to its standard output.
pub(super) fn run(
    mut command: Command,
    input: Vec<u8>,
    bounds: Bounds,
    cancel: &CancellationToken,
) -> Result<Arc<[u8]>, GeneratorFailure> {
    if cancel.is_cancelled() {
        return Err(failed(GeneratorFault::Cancelled, String::new()));
    }
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let started = Instant::now();
    let child = command.spawn().map_err(|error| not_started(&error))?;
    let mut watched = Watched::new(child, input).map_err(|error| not_started(&error))?;
    let ended = watched.watch(started + bounds.time, bounds, cancel);
    let status = watched.end();
    let fault = match ended {
        Ok(()) => fault_of(status),
        Err(fault) => Some(fault),
    };
    match fault {
        None => Ok(std::mem::take(&mut watched.output).into()),
        Some(fault) => {
            let said = String::from_utf8_lossy(&watched.said);
            Err(failed(fault, said.into_owned()))
        }
    }
}

fn failed(fault: GeneratorFault, stderr: String) -> GeneratorFailure {
    GeneratorFailure { fault, stderr }
}

fn not_started(error: &io::Error) -> GeneratorFailure {
    let message = error.to_string();
    failed(GeneratorFault::NotStarted { message }, String::new())
}

fn fault_of(status: io::Result<ExitStatus>) -> Option<GeneratorFault> {
    match status {
        Ok(status) if status.success() => None,
        Ok(status) => Some(GeneratorFault::Exited {
            code: status.code(),
            signal: status.signal(),
        }),
        Err(error) => Some(GeneratorFault::Unusable {
            message: format!("it could not be waited for: {error}"),
        }),
    }
}

/// A child under watch.
struct Watched {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    input: Vec<u8>,
    fed: usize,
    output: Vec<u8>,
    said: Vec<u8>,
}

impl Watched {
    fn new(mut child: Child, input: Vec<u8>) -> io::Result<Self> {
        let watched = Self {
            stdin: child.stdin.take(),
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            child,
            input,
            fed: 0,
            output: Vec::new(),
            said: Vec::new(),
        };
        let pipes = [
            watched.stdin.as_ref().map(AsFd::as_fd),
            watched.stdout.as_ref().map(AsFd::as_fd),
            watched.stderr.as_ref().map(AsFd::as_fd),
        ];
        pipes.into_iter().flatten().try_for_each(do_not_block)?;
        Ok(watched)
    }

    /// Feeds the child and listens to it until it has ended or has to be.
    fn watch(
        &mut self,
        deadline: Instant,
        bounds: Bounds,
        cancel: &CancellationToken,
    ) -> Result<(), GeneratorFault> {
        let max_output = usize::try_from(bounds.max_output_bytes).unwrap_or(usize::MAX);
        loop {
            // Looked at before reading: what it wrote before its end is read.
            let has_ended = self.has_ended();
            self.exchange(max_output);
            if self.output.len() > max_output {
                let max_bytes = bounds.max_output_bytes;
                return Err(GeneratorFault::TooMuchOutput { max_bytes });
            }
            if has_ended {
                return Ok(());
            }
            if cancel.is_cancelled() {
                return Err(GeneratorFault::Cancelled);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let allowed_ms = u64::try_from(bounds.time.as_millis()).unwrap_or(u64::MAX);
                return Err(GeneratorFault::TimedOut { allowed_ms });
            }
            self.wait_for_something(left);
        }
    }

    /// Moves what can be moved without waiting.
    fn exchange(&mut self, max_output: usize) {
        if let Some(stdin) = &mut self.stdin
            && feed(stdin, &self.input, &mut self.fed)
        {
            self.stdin = None;
        }
        if let Some(stdout) = &mut self.stdout
            && drain(stdout, &mut self.output, max_output)
        {
            self.stdout = None;
        }
        if let Some(stderr) = &mut self.stderr
            && drain(stderr, &mut self.said, CHUNK)
        {
            self.stderr = None;
        }
        let surplus = self.said.len().saturating_sub(STDERR_BYTES_MAX);
        self.said.drain(..surplus);
    }

    fn wait_for_something(&self, left: Duration) {
        let listening = self.stdout.is_some() || self.stderr.is_some();
        let look = if listening { LOOK } else { LOOK_AT_END };
        let pipes = [
            (self.stdin.as_ref().map(AsFd::as_fd), PollFlags::OUT),
            (self.stdout.as_ref().map(AsFd::as_fd), PollFlags::IN),
            (self.stderr.as_ref().map(AsFd::as_fd), PollFlags::IN),
        ];
        let open = pipes
            .into_iter()
            .filter_map(|(fd, flags)| Some((fd?, flags)));
        let mut open: Vec<PollFd<'_>> = open
            .map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags))
            .collect();
        let timeout = Timespec::try_from(look.min(left)).expect("milliseconds fit");
        // An interrupted wait is a short one.
        let _ = poll(&mut open, Some(&timeout));
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Whether the child itself has ended. It is not waited for yet: as long as it
    /// is not, nobody else gets its number, nor that of its group.
    fn has_ended(&self) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(WaitId::Pid(self.pid()), look), Ok(None))
    }

    /// Kills whatever is left of the group, and the child; waits for the child.
    fn end(&mut self) -> io::Result<ExitStatus> {
        // A group without members is the usual case.
        let _ = kill_process_group(self.pid(), Signal::KILL);
        // It may have left its group. As it has not been waited for, its number is its own.
        let _ = self.child.kill();
        self.child.wait()
    }
}

impl Drop for Watched {
    /// However this ends, the group ends with it.
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.end();
        }
    }
}

fn do_not_block(pipe: BorrowedFd<'_>) -> io::Result<()> {
    let flags = fcntl_getfl(pipe)?;
    Ok(fcntl_setfl(pipe, flags | OFlags::NONBLOCK)?)
}

/// Writes what fits; whether there is no more to write, or nobody to read it.
fn feed(pipe: &mut impl Write, input: &[u8], fed: &mut usize) -> bool {
    while *fed < input.len() {
        match pipe.write(&input[*fed..]) {
            Ok(0) => return true,
            Ok(written) => *fed += written,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
        }
    }
    true
}

/// Reads what is there, until that is more than `enough`; whether there will be
/// no more.
fn drain(pipe: &mut impl Read, into: &mut Vec<u8>, enough: usize) -> bool {
    let mut chunk = vec![0; CHUNK];
    loop {
        match pipe.read(&mut chunk) {
            Ok(0) => return true,
            Ok(read) => {
                into.extend_from_slice(&chunk[..read]);
                if into.len() > enough {
                    return false;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform;
    use rustix::process::{getpgid, getppid, setpgid};

    const ROOMY: Bounds = Bounds {
        time: Duration::from_secs(60),
        max_output_bytes: 1 << 20,
    };

    fn shell(script: &str, input: &[u8], bounds: Bounds) -> Result<Vec<u8>, GeneratorFailure> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let made = run(command, input.to_vec(), bounds, &CancellationToken::new())?;
        Ok(made.to_vec())
    }

    fn fault(script: &str, bounds: Bounds) -> GeneratorFault {
        shell(script, b"", bounds).expect_err(script).fault
    }

    /// Waits for the end of a process, which may be left unburied by its new
    /// parent.
    fn assert_ends(pid: &str) {
        let pid = pid.trim().parse().unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while platform::process_state(pid).is_some_and(|state| !state.zombie) {
            assert!(Instant::now() < deadline, "{pid} lives");
            std::thread::yield_now();
        }
    }

    #[test]
    fn more_than_a_pipe_holds_goes_through_both_ways() {
        let input = vec![b'x'; 900_000];
        assert_eq!(shell("cat", &input, ROOMY).unwrap(), input);
        let unread = shell("exec <&-; echo done", &input, ROOMY).unwrap();
        assert_eq!(unread, b"done\n");
        let late = shell("cat >/dev/null; head -c 900000 /dev/zero", &input, ROOMY);
        assert_eq!(late.unwrap().len(), 900_000);
    }

    #[test]
    fn a_child_that_hangs_is_killed_with_its_children() {
        let dir = tempfile::tempdir().unwrap();
        let child = dir.path().join("child");
        let script = format!("sleep 600 & echo $! > {}; sleep 600", child.display());
        let brief = Bounds {
            time: Duration::from_millis(300),
            ..ROOMY
        };
        let started = Instant::now();
        assert_eq!(
            fault(&script, brief),
            GeneratorFault::TimedOut { allowed_ms: 300 }
        );
        assert!(started.elapsed() < Duration::from_secs(20));
        assert_ends(&std::fs::read_to_string(child).unwrap());
    }

    /// Names, where it is set, the file that the next test makes once it has left its
    /// group: it is then a generator.
    const LEAVES: &str = "MAASL_TEST_LEAVES_ITS_GROUP";

    #[test]
    fn leaves_its_group_where_it_is_told_to() {
        let Some(left) = std::env::var_os(LEAVES) else {
            return;
        };
        setpgid(None, Some(getpgid(getppid()).unwrap())).unwrap();
        std::fs::write(left, "").unwrap();
        let until = Instant::now() + Duration::from_secs(60);
        while Instant::now() < until {
            std::thread::park_timeout(Duration::from_secs(1));
        }
    }

    #[test]
    fn a_child_that_leaves_its_group_is_killed_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let left = dir.path().join("left");
        let mut command = Command::new(std::env::current_exe().unwrap());
        let name = "docgen::child::tests::leaves_its_group_where_it_is_told_to";
        command.args(["--exact", name]).env(LEAVES, &left);
        let cancel = CancellationToken::new();
        let started = Instant::now();
        let failed = std::thread::scope(|scope| {
            let ran = scope.spawn(|| run(command, Vec::new(), ROOMY, &cancel));
            while !left.exists() && !ran.is_finished() {
                std::thread::yield_now();
            }
            cancel.cancel();
            ran.join().unwrap().unwrap_err()
        });
        assert!(left.exists(), "{failed:?}");
        assert_eq!(failed.fault, GeneratorFault::Cancelled);
        assert!(started.elapsed() < Duration::from_secs(40));
    }

    #[test]
    fn children_left_behind_are_killed_and_keep_nobody_waiting() {
        let started = Instant::now();
        let made = shell("sleep 600 & echo $!", b"", ROOMY).unwrap();
        assert!(started.elapsed() < Duration::from_secs(20));
        assert_ends(std::str::from_utf8(&made).unwrap());
    }

    #[test]
    fn a_flood_is_cut_off() {
        let narrow = Bounds {
            max_output_bytes: 1_000,
            ..ROOMY
        };
        let cut = GeneratorFault::TooMuchOutput { max_bytes: 1_000 };
        assert_eq!(fault("yes", narrow), cut);
        assert_eq!(fault("head -c 1001 /dev/zero", narrow), cut);
        assert!(shell("head -c 1000 /dev/zero", b"", narrow).is_ok());
        let loud = "yes >&2 & sleep 0.2; exit 3";
        let failed = shell(loud, b"", narrow).unwrap_err();
        assert!(matches!(
            failed.fault,
            GeneratorFault::Exited { code: Some(3), .. }
        ));
        assert!(failed.stderr.len() <= STDERR_BYTES_MAX && failed.stderr.ends_with("y\n"));
    }

    #[test]
    fn a_bad_end_is_told_with_what_was_said_last() {
        let failed = shell("echo out; echo why >&2; exit 7", b"", ROOMY).unwrap_err();
        let code = GeneratorFault::Exited {
            code: Some(7),
            signal: None,
        };
        assert_eq!((failed.fault, &*failed.stderr), (code, "why\n"));
        let killed = fault("kill -9 $$", ROOMY);
        let by_signal = GeneratorFault::Exited {
            code: None,
            signal: Some(9),
        };
        assert_eq!(killed, by_signal);
    }

    #[test]
    fn a_child_whose_outputs_are_closed_is_still_waited_for_and_bounded() {
        assert!(
            shell("exec >&- 2>&-; sleep 0.1", b"", ROOMY)
                .unwrap()
                .is_empty()
        );
        let brief = Bounds {
            time: Duration::from_millis(200),
            ..ROOMY
        };
        let timed_out = GeneratorFault::TimedOut { allowed_ms: 200 };
        assert_eq!(fault("exec >&- 2>&-; sleep 600", brief), timed_out);
    }

    #[test]
    fn who_cancels_need_not_wait() {
        let cancel = CancellationToken::new();
        cancel.cancel();
        // Nothing is started, not even what cannot be.
        let command = Command::new("no-such-program");
        let failed = run(command, Vec::new(), ROOMY, &cancel).unwrap_err();
        assert_eq!(failed.fault, GeneratorFault::Cancelled);
    }
}
