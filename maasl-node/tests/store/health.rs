//! SQLite: a store is looked at after an end that was not a good one, and only
//! then.
//!
//! Damage is planted where opening alone does not come across it, so that a store
//! which opens was not looked at, and one that is refused was.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use maasl_core::id::SessionId;
use maasl_core::lease::{Command, Session};
use maasl_node::store::sqlite::View;
use maasl_node::store::{OpenOptions, Store as _, StoreError};

use super::bench::{open, try_open};
use super::files::{Place, edit, pair};

const PAGE_BYTES: u64 = 2048;

/// Options of a process that is found dead by all others, or of one that is not.
fn of_session(place: &Place, dead: bool) -> OpenOptions {
    OpenOptions {
        session: Some(Session {
            id: SessionId::new("s"),
            pid: 1,
            role: "test".into(),
            started_wall_ms: 0,
        }),
        is_dead: Some(Arc::new(move |_| dead)),
        ..place.options()
    }
}

/// A store with many versions of a file, in one database file.
fn filled(place: &Place, good_end: bool) {
    let store = open(place.root.path(), of_session(place, true));
    pair(&store);
    if good_end {
        let id = SessionId::new("s");
        store.transact(&Command::CloseSession(id)).unwrap();
    }
    drop(store);
    edit(
        place,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
         INSERT INTO version SELECT 'f', i, '{}' || hex(randomblob(40)) FROM n;
         PRAGMA wal_checkpoint(TRUNCATE);",
    );
}

/// Writes over a page in the middle of the history, which opening does not read.
fn damage(place: &Place) {
    let db = rusqlite::Connection::open(place.file("maasl.db")).unwrap();
    let root: u64 = db
        .query_row(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'version'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    drop(db);
    let file = fs::OpenOptions::new()
        .write(true)
        .open(place.file("maasl.db"))
        .unwrap();
    file.write_all_at(&[0xa5; 512], (root - 1) * PAGE_BYTES + 8)
        .unwrap();
}

fn refused(place: &Place, options: OpenOptions) -> String {
    match try_open(place.root.path(), options) {
        Ok(_) => panic!("a damaged store was not looked at"),
        Err(error @ StoreError::Corrupt { .. }) => error.to_string(),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn a_damaged_store_is_refused_after_the_death_of_a_process() {
    let place = Place::new();
    filled(&place, false);
    damage(&place);
    let before = fs::read(place.file("maasl.db")).unwrap();
    let said = refused(&place, of_session(&place, true));
    assert!(said.contains("maasl doctor --repair"), "{said}");
    assert_eq!(fs::read(place.file("maasl.db")).unwrap(), before);
    drop(open(place.root.path(), of_session(&place, false)));
}

#[test]
fn a_store_that_was_closed_well_is_not_looked_at() {
    let place = Place::new();
    filled(&place, true);
    damage(&place);
    drop(open(place.root.path(), of_session(&place, true)));
}

#[test]
fn a_sound_store_opens_after_a_death() {
    let place = Place::new();
    filled(&place, false);
    drop(open(place.root.path(), of_session(&place, true)));
}

#[test]
fn a_log_left_by_another_boot_is_reason_to_look() {
    for with_log in [true, false] {
        let place = Place::new();
        filled(&place, true);
        damage(&place);
        // A connection that stays open leaves the log where it is.
        let keeper = rusqlite::Connection::open(place.file("maasl.db")).unwrap();
        if with_log {
            keeper.execute_batch("DELETE FROM answered").unwrap();
            keeper
                .execute_batch("INSERT INTO answered VALUES ('k', 1, '{}')")
                .unwrap();
        }
        let logged = fs::metadata(place.file("maasl.db-wal")).map_or(0, |meta| meta.len());
        assert_eq!(logged > 0, with_log);
        let next_boot = OpenOptions {
            boot: "the next boot".into(),
            ..place.options()
        };
        if with_log {
            refused(&place, next_boot);
        } else {
            drop(open(place.root.path(), next_boot));
        }
    }
}

#[test]
fn who_looks_at_a_store_that_is_being_made_sees_none() {
    let place = Place::new();
    filled(&place, false);
    let look = || View::open(&place.file("")).map(|view| view.is_some());
    assert!(look().unwrap());
    edit(
        &place,
        "DELETE FROM counter WHERE hour = 9223372036854775807",
    );
    assert!(matches!(look(), Err(StoreError::Corrupt { .. })));
    edit(&place, "DELETE FROM session");
    assert!(!look().unwrap());
}

#[test]
fn a_log_that_is_none_is_refused_and_kept() {
    let place = Place::new();
    filled(&place, true);
    let log = place.file("maasl.db-wal");
    for (content, is_fine) in [
        (b"not a log, but long enough for one".to_vec(), false),
        (vec![0; 4096], true),
        (b"short".to_vec(), true),
    ] {
        fs::write(&log, &content).unwrap();
        if is_fine {
            drop(open(place.root.path(), place.options()));
        } else {
            refused(&place, place.options());
            // Nor do those who only look take it for an empty one and remove it.
            let looked = View::open(&place.file("")).map(|_| ());
            assert!(
                matches!(looked, Err(StoreError::Corrupt { .. })),
                "{looked:?}"
            );
            assert_eq!(fs::read(&log).unwrap(), content);
        }
    }
}
