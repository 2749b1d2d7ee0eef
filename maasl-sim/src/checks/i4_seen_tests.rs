//! Tests of the judge of I4.

use maasl_core::coordinator::io::FileRead;

use super::*;
use crate::checks::scene::{Scene, finish, hash, intent, item, receipt, site};

const OLD: &str = "ann 1\n-\nbob 1\n";
const NEW: &str = "ann 2\n-\nbob 1\n";

fn conflict(found: Option<ContentHash>) -> FinishCommit {
    let end = ItemEnd::Conflict {
        found,
        outside_stands: true,
    };
    FinishCommit {
        exceptions: BTreeMap::from([("a".into(), end)]),
        ..finish()
    }
}

/// A commit of `ann` that makes `new` of `a`, up to its swap.
fn swapped(scene: &mut Scene, judge: &mut Seen, old: &str, new: &str) -> CommitItem {
    let item = item("a", Some(old), Some(new));
    scene.disk.stage(&item.stage, new.as_bytes().into(), true);
    scene
        .begin(judge, &intent(core::slice::from_ref(&item)))
        .unwrap();
    let swap = scene.disk.swap(&item);
    scene.swapped(judge, &item, swap).unwrap();
    item
}

fn ended(scene: &mut Scene, judge: &mut Seen, item: &CommitItem) -> Result<(), Breach> {
    if let Some(old) = item.old {
        scene.disk.keep(&item.stage, old);
    }
    let receipt = receipt(core::slice::from_ref(item), 1);
    scene.finish(judge, finish(), &receipt)
}

fn begun() -> (Scene, Seen) {
    let scene = Scene::new(&[("a", OLD)]);
    let mut judge = Seen::default();
    scene.show(&mut judge, &Observation::Quiet).unwrap();
    (scene, judge)
}

fn asked(scene: &Scene, judge: &mut Seen, base: &str) {
    let bases = [("a".to_owned(), hash(base))];
    let write = Action::Write {
        path: "a".into(),
        merge: false,
        from_memory: false,
    };
    scene.ask(judge, 1, &write, None, &bases).unwrap();
}

#[test]
fn a_write_of_what_was_seen_is_right() {
    let (mut scene, mut judge) = begun();
    asked(&scene, &mut judge, OLD);
    let item = swapped(&mut scene, &mut judge, OLD, NEW);
    ended(&mut scene, &mut judge, &item).unwrap();
    scene
        .answer(&mut judge, 1, &receipt(core::slice::from_ref(&item), 1))
        .unwrap();
}

#[test]
fn a_write_of_something_older_is_stale_unless_it_says_so() {
    let (mut scene, mut judge) = begun();
    asked(&scene, &mut judge, "ann 0\n-\nbob 1\n");
    let item = swapped(&mut scene, &mut judge, OLD, NEW);
    ended(&mut scene, &mut judge, &item).unwrap();
    let mut receipt = receipt(core::slice::from_ref(&item), 1);
    let judged = scene.answer(&mut judge, 1, &receipt);
    assert_eq!(site(judged), Some("stale-base"));
    let Receipt::Changed { files, .. } = &mut receipt else {
        unreachable!("a change was answered");
    };
    files[0].merged = true;
    scene.answer(&mut judge, 1, &receipt).unwrap();
}

#[test]
fn what_a_swap_displaced_must_be_what_was_expected() {
    let (mut scene, mut judge) = begun();
    scene
        .outside(&mut judge, "a", Some("from outside\n"))
        .unwrap();
    let item = swapped(&mut scene, &mut judge, OLD, NEW);
    let judged = ended(&mut scene, &mut judge, &item);
    assert_eq!(site(judged), Some("replaced-unseen"));
}

#[test]
fn a_change_without_a_swap_did_not_happen() {
    let (scene, mut judge) = begun();
    let item = item("a", Some(OLD), Some(NEW));
    let items = core::slice::from_ref(&item);
    scene.begin(&mut judge, &intent(items)).unwrap();
    let judged = scene.finish(&mut judge, finish(), &receipt(items, 1));
    assert_eq!(site(judged), Some("no-swap"));
}

#[test]
fn what_was_displaced_is_kept() {
    let (mut scene, mut judge) = begun();
    let item = swapped(&mut scene, &mut judge, OLD, NEW);
    scene.disk.discard(&item.stage);
    let receipt = receipt(core::slice::from_ref(&item), 1);
    let judged = scene.finish(&mut judge, finish(), &receipt);
    assert_eq!(site(judged), Some("displaced-lost"));
}

