//! What a caller's statements may do.
//!
//! Owns: the list of what is denied, by what SQLite says a statement would do
//! and not by reading its text. Promises: a caller cannot end the transaction it
//! runs in, reach another file, weaken the database, or touch the tables the
//! guard keeps in it. Leaves to others: MAASL's own statements, which run
//! outside these rules.

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

/// What the tables of the guard begin with.
pub(super) const RESERVED: &str = "maasl_";

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
const EXTENSION: Denial = Denial {
    message: "loads code into the server",
    hint: "leave load_extension out",
};

impl Rules {
    /// Judges one action of a statement that is being prepared.
    pub(super) fn judge(&mut self, asked: &AuthContext<'_>) -> Authorization {
        if !self.for_caller {
            return Authorization::Allow;
        }
        match denied(&asked.action) {
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

fn denied(action: &AuthAction<'_>) -> Option<Denial> {
    use AuthAction as A;
    match *action {
        A::Transaction { .. } | A::Savepoint { .. } => Some(TRANSACTION),
        A::Attach { .. } | A::Detach { .. } => Some(OTHER_FILE),
        A::Pragma { pragma_name, .. } => {
            let tells = TELLING
                .iter()
                .any(|one| pragma_name.eq_ignore_ascii_case(one));
            (!tells).then_some(PRAGMA)
        }
        A::Function { function_name } => function_name
            .eq_ignore_ascii_case("load_extension")
            .then_some(EXTENSION),
        A::CreateIndex { table_name, .. }
        | A::CreateTable { table_name }
        | A::CreateTempIndex { table_name, .. }
        | A::CreateTempTable { table_name }
        | A::CreateTempTrigger { table_name, .. }
        | A::CreateTrigger { table_name, .. }
        | A::Delete { table_name }
        | A::DropIndex { table_name, .. }
        | A::DropTable { table_name }
        | A::DropTempIndex { table_name, .. }
        | A::DropTempTable { table_name }
        | A::DropTempTrigger { table_name, .. }
        | A::DropTrigger { table_name, .. }
        | A::Insert { table_name }
        | A::Update { table_name, .. }
        | A::AlterTable { table_name, .. }
        | A::CreateVtable { table_name, .. }
        | A::DropVtable { table_name, .. } => is_reserved(table_name).then_some(OURS),
        A::CreateView { view_name }
        | A::CreateTempView { view_name }
        | A::DropView { view_name }
        | A::DropTempView { view_name } => is_reserved(view_name).then_some(OURS),
        // Reading harms nobody; unknown actions are those of a later SQLite,
        // and the version is fixed with the program.
        _ => None,
    }
}

fn is_reserved(name: &str) -> bool {
    let start = name.as_bytes().get(..RESERVED.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(RESERVED.as_bytes()))
}
