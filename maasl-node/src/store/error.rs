//! What may go wrong with a store.
//!
//! Owns: [`StoreError`] and its reading of SQLite's codes. Promises: an error
//! means that the transaction left no trace, except where [`StoreError::Sync`]
//! says otherwise. Leaves to others: turning it into a refusal.

use std::fmt;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Who stands in the write gate, or has the floor locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateHolder {
    /// Its process.
    pub pid: u32,
    /// Its session, where it recorded one.
    pub session: Option<String>,
    /// Since when, milliseconds since 1970; zero where unknown.
    pub since_ms: u64,
    /// Whether the process is stopped, so that only somebody else can let it go
    /// on.
    pub stopped: bool,
    /// The name of its program, where the system tells.
    pub command: Option<String>,
}

impl fmt::Display for GateHolder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.stopped { "stopped " } else { "" };
        write!(out, "{state}process {}", self.pid)?;
        match &self.command {
            Some(command) => write!(out, " ({command})"),
            None => Ok(()),
        }
    }
}

/// A store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The write gate or the lock of the floor did not come free in time; nothing was
    /// changed.
    #[error("waited {waited_ms} ms for the store{}", held_by(holder.as_ref()))]
    Busy {
        /// Who is in it, where that can be told.
        holder: Option<GateHolder>,
        /// For how long.
        waited_ms: u64,
    },
    /// There is no room; nothing was changed and the store works on.
    #[error("no room left for the store; free some disk space and ask again")]
    Full,
    /// The store was replaced or deleted while it was open.
    #[error("{} was replaced or deleted while in use; ask again", path.display())]
    Replaced {
        /// What is no longer the file that was opened.
        path: PathBuf,
    },
    /// The store holds something it cannot hold.
    #[error("store damaged: {what}; end every maasl here and run `maasl doctor --repair`")]
    Corrupt {
        /// What was found.
        what: String,
    },
    /// The SQLite library has a known bug in its write-ahead log.
    #[error("SQLite {version} is too old; 3.51.3 is the oldest that is safe here")]
    TooOld {
        /// Its version.
        version: String,
    },
    /// A newer MAASL made this store, or brought it up to date while this process
    /// ran. Nothing was changed.
    #[error(
        "the store has schema {found}, this program knows up to {known}: a newer maasl has \
         written it; update this program and start it again"
    )]
    SchemaNewer {
        /// The schema of the store.
        found: u32,
        /// The newest this program knows.
        known: u32,
    },
    /// An older store was put in the place of the one that was opened.
    #[error(
        "the store has schema {found}, this program opened one of {known}: an older copy was put \
         in its place; start this process again, and it is brought up to date"
    )]
    SchemaOlder {
        /// The schema of the store.
        found: u32,
        /// The one this program reads.
        known: u32,
    },
    /// A process whose clock this one cannot read uses the store, so neither could
    /// tell when leases of the other end. Nothing was changed.
    #[error(
        "process {pid} ({role}) uses the store by another clock: it runs in another time \
         namespace; run both in one, or end it and start this process again"
    )]
    OtherClock {
        /// The process, by the number it gave itself.
        pid: u32,
        /// What it is.
        role: String,
    },
    /// The file is not a store of this user.
    #[error("{}: {reason}", path.display())]
    NotOurs {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The change stands, but the disk did not confirm it; from here on no
    /// durable command of this process can succeed.
    #[error("the disk did not confirm a sync of the store; start this process again")]
    Sync(#[source] std::io::Error),
    /// SQLite reported something else.
    #[error("store: {0}")]
    Sqlite(#[source] rusqlite::Error),
    /// The system reported something else.
    #[error("{}: {source}", path.display())]
    Io {
        /// About which file.
        path: PathBuf,
        /// What.
        source: std::io::Error,
    },
}

impl StoreError {
    /// Wraps an error of the system about `path`.
    pub(crate) fn io(path: &Path, source: impl Into<std::io::Error>) -> Self {
        let source = source.into();
        if source.kind() == std::io::ErrorKind::StorageFull {
            return Self::Full;
        }
        Self::Io {
            path: path.into(),
            source,
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt {
                what: error.to_string(),
            },
            Some(ErrorCode::DatabaseBusy) => Self::Busy {
                holder: None,
                waited_ms: u64::from(super::sqlite::BUSY_TIMEOUT_MS),
            },
            _ => Self::Sqlite(error),
        }
    }
}

fn held_by(holder: Option<&GateHolder>) -> String {
    let Some(holder) = holder else {
        return String::new();
    };
    let pid = holder.pid;
    if holder.stopped {
        format!(", held by {holder}; continue it (kill -CONT {pid}) or end it (kill -KILL {pid})")
    } else {
        format!(", held by {holder}; try again, or end it if it hangs")
    }
}
