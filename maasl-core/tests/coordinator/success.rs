//! Changes that succeed, and what their authors have then seen.

use maasl_core::coordinator::io::Request;
use maasl_core::coordinator::read::ReadWanted;
use maasl_core::refusal::StaleReason;

use super::ops::{
    code, delete, edit, hash, rename, restore, stale, write, write_merged, write_over,
};
use super::world::{Pid, World};

fn of_one(files: &[(&str, &str)]) -> (World, Pid) {
    let (world, ann, _) = World::of_two(files);
    (world, ann)
}

#[test]
fn a_file_that_was_read_can_be_written() {
    let (mut world, ann) = of_one(&[("f", "old")]);
    let read = world.read(ann, "f").unwrap();
    assert_eq!((&*read.content, read.version), (&b"old"[..], None));
    let done = world.change(ann, vec![write("f", "new")]).unwrap();
    assert_eq!(world.disk.text("f"), Some("new"));
    assert_eq!(done[0].sha256, Some(hash("new")));
    assert_eq!(done[0].previous_sha256, Some(hash("old")));
    assert_eq!((done[0].version, done[0].bytes_written), (2, 3));
    assert_eq!(world.newest("f").unwrap().number, 2);
    world.assert_idle("written");
    world.assert_unstaged_but(&[], "written");
}

#[test]
fn a_write_is_seen_by_its_author() {
    let (mut world, ann) = of_one(&[]);
    for content in ["one", "two", "three"] {
        world.change(ann, vec![write("f", content)]).unwrap();
    }
    assert_eq!(world.read(ann, "f").unwrap().version, Some(3));
    world.assert_idle("written");
}

#[test]
fn an_existing_file_must_be_read_before_it_is_written() {
    let (mut world, ann) = of_one(&[("f", "old")]);
    let refused = stale(world.change(ann, vec![write("f", "new")]));
    assert_eq!(refused.reason, StaleReason::NeverRead);
    assert_eq!(refused.current, Some(hash("old")));
    assert_eq!(world.disk.text("f"), Some("old"));
    world.assert_idle("refused");
}

#[test]
fn a_read_that_is_refused_is_not_seen() {
    let (mut world, ann) = of_one(&[("f", "one\ntwo\n")]);
    let read = |start_line, end_line| ReadWanted {
        start_line,
        end_line,
        max_bytes: Some(4),
        ..ReadWanted::from("f")
    };
    for (wanted, expected) in [
        (read(None, None), "limit_reached"),
        (read(Some(1), Some(2)), "limit_reached"),
        (read(Some(3), None), "invalid_request"),
        (read(Some(2), Some(1)), "invalid_request"),
    ] {
        let call = world.call(ann, Request::Read(wanted));
        assert_eq!(code(&world.ask(ann, call).result), expected);
        let refused = stale(world.change(ann, vec![write("f", "new")]));
        assert_eq!(refused.reason, StaleReason::NeverRead);
    }
    let call = world.call(ann, Request::Read(read(Some(2), None)));
    assert_eq!(code(&world.ask(ann, call).result), "ok");
    world.change(ann, vec![write("f", "new")]).unwrap();
}

#[test]
fn a_base_given_stands_for_reading() {
    let (mut world, ann) = of_one(&[("f", "old")]);
    let done = world.change(ann, vec![write_over("f", "new", "old")]);
    assert_eq!(code(&done), "ok");
}

#[test]
fn a_refused_write_does_not_refresh_what_was_seen() {
    let (mut world, ann, bob) = World::of_two(&[("f", "old")]);
    world.read(ann, "f").unwrap();
    world
        .change(bob, vec![write_over("f", "bob", "old")])
        .unwrap();
    for _ in 0..2 {
        let refused = stale(world.change(ann, vec![write("f", "ann")]));
        assert_eq!(refused.reason, StaleReason::Changed);
        assert_eq!(refused.changed_by.unwrap().agent.as_str(), "bob");
    }
    assert_eq!(world.disk.text("f"), Some("bob"));
}

#[test]
fn a_file_that_vanished_is_stale() {
    let (mut world, ann) = of_one(&[("f", "old")]);
    world.read(ann, "f").unwrap();
    world.disk.outside("f", None);
    let refused = stale(world.change(ann, vec![write("f", "new")]));
    assert_eq!(refused.reason, StaleReason::Vanished);
    assert_eq!(code(&world.read(ann, "f")), "invalid_request");
    let done = world.change(ann, vec![write("f", "new")]).unwrap();
    assert_eq!(done[0].previous_sha256, None);
}

