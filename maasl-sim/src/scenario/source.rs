//! Where in its file something stands.
//!
//! Owns: the text of a scenario and the places in it. Promises: an error names
//! file, line and column. Leaves to others: what is wrong there.

use core::fmt;
use core::ops::Range as Span;

use toml::de::{DeTable, DeValue};

/// What is wrong with a scenario, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioError {
    /// The file.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The character in the line, counted from 1.
    pub column: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            column,
            message,
        } = self;
        write!(f, "{file}:{line}:{column}: {message}")
    }
}

impl core::error::Error for ScenarioError {}

/// A step on the way to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Field(String),
    Item(usize),
}

/// The way to a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Path(pub(super) Vec<Step>);

impl Path {
    pub(super) fn field(&self, name: &str) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Field(name.into()));
        Self(steps)
    }

    /// The field that says of what a number is, which a range or a choice is not.
    pub(super) fn unit(&self) -> Option<&str> {
        let mut fields = self.0.iter().rev().filter_map(|step| match step {
            Step::Field(name) => Some(name.as_str()),
            Step::Item(_) => None,
        });
        fields.find(|name| !matches!(*name, "from" | "to" | "one_of"))
    }

    pub(super) fn item(&self, index: usize) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Item(index));
        Self(steps)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("the scenario");
        }
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Field(name) if at == 0 => f.write_str(name)?,
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Item(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// The text of a scenario.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'t> {
    pub(super) file: &'t str,
    pub(super) text: &'t str,
}

impl<'t> Source<'t> {
    pub(super) fn parse(&self) -> Result<toml::Spanned<DeTable<'t>>, ScenarioError> {
        DeTable::parse(self.text).map_err(|error| self.of_toml(&error))
    }

    pub(super) fn of_toml(&self, error: &toml::de::Error) -> ScenarioError {
        self.wrong(error.span().unwrap_or(0..0), error.message())
    }

    pub(super) fn wrong(&self, span: Span<usize>, message: impl Into<String>) -> ScenarioError {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        ScenarioError {
            file: self.file.into(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message: message.into(),
        }
    }

    /// Says what is wrong with the value at the end of `path`, or as near to it
    /// as the file comes.
    pub(super) fn wrong_at(&self, path: &Path, message: impl Into<String>) -> ScenarioError {
        let span = self.parse().map_or(0..0, |root| {
            let span = root.span();
            let root = toml::Spanned::new(span, DeValue::Table(root.into_inner()));
            nearest(&root, &path.0)
        });
        self.wrong(span, message)
    }
}

fn nearest(from: &toml::Spanned<DeValue<'_>>, steps: &[Step]) -> Span<usize> {
    let next = match (steps.first(), from.get_ref()) {
        (Some(Step::Field(name)), DeValue::Table(table)) => {
            let mut entries = table.iter();
            let entry = entries.find(|(key, _)| key.get_ref() == name);
            entry.map(|(_, value)| value)
        }
        (Some(Step::Item(index)), DeValue::Array(items)) => items.get(*index),
        _ => None,
    };
    next.map_or(from.span(), |next| nearest(next, &steps[1..]))
}

/// Longest word that is compared with what was probably meant, in bytes.
const WORD_BYTES_MAX: usize = 200;

/// What was probably meant instead of `found`, in words, or what there is.
pub(super) fn instead(found: &str, known: &[&str]) -> String {
    let distance = |name: &str| strsim::damerau_levenshtein(found, name);
    // The distance takes memory for every pair of letters.
    let is_short = found.len() <= WORD_BYTES_MAX;
    let nearest = known.iter().filter(|_| is_short);
    let nearest = nearest.min_by_key(|name| distance(name));
    match nearest {
        Some(name) if distance(name) <= 1.max(found.len() / 3) => {
            format!("did you mean {name:?}?")
        }
        _ => format!("there are {}", known.join(", ")),
    }
}
