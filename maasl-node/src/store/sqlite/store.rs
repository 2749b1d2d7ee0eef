//! [`SqliteStore`]: opening it, and running commands on it.
//!
//! Owns: what happens around one transaction: gate, clock, decision, commit,
//! sync, reservation of tokens. Promises: a transaction runs in the gate, reads
//! the clock there and does no other input or output; the first token after any
//! opening is above every token issued before. Leaves to others: the rules (the
//! core), the files (the modules beside this one).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use maasl_core::config::HistoryLimits;
use maasl_core::docgen::DocgenRecord;
use maasl_core::id::Token;
use maasl_core::lease::command::{Open, SyncNeed};
use maasl_core::lease::counter::{HOUR_MS, HOURS_KEPT};
use maasl_core::lease::{self, Command, Meta, Outcome, Session, Version};
use parking_lot::{Mutex, MutexGuard};
use rusqlite::Connection;

use super::aged::Aged;
use super::changes::{self, Seen};
use super::checkpoint::Checkpointer;
use super::connection::{self, Transaction};
use super::floor::Floor;
use super::gate::Gate;
use super::health::{self, IsDead};
use super::identity::{self, Meeting};
use super::sync::LogSync;
use super::{rows, schema};
use crate::state_dir::StateDir;
use crate::store::{Clock, Counters, GateHolder, Store, StoreError, clock};

/// The oldest SQLite whose write-ahead log is safe with several connections.
const SQLITE_MIN: i32 = 3_051_003;

pub(super) const DATABASE: &str = "maasl.db";
pub(super) const LOG: &str = "maasl.db-wal";

/// What acknowledged commits survive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// A power cut.
    #[default]
    Power,
    /// The end of any process, but not of the machine.
    Process,
}

/// How to open a store.
#[derive(Clone)]
pub struct OpenOptions {
    /// The boot whose clock this process reads.
    pub boot: String,
    /// The session to record, if the process will hold leases.
    pub session: Option<Session>,
    /// How long a transaction may wait for others.
    pub gate_wait_ms: u64,
    /// What acknowledged commits survive.
    pub durability: Durability,
    /// The store's clock; replaced in tests.
    pub clock: Clock,
    /// Tells dead processes: by them a bad end is known, and whom a caller found dead
    /// is asked for again where the answer counts. Without it only a new boot tells
    /// a bad end, and callers are believed.
    pub is_dead: Option<IsDead>,
    /// The most pages the database may have; a write beyond is
    /// [`StoreError::Full`].
    pub max_pages: Option<u32>,
    /// How many versions of one path are listed; a sixteenth more for a while.
    pub max_versions: u64,
}

impl OpenOptions {
    /// The usual options, under this boot identity and without a session.
    #[must_use]
    pub fn new(boot: impl Into<String>) -> Self {
        Self {
            boot: boot.into(),
            session: None,
            gate_wait_ms: 5_000,
            durability: Durability::Power,
            clock: clock::system(),
            is_dead: None,
            max_pages: None,
            max_versions: HistoryLimits::default().max_versions,
        }
    }
}

/// The store of one repository, shared with every other process that opened it.
pub struct SqliteStore {
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
    gate: Gate,
    meeting: Meeting,
    log: LogSync,
    log_pages: Arc<AtomicU32>,
    checkpointer: Checkpointer,
    floor: Floor,
    options: OpenOptions,
}

impl SqliteStore {
    /// Opens the store in `dir`, making it where there is none. After an end that
    /// was not a good one every page is looked at first.
    pub fn open(dir: &StateDir, options: OpenOptions) -> Result<Self, StoreError> {
        refuse_old_library()?;
        let state = dir;
        let dir = state.path();
        let path = dir.join(DATABASE);
        let session = options.session.as_ref();
        let session = session.map_or("", |session| session.id.as_str()).to_owned();
        let began = Instant::now();
        if health::check_after_bad_end(dir, &options.boot, options.is_dead.as_ref())? {
            let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            tracing::info!(
                took_ms,
                "the last end was not a good one; the store is sound"
            );
        }
        let gate = Gate::open(dir, &session)?;
        let wait = Duration::from_millis(options.gate_wait_ms);
        let inside = gate.enter(Instant::now() + wait)?;
        let log_pages = Arc::new(AtomicU32::new(0));
        let writer = open_writer(&path, &options, Arc::clone(&log_pages))?;
        drop(inside);
        let store = Self {
            reader: Mutex::new(open_reader(&path)?),
            meeting: Meeting::at(state, options.session.as_ref().map(|session| &session.id))?,
            log: LogSync::open(&dir.join(LOG))?,
            log_pages,
            checkpointer: Checkpointer::start(dir, &path, &session)?,
            floor: Floor::of(dir),
            writer: Mutex::new(writer),
            gate,
            options,
        };
        store.begin_session()?;
        Ok(store)
    }
}