#[test]
fn the_same_content_again_changes_nothing_and_succeeds() {
    let (mut world, ann) = of_one(&[("f", "same")]);
    let done = world.change(ann, vec![write("f", "same")]).unwrap();
    assert_eq!(done[0].sha256, Some(hash("same")));
    assert!(!world.sent(ann).contains(&"Swap"));
    world.assert_idle("nothing to do");
}

#[test]
fn the_same_change_made_twice_succeeds_once() {
    let (mut world, ann, bob) = World::of_two(&[("f", "one")]);
    world
        .change(ann, vec![write_over("f", "two", "one")])
        .unwrap();
    let refused = stale(world.change(bob, vec![write_over("f", "two", "one")]));
    assert_eq!(refused.reason, StaleReason::Changed);
    assert_eq!(refused.current, Some(hash("two")));
    world.assert_idle("refused");
}

#[test]
fn a_deleted_file_is_kept() {
    let (mut world, ann) = of_one(&[("f", "old")]);
    world.read(ann, "f").unwrap();
    let done = world.change(ann, vec![delete("f")]).unwrap();
    assert_eq!((done[0].sha256, done[0].version), (None, 2));
    assert_eq!(world.disk.text("f"), None);
    world.assert_idle("deleted");
    assert!(world.disk.has("old"));
    world.change(ann, vec![write("f", "anew")]).unwrap();
}

#[test]
fn a_moved_file_is_seen_under_its_new_name_only() {
    let (mut world, ann) = of_one(&[("f", "old")]);
    world.read(ann, "f").unwrap();
    let done = world.change(ann, vec![rename("f", "g")]).unwrap();
    assert_eq!(done[0].source.as_deref(), Some("f"));
    assert_eq!(
        (world.disk.text("f"), world.disk.text("g")),
        (None, Some("old"))
    );
    world.change(ann, vec![write("g", "new")]).unwrap();
    world.disk.outside("f", Some("other"));
    let refused = stale(world.change(ann, vec![write("f", "new")]));
    assert_eq!(refused.reason, StaleReason::NeverRead);
    world.assert_idle("moved");
}

#[test]
fn a_file_moved_unread_is_not_seen() {
    let (mut world, ann) = of_one(&[("f", "old")]);
    world.change(ann, vec![rename("f", "g")]).unwrap();
    let refused = stale(world.change(ann, vec![write("g", "new")]));
    assert_eq!(refused.reason, StaleReason::NeverRead);
    assert_eq!(world.disk.text("g"), Some("old"));
}

#[test]
fn a_file_that_changed_since_it_was_read_is_not_moved() {
    let (mut world, ann, bob) = World::of_two(&[("f", "one")]);
    world.read(ann, "f").unwrap();
    world
        .change(bob, vec![write_over("f", "two", "one")])
        .unwrap();
    let refused = stale(world.change(ann, vec![rename("f", "g")]));
    assert_eq!(refused.reason, StaleReason::Changed);
    assert_eq!(refused.current, Some(hash("two")));
    assert_eq!(world.disk.text("f"), Some("two"));
    world.assert_idle("refused");
}

#[test]
fn a_move_to_a_name_in_use_is_refused() {
    let (mut world, ann) = of_one(&[("f", "old"), ("g", "other")]);
    let refused = world.change(ann, vec![rename("f", "g")]);
    assert_eq!(code(&refused), "invalid_request");
    assert_eq!(world.disk.text("g"), Some("other"));
    world.assert_idle("refused");
}

#[test]
fn names_are_swapped_through_a_third() {
    let (mut world, ann) = of_one(&[("f", "F"), ("g", "G")]);
    let ops = vec![rename("f", "t"), rename("g", "f"), rename("t", "g")];
    world.change(ann, ops).unwrap();
    assert_eq!(
        (world.disk.text("f"), world.disk.text("g")),
        (Some("G"), Some("F"))
    );
    assert_eq!(world.disk.text("t"), None);
    world.assert_idle("swapped");
    world.assert_unstaged_but(&[], "swapped");
}

#[test]
fn several_operations_on_one_path_are_one_change() {
    let (mut world, ann) = of_one(&[("f", "a b c")]);
    let ops = vec![edit("f", "a", "x"), edit("f", "c", "z"), rename("f", "g")];
    let done = world.change(ann, ops).unwrap();
    assert_eq!(world.disk.text("g"), Some("x b z"));
    assert_eq!(done.len(), 3);
    assert_eq!(done[2].version, 1);
    assert_eq!(world.rows.history("f").len(), 2);
    world.assert_idle("changed");
}

