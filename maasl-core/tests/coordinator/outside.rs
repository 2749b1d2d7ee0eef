//! Writers that ignore MAASL, striking before every step.

use maasl_core::coordinator::io::{FileOp, Request};
use maasl_core::id::ContentHash;
use maasl_core::refusal::{Refusal, StaleReason};
use maasl_core::reply::FileChanged;

use super::asking::changed;
use super::ops::{delete, edit, hash, rename, write, write_merged};
use super::world::{Pid, Point, Side, World};

const PATHS: [&str; 3] = ["a", "b", "d"];
const FILES: [(&str, &str); 2] = [("a", "a1"), ("b", "b1")];
/// What outside writers do to a file: rewrite it, or remove it.
const STRIKES: [Option<&str>; 2] = [Some("outside"), None];

fn world() -> (World, Pid) {
    let (mut world, ann, _) = World::of_two(&FILES);
    for (path, _) in FILES {
        world.read(ann, path).unwrap();
    }
    (world, ann)
}

/// Stops `ann` before its `n`th step; whether it got that far.
fn reaches(world: &mut World, ann: Pid, n: usize) -> bool {
    let side = Side::Before;
    world.stop_at(ann, Point { n, side });
    world.run();
    world.is_stopped(ann)
}

/// Strikes once at `path` before every step of `ops`.
fn strike_once(ops: &[FileOp], path: &str, strike: Option<&str>) {
    for n in 0.. {
        let (mut world, ann) = world();
        let call = world.start_change(ann, ops.to_vec());
        if !reaches(&mut world, ann, n) {
            return;
        }
        let before = world.disk.clone();
        world.disk.outside(path, strike);
        world.resume(ann);
        let when = format!("{path} = {strike:?} after {:?}", world.sent(ann));
        let result = changed(world.finish(ann, call));
        world.assert_idle(&when);
        world.assert_unstaged_but(&[], &when);
        judge(&world, &before.files, path, strike, &result, &when);
    }
}

/// The outside content stands, unless the change was acknowledged: then either
/// it was made on top of it, or the strike came after it.
fn judge(
    world: &World,
    before: &std::collections::BTreeMap<String, Vec<u8>>,
    path: &str,
    strike: Option<&str>,
    result: &Result<Vec<FileChanged>, Refusal>,
    when: &str,
) {
    match result {
        Err(refusal) => {
            assert_eq!(world.disk.text(path), strike, "{when}: {refusal}");
            for (other, content) in FILES.iter().filter(|(other, _)| *other != path) {
                assert_eq!(world.disk.text(other), Some(*content), "{when}: {refusal}");
            }
            check_refusal(world, refusal, when);
        }
        Ok(done) => {
            let own = done.iter().find(|file| file.path == path);
            let own = own.and_then(|file| file.sha256);
            let late = before.get(path).map(|bytes| ContentHash::of(bytes)) == own;
            let struck = strike.map(hash);
            let on_top = done.iter().any(|file| {
                (file.path == path && file.previous_sha256 == struck)
                    || (file.source.as_deref() == Some(path) && file.sha256 == struck)
            });
            assert!(late || on_top, "{when}: {done:?}");
        }
    }
}

/// A version said to be kept is there, with its content.
fn check_refusal(world: &World, refusal: &Refusal, when: &str) {
    let Refusal::StaleVersion(stale) = refusal else {
        return;
    };
    let Some(number) = stale.kept_version else {
        return;
    };
    assert_eq!(stale.reason, StaleReason::SwapConflict, "{when}");
    let mut history = world.rows.history(&stale.path).iter();
    let kept = history.find(|version| version.number == number).unwrap();
    let content = kept.content.unwrap();
    assert!(world.disk.objects.contains_key(&content), "{when}");
    assert_eq!(kept.agent.as_str(), "ann", "{when}");
}

fn refactoring() -> Vec<FileOp> {
    vec![edit("a", "1", "2"), delete("b"), write("d", "d2")]
}

