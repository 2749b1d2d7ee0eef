//! What was measured, beside what was aimed at.
//!
//! Owns: rows of figures, the table and the JSON. Promises: a row without its
//! peer says so and is not judged. Leaves to others: measuring.

use std::fmt;

use comfy_table::{Table, presets};
use serde_json::{Value, json};

/// A figure and what it counts.
#[derive(Clone, Copy)]
pub(crate) struct Figure {
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
}

impl Figure {
    pub(crate) fn us(value: f64) -> Self {
        Self { value, unit: "us" }
    }

    pub(crate) fn percent(value: f64) -> Self {
        Self { value, unit: "%" }
    }

    pub(crate) fn per_second(value: f64) -> Self {
        Self { value, unit: "/s" }
    }

    pub(crate) fn millions_per_second(value: f64) -> Self {
        let unit = "M/s";
        Self { value, unit }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = [100.0, 10.0, 1.0].map(|limit| usize::from(self.value < limit));
        let digits: usize = digits.iter().sum();
        write!(f, "{:.digits$} {}", self.value, self.unit)
    }
}

/// What is aimed at.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// Our figure is at most this.
    AtMost(f64),
    /// Our figure is at least this.
    AtLeast(f64),
    /// Our figure is at most so many times the peer's.
    RatioAtMost(f64),
    /// Our figure is at least so many times the peer's.
    RatioAtLeast(f64),
    /// Nothing; the figure explains another one.
    Nothing,
}

/// One line of the table.
pub(crate) struct Row {
    measure: String,
    ours: Figure,
    peer: Option<(String, Figure)>,
    missing: Option<String>,
    target: Target,
    note: String,
}

impl Row {
    pub(crate) fn new(measure: impl Into<String>, ours: Figure, target: Target) -> Self {
        Self {
            measure: measure.into(),
            ours,
            peer: None,
            missing: None,
            target,
            note: String::new(),
        }
    }

    /// Sets a peer's figure beside ours.
    pub(crate) fn beside(mut self, name: impl Into<String>, figure: Figure) -> Self {
        self.peer = Some((name.into(), figure));
        self
    }

    /// Says that the peer could not be measured.
    pub(crate) fn alone(mut self, why: impl Into<String>) -> Self {
        self.missing = Some(why.into());
        self
    }

    /// Adds what else there is to know.
    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    fn ratio(&self) -> Option<f64> {
        self.peer
            .as_ref()
            .map(|(_, peer)| self.ours.value / peer.value)
    }

    /// Whether the target is met; nothing where that cannot be told.
    fn is_met(&self) -> Option<bool> {
        match self.target {
            Target::AtMost(limit) => Some(self.ours.value <= limit),
            Target::AtLeast(limit) => Some(self.ours.value >= limit),
            Target::RatioAtMost(limit) => self.ratio().map(|ratio| ratio <= limit),
            Target::RatioAtLeast(limit) => self.ratio().map(|ratio| ratio >= limit),
            Target::Nothing => None,
        }
    }

    fn target_text(&self) -> String {
        let unit = self.ours.unit;
        match self.target {
            Target::AtMost(limit) => format!("<= {limit} {unit}"),
            Target::AtLeast(limit) => format!(">= {limit} {unit}"),
            Target::RatioAtMost(limit) => format!("<= {limit} x"),
            Target::RatioAtLeast(limit) => format!(">= {limit} x"),
            Target::Nothing => String::new(),
        }
    }

    fn verdict(&self) -> &'static str {
        match (self.is_met(), self.target) {
            (Some(true), _) => "yes",
            (Some(false), _) => "NO",
            (None, Target::Nothing) => "",
            (None, _) => "NOT MEASURED",
        }
    }

    fn cells(&self) -> [String; 7] {
        let peer = match (&self.peer, &self.missing) {
            (Some((name, figure)), _) => format!("{figure} ({name})"),
            (None, Some(why)) => format!("none: {why}"),
            (None, None) => String::new(),
        };
        [
            self.measure.clone(),
            self.ours.to_string(),
            peer,
            self.ratio()
                .map_or_else(String::new, |ratio| format!("{ratio:.2}")),
            self.target_text(),
            self.verdict().to_owned(),
            self.note.clone(),
        ]
    }

    fn json(&self) -> Value {
        json!({
            "measure": self.measure,
            "ours": self.ours.value,
            "unit": self.ours.unit,
            "peer": self.peer.as_ref().map(|(name, figure)| json!({
                "name": name, "value": figure.value, "unit": figure.unit,
            })),
            "peer_missing": self.missing,
            "ratio": self.ratio(),
            "target": self.target_text(),
            "met": self.is_met(),
            "note": self.note,
        })
    }
}

/// The table for people.
pub(crate) fn table(rows: &[Row], machine: &str) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["measure", "ours", "peer", "ratio", "target", "met?", "note"]);
    for row in rows {
        table.add_row(row.cells());
    }
    format!("{table}\n\n{machine}")
}

/// One object for programs.
pub(crate) fn json(rows: &[Row], machine: &str) -> String {
    let rows: Vec<Value> = rows.iter().map(Row::json).collect();
    json!({ "machine": machine, "rows": rows }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(target: Target) -> Row {
        Row::new("a measure", Figure::us(3.0), target)
    }

    #[test]
    fn a_ratio_without_its_peer_is_not_judged() {
        let row = row(Target::RatioAtMost(1.5)).alone("not installed");
        assert_eq!((row.is_met(), row.verdict()), (None, "NOT MEASURED"));
        assert_eq!(row.cells()[2], "none: not installed");
    }

    #[test]
    fn a_small_figure_has_more_digits() {
        let shown = [123.4, 12.34, 1.234, 0.1234].map(|value| Figure::us(value).to_string());
        assert_eq!(shown, ["123 us", "12.3 us", "1.23 us", "0.123 us"]);
    }

    #[test]
    fn the_limit_itself_is_met() {
        let beside = |target| row(target).beside("peer", Figure::us(2.0)).is_met();
        assert_eq!(beside(Target::RatioAtMost(1.5)), Some(true));
        assert_eq!(beside(Target::RatioAtLeast(1.6)), Some(false));
        assert_eq!(beside(Target::AtMost(2.9)), Some(false));
        assert_eq!(beside(Target::AtLeast(3.0)), Some(true));
        assert_eq!(beside(Target::Nothing), None);
    }
}
