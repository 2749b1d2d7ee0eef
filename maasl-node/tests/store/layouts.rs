//! SQLite: stores of another layout, also one that changes under a running
//! process.

use maasl_core::lease::{Command, Outcome};
use maasl_node::store::sqlite::View;
use maasl_node::store::{Store, StoreError};

use super::bench::{ask, granted};
use super::files::{Place, edit, layout, pair};

/// What a newer program might do to the tables when it brings a store up to date.
const UPGRADES: [&str; 3] = [
    // Statements of this program would still run, and mean something else.
    "",
    // They would fail half-way.
    "ALTER TABLE lease_key RENAME TO held;",
    // They would write where nobody looks any more.
    "ALTER TABLE lease RENAME TO lease_of_layout_4;
     CREATE TABLE lease (id TEXT PRIMARY KEY, token INTEGER, session TEXT, agent TEXT,
         body TEXT, more TEXT);",
];

fn is_newer<T>(answer: Result<T, StoreError>) -> bool {
    matches!(
        answer,
        Err(StoreError::SchemaNewer {
            found: 99,
            known: 4
        })
    )
}

fn rows(place: &Place) -> u64 {
    let db = rusqlite::Connection::open(place.file("maasl.db")).unwrap();
    let tables: Vec<String> = db
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let count = |table: &String| -> u64 {
        let sql = format!("SELECT count(*) FROM {table}");
        db.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    tables.iter().map(count).sum()
}

#[test]
fn a_store_upgraded_under_a_running_process_is_refused_and_not_written() {
    for upgrade in UPGRADES {
        let place = Place::new();
        let store = place.open();
        let lease = granted(store.transact(&Command::Acquire(ask("a", "x"))).unwrap());
        let view = View::open(&place.file("")).unwrap().unwrap();
        edit(
            &place,
            &format!("BEGIN IMMEDIATE; {upgrade} PRAGMA user_version = 99; COMMIT;"),
        );
        let before = rows(&place);
        for command in [
            Command::Acquire(ask("b", "y")),
            Command::Renew(lease.id.clone()),
            Command::Verify(lease.id.clone()),
            Command::Snapshot,
        ] {
            assert!(is_newer(store.transact(&command)), "{command:?}, {upgrade}");
        }
        assert!(is_newer(store.meta()) && is_newer(store.history("f", 1)));
        assert!(is_newer(store.counters()) && is_newer(store.docgen_log(1)));
        assert!(is_newer(store.forget_answers_before(u64::MAX)));
        assert!(is_newer(view.snapshot().map(drop)) && is_newer(view.counters()));
        assert_eq!(rows(&place), before, "nothing was written: {upgrade}");
    }
}

#[test]
fn an_older_copy_put_into_a_running_store_is_refused() {
    let place = Place::new();
    let store = place.open();
    edit(&place, "PRAGMA user_version = 3");
    let refused = store.transact(&Command::Acquire(ask("a", "x")));
    assert!(
        matches!(refused, Err(StoreError::SchemaOlder { found: 3, known: 4 })),
        "{refused:?}"
    );
}

#[test]
fn who_looks_at_an_older_store_leaves_it_as_it_is() {
    let place = Place::new();
    let newest = pair(&place.open()).token;
    edit(&place, "DROP TABLE docgen; PRAGMA user_version = 1");
    // The rest of the later layouts is there already, so an upgrade would fail:
    // whoever looked and upgraded the store itself would be noticed.
    let looked = View::open(&place.file(""));
    assert!(looked.is_err(), "the copy cannot be brought up to date");
    assert_eq!(layout(&place), 1);
    edit(
        &place,
        "CREATE TABLE docgen (no INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;
         PRAGMA user_version = 4",
    );
    let store = place.open();
    let lease = granted(store.transact(&Command::Acquire(ask("a", "x"))).unwrap());
    assert!(lease.token > newest);
    let held = store.transact(&Command::Verify(lease.id)).unwrap();
    assert!(matches!(held, Outcome::Held { .. }));
}
