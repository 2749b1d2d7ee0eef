//! Planted losses, torn sets and legal replacements.

use super::*;
use crate::demo::markup::{Language, page};

fn entry(effect: Effect, outcome: Outcome) -> Entry {
    Entry { effect, outcome }
}

fn note(mark: &str, outcome: Outcome) -> Entry {
    let (path, mark) = ("a.rs".to_owned(), mark.to_owned());
    let effect = Effect::Note {
        path,
        mark,
        own_region: true,
    };
    entry(effect, outcome)
}

fn moved(from: &str, to: &str, outcome: Outcome) -> Entry {
    let (from, to) = (from.to_owned(), to.to_owned());
    let effect = Effect::Move {
        from,
        to,
        shared: true,
    };
    entry(effect, outcome)
}

fn own(mark: &str, outcome: Outcome) -> Entry {
    let (path, mark) = ("own".to_owned(), mark.to_owned());
    let effect = Effect::Own {
        path,
        mark,
        restored: false,
    };
    entry(effect, outcome)
}

fn files(files: &[(&str, &str)]) -> Snapshot {
    let owned = |(path, text): &(&str, &str)| ((*path).to_owned(), (*text).to_owned());
    files.iter().map(owned).collect()
}

fn marked(marks: &[&str]) -> String {
    marks
        .iter()
        .map(|mark| Language::Rust.mark(mark) + "\n")
        .collect()
}

#[test]
fn a_planted_loss_is_counted() {
    use Outcome::{Acknowledged, Refused, Unknown};
    let entries = [
        note("agent-1 #1", Acknowledged),
        note("agent-1 #2", Acknowledged),
        note("agent-1 #3", Refused),
        note("agent-1 #4", Unknown),
    ];
    let whole = account(
        &entries,
        &files(&[("a.rs", &marked(&["agent-1 #1", "agent-1 #2"]))]),
    );
    assert_eq!((whole.total().survived, whole.total().lost), (2, 0));
    assert_eq!(whole.total().ghosts + whole.total().torn, 0);
    let less = account(
        &entries,
        &files(&[("a.rs", &marked(&["agent-1 #2", "agent-1 #4"]))]),
    );
    assert_eq!((less.total().survived, less.total().lost), (1, 1));
    assert_eq!(less.faults.len(), 1);
    let ghost = account(
        &entries,
        &files(&[("a.rs", &marked(&["agent-1 #1", "agent-1 #2", "agent-1 #3"]))]),
    );
    assert_eq!((ghost.total().lost, ghost.total().ghosts), (0, 1));
    let twice = account(
        &entries[..1],
        &files(&[("a.rs", &marked(&["agent-1 #1", "agent-1 #1"]))]),
    );
    assert_eq!((twice.total().survived, twice.total().ghosts), (1, 1));
    assert_eq!(account(&entries, &Snapshot::new()).total().lost, 2);
}

#[test]
fn a_torn_set_is_counted() {
    let set = |outcome| {
        let paths = vec!["a.rs".to_owned(), "b.rs".to_owned()];
        [entry(
            Effect::Set {
                paths,
                mark: "m #1".to_owned(),
            },
            outcome,
        )]
    };
    let text = marked(&["m #1"]);
    let torn = files(&[("a.rs", &text), ("b.rs", "")]);
    let whole = files(&[("a.rs", &text), ("b.rs", &text)]);
    let tally = |outcome, end: &Snapshot| account(&set(outcome), end).total();
    let acknowledged = tally(Outcome::Acknowledged, &torn);
    assert_eq!((acknowledged.torn, acknowledged.lost), (1, 1));
    for outcome in [Outcome::Unknown, Outcome::Refused] {
        assert_eq!(
            (tally(outcome, &torn).torn, tally(outcome, &torn).lost),
            (1, 0)
        );
    }
    assert_eq!(tally(Outcome::Acknowledged, &whole).survived, 1);
    assert_eq!(tally(Outcome::Unknown, &whole).torn, 0);
    assert_eq!(tally(Outcome::Refused, &whole).ghosts, 1);
}

#[test]
fn what_its_author_replaced_is_not_lost() {
    use Outcome::{Acknowledged, Unknown};
    let mut entries = vec![own("1", Acknowledged), own("2", Acknowledged)];
    let tally = |entries: &[Entry], mark| {
        let tally = account(entries, &files(&[("own", &page("own", mark))])).total();
        (tally.survived, tally.superseded, tally.lost)
    };
    assert_eq!(tally(&entries, "2"), (1, 1, 0));
    assert_eq!(
        tally(&entries, "1"),
        (0, 1, 1),
        "the older content came back"
    );
    entries.push(own("3", Unknown));
    assert_eq!(tally(&entries, "2"), (1, 1, 0));
    assert_eq!(tally(&entries, "3"), (0, 2, 0));
    entries.push(own("1", Acknowledged));
    assert_eq!(tally(&entries, "1"), (1, 2, 0), "restored");
    assert_eq!(
        tally(&entries, "3"),
        (0, 2, 1),
        "an old unknown may not land later"
    );
    let torn = account(&entries, &files(&[("own", "own\nby: 1\n")])).total();
    assert_eq!((torn.torn, torn.lost), (1, 1));
}

#[test]
fn moves_are_followed() {
    use Outcome::{Acknowledged, Refused, Unknown};
    let entries = [
        moved("a", "b", Acknowledged),
        moved("b", "c", Unknown),
        moved("b", "d", Acknowledged),
        moved("a", "e", Refused),
    ];
    let tally = |names: &[(&str, &str)]| account(&entries, &files(names)).total();
    let good = tally(&[("d", "")]);
    assert_eq!(
        (good.survived, good.lost, good.torn, good.ghosts),
        (2, 0, 0, 0)
    );
    assert_eq!(tally(&[]).lost, 1, "the last name is gone");
    let copied = tally(&[("b", ""), ("d", "")]);
    assert_eq!((copied.lost, copied.torn), (1, 1), "the old name came back");
    assert_eq!(tally(&[("d", ""), ("e", "")]).ghosts, 1);
    let vanished = account(&[moved("a", "b", Unknown)], &Snapshot::new()).total();
    assert_eq!(vanished.torn, 1, "neither name is left");
}

#[test]
fn counters_may_not_fall_behind_nor_run_ahead() {
    let increment = |outcome| {
        entry(
            Effect::Increment {
                path: "n".to_owned(),
            },
            outcome,
        )
    };
    let entries = [
        increment(Outcome::Acknowledged),
        increment(Outcome::Acknowledged),
        increment(Outcome::Unknown),
        increment(Outcome::Refused),
    ];
    let tally = |value: u64| {
        let text = page(&format!("count: {value}"), "m");
        let tally = account(&entries, &files(&[("n", &text)])).total();
        (tally.survived, tally.lost, tally.ghosts)
    };
    assert_eq!(tally(1), (1, 1, 0));
    assert_eq!(tally(2), (2, 0, 0));
    assert_eq!(tally(3), (2, 0, 0));
    assert_eq!(tally(4), (2, 0, 1));
    assert_eq!(account(&entries, &Snapshot::new()).total().lost, 2);
}
