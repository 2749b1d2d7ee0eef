//! Writing down what came of calls.
//!
//! Owns: what an answer makes of ledgers and histories. Promises: what an answer
//! vouches for is written down as answered, and nothing else is (`course`).
//! Leaves to others: asking (`asking`), and judging (`audit`).

use maasl_core::id::ContentHash;
use maasl_sim::history::judge::SETTLED;
use maasl_sim::history::{Changed, Covered, Ending, Event};

use super::Agent;
use crate::ask::Ask;
use crate::course::{Course, fate};
use crate::journal::now_ns;
use crate::ledger::{Fate, Put};
use crate::told::Told;
use crate::unsettled::Sight;
use crate::world::locked;

impl Agent<'_> {
    /// Writes down what became of a call.
    pub(super) fn settle(&mut self, ask: &Ask, request: &str, course: &Course) {
        // Files come and go, but nothing can be wrong with a row or a node.
        if let Some(told) = course.answer()
            && told.code() == Some("invalid_request")
            && ask.paths.is_empty()
            && (ask.row.is_some() || ask.node.is_some())
        {
            self.world.report(format!("{}: {}", ask.tool, told.whole()));
        }
        if let Some(row) = &ask.row {
            let mut rows = locked(&self.world.rows);
            rows.note(row.clone(), fate(course.word()));
            if course.may_be_twice() {
                rows.may_be_twice(row.clone());
            }
        }
        if ask.span.is_some() {
            // A description that no longer fitted was left out.
            let fate = match course.word() {
                Some(told) if told.code().is_none() && told.field("enriched") == 0 => Fate::Refused,
                told => fate(told),
            };
            self.note_span(ask, course.since_ns, fate);
        }
        self.note_in_graph(ask, course);
        self.record(ask, request, course);
    }

    /// The graph goes with the state, and what is told of it too: no loss comes
    /// between the look at the epoch and the note.
    fn note_in_graph(&self, ask: &Ask, course: &Course) {
        let mut graph = locked(&self.world.graph);
        let stands = self.world.stands_since(course.epoch);
        let fate = fate(course.answer().filter(|_| stands));
        if let Some(node) = &ask.node {
            graph.nodes.note(node.clone(), fate);
        }
        if let Some(edge) = &ask.edge {
            graph.edges.note(edge.clone(), fate);
        }
    }

    fn note_span(&self, ask: &Ask, from_ns: u64, fate: Fate) {
        if let Some((place, summary)) = &ask.span {
            let put = Put {
                name: summary.clone(),
                from_ns,
                to_ns: now_ns(),
                fate,
            };
            locked(&self.world.spans).note(place, put);
        }
    }

    /// A repetition of a call may have had an effect of its own.
    pub(super) fn note_stray(&self, ask: &Ask, since_ns: u64) {
        if let Some(row) = &ask.row {
            locked(&self.world.rows).may_be_twice(row.clone());
        }
        self.note_span(ask, since_ns, Fate::Unknown);
    }

    /// Writes the answer to a request for files or leases into the history.
    pub(super) fn record(&mut self, ask: &Ask, request: &str, course: &Course) {
        if ask.operation.is_none() {
            return;
        }
        let at_ns = now_ns();
        let refused = |code: &str| Event::Refused {
            agent: self.name.clone(),
            request: request.to_owned(),
            code: code.to_owned(),
        };
        let word = course.word().map(|told| (told, told.code()));
        let (event, may_be_open) = match (word, &course.told) {
            (Some((told, None)), _) => return self.note_done(ask, request, course, told),
            (Some((_, Some(code))), _) => (refused(code), course.sent > 1),
            // It was refused, and whatever became of that in a state that was lost, its
            // call is over and has left nothing open.
            (None, Some(_)) if course.sent == 1 => (refused(SETTLED), false),
            (None, _) => {
                let (agent, request) = (self.name.clone(), request.to_owned());
                (Event::Unknown { agent, request }, true)
            }
        };
        if may_be_open {
            let times = (course.since_ns, at_ns);
            self.unsettled.add(request, &ask.paths, times);
        }
        self.journal.note(at_ns, event);
    }

    /// Over a loss of the state, what became of files is true all the same. The
    /// token and the lease are of a state that shut out nobody in the next one.
    fn note_done(&mut self, ask: &Ask, request: &str, course: &Course, told: &Told) {
        let (at_ns, mut changes) = (now_ns(), told.changes());
        let token = told.token().filter(|_| course.stood);
        if let (Some(leaves), [change]) = (ask.leaves, &changes[..])
            && change.new != Some(leaves)
        {
            let told = told.whole();
            self.world
                .report(format!("{leaves} was to be written, and {told} was"));
        }
        if !course.stood {
            changes.retain(|change| change.base != change.new);
        }
        if let Some(token) = token.filter(|_| ask.arguments.get("lease").is_none()) {
            self.note_grant(token, course.since_ns, at_ns, &changes);
        }
        if course.stood {
            self.note_settled(course.since_ns, &changes);
        }
        let event = self.ok(request, token, changes);
        self.journal.note(at_ns, event);
    }

    /// Writes down that a request was answered once more.
    pub(super) fn note_answer(&mut self, ask: &Ask, request: &str, told: &Told) {
        if ask.operation.is_some() {
            let event = self.ok(request, told.token(), told.changes());
            self.journal.note(now_ns(), event);
        }
    }

    fn ok(&self, request: &str, token: Option<u64>, changes: Vec<Changed>) -> Event {
        Event::Ok {
            agent: self.name.clone(),
            request: request.to_owned(),
            token,
            lease: None,
            changes,
        }
    }

    /// Whoever changes a file has settled first what others had left open there.
    fn note_settled(&mut self, asked_ns: u64, changes: &[Changed]) {
        let sight = Sight {
            asked_ns,
            others_since_ns: self.world.others_since(&self.name),
            lost_ns: self.world.lost_ns(),
            copied_ns: self.world.copied_ns(),
        };
        for request in self.unsettled.shown_over(changes, sight) {
            let over = Event::Refused {
                agent: self.name.clone(),
                request,
                code: SETTLED.to_owned(),
            };
            self.journal.note(now_ns(), over);
        }
    }

    /// A call without a lease was granted one for its time.
    fn note_grant(&mut self, token: u64, since_ns: u64, at_ns: u64, changes: &[Changed]) {
        if changes.is_empty() {
            return;
        }
        let covered = |path: &str| Covered {
            key: format!("code:{path}"),
            subtree: false,
            shared: false,
        };
        let grant = Event::Grant {
            token,
            lease: ContentHash::of(&token.to_le_bytes()),
            since_ns: Some(since_ns),
            wants: changes.iter().map(|change| covered(&change.path)).collect(),
        };
        let end = Event::End {
            token,
            since_ns: Some(since_ns),
            how: Ending::Released,
        };
        self.journal.note(at_ns, grant);
        self.journal.note(at_ns, end);
    }
}