#[test]
fn what_a_set_makes_of_a_file_is_seen_under_its_last_name() {
    let sets = [
        vec![rename("f", "g"), edit("g", "a", "x")],
        vec![edit("f", "a", "x"), rename("f", "g")],
        vec![edit("f", "a", "y"), edit("f", "y", "x"), rename("f", "g")],
        vec![rename("f", "h"), edit("h", "a", "x"), rename("h", "g")],
        vec![rename("f", "g"), edit("g", "a", "y"), edit("g", "y", "x")],
    ];
    for ops in sets {
        let (mut world, ann) = of_one(&[("f", "a b")]);
        world.read(ann, "f").unwrap();
        world.change(ann, ops.clone()).unwrap();
        assert_eq!(world.disk.text("g"), Some("x b"), "{ops:?}");
        let done = world.change(ann, vec![write("g", "whole")]);
        assert_eq!(code(&done), "ok", "{ops:?}");
    }
    let (mut world, ann) = of_one(&[("f", "a b")]);
    world.read(ann, "f").unwrap();
    let ops = vec![edit("f", "a", "x"), edit("f", "b", "y")];
    world.change(ann, ops).unwrap();
    world.change(ann, vec![write("f", "whole")]).unwrap();
}

#[test]
fn what_a_set_makes_of_a_file_that_was_not_read_is_not_seen() {
    let sets = [
        vec![rename("f", "g"), edit("g", "a", "x")],
        vec![edit("f", "a", "x"), edit("f", "b", "y"), rename("f", "g")],
    ];
    for ops in sets {
        let (mut world, ann, bob) = World::of_two(&[("f", "a b"), ("s", "s")]);
        world.change(ann, ops.clone()).unwrap();
        let refused = stale(world.change(ann, vec![write("g", "whole")]));
        assert_eq!(refused.reason, StaleReason::NeverRead, "{ops:?}");
        // Nor is one that was rebased.
        world.read(bob, "s").unwrap();
        world
            .change(ann, vec![write_over("s", "s\nt\n", "s")])
            .unwrap();
        let ops = vec![edit("s", "s", "S"), edit("s", "t", "T")];
        assert!(world.change(bob, ops).unwrap()[0].rebased);
        let refused = stale(world.change(bob, vec![write("s", "whole")]));
        assert_eq!(refused.reason, StaleReason::Changed);
    }
}

#[test]
fn a_set_does_not_replace_what_it_has_touched_without_its_author_knowing_it() {
    let changed = |op| (StaleReason::Changed, vec![edit("f", "c", "C"), op]);
    let moved = vec![edit("f", "c", "C"), rename("f", "g"), write("g", "whole")];
    let sets = [
        changed(write("f", "whole")),
        changed(delete("f")),
        (StaleReason::NeverRead, moved),
    ];
    for (reason, ops) in sets {
        let (mut world, ann, bob) = World::of_two(&[("f", "a\nb\nc\n")]);
        world.read(ann, "f").unwrap();
        world.read(bob, "f").unwrap();
        world.change(bob, vec![edit("f", "a", "bob")]).unwrap();
        let refused = stale(world.change(ann, ops.clone()));
        assert_eq!(refused.reason, reason, "{ops:?}");
        assert_eq!(world.disk.text("f"), Some("bob\nb\nc\n"), "{ops:?}");
        world.assert_idle("refused");
        // Who has read it may.
        world.read(ann, "f").unwrap();
        assert_eq!(code(&world.change(ann, ops)), "ok");
    }
    let (mut world, ann) = of_one(&[("f", "old")]);
    let refused = stale(world.change(ann, vec![rename("f", "g"), write("g", "new")]));
    assert_eq!(refused.reason, StaleReason::NeverRead);
    assert_eq!(world.disk.text("f"), Some("old"));
}

#[test]
fn an_earlier_version_is_restored() {
    let (mut world, ann) = of_one(&[]);
    world.change(ann, vec![write("f", "one")]).unwrap();
    world.change(ann, vec![write("f", "two")]).unwrap();
    let done = world.change(ann, vec![restore("f", 1)]).unwrap();
    assert_eq!(world.disk.text("f"), Some("one"));
    assert_eq!((done[0].op.as_str(), done[0].version), ("restore", 3));
    let unknown = world.change(ann, vec![restore("f", 9)]);
    assert_eq!(code(&unknown), "invalid_request");
}

#[test]
fn a_deleted_file_is_restored() {
    let (mut world, ann) = of_one(&[]);
    world.change(ann, vec![write("f", "one")]).unwrap();
    world.change(ann, vec![delete("f")]).unwrap();
    world.change(ann, vec![restore("f", 1)]).unwrap();
    assert_eq!(world.disk.text("f"), Some("one"));
    world.assert_idle("restored");
}