#[test]
fn a_conflict_keeps_both_contents() {
    let outside = "from outside\n";
    let (mut scene, mut judge) = begun();
    let item = swapped(&mut scene, &mut judge, OLD, NEW);
    scene.disk.keep(&item.stage, hash(OLD));
    scene.disk.outside("b", Some(outside.as_bytes().into()));
    let receipt = receipt(core::slice::from_ref(&item), 1);
    scene
        .finish(&mut judge, conflict(Some(hash(outside))), &receipt)
        .unwrap();

    let (mut scene, mut judge) = begun();
    swapped(&mut scene, &mut judge, OLD, NEW);
    let judged = scene.finish(&mut judge, conflict(Some(hash(outside))), &receipt);
    assert_eq!(site(judged), Some("conflict-lost"));
}

#[test]
fn the_lines_of_others_stay() {
    let (mut scene, mut judge) = begun();
    let item = swapped(&mut scene, &mut judge, OLD, "ann 2\n-\nbob 0\n");
    let judged = ended(&mut scene, &mut judge, &item);
    assert_eq!(site(judged), Some("others-changed"));
}

#[test]
fn an_acknowledged_line_does_not_fall_unless_somebody_outside_took_it() {
    let fall = |outside: bool| {
        let (mut scene, mut judge) = begun();
        asked(&scene, &mut judge, OLD);
        let item = swapped(&mut scene, &mut judge, OLD, NEW);
        ended(&mut scene, &mut judge, &item).unwrap();
        scene
            .answer(&mut judge, 1, &receipt(core::slice::from_ref(&item), 1))
            .unwrap();
        if outside {
            scene.outside(&mut judge, "a", Some(NEW)).unwrap();
        }
        let item = swapped(&mut scene, &mut judge, NEW, OLD);
        site(ended(&mut scene, &mut judge, &item))
    };
    assert_eq!(fall(false), Some("line-fell"));
    assert_eq!(fall(true), None);
}

/// An answer to a request about one file.
fn answered(
    scene: &Scene,
    judge: &mut Seen,
    request: u64,
    file: FileChanged,
) -> Option<&'static str> {
    let mut receipt = receipt(&[], 1);
    let Receipt::Changed { files, .. } = &mut receipt else {
        unreachable!("a change was answered");
    };
    files.push(file);
    site(scene.answer(judge, request, &receipt))
}

fn read(scene: &Scene, judge: &mut Seen, content: &str) {
    let action = Action::Read { path: "a".into() };
    scene.ask(judge, 1, &action, None, &[]).unwrap();
    let read = FileRead {
        path: "a".into(),
        content: content.as_bytes().into(),
        sha256: hash(content),
        version: None,
        held_by: None,
    };
    scene.answered(judge, 1, Ok(Reply::Read(read))).unwrap();
}

/// `ann` moves `a` to `b` without a word of what it holds, which is `content`.
fn moved(scene: &Scene, judge: &mut Seen, content: &str) -> Option<&'static str> {
    let blind = Action::Move {
        path: "a".into(),
        to: "b".into(),
        blind: true,
    };
    scene.ask(judge, 2, &blind, None, &[]).unwrap();
    let file = FileChanged {
        path: "b".into(),
        op: "move".into(),
        source: Some("a".into()),
        sha256: Some(hash(content)),
        ..FileChanged::default()
    };
    answered(scene, judge, 2, file)
}

#[test]
fn a_move_without_a_base_takes_what_was_read_last_or_never() {
    let (scene, mut judge) = begun();
    assert_eq!(moved(&scene, &mut judge, OLD), None);
    let (scene, mut judge) = begun();
    read(&scene, &mut judge, OLD);
    assert_eq!(moved(&scene, &mut judge, OLD), None);
    let (scene, mut judge) = begun();
    read(&scene, &mut judge, OLD);
    assert_eq!(moved(&scene, &mut judge, NEW), Some("stale-base"));
}

#[test]
fn a_server_that_has_died_remembers_nothing_of_what_was_read() {
    let (scene, mut judge) = begun();
    read(&scene, &mut judge, OLD);
    scene.died(&mut judge, "p-1").unwrap();
    assert_eq!(moved(&scene, &mut judge, NEW), None);
}

#[test]
fn what_was_moved_counts_as_seen_only_if_it_was_read() {
    let replaced = |unread: bool| {
        let (scene, mut judge) = begun();
        if !unread {
            read(&scene, &mut judge, OLD);
        }
        assert_eq!(moved(&scene, &mut judge, OLD), None);
        let write = Action::Write {
            path: "b".into(),
            merge: false,
            from_memory: true,
        };
        scene.ask(&mut judge, 3, &write, None, &[]).unwrap();
        let file = FileChanged {
            path: "b".into(),
            op: "write".into(),
            sha256: Some(hash(NEW)),
            previous_sha256: Some(hash(OLD)),
            ..FileChanged::default()
        };
        answered(&scene, &mut judge, 3, file)
    };
    assert_eq!(replaced(true), Some("stale-base"));
    assert_eq!(replaced(false), None);
}
