//! Parts of a plan with room for chance.
//!
//! Owns: values in the form of a plan's in which any number may be a range, and
//! any word or number a choice. Promises: the form follows from the plan's own
//! types, so whatever a plan can say a scenario can say loosely. Leaves to
//! others: choosing (`draw::value`).

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

/// Stands for a process or a file that is drawn.
pub const ANY: &str = "any";

/// A `T` of which some values are still to be drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Loose<T> {
    /// As the scenario has it.
    pub value: Value,
    form: PhantomData<T>,
}

impl<T> Loose<T> {
    /// A text that is there as it is.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<&str> {
        self.value.get(field)?.as_str()
    }
}

impl<'de, T> Deserialize<'de> for Loose<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(from)?;
        let form = PhantomData;
        Ok(Self { value, form })
    }
}

impl<T: JsonSchema> JsonSchema for Loose<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Loose_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let settings = SchemaSettings::draft2020_12()
            .with(|settings| {
                settings.inline_subschemas = true;
                settings.meta_schema = None;
            })
            .for_deserialize();
        let strict = settings.into_generator().into_root_schema_for::<T>();
        let mut value = strict.to_value();
        loosen(&mut value, generator.definitions_mut());
        Schema::try_from(value).expect("a schema is an object before and after")
    }
}

/// Lets a range or a choice stand where a value stands.
fn loosen(schema: &mut Value, definitions: &mut Map<String, Value>) {
    without_null(schema);
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    object.remove("default");
    object.remove("title");
    if object.contains_key("const") {
        return;
    }
    if is_leaf(object) {
        *object = leaf(std::mem::take(object), definitions);
        return;
    }
    if object.contains_key("properties") {
        object.insert("additionalProperties".into(), false.into());
    }
    if let Some(items) = object.get_mut("items") {
        loosen(items, definitions);
    }
    for place in ["properties", "oneOf", "anyOf"] {
        let inner: Vec<&mut Value> = match object.get_mut(place) {
            Some(Value::Object(many)) => many.values_mut().collect(),
            Some(Value::Array(many)) => many.iter_mut().collect(),
            _ => Vec::new(),
        };
        for one in inner {
            loosen(one, definitions);
        }
    }
}

/// TOML has no null: what may be absent is left out.
fn without_null(schema: &mut Value) {
    if let Some(types) = schema.get_mut("type").and_then(Value::as_array_mut) {
        types.retain(|one| one != "null");
        if let [one] = types.as_slice() {
            schema["type"] = one.clone();
        }
    }
    if let Some(forms) = schema.get_mut("anyOf").and_then(Value::as_array_mut) {
        forms.retain(|one| one["type"] != "null");
        if let [Value::Object(one)] = forms.as_slice() {
            let mut one = one.clone();
            if let Some(description) = schema.get("description") {
                one.insert("description".into(), description.clone());
            }
            *schema = Value::Object(one);
        }
    }
}

fn is_leaf(object: &Map<String, Value>) -> bool {
    let words = |place: &str| {
        let branches = object.get(place).and_then(Value::as_array);
        branches.is_some_and(|all| all.iter().all(|one| one["type"] == "string"))
    };
    let kind = object.get("type").and_then(Value::as_str);
    matches!(kind, Some("integer" | "boolean" | "string")) || words("oneOf")
}

/// The loose form of a value. Forms that come often have a name, by kind.
fn leaf(
    mut strict: Map<String, Value>,
    definitions: &mut Map<String, Value>,
) -> Map<String, Value> {
    let description = strict.remove("description");
    let name = strict.get("format").or_else(|| strict.get("type"));
    let name = name
        .and_then(Value::as_str)
        .map(|kind| format!("Loose_{kind}"));
    let forms = Value::Object(strict);
    let forms = json!({ "anyOf": forms_of(&forms) });
    let mut loose = Map::new();
    match name {
        Some(name) => {
            loose.insert("$ref".into(), format!("#/$defs/{name}").into());
            definitions.insert(name, forms);
        }
        None => loose.extend(forms.as_object().cloned().unwrap_or_default()),
    }
    if let Some(description) = description {
        loose.insert("description".into(), description);
    }
    loose
}

/// As it is, from a range, from a list.
fn forms_of(strict: &Value) -> Vec<Value> {
    let mut forms = vec![strict.clone()];
    if strict["type"] == "integer" {
        forms.push(json!({
            "type": "object",
            "description": "Drawn from a range that includes both ends",
            "properties": { "from": strict, "to": strict },
            "required": ["from", "to"],
            "additionalProperties": false,
        }));
    }
    forms.push(json!({
        "type": "object",
        "description": "Drawn from a list",
        "properties": { "one_of": { "type": "array", "items": strict, "minItems": 1 } },
        "required": ["one_of"],
        "additionalProperties": false,
    }));
    forms
}
