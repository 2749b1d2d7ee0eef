//! Guarded writes of databases: fenced, once, and nothing when refused.

use maasl_core::coordinator::database::DatabaseWrite;
use maasl_core::coordinator::enrich::Span;
use maasl_core::coordinator::io::{Call, Request};
use maasl_core::database::{Statement, Work};
use maasl_core::refusal::Refusal;
use maasl_core::reply::{Receipt, SkipReason};

use super::asking::receipt;
use super::databases::add;
use super::ops::{code, key, lease, reserve, reserve_database};
use super::world::{Fault, Pid, World, at_every_point};

fn world() -> (World, Pid, Pid) {
    World::of_two(&[])
}

fn request(rows: &[&str]) -> Request {
    let statements: Vec<Statement> = rows.iter().map(|row| add(row)).collect();
    Request::Database(DatabaseWrite {
        db: "rag".into(),
        work: Work::Statements(statements),
    })
}

fn keyed(world: &mut World, pid: Pid, rows: &[&str], name: &str) -> Call {
    Call {
        request: Some(key(name, &rows.join(" "))),
        ..world.call(pid, request(rows))
    }
}

fn write(world: &mut World, pid: Pid, rows: &[&str]) -> Result<Receipt, Refusal> {
    let call = world.call(pid, request(rows));
    receipt(world.ask(pid, call))
}

fn rows(world: &mut World) -> Vec<String> {
    let texts = world.databases.of("rag").texts();
    texts.into_iter().map(str::to_owned).collect()
}

#[test]
fn a_write_is_committed_under_its_token() {
    let (mut world, ann, _) = world();
    let written = write(&mut world, ann, &["x", "y"]).unwrap();
    let Receipt::Written {
        rows_affected,
        token,
        ..
    } = written
    else {
        panic!("{written:?}");
    };
    assert_eq!(rows_affected, 2);
    assert_eq!(rows(&mut world), ["x", "y"]);
    assert_eq!(world.databases.of("rag").fence, token);
    world.assert_idle("written");
}

