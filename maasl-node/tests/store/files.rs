//! SQLite: what happens to the files of a store, within one process.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use maasl_core::id::{AgentId, LeaseId, Token};
use maasl_core::lease::command::Acquire;
use maasl_core::lease::counter::{HOUR_MS, HOURS_KEPT};
use maasl_core::lease::{Command, CommitIntent, Count, Counter, Lease, Outcome};
use maasl_node::store::sqlite::View;
use maasl_node::store::{OpenOptions, SqliteStore, Store, StoreError};
use tempfile::TempDir;

use super::bench::{Time, ask, finish, granted, intent, open, options, release, try_open};

/// A place for a store, whose files may be harmed.
pub(crate) struct Place {
    pub(crate) root: TempDir,
    time: Time,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
            time: Time::new(),
        }
    }

    pub(crate) fn options(&self) -> OpenOptions {
        OpenOptions {
            clock: self.time.clock(),
            ..options()
        }
    }

    pub(crate) fn open(&self) -> SqliteStore {
        open(self.root.path(), self.options())
    }

    fn refusal(&self) -> StoreError {
        match try_open(self.root.path(), self.options()) {
            Ok(_) => panic!("it opened"),
            Err(error) => error,
        }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.root.path().join(".maasl").join(name)
    }

    /// The token of a grant that is returned at once.
    fn token(&self) -> Token {
        pair(&self.open()).token
    }
}

fn take(store: &SqliteStore, ask: Acquire) -> Lease {
    granted(store.transact(&Command::Acquire(ask)).unwrap())
}

pub(crate) fn pair(store: &SqliteStore) -> Lease {
    let lease = take(store, ask("a", "x"));
    let latched = lease.keys().cloned().collect();
    store.transact(&release(&lease, latched)).unwrap();
    lease
}

#[test]
fn two_stores_on_one_directory_are_one() {
    let place = Place::new();
    let (one, two) = (place.open(), place.open());
    let lease = take(&one, ask("a", "x"));
    let refused = two.transact(&Command::Acquire(ask("b", "x"))).unwrap();
    assert!(matches!(refused, Outcome::Busy { .. }));
    let latched = lease.keys().cloned().collect();
    two.transact(&release(&lease, latched)).unwrap();
    assert!(take(&two, ask("b", "x")).token > lease.token);
    assert_eq!(one.meta().unwrap(), two.meta().unwrap());
}

#[test]
fn what_is_kept_survives_closing() {
    let place = Place::new();
    let lease = take(&place.open(), ask("a", "x"));
    let held = place.open().transact(&Command::Verify(lease.id)).unwrap();
    assert!(matches!(held, Outcome::Held { .. }));
}

#[test]
fn a_restored_copy_goes_on_above_all_that_was_issued() {
    let place = Place::new();
    place.token();
    let copy = fs::read(place.file("maasl.db")).unwrap();
    let newest = (0..20).map(|_| place.token()).max().unwrap();
    fs::write(place.file("maasl.db"), copy).unwrap();
    assert!(place.token() > newest);
}

#[test]
fn a_copy_from_before_the_first_grant_goes_on_above_as_well() {
    let place = Place::new();
    drop(place.open());
    let copy = fs::read(place.file("maasl.db")).unwrap();
    let newest = place.token();
    fs::write(place.file("maasl.db"), copy).unwrap();
    assert!(place.token() > newest);
}

#[test]
fn a_deleted_database_goes_on_above_the_floor() {
    let place = Place::new();
    let newest = place.token();
    fs::remove_file(place.file("maasl.db")).unwrap();
    assert!(place.token() > newest);
}

#[test]
fn a_deleted_directory_goes_on_above_by_the_wall_clock() {
    let place = Place::new();
    let newest = (0..5).map(|_| place.token()).max().unwrap();
    fs::remove_dir_all(place.root.path().join(".maasl")).unwrap();
    place.time.pass_ms(60);
    assert!(place.token() > newest);
}

#[test]
fn a_damaged_or_lost_floor_begins_a_generation() {
    for harm in [
        |floor: &Path| fs::write(floor, "floor 1 of something else, long enough to read").unwrap(),
        |floor: &Path| fs::remove_file(floor).unwrap(),
    ] {
        let place = Place::new();
        let before = place.token();
        harm(&place.file("floor"));
        let after = place.token();
        assert!(after.generation() > before.generation());
        assert!(place.token() > after);
    }
}

