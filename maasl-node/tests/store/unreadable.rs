//! SQLite: rows that cannot be read on pages that are sound, what is found of them,
//! and what a repair makes of it.

use std::fs;

use maasl_core::graph::journal::{Cursor, Journal};

use super::files::{edit, layout};
use super::repair::{Used, moved, was_rebuilt};

/// Commits of one file: there is something of everything.
const COMMITS: u64 = 3;

/// One row of each table that nobody can read. Rows of the living are carried over
/// by no repair, so nothing is missing of their tables.
const UNREADABLE: [(&str, &str, bool); 12] = [
    ("session", "('x', '[')", false),
    ("ticket", "(9, 's', 'a', '[')", false),
    ("version", "('f', 9000, '[')", true),
    ("ended", "('x', 1, '[')", true),
    ("answered", "('x', 1, '[')", true),
    ("intent", "('x', 1, '[')", true),
    ("lease", "('x', 1, NULL, NULL, '[')", true),
    ("docgen", "(9, '[')", true),
    ("counter", "(1, 'acquired', '', '', '[')", true),
    ("graph", "('x', '[')", true),
    ("graph_patch", "(9, 'x', 1, 1, x'00', x'00')", true),
    ("graph_checkpoint", "(9, 'x', x'00')", true),
];

#[test]
fn a_row_that_cannot_be_read_is_left_out_named_and_kept() {
    for (table, row, is_missed) in UNREADABLE {
        let used = Used::by(COMMITS);
        edit(&used.place, &format!("INSERT INTO {table} VALUES {row}"));
        let before = fs::read(used.place.file("maasl.db")).unwrap();
        let deeds = used.repaired(&["maasl.db"]);
        let (what, to) = moved(&deeds, "maasl.db");
        assert_eq!(what, format!("rows that cannot be read: 1 of {table}"));
        assert!(
            fs::read(to).unwrap() == before,
            "{table}: nothing is deleted"
        );
        let missed: Vec<&str> = is_missed.then_some(table).into_iter().collect();
        assert_eq!(was_rebuilt(&deeds).cut, missed);
        assert_eq!(used.versions(), used.versions, "{table}");
        let knows = used.knows_open_commit_and_revocation();
        assert_eq!(knows, (true, true), "{table}");
    }
}

#[test]
fn a_token_beyond_all_tokens_is_none() {
    let used = Used::by(COMMITS);
    let beyond = "json_set(body, '$.token', 9007199254740992)";
    edit(
        &used.place,
        &format!("UPDATE version SET body = {beyond} WHERE number = 1 AND path = 'f'"),
    );
    let deeds = used.repaired(&["maasl.db"]);
    assert_eq!(was_rebuilt(&deeds).cut, ["version"]);
    assert_eq!(was_rebuilt(&deeds).newest, used.newest);
}

#[test]
fn tokens_rise_though_the_row_about_the_store_is_lost() {
    let about = "WHERE hour = 9223372036854775807";
    let with = |value: &str| format!("UPDATE counter SET value = {value} {about}");
    for harm in [
        with("'{'"),
        with("7"),
        with("json_set(value, '$.generation', 65536)"),
        with("json_set(value, '$.next_sequence', 137438953473)"),
        with("json_remove(value, '$.reserved_through')"),
        format!("DELETE FROM counter {about}"),
    ] {
        for floor_is_lost in [false, true] {
            let used = Used::by(COMMITS);
            edit(&used.place, &harm);
            if floor_is_lost {
                fs::remove_file(used.place.file("floor")).unwrap();
            }
            // Tokens are looked at in there; the clock of the store stands still.
            let deeds = used.repaired(&["maasl.db"]);
            assert_eq!(was_rebuilt(&deeds).newest, used.newest, "{harm}");
            assert_eq!(used.versions(), used.versions, "{harm}");
            let knows = used.knows_open_commit_and_revocation();
            assert_eq!(knows, (true, true), "{harm}");
        }
    }
}

#[test]
fn a_graph_of_which_something_is_missing_is_found() {
    let used = Used::by(COMMITS);
    let journal = Journal {
        end: Cursor {
            place: 1,
            patch: None,
        },
        bytes: 5,
        ..Journal::new("cut")
    };
    let journal = serde_json::to_string(&journal).unwrap();
    edit(
        &used.place,
        &format!("INSERT INTO graph VALUES ('cut', '{journal}')"),
    );
    let deeds = used.repaired(&["maasl.db"]);
    let (what, _) = moved(&deeds, "maasl.db");
    assert_eq!(what, "graphs that are not whole: cut");
    assert_eq!(was_rebuilt(&deeds).graphs_left, ["cut"]);
    assert_eq!(used.versions(), used.versions);
}

/// The columns of a damaged page may hold anything, whatever its table says.
#[test]
fn a_column_of_another_type_costs_its_row_alone() {
    let used = Used::by(COMMITS);
    edit(
        &used.place,
        "ALTER TABLE version RENAME TO was;
         CREATE TABLE version (path, number, body);
         INSERT INTO version SELECT path, number, body FROM was;
         DROP TABLE was;
         UPDATE version SET number = 'one' WHERE number = 1 AND path = 'f';
         UPDATE version SET path = NULL WHERE number = 2 AND path = 'f';",
    );
    let sound = used.versions - 2;
    let deeds = used.repaired(&["maasl.db"]);
    assert_eq!(was_rebuilt(&deeds).cut, ["version"]);
    assert_eq!(used.versions(), sound);
}

/// Gives the store the layout before the last.
fn make_older(used: &Used) {
    edit(
        &used.place,
        "ALTER TABLE counter RENAME TO later;
         CREATE TABLE counter (
             name TEXT NOT NULL, class TEXT NOT NULL, value ANY NOT NULL,
             PRIMARY KEY (name, class)
         ) STRICT, WITHOUT ROWID;
         INSERT INTO counter
             SELECT iif(name = '', 'meta', name), class, max(value) FROM later GROUP BY 1, 2;
         DROP TABLE later;
         PRAGMA user_version = 3",
    );
}

#[test]
fn a_store_of_an_earlier_layout_is_looked_at_and_left_as_it_is() {
    let used = Used::by(COMMITS);
    make_older(&used);
    assert_eq!(used.faults(), Vec::<String>::new());
    assert_eq!(layout(&used.place), 3);
    fs::remove_file(used.place.file("floor")).unwrap();
    used.repaired(&["floor"]);
    assert_eq!(used.versions(), used.versions);
}

#[test]
fn a_row_of_an_earlier_layout_that_cannot_be_read_is_left_out() {
    let used = Used::by(COMMITS);
    make_older(&used);
    edit(&used.place, "INSERT INTO version VALUES ('f', 9000, '[')");
    let deeds = used.repaired(&["maasl.db"]);
    assert_eq!(was_rebuilt(&deeds).cut, ["version"]);
    assert_eq!(used.versions(), used.versions);
    assert_eq!(used.knows_open_commit_and_revocation(), (true, true));
}
