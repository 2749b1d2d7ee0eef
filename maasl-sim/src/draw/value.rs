//! Drawing the loose parts of a scenario.
//!
//! Owns: what takes the place of a range, a choice or "any". Promises: each leaf
//! has a stream of its own, named after the way to it. Leaves to others: which
//! parts are loose (`scenario::loose`).

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::names::Names;
use crate::rng::Stream;
use crate::scenario::{ANY, Loose};

/// The plan's part that a loose one comes to; `name` is what it is drawn for.
pub(super) fn draw_value<T: DeserializeOwned>(
    loose: &Loose<T>,
    names: &Names,
    seed: u64,
    name: &[&str],
) -> T {
    let drawer = Drawer { names, seed };
    let strict = drawer.strict(&loose.value, name, "");
    T::deserialize(strict).expect("the form of every value was checked when it was read")
}

struct Drawer<'a> {
    names: &'a Names,
    seed: u64,
}

impl Drawer<'_> {
    /// `name` is the way to the value, and `field` the last field on it.
    fn strict(&self, loose: &Value, name: &[&str], field: &str) -> Value {
        match loose {
            Value::Object(fields) => {
                let mut stream = Stream::of(self.seed, name);
                let end = |end: &str| fields.get(end).and_then(Value::as_i64);
                if let (Some(from), Some(to)) = (end("from"), end("to")) {
                    return stream.between(from, to).into();
                }
                if let Some(Value::Array(choices)) = fields.get("one_of") {
                    let chosen = &choices[index(&mut stream, choices.len())];
                    return self.strict(chosen, &[name, &["chosen"]].concat(), field);
                }
                let fields = fields.iter().map(|(field, value)| {
                    let strict = self.strict(value, &[name, &[field]].concat(), field);
                    (field.clone(), strict)
                });
                Value::Object(fields.collect())
            }
            Value::Array(items) => {
                let items = items.iter().enumerate().map(|(index, item)| {
                    let index = index.to_string();
                    self.strict(item, &[name, &[&index]].concat(), field)
                });
                Value::Array(items.collect())
            }
            Value::String(text) if text == ANY => self.any(name, field),
            other => other.clone(),
        }
    }

    fn any(&self, name: &[&str], field: &str) -> Value {
        let from = match field {
            "process" => &self.names.processes,
            "path" | "paths" | "documents" if !self.names.files.is_empty() => &self.names.files,
            _ => return ANY.into(),
        };
        let mut stream = Stream::of(self.seed, name);
        from[index(&mut stream, from.len())].clone().into()
    }
}

/// A place in a list that is not empty.
pub(super) fn index(stream: &mut Stream, length: usize) -> usize {
    let drawn = stream.below(length as u64);
    usize::try_from(drawn).expect("a place in a list in memory")
}