#[test]
fn a_store_replaced_under_us_is_noticed() {
    let harms: [fn(&Place); 3] = [
        |place| fs::remove_file(place.file("maasl.db")).unwrap(),
        |place| fs::remove_file(place.file("gate")).unwrap(),
        |place| {
            let moved = place.root.path().join("moved");
            fs::rename(place.root.path().join(".maasl"), moved).unwrap();
            place.open();
        },
    ];
    for harm in harms {
        let place = Place::new();
        let store = place.open();
        harm(&place);
        let written = store.transact(&Command::Acquire(ask("a", "x")));
        assert!(
            matches!(written, Err(StoreError::Replaced { .. })),
            "{written:?}"
        );
    }
}

#[test]
fn a_newer_schema_is_refused() {
    let place = Place::new();
    drop(place.open());
    edit(&place, "PRAGMA user_version = 99");
    let error = place.refusal();
    assert!(
        matches!(error, StoreError::SchemaNewer { found: 99, .. }),
        "{error}"
    );
}

#[test]
fn a_store_of_an_earlier_layout_is_given_what_it_lacks() {
    let place = Place::new();
    let before = place.token();
    let later = ["docgen", "graph", "graph_patch", "graph_checkpoint"];
    let later = later.map(|table| format!("DROP TABLE {table};")).concat();
    edit(
        &place,
        &format!(
            "{later}
             ALTER TABLE counter RENAME TO later;
             CREATE TABLE counter (
                 name TEXT NOT NULL, class TEXT NOT NULL, value ANY NOT NULL,
                 PRIMARY KEY (name, class)
             ) STRICT, WITHOUT ROWID;
             INSERT INTO counter
                 SELECT iif(name = '', 'meta', name), class, value FROM later;
             DROP TABLE later;
             PRAGMA user_version = 1"
        ),
    );
    let view = View::open(&place.file("")).unwrap().unwrap();
    let counted: u64 = view.counters().unwrap().into_values().sum();
    assert!(counted > 0, "who looks sees what there is");
    view.snapshot().unwrap();
    drop(view);
    assert_eq!(layout(&place), 1, "and changes nothing");
    let store = place.open();
    assert_eq!(store.docgen_log(10).unwrap(), []);
    let counters = store.counters().unwrap();
    let acquired = counters.iter().find(|(row, _)| row.name == "acquired");
    let (row, count) = acquired.unwrap();
    assert_eq!((row.hour, row.agent.as_str(), *count), (0, "", 1));
    assert!(pair(&store).token > before, "and keeps what it has");
    drop(store);
    assert_eq!(layout(&place), 4);
}

pub(crate) fn layout(place: &Place) -> u32 {
    let db = rusqlite::Connection::open(place.file("maasl.db")).unwrap();
    db.pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap()
}

pub(crate) fn edit(place: &Place, sql: &str) {
    let db = rusqlite::Connection::open(place.file("maasl.db")).unwrap();
    db.execute_batch(sql).unwrap();
}

#[test]
fn old_counters_are_added_up_and_none_is_lost() {
    let place = Place::new();
    let time = Time::new();
    let store = open(
        place.root.path(),
        OpenOptions {
            clock: time.clock(),
            ..options()
        },
    );
    let count = |agent: &str| Count::one(Counter::Merged, "CRIT_CODE", &AgentId::new(agent));
    let tally = |agent| store.transact(&Command::Tally(vec![count(agent)])).unwrap();
    let seen = || {
        let counters = store.counters().unwrap().into_iter();
        let ages = counters.map(|(row, value)| {
            let ago = (row.hour > 0).then(|| time.wall_ms() / HOUR_MS - row.hour);
            (ago, row.agent, value)
        });
        ages.collect::<Vec<_>>()
    };
    tally("a");
    tally("b");
    time.pass_ms(HOUR_MS);
    tally("b");
    time.pass_ms((HOURS_KEPT - 1) * HOUR_MS);
    store.forget_answers_before(0).unwrap();
    assert_eq!(seen().len(), 3, "a week is kept");
    time.pass_ms(HOUR_MS);
    tally("c");
    for _ in 0..2 {
        store.forget_answers_before(0).unwrap();
        let kept = [
            (None, String::new(), 2),
            (Some(HOURS_KEPT), "b".into(), 1),
            (Some(0), "c".into(), 1),
        ];
        assert_eq!(seen(), kept);
    }
}

