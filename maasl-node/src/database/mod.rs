//! Databases that are written through MAASL.
//!
//! Owns: finding a configured database, its connections, and transactions of
//! which each belongs to one call. Promises: a database is never opened through
//! a symlink, outside the root or under several names; a transaction that is
//! dropped is rolled back; what the caller runs in it cannot end it, reach
//! another file or touch MAASL's own tables. Leaves to others: who may write and
//! whether the fence lets it pass (the core).

mod connection;
mod insertion;
mod names;
mod rules;
mod schema;
mod spans;
mod statement;
mod transaction;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use maasl_core::config::{Config, Durability};
use maasl_core::database::{FoundSpan, RAG};
use maasl_core::id::OpId;
use maasl_core::path::{PathReason, PathRefusal, RelPath};
use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode};
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use tokio_util::sync::CancellationToken;

pub use self::statement::WorkFault;
pub use self::transaction::{CallerWork, Transaction};

use self::connection::Guarded;
use crate::platform::examine;
use crate::root::Root;

/// The smallest page of SQLite's.
const PAGE_BYTES_MIN: u64 = 512;

const NO_DATABASE: &str = "the file is no SQLite database";

/// How long a recovery waits for a writer outside MAASL.
const RULE_OUT_WAIT: Duration = Duration::from_secs(1);

/// Connections kept open per database when no call uses them.
const IDLE_MAX: usize = 4;

/// The databases of one repository.
pub struct Databases {
    paths: BTreeMap<String, String>,
    idle: Mutex<BTreeMap<String, Vec<Guarded>>>,
    /// Held while a database is made: whoever opened it before the descriptor that made
    /// it is closed would lose its locks by that.
    making: Mutex<()>,
    durable: bool,
    statements: Duration,
}

/// Why a step of a transaction could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Somebody who goes past MAASL has the database: a writer when the transaction
    /// begins, a reader when it is committed.
    #[error("the database is locked")]
    Locked,
    /// What was written breaks a constraint that SQLite looks at last.
    #[error("{0}")]
    Constraint(rusqlite::Error),
    /// The path of the database cannot be used.
    #[error(transparent)]
    Path(#[from] PathRefusal),
    /// The file is there and cannot be used as a guarded database.
    #[error("{0}")]
    Unusable(String),
    /// SQLite failed.
    #[error(transparent)]
    Sqlite(rusqlite::Error),
    /// The system failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Databases {
    /// The databases that the configuration names.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            paths: config.databases.clone(),
            idle: Mutex::default(),
            making: Mutex::default(),
            durable: config.durability == Durability::Power,
            statements: Duration::from_millis(config.limits.statement_ms),
        }
    }

    /// Declares what is there already, so that the file tools leave it alone
    /// without opening it.
    pub fn declare(&self, root: &Root) {
        for path in self.paths.values() {
            // A path that cannot be used is told to whoever writes there.
            if let Ok(rel) = root.relative(path) {
                let _ = find(root, &rel);
            }
        }
    }

    /// Finds descriptions of pieces of source, best first; takes no lock that would
    /// hold a writer up.
    pub fn find_spans(
        &self,
        root: &Root,
        query: &str,
        limit: u32,
    ) -> Result<Vec<FoundSpan>, DatabaseError> {
        match self.read(root, RAG)? {
            Some(db) => spans::find(&db, query, limit),
            None => Ok(Vec::new()),
        }
    }

    fn read(&self, root: &Root, name: &str) -> Result<Option<Connection>, DatabaseError> {
        let rel = root.relative(self.path_of(name)?)?;
        match self.find(root, &rel)? {
            Some(_) => Ok(Some(connection::open_to_read(&absolute(root, &rel))?)),
            None => Ok(None),
        }
    }

    /// Whether the database at `path` has the part of this commit, for good. One that
    /// is not there has nothing.
    pub fn has_part(&self, root: &Root, path: &str, op: &OpId) -> Result<bool, DatabaseError> {
        let rel = root.relative(path)?;
        let Some(found) = self.find(root, &rel)? else {
            return Ok(false);
        };
        let place = found.usable()?;
        let path = absolute(root, &rel);
        let asked = connection::open_to_ask(&path)?;
        Ok(schema::has_part(&asked, op)? || self.rule_out(&path, place, op)?)
    }

    /// Makes certain that a part which is not there does not come back; whether it is
    /// there after all.
    ///
    /// A process that is killed while it commits may have written everything to the
    /// database's log and not yet have told the others. They do not see it, but whoever
    /// opens the database when all of them are gone would. What is written here takes
    /// its place in the log.
    fn rule_out(&self, path: &Path, place: Place, op: &OpId) -> Result<bool, DatabaseError> {
        let mut guarded = Guarded::open(path, place, self.durable)?;
        guarded.db.busy_timeout(RULE_OUT_WAIT)?;
        guarded.begin()?;
        let db = &guarded.db;
        if schema::has_part(db, op)? {
            return Ok(true);
        }
        schema::touch(db)?;
        db.prepare_cached("COMMIT")?.execute([])?;
        Ok(false)
    }

    /// Begins a write; waits at most so long for a writer outside MAASL, and no longer
    /// than somebody wants it.
    pub fn begin(
        &self,
        root: &Root,
        name: &str,
        wait: Duration,
        cancel: &CancellationToken,
    ) -> Result<Transaction, DatabaseError> {
        let rel = root.relative(self.path_of(name)?)?;
        let place = self.find_or_make(root, &rel)?;
        let idle = self.idle.lock().get_mut(name).and_then(Vec::pop);
        let connection = match idle.filter(|idle| idle.is_of(place)) {
            Some(idle) => idle,
            None => Guarded::open(&absolute(root, &rel), place, self.durable)?,
        };
        Transaction::begin(connection, name, wait, self.statements, cancel)
    }

    /// Takes a connection back whose transaction is over.
    pub fn put_back(&self, name: &str, connection: Guarded) {
        let mut idle = self.idle.lock();
        let idle = idle.entry(name.to_owned()).or_default();
        if idle.len() < IDLE_MAX && connection.is_reusable() {
            idle.push(connection);
        }
    }

    /// Closes what no call uses: the last of a database's connections that is
    /// closed moves its log into it.
    pub fn close_idle(&self) {
        self.idle.lock().clear();
    }

    fn find(&self, root: &Root, rel: &RelPath) -> Result<Option<Found>, PathRefusal> {
        let _making = self.making.lock();
        find(root, rel)
    }

    fn find_or_make(&self, root: &Root, rel: &RelPath) -> Result<Place, DatabaseError> {
        // Outside, because others look for databases meanwhile and this may sync.
        root.create_parents(rel)?;
        let _making = self.making.lock();
        find_or_make(root, rel)
    }

    fn path_of(&self, name: &str) -> Result<&str, DatabaseError> {
        let path = self.paths.get(name).map(String::as_str);
        path.ok_or_else(|| DatabaseError::Unusable(format!("{name} is no configured database")))
    }
}

