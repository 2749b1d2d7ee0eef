//! Documents: made once for each content of their source, by whoever comes first.

use maasl_core::config::Config;
use maasl_core::coordinator::io::{DocumentWanted, Reply, Request, Response};
use maasl_core::docgen::{DocgenStatus, GeneratorFailure, GeneratorFault, Layout, header};
use maasl_core::lease::Counter;
use maasl_core::refusal::Refusal;
use maasl_core::reply::{FileChanged, Receipt};

use super::generator::DocgenLock;
use super::ops::{hash, key, lease, reservation, write_over};
use super::world::{Pid, World};

pub(super) const SOURCE: &str = "src/a.py";
pub(super) const DOCUMENT: &str = "DOCS/REPODOCS/src/a.py.md";

pub(super) fn wanted(content: Option<&str>, made_from: Option<&str>) -> DocumentWanted {
    DocumentWanted {
        path: SOURCE.into(),
        content: content.map(Into::into),
        made_from: made_from.map(hash),
        replaces: None,
    }
}

/// A world whose agents write documents themselves.
fn by_hand() -> (World, Pid, Pid) {
    World::of_two(&[(SOURCE, "one")])
}

/// A world with a generator.
pub(super) fn by_generator() -> (World, Pid, Pid) {
    let mut config = Config::default();
    config.docgen.command = vec!["generate".into()];
    let mut world = World::with(config);
    world.disk.outside(SOURCE, Some("one"));
    let (ann, bob) = (world.spawn("ann"), world.spawn("bob"));
    (world, ann, bob)
}

pub(super) fn ask(world: &mut World, pid: Pid, wanted: DocumentWanted) -> Result<Reply, Refusal> {
    let call = world.call(pid, Request::Document(wanted));
    world.ask(pid, call).result
}

fn made(reply: Result<Reply, Refusal>) -> FileChanged {
    match reply {
        Ok(Reply::Receipt(Receipt::Changed { files, .. })) => files[0].clone(),
        other => panic!("not made: {other:?}"),
    }
}

#[track_caller]
fn assert_fresh(reply: &Result<Reply, Refusal>) {
    let fresh = matches!(reply, Ok(Reply::Receipt(Receipt::Fresh { .. })));
    assert!(fresh, "{reply:?}");
}

#[track_caller]
pub(super) fn stale_source(reply: Result<Reply, Refusal>, expected: &str, current: Option<&str>) {
    let Err(Refusal::DocgenStale(stale)) = reply else {
        panic!("not stale: {reply:?}");
    };
    assert_eq!(stale.expected, Some(hash(expected)));
    assert_eq!(stale.current, current.map(hash));
}

/// What the document says it was made from.
pub(super) fn header_of(world: &World) -> Option<maasl_core::id::ContentHash> {
    header::read(world.disk.text(DOCUMENT)?.as_bytes())
}

pub(super) fn count(world: &World, counter: Counter) -> u64 {
    let counters = world.rows.counters().iter();
    let ours = counters.filter(|(key, _)| key.counter == counter && *key.class == *"IDEMP_DOCS");
    ours.map(|(_, value)| value).sum()
}

/// Generated, noop and error: as counted, and as logged.
#[track_caller]
fn assert_counted(world: &World, expected: [u64; 3]) {
    let counters = [
        Counter::DocgenGenerated,
        Counter::DocgenNoop,
        Counter::DocgenError,
    ];
    assert_eq!(counters.map(|counter| count(world, counter)), expected);
    let statuses = [
        DocgenStatus::Generated,
        DocgenStatus::Noop,
        DocgenStatus::Error,
    ];
    let logged = statuses.map(|status| {
        let log = world.rows.docgen_log();
        log.filter(|record| record.status == status).count() as u64
    });
    assert_eq!(logged, expected, "logged");
}

