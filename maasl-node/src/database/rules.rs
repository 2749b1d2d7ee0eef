//! What a caller's statements may do.
//!
//! Owns: the list of what is denied, by what SQLite says a statement would do
//! and not by reading its text. Promises: a caller cannot end the transaction it
//! runs in, reach another file, weaken the database, bring code of its own, leave
//! something in the connection, or touch the tables the guard keeps in the
//! database; MAASL's own statements run nothing but what is MAASL's. Leaves to
//! others: names that a statement leads to without SQLite saying so (`names`).

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

use super::spans;

/// What the tables of the guard begin with.
pub(super) const RESERVED: &str = "maasl_";

/// The database of what is temporary, as SQLite names it.
const TEMP: &str = "temp";

/// Functions that let a caller have the server run other code than SQLite's. The others
/// of the bundled build stay within their arguments: `fts5` takes a pointer too, but one
/// with a type, which no value of a caller's has; what reads and writes files is part
/// of SQLite's own shell; pragmas as tables are judged as pragmas.
const CODE: [&str; 2] = [
    "load_extension",
    // Takes an address from whoever binds it as a parameter, and tells one, also where
    // SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER is off.
    "fts3_tokenizer",
];

/// Pragmas that only tell something of the schema.
const TELLING: [&str; 12] = [
    "collation_list",
    "compile_options",
    "foreign_key_check",
    "foreign_key_list",
    "function_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "table_info",
    "table_list",
    "table_xinfo",
    // SQLite asks for this one itself while it works on full-text tables.
    "data_version",
];

/// Which statements are judged, and what was denied.
#[derive(Debug, Default)]
pub(super) struct Rules {
    /// Whether what is prepared now comes from a caller.
    pub(super) for_caller: bool,
    denial: Option<Denial>,
}

/// Why a statement is not allowed, and what to do instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Denial {
    pub(super) message: &'static str,
    pub(super) hint: &'static str,
}

const TRANSACTION: Denial = Denial {
    message: "controls the transaction, which is MAASL's",
    hint: "leave BEGIN, COMMIT, ROLLBACK and SAVEPOINT out: all statements of one call are one \
           transaction",
};
const OTHER_FILE: Denial = Denial {
    message: "reaches another database file",
    hint: "name the other database as [maasl.db.NAME] and write it in a call of its own",
};
const PRAGMA: Denial = Denial {
    message: "sets what the database's safety depends on, or tells what is not needed here",
    hint: "pragmas that only describe tables are allowed",
};
const OURS: Denial = Denial {
    message: "touches tables that are MAASL's own",
    hint: "names that begin with maasl_ are reserved",
};
const TEMPORARY: Denial = Denial {
    message: "makes or drops something temporary, which would stay in the server's connection and \
              hide tables of the same name from later calls",
    hint: "use a common table expression (WITH …), or a table of your own that you drop when you \
           are done",
};
const NOT_OURS: Denial = Denial {
    message: "a trigger or view that is not MAASL's stands on MAASL's own tables",
    hint: "drop it from the database, outside MAASL",
};
const FOREIGN_CODE: Denial = Denial {
    message: "has the server run code that is not its own",
    hint: "leave load_extension and fts3_tokenizer out; a full-text table names its tokenizer \
           itself, as in fts5(a, tokenize = 'porter')",
};

impl Rules {
    /// Judges one action of a statement that is being prepared.
    pub(super) fn judge(&mut self, asked: &AuthContext<'_>) -> Authorization {
        let denied = if self.for_caller {
            denied(asked)
        } else {
            foreign(asked.accessor)
        };
        match denied {
            None => Authorization::Allow,
            Some(denial) => {
                self.denial.get_or_insert(denial);
                Authorization::Deny
            }
        }
    }

    /// What was denied since this was last asked.
    pub(super) fn take_denial(&mut self) -> Option<Denial> {
        self.denial.take()
    }
}

/// What MAASL's own statements set off must be MAASL's too: it runs without the rules
/// for callers.
fn foreign(accessor: Option<&str>) -> Option<Denial> {
    let is_ours = accessor.is_none_or(|name| spans::TRIGGERS.contains(&name));
    (!is_ours).then_some(NOT_OURS)
}

fn denied(asked: &AuthContext<'_>) -> Option<Denial> {
    use AuthAction as A;
    match asked.action {
        A::Transaction { .. } | A::Savepoint { .. } => Some(TRANSACTION),
        A::Attach { .. } | A::Detach { .. } => Some(OTHER_FILE),
        A::Pragma { pragma_name, .. } => {
            let tells = TELLING
                .iter()
                .any(|one| pragma_name.eq_ignore_ascii_case(one));
            (!tells).then_some(PRAGMA)
        }
        A::Function { function_name } => {
            let runs_code = CODE
                .iter()
                .any(|one| function_name.eq_ignore_ascii_case(one));
            runs_code.then_some(FOREIGN_CODE)
        }
        A::CreateTempIndex { .. }
        | A::CreateTempTable { .. }
        | A::CreateTempTrigger { .. }
        | A::CreateTempView { .. }
        | A::DropTempIndex { .. }
        | A::DropTempTable { .. }
        | A::DropTempTrigger { .. }
        | A::DropTempView { .. } => Some(TEMPORARY),
        // `CREATE TABLE temp.t` is told as a table like any other, in this database.
        A::CreateIndex { .. }
        | A::CreateTable { .. }
        | A::CreateTrigger { .. }
        | A::CreateView { .. }
        | A::CreateVtable { .. }
        | A::DropIndex { .. }
        | A::DropTable { .. }
        | A::DropTrigger { .. }
        | A::DropView { .. }
        | A::DropVtable { .. }
            if asked.database_name == Some(TEMP) =>
        {
            Some(TEMPORARY)
        }
        action => touches_reserved(&action).then_some(OURS),
    }
}

/// Whether it changes something that bears a name of the guard's.
fn touches_reserved(action: &AuthAction<'_>) -> bool {
    use AuthAction as A;
    match *action {
        A::CreateIndex {
            index_name: name,
            table_name,
        }
        | A::DropIndex {
            index_name: name,
            table_name,
        }
        | A::CreateTrigger {
            trigger_name: name,
            table_name,
        }
        | A::DropTrigger {
            trigger_name: name,
            table_name,
        } => is_reserved(name) || is_reserved(table_name),
        A::CreateTable { table_name: name }
        | A::Delete { table_name: name }
        | A::DropTable { table_name: name }
        | A::Insert { table_name: name }
        | A::Update {
            table_name: name, ..
        }
        | A::AlterTable {
            table_name: name, ..
        }
        | A::CreateVtable {
            table_name: name, ..
        }
        | A::DropVtable {
            table_name: name, ..
        }
        | A::CreateView { view_name: name }
        | A::DropView { view_name: name } => is_reserved(name),
        // Reading harms nobody; unknown actions are those of a later SQLite,
        // and the version is fixed with the program.
        _ => false,
    }
}

fn is_reserved(name: &str) -> bool {
    let start = name.as_bytes().get(..RESERVED.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(RESERVED.as_bytes()))
}
