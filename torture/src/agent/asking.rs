//! Asking until there is an answer, and now and then once more.
//!
//! Owns: asking again under the same key when the server died, and sending calls
//! again that were answered. Promises: a call that is sent again has the same key
//! and the same arguments; another answer to it than the first, or a refusal that
//! denies the first, is reported. Leaves to others: what is written down of it
//! (`telling`).

use std::time::Duration;

use maasl_sim::history::{Event, Named};
use serde_json::json;

use super::Agent;
use crate::ask::Ask;
use crate::course::Course;
use crate::journal::now_ns;
use crate::told::Told;

/// How often a call is sent again after the machine failed under it.
const TRIES: u32 = 40;

/// How long an agent waits before it asks a failing machine again.
const PAUSE: Duration = Duration::from_millis(50);

/// How many of a thousand calls that were answered are sent once more: more would
/// be at the cost of new ones.
const REPEATED_PERMILLE: u64 = 125;

/// How many of a thousand of these go to another process.
const ELSEWHERE_PERMILLE: u64 = 400;

/// Refusals that may come before anybody has looked what was answered under the
/// key: a database remembers its own answers, and it takes the lease to look there.
const NOT_NOW: [&str; 6] = [
    "resource_busy",
    "db_busy",
    "lease_lost",
    "deadlock",
    "limit_reached",
    "cancelled",
];

impl Agent<'_> {
    /// Asks until there is an answer, and writes down what it was.
    pub(super) fn perform(&mut self, mut ask: Ask) -> Option<Told> {
        let request = self.asked.to_string();
        let key = ask
            .is_keyed()
            .then(|| format!("{}-{}-{request}", self.world.seed, self.name));
        if let Some(key) = &key {
            ask.arguments["idempotency_key"] = json!(key);
            ask.arguments["max_wait_ms"] = json!(2_000);
        }
        let course = self.pursue(&ask, &request, key.as_deref());
        self.tally(ask.tool, course.word());
        self.settle(&ask, &request, &course);
        let told = course.answer().cloned();
        if let (Some(key), Some(first)) = (&key, &told)
            && first.code().is_none()
            && self.repeats.permille(REPEATED_PERMILLE)
        {
            self.again(&ask, (request.as_str(), key.as_str()), first, course.epoch);
        }
        told
    }

    /// Sends a call until it is answered without doubt, or the state that knows its
    /// key is gone.
    fn pursue(&mut self, ask: &Ask, request: &str, key: Option<&str>) -> Course {
        let (epoch, since_ns) = (self.world.epoch(), now_ns());
        let mut sent = 0;
        let told = loop {
            self.invoke(ask, request, key, now_ns());
            sent += 1;
            let told = self.send(ask.tool, &ask.arguments).map(Told::new);
            let told = told.filter(|told| !told.is_in_doubt());
            let is_last = sent == TRIES || key.is_none() || !self.world.stands_since(epoch);
            if told.is_some() || is_last {
                break told;
            }
            if sent > 1 {
                std::thread::sleep(PAUSE); // tidy: the machine under it has failed
            }
        };
        Course {
            since_ns,
            epoch,
            sent,
            told,
            stood: self.world.stands_since(epoch),
        }
    }

    /// Writes down that a request was sent.
    fn invoke(&mut self, ask: &Ask, request: &str, key: Option<&str>, at_ns: u64) {
        let Some(operation) = ask.operation else {
            return;
        };
        let named = |path: &&str| Named {
            path: (*path).to_owned(),
            base: None,
        };
        let invoke = Event::Invoke {
            agent: self.name.clone(),
            request: request.to_owned(),
            operation: operation.to_owned(),
            key: key.map(str::to_owned),
            paths: ask.paths.iter().map(named).collect(),
        };
        self.journal.note(at_ns, invoke);
    }

    /// Sends a call that took effect once more, now and then to another process: it
    /// is answered as it was and has no other effect.
    fn again(&mut self, ask: &Ask, (request, key): (&str, &str), first: &Told, epoch: u64) {
        if self.holdings.current().is_none() && self.repeats.permille(ELSEWHERE_PERMILLE) {
            self.retire();
        }
        let since_ns = now_ns();
        let told = self.send(ask.tool, &ask.arguments).map(Told::new);
        let told = told.filter(|told| !told.is_in_doubt());
        if !self.world.stands_since(epoch) {
            let course = Course {
                since_ns,
                epoch,
                sent: 1,
                told,
                stood: false,
            };
            return self.stray(ask, request, first, &course);
        }
        self.invoke(ask, request, Some(key), since_ns);
        match told {
            Some(told) => self.compare(ask, (request, key), first, &told),
            None => self.world.count(&format!("{} again", ask.tool), "unknown"),
        }
    }

    /// Holds the second answer under a key against the first.
    fn compare(&mut self, ask: &Ask, (request, key): (&str, &str), first: &Told, told: &Told) {
        let how = match told.code() {
            None if self.is_same(told, first) => "told again",
            None => "told otherwise",
            Some(code) if NOT_NOW.contains(&code) => "not now",
            Some(_) => "denied",
        };
        if told.code().is_none() {
            self.note_answer(ask, request, told);
        }
        if matches!(how, "told otherwise" | "denied") {
            let (tool, first, told) = (ask.tool, first.whole(), told.whole());
            self.world.report(format!(
                "I6: {tool} under {key} was answered {first} and then {told}"
            ));
        }
        self.world.count(&format!("{} again", ask.tool), how);
    }

    fn is_same(&self, told: &Told, first: &Told) -> bool {
        if self.world.own == self.world.programs.len() {
            told.says_the_same(first)
        } else {
            told.tells_of_the_same(first)
        }
    }

    /// The state that knew the key may have been lost under a repetition. Unless it
    /// was answered as before, it is a request of its own.
    fn stray(&mut self, ask: &Ask, request: &str, first: &Told, course: &Course) {
        let told = course.told.as_ref();
        if told.is_some_and(|told| told.tells_of_the_same(first)) {
            return;
        }
        let request = format!("{request}-again");
        self.invoke(ask, &request, None, course.since_ns);
        self.note_stray(ask, course.since_ns);
        self.record(ask, &request, course);
    }
}