impl SqliteStore {
    /// Decides where tokens go on, and records the session.
    fn begin_session(&self) -> Result<(), StoreError> {
        let known = self.read(rows::meta)?;
        let file = self.floor.read()?;
        let wall_ms = (self.options.clock)().wall_ms;
        let floor = lease::floor::at_opening(known.as_ref(), file, wall_ms);
        if file == lease::floor::Reading::Damaged {
            tracing::warn!("the token floor was damaged; tokens go on in a new generation");
            self.floor.raise(floor)?;
        }
        let open = Command::Open(Open {
            store: random_name()?,
            boot: self.options.boot.clone(),
            floor,
            first_sequence: floor.sequence() + 1,
            session: self.options.session.clone(),
        });
        self.in_gate(|db| {
            self.refuse_other_clock(db)?;
            self.carry_out(db, &open)
        })
        .map(drop)
    }

    /// A store of another boot has no living process. One that has is of this boot,
    /// and its times are of a clock that this process cannot read.
    fn refuse_other_clock(&self, db: &Connection) -> Result<(), StoreError> {
        let of_another = rows::meta(db)?.is_some_and(|meta| *meta.boot != *self.options.boot);
        let Some(is_dead) = self.options.is_dead.as_ref().filter(|_| of_another) else {
            return Ok(());
        };
        let own = self.options.session.as_ref().map(|session| &session.id);
        let sessions = rows::sessions(db)?;
        let mut others = sessions.iter().filter(|session| Some(&session.id) != own);
        match others.find(|session| !is_dead(&session.id)) {
            None => Ok(()),
            Some(living) => Err(StoreError::OtherClock {
                pid: living.pid,
                role: living.role.clone(),
            }),
        }
    }

    /// Runs a command in one transaction in the gate.
    fn write(&self, command: &Command) -> Result<Outcome, StoreError> {
        self.in_gate(|db| self.carry_out(db, command))
    }

    /// Decides a command and writes its changes; whether there were any.
    fn carry_out(&self, db: &Connection, command: &Command) -> Result<(Outcome, bool), StoreError> {
        let is_dead = self.options.is_dead.as_ref();
        let command =
            command.without_revived(|session| is_dead.is_none_or(|is_dead| is_dead(session)));
        let clock = (self.options.clock)();
        let mut seen = Seen::default();
        let decision = lease::transact(&command, clock, |query| {
            let rows = rows::load(db, query)?;
            seen.note(&rows);
            Ok::<_, StoreError>(rows)
        })?;
        for change in &decision.changes {
            changes::apply(db, change, &seen, self.options.max_versions)?;
        }
        Ok((decision.outcome, !decision.changes.is_empty()))
    }

    /// Commits what `run` writes, if it says that it wrote.
    fn in_gate<T>(
        &self,
        run: impl FnOnce(&Connection) -> Result<(T, bool), StoreError>,
    ) -> Result<T, StoreError> {
        let since = Instant::now();
        let deadline = since + self.wait();
        let db = self.lock(&self.writer, since, deadline)?;
        let inside = self.gate.enter(deadline)?;
        self.meeting.check_vital()?;
        let transaction = Transaction::write(&db)?;
        schema::check_unchanged(&db)?;
        let (answer, wrote) = run(&db)?;
        if wrote {
            transaction.commit()?;
        } else {
            drop(transaction);
        }
        drop(inside);
        drop(db);
        self.checkpointer
            .committed(self.log_pages.load(Ordering::Relaxed));
        Ok(answer)
    }

    /// Runs `look` on one state of the store, without the gate.
    fn read<T>(
        &self,
        look: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let since = Instant::now();
        let db = self.lock(&self.reader, since, since + self.wait())?;
        self.meeting.check_database()?;
        let transaction = Transaction::read(&db)?;
        schema::check_unchanged(&db)?;
        let answer = look(&db)?;
        transaction.commit()?;
        Ok(answer)
    }

    fn look(&self, command: &Command) -> Result<Outcome, StoreError> {
        let clock = (self.options.clock)();
        self.read(|db| {
            let decision = lease::transact(command, clock, |query| rows::load(db, query))?;
            debug_assert!(decision.changes.is_empty(), "{command:?} is not read-only");
            Ok(decision.outcome)
        })
    }

    /// Looks without the gate, and takes it only for what was found.
    fn forget_aged(&self, aged: Aged, wall_ms: i64) -> Result<(), StoreError> {
        let mut after = Some(String::new());
        while let Some(key) = after {
            let found = self.read(|db| aged.look(db, &key, wall_ms))?;
            if !found.old.is_empty() {
                self.in_gate(|db| Ok((aged.remove(db, &found.old, wall_ms)?, true)))?;
            }
            after = found.last;
        }
        Ok(())
    }

