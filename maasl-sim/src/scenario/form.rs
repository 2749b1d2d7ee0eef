//! Whether a file has the form of a scenario.
//!
//! Owns: the check of every field's name and every value's kind. Promises: goes
//! by the schema alone; the first thing that is wrong is named with its place.
//! Leaves to others: whether values make sense together (`sense`).

use core::ops::Range as Span;

use serde_json::{Map, Value};
use toml::de::{DeTable, DeValue};

use super::schema::schema;
use super::source::{Path, ScenarioError, Source, instead};

/// Checks the form of a file.
pub(super) fn check(source: &Source<'_>) -> Result<(), ScenarioError> {
    let root = source.parse()?;
    let schema = schema();
    let form = Form {
        definitions: schema.get("$defs").unwrap_or(&Value::Null),
        source,
    };
    form.table(&schema, root.get_ref(), &root.span(), &Path::default())
}

struct Form<'a> {
    definitions: &'a Value,
    source: &'a Source<'a>,
}

impl<'a> Form<'a> {
    fn value(
        &self,
        schema: &'a Value,
        value: &toml::Spanned<DeValue<'_>>,
        path: &Path,
    ) -> Result<(), ScenarioError> {
        let mut branches = Vec::new();
        self.branches(schema, &mut branches);
        let fitting = branches.iter().filter(|one| fits(one, value.get_ref()));
        let fitting: Vec<&Value> = fitting.copied().collect();
        let span = value.span();
        match value.get_ref() {
            _ if fitting.is_empty() => {
                let wanted: Vec<String> = branches.iter().filter_map(|one| words(one)).collect();
                let message = format!(
                    "{path} needs {}, not {}",
                    wanted.join(" or "),
                    found_words(value.get_ref())
                );
                Err(self.source.wrong(span, message))
            }
            DeValue::Table(table) => {
                let branch = self.branch(&fitting, table, &span, path)?;
                self.table(branch, table, &span, path)
            }
            DeValue::Array(items) => {
                let least = fitting[0].get("minItems").and_then(Value::as_u64);
                if least.is_some_and(|least| (items.len() as u64) < least) {
                    let message = format!("{path} is empty; nothing could be drawn from it");
                    return Err(self.source.wrong(span, message));
                }
                let of = fitting[0].get("items").unwrap_or(&Value::Null);
                let mut items = items.iter().enumerate();
                items.try_for_each(|(index, item)| self.value(of, item, &path.item(index)))
            }
            DeValue::Integer(_) => self.integer(fitting[0], value, path),
            DeValue::String(text) => self.text(&fitting, text, &span, path),
            _ => Ok(()),
        }
    }

