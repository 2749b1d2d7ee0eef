//! Running a caller's statements.
//!
//! Owns: from text and parameters to changed rows, and saying what is wrong with
//! a statement. Promises: exactly one statement is run for each text. Leaves to
//! others: what is allowed (`rules`) and the transaction around it.

use maasl_core::database::{BadStatement, Parameters, Statement, Value, Written};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{ErrorCode, ToSql};

use super::DatabaseError;
use super::connection::Guarded;

/// In front of a caller's statement, so that it never meets one of the guard's own
/// in the cache: those were prepared without rules.
const MARK: &str = "/* caller */ ";

/// Runs all statements; the first that fails ends it.
pub(super) fn run_all(
    connection: &Guarded,
    statements: &[Statement],
) -> Result<Written, WorkFault> {
    let mut written = Written::default();
    for (index, statement) in statements.iter().enumerate() {
        if statement.sql.contains('\0') {
            return Err(WorkFault::Bad(nul(index)));
        }
        // What was denied before, and failed nothing, is no reason why this one fails.
        connection.denial();
        run(connection, statement, &mut written)
            .map_err(|error| fault(connection, Some(index), error))?;
    }
    Ok(written)
}

/// SQLite reads a statement up to this character and would leave out what follows.
fn nul(index: usize) -> BadStatement {
    BadStatement {
        index: Some(index),
        message: "has a NUL character in it, which ends a statement".to_owned(),
        hint: Some("pass text that holds one as a parameter".to_owned()),
    }
}

/// Why work was not done.
#[derive(Debug)]
pub enum WorkFault {
    /// What the caller asked for cannot be done.
    Bad(BadStatement),
    /// The machine underneath failed.
    System(DatabaseError),
}

/// Whose fault it is that work failed: what was denied, or else what SQLite says.
pub(super) fn fault(
    connection: &Guarded,
    index: Option<usize>,
    error: rusqlite::Error,
) -> WorkFault {
    if is_of_the_machine(&error) {
        return WorkFault::System(error.into());
    }
    let (message, hint) = match connection.denial() {
        Some(denial) => (denial.message.to_owned(), Some(denial.hint.to_owned())),
        None => explain(&error),
    };
    WorkFault::Bad(BadStatement {
        index,
        message,
        hint,
    })
}

fn is_of_the_machine(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::OutOfMemory
                | ErrorCode::CannotOpen
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::ReadOnly
                | ErrorCode::NoLargeFileSupport
        )
    )
}

/// Why a statement failed, in words, and what to do about it.
fn explain(error: &rusqlite::Error) -> (String, Option<String>) {
    let hint = match error {
        rusqlite::Error::MultipleStatement => "put each statement in an entry of its own",
        rusqlite::Error::InvalidParameterCount(..) => "give as many values as it has parameters",
        rusqlite::Error::InvalidParameterName(_) => "name the parameters as the statement does",
        other => match other.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => {
                "it ran for too long: do less in one call, or raise limits.statement_ms"
            }
            Some(ErrorCode::ConstraintViolation) => "nothing was changed",
            _ => return (error.to_string(), None),
        },
    };
    (error.to_string(), Some(hint.to_owned()))
}

fn run(connection: &Guarded, statement: &Statement, written: &mut Written) -> rusqlite::Result<()> {
    let db = &connection.db;
    let mut prepared = db.prepare_cached(&format!("{MARK}{}", statement.sql))?;
    bind(&mut prepared, &statement.parameters)?;
    let before = db.total_changes();
    let rowid_before = db.last_insert_rowid();
    connection.insertion.lock().await_row(rowid_before);
    let mut rows = prepared.raw_query();
    while rows.next()?.is_some() {}
    drop(rows);
    if db.total_changes() > before {
        written.rows_affected += db.changes();
    }
    let rowid = db.last_insert_rowid();
    // Of a statement that inserted nothing SQLite tells the id of an earlier one.
    let has_inserted = rowid != rowid_before || connection.insertion.lock().has_come();
    if inserts(&statement.sql) && has_inserted {
        written.last_insert_rowid = Some(rowid);
    }
    Ok(())
}

fn bind(prepared: &mut rusqlite::Statement<'_>, parameters: &Parameters) -> rusqlite::Result<()> {
    let wanted = prepared.parameter_count();
    match parameters {
        Parameters::Positional(values) => {
            if values.len() != wanted {
                return Err(rusqlite::Error::InvalidParameterCount(values.len(), wanted));
            }
            for (index, value) in values.iter().enumerate() {
                prepared.raw_bind_parameter(index + 1, Bound(value))?;
            }
        }
        Parameters::Named(values) => {
            if values.len() != wanted {
                return Err(rusqlite::Error::InvalidParameterCount(values.len(), wanted));
            }
            for (name, value) in values {
                let index = index_of(prepared, name)?;
                prepared.raw_bind_parameter(index, Bound(value))?;
            }
        }
    }
    Ok(())
}

/// The place of a parameter, whichever of SQLite's three marks it has.
fn index_of(prepared: &rusqlite::Statement<'_>, name: &str) -> rusqlite::Result<usize> {
    for mark in [":", "@", "$"] {
        if let Some(index) = prepared.parameter_index(&format!("{mark}{name}"))? {
            return Ok(index);
        }
    }
    Err(rusqlite::Error::InvalidParameterName(name.to_owned()))
}

/// Whether it is an insertion, of which the row id is told.
fn inserts(sql: &str) -> bool {
    let mut words = sql.split_ascii_whitespace();
    let first = words.next().unwrap_or_default();
    first.eq_ignore_ascii_case("insert") || first.eq_ignore_ascii_case("replace")
}

/// A parameter as SQLite takes it.
struct Bound<'a>(&'a Value);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null => ValueRef::Null,
            Value::Integer(number) => ValueRef::Integer(*number),
            Value::Real(number) => ValueRef::Real(number.get()),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}
