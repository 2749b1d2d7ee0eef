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
mod judge;
mod log;
mod recording;
mod script;
mod strace;

use campaign::{judge_again, survives};

#[test]
fn the_first_change_of_a_repository_is_whole_or_absent() {
    survives("first", 100);
}

#[test]
fn writes_are_whole_or_absent() {
    survives("write", 100);
}

#[test]
fn an_edit_and_a_removal_are_whole_or_absent() {
    survives("edit", 100);
}

#[test]
fn moves_are_whole_or_absent() {
    survives("move", 100);
}

#[test]
fn a_set_is_whole_or_absent() {
    survives("set", 100);
}

#[test]
fn a_transaction_is_whole_or_absent() {
    survives("transaction", 100);
}

#[test]
fn an_earlier_version_is_whole_or_absent() {
    survives("restore", 100);
}

#[test]
fn documents_are_whole_or_absent() {
    survives("document", 100);
}

#[test]
fn a_history_that_is_bounded_stays_what_it_says() {
    survives("history", 100);
}

#[test]
fn a_kept_state_is_judged_again() {
    judge_again();
}
