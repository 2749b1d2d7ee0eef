//! Tests of judging histories: good ones, and one for each way to break them.

use super::*;
use crate::history::{Changed, lines, parse};

const BUDGET: u64 = 100_000;

fn entry(at_ns: u64, event: Event) -> Entry {
    Entry {
        at_ns,
        process: "p".into(),
        event,
    }
}

fn hash(content: &str) -> ContentHash {
    ContentHash::of(content.as_bytes())
}

fn invoke(at_ns: u64, request: &str, key: Option<&str>) -> Entry {
    let event = Event::Invoke {
        agent: "ann".into(),
        request: request.into(),
        operation: "write".into(),
        key: key.map(Into::into),
        paths: vec![crate::history::Named {
            path: "a".into(),
            base: None,
        }],
    };
    entry(at_ns, event)
}

fn ok(at_ns: u64, request: &str, token: u64, base: &str, new: &str) -> Entry {
    let event = Event::Ok {
        agent: "ann".into(),
        request: request.into(),
        token: Some(token),
        lease: None,
        changes: vec![Changed {
            path: "a".into(),
            base: Some(hash(base)),
            new: Some(hash(new)),
        }],
    };
    entry(at_ns, event)
}

fn grant(at_ns: u64, token: u64, key: &str, subtree: bool) -> Entry {
    let event = Event::Grant {
        token,
        lease: hash(&format!("{token}{key}")),
        since_ns: None,
        wants: vec![Covered {
            key: key.into(),
            subtree,
            shared: false,
        }],
    };
    entry(at_ns, event)
}

fn end(at_ns: u64, token: u64) -> Entry {
    let event = Event::End {
        token,
        since_ns: None,
        how: crate::history::Ending::Released,
    };
    entry(at_ns, event)
}

fn good() -> Vec<Entry> {
    vec![
        invoke(0, "1", Some("k")),
        grant(1, 5, "code:a", false),
        end(3, 5),
        ok(4, "1", 5, "one", "two"),
        invoke(5, "2", None),
        grant(6, 6, "code:a", false),
        end(8, 6),
        ok(9, "2", 6, "two", "three"),
    ]
}

fn sites(history: &[Entry]) -> Vec<&'static str> {
    let first = entry(0, Event::History { version: 1 });
    let written = [&[first], history].concat();
    let read = parse(&lines(&written)).unwrap();
    assert_eq!(read, written, "a history survives being written");
    let judged = judge(history, BUDGET);
    assert!(judged.undecided.is_empty());
    judged.breaches.iter().map(|breach| breach.site).collect()
}

#[test]
fn a_right_history_holds() {
    assert!(sites(&good()).is_empty());
    assert_eq!(judge(&good(), BUDGET).operations, 8);
}

#[test]
fn an_update_that_the_next_one_does_not_build_upon_is_lost() {
    let mut history = good();
    history[7] = ok(9, "2", 6, "one", "three");
    assert_eq!(sites(&history), ["lost-write"]);
    let put = Event::Outside {
        path: "a".into(),
        since_ns: None,
        new: Some(hash("one")),
    };
    history.insert(4, entry(4, put));
    assert!(sites(&history).is_empty(), "somebody outside put it back");
}

#[test]
fn a_request_of_which_nothing_is_known_may_have_changed_anything() {
    let mut history = good();
    history[7] = ok(9, "2", 6, "lost", "three");
    assert_eq!(sites(&history), ["lost-write"]);
    history.insert(0, invoke(0, "3", None));
    assert!(sites(&history).is_empty());
    let refused = Event::Refused {
        agent: "ann".into(),
        request: "3".into(),
        code: "resource_busy".into(),
    };
    history.push(entry(20, refused));
    assert_eq!(sites(&history), ["lost-write"], "it changed nothing");
    history.insert(1, invoke(0, "3", None));
    assert!(sites(&history).is_empty(), "its first sending may have");
}

#[test]
fn a_token_belongs_to_one_lease_and_rises() {
    let twice = [
        grant(1, 5, "code:a", false),
        end(2, 5),
        grant(3, 5, "code:b", false),
    ];
    assert!(sites(&twice).contains(&"token-twice"));
    let fell = [
        grant(1, 5, "code:a", false),
        end(2, 5),
        grant(3, 4, "code:b", false),
    ];
    assert_eq!(sites(&fell), ["token-fell"]);
}

#[test]
fn a_resource_below_a_subtree_is_the_same() {
    let history = [grant(1, 5, "code:d", true), grant(2, 6, "code:d/a", false)];
    assert_eq!(sites(&history), ["not-linearizable"]);
    let history = [grant(1, 5, "code:d", true), grant(2, 6, "code:da", false)];
    assert!(sites(&history).is_empty());
}

