//! The one shape of every tool result.
//!
//! Owns: `{"ok": true, …}` and `{"ok": false, "error": {…}}`, and what observe mode
//! adds to either. Promises: both fit
//! the tool's `outputSchema`, and the text is a copy of the structured content.
//! Leaves to others: the fields inside.

use maasl_core::observed::Observed;
use maasl_core::refusal::{LostLease, Refusal};
use rmcp::model::{CallToolResult, JsonObject};
use serde::Serialize;
use serde_json::{Value, json};

use super::details::{LostBody, ObservedBody};
use super::error::ErrorBody;

/// What a tool answers, and what its agent must be told besides.
#[derive(Debug)]
pub(crate) struct Told<T> {
    pub(crate) result: Result<T, Box<ErrorBody>>,
    pub(crate) lost: Vec<LostLease>,
    pub(crate) observed: Vec<Observed>,
}

impl<T> Told<T> {
    /// Turns the answer into another one, or into a refusal.
    pub(crate) fn and_then<U>(self, then: impl FnOnce(T) -> Result<U, Box<ErrorBody>>) -> Told<U> {
        Told {
            result: self.result.and_then(then),
            lost: self.lost,
            observed: self.observed,
        }
    }
}

impl<T> From<Result<T, Box<ErrorBody>>> for Told<T> {
    fn from(result: Result<T, Box<ErrorBody>>) -> Self {
        Self {
            result,
            lost: Vec::new(),
            observed: Vec::new(),
        }
    }
}

impl<T> From<Box<ErrorBody>> for Told<T> {
    fn from(error: Box<ErrorBody>) -> Self {
        Err(error).into()
    }
}

impl<T: Serialize> Told<T> {
    /// The result as it goes to the client; `correlation` names a failure in the
    /// log.
    pub(crate) fn into_result(self, correlation: impl FnOnce() -> String) -> CallToolResult {
        let fields = self.result.and_then(|body| fields_of(&body));
        let is_ok = fields.is_ok();
        let mut envelope = match fields {
            Ok(fields) => fields,
            Err(error) => refused(*error, correlation),
        };
        envelope.insert("ok".to_owned(), is_ok.into());
        if !self.lost.is_empty() {
            let lost: Vec<LostBody> = self.lost.into_iter().map(LostBody::from).collect();
            envelope.insert("lost_leases".to_owned(), value_of(&lost));
        }
        for what in self.observed {
            let told = envelope.entry(what.name()).or_insert_with(|| json!([]));
            let told = told.as_array_mut().expect("put here as an array");
            told.push(value_of(&ObservedBody::from(what)));
        }
        let envelope = Value::Object(envelope);
        if is_ok {
            CallToolResult::structured(envelope)
        } else {
            CallToolResult::structured_error(envelope)
        }
    }
}

fn refused(mut error: ErrorBody, correlation: impl FnOnce() -> String) -> JsonObject {
    if error.code == "internal" {
        let id = correlation();
        tracing::error!(
            correlation_id = id,
            message = error.message,
            "internal failure"
        );
        error.correlation_id = Some(id);
    }
    JsonObject::from_iter([("error".to_owned(), value_of(&error))])
}

fn fields_of<T: Serialize>(body: &T) -> Result<JsonObject, Box<ErrorBody>> {
    match serde_json::to_value(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(other) => Err(unwritable(&format!("a result is {other}"))),
        Err(error) => Err(unwritable(&error.to_string())),
    }
}

fn unwritable(message: &str) -> Box<ErrorBody> {
    Box::new(Refusal::internal(message).into())
}

fn value_of<T: Serialize>(body: &T) -> Value {
    serde_json::to_value(body).expect("structs of text and numbers are always JSON")
}
