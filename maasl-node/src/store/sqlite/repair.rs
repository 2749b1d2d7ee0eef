//! Mending a state directory that was damaged.
//!
//! Owns: what is wrong with the files of a store, and `maasl doctor --repair`.
//! Promises: nothing is deleted, what is damaged goes to `quarantine/<time>/`;
//! nothing is touched while a process lives or has the database open; tokens
//! issued afterwards are above all that were issued before; doing it twice does
//! nothing the second time. Leaves to others: what rows should be (`tables`),
//! reading them out of what is left (`salvage`), the kinds of entries
//! (`state_dir::entries`).
//!
//! The database is held by the lock that SQLite itself would take, on the whole
//! file: whoever has it open keeps us out, and we keep out whoever comes. That is a
//! POSIX lock, which goes when its process closes any descriptor of the file. So
//! the database is opened once, copied through that descriptor (`workshop`) and
//! examined as a copy. A connection to the original could also empty the log that
//! is to be kept.

mod living;
mod quarantine;
mod salvage;
mod tables;
mod workshop;

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use maasl_core::id::Token;
use maasl_core::lease::floor::{Reading, at_opening};
use rusqlite::Connection;

use self::quarantine::Quarantine;
pub use self::salvage::Salvaged;
use self::workshop::Workshop;
use super::floor::Floor;
use super::gate::Gate;
use super::store::{DATABASE, LOG};
use super::{connection, health, rows, schema};
use crate::fault::{Side, point};
use crate::objects::Objects;
use crate::state_dir::{StateDir, entries};
use crate::store::{StoreError, clock};

const SHARED_INDEX: &str = "maasl.db-shm";
/// Starting processes stand in the gate for a moment only.
const GATE_WAIT: Duration = Duration::from_secs(5);

/// Something that is wrong in a state directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub path: PathBuf,
    /// What.
    pub what: String,
}

/// Something that a repair did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It moved something into the quarantine.
    Moved {
        /// What was wrong, and where.
        fault: Fault,
        /// Where it is now.
        to: PathBuf,
    },
    /// It made a new database from what could be read of the old one.
    Rebuilt(Salvaged),
    /// It wrote down again up to where tokens may have been issued.
    FloorRaised(Token),
}

impl fmt::Display for Deed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Moved { fault, to } => {
                let (from, what, to) = (fault.path.display(), &fault.what, to.display());
                write!(out, "{from}: {what}; moved to {to}")
            }
            Self::Rebuilt(salvaged) => write!(out, "a new database was made: {salvaged}"),
            Self::FloorRaised(token) => {
                write!(out, "tokens go on above {token}, and the floor says so")
            }
        }
    }
}

/// Why nothing was repaired.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// Processes live here.
    #[error(
        "{count} maasl process{} of this root run{}{}; end them first",
        if *count == 1 { "" } else { "es" }, if *count == 1 { "s" } else { "" }, shown(pids)
    )]
    Living {
        /// How many.
        count: usize,
        /// Their numbers, as far as the system tells.
        pids: Vec<u32>,
    },
    /// Another program has the database open.
    #[error("{} is open in another program; end that first", .0.display())]
    InUse(PathBuf),
    /// A store could not be read or made, for a reason that is no damage.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn shown(pids: &[u32]) -> String {
    let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
    if pids.is_empty() {
        return String::new();
    }
    format!(" ({})", pids.join(", "))
}

/// Everything that is wrong with the files in a state directory. It reads the whole
/// store and every kept content, and opens no database whose log is damaged.
pub fn examine(state: &StateDir) -> Result<Vec<Fault>, StoreError> {
    let dir = state.path();
    let mut faults = odd(state)?;
    if !faults.is_empty() {
        // What is odd is not to be opened.
        return Ok(faults);
    }
    match fault_of_log(dir)? {
        Some(fault) => faults.push(fault),
        None => faults.extend(fault_of_database(dir, dir)?),
    }
    if faults.is_empty() {
        faults.extend(lost_floor(dir)?);
    }
    faults.extend(damaged_objects(state)?);
    Ok(faults)
}