#[test]
fn who_is_asked_for_content_gets_the_source_and_writes_once() {
    let (mut world, ann, bob) = by_hand();
    let Ok(Reply::NeedsContent(needs)) = ask(&mut world, ann, wanted(None, None)) else {
        panic!("no question");
    };
    assert_eq!((&*needs.content, &*needs.document), (&b"one"[..], DOCUMENT));
    assert_eq!(needs.source_sha256, hash("one"));
    let file = made(ask(&mut world, ann, wanted(Some("# A"), Some("one"))));
    assert_eq!(
        (&*file.path, &*file.op, file.version),
        (DOCUMENT, "docgen", 1)
    );
    let written = world.disk.text(DOCUMENT).unwrap().to_owned();
    assert_eq!(
        written,
        format!("<!-- SHA256: {} -->\n\n# A\n", hash("one"))
    );
    for again in [wanted(None, None), wanted(Some("# B"), Some("one"))] {
        assert_fresh(&ask(&mut world, bob, again));
    }
    assert_eq!(world.disk.text(DOCUMENT), Some(&*written));
    assert_counted(&world, [1, 2, 0]);
    world.assert_idle("written");
    world.assert_unstaged_but(&[], "written");
}

#[test]
fn a_generator_writes_once_for_each_content_of_the_source() {
    let (mut world, ann, bob) = by_generator();
    made(ask(&mut world, ann, wanted(None, None)));
    assert_eq!(header_of(&world), Some(hash("one")));
    assert_fresh(&ask(&mut world, bob, wanted(None, None)));
    world.disk.outside(SOURCE, Some("two"));
    let file = made(ask(&mut world, bob, wanted(None, None)));
    assert_eq!(header_of(&world), Some(hash("two")));
    assert!(
        file.previous_sha256.is_some(),
        "what it said before is kept"
    );
    assert_eq!(world.generator.runs, [SOURCE, SOURCE]);
    assert_counted(&world, [2, 1, 0]);
    world.disk.assert_nothing_lost("regenerated");
}

#[test]
fn those_who_ask_at_once_get_one_document() {
    for wanted in [wanted(None, None), wanted(Some("# A"), Some("one"))] {
        let (mut world, ann, bob) = by_generator();
        let calls = [ann, bob, ann, bob, ann].map(|pid| {
            let call = world.call(pid, Request::Document(wanted.clone()));
            (pid, world.start(pid, call))
        });
        let replies = calls.map(|(pid, id)| world.finish(pid, id).result);
        let fresh = replies
            .iter()
            .filter(|reply| matches!(reply, Ok(Reply::Receipt(Receipt::Fresh { .. }))));
        assert_eq!(fresh.count(), 4, "{replies:?}");
        assert_counted(&world, [1, 4, 0]);
        assert!(world.generator.runs.len() <= 1);
        world.assert_idle("all answered");
    }
}

#[test]
fn content_made_from_a_source_that_moved_is_refused_and_writes_nothing() {
    let (mut world, ann, _) = by_hand();
    ask(&mut world, ann, wanted(None, None)).unwrap();
    world.disk.outside(SOURCE, Some("two"));
    let refused = ask(&mut world, ann, wanted(Some("# A"), Some("one")));
    stale_source(refused, "one", Some("two"));
    assert_eq!(world.disk.text(DOCUMENT), None);
    assert_counted(&world, [0, 0, 1]);
    world.assert_idle("refused");
}

#[test]
fn a_source_that_goes_during_generation_is_stale() {
    let (mut world, ann, _) = by_generator();
    let call = world.call(ann, Request::Document(wanted(None, None)));
    let id = world.start(ann, call);
    world.hold(ann, Some("Generate"));
    world.run();
    world.disk.outside(SOURCE, None);
    world.hold(ann, None);
    stale_source(world.finish(ann, id).result, "one", None);
    assert!(
        !world.sent(ann).contains(&"Stage"),
        "it was noticed at once"
    );
    assert_eq!(world.disk.text(DOCUMENT), None);
}