#[test]
fn what_cannot_be_done_is_refused_and_changes_nothing() {
    let (mut world, ann, _) = world();
    let refused = write(&mut world, ann, &["x", "bad"]);
    let Err(Refusal::InvalidRequest { field, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(field, "statements[1]");
    assert_eq!(code(&write(&mut world, ann, &[])), "invalid_request");
    let many = vec!["x"; 1_001];
    assert_eq!(code(&write(&mut world, ann, &many)), "limit_reached");
    let unknown = Request::Database(DatabaseWrite {
        db: "other".into(),
        work: Work::Statements(vec![add("x")]),
    });
    let call = world.call(ann, unknown);
    let refused = receipt(world.ask(ann, call));
    let Err(refusal @ Refusal::InvalidRequest { .. }) = refused else {
        panic!("{refused:?}");
    };
    assert!(refusal.hint().contains("rag"), "{}", refusal.hint());
    assert_eq!(rows(&mut world), [""; 0]);
    world.assert_idle("refused");
}

#[test]
fn a_paused_writer_is_fenced_or_keeps_others_out() {
    let mut refused = 0;
    let points = at_every_point(|point| {
        let (mut world, ann, bob) = world();
        let call = world.call(ann, request(&["ann"]));
        let call = world.start(ann, call);
        if !world.stops(ann, point) {
            return false;
        }
        world.advance(61_000);
        let others = write(&mut world, bob, &["bob"]);
        world.resume(ann);
        let own = world.finish(ann, call).result;
        let found = rows(&mut world);
        let when = format!("{point:?} of {:?}", world.sent(ann));
        let mut told: Vec<&str> = Vec::new();
        told.extend(others.is_ok().then_some("bob"));
        told.extend(own.is_ok().then_some("ann"));
        told.sort_unstable();
        let mut sorted: Vec<&str> = found.iter().map(String::as_str).collect();
        sorted.sort_unstable();
        assert_eq!(sorted, told, "{when}: {own:?} and {others:?}");
        refused += usize::from(own.is_err());
        // A lease that could not be returned has run out: the next takes it over.
        assert_eq!(code(&write(&mut world, bob, &["end"])), "ok", "{when}");
        world.assert_idle(&when);
        true
    });
    assert!(points > 16 && refused > 8, "{refused} of {points}");
}

#[test]
fn a_write_that_dies_at_any_step_is_whole_or_not_there() {
    let points = at_every_point(|point| {
        let (mut world, ann, bob) = world();
        let call = keyed(&mut world, ann, &["x", "y"], "k");
        world.start(ann, call);
        if !world.dies(ann, point) {
            return false;
        }
        let when = format!("{point:?} of {:?}", world.sent(ann));
        // The same request again, through another process: one effect.
        let again = keyed(&mut world, bob, &["x", "y"], "k");
        let again = receipt(world.ask(bob, again));
        assert_eq!(code(&again), "ok", "{when}");
        assert_eq!(rows(&mut world), ["x", "y"], "{when}");
        assert!(world.databases.of("rag").is_quiet(), "{when}");
        world.assert_idle(&when);
        true
    });
    assert!(points > 16, "{points}");
}

#[test]
fn a_key_gives_the_same_answer_and_one_effect() {
    let (mut world, ann, bob) = world();
    let call = keyed(&mut world, ann, &["x"], "k");
    let first = receipt(world.ask(ann, call));
    let call = keyed(&mut world, bob, &["x"], "k");
    assert_eq!(receipt(world.ask(bob, call)), first);
    let call = keyed(&mut world, bob, &["y"], "k");
    assert_eq!(code(&receipt(world.ask(bob, call))), "idempotency_mismatch");
    assert_eq!(rows(&mut world), ["x"]);
    world.assert_idle("replayed");
}

#[test]
fn a_newer_token_in_the_database_shuts_an_older_one_out() {
    let (mut world, ann, bob) = world();
    write(&mut world, bob, &["bob"]).unwrap();
    // The store is another one, which counts from the first again.
    world.databases.of("rag").fence = maasl_core::id::Token::new(60_000, 7).unwrap();
    assert_eq!(code(&write(&mut world, ann, &["ann"])), "lease_lost");
    assert_eq!(rows(&mut world), ["bob"]);
    world.assert_idle("fenced");
}

#[test]
fn a_database_that_somebody_has_is_busy_and_says_who() {
    let (mut world, ann, bob) = world();
    let call = world.call(ann, request(&["ann"]));
    let call = world.start(ann, call);
    world.hold(ann, Some("DbCommit"));
    world.run();
    let refused = write(&mut world, bob, &["bob"]);
    let Err(Refusal::DbBusy(busy)) = refused else {
        panic!("{refused:?}");
    };
    assert!(!busy.foreign);
    assert_eq!(busy.busy.blockers[0].owner.agent.as_str(), "ann");
    assert!(busy.busy.waited_ms >= 1_000, "{busy:?}");
    world.hold(ann, None);
    assert!(world.finish(ann, call).result.is_ok());
    assert_eq!(rows(&mut world), ["ann"]);
    world.assert_idle("busy");
}

#[test]
fn a_lease_that_could_not_be_returned_is_ended_by_the_next_call() {
    let (mut world, ann, bob) = world();
    world.inject(ann, "Release", 1, Fault::FailsBefore);
    world.inject(ann, "Expire", 1, Fault::FailsBefore);
    assert_eq!(code(&write(&mut world, ann, &["x"])), "ok");
    assert_eq!(world.leases().len(), 1);
    let before = world.now;
    assert_eq!(code(&write(&mut world, ann, &["y"])), "ok");
    assert_eq!(code(&write(&mut world, bob, &["z"])), "ok");
    assert_eq!(world.now, before, "nobody waits for it to run out");
    assert_eq!(rows(&mut world), ["x", "y", "z"]);
    world.assert_idle("ended");
}

#[test]
fn a_foreign_writer_is_told_as_such() {
    let (mut world, ann, _) = world();
    world.databases.of("rag").foreign = true;
    let refused = write(&mut world, ann, &["ann"]);
    let Err(Refusal::DbBusy(busy)) = refused else {
        panic!("{refused:?}");
    };
    assert!(busy.foreign);
    world.databases.of("rag").foreign = false;
    assert_eq!(code(&write(&mut world, ann, &["ann"])), "ok");
    world.assert_idle("foreign");
}

#[test]
fn a_presented_lease_must_cover_the_database() {
    let (mut world, ann, _) = world();
    let call = world.call(ann, reserve(&["f"]));
    let granted = receipt(world.ask(ann, call)).unwrap();
    let call = Call {
        lease: Some(lease(&granted)),
        ..world.call(ann, request(&["x"]))
    };
    let refused = receipt(world.ask(ann, call));
    assert_eq!(code(&refused), "invalid_request");
    let call = world.call(ann, reserve_database("rag"));
    let granted = receipt(world.ask(ann, call)).unwrap();
    let call = Call {
        lease: Some(lease(&granted)),
        ..world.call(ann, request(&["x"]))
    };
    assert_eq!(code(&receipt(world.ask(ann, call))), "ok");
    assert_eq!(world.leases().len(), 2, "both are the caller's still");
}

#[test]
fn a_failure_at_any_step_leaves_nothing_half_done() {
    for fault in [Fault::FailsBefore, Fault::FailsAfter] {
        for n in 0.. {
            let (mut world, ann, bob) = world();
            world.inject_at(ann, n, fault);
            let result = write(&mut world, ann, &["x", "y"]);
            if world.sent(ann).len() <= n {
                break;
            }
            let when = format!("{fault:?} of step {n} of {:?}", world.sent(ann));
            let found = rows(&mut world);
            let whole = found == ["x", "y"];
            assert!(whole || found.is_empty(), "{when}: {found:?}");
            if result.is_ok() {
                assert!(whole, "{when}: acknowledged and not there");
            }
            world.advance(61_000);
            assert_eq!(code(&write(&mut world, bob, &["z"])), "ok", "{when}");
        }
    }
}

fn span(path: &str, lines: [u64; 2], described: Option<&str>) -> Span {
    Span {
        path: path.into(),
        start_line: lines[0],
        end_line: lines[1],
        summary: format!("{path} {lines:?}"),
        tags: Vec::new(),
        sha256: described.map(super::ops::hash),
    }
}

#[test]
fn what_no_longer_fits_is_left_out_and_named() {
    let (mut world, ann, _) = World::of_two(&[("f", "one\ntwo\nthree")]);
    let spans = vec![
        span("f", [1, 2], Some("one\ntwo\n")),
        span("f", [2, 2], Some("zwei\n")),
        span("f", [3, 3], None),
        span("f", [3, 4], None),
        span("g", [1, 1], None),
    ];
    let call = world.call(ann, Request::Enrich(spans));
    let Ok(Receipt::Enriched {
        enriched, skipped, ..
    }) = receipt(world.ask(ann, call))
    else {
        panic!("it is enriched");
    };
    let reasons: Vec<_> = skipped.iter().map(|span| span.reason).collect();
    assert_eq!(enriched, 2);
    assert_eq!(
        reasons,
        [
            SkipReason::Changed,
            SkipReason::OutOfRange,
            SkipReason::Missing,
        ]
    );
    assert_eq!(skipped[0].current, Some(super::ops::hash("two\n")));
    assert_eq!(rows(&mut world), ["f [1, 2]", "f [3, 3]"]);
    for bad in [span("f", [0, 1], None), span("f", [2, 1], None)] {
        let call = world.call(ann, Request::Enrich(vec![bad]));
        assert_eq!(code(&receipt(world.ask(ann, call))), "invalid_request");
    }
    world.assert_idle("enriched");
}

#[test]
fn a_cancelled_write_is_rolled_back() {
    let (mut world, ann, _) = world();
    let call = world.call(ann, request(&["x"]));
    let call = world.start(ann, call);
    world.hold(ann, Some("DbExecute"));
    world.run();
    world.cancel(ann, call);
    world.hold(ann, None);
    let result = world.finish(ann, call).result;
    assert_eq!(result.unwrap_err().code(), "cancelled");
    assert_eq!(rows(&mut world), [""; 0]);
    world.assert_idle("cancelled");
}