#[test]
fn a_write_under_a_lease_that_is_over_is_found() {
    let mut history = good();
    history[7] = ok(9, "2", 5, "two", "three");
    assert_eq!(sites(&history), ["not-linearizable"]);
}

#[test]
fn one_key_has_one_answer() {
    let mut history = good();
    history.push(ok(10, "1", 5, "one", "two"));
    assert!(sites(&history).is_empty());
    history.push(ok(11, "1", 6, "one", "two"));
    assert_eq!(sites(&history), ["two-answers"]);
}

#[test]
fn a_budget_that_runs_out_is_undecided() {
    let judged = judge(&good(), 1);
    assert!(judged.breaches.is_empty());
    assert_eq!(judged.undecided.len(), 1);
}

fn refused(at_ns: u64, request: &str, code: &str) -> Entry {
    let event = Event::Refused {
        agent: "ann".into(),
        request: request.into(),
        code: code.into(),
    };
    entry(at_ns, event)
}

fn invoke_of(at_ns: u64, request: &str, operation: &str) -> Entry {
    let mut entry = invoke(at_ns, request, None);
    if let Event::Invoke { operation: of, .. } = &mut entry.event {
        *of = operation.into();
    }
    entry
}

#[test]
fn nobody_is_refused_what_has_been_answered() {
    for code in ["stale_version", "idempotency_mismatch"] {
        let mut history = good();
        history.push(invoke(10, "1", Some("k")));
        history.push(refused(11, "1", code));
        assert_eq!(sites(&history), ["refused-after-answer"]);
    }
    for code in ["internal", "resource_busy"] {
        let mut history = good();
        history.push(invoke(10, "1", Some("k")));
        history.push(refused(11, "1", code));
        assert!(sites(&history).is_empty(), "it leaves it open");
    }
    let mut history = good();
    history.push(invoke(10, "2", Some("k")));
    history.push(refused(11, "2", "stale_version"));
    assert_eq!(sites(&history), ["refused-after-answer"], "one key is one");
}

#[test]
fn a_refusal_may_be_the_answer_to_an_earlier_sending() {
    let mut history = good();
    history.insert(0, invoke(0, "1", Some("k")));
    history.push(refused(10, "1", "stale_version"));
    assert!(sites(&history).is_empty(), "both were sent before");
    history.push(invoke(11, "1", Some("k")));
    history.push(invoke(12, "1", Some("k")));
    history.push(refused(13, "1", "stale_version"));
    assert_eq!(sites(&history), ["refused-after-answer"]);
    let mut history = good();
    history.insert(0, invoke(0, "1", Some("k")));
    history.push(invoke(10, "1", Some("k")));
    history.push(refused(11, "1", "stale_version"));
    assert!(sites(&history).is_empty(), "one from before is open");
}

#[test]
fn whatever_changes_a_file_is_a_change() {
    for operation in ["transaction", "read"] {
        let mut history = good();
        history[4] = invoke_of(5, "2", operation);
        assert!(sites(&history).is_empty(), "{operation}");
        history[7] = ok(9, "2", 6, "one", "three");
        assert_eq!(sites(&history), ["lost-write"], "{operation}");
    }
}

#[test]
fn a_transaction_of_which_nothing_is_known_may_have_changed_anything() {
    let mut history = good();
    history[7] = ok(9, "2", 6, "lost", "three");
    history.insert(0, invoke_of(0, "3", "transaction"));
    assert!(sites(&history).is_empty());
    history[0] = invoke_of(0, "3", "graph_query");
    assert_eq!(sites(&history), ["lost-write"]);
}

#[test]
fn a_file_is_changed_under_a_lease_that_is_for_it() {
    let mut history = good();
    history[5] = grant(6, 6, "code:b", false);
    assert_eq!(sites(&history), ["not-covered"]);
    history[5] = grant(6, 6, "code:", true);
    assert!(sites(&history).is_empty());
    if let Event::Grant { wants, .. } = &mut history[5].event {
        wants[0].shared = true;
    }
    assert_eq!(sites(&history), ["not-covered"], "others only read");
}

#[test]
fn what_cannot_be_judged_is_undecided() {
    let undecided = |history: &[Entry]| {
        let judged = judge(history, BUDGET);
        assert!(judged.breaches.is_empty(), "{judged:?}");
        judged.undecided.len()
    };
    assert_eq!(undecided(&[]), 1, "there is nothing");
    let mut history = good();
    history.remove(0);
    assert_eq!(undecided(&history), 1, "an answer to nothing");
    let history = [invoke(0, "1", None), ok(4, "1", 5, "one", "two")];
    assert_eq!(undecided(&history), 1, "a token from nowhere");
}