#[test]
fn a_lease_outlives_a_long_generation_and_keeps_others_out() {
    let (mut world, ann, bob) = by_generator();
    let call = world.call(ann, Request::Document(wanted(None, None)));
    let id = world.start(ann, call);
    world.hold(ann, Some("Generate"));
    world.advance(400_000);
    world.disk.outside("src/b.py", Some("other"));
    let other = DocumentWanted {
        path: "src/b.py".into(),
        ..wanted(None, None)
    };
    let refused = ask(&mut world, bob, other).expect_err("held");
    let Refusal::ResourceBusy(busy) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(busy.resource, "docgen:repo");
    world.hold(ann, None);
    made(world.finish(ann, id).result);
    assert_counted(&world, [1, 0, 1]);
}

#[test]
fn a_document_of_somebodys_own_is_kept_until_its_content_is_named() {
    let (mut world, ann, _) = by_hand();
    world.disk.outside(DOCUMENT, Some("by hand"));
    for asked in [wanted(None, None), wanted(Some("# A"), Some("one"))] {
        let refused = ask(&mut world, ann, asked).expect_err("somebody's own");
        assert_eq!(refused.code(), "docgen_unmarked");
        assert_eq!(world.disk.text(DOCUMENT), Some("by hand"));
    }
    let named = DocumentWanted {
        replaces: Some(hash("by hand")),
        ..wanted(Some("# A"), Some("one"))
    };
    let file = made(ask(&mut world, ann, named));
    assert_eq!(file.previous_sha256, Some(hash("by hand")));
    world.disk.assert_nothing_lost("replaced");
    assert_counted(&world, [1, 0, 2]);
}

#[test]
fn what_its_author_has_not_read_is_not_seen() {
    let (mut world, ann, _) = by_generator();
    made(ask(&mut world, ann, wanted(None, None)));
    let refused = world.change(ann, vec![super::ops::write(DOCUMENT, "mine")]);
    assert_eq!(
        super::ops::stale(refused).reason,
        maasl_core::refusal::StaleReason::NeverRead
    );
}

#[test]
fn who_was_given_the_source_has_seen_it() {
    let (mut world, ann, _) = by_hand();
    ask(&mut world, ann, wanted(None, None)).unwrap();
    world
        .change(ann, vec![super::ops::write(SOURCE, "two")])
        .unwrap();
}

#[test]
fn a_generator_that_fails_or_writes_no_document_is_told_and_nothing_is_written() {
    let failure = GeneratorFailure {
        fault: GeneratorFault::TimedOut { allowed_ms: 7 },
        stderr: "why".into(),
    };
    let foreign = format!("SHA256: {}\n\ntext", hash("other"));
    for (failure, writes) in [
        (Some(failure), None),
        (None, Some(String::new())),
        (None, Some(foreign)),
    ] {
        let (mut world, ann, _) = by_generator();
        world.generator.failure = failure;
        world.generator.writes = writes;
        let refused = ask(&mut world, ann, wanted(None, None)).expect_err("no document");
        assert_eq!(refused.code(), "docgen_failed");
        assert_eq!(world.disk.text(DOCUMENT), None);
        assert_counted(&world, [0, 0, 1]);
        let log: Vec<_> = world.rows.docgen_log().collect();
        assert_eq!(log[0].error.as_deref(), Some(&*refused.to_string()));
        world.assert_idle("refused");
    }
}

#[test]
fn a_generators_own_header_is_taken_for_ours() {
    let (mut world, ann, _) = by_generator();
    world.generator.writes = Some(format!("SHA256: {}\n# A\n", hash("one")));
    made(ask(&mut world, ann, wanted(None, None)));
    let written = world.disk.text(DOCUMENT).unwrap();
    assert_eq!(
        written,
        format!("<!-- SHA256: {} -->\n\n# A\n", hash("one"))
    );
}

