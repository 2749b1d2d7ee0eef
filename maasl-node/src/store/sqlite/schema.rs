//! The layout of the rows in `maasl.db`.
//!
//! Owns: its tables and their version. Promises: a layout newer than this
//! program is refused, never guessed at, also where it became newer under a
//! running process. Leaves to others: what the rows mean.
//!
//! A row is a few columns to find it by and a JSON body. Overlap look-ups go
//! through `lease_key` and `ticket_key`: one row per key of a set. A look-up by
//! key costs the same whatever else is held; the partial indexes tell at once
//! that no subtree is held at all, so that ancestors need not be tried.
//!
//! What a commit costs is the pages it writes, so a grant touches three: a lease
//! is found by its id alone (its token has no index), the row about the store
//! lies among the counters, and open intents, of which there are few, are
//! searched one by one.

use rusqlite::Connection;

use crate::store::StoreError;

/// The newest layout this program knows.
pub(super) const SCHEMA: u32 = 4;

/// `MASL`: tells our files from those of other programs.
pub(super) const APPLICATION_ID: u32 = 0x4d41_534c;

const TABLES: &str = "
CREATE TABLE session (id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE lease (
    id TEXT PRIMARY KEY,
    token INTEGER NOT NULL,
    session TEXT,
    agent TEXT,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
-- Owners are recorded for reservations alone; the leases of calls stay out.
CREATE INDEX lease_owner ON lease (session, agent) WHERE session IS NOT NULL;
CREATE TABLE lease_key (
    key TEXT NOT NULL,
    row TEXT NOT NULL,
    subtree INTEGER NOT NULL,
    PRIMARY KEY (key, row)
) STRICT, WITHOUT ROWID;
CREATE INDEX lease_subtree ON lease_key (key) WHERE subtree = 1;
CREATE TABLE ended (
    id TEXT PRIMARY KEY,
    wall_ms INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE ticket (
    no INTEGER PRIMARY KEY,
    session TEXT NOT NULL,
    agent TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX ticket_owner ON ticket (session, agent);
CREATE TABLE ticket_key (
    key TEXT NOT NULL,
    row INTEGER NOT NULL,
    subtree INTEGER NOT NULL,
    PRIMARY KEY (key, row)
) STRICT, WITHOUT ROWID;
CREATE INDEX ticket_subtree ON ticket_key (key) WHERE subtree = 1;
CREATE TABLE intent (
    op TEXT PRIMARY KEY,
    token INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE version (
    path TEXT NOT NULL,
    number INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (path, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE answered (
    key TEXT PRIMARY KEY,
    wall_ms INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE counter (
    name TEXT NOT NULL,
    class TEXT NOT NULL,
    value ANY NOT NULL,
    PRIMARY KEY (name, class)
) STRICT, WITHOUT ROWID;
";

/// What each layout has added to the one before, from the second on. What stands
/// here is in stores already and is never changed.
const UPGRADES: [&str; 3] = [
    // The log of operations on documents.
    "CREATE TABLE docgen (no INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;",
    // Graphs: what is known about each, its patches by their places, and what
    // stands for those that are gone.
    "CREATE TABLE graph (name TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
     CREATE TABLE graph_patch (
         no INTEGER PRIMARY KEY,
         graph TEXT NOT NULL,
         place INTEGER NOT NULL,
         size INTEGER NOT NULL,
         patch BLOB NOT NULL,
         bytes BLOB NOT NULL
     ) STRICT;
     CREATE UNIQUE INDEX graph_patch_place ON graph_patch (graph, place);
     CREATE TABLE graph_checkpoint (
         no INTEGER PRIMARY KEY,
         graph TEXT NOT NULL UNIQUE,
         bytes BLOB NOT NULL
     ) STRICT;",
    // Counters by hour and agent, the newest first; the row about the store
    // stands before them, so that a commit finds both on one page.
    "ALTER TABLE counter RENAME TO counter_of_layout_3;
     CREATE TABLE counter (
         hour INTEGER NOT NULL,
         name TEXT NOT NULL,
         class TEXT NOT NULL,
         agent TEXT NOT NULL,
         value ANY NOT NULL,
         PRIMARY KEY (hour DESC, name, class, agent)
     ) STRICT, WITHOUT ROWID;
     INSERT INTO counter
         SELECT iif(name = 'meta', 9223372036854775807, 0),
             iif(name = 'meta', '', name), class, '', value
         FROM counter_of_layout_3;
     DROP TABLE counter_of_layout_3;",
];

/// Where the row about the store itself stands among the counters: a JSON text,
/// without a name.
pub(super) const META_HOUR: i64 = i64::MAX;

/// Makes the tables of a new file, or checks those of an old one and adds what
/// it lacks. The caller stands in the gate.
pub(super) fn prepare(db: &Connection) -> Result<(), StoreError> {
    let tables: u32 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let (application, found) = known(db)?;
    if (application, found) == (0, 0) && tables == 0 {
        db.execute_batch(&format!(
            "BEGIN IMMEDIATE; {TABLES} {}
             PRAGMA application_id = {APPLICATION_ID};
             PRAGMA user_version = {SCHEMA};
             COMMIT;",
            UPGRADES.concat()
        ))?;
        return Ok(());
    }
    upgrade(db, check(db)?)
}

/// Adds what later layouts have to a file of the layout `found`, which is known.
fn upgrade(db: &Connection, found: u32) -> Result<(), StoreError> {
    let has = usize::try_from(found.saturating_sub(1)).unwrap_or(usize::MAX);
    let lacking = UPGRADES.get(has..).unwrap_or_default().concat();
    if lacking.is_empty() {
        return Ok(());
    }
    db.execute_batch(&format!(
        "BEGIN IMMEDIATE; {lacking} PRAGMA user_version = {SCHEMA}; COMMIT;"
    ))?;
    Ok(())
}

/// Whether it has an earlier layout than the one this program reads; refuses
/// what is no store, or a newer one: for those who only look.
pub(super) fn is_older(db: &Connection) -> Result<bool, StoreError> {
    Ok(check(db)? < SCHEMA)
}

/// Adds what later layouts have to a copy that nobody else can see.
pub(super) fn upgrade_copy(db: &Connection) -> Result<(), StoreError> {
    upgrade(db, check(db)?)
}

/// Refuses a store that got another layout since it was opened. To be asked
/// first in every transaction: another program may have upgraded the store, and
/// a statement of this one could then do something else than it says, or fail
/// half-way. The number is in the header of the database, so asking costs a
/// microsecond, and a transaction sees one state of it.
pub(super) fn check_unchanged(db: &Connection) -> Result<(), StoreError> {
    let known = SCHEMA;
    let mut ask = db.prepare_cached("PRAGMA user_version")?;
    match ask.query_row([], |row| row.get(0))? {
        found if found > known => Err(StoreError::SchemaNewer { found, known }),
        found if found < known => Err(StoreError::SchemaOlder { found, known }),
        _ => Ok(()),
    }
}

/// Refuses what is no store, or a newer one; tells which layout it has.
pub(super) fn check(db: &Connection) -> Result<u32, StoreError> {
    let (application, found) = known(db)?;
    if application != APPLICATION_ID {
        return Err(StoreError::Corrupt {
            what: "the file is a database of another program".into(),
        });
    }
    if found > SCHEMA {
        return Err(StoreError::SchemaNewer {
            found,
            known: SCHEMA,
        });
    }
    Ok(found)
}

/// Whose file it is, and which schema it has.
fn known(db: &Connection) -> Result<(u32, u32), StoreError> {
    let ask = |name| db.pragma_query_value(None, name, |row| row.get::<_, u32>(0));
    Ok((ask("application_id")?, ask("user_version")?))
}
