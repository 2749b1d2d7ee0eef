//! Documents whose maker is struck: killed, stopped, failing or overtaken at any
//! step.

use maasl_core::coordinator::io::Request;
use maasl_core::lease::Counter;

use super::docgen::{DOCUMENT, SOURCE, ask, by_generator, count, header_of, stale_source, wanted};
use super::ops::hash;
use super::world::{Fault, Point, Side, at_every_point};

/// Whenever the source moves after the gate, what was made from it before is not
/// written, or it was written before.
#[test]
fn a_source_that_moves_at_any_step_leaves_no_document_of_its_past() {
    let points = at_every_point(|point| {
        let (mut world, ann, _) = by_generator();
        let call = world.call(ann, Request::Document(wanted(None, None)));
        let id = world.start(ann, call);
        if !world.stops(ann, point) {
            return false;
        }
        let begun = world.rows.intents().count() > 0 || world.disk.text(DOCUMENT).is_some();
        world.disk.outside(SOURCE, Some("two"));
        world.resume(ann);
        let reply = world.finish(ann, id).result;
        let about = header_of(&world);
        match reply {
            // It was read after the change.
            Ok(_) if about == Some(hash("two")) => {}
            Ok(_) => assert_eq!(about, Some(hash("one")), "{point:?}"),
            refused => {
                assert!(!begun, "{point:?}");
                stale_source(refused, "one", Some("two"));
                assert_eq!(about, None, "{point:?}");
            }
        }
        if !begun && about == Some(hash("one")) {
            // Only the last look before the intent may miss a change.
            let after_look =
                matches!(point.side, Side::After) || world.sent(ann)[point.n] == "BeginCommit";
            assert!(after_look, "{point:?}: {:?}", world.sent(ann)[point.n]);
        }
        world.assert_idle("over");
        world.assert_unstaged_but(&[], "over");
        true
    });
    assert!(points > 20, "{points}");
}

#[test]
fn a_document_survives_its_author_or_never_was_and_is_counted_once() {
    at_every_point(|point| dies_at(point).is_some());
}

/// One call that dies at a point, and another that comes after it.
fn dies_at(point: Point) -> Option<()> {
    let (mut world, ann, bob) = by_generator();
    let call = world.call(ann, Request::Document(wanted(None, None)));
    world.start(ann, call);
    if !world.dies(ann, point) {
        return None;
    }
    let mut call = world.call(bob, Request::Document(wanted(None, None)));
    call.max_wait_ms = Some(600_000);
    let reply = world.ask(bob, call).result;
    reply.unwrap_or_else(|refusal| panic!("{point:?}: {refusal}"));
    assert_eq!(header_of(&world), Some(hash("one")), "{point:?}");
    assert_eq!(count(&world, Counter::DocgenGenerated), 1, "{point:?}");
    let versions = world.rows.history(DOCUMENT).len();
    assert_eq!(versions, 1, "{point:?}");
    world.disk.assert_nothing_lost("recovered");
    Some(())
}

#[test]
fn an_outside_document_that_appears_meanwhile_is_not_destroyed() {
    at_every_point(|point| {
        let (mut world, ann, _) = by_generator();
        let call = world.call(ann, Request::Document(wanted(None, None)));
        let id = world.start(ann, call);
        if !world.stops(ann, point) {
            return false;
        }
        world.disk.outside(DOCUMENT, Some("by hand"));
        world.resume(ann);
        let _ = world.finish(ann, id);
        world.disk.assert_nothing_lost("appeared");
        true
    });
}

#[test]
fn a_store_that_fails_at_any_step_leaves_documents_whole() {
    for n in 0..40 {
        for fault in [Fault::FailsBefore, Fault::FailsAfter] {
            let (mut world, ann, bob) = by_generator();
            world.inject_at(ann, n, fault);
            let _ = ask(&mut world, ann, wanted(None, None));
            let about = header_of(&world);
            assert!(
                about.is_none() || about == Some(hash("one")),
                "{n}: {fault:?}"
            );
            world.kill(ann);
            let mut call = world.call(bob, Request::Document(wanted(None, None)));
            call.max_wait_ms = Some(600_000);
            world.ask(bob, call).result.unwrap();
            assert_eq!(header_of(&world), Some(hash("one")), "{n}: {fault:?}");
            assert_eq!(count(&world, Counter::DocgenGenerated), 1, "{n}: {fault:?}");
        }
    }
}

/// A maker that is stopped beyond its lease is fenced: what a later one made of a
/// later source stands.
#[test]
fn a_paused_maker_is_fenced_or_keeps_others_out() {
    let points = at_every_point(|point| {
        let (mut world, ann, bob) = by_generator();
        let call = world.call(ann, Request::Document(wanted(None, None)));
        let paused = world.start(ann, call);
        if !world.stops(ann, point) {
            return false;
        }
        world.advance(300_000);
        world.disk.outside(SOURCE, Some("two"));
        let other = ask(&mut world, bob, wanted(None, None));
        world.resume(ann);
        let late = world.finish(ann, paused).result;
        if other.is_ok() {
            assert_eq!(header_of(&world), Some(hash("two")), "{point:?}: {late:?}");
        }
        let versions = world.rows.history(DOCUMENT).len() as u64;
        let documents = count(&world, Counter::DocgenGenerated);
        assert_eq!(documents, versions, "{point:?}");
        world.disk.assert_nothing_lost("resumed");
        // A lease whose latch a stopped process stood in was left to run out.
        assert!(world.latches_are_free() && world.under_way() == 0);
        true
    });
    assert!(points > 20, "{points}");
}
