//! Who stands in the gate, for those it keeps waiting.
//!
//! Owns: the record in the gate file and what the system says about a process.
//! Promises: what is told is a help, never a decision. Leaves to others: the
//! gate itself.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;

use crate::store::{GateHolder, clock};

const RECORD_BYTES: usize = 128;

/// Longest session name that is recorded whole.
const SESSION_BYTES: usize = 80;

/// How often the system's table is read for a lock that it does not show. It
/// comes in pages, each a state of its own: a lock moves past the edge of a
/// page when others before it go in between.
const LOOKS: usize = 5;

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
pub(super) fn look(gate: &File, inode: u64) -> Option<GateHolder> {
    let recorded = read(gate);
    let locker = locker_of(inode);
    let mut holder = match (recorded, locker) {
        (Some(recorded), Some(pid)) if recorded.pid != pid => nameless(pid),
        (Some(recorded), _) => recorded,
        (None, Some(pid)) => nameless(pid),
        (None, None) => return None,
    };
    let process = format!("/proc/{}", holder.pid);
    holder.stopped = fs::read_to_string(format!("{process}/stat"))
        .is_ok_and(|stat| matches!(state_of(&stat), Some('T' | 't')));
    holder.command = fs::read_to_string(format!("{process}/comm"))
        .ok()
        .map(|name| name.trim_end().to_owned());
    Some(holder)
}

/// The process that holds the `flock` on the file with this number.
pub(super) fn locker_of(inode: u64) -> Option<u32> {
    find_locker(|| fs::read_to_string("/proc/locks").ok(), inode)
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

/// The process that holds the `flock` on this inode, by a table that may miss
/// it while it changes.
fn find_locker(mut table: impl FnMut() -> Option<String>, inode: u64) -> Option<u32> {
    (0..LOOKS).find_map(|_| locker(&table()?, inode))
}

/// The process that holds the `flock` on this inode, in the text of
/// `/proc/locks`: `1: FLOCK  ADVISORY  WRITE 701 fe:00:1234 0 EOF`, where a
/// waiter has `->` before `FLOCK`.
fn locker(locks: &str, inode: u64) -> Option<u32> {
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, "FLOCK", _, _, pid, file, ..] = words[..] else {
            return None;
        };
        let (_, number) = file.rsplit_once(':')?;
        (number.parse() == Ok(inode)).then(|| pid.parse().ok())?
    })
}

/// The state letter in the text of `/proc/<pid>/stat`; the program name before
/// it is in parentheses and may hold anything.
fn state_of(stat: &str) -> Option<char> {
    stat.rsplit_once(") ")?.1.chars().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_is_told_from_those_who_wait() {
        let locks = "1: POSIX  ADVISORY  WRITE 5 fe:00:42 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 701 fe:00:42 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 702 fe:00:42 0 EOF\n";
        assert_eq!(locker(locks, 42), Some(701));
        assert_eq!(locker(locks, 43), None);
    }

    #[test]
    fn a_lock_that_one_reading_missed_is_found_by_the_next() {
        let mut readings = 0;
        let table = || {
            readings += 1;
            let shown = "2: FLOCK  ADVISORY  WRITE 701 fe:00:42 0 EOF\n";
            Some(if readings == 1 { "" } else { shown }.to_owned())
        };
        assert_eq!(find_locker(table, 42), Some(701));
        assert_eq!(find_locker(|| Some(String::new()), 42), None);
        assert_eq!(find_locker(|| None, 42), None);
    }

    #[test]
    fn a_program_name_cannot_forge_a_state() {
        assert_eq!(state_of("7 (a) T (b) S 1 7"), Some('S'));
        assert_eq!(state_of("7 (a) T 1 7"), Some('T'));
    }

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
