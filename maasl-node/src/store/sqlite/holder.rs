//! Who stands in the gate or has the floor locked, for those it keeps waiting.
//!
//! Owns: the record in the gate file, beside what the system says. Promises: what is
//! told is a help, never a decision. Leaves to others: gate and floor themselves.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;

use crate::platform;
use crate::store::{GateHolder, clock};

const RECORD_BYTES: usize = 128;

/// Longest session name that is recorded whole.
const SESSION_BYTES: usize = 80;

/// Writes who stands in the gate; the place is kept, the rest is blanked.
pub(super) fn record(gate: &File, pid: u32, session: &str) -> io::Result<()> {
    let mut line = [b' '; RECORD_BYTES];
    line[RECORD_BYTES - 1] = b'\n';
    let mut rest = &mut line[..];
    let shown = session.get(..SESSION_BYTES).unwrap_or(session);
    let shown = if shown.len() > SESSION_BYTES {
        ""
    } else {
        shown
    };
    write!(rest, "{pid} {} {shown}", clock::wall_ms())?;
    gate.write_all_at(&line, 0)
}

/// Who stands in the gate. The record may be that of the one before, if the
/// holder was stopped at its first step; the system's own table of locks is
/// believed over it.
pub(super) fn look(gate: &File) -> Option<GateHolder> {
    let holder = match (read(gate), platform::locker_of(gate.as_fd())) {
        (Some(recorded), Some(pid)) if recorded.pid != pid => nameless(pid),
        (Some(recorded), _) => recorded,
        (None, Some(pid)) => nameless(pid),
        (None, None) => return None,
    };
    Some(described(holder))
}

/// Who has a file locked that holds no record of it.
pub(super) fn locker(file: &File) -> Option<GateHolder> {
    let pid = platform::locker_of(file.as_fd())?;
    Some(described(nameless(pid)))
}

/// With what the system says about the process.
fn described(holder: GateHolder) -> GateHolder {
    let state = platform::process_state(holder.pid);
    GateHolder {
        stopped: state.as_ref().is_some_and(|state| state.stopped),
        command: state.map(|state| state.command),
        ..holder
    }
}

fn nameless(pid: u32) -> GateHolder {
    GateHolder {
        pid,
        session: None,
        since_ms: 0,
        stopped: false,
        command: None,
    }
}

fn read(gate: &File) -> Option<GateHolder> {
    let mut line = [0; RECORD_BYTES];
    gate.read_exact_at(&mut line, 0).ok()?;
    let mut words = std::str::from_utf8(&line).ok()?.split_ascii_whitespace();
    Some(GateHolder {
        pid: words.next()?.parse().ok()?,
        since_ms: words.next()?.parse().ok()?,
        session: words.next().map(str::to_owned),
        stopped: false,
        command: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back() {
        let file = tempfile::tempfile().unwrap();
        for session in ["0123abcd", ""] {
            record(&file, 41, session).unwrap();
            let found = read(&file).unwrap();
            assert_eq!(found.pid, 41);
            assert_eq!(found.session.unwrap_or_default(), session);
            assert!(found.since_ms > 0);
        }
        record(&file, 1, &"é".repeat(500)).unwrap();
        assert_eq!(read(&file).unwrap().pid, 1);
    }
}