    /// All forms a value may have, one below the other.
    fn branches(&self, schema: &'a Value, into: &mut Vec<&'a Value>) {
        if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
            let name = name.trim_start_matches("#/$defs/");
            self.branches(&self.definitions[name], into);
            return;
        }
        let inner = ["anyOf", "oneOf"].iter().find_map(|of| schema.get(of));
        match inner.and_then(Value::as_array) {
            Some(inner) => inner.iter().for_each(|one| self.branches(one, into)),
            None => into.push(schema),
        }
    }

    /// The form that a table is meant to have.
    fn branch(
        &self,
        branches: &[&'a Value],
        table: &DeTable<'_>,
        span: &Span<usize>,
        path: &Path,
    ) -> Result<&'a Value, ScenarioError> {
        if let [only] = branches {
            return Ok(only);
        }
        let Some(tag) = tag_of(branches) else {
            let shared = |branch: &&&Value| {
                let known = &branch["properties"];
                table
                    .keys()
                    .filter(|key| known.get(key.get_ref().as_ref()).is_some())
                    .count()
            };
            let likeliest = branches.iter().rev().max_by_key(shared);
            return Ok(likeliest.expect("a value that fits none was refused before"));
        };
        let names: Vec<&str> = branches
            .iter()
            .filter_map(|one| one["properties"][tag]["const"].as_str())
            .collect();
        let Some(value) = table.get(tag) else {
            let message = format!("{path} needs {tag:?}, one of {}", names.join(", "));
            return Err(self.source.wrong(span.clone(), message));
        };
        let text = value.get_ref().as_str().unwrap_or_default();
        let place = names.iter().position(|name| *name == text);
        place.map(|at| branches[at]).ok_or_else(|| {
            let field = path.field(tag);
            let message = format!(
                "unknown value {text:?} of {field}; {}",
                instead(text, &names)
            );
            self.source.wrong(value.span(), message)
        })
    }

    fn table(
        &self,
        schema: &'a Value,
        table: &DeTable<'_>,
        span: &Span<usize>,
        path: &Path,
    ) -> Result<(), ScenarioError> {
        let nothing = Map::new();
        let known = schema["properties"].as_object().unwrap_or(&nothing);
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let Some(field) = known.get(name) else {
                let names: Vec<&str> = known.keys().map(String::as_str).collect();
                let message = format!(
                    "unknown field {name:?} in {path}; {}",
                    instead(name, &names)
                );
                return Err(self.source.wrong(key.span(), message));
            };
            self.value(field, value, &path.field(name))?;
        }
        let required = schema["required"].as_array().into_iter().flatten();
        let mut required = required.filter_map(Value::as_str);
        if let Some(name) = required.find(|name| table.get(*name).is_none()) {
            let message = format!("{path} needs the field {name:?}");
            return Err(self.source.wrong(span.clone(), message));
        }
        self.ends(table, span, path)
    }

    /// A range ends where it begins or later.
    fn ends(
        &self,
        table: &DeTable<'_>,
        span: &Span<usize>,
        path: &Path,
    ) -> Result<(), ScenarioError> {
        let end = |name: &str| table.get(name).and_then(|value| number(value.get_ref()));
        if let (Some(from), Some(to)) = (end("from"), end("to"))
            && from > to
        {
            let message = format!(
                "the range of {path} ends before it begins; write {{ from = {to}, to = {from} }}"
            );
            return Err(self.source.wrong(span.clone(), message));
        }
        Ok(())
    }

    fn integer(
        &self,
        schema: &Value,
        value: &toml::Spanned<DeValue<'_>>,
        path: &Path,
    ) -> Result<(), ScenarioError> {
        let (least, most) = bounds(schema);
        let found = number(value.get_ref());
        if found.is_some_and(|found| (least..=most).contains(&found)) {
            return Ok(());
        }
        let message = format!("{path} lies between {least} and {most}");
        Err(self.source.wrong(value.span(), message))
    }

    fn text(
        &self,
        branches: &[&Value],
        text: &str,
        span: &Span<usize>,
        path: &Path,
    ) -> Result<(), ScenarioError> {
        let listed = branches.iter().flat_map(|one| {
            let many = one
                .get("enum")
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            one.get("const")
                .into_iter()
                .chain(many)
                .filter_map(Value::as_str)
        });
        let listed: Vec<&str> = listed.collect();
        if listed.is_empty() || listed.contains(&text) {
            return Ok(());
        }
        let message = format!(
            "unknown value {text:?} of {path}; {}",
            instead(text, &listed)
        );
        Err(self.source.wrong(span.clone(), message))
    }
}

/// The field whose value says which of the forms is meant.
fn tag_of<'a>(branches: &[&'a Value]) -> Option<&'a str> {
    let first = branches.first()?["properties"].as_object()?;
    let mut tags = first.iter().filter(|(_, form)| form.get("const").is_some());
    let (tag, _) = tags.next()?;
    let everywhere = |one: &&Value| one["properties"][tag.as_str()].get("const").is_some();
    branches.iter().all(everywhere).then_some(tag.as_str())
}

fn fits(schema: &Value, value: &DeValue<'_>) -> bool {
    let kind = match value {
        DeValue::String(_) => "string",
        DeValue::Integer(_) => "integer",
        DeValue::Boolean(_) => "boolean",
        DeValue::Array(_) => "array",
        DeValue::Table(_) => "object",
        DeValue::Float(_) | DeValue::Datetime(_) => return false,
    };
    match &schema["type"] {
        Value::String(one) => one == kind,
        Value::Array(many) => many.iter().any(|one| one == kind),
        _ => false,
    }
}

/// What a form asks for; nothing for the null that TOML does not have.
fn words(schema: &Value) -> Option<String> {
    let properties = &schema["properties"];
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().find_map(Value::as_str),
        kind => kind.as_str(),
    };
    let words = match kinds? {
        "integer" => "a whole number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" if properties.get("one_of").is_some() => "{ one_of = [..] }",
        "object" if properties.get("from").is_some() => "{ from = .., to = .. }",
        "object" => "a table",
        "string" => match schema.get("const").and_then(Value::as_str) {
            Some(word) => return Some(format!("{word:?}")),
            None => "a text",
        },
        _ => return None,
    };
    Some(words.into())
}

fn found_words(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn number(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// The least and the greatest number that a form allows.
fn bounds(schema: &Value) -> (i64, i64) {
    let (least, most) = match schema["format"].as_str() {
        Some("uint32") => (0, i64::from(u32::MAX)),
        Some("int32") => (i64::from(i32::MIN), i64::from(i32::MAX)),
        Some("uint64") => (0, i64::MAX),
        _ => (i64::MIN, i64::MAX),
    };
    let stated = |name: &str| schema.get(name).and_then(Value::as_i64);
    (
        stated("minimum").unwrap_or(least),
        stated("maximum").unwrap_or(most),
    )
}
