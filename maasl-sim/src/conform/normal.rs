//! What of an answer is compared.
//!
//! Owns: the fields that are left out, and the names of what both number in their
//! own way. Promises: a field that is not named here is compared; the nth token
//! that one side told is the nth of the other. Leaves to others: comparing.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Fields that only one of the two can know: times and waits, the text of what a
/// change did, and the names of what is on this machine.
const LEFT_OUT: [&str; 15] = [
    "agent",
    "diff",
    "digest",
    "encoding",
    "end_line",
    "expires_in_ms",
    "held_ms",
    "identity",
    "last_insert_rowid",
    "seen",
    "start_line",
    "store",
    "time",
    "total_lines",
    "waited_ms",
];

/// Fields whose values count by their order and by being equal.
const NAMED: [&str; 3] = ["fencing_token", "lease", "patch_id"];

/// What one side called the tokens, leases and patches that it told, in order.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<&'static str, Vec<String>>);

impl Names {
    /// The place of a value among those of its field.
    fn place(&mut self, field: &'static str, value: &Value) -> Value {
        let told = self.0.entry(field).or_default();
        let value = plain(value);
        let known = told.iter().position(|one| *one == value);
        let place = known.unwrap_or_else(|| {
            told.push(value);
            told.len() - 1
        });
        json!(format!("{field} {}", place + 1))
    }

    /// What the other side calls this; as it is where this side never told it.
    pub(super) fn counterpart(&self, field: &str, value: &str, other: &Self) -> String {
        let place = self.0.get(field);
        let place = place.and_then(|told| told.iter().position(|one| one == value));
        let theirs = place.and_then(|place| other.0.get(field)?.get(place));
        theirs.map_or_else(|| value.to_owned(), Clone::clone)
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), Into::into)
}

/// An answer without what is left out, and without what says nothing.
pub(super) fn of(told: &Value, names: &mut Names) -> Value {
    match told {
        Value::Array(items) => items.iter().map(|item| of(item, names)).collect(),
        Value::Object(fields) => Value::Object(fields_of(fields, names)),
        other => other.clone(),
    }
}

fn fields_of(fields: &Map<String, Value>, names: &mut Names) -> Map<String, Value> {
    let says_nothing =
        |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    let mut left: Vec<_> = fields
        .iter()
        .filter(|(name, value)| !LEFT_OUT.contains(&name.as_str()) && !says_nothing(value))
        .collect();
    // Names are given in one order, whatever order the fields came in.
    left.sort_by_key(|(name, _)| *name);
    let left = left.into_iter().map(|(name, value)| {
        let value = match name.as_str() {
            "error" => value["code"].clone(),
            "held_by" => value["agent"].clone(),
            "lost_leases" => json!(value.as_array().map(Vec::len)),
            name => match NAMED.into_iter().find(|named| *named == name) {
                Some(field) => names.place(field, value),
                None => of(value, names),
            },
        };
        (name.clone(), value)
    });
    left.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(simulated: Value, real: Value) -> bool {
        let told = |value: Value| {
            let mut names = Names::default();
            let first = json!({ "fencing_token": value["first"] });
            (of(&first, &mut names), of(&value["then"], &mut names))
        };
        told(simulated) == told(real)
    }

    #[test]
    fn tokens_count_by_their_order_and_by_being_equal() {
        let told =
            |first: u64, then: u64| json!({ "first": first, "then": { "fencing_token": then } });
        assert!(same(told(3, 4), told(70, 90)));
        assert!(same(told(3, 3), told(70, 70)));
        assert!(!same(told(3, 4), told(70, 70)));
        assert!(!same(told(3, 3), told(70, 90)));
    }

    #[test]
    fn one_field_that_differs_is_noticed_however_deep() {
        let told = |merged: bool, waited_ms: u64| {
            let file = json!({ "path": "a", "merged": merged, "diff": waited_ms.to_string() });
            json!({ "then": { "ok": true, "files": [file], "waited_ms": waited_ms } })
        };
        assert!(same(told(true, 1), told(true, 2)));
        assert!(!same(told(true, 1), told(false, 1)));
    }

    #[test]
    fn a_field_that_only_one_side_tells_is_a_difference() {
        let plain = json!({ "then": { "ok": true } });
        assert!(same(
            plain.clone(),
            json!({ "then": { "ok": true, "conflicts": [], "x": null } })
        ));
        assert!(!same(
            plain.clone(),
            json!({ "then": { "ok": true, "x": 1 } })
        ));
        let refused = |code: &str| json!({ "then": { "ok": false, "error": { "code": code, "message": code } } });
        assert!(!same(plain, refused("stale_version")));
        assert!(!same(refused("resource_busy"), refused("stale_version")));
    }
}
