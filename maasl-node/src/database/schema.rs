//! The tables that the guard keeps in each database it writes.
//!
//! Owns: the fence, the answers under idempotency keys, of which commit a
//! transaction was a part, and their SQL. Promises:
//! they change in the same transaction as what they speak of, and are made in
//! the first one; tables of the same names that are something else are an error
//! and stay as they are. Leaves to others: what a fence or an answer means (the
//! core).

use maasl_core::database::Seal;
use maasl_core::id::{OpId, Token};
use maasl_core::lease::Answered;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, params};

use super::DatabaseError;
use super::names::Names;

/// The tables, made together with the first write.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS maasl_fence (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        token INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS maasl_answer (
        key TEXT PRIMARY KEY,
        answer TEXT NOT NULL,
        wall_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS maasl_answer_age ON maasl_answer (wall_ms);";

/// Made with the first transaction that is a part of something.
const PART_TABLE: &str = "
    CREATE TABLE IF NOT EXISTS maasl_part (
        op TEXT PRIMARY KEY,
        wall_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS maasl_part_age ON maasl_part (wall_ms);";

/// The newest token under which anything was committed.
pub(super) fn fence(db: &Connection) -> Result<Token, DatabaseError> {
    let read = db
        .prepare_cached("SELECT token FROM maasl_fence WHERE id = 1")
        .and_then(|mut read| read.query_row([], |row| row.get::<_, u64>(0)).optional());
    match read {
        Ok(None) => Ok(Token::default()),
        Ok(Some(number)) => Ok(Token::from_number(number)),
        Err(error) => Err(DatabaseError::Unusable(format!(
            "its table maasl_fence is not the guard's ({error})"
        ))),
    }
}

/// What was answered under this key.
pub(super) fn answered(db: &Connection, key: &str) -> Result<Option<Answered>, DatabaseError> {
    let mut read = db.prepare_cached("SELECT answer FROM maasl_answer WHERE key = ?1")?;
    let answer: Option<String> = read.query_row([key], |row| row.get(0)).optional()?;
    let answered = answer.map(|text| {
        serde_json::from_str(&text).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error))
        })
    });
    Ok(answered.transpose()?)
}

/// Makes the tables, which become visible with the first write.
pub(super) fn make_tables(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch(TABLES)
}

/// Raises the fence and remembers the answer.
pub(super) fn seal(db: &Connection, seal: &Seal) -> Result<(), DatabaseError> {
    db.prepare_cached(
        "INSERT INTO maasl_fence (id, token) VALUES (1, ?1)
         ON CONFLICT (id) DO UPDATE SET token = max(token, excluded.token)",
    )?
    .execute([seal.token.number()])?;
    if let Some(op) = &seal.part_of {
        put_part(db, op, seal)?;
    }
    let Some(answered) = &seal.answered else {
        return Ok(());
    };
    let answer = serde_json::to_string(answered).expect("plain data with text keys");
    db.prepare_cached("DELETE FROM maasl_answer WHERE wall_ms < ?1")?
        .execute([seal.forget_before_wall_ms])?;
    db.prepare_cached("INSERT INTO maasl_answer (key, answer, wall_ms) VALUES (?1, ?2, ?3)")?
        .execute(params![answered.request.key, answer, answered.wall_ms])?;
    Ok(())
}

fn put_part(db: &Connection, op: &OpId, seal: &Seal) -> rusqlite::Result<()> {
    db.execute_batch(PART_TABLE)?;
    db.prepare_cached("DELETE FROM maasl_part WHERE wall_ms < ?1")?
        .execute([seal.forget_before_wall_ms])?;
    db.prepare_cached("INSERT INTO maasl_part (op, wall_ms) VALUES (?1, ?2)")?
        .execute(params![op.as_str(), seal.wall_ms])?;
    Ok(())
}

/// Whether the part of this commit is there.
pub(super) fn has_part(db: &Connection, op: &OpId) -> rusqlite::Result<bool> {
    if !db.table_exists(None, "maasl_part")? {
        return Ok(false);
    }
    let mut look = db.prepare("SELECT 1 FROM maasl_part WHERE op = ?1")?;
    look.exists([op.as_str()])
}

/// Writes something that changes nothing.
pub(super) fn touch(db: &Connection) -> rusqlite::Result<()> {
    if !has_tables(&Names::read(db)?) {
        make_tables(db)?;
    }
    // A row that is given the value it has is not written.
    db.execute_batch(
        "INSERT INTO maasl_answer (key, answer, wall_ms) VALUES ('', '', 0);
         DELETE FROM maasl_answer WHERE key = '';",
    )?;
    Ok(())
}

/// Whether the tables are there.
pub(super) fn has_tables(names: &Names) -> bool {
    names.has("maasl_answer")
}