#[test]
fn an_edit_of_newer_content_is_rebased_and_not_seen() {
    let (mut world, ann, bob) = World::of_two(&[("f", "a\nb\nc\n")]);
    world.read(ann, "f").unwrap();
    world.read(bob, "f").unwrap();
    world.change(bob, vec![edit("f", "a", "A")]).unwrap();
    let done = world.change(ann, vec![edit("f", "c", "C")]).unwrap();
    assert!(done[0].rebased);
    assert_eq!(world.disk.text("f"), Some("A\nb\nC\n"));
    let refused = stale(world.change(ann, vec![write("f", "whole")]));
    assert_eq!(refused.reason, StaleReason::Changed);
}

#[test]
fn an_edit_without_reading_is_not_seen_either() {
    let (mut world, ann) = of_one(&[("f", "a b")]);
    world.change(ann, vec![edit("f", "a", "x")]).unwrap();
    let refused = stale(world.change(ann, vec![write("f", "whole")]));
    assert_eq!(refused.reason, StaleReason::NeverRead);
}

#[test]
fn an_edit_of_lines_that_changed_is_stale() {
    let (mut world, ann, bob) = World::of_two(&[("f", "a\nb\n")]);
    world.read(ann, "f").unwrap();
    world.change(bob, vec![edit("f", "b", "B")]).unwrap();
    let refused = stale(world.change(ann, vec![edit("f", "b", "x")]));
    assert_eq!(refused.reason, StaleReason::Conflicting);
    assert_eq!(world.disk.text("f"), Some("a\nB\n"));
}

#[test]
fn independent_writes_are_merged_and_not_seen() {
    let base = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
    let (mut world, ann, bob) = World::of_two(&[("f", base)]);
    let theirs = base.replace('1', "one");
    let ours = base.replace('9', "nine");
    world
        .change(bob, vec![write_over("f", &theirs, base)])
        .unwrap();
    let done = world
        .change(ann, vec![write_merged("f", &ours, base)])
        .unwrap();
    assert!(done[0].merged);
    assert_eq!(world.disk.text("f"), Some(&*theirs.replace('9', "nine")));
    let refused = stale(world.change(ann, vec![write("f", "whole")]));
    assert_eq!(refused.reason, StaleReason::NeverRead);
    world.assert_idle("merged");
}

#[test]
fn conflicting_writes_are_not_merged() {
    let (mut world, ann, bob) = World::of_two(&[("f", "1\n")]);
    world
        .change(bob, vec![write_over("f", "bob\n", "1\n")])
        .unwrap();
    let refused = stale(world.change(ann, vec![write_merged("f", "ann\n", "1\n")]));
    assert_eq!(refused.reason, StaleReason::Conflicting);
    assert_eq!(refused.conflicts.len(), 1);
    assert_eq!(world.disk.text("f"), Some("bob\n"));
    world.assert_idle("refused");
}

#[test]
fn a_base_that_is_not_kept_cannot_be_merged() {
    let (mut world, ann) = of_one(&[("f", "now\n")]);
    let refused = stale(world.change(ann, vec![write_merged("f", "ann\n", "gone\n")]));
    assert_eq!(refused.reason, StaleReason::BaseUnknown);
}

#[test]
fn a_refactoring_is_refused_whole() {
    let (mut world, ann) = of_one(&[("f", "a"), ("g", "b")]);
    let ops = vec![edit("f", "a", "x"), edit("g", "missing", "y")];
    assert_eq!(code(&world.change(ann, ops)), "invalid_request");
    assert_eq!(
        (world.disk.text("f"), world.disk.text("g")),
        (Some("a"), Some("b"))
    );
    world.assert_idle("refused");
    world.assert_unstaged_but(&[], "refused");
}

#[test]
fn a_refactoring_has_one_token() {
    let (mut world, ann) = of_one(&[("f", "a"), ("g", "b"), ("h", "c")]);
    world.read(ann, "h").unwrap();
    let ops = vec![
        edit("f", "a", "x"),
        delete("h"),
        rename("g", "i"),
        write("j", "new"),
    ];
    world.change(ann, ops).unwrap();
    let tokens = ["f", "g", "h", "i", "j"].map(|path| world.newest(path).unwrap().token);
    assert!(tokens.iter().all(|token| *token == tokens[0]));
    assert_eq!(world.disk.text("i"), Some("b"));
    world.assert_idle("changed");
}
