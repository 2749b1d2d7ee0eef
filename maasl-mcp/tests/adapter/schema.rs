//! As much of JSON Schema as the adapter's schemas use.
//!
//! Owns: checking a value against a schema. Promises: a keyword it does not know
//! fails the test, so that nothing is passed over. Leaves to others: the rest of
//! JSON Schema.

use serde_json::{Map, Value};

/// Panics unless `value` fits `schema`.
pub(crate) fn check(schema: &Value, value: &Value, at: &str) {
    if let Err(fault) = fits(schema, value, at) {
        panic!("{fault}\n{value:#}");
    }
}

fn fits(schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let Value::Object(schema) = schema else {
        return if schema == &Value::Bool(true) {
            Ok(())
        } else {
            Err(format!("{at} is forbidden"))
        };
    };
    for (keyword, rule) in schema {
        let holds = match keyword.as_str() {
            "description" | "title" | "default" | "additionalProperties" | "properties" => true,
            "type" => words(rule).iter().any(|word| is_of(value, word)),
            "enum" => rule.as_array().unwrap().contains(value),
            "const" => rule == value,
            "minimum" => value
                .as_f64()
                .is_none_or(|number| number >= rule.as_f64().unwrap()),
            "maximum" => value
                .as_f64()
                .is_none_or(|number| number <= rule.as_f64().unwrap()),
            "required" => value
                .as_object()
                .is_none_or(|fields| words(rule).iter().all(|name| fields.contains_key(*name))),
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    fits(rule, item, &format!("{at}[{index}]"))?;
                }
                true
            }
            "anyOf" => matching(rule, value, at) > 0,
            "oneOf" => matching(rule, value, at) == 1,
            unknown => panic!("{at}: unknown keyword {unknown}"),
        };
        if !holds {
            return Err(format!("{at} breaks {keyword} {rule}: {value}"));
        }
    }
    fields_fit(schema, value, at)
}

fn fields_fit(schema: &Map<String, Value>, value: &Value, at: &str) -> Result<(), String> {
    let Value::Object(fields) = value else {
        return Ok(());
    };
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, field) in fields {
        let at = format!("{at}.{name}");
        match (
            properties.and_then(|all| all.get(name)),
            schema.get("additionalProperties"),
        ) {
            (Some(rule), _) | (None, Some(rule)) => fits(rule, field, &at)?,
            // Schemas of results are open, but nothing may be in a result that
            // is not in its schema.
            (None, None) if properties.is_some() => return Err(format!("{at} is undescribed")),
            (None, None) => {}
        }
    }
    Ok(())
}

fn matching(rules: &Value, value: &Value, at: &str) -> usize {
    let rules = rules.as_array().unwrap().iter();
    rules.filter(|rule| fits(rule, value, at).is_ok()).count()
}

fn words(rule: &Value) -> Vec<&str> {
    match rule {
        Value::String(word) => vec![word],
        Value::Array(words) => words.iter().map(|word| word.as_str().unwrap()).collect(),
        other => panic!("{other} is no word"),
    }
}

fn is_of(value: &Value, word: &str) -> bool {
    match word {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("unknown type {other}"),
    }
}

/// Panics unless every argument, at any depth, has a description.
pub(crate) fn arguments_are_described(at: &str, schema: &Value) {
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        let at = format!("{at}.{name}");
        let is_tag = property.get("const").is_some();
        assert!(
            is_tag || property.get("description").is_some(),
            "{at} is undescribed"
        );
        arguments_are_described(&at, property);
    }
    if let Some(items) = schema.get("items") {
        arguments_are_described(&format!("{at}[]"), items);
    }
    for rule in schema
        .get("oneOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        arguments_are_described(at, rule);
    }
}

/// The names of the fields, `?` after those that are optional.
pub(crate) fn fields(schema: &Value) -> Vec<String> {
    let required = schema.get("required").map(words).unwrap_or_default();
    let properties = schema["properties"].as_object().unwrap();
    let name = |name: &String| {
        let mark = if required.contains(&name.as_str()) {
            ""
        } else {
            "?"
        };
        format!("{name}{mark}")
    };
    properties.keys().map(name).collect()
}
