//! Arguments of tool calls, read with care.
//!
//! Owns: the arguments that many tools share, and how a wrong argument is told.
//! Promises: an argument that is unknown, missing or of the wrong type is named,
//! in a tool result. Leaves to others: what each tool takes (`tools`).

use maasl_core::id::ContentHash;
use maasl_core::lease::RequestKey;
use maasl_core::policy::Urgency;
use rmcp::model::JsonObject;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::ErrorBody;

/// Longest idempotency key, in bytes.
const KEY_BYTES_MAX: usize = 200;

/// Longest name of an argument that is compared with what was probably meant, in
/// bytes.
const NAME_BYTES_MAX: usize = 200;

/// Takes none of [`Common`].
pub(crate) const NOTHING: &[&str] = &[];
/// Takes the name of the agent.
pub(crate) const AGENT: &[&str] = &["agent"];
/// Takes all of [`Common`] but a lease, because it has a lease of its own.
pub(crate) const CHANGE: &[&str] = &["agent", "mode", "max_wait_ms", "idempotency_key"];
/// Takes all of [`Common`].
pub(crate) const GUARDED: &[&str] = &["agent", "mode", "max_wait_ms", "idempotency_key", "lease"];

/// The arguments that tools share.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Common {
    /// Your name, the same in all your calls; give it if several agents share
    /// this connection.
    pub(crate) agent: Option<String>,
    /// How long to wait by default: `interactive` (default) waits little,
    /// `batch` longer.
    pub(crate) mode: Option<WaitMode>,
    /// The longest wait for others, in milliseconds; 0 tries once.
    pub(crate) max_wait_ms: Option<u64>,
    /// Your name for this attempt: sent again with the same arguments, it is
    /// answered as before and not done twice.
    pub(crate) idempotency_key: Option<String>,
    /// The `lease` from `lease_acquire` to work under.
    pub(crate) lease: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WaitMode {
    Interactive,
    Batch,
}

impl From<WaitMode> for Urgency {
    fn from(mode: WaitMode) -> Self {
        match mode {
            WaitMode::Interactive => Self::Interactive,
            WaitMode::Batch => Self::Batch,
        }
    }
}

/// Refuses arguments that the tool does not have.
pub(crate) fn check_names(object: &JsonObject, schema: &JsonObject) -> Result<(), Box<ErrorBody>> {
    let known = schema.get("properties").and_then(Value::as_object);
    let known: Vec<&str> = known
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect();
    let Some(unknown) = object.keys().find(|name| !known.contains(&name.as_str())) else {
        return Ok(());
    };
    // The likeness takes memory for every pair of letters.
    let nearest = known
        .iter()
        .filter(|_| unknown.len() <= NAME_BYTES_MAX)
        .map(|name| (strsim::normalized_damerau_levenshtein(name, unknown), *name))
        .filter(|(likeness, _)| *likeness > 0.5)
        .max_by(|left, right| left.0.total_cmp(&right.0));
    let message = match nearest {
        Some((_, name)) => format!("is no argument of this tool; did you mean `{name}`?"),
        None => "is no argument of this tool".to_owned(),
    };
    let hint = format!("the arguments are {}", known.join(", "));
    Err(ErrorBody::invalid(unknown, message).with_hint(hint))
}

/// Takes the shared arguments out of the others.
pub(crate) fn take_common(
    object: &mut JsonObject,
    names: &[&str],
) -> Result<Common, Box<ErrorBody>> {
    let taken = names
        .iter()
        .filter_map(|name| object.remove_entry(*name))
        .collect();
    parse("", Value::Object(taken))
}

/// Reads `value`, which is the argument `at`, or all of them where that is empty.
pub(crate) fn parse<T: DeserializeOwned>(at: &str, value: Value) -> Result<T, Box<ErrorBody>> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let message = error.into_inner().to_string();
        let (named, message) = plain(&message);
        let parts = [
            at,
            if path == "." { "" } else { &path },
            named.unwrap_or(""),
        ];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        ErrorBody::invalid(&parts.join("."), message)
    })
}

/// Takes the name of a missing field out of a message, because the path ends
/// above it.
fn plain(message: &str) -> (Option<&str>, String) {
    if let Some(name) = message.strip_prefix("missing field `") {
        return (name.split('`').next(), "is missing".to_owned());
    }
    if let Some(rest) = message.strip_prefix("unknown field `") {
        let (_, rest) = rest.split_once('`').unwrap_or((rest, ""));
        return (None, format!("is not known{rest}"));
    }
    (None, message.to_owned())
}

/// Reads the hash of a content.
pub(crate) fn hash(field: &str, text: Option<&str>) -> Result<Option<ContentHash>, Box<ErrorBody>> {
    let Some(text) = text else { return Ok(None) };
    let hash = ContentHash::parse(text);
    hash.map(Some)
        .ok_or_else(|| ErrorBody::invalid(field, "is no SHA-256: 64 hexadecimal digits"))
}