/// Commits a new content of `x`.
fn change(store: &SqliteStore, op: &str) {
    let lease = take(
        store,
        Acquire {
            lease: LeaseId::new(op),
            ..ask("a", "x")
        },
    );
    let begin = Command::BeginCommit(intent(&lease, op, &["x"], op));
    assert_eq!(store.transact(&begin).unwrap(), Outcome::Begun);
    let finished = store.transact(&finish(op)).unwrap();
    assert!(matches!(finished, Outcome::Finished { .. }));
}

fn numbers(store: &SqliteStore) -> Vec<u64> {
    let versions = store.history("x", u32::MAX).unwrap();
    versions.iter().map(|version| version.number).collect()
}

#[test]
fn versions_of_a_path_are_bounded_and_the_oldest_go() {
    let place = Place::new();
    let limited = OpenOptions {
        max_versions: 32,
        ..place.options()
    };
    let store = open(place.root.path(), limited);
    for change_no in 0..60 {
        change(&store, &format!("op-{change_no}"));
        let numbers = numbers(&store);
        assert!(numbers.len() <= 34, "{numbers:?}");
        let newest = numbers[0];
        let expected: Vec<u64> = (1..=newest).rev().take(numbers.len()).collect();
        assert_eq!(numbers, expected, "the newest are there, without a gap");
    }
    assert!(numbers(&store).len() >= 32);
    let newest = numbers(&store)[0];
    assert_eq!(store.version("x", newest).unwrap().unwrap().number, newest);
    assert_eq!(store.version("x", 1).unwrap(), None);
    assert_eq!(store.version("x", u64::MAX).unwrap(), None);
}

#[test]
fn a_list_from_before_the_limit_shrinks_a_part_at_a_time() {
    let place = Place::new();
    let store = place.open();
    for change_no in 0..40 {
        change(&store, &format!("op-{change_no}"));
    }
    let before = numbers(&store).len();
    drop(store);
    let copies = format!(
        "UPDATE version SET number = number + 5000;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
         INSERT INTO version SELECT path, i, json_set(body, '$.number', i)
         FROM n, version WHERE number = 5000 + {before};
         UPDATE version SET body = json_set(body, '$.number', number);"
    );
    edit(&place, &copies);
    let limited = OpenOptions {
        max_versions: 10,
        ..place.options()
    };
    let store = open(place.root.path(), limited);
    let mut known = numbers(&store).len();
    let mut changes = 0;
    while known > 10 {
        change(&store, &format!("later-{changes}"));
        changes += 1;
        let left = numbers(&store).len();
        assert!(
            left + 2_000 >= known,
            "at most a thousand with each version"
        );
        assert!(left < known, "and some with each");
        known = left;
    }
    assert!(changes >= 3, "{changes}");
}

#[test]
fn what_is_no_store_is_refused_and_left_alone() {
    let other = Place::new();
    drop(other.open());
    edit(&other, "PRAGMA application_id = 7");
    assert!(matches!(other.refusal(), StoreError::Corrupt { .. }));
    let text = Place::new();
    drop(text.open());
    let letter = "not a database at all. ".repeat(400);
    fs::write(text.file("maasl.db"), &letter).unwrap();
    assert!(matches!(text.refusal(), StoreError::Corrupt { .. }));
    assert_eq!(fs::read_to_string(text.file("maasl.db")).unwrap(), letter);
}

#[test]
fn links_are_refused() {
    for name in ["maasl.db", "gate", "floor"] {
        let place = Place::new();
        place.token();
        let elsewhere = place.root.path().join("elsewhere");
        fs::rename(place.file(name), &elsewhere).unwrap();
        symlink(&elsewhere, place.file(name)).unwrap();
        assert!(
            matches!(place.refusal(), StoreError::NotOurs { .. }),
            "{name}"
        );
        fs::remove_file(place.file(name)).unwrap();
        fs::hard_link(&elsewhere, place.file(name)).unwrap();
        assert!(
            matches!(place.refusal(), StoreError::NotOurs { .. }),
            "{name}"
        );
    }
}

