//! One table of the file, key by key, and where each field was set.
//!
//! Owns: matching keys with fields, and remembering their places. Promises: a
//! key that is not in the section's table of keys is refused, with advice where
//! there is some. Leaves to others: ranges, which the core checks once all
//! fields are set; [`Places::locate`] then finds the line.

use std::collections::BTreeMap;
use std::ops::Range;

use maasl_core::config::ConfigError;
use toml::de::DeValue;

use super::diagnostic::{Diagnostic, Source, did_you_mean};
use super::keys::{Key, Slot, home_of};
use super::reader::Entry;
use super::value::{Unit, expected};

/// Where the file sets each field, by the core's name for the field.
#[derive(Default)]
pub(super) struct Places {
    by_field: BTreeMap<String, Place>,
}

struct Place {
    key: &'static str,
    unit: Unit,
    span: Range<usize>,
}

impl Places {
    /// Where the value of this field stands, if the file sets it.
    pub(super) fn span_of(&self, field: &str) -> Option<Range<usize>> {
        self.by_field.get(field).map(|place| place.span.clone())
    }

    /// Shows a refusal of the core at the line that caused it: the one that
    /// sets the field, else the one that sets the bound which the field passes.
    pub(super) fn locate(&self, error: &ConfigError, source: Source<'_>) -> Diagnostic {
        let (field, max_is) = match error {
            ConfigError::OutOfRange { field, max_is, .. } => (field, max_is),
            ConfigError::Database { name, .. } => {
                let span = self.span_of(&format!("databases.{name}.path"));
                return source.diagnose(&span.unwrap_or(0..0), error.to_string());
            }
            ConfigError::Unusable { field, message } => {
                return self.unusable(field, message, source);
            }
            ConfigError::Policy(_) => return source.diagnose(&(0..0), error.to_string()),
        };
        let bound = max_is.and_then(|bound| self.by_field.get(bound));
        match (self.by_field.get(field), bound) {
            (Some(place), _) => place.out_of_range(error, source),
            (None, Some(bound)) => {
                let advice = format!("raise `{}`, or lower the other", bound.key);
                let shown = source.diagnose(&bound.span, error.to_string());
                shown.or_help(Some(advice))
            }
            (None, None) => source.diagnose(&(0..0), error.to_string()),
        }
    }
}

impl Places {
    /// Shows what is wrong with a text where the file sets it.
    pub(super) fn unusable(&self, field: &str, message: &str, source: Source<'_>) -> Diagnostic {
        match self.by_field.get(field) {
            Some(place) => source.diagnose(&place.span, format!("`{}` {message}", place.key)),
            None => source.diagnose(&(0..0), format!("{field} {message}")),
        }
    }
}

impl Place {
    /// Says what was expected here, in the unit of the key.
    fn out_of_range(&self, error: &ConfigError, source: Source<'_>) -> Diagnostic {
        let ConfigError::OutOfRange {
            min, max, max_is, ..
        } = error
        else {
            return source.diagnose(&self.span, error.to_string());
        };
        let (key, value) = (self.key, source.snippet(&self.span));
        let (min, max) = (self.unit.show(*min), self.unit.show(*max));
        let message = format!("`{key}` is {value}; expected {min} to {max}");
        let advice = max_is.map(|bound| format!("the upper end is `{bound}`"));
        source.diagnose(&self.span, message).or_help(advice)
    }
}

/// One table of the file whose keys fill fields of `T`.
pub(super) struct Section<'s, T: 'static> {
    header: &'s str,
    path: &'s str,
    keys: &'static [Key<T>],
    tables: &'static [&'static str],
}

impl<'s, T> Section<'s, T> {
    /// `header` is for people, `path` goes before the core's field names, and
    /// `tables` are the tables below this one, to be suggested.
    pub(super) fn new(
        header: &'s str,
        path: &'s str,
        keys: &'static [Key<T>],
        tables: &'static [&'static str],
    ) -> Self {
        Self {
            header,
            path,
            keys,
            tables,
        }
    }

    /// The table as it is written in the file.
    pub(super) fn header(&self) -> &'s str {
        self.header
    }

    /// Puts the value of one key into its field of `target`.
    pub(super) fn set(
        &self,
        target: &mut T,
        (key, value): Entry<'_, '_>,
        source: Source<'_>,
        places: &mut Places,
    ) -> Result<(), Diagnostic> {
        let name = &**key.get_ref();
        let Some(known) = self.keys.iter().find(|known| known.name == name) else {
            let shown = source.diagnose(&key.span(), self.unknown(name, value.get_ref()));
            return Err(shown.or_help(self.advice(name)));
        };
        let set = known.slot.fill(target, value.get_ref());
        set.map_err(|wrong| {
            let message = format!("`{name}` in `{}`: {}", self.header, wrong.reason);
            source.diagnose(&value.span(), message).or_help(wrong.help)
        })?;
        let place = Place {
            key: known.name,
            unit: known.slot.unit(),
            span: value.span(),
        };
        let field = format!("{}{}", self.path, known.field);
        places.by_field.insert(field, place);
        Ok(())
    }

    fn unknown(&self, name: &str, value: &DeValue<'_>) -> String {
        let noun = if value.is_table() { "table" } else { "key" };
        format!("unknown {noun} `{name}` in `{}`", self.header)
    }

    fn advice(&self, name: &str) -> Option<String> {
        if let Some(home) = home_of(name) {
            return Some(format!("`{name}` belongs in `{home}`"));
        }
        let keys = self.keys.iter().map(|known| known.name);
        did_you_mean(name, keys.chain(self.tables.iter().copied()))
    }
}

/// Why a value does not fit its key.
struct Wrong {
    reason: String,
    help: Option<String>,
}

impl From<String> for Wrong {
    fn from(reason: String) -> Self {
        Self { reason, help: None }
    }
}

impl<T> Slot<T> {
    fn unit(&self) -> Unit {
        match self {
            Self::Number(unit, _) => *unit,
            Self::Flag(_) | Self::Text(_) | Self::Texts(_) | Self::Word(_) => Unit::Same,
        }
    }

    fn fill(&self, target: &mut T, value: &DeValue<'_>) -> Result<(), Wrong> {
        match self {
            Self::Flag(field) => {
                let flag = value.as_bool();
                *field(target) = flag.ok_or_else(|| expected("true or false", value))?;
            }
            Self::Number(unit, field) => *field(target) = unit.read(value)?,
            Self::Text(field) => text(value)?.clone_into(field(target)),
            Self::Texts(field) => {
                let items = value
                    .as_array()
                    .ok_or_else(|| expected("an array of strings", value))?;
                let texts = items
                    .iter()
                    .map(|item| Ok(text(item.get_ref())?.to_owned()));
                *field(target) = texts.collect::<Result<_, String>>()?;
            }
            Self::Word(set) => {
                let word = text(value)?;
                set(target, word).map_err(|words| not_among(word, &words))?;
            }
        }
        Ok(())
    }
}

fn text<'v>(value: &'v DeValue<'_>) -> Result<&'v str, String> {
    value.as_str().ok_or_else(|| expected("a string", value))
}

fn not_among(word: &str, words: &[&str]) -> Wrong {
    let quoted: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
    Wrong {
        reason: format!("expected {}, found \"{word}\"", quoted.join(" or ")),
        help: did_you_mean(word, words.iter().copied()),
    }
}
