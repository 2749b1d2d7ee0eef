//! A timeline as text.
//!
//! Owns: the form of the text. Promises: a line for each step, and between them
//! where grants and beliefs begin and end; it can be searched line by line.
//! Leaves to others: what there is to tell.

use std::fmt::Write as _;

use super::{Instant, Look, Sign, Span, Timeline};
use crate::world::state::Instant as At;

impl Timeline {
    /// The text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut notes = self.notes();
        notes.sort_by_key(|(at, _)| (at.step, at.ns));
        let mut notes = notes.into_iter().peekable();
        let mut text = format!("{}: {}\n", self.title, self.verdict);
        let mut line = |at_ns: u64, sign: char, who: &str, what: &str| {
            let at = At(at_ns).to_string();
            writeln!(text, "{at:>14} {sign} {who:<10} {what}").expect("a string takes any text");
        };
        for (index, step) in self.steps.iter().enumerate() {
            while let Some((at, note)) = notes.next_if(|(at, _)| at.step <= index) {
                line(at.ns, '|', "", &note);
            }
            let sign = match step.look {
                Look::Stale => 'X',
                Look::Refused => 'x',
                Look::Fault => '!',
                _ => ' ',
            };
            line(step.at_ns, sign, &step.who, &step.what);
        }
        for (at, note) in notes {
            line(at.ns, '|', "", &note);
        }
        text
    }

    fn notes(&self) -> Vec<(Instant, String)> {
        let mut notes = Vec::new();
        for grant in &self.grants {
            let name = self.name(grant, "to");
            notes.push((grant.from, format!("store grants {name}")));
            notes.push((grant.to, format!("store ends {name}: {}", grant.end)));
        }
        for belief in &self.beliefs {
            let name = self.name(belief, "for");
            let process = belief.process.map_or("", |at| self.processes[at].as_str());
            notes.push((belief.from, format!("{process} relies on {name}")));
            let wrongly = belief
                .false_from
                .map_or("", |_| "; another was granted it before");
            let end = &belief.end;
            let note = format!("{process} no longer relies on {name}: {end}{wrongly}");
            notes.push((belief.to, note));
        }
        let told = [Sign::Change, Sign::Back, Sign::Outside];
        let marks = self.marks.iter().filter(|mark| told.contains(&mark.sign));
        notes.extend(marks.map(|mark| (mark.at, mark.text.clone())));
        notes
    }

    fn name(&self, span: &Span, for_whom: &str) -> String {
        let resource = &self.resources[span.resource];
        format!("{resource} {for_whom} {}, token {}", span.agent, span.token)
    }
}