/// Mends what is wrong; what was done. The caller has opened the state directory
/// and nothing in it.
pub fn repair(state: &StateDir) -> Result<Vec<Deed>, RepairError> {
    living::refuse(state)?;
    let mut quarantine = Quarantine::of(state);
    let mut deeds = Vec::new();
    for fault in odd(state)? {
        deeds.push(quarantine.take(fault)?);
    }
    let gate = Gate::open(state.path(), "")?;
    let inside = gate.enter(Instant::now() + GATE_WAIT)?;
    // Whoever came before we stood in the gate has shown that it lives.
    living::refuse(state)?;
    let held = living::hold_database(state.path())?;
    mend_store(state, held.as_ref(), &mut quarantine, &mut deeds)?;
    for fault in damaged_objects(state)? {
        deeds.push(quarantine.take(fault)?);
    }
    drop((held, inside));
    Ok(deeds)
}

/// Mends the database, of which `held` is the only descriptor, its log and the floor.
fn mend_store(
    state: &StateDir,
    held: Option<&File>,
    quarantine: &mut Quarantine<'_>,
    deeds: &mut Vec<Deed>,
) -> Result<(), StoreError> {
    let dir = state.path();
    let log = fault_of_log(dir)?;
    let workshop = Workshop::open(dir)?;
    workshop.copy(held, log.is_none())?;
    point(Side::After, "copy_store");
    let database = fault_of_database(workshop.path(), dir)?;
    let rebuilt = match &database {
        Some(_) => Some(salvage::rebuild(workshop.path())?),
        None => None,
    };
    let known = match &rebuilt {
        Some((path, _)) => meta_at(path)?,
        None => meta_at(&workshop.path().join(DATABASE))?,
    };
    let newest = rebuilt.as_ref().map(|(_, salvaged)| salvaged.newest);
    mend_floor(dir, known.as_ref(), newest, quarantine, deeds)?;
    point(Side::Before, "replace_store");
    for fault in to_be_moved(dir, log, database) {
        deeds.push(quarantine.take(fault)?);
    }
    if let Some((path, salvaged)) = rebuilt {
        let target = dir.join(DATABASE);
        fs::rename(&path, &target).map_err(|error| StoreError::io(&target, error))?;
        sync_folder(dir)?;
        deeds.push(Deed::Rebuilt(salvaged));
    }
    Ok(())
}

/// The files that do not stay, the log before its database: beside another it would
/// be taken for that one's.
fn to_be_moved(dir: &Path, log: Option<Fault>, database: Option<Fault>) -> Vec<Fault> {
    if log.is_none() && database.is_none() {
        return Vec::new();
    }
    let beside = |name: &str, what: &str| Fault {
        path: dir.join(name),
        what: what.into(),
    };
    let log = log.unwrap_or_else(|| beside(LOG, "belongs to the damaged database"));
    let index = beside(SHARED_INDEX, "an index of the log");
    let all = [log, index].into_iter().chain(database);
    all.filter(|fault| fault.path.exists()).collect()
}

/// Raises the floor where it was lost, and after a rebuilding in any case: what the
/// database knew about issued tokens may be older than what it once held.
fn mend_floor(
    dir: &Path,
    known: Option<&maasl_core::lease::Meta>,
    newest: Option<Token>,
    quarantine: &mut Quarantine<'_>,
    deeds: &mut Vec<Deed>,
) -> Result<(), StoreError> {
    let floor = Floor::of(dir);
    let reading = floor.read()?;
    let fault = floor_fault(dir, known, reading);
    if fault.is_none() && newest.is_none() {
        return Ok(());
    }
    let through = at_opening(known, reading, clock::wall_ms()).max(newest.unwrap_or_default());
    if let Some(fault) = fault
        && reading == Reading::Damaged
    {
        deeds.push(quarantine.take(fault)?);
    }
    floor.raise(through)?;
    deeds.push(Deed::FloorRaised(through));
    Ok(())
}

