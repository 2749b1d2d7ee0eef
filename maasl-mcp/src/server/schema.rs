//! JSON schemas of arguments and results.
//!
//! Owns: the dialect that clients of all kinds accept. Promises: nothing refers
//! to a definition elsewhere, numbers carry no `format` (TypeScript clients
//! complain about those they do not know), what is optional is absent and not
//! null (some clients cannot read a choice of types), and the schema of a result
//! fits success and refusal alike. Leaves to others: what the fields are.

use rmcp::model::JsonObject;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use super::arguments::Common;
use super::details::{LostBody, ObservedBody};
use super::error::ErrorBody;

/// The schema of a tool's arguments: its own, and those of [`Common`] that it
/// takes.
pub(crate) fn input<A: JsonSchema>(common: &[&str]) -> JsonObject {
    let mut schema = object::<A>(settings());
    let mut shared = properties(&mut object::<Common>(settings()));
    let mut own = properties(&mut schema);
    for name in common {
        if let Some(property) = shared.remove(*name) {
            own.insert((*name).to_owned(), property);
        }
    }
    schema.insert("properties".to_owned(), Value::Object(own));
    schema.insert("additionalProperties".to_owned(), Value::Bool(false));
    schema
}

/// The schema of a tool's result: the envelope, with the fields of a success
/// optional. `told` says whether results may report lost leases.
pub(crate) fn output<B: JsonSchema>(told: bool) -> JsonObject {
    let mut body = object::<B>(settings().for_serialize());
    let mut fields = JsonObject::new();
    fields.insert("ok".to_owned(), ok_schema());
    fields.insert("error".to_owned(), error_schema());
    if told {
        fields.insert("lost_leases".to_owned(), lost_schema());
        fields.insert("would_block".to_owned(), observed_schema("waited for"));
        fields.insert("would_refuse".to_owned(), observed_schema("refused for"));
    }
    fields.extend(properties(&mut body));
    body.insert("properties".to_owned(), Value::Object(fields));
    body.insert("required".to_owned(), json!(["ok"]));
    body
}

fn ok_schema() -> Value {
    json!({
        "type": "boolean",
        "description": "Whether the call did what it was asked to; if not, see `error`."
    })
}

fn error_schema() -> Value {
    let mut schema = object::<ErrorBody>(terse());
    let text = "Why the call was refused. A refused call has changed nothing.";
    schema.insert("description".to_owned(), text.into());
    Value::Object(schema)
}

fn lost_schema() -> Value {
    json!({
        "type": "array",
        "description": "Leases of yours that were found lost since your last call.",
        "items": object::<LostBody>(terse()),
    })
}

fn observed_schema(what: &str) -> Value {
    json!({
        "type": "array",
        "description": format!("In observe mode: what this would have {what} in enforce mode."),
        "items": object::<ObservedBody>(terse()),
    })
}

fn settings() -> SchemaSettings {
    SchemaSettings::draft2020_12()
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        })
        .with_transform(RecursiveTransform(in_dialect))
}

/// For what every tool repeats: types and names only.
fn terse() -> SchemaSettings {
    let only_types = |schema: &mut Schema| {
        schema.remove("description");
        schema.remove("minimum");
    };
    settings()
        .for_serialize()
        .with_transform(RecursiveTransform(only_types))
}

fn in_dialect(schema: &mut Schema) {
    let is_number = |format: &str| {
        format.starts_with("int") || format.starts_with("uint") || format == "double"
    };
    if schema
        .get("format")
        .and_then(Value::as_str)
        .is_some_and(is_number)
    {
        schema.remove("format");
    }
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.replace('\n', " ");
    }
    let required = schema.get("required").and_then(Value::as_array).cloned();
    let required = required.unwrap_or_default();
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for (name, property) in properties.into_iter().flatten() {
        if !required.iter().any(|required| required == name.as_str()) {
            without_null(property);
        }
    }
}

/// Takes null out of what a property may be.
fn without_null(property: &mut Value) {
    if let Some(Value::Array(types)) = property.get_mut("type") {
        types.retain(|word| word != "null");
        if let [only] = types.as_slice() {
            property["type"] = only.clone();
        }
    }
    if let Some(Value::Array(values)) = property.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
}

/// The schema of a struct without the name and doc of the Rust type.
fn object<T: JsonSchema>(settings: SchemaSettings) -> JsonObject {
    let schema = settings.into_generator().into_root_schema_for::<T>();
    let Value::Object(mut schema) = schema.to_value() else {
        return JsonObject::new();
    };
    schema.remove("title");
    schema.remove("description");
    schema
}

fn properties(schema: &mut JsonObject) -> JsonObject {
    match schema.remove("properties") {
        Some(Value::Object(properties)) => properties,
        _ => JsonObject::new(),
    }
}