#[test]
fn links_beside_the_database_are_refused_and_not_followed() {
    for name in ["maasl.db-wal", "maasl.db-shm", "maasl.db-journal"] {
        let place = Place::new();
        place.token();
        let outside = place.root.path().join("outside");
        fs::write(&outside, "mine").unwrap();
        let _ = fs::remove_file(place.file(name));
        symlink(&outside, place.file(name)).unwrap();
        let refused = [place.refusal(), View::open(&place.file("")).unwrap_err()];
        for error in refused {
            assert!(
                matches!(error, StoreError::NotOurs { .. }),
                "{name}: {error}"
            );
        }
        assert_eq!(fs::read_to_string(&outside).unwrap(), "mine", "{name}");
    }
}

#[test]
fn files_of_another_user_are_refused() {
    for name in ["maasl.db", "gate", "floor"] {
        let place = Place::new();
        place.token();
        if let Err(error) = std::os::unix::fs::chown(place.file(name), Some(54_321), None) {
            println!("NOT CHECKED: files of other users; chown: {error}");
            return;
        }
        let error = place.refusal();
        assert!(
            matches!(error, StoreError::NotOurs { .. }),
            "{name}: {error}"
        );
    }
}

#[test]
fn nobody_else_may_read_the_files() {
    let place = Place::new();
    let store = place.open();
    pair(&store);
    for name in ["maasl.db", "maasl.db-wal", "maasl.db-shm", "gate", "floor"] {
        let mode = fs::metadata(place.file(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn a_full_store_refuses_changes_nothing_and_works_on() {
    let place = Place::new();
    let limited = OpenOptions {
        max_pages: Some(40),
        ..place.options()
    };
    let store = open(place.root.path(), limited);
    let first = take(&store, ask("a", "first"));
    let filled = (0..).find_map(|n| {
        let ask = Acquire {
            lease: LeaseId::new(format!("{n}")),
            purpose: Some("p".repeat(500).into()),
            ..ask("a", &format!("x/{n}"))
        };
        let outcome = store.transact(&Command::Acquire(ask));
        outcome.err().map(|error| (n, error))
    });
    let (n, error) = filled.unwrap();
    assert!(matches!(error, StoreError::Full), "{error}");
    let verify = Command::Verify(LeaseId::new(format!("{n}")));
    let lost = store.transact(&verify).unwrap();
    assert!(matches!(lost, Outcome::Lost { .. }));
    let latched = first.keys().cloned().collect();
    let released = store.transact(&release(&first, latched)).unwrap();
    assert!(matches!(released, Outcome::Released { .. }));
    take(&store, ask("b", "first"));
}

#[test]
fn a_bug_in_a_decision_leaves_the_store_usable() {
    let place = Place::new();
    let store = place.open();
    let lease = take(&store, ask("a", "x"));
    let unlatched = CommitIntent {
        latches: Vec::new(),
        ..intent(&lease, "op", &["x"], "one")
    };
    let begin = Command::BeginCommit(unlatched);
    let panicked = catch_unwind(AssertUnwindSafe(|| store.transact(&begin)));
    assert!(panicked.is_err());
    take(&store, ask("b", "y"));
    take(&place.open(), ask("b", "z"));
}

#[test]
fn threads_share_a_store() {
    let place = Place::new();
    let store = place.open();
    let work = |name: usize| {
        let asked = |n| Acquire {
            lease: LeaseId::new(format!("{name}-{n}")),
            ..ask("a", &format!("{name}"))
        };
        let pairs = (0..100).map(|n| {
            let lease = take(&store, asked(n));
            let latched = lease.keys().cloned().collect();
            store.transact(&release(&lease, latched)).unwrap();
            store.counters().unwrap();
            lease.token
        });
        pairs.collect::<Vec<_>>()
    };
    let tokens = std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..4).map(|name| scope.spawn(move || work(name))).collect();
        let joined = threads.into_iter().map(|thread| thread.join().unwrap());
        joined.collect::<Vec<_>>()
    });
    assert!(tokens.iter().all(|own| own.is_sorted()));
    let mut all: Vec<Token> = tokens.into_iter().flatten().collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 400);
}