#[test]
fn a_strike_at_a_write_is_not_lost() {
    for strike in STRIKES {
        strike_once(&[write("a", "a2")], "a", strike);
        strike_once(&[write_merged("a", "a2", "a1")], "a", strike);
        strike_once(&[edit("a", "1", "2")], "a", strike);
    }
    strike_once(&[write("d", "d2")], "d", Some("outside"));
}

#[test]
fn a_strike_at_a_delete_is_not_lost() {
    for strike in STRIKES {
        strike_once(&[delete("b")], "b", strike);
    }
}

#[test]
fn a_strike_at_a_move_is_not_lost() {
    for strike in STRIKES {
        strike_once(&[rename("a", "d")], "a", strike);
    }
    strike_once(&[rename("a", "d")], "d", Some("outside"));
}

#[test]
fn a_strike_at_a_refactoring_is_not_lost() {
    for strike in STRIKES {
        for path in ["a", "b"] {
            strike_once(&refactoring(), path, strike);
        }
    }
    strike_once(&refactoring(), "d", Some("outside"));
}

/// Two strikes at two of these paths, the first inside the commit of `ops`.
fn strike_twice(ops: &[FileOp], [first, second]: [&str; 2], strikes: [Option<&str>; 2]) {
    for n in 0.. {
        for m in 0.. {
            let (mut world, ann) = world();
            let call = world.start_change(ann, ops.to_vec());
            if !reaches(&mut world, ann, n) {
                return;
            }
            if world.intents().is_empty() {
                break;
            }
            world.disk.outside(first, strikes[0]);
            world.resume(ann);
            if !reaches(&mut world, ann, m) {
                break;
            }
            world.disk.outside(second, strikes[1]);
            world.resume(ann);
            let when = format!("{strikes:?} at {first}, {second} by {:?}", world.sent(ann));
            let result = changed(world.finish(ann, call));
            world.assert_idle(&when);
            world.assert_unstaged_but(&[], &when);
            if let Err(refusal) = &result {
                assert_eq!(refusal.code(), "stale_version", "{when}: {refusal}");
                check_refusal(&world, refusal, &when);
            }
        }
    }
}

#[test]
fn two_strikes_at_a_refactoring_are_not_lost() {
    for first in PATHS {
        for second in PATHS {
            for one in [Some("outside 1"), None] {
                for two in [Some("outside 2"), None] {
                    strike_twice(&refactoring(), [first, second], [one, two]);
                }
            }
        }
    }
}

/// `ann` is struck at `path` before step `strike` and dies before `death` steps
/// more; whether it got that far with its commit open.
fn struck_and_dead(path: &str, content: Option<&str>, strike: usize, death: usize) -> Met {
    let (mut world, ann) = world();
    world.start_change(ann, refactoring());
    if !reaches(&mut world, ann, strike) {
        return Met::NoStrike;
    }
    world.disk.outside(path, content);
    world.resume(ann);
    if !reaches(&mut world, ann, death) {
        return Met::NoDeath;
    }
    world.kill(ann);
    Met::Both(Box::new(world))
}

enum Met {
    NoStrike,
    NoDeath,
    Both(Box<World>),
}

/// Every world in which `ann` was struck before some step, and died before some
/// step after that.
fn each_struck_and_dead(path: &str, content: Option<&str>, mut then: impl FnMut(World, &str)) {
    for strike in 0.. {
        for death in 0.. {
            match struck_and_dead(path, content, strike, death) {
                Met::NoStrike => return,
                Met::NoDeath => break,
                Met::Both(world) if world.intents().is_empty() => {}
                Met::Both(world) => {
                    let sent = world.sent(Pid(0));
                    let when = format!("{path} = {content:?} before {strike}, dead after {sent:?}");
                    then(*world, &when);
                }
            }
        }
    }
}

/// Somebody else looks at every file and then writes it.
fn recover_and_check(world: &mut World, when: &str) {
    let eve = world.spawn("eve");
    for path in PATHS {
        let _ = world.read(eve, path);
        let touched = world.change(eve, vec![write(path, "touched")]);
        assert!(touched.is_ok(), "{when}: {path}: {touched:?}");
    }
    world.assert_idle(when);
    world.assert_unstaged_but(&[Pid(0)], when);
}

