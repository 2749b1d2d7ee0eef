//! Telling SQLite databases from other files.
//!
//! Owns: recognising a database, its log, its shared index and its journal.
//! Promises: a database that is declared held, or that is open in WAL mode
//! anywhere, is recognised without opening it, since closing a descriptor
//! would drop this process's locks on it. Leaves to others: declaring; a
//! database that this process holds undeclared in rollback mode is opened,
//! read and closed here, and loses its locks.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;

use maasl_core::path::PathReason;

use super::located::open_content;
use crate::platform::examine;

/// First bytes of a database.
const DATABASE: &[u8] = b"SQLite format 3\0";
/// First bytes of a write-ahead log, in either byte order of its checksums.
const LOG: [&[u8]; 2] = [&[0x37, 0x7f, 0x06, 0x82], &[0x37, 0x7f, 0x06, 0x83]];
/// First bytes of a rollback journal.
const JOURNAL: &[u8] = &[0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];

/// What SQLite appends to the name of a database for the files beside it.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Refuses a name that SQLite uses for a file beside a database, if the
/// database is there; the file itself may be absent, and must stay so.
pub(super) fn refuse_companion(
    parent: BorrowedFd<'_>,
    name: &str,
    is_held: &dyn Fn(u64, u64) -> bool,
) -> Result<(), PathReason> {
    let Some(base) = COMPANIONS.iter().find_map(|end| strip_end(name, end)) else {
        return Ok(());
    };
    let Ok(seen) = examine(parent, base) else {
        return Ok(());
    };
    if !seen.meta.is_regular() {
        return Ok(());
    }
    let known = is_held(seen.meta.dev, seen.meta.ino) || is_open_somewhere(parent, base);
    if known || open_content(parent, base).is_ok_and(|p| starts_with(&p.file, DATABASE)) {
        return Err(PathReason::Database);
    }
    Ok(())
}

/// Whether a log and a shared index stand beside `name`: SQLite keeps both as
/// long as anybody has the database open in WAL mode.
pub(super) fn is_open_somewhere(parent: BorrowedFd<'_>, name: &str) -> bool {
    ["-wal", "-shm"].iter().all(|end| {
        examine(parent, &format!("{name}{end}")).is_ok_and(|seen| seen.meta.is_regular())
    })
}

/// Refuses a file that shows by its first bytes that it belongs to a database.
pub(super) fn refuse_content(file: &File, name: &str) -> Result<(), PathReason> {
    let is_log = || LOG.iter().any(|magic| starts_with(file, magic));
    let belongs = starts_with(file, DATABASE)
        || strip_end(name, "-wal").is_some() && is_log()
        || strip_end(name, "-journal").is_some() && starts_with(file, JOURNAL);
    if belongs {
        return Err(PathReason::Database);
    }
    Ok(())
}

fn starts_with(file: &File, magic: &[u8]) -> bool {
    let mut found = vec![0; magic.len()];
    loop {
        match file.read_exact_at(&mut found, 0) {
            Ok(()) => return found == magic,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}

/// `name` without `end`, in any ASCII case, if something is left.
fn strip_end<'a>(name: &'a str, end: &str) -> Option<&'a str> {
    let (base, tail) = name.split_at_checked(name.len().checked_sub(end.len())?)?;
    (!base.is_empty() && tail.eq_ignore_ascii_case(end)).then_some(base)
}
