//! Requests that may have left a commit open.
//!
//! Owns: when such a request is over, so that what it may have left in files need
//! not excuse whatever happens for ever after. Promises: none is called over while
//! anybody may still finish its commit. Leaves to others: writing it down
//! (`agent`).
//!
//! A commit that its call did not finish is finished by whoever comes next to one
//! of its files, under the lease that covers all of them; nobody else changes them
//! before. So a later acknowledged change of one of them shows that it is over, as
//! far as the state goes that this change was made in. In a state that was lost
//! only those go on who were in the middle of a turn. A copy of the state brings
//! back what was open when it was made, so what was open then is never over.

use maasl_sim::history::Changed;

/// A request of which something may be open.
#[derive(Clone, Debug)]
struct Left {
    request: String,
    paths: Vec<&'static str>,
    since_ns: u64,
    until_ns: u64,
}

/// What an agent knows when a change of its own was acknowledged.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_field_names, reason = "the unit stands in each name")]
pub(crate) struct Sight {
    /// When the change was asked for.
    pub(crate) asked_ns: u64,
    /// When the longest turn of anybody else under way began.
    pub(crate) others_since_ns: u64,
    /// When the state was last lost.
    pub(crate) lost_ns: u64,
    /// When the state was last copied.
    pub(crate) copied_ns: u64,
}

/// Those of one agent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unsettled {
    left: Vec<Left>,
}

impl Unsettled {
    /// A request was first sent at `since_ns`; at `until_ns` its last sending had
    /// been answered, or the process it went to was dead.
    pub(crate) fn add(
        &mut self,
        request: &str,
        paths: &[&'static str],
        (since_ns, until_ns): (u64, u64),
    ) {
        if !paths.is_empty() {
            self.left.push(Left {
                request: request.to_owned(),
                paths: paths.to_vec(),
                since_ns,
                until_ns,
            });
        }
    }

    /// Takes out the requests that acknowledged changes show to be over.
    pub(crate) fn shown_over(&mut self, changes: &[Changed], sight: Sight) -> Vec<String> {
        self.left.retain(|left| left.since_ns > sight.copied_ns);
        let all = std::mem::take(&mut self.left).into_iter();
        let (over, left): (Vec<Left>, Vec<Left>) =
            all.partition(|left| left.is_over(changes, sight));
        self.left = left;
        over.into_iter().map(|left| left.request).collect()
    }
}

impl Left {
    fn is_over(&self, changes: &[Changed], sight: Sight) -> bool {
        let is_met = changes
            .iter()
            .any(|change| self.paths.contains(&change.path.as_str()));
        is_met
            && sight.asked_ns > self.until_ns
            && sight.others_since_ns > self.until_ns.max(sight.lost_ns)
    }
}

#[cfg(test)]
mod tests {
    use maasl_core::id::ContentHash;
    use maasl_sim::history::judge::{SETTLED, judge};
    use maasl_sim::history::{Entry, Event, Named};

    use super::*;

    fn event(at_ns: u64, event: Event) -> Entry {
        Entry {
            at_ns,
            process: "p".to_owned(),
            event,
        }
    }

    fn invoke(at_ns: u64, request: &str) -> Entry {
        let named = Named {
            path: "a".to_owned(),
            base: None,
        };
        let invoke = Event::Invoke {
            agent: "p".to_owned(),
            request: request.to_owned(),
            operation: "write".to_owned(),
            key: None,
            paths: vec![named],
        };
        event(at_ns, invoke)
    }

    fn ok(at_ns: u64, request: &str, base: &str, new: &str) -> Entry {
        let hash = |content: &str| Some(ContentHash::of(content.as_bytes()));
        let change = Changed {
            path: "a".to_owned(),
            base: hash(base),
            new: hash(new),
        };
        let ok = Event::Ok {
            agent: "p".to_owned(),
            request: request.to_owned(),
            token: None,
            lease: None,
            changes: vec![change],
        };
        event(at_ns, ok)
    }

    #[test]
    fn what_is_over_excuses_no_write_that_is_lost_later() {
        let (agent, request) = ("p".to_owned(), "1".to_owned());
        let unknown = Event::Unknown {
            agent: agent.clone(),
            request: request.clone(),
        };
        let mut history = vec![
            invoke(0, "1"),
            event(1, unknown),
            invoke(10, "2"),
            ok(11, "2", "one", "two"),
            invoke(20, "3"),
            ok(21, "3", "lost", "three"),
        ];
        assert!(judge(&history, 1_000).breaches.is_empty());
        for (at_ns, breaches) in [(25, 0), (5, 1)] {
            let over = Event::Refused {
                agent: agent.clone(),
                request: request.clone(),
                code: SETTLED.to_owned(),
            };
            history.push(event(at_ns, over));
            history.sort_by_key(|entry| entry.at_ns);
            assert_eq!(judge(&history, 1_000).breaches.len(), breaches, "{at_ns}");
            history.retain(|entry| !matches!(entry.event, Event::Refused { .. }));
        }
    }

    const SIGHT: Sight = Sight {
        asked_ns: 10,
        others_since_ns: 10,
        lost_ns: 0,
        copied_ns: 0,
    };

    fn over(path: &str, sight: Sight) -> Vec<String> {
        let mut unsettled = Unsettled::default();
        unsettled.add("1", &["a", "b"], (2, 5));
        let change = Changed {
            path: path.to_owned(),
            base: None,
            new: None,
        };
        unsettled.shown_over(&[change], sight)
    }

    #[test]
    fn a_later_change_of_one_of_its_files_shows_that_a_request_is_over() {
        assert_eq!(over("b", SIGHT), ["1"]);
        assert!(over("c", SIGHT).is_empty());
        let early = Sight {
            asked_ns: 4,
            ..SIGHT
        };
        assert!(over("b", early).is_empty(), "it was still under way");
    }

    #[test]
    fn nothing_is_over_while_a_lost_state_or_a_copy_may_bring_it_back() {
        let since = |others_since_ns| Sight {
            others_since_ns,
            lost_ns: 8,
            ..SIGHT
        };
        assert!(over("b", since(7)).is_empty(), "somebody is in the old one");
        assert_eq!(over("b", since(9)), ["1"]);
        let copied = Sight {
            copied_ns: 3,
            ..SIGHT
        };
        assert!(over("b", copied).is_empty());
    }
}