#[test]
fn the_same_key_gives_the_same_answer_whichever_that_was() {
    for first in [wanted(Some("# A"), Some("one")), wanted(None, None)] {
        let (mut world, ann, bob) = by_generator();
        let asked = |world: &mut World, pid, name: &str| {
            let mut call = world.call(pid, Request::Document(first.clone()));
            call.request = Some(key(name, name));
            world.ask(pid, call).result.unwrap()
        };
        let (generated, noop) = (asked(&mut world, ann, "k1"), asked(&mut world, ann, "k2"));
        assert_ne!(generated, noop);
        assert_eq!(asked(&mut world, bob, "k1"), generated);
        world.disk.outside(SOURCE, Some("two"));
        assert_eq!(
            asked(&mut world, bob, "k2"),
            noop,
            "although the source moved"
        );
        assert_counted(&world, [1, 1, 0]);
    }
}

#[test]
fn copies_of_a_request_in_two_processes_get_one_answer() {
    let (mut world, ann, bob) = by_generator();
    let calls = [ann, bob].map(|pid| {
        let mut call = world.call(pid, Request::Document(wanted(None, None)));
        call.request = Some(key("k", "asked"));
        (pid, world.start(pid, call))
    });
    let [left, right] = calls.map(|(pid, id)| world.finish(pid, id).result.unwrap());
    assert_eq!(left, right);
    assert_counted(&world, [1, 0, 0]);
}

#[test]
fn a_presented_lease_must_cover_the_documents() {
    let (mut world, ann, _) = by_hand();
    let mut under = |wants: maasl_core::coordinator::io::Reservation| {
        let call = world.call(ann, Request::Reserve(wants));
        let Response { result, .. } = world.ask(ann, call);
        let Ok(Reply::Receipt(granted)) = result else {
            panic!("{result:?}");
        };
        let asked = wanted(Some("# A"), Some("one"));
        let mut call = world.call(ann, Request::Document(asked));
        call.lease = Some(lease(&granted));
        let result = world.ask(ann, call).result;
        let call = world.call(ann, Request::ReleaseAll);
        let _ = world.ask(ann, call);
        result
    };
    let file_only = under(reservation(&[DOCUMENT])).expect_err("not covered");
    assert_eq!(file_only.code(), "invalid_request");
    let mut both = reservation(&["repo", DOCUMENT]);
    both.resources[0].class = "IDEMP_DOCS".into();
    made(under(both));
}

#[test]
fn a_document_has_no_document() {
    let (mut world, ann, _) = by_hand();
    world.disk.outside(DOCUMENT, Some("by hand"));
    for path in [DOCUMENT, "no/such/file"] {
        let asked = DocumentWanted {
            path: path.into(),
            ..wanted(None, None)
        };
        let refused = ask(&mut world, ann, asked).expect_err(path);
        assert_eq!(refused.code(), "invalid_request");
    }
}

#[test]
fn somebody_who_writes_the_document_itself_is_waited_for() {
    let (mut world, ann, bob) = by_generator();
    world.disk.outside(DOCUMENT, Some("by hand"));
    let ops = vec![write_over(DOCUMENT, "bob's", "by hand")];
    let call = world.call(bob, Request::Change(ops));
    let writing = world.start(bob, call);
    world.hold(bob, Some("Stage"));
    world.run();
    let call = world.call(ann, Request::Document(wanted(None, None)));
    let asking = world.start(ann, call);
    world.run();
    world.hold(bob, None);
    world.finish(bob, writing).result.unwrap();
    let refused = world.finish(ann, asking).result.expect_err("bob's own");
    assert_eq!(refused.code(), "docgen_unmarked");
    assert_eq!(world.disk.text(DOCUMENT), Some("bob's"));
}