#[test]
fn a_strike_and_a_death_lose_nothing() {
    for path in PATHS {
        each_struck_and_dead(path, Some("outside"), |mut world, when| {
            recover_and_check(&mut world, when);
        });
    }
}

#[test]
fn an_undoing_that_dies_is_undone() {
    for path in ["b", "d"] {
        each_struck_and_dead(path, Some("outside"), |mut world, when| {
            if world.intents()[0].turned_back {
                world.read(Pid(1), "a").unwrap();
                for (other, content) in FILES {
                    let content = if other == path { "outside" } else { content };
                    assert_eq!(world.disk.text(other), Some(content), "{when}: {other}");
                }
                check_versions(&world, path, Some(hash("outside")), when);
                assert_eq!(world.disk.text("d").is_some(), path == "d", "{when}");
            }
        });
    }
}

/// The steps of a refactoring before which it dies inside its undoing, having
/// been struck at its last file just before swapping that.
fn deaths_inside_an_undoing() -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for strike in 0.. {
        for death in 0.. {
            match struck_and_dead("d", Some("outside"), strike, death) {
                Met::NoStrike => {
                    let last = found.iter().map(|(strike, _)| *strike).max();
                    found.retain(|(strike, _)| Some(*strike) == last);
                    return found;
                }
                Met::NoDeath => break,
                Met::Both(world) => {
                    let undoing = world.intents().iter().any(|intent| intent.turned_back);
                    found.extend(undoing.then_some((strike, death)));
                }
            }
        }
    }
    found
}

#[test]
fn an_undoing_that_dies_may_be_struck_again() {
    for (strike, death) in deaths_inside_an_undoing() {
        for (path, again) in each_strike("outside 2") {
            for n in 0.. {
                let Met::Both(mut world) = struck_and_dead("d", Some("outside"), strike, death)
                else {
                    panic!("it got that far before");
                };
                let when = format!("dead after {:?}, {path} = {again:?}", world.sent(Pid(0)));
                if !recover_struck(&mut world, n, path, again, &when) {
                    break;
                }
            }
        }
    }
}

/// What an outside writer may do: to which file, and what.
fn each_strike(content: &'static str) -> Vec<(&'static str, Option<&'static str>)> {
    let of = |path| [(path, Some(content)), (path, None)];
    PATHS.into_iter().flat_map(of).collect()
}

/// Strikes before step `n` of a reader that recovers; whether it got that far.
fn recover_struck(
    world: &mut World,
    n: usize,
    path: &str,
    strike: Option<&str>,
    when: &str,
) -> bool {
    let bob = Pid(1);
    let call = world.call(bob, Request::Read("a".into()));
    world.start(bob, call);
    if !reaches(world, bob, n) {
        return false;
    }
    world.disk.outside(path, strike);
    world.resume(bob);
    world.run();
    let when = format!("{when}, then {:?}", world.sent(bob));
    let current = world.disk.hash(path);
    recover_and_check(world, &when);
    check_versions(world, path, current, &when);
    true
}

#[test]
fn a_strike_at_a_recovery_is_not_lost() {
    for (path, strike) in each_strike("outside") {
        for death in 0.. {
            let mut reached = true;
            for n in 0.. {
                let (mut world, ann) = world();
                world.start_change(ann, refactoring());
                reached = reaches(&mut world, ann, death);
                world.kill(ann);
                let when = format!("dead after {:?}, {path} = {strike:?}", world.sent(ann));
                if world.intents().is_empty() || !recover_struck(&mut world, n, path, strike, &when)
                {
                    break;
                }
            }
            if !reached {
                break;
            }
        }
    }
}

/// What a file held is among its versions.
#[track_caller]
fn check_versions(world: &World, path: &str, content: Option<ContentHash>, when: &str) {
    let mut history = world.rows.history(path).iter();
    let known = history.any(|version| version.content == content);
    assert!(known || content.is_none(), "{when}: {content:?}");
}
