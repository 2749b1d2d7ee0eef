//! Power cuts, enumerated: what the real node asks of the kernel is recorded, every
//! state that a power cut could leave of it is built, and the real node opens each.
//!
//! In the manner of ALICE [Pillai et al., OSDI 2014]. What may survive is said in
//! `disk`, which cuts and sets are tried in `cuts`, what must hold afterwards in
//! `judge`, what is left out in `recording`.
//!
//! `MAASL_CRASH_BOUND=8` tries all sets of up to 8 open operations instead of the
//! usual number. A state that fails is kept in the folder for temporary files of the
//! target directory, with what was lost and why it is wrong;
//! `MAASL_CRASH_STATE=FOLDER` with the test `a_kept_state_is_judged_again` opens it
//! once more.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod campaign;
mod child;
mod cuts;
mod disk;
mod floor;
mod judge;
mod log;
mod nested;
mod recording;
mod script;
mod strace;

use campaign::{is_reported, judge_again, survives};

#[test]
fn the_first_change_of_a_repository_is_whole_or_absent() {
    survives("first", 180);
}

#[test]
fn writes_are_whole_or_absent() {
    survives("write", 280);
}

#[test]
fn an_edit_and_a_removal_are_whole_or_absent() {
    survives("edit", 150);
}

#[test]
fn moves_are_whole_or_absent() {
    survives("move", 130);
}

#[test]
fn a_set_is_whole_or_absent() {
    survives("set", 250);
}

#[test]
fn a_transaction_is_whole_or_absent() {
    survives("transaction", 220);
}

#[test]
fn an_earlier_version_is_whole_or_absent() {
    survives("restore", 90);
}

#[test]
fn documents_are_whole_or_absent() {
    survives("document", 180);
}

#[test]
fn a_history_that_is_bounded_stays_what_it_says() {
    survives("history", 90);
}

#[test]
fn tokens_never_go_back_whatever_is_lost_with_the_store() {
    floor::survives(180);
}

#[test]
fn recovery_may_be_cut_short_anywhere() {
    nested::recovery_survives(250);
}

/// Planted: the recorded program without some of its syncs.
mod planted {
    use super::*;

    #[test]
    fn names_that_are_not_synced_are_reported() {
        is_reported("write", "changed names", |path| !path.starts_with(".maasl"));
    }

    #[test]
    fn staged_content_that_is_not_synced_is_reported() {
        let is_content = |path: &str| path.matches('/').count() == 3 && path.contains("/stage/");
        is_reported("write", "staged contents", is_content);
    }

    #[test]
    fn staged_names_that_are_not_synced_are_reported() {
        let is_folder = |path: &str| path.matches('/').count() == 2 && path.contains("/stage/");
        is_reported("set", "staged names", is_folder);
    }

    #[test]
    fn an_intent_that_is_not_synced_is_reported() {
        is_reported("set", "the store's log", |path| {
            path == ".maasl/maasl.db-wal"
        });
    }

    #[test]
    fn rows_that_are_not_synced_are_reported() {
        is_reported("transaction", "the database's log", |path| {
            path == "rows/main.db-wal"
        });
    }

    #[test]
    fn a_floor_that_is_not_synced_is_reported() {
        floor::is_reported();
    }
}

#[test]
fn a_kept_state_is_judged_again() {
    judge_again();
}
