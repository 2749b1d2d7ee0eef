//! Deaths at every step of a change, and of its recovery.

use std::collections::BTreeSet;

use maasl_core::coordinator::io::{FileOp, Reply, Request};
use maasl_core::id::SessionId;
use maasl_core::lease::{Query, Rows};

use super::ops::{edit, hash, rename, write, write_over};
use super::world::{Fault, Pid, Point, Side, World, at_every_point};

const BEFORE: [(&str, &str); 2] = [("a", "a1"), ("b", "b1")];

type Files = Vec<(String, String)>;

fn world() -> (World, Pid, Pid, Pid) {
    let (mut world, ann, bob) = World::of_two(&BEFORE);
    let eve = world.spawn("eve");
    (world, ann, bob, eve)
}

fn files(world: &World) -> Files {
    let files = world.disk.files.keys();
    let files = files.map(|path| (path.clone(), world.disk.text(path).unwrap().into()));
    files.collect()
}

/// What the files are if all of `ops` took effect.
fn whole(ops: &[FileOp]) -> Files {
    let (mut world, ann, ..) = world();
    world.change(ann, ops.to_vec()).unwrap();
    files(&world)
}

/// Somebody else reads and changes every path, which settles what was open.
fn touch_all(world: &mut World, pid: Pid, when: &str) -> Files {
    for path in ["a", "b", "d"] {
        let _ = world.read(pid, path);
    }
    let settled = files(world);
    for path in ["a", "b", "d"] {
        let touched = world.change(pid, vec![write(path, "touched")]);
        assert!(touched.is_ok(), "{when}: {path}: {touched:?}");
    }
    settled
}

/// Kills the author of `ops` at every point; another then finds all or nothing.
fn check_deaths(ops: &[FileOp]) -> usize {
    let (old, new) = (files(&world().0), whole(ops));
    at_every_point(|point| {
        let (mut world, ann, bob, _) = world();
        world.start_change(ann, ops.to_vec());
        if !world.dies(ann, point) {
            return false;
        }
        let when = format!("{point:?} of {:?}", world.sent(ann));
        let settled = touch_all(&mut world, bob, &when);
        assert!(settled == old || settled == new, "{when}: {settled:?}");
        check_aftermath(&world, &[ann], &when);
        true
    })
}

fn check_aftermath(world: &World, dead: &[Pid], when: &str) {
    world.assert_idle(when);
    world.assert_unstaged_but(dead, when);
    for (_, content) in BEFORE {
        assert!(world.disk.has(content), "{when}: {content} is lost");
    }
}

/// Kills the author before every step, and whoever recovers first before every
/// step. To die after a step is to die before the next.
fn check_deaths_in_recovery(ops: &[FileOp], recover: fn(&mut World, Pid)) {
    let (old, new) = (files(&world().0), whole(ops));
    for first in 0.. {
        for second in 0.. {
            let (mut world, ann, bob, eve) = world();
            world.start_change(ann, ops.to_vec());
            if !world.dies(ann, before(first)) {
                return;
            }
            recover(&mut world, bob);
            if world.intents().is_empty() || !world.dies(bob, before(second)) {
                break;
            }
            let when = format!("step {first}, then {second} of {:?}", world.sent(bob));
            let settled = touch_all(&mut world, eve, &when);
            assert!(settled == old || settled == new, "{when}: {settled:?}");
            check_aftermath(&world, &[ann, bob], &when);
        }
    }
}

fn before(n: usize) -> Point {
    let side = Side::Before;
    Point { n, side }
}

/// What was settled and changed again since is nobody's to settle: a recovery that
/// knows of an open commit from before it had the latches looks again.
#[test]
fn a_recovery_does_not_act_on_what_it_has_seen_long_ago() {
    for n in 0.. {
        let (mut world, ann, bob) = World::of_two(&[("a", "one")]);
        let eve = world.spawn("eve");
        world.read(ann, "a").unwrap();
        world.hold(ann, Some("FinishCommit"));
        world.start_change(ann, vec![rename("a", "d")]);
        world.run();
        world.kill(ann);
        assert_eq!(world.intents().len(), 1);
        by_recovering(&mut world, eve);
        if !world.stops(eve, before(n)) {
            assert!(n > 3, "{n}");
            return;
        }
        let when = format!("after {:?}", world.sent(eve));
        let back = world.change(bob, vec![rename("d", "a")]);
        world.resume(eve);
        world.run();
        if back.is_ok() {
            assert_eq!(world.disk.text("a"), Some("one"), "{when}");
            assert_eq!(world.disk.text("d"), None, "{when}");
        }
    }
}

fn by_reading(world: &mut World, pid: Pid) {
    let call = world.call(pid, Request::Read("a".into()));
    world.start(pid, call);
}

