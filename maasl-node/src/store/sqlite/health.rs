//! Whether the files of a store are sound.
//!
//! Owns: knowing cheaply that the last end was not a good one, and looking at every
//! page if so. Promises: after a good end nothing is looked at; a store that is
//! found damaged is refused and left as it is. Leaves to others: mending it
//! (`repair`).
//!
//! SQLite survives the death of any process, and a power cut on a disk that does
//! what it says. The check is for the rest: a disk that lied, a file that another
//! program wrote into. Such harm comes with an unclean end more often than not, and
//! a look at all pages is then cheap beside what a wrong one would cost (measured
//! on a busy machine of two cores: 2.5 s for a million versions in 331 MiB). It runs
//! on a snapshot and outside the gate, so nobody waits for it but who starts.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use maasl_core::id::SessionId;
use rusqlite::Connection;

use super::connection::{self, Transaction};
use super::identity::{refuse_foreign, refuse_foreign_database};
use super::store::{DATABASE, LOG};
use super::{rows, schema};
use crate::store::StoreError;

/// Says whether the process of a session has gone.
pub type IsDead = Arc<dyn Fn(&SessionId) -> bool + Send + Sync>;

/// The first four bytes of a write-ahead log, but for the lowest bit, which says
/// how its sums are read.
const LOG_MAGIC: u32 = 0x377f_0682;
const LOG_HEADER_BYTES: usize = 32;

/// How often the header of a log is read that looks wrong: somebody may be
/// writing it.
const LOOKS: usize = 5;

/// Looks at every page of the store in `dir` if its last end was not a good one:
/// if a process died without closing its session, or the machine started anew
/// while the log still held something. Says whether it looked.
pub(super) fn check_after_bad_end(
    dir: &Path,
    boot: &str,
    is_dead: Option<&IsDead>,
) -> Result<bool, StoreError> {
    let path = dir.join(DATABASE);
    refuse_foreign_database(&path)?;
    if !path.exists() {
        return Ok(false);
    }
    refuse_damaged_log(dir)?;
    let logged = bytes_of(&dir.join(LOG))? > 0;
    if bytes_of(&path)? == 0 && !logged {
        return Ok(false);
    }
    let db = connection::open(&path)?;
    connection::configure(&db)?;
    let transaction = Transaction::read(&db)?;
    let known = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| {
        row.get::<_, u32>(0)
    })?;
    if known == 0 || schema::is_older(&db)? || !ended_badly(&db, boot, logged, is_dead)? {
        return Ok(false);
    }
    refuse_damaged_pages(&db, "quick_check")?;
    transaction.commit()?;
    Ok(true)
}

fn ended_badly(
    db: &Connection,
    boot: &str,
    logged: bool,
    is_dead: Option<&IsDead>,
) -> Result<bool, StoreError> {
    let sessions = rows::sessions(db)?;
    let died = |is_dead: &IsDead| sessions.iter().any(|session| is_dead(&session.id));
    let rebooted = || Ok::<_, StoreError>(rows::meta(db)?.is_some_and(|meta| *meta.boot != *boot));
    Ok(is_dead.is_some_and(died) || logged && rebooted()?)
}

/// Asks SQLite to look at the pages: `quick_check`, or `integrity_check`, which
/// compares indexes with their tables as well.
pub(super) fn refuse_damaged_pages(db: &Connection, how: &str) -> Result<(), StoreError> {
    let found: String = db.query_row(&format!("PRAGMA {how}(1)"), [], |row| row.get(0))?;
    if found == "ok" {
        return Ok(());
    }
    // The first line names the table tree or the page, in SQLite's words.
    let what = found.replace('\n', "; ");
    Err(StoreError::Corrupt { what })
}

/// Refuses a log that SQLite would take for an empty one because its header is
/// wrong: the commits in it would be gone without a word. A header of zeros is
/// that of a log which a power cut kept from its first sync; nothing in it was
/// acknowledged.
pub(super) fn refuse_damaged_log(dir: &Path) -> Result<(), StoreError> {
    let path = dir.join(LOG);
    refuse_foreign(&path)?;
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::io(&path, error)),
    };
    for _ in 0..LOOKS {
        let mut header = [0; LOG_HEADER_BYTES];
        match file.read_exact_at(&mut header, 0) {
            Ok(()) if header == [0; LOG_HEADER_BYTES] || is_log_header(&header) => return Ok(()),
            Ok(()) => std::thread::yield_now(),
            // Shorter than its header: nothing was ever committed in it.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(StoreError::io(&path, error)),
        }
    }
    Err(StoreError::Corrupt {
        what: "the write-ahead log does not begin like one; commits in it cannot be read".into(),
    })
}

/// Whether magic and sum of a log's header are right, as SQLite's file format
/// describes them.
fn is_log_header(header: &[u8; LOG_HEADER_BYTES]) -> bool {
    let (words, _) = header.as_chunks::<4>();
    let magic = u32::from_be_bytes(words[0]);
    let read = if magic & 1 == 1 {
        u32::from_be_bytes
    } else {
        u32::from_le_bytes
    };
    let (mut first, mut second) = (0_u32, 0_u32);
    for pair in words[..6].chunks_exact(2) {
        first = first.wrapping_add(read(pair[0])).wrapping_add(second);
        second = second.wrapping_add(read(pair[1])).wrapping_add(first);
    }
    let stored = [u32::from_be_bytes(words[6]), u32::from_be_bytes(words[7])];
    magic & !1 == LOG_MAGIC && stored == [first, second]
}

/// Size of a file; zero where there is none.
fn bytes_of(path: &Path) -> Result<u64, StoreError> {
    match std::fs::symlink_metadata(path) {
        Ok(meta) => Ok(meta.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(StoreError::io(path, error)),
    }
}