    /// Lets tokens from `token` on be issued: first the floor, then the row.
    fn reserve(&self, token: Token) -> Result<(), StoreError> {
        let through = lease::floor::raised_for(token, lease::floor::BLOCK);
        self.floor.raise(through)?;
        self.write(&Command::Reserve(through)).map(drop)
    }

    fn lock<'a>(
        &self,
        connection: &'a Mutex<Connection>,
        since: Instant,
        deadline: Instant,
    ) -> Result<MutexGuard<'a, Connection>, StoreError> {
        let free = connection.try_lock_until(deadline);
        free.ok_or_else(|| StoreError::Busy {
            holder: self.gate_holder(),
            waited_ms: u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX),
        })
    }

    fn wait(&self) -> Duration {
        Duration::from_millis(self.options.gate_wait_ms)
    }

    /// Whether the path still names this store; if not, every transaction is
    /// refused as [`StoreError::Replaced`].
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        !matches!(self.meeting.check_all(), Err(StoreError::Replaced { .. }))
    }

    /// Who stands in the write gate, as far as can be told; for `doctor`.
    #[must_use]
    pub fn gate_holder(&self) -> Option<GateHolder> {
        self.gate.holder()
    }
}

impl Store for SqliteStore {
    fn transact(&self, command: &Command) -> Result<Outcome, StoreError> {
        let outcome = loop {
            let outcome = if command.is_read_only() {
                self.look(command)?
            } else {
                self.write(command)?
            };
            match outcome {
                Outcome::NeedReserve(token) => self.reserve(token)?,
                outcome => break outcome,
            }
        };
        if self.options.durability == Durability::Power {
            match outcome.sync_need(command) {
                SyncNeed::First => self.log.sync()?,
                SyncNeed::Soon => self.log.sync_soon(),
                SyncNeed::None => {}
            }
        }
        Ok(outcome)
    }

    fn meta(&self) -> Result<Meta, StoreError> {
        let meta = self.read(rows::meta)?;
        meta.ok_or_else(rows::no_meta)
    }

    fn history(&self, path: &str, limit: u32) -> Result<Vec<Version>, StoreError> {
        self.read(|db| rows::history(db, path, limit))
    }

    fn version(&self, path: &str, number: u64) -> Result<Option<Version>, StoreError> {
        self.read(|db| rows::version(db, path, number))
    }

    fn counters(&self) -> Result<Counters, StoreError> {
        self.read(rows::counters)
    }

    fn docgen_log(&self, limit: u32) -> Result<Vec<DocgenRecord>, StoreError> {
        self.read(|db| rows::docgen_log(db, limit))
    }

    fn forget_answers_before(&self, wall_ms: u64) -> Result<(), StoreError> {
        let wall_ms = i64::try_from(wall_ms).unwrap_or(i64::MAX);
        for aged in Aged::ALL {
            self.forget_aged(aged, wall_ms)?;
        }
        let hour = (self.options.clock)().wall_ms / HOUR_MS;
        self.in_gate(|db| {
            changes::fold_counters_before(db, hour.saturating_sub(HOURS_KEPT))?;
            Ok(((), true))
        })
    }
}

fn refuse_old_library() -> Result<(), StoreError> {
    if library_is_safe() {
        return Ok(());
    }
    Err(StoreError::TooOld {
        version: rusqlite::version().into(),
    })
}

/// The version of the SQLite library.
#[must_use]
pub fn library_version() -> &'static str {
    rusqlite::version()
}

/// Whether the SQLite library is free of known bugs in its write-ahead log.
#[must_use]
pub fn library_is_safe() -> bool {
    rusqlite::version_number() >= SQLITE_MIN
}

/// Opens the connection that writes, makes the tables if there are none, and
/// has the length of the log told after each commit.
fn open_writer(
    path: &Path,
    options: &OpenOptions,
    log_pages: Arc<AtomicU32>,
) -> Result<Connection, StoreError> {
    identity::refuse_foreign(path)?;
    let mut db = connection::open(path)?;
    identity::make_private(path)?;
    connection::configure(&db)?;
    schema::prepare(&db)?;
    if let Some(pages) = options.max_pages {
        db.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?;
    }
    db.wal_hook(Some(move |_: &mut _, pages| {
        log_pages.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
        Ok(())
    }))?;
    Ok(db)
}

fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let db = connection::open(path)?;
    connection::configure(&db)?;
    db.execute_batch("PRAGMA query_only = ON")?;
    Ok(db)
}

/// 128 random bits, as hexadecimal digits.
pub(super) fn random_name() -> Result<String, StoreError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| StoreError::Io {
        path: PathBuf::from("the random source of the system"),
        source: std::io::Error::other(error.to_string()),
    })?;
    Ok(maasl_core::id::hex(&bytes))
}