#[test]
fn another_tool_is_waited_for_as_long_as_the_call_may_wait() {
    let (mut world, ann, _) = by_generator();
    world.docgen_lock = DocgenLock::Theirs;
    let refused = ask(&mut world, ann, wanted(None, None)).expect_err("locked");
    let Refusal::ResourceBusy(busy) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(busy.resource, ".llmc/docgen.lock");
    assert_eq!((busy.waited_ms, busy.allowed_ms), (500, 500));
    assert_eq!(world.disk.text(DOCUMENT), None);
    assert_counted(&world, [0, 0, 1]);
    world.assert_idle("refused");

    let call = world.call(ann, Request::Document(wanted(None, None)));
    let id = world.start(ann, call);
    world.advance(200);
    world.docgen_lock = DocgenLock::Free;
    world.advance(60);
    let reply = world.reply(ann, id).expect("it looks again soon");
    made(reply.result);
    world.assert_idle("made");
}

#[test]
fn who_cancels_while_another_tool_works_gets_away() {
    let (mut world, ann, _) = by_generator();
    world.docgen_lock = DocgenLock::Theirs;
    let call = world.call(ann, Request::Document(wanted(None, None)));
    let id = world.start(ann, call);
    world.advance(100);
    world.cancel(ann, id);
    let reply = world.finish(ann, id).result;
    assert_eq!(reply, Err(Refusal::Cancelled));
    assert_counted(&world, [0, 0, 0]);
    world.assert_idle("cancelled");
}

/// What another tool wrote for the source, flat.
fn flat_document(world: &mut World, source: &str) -> &'static str {
    let place = "DOCS/REPODOCS/src_a.py.md";
    let text = format!("<!-- SHA256: {} -->\n# theirs\n", hash(source));
    world.disk.outside(place, Some(&text));
    place
}

#[test]
fn a_document_that_another_tool_has_made_counts() {
    let (mut world, ann, _) = by_generator();
    let place = flat_document(&mut world, "one");
    let reply = ask(&mut world, ann, wanted(None, None));
    let Ok(Reply::Receipt(Receipt::Fresh { document, .. })) = &reply else {
        panic!("{reply:?}");
    };
    assert_eq!(document, place);
    assert!(world.generator.runs.is_empty());
    world.disk.outside(SOURCE, Some("two"));
    let file = made(ask(&mut world, ann, wanted(None, None)));
    assert_eq!(file.path, DOCUMENT, "a new one goes to its own place");
    assert!(world.disk.text(place).unwrap().contains("theirs"));
}

#[test]
fn a_document_that_another_source_may_claim_does_not_count() {
    let (mut world, ann, _) = by_generator();
    let place = flat_document(&mut world, "one");
    world.disk.outside("src_a.py", Some("one"));
    for path in [SOURCE, "src_a.py"] {
        let asked = DocumentWanted {
            path: path.into(),
            ..wanted(None, None)
        };
        let reply = ask(&mut world, ann, asked);
        // In the tree layout the flat place is the other source's own.
        if path == SOURCE {
            assert_eq!(made(reply).path, DOCUMENT);
        } else {
            let Ok(Reply::Receipt(Receipt::Fresh { document, .. })) = &reply else {
                panic!("{reply:?}");
            };
            assert_eq!(document, place);
        }
    }
}

#[test]
fn a_document_in_the_former_layout_counts_and_is_made_anew_in_the_present_one() {
    let mut config = Config::default();
    config.docgen.layout = Layout::Flat;
    let mut world = World::with(config);
    world.disk.outside(SOURCE, Some("one"));
    let former = format!("SHA256: {}\n\nformer\n", hash("one"));
    world.disk.outside(DOCUMENT, Some(&former));
    let ann = world.spawn("ann");
    assert_fresh(&ask(&mut world, ann, wanted(None, None)));
    world.disk.outside(SOURCE, Some("two"));
    let file = made(ask(&mut world, ann, wanted(Some("# A"), Some("two"))));
    assert_eq!(file.path, "DOCS/REPODOCS/src_a.py.md");
}