fn fault_of_log(dir: &Path) -> Result<Option<Fault>, StoreError> {
    let path = dir.join(LOG);
    match health::refuse_damaged_log(dir) {
        Ok(()) if has_no_database(dir) => Ok(Some(Fault {
            path,
            what: "belongs to a database that is gone".into(),
        })),
        Ok(()) => Ok(None),
        Err(error) => damage(path, error).map(Some),
    }
}

/// Whether there is a log alone, which SQLite would remove beside a new database.
/// A database comes before its log, so one that is not there after its log was
/// seen is gone.
fn has_no_database(dir: &Path) -> bool {
    let log = fs::symlink_metadata(dir.join(LOG));
    log.is_ok_and(|log| log.len() > 0) && !dir.join(DATABASE).exists()
}

/// What is wrong with the database of `dir`, by its files in `files`.
fn fault_of_database(files: &Path, dir: &Path) -> Result<Option<Fault>, StoreError> {
    match check_database(files) {
        Ok(()) => Ok(None),
        Err(error) => damage(dir.join(DATABASE), error).map(Some),
    }
}

/// Whether it is a store at all, every page, and every row.
fn check_database(dir: &Path) -> Result<(), StoreError> {
    let path = dir.join(DATABASE);
    match fs::metadata(&path) {
        Ok(meta) if meta.len() == 0 => {
            return Err(StoreError::Corrupt {
                what: "the database file is empty".into(),
            });
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::io(&path, error)),
    }
    let db = open(&path)?;
    schema::check(&db)?;
    health::refuse_damaged_pages(&db, "integrity_check")?;
    tables::check(&db)
}

fn open(path: &Path) -> Result<Connection, StoreError> {
    let db = connection::open(path)?;
    connection::configure(&db)?;
    Ok(db)
}

fn meta_at(path: &Path) -> Result<Option<maasl_core::lease::Meta>, StoreError> {
    if !path.exists() {
        return Ok(None);
    }
    let db = open(path)?;
    let copy = tables::up_to_date(&db)?;
    rows::meta(copy.as_ref().unwrap_or(&db))
}

fn lost_floor(dir: &Path) -> Result<Option<Fault>, StoreError> {
    let reading = Floor::of(dir).read()?;
    Ok(floor_fault(
        dir,
        meta_at(&dir.join(DATABASE))?.as_ref(),
        reading,
    ))
}

fn floor_fault(
    dir: &Path,
    known: Option<&maasl_core::lease::Meta>,
    reading: Reading,
) -> Option<Fault> {
    let issued = known.is_some_and(|meta| meta.reserved_through > Token::default());
    let what = match reading {
        Reading::Damaged => "holds nothing that can be read",
        Reading::Missing if issued => "is gone",
        Reading::Missing | Reading::Through(_) => return None,
    };
    Some(Fault {
        path: Floor::path_in(dir),
        what: what.into(),
    })
}

fn odd(state: &StateDir) -> Result<Vec<Fault>, StoreError> {
    let found = entries::odd(state).map_err(|error| StoreError::io(state.path(), error))?;
    let fault = |odd: entries::Odd| Fault {
        path: odd.path,
        what: odd.reason.into(),
    };
    Ok(found.into_iter().map(fault).collect())
}

fn damaged_objects(state: &StateDir) -> Result<Vec<Fault>, StoreError> {
    let dir = state.path().join("objects");
    let found = Objects::new(dir.clone()).damaged();
    let fault = |path| Fault {
        path,
        what: "a kept content that is no longer what it was".into(),
    };
    let found = found.map_err(|error| StoreError::io(&dir, error))?;
    Ok(found.into_iter().map(fault).collect())
}

/// Damage as a fault; anything else goes on as an error.
fn damage(path: PathBuf, error: StoreError) -> Result<Fault, StoreError> {
    match error {
        StoreError::Corrupt { what } => Ok(Fault { path, what }),
        other => Err(other),
    }
}

fn sync_folder(dir: &Path) -> Result<(), StoreError> {
    let opened = File::open(dir).and_then(|dir| dir.sync_all());
    opened.map_err(|error| StoreError::io(dir, error))
}
