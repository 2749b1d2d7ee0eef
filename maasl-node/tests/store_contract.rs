//! One contract for every store, and what SQLite adds to it between processes.
//!
//! A contract test is a function over a [`Bench`]; each runs on every store.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::needless_pass_by_value,
    reason = "a test that cannot go on has failed; its helpers take what they consume or not"
)]

mod store {
    mod agreement;
    pub(crate) mod bench;
    mod between_processes;
    pub(crate) mod child;
    pub(crate) mod commits;
    pub(crate) mod documents;
    pub(crate) mod files;
    pub(crate) mod graphs;
    mod health;
    mod layouts;
    pub(crate) mod leases;
    pub(crate) mod opening;
    mod repair;
    mod unreadable;
}

use store::bench::Bench;
use store::{commits, documents, graphs, leases, opening};

macro_rules! contract {
    ($($group:ident: $($test:ident),+;)+) => {
        mod memory {
            use super::*;
            $($(#[test] fn $test() { $group::$test(&Bench::memory()); })+)+
        }
        mod sqlite {
            use super::*;
            $($(#[test] fn $test() { $group::$test(&Bench::sqlite()); })+)+
        }
    };
}

contract! {
    leases:
        a_grant_is_answered_again_to_the_same_id,
        a_conflict_is_refused_and_names_the_holder,
        waiters_are_served_in_order,
        interactive_passes_batch_three_times,
        a_cancelled_waiter_is_forgotten,
        a_set_is_granted_whole_or_not_at_all,
        an_expired_lease_is_taken_over_under_its_latches,
        renewal_after_expiry_is_refused,
        renewal_extends_and_keeps_the_keys,
        release_wakes_whom_it_may_serve,
        a_lease_ends_only_under_its_latches,
        subtrees_overlap_both_ways,
        names_that_begin_alike_do_not_overlap,
        shared_excludes_exclusive_only,
        a_circle_is_refused,
        an_idempotent_acquire_has_one_effect,
        revocation_tells_the_holder,
        inspection_shows_holder_and_waiters;
    commits:
        a_commit_leaves_versions_and_an_answer,
        a_commit_under_a_lost_lease_is_refused,
        a_release_waits_for_an_open_commit,
        a_commit_of_many_files_is_one,
        history_is_newest_first_and_bounded,
        answers_and_ends_are_forgotten_by_age,
        many_answers_are_forgotten_by_age,
        counters_add_up;
    documents:
        operations_are_logged_newest_first_and_counted,
        the_log_is_bounded_and_the_oldest_goes,
        a_document_is_logged_by_whoever_ends_its_commit,
        a_document_that_was_undone_is_not_logged,
        a_remembered_answer_is_logged_once;
    graphs:
        a_patch_is_appended_once_and_read_in_order,
        an_answer_is_kept_with_its_patch,
        an_answer_keeps_the_values_of_its_conflicts,
        a_patch_follows_the_one_it_was_made_after,
        a_lease_that_is_presented_must_stand,
        a_reader_in_another_journal_begins_anew,
        a_checkpoint_takes_the_place_of_patches,
        a_checkpoint_needs_the_lease,
        graphs_are_apart_and_bounded,
        a_number_without_a_patch_makes_no_graph,
        a_long_journal_comes_in_parts;
    opening:
        tokens_strictly_increase,
        a_new_boot_ends_leases_and_raises_the_generation,
        a_reservation_never_goes_down,
        sweeping_forgets_the_dead_and_wakes_the_living,
        closing_a_session_removes_its_tickets,
        a_snapshot_hides_lease_ids;
}