/// The request key of a call, where it names one.
pub(crate) fn request_key(
    key: Option<&str>,
    fingerprint: Option<ContentHash>,
) -> Result<Option<RequestKey>, Box<ErrorBody>> {
    let (Some(key), Some(fingerprint)) = (key, fingerprint) else {
        return Ok(None);
    };
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        let message = format!("has 1 to {KEY_BYTES_MAX} bytes");
        return Err(ErrorBody::invalid("idempotency_key", message));
    }
    let key = key.to_owned();
    Ok(Some(RequestKey { key, fingerprint }))
}

/// What makes two calls with an idempotency key the same request: tool and
/// arguments, whatever they say about waiting.
pub(crate) fn fingerprint(tool: &str, object: &JsonObject) -> Option<ContentHash> {
    object.get("idempotency_key")?;
    let ignored = ["idempotency_key", "max_wait_ms", "mode"];
    let same = object
        .iter()
        .filter(|(name, value)| !ignored.contains(&name.as_str()) && !value.is_null());
    let mut text = format!("{tool}\n");
    canonical_fields(same, &mut text);
    Some(ContentHash::of(text.as_bytes()))
}

/// Writes JSON with sorted names and no white space.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(object) => canonical_fields(object.iter(), out),
        Value::Array(items) => {
            out.push('[');
            for item in items {
                canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        plain => out.push_str(&plain.to_string()),
    }
}

fn canonical_fields<'v>(fields: impl Iterator<Item = (&'v String, &'v Value)>, out: &mut String) {
    let mut fields: Vec<(&String, &Value)> = fields.collect();
    fields.sort_by_key(|(name, _)| *name);
    out.push('{');
    for (name, value) in fields {
        out.push_str(&Value::from(name.as_str()).to_string());
        out.push(':');
        canonical(value, out);
        out.push(',');
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> JsonObject {
        match value {
            Value::Object(object) => object,
            other => panic!("{other} is no object"),
        }
    }

    fn same(tool: &str, value: Value) -> ContentHash {
        fingerprint(tool, &object(value)).expect("there is a key")
    }

    #[test]
    fn a_retry_with_another_wait_is_the_same_request() {
        let first = same(
            "write_file",
            json!({"idempotency_key": "k", "path": "a", "content": "x", "lease": null}),
        );
        let retry = same(
            "write_file",
            json!({"content": "x", "path": "a", "idempotency_key": "k",
                   "max_wait_ms": 9, "mode": "batch"}),
        );
        assert_eq!(first, retry);
        let other = json!({"idempotency_key": "k", "path": "a", "content": "y"});
        assert_ne!(first, same("write_file", other.clone()));
        assert_ne!(same("edit_file", other.clone()), same("write_file", other));
    }

    #[test]
    fn keys_are_bounded() {
        let fingerprint = Some(ContentHash::of(b""));
        for wrong in ["", &"k".repeat(201)] {
            let refused = request_key(Some(wrong), fingerprint).unwrap_err();
            assert_eq!(refused.field.as_deref(), Some("idempotency_key"));
        }
        assert_eq!(request_key(None, None), Ok(None));
    }

    #[test]
    fn the_wrong_argument_is_named() {
        let parsed = parse::<Common>("", json!({"max_wait_ms": "soon"})).unwrap_err();
        assert_eq!(parsed.field.as_deref(), Some("max_wait_ms"));
        let parsed = parse::<Common>("changes[2]", json!({"colour": 1})).unwrap_err();
        assert_eq!(parsed.field.as_deref(), Some("changes[2].colour"));
    }

    #[test]
    fn a_name_of_megabytes_is_refused_without_comparing_it() {
        let schema = object(json!({"properties": {"path": {}}}));
        let mut long = JsonObject::new();
        long.insert("path".repeat(1 << 20), Value::Null);
        let refused = check_names(&long, &schema).unwrap_err();
        assert!(!refused.message.contains("did you mean"));
        let told = serde_json::to_string(&refused).unwrap();
        assert!(told.len() < 20_000, "{} bytes are told", told.len());
    }

    #[test]
    fn a_misspelt_argument_gets_a_suggestion() {
        let schema = object(json!({"properties": {"path": {}, "content": {}}}));
        let refused = check_names(&object(json!({"pth": 1})), &schema).unwrap_err();
        assert!(
            refused.message.contains("did you mean `path`"),
            "{refused:?}"
        );
        assert_eq!(refused.field.as_deref(), Some("pth"));
        assert_eq!(check_names(&object(json!({"path": 1})), &schema), Ok(()));
    }
}