impl From<rusqlite::Error> for DatabaseError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::Unusable(NO_DATABASE.to_owned()),
            Some(ErrorCode::DatabaseCorrupt) => {
                Self::Unusable(format!("the database is damaged: {error}"))
            }
            Some(ErrorCode::ReadOnly) => Self::Unusable("the database may only be read".to_owned()),
            _ => Self::Sqlite(error),
        }
    }
}

/// A file by device and number.
type Place = (u64, u64);

/// A file that lies where a database is expected.
struct Found {
    place: Place,
    size_bytes: u64,
}

impl Found {
    /// SQLite takes whatever is shorter than a page for an empty database, and
    /// would write over it.
    fn usable(self) -> Result<Place, DatabaseError> {
        if (1..PAGE_BYTES_MIN).contains(&self.size_bytes) {
            return Err(DatabaseError::Unusable(NO_DATABASE.to_owned()));
        }
        Ok(self.place)
    }
}

fn absolute(root: &Root, rel: &RelPath) -> PathBuf {
    root.path().join(rel.as_str())
}

/// Looks at a database without opening it, and declares it to the root.
fn find(root: &Root, rel: &RelPath) -> Result<Option<Found>, PathRefusal> {
    let refuse = |reason| PathRefusal::new(rel.as_str(), reason);
    let parent = match root.parent_of(rel) {
        Err(refusal) if refusal.reason == PathReason::MissingParent => return Ok(None),
        parent => parent?,
    };
    let meta = match examine(parent.as_fd(), rel.file_name()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            let errno = error.to_string();
            return Err(refuse(PathReason::Unreadable { errno }));
        }
        Ok(seen) => seen.meta,
    };
    if meta.is_symlink() {
        return Err(refuse(PathReason::Symlink));
    }
    if !meta.is_regular() {
        return Err(refuse(PathReason::NotRegular { kind: meta.kind() }));
    }
    if meta.nlink > 1 {
        return Err(refuse(PathReason::HardLinked { links: meta.nlink }));
    }
    root.hold_database(meta.dev, meta.ino);
    Ok(Some(Found {
        place: (meta.dev, meta.ino),
        size_bytes: meta.size,
    }))
}

/// As `find`, making an empty file in its folder where there is none: it is declared before
/// SQLite opens it, and SQLite takes an empty file for a new database.
fn find_or_make(root: &Root, rel: &RelPath) -> Result<Place, DatabaseError> {
    if let Some(found) = find(root, rel)? {
        return found.usable();
    }
    let parent = root.parent_of(rel)?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    match openat(
        parent.as_fd(),
        rel.file_name(),
        flags,
        Mode::from_raw_mode(0o666),
    ) {
        Ok(_) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(io::Error::from(errno).into()),
    }
    let made = find(root, rel)?;
    made.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?
        .usable()
}