/// A write that is refused in the end, so that files stay as recovery left them.
fn by_writing(world: &mut World, pid: Pid) {
    world.start_change(pid, vec![write_over("a", "bob", "never")]);
}

fn by_recovering(world: &mut World, pid: Pid) {
    let call = world.call(pid, Request::Recover);
    world.start(pid, call);
}

fn by_burying(world: &mut World, pid: Pid) {
    let call = world.call(pid, Request::Bury(ann()));
    world.start(pid, call);
}

fn ann() -> BTreeSet<SessionId> {
    BTreeSet::from([SessionId::new("session-ann")])
}

fn bury(world: &mut World, pid: Pid) -> BTreeSet<SessionId> {
    let call = world.call(pid, Request::Bury(ann()));
    match world.ask(pid, call).result {
        Ok(Reply::Buried(buried)) => buried,
        other => panic!("{other:?}"),
    }
}

fn is_known(world: &World, session: &SessionId) -> bool {
    let Rows::Sessions(sessions) = world.rows.load(&Query::AllSessions) else {
        panic!("sessions were asked for");
    };
    sessions.iter().any(|known| known.id == *session)
}

fn refactoring() -> Vec<FileOp> {
    let (path, base) = ("b".into(), Some(hash("b1")));
    let delete = FileOp::Delete { path, base };
    vec![edit("a", "1", "2"), delete, write("d", "d2")]
}

fn moves() -> Vec<FileOp> {
    vec![rename("a", "d")]
}

#[test]
fn a_write_survives_its_author_or_never_was() {
    assert!(check_deaths(&[edit("a", "1", "2")]) > 20);
}

#[test]
fn a_new_file_survives_its_author_or_never_was() {
    check_deaths(&[write("d", "d2")]);
}

#[test]
fn a_delete_survives_its_author_or_never_was() {
    let base = Some(hash("a1"));
    check_deaths(&[FileOp::Delete {
        path: "a".into(),
        base,
    }]);
}

#[test]
fn a_move_survives_its_author_or_never_was() {
    check_deaths(&moves());
}

#[test]
fn a_refactoring_survives_its_author_or_never_was() {
    assert!(check_deaths(&refactoring()) > 30);
}

#[test]
fn recovery_of_a_write_may_die_anywhere() {
    check_deaths_in_recovery(&[edit("a", "1", "2")], by_reading);
    check_deaths_in_recovery(&[edit("a", "1", "2")], by_writing);
}

#[test]
fn recovery_of_a_move_may_die_anywhere() {
    check_deaths_in_recovery(&moves(), by_reading);
    check_deaths_in_recovery(&moves(), by_writing);
}

#[test]
fn recovery_of_a_refactoring_may_die_anywhere() {
    check_deaths_in_recovery(&refactoring(), by_reading);
    check_deaths_in_recovery(&refactoring(), by_writing);
    check_deaths_in_recovery(&refactoring(), by_recovering);
    check_deaths_in_recovery(&refactoring(), by_burying);
}

#[test]
fn the_dead_are_forgotten_wherever_they_died() {
    let (old, new) = (files(&world().0), whole(&refactoring()));
    let points = at_every_point(|point| {
        let (mut world, author, bob, _) = world();
        world.start_change(author, refactoring());
        if !world.dies(author, point) {
            return false;
        }
        assert_eq!(bury(&mut world, bob), ann(), "{point:?}");
        assert!(world.intents().is_empty(), "{point:?}");
        assert!(!ann().iter().any(|session| is_known(&world, session)));
        let settled = files(&world);
        assert!(settled == old || settled == new, "{point:?}: {settled:?}");
        true
    });
    assert!(points > 30);
}

#[test]
fn the_dead_stay_known_while_a_commit_of_theirs_is_open() {
    let (mut world, author, bob, _) = world();
    world.start_change(author, refactoring());
    world.hold(author, Some("FinishCommit"));
    world.run();
    world.kill(author);
    assert!(!world.intents().is_empty());
    world.inject(bob, "SyncNames", 1, Fault::FailsBefore);
    assert!(bury(&mut world, bob).is_empty());
    assert!(ann().iter().all(|session| is_known(&world, session)));
    assert_eq!(bury(&mut world, bob), ann());
}

#[test]
fn the_dead_stay_known_while_a_commit_needs_what_they_staged() {
    let (mut world, author, bob, _) = world();
    world.start_change(author, refactoring());
    world.hold(author, Some("FinishCommit"));
    world.run();
    // The commit is now that of a session which nobody has.
    world.open_again(author);
    world.kill(author);
    assert!(!world.intents().is_empty());
    assert!(bury(&mut world, bob).is_empty());
}
