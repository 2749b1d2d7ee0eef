//! `db_write`.
//!
//! Owns: the tool's arguments and results, and JSON as values of SQL. Promises:
//! every storage class of SQLite can be written, numbers exactly. Leaves to
//! others: which databases there are, what SQL is allowed, and when.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maasl_core::coordinator::database::DatabaseWrite;
use maasl_core::coordinator::io::{Reply, Request};
use maasl_core::database::{Parameters, Real, Statement, Value, Work};
use maasl_core::reply::Receipt;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value as Json;

use super::{Effect, Spec};
use crate::server::arguments::GUARDED;
use crate::server::backend::Backend;
use crate::server::context::{Cx, mixed_up};
use crate::server::envelope::Told;
use crate::server::error::ErrorBody;

/// The tool.
pub(crate) struct DbWrite;

/// What to do in which database.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    /// The database, by its name in the configuration; `rag` is always there.
    db: String,
    /// What to do, in order, all or nothing.
    statements: Vec<StatementArgument>,
}

/// One SQL statement.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StatementArgument {
    /// Exactly one statement, with `?1` or `:name` where values go.
    sql: String,
    /// The values: an array for `?1`, `?2`, … or an object for names. A blob is
    /// `{"base64": "…"}`.
    #[serde(default, deserialize_with = "or_none")]
    params: ParamsArgument,
}

/// The values of a statement's parameters.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "is neither an array of values nor an object of them by name"
)]
pub(crate) enum ParamsArgument {
    /// By place.
    Positional(Vec<Json>),
    /// By name.
    Named(BTreeMap<String, Json>),
}

impl Default for ParamsArgument {
    fn default() -> Self {
        Self::Positional(Vec::new())
    }
}

/// A null stands for what is left out, as everywhere. The schema of an option would
/// offer a choice of types that some clients cannot read.
fn or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ParamsArgument, D::Error> {
    let given = Option::<ParamsArgument>::deserialize(deserializer)?;
    Ok(given.unwrap_or_default())
}

/// What was written.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Body {
    /// Rows inserted, updated or deleted.
    rows_affected: u64,
    /// The row id of the last insertion, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_insert_rowid: Option<i64>,
    /// The token it was written under.
    fencing_token: u64,
    /// How long the call waited.
    waited_ms: u64,
}

impl Spec for DbWrite {
    const NAME: &'static str = "db_write";
    const TITLE: &'static str = "Write a database";
    const DOC: &'static str = "Runs SQL statements on a SQLite database of this repository as one \
        transaction, alone: no other agent writes in between, and either all of it is there or \
        nothing. Read the database as you always do.";
    const EFFECT: Effect = Effect::Replaces;
    const COMMON: &'static [&'static str] = GUARDED;
    type Arguments = Arguments;
    type Body = Body;

    async fn run<B: Backend>(cx: Cx<B>, arguments: Arguments) -> Told<Body> {
        match arguments.into_write("") {
            Ok(write) => cx.call(Request::Database(write)).await.and_then(written),
            Err(error) => error.into(),
        }
    }
}

impl Arguments {
    /// What is asked for; `at` is where these arguments stand among others, with a
    /// dot at its end.
    pub(crate) fn into_write(self, at: &str) -> Result<DatabaseWrite, Box<ErrorBody>> {
        let statements = self.statements.into_iter().enumerate();
        let statements = statements.map(|(index, one)| one.into_statement(at, index));
        Ok(DatabaseWrite {
            db: self.db,
            work: Work::Statements(statements.collect::<Result<_, _>>()?),
        })
    }
}

/// What a receipt says of a database that was written.
pub(super) fn written(reply: Reply) -> Result<Body, Box<ErrorBody>> {
    match reply {
        Reply::Receipt(Receipt::Written {
            rows_affected,
            last_insert_rowid,
            token,
            waited_ms,
            ..
        }) => Ok(Body {
            rows_affected,
            last_insert_rowid,
            fencing_token: token.number(),
            waited_ms,
        }),
        other => Err(mixed_up(&other)),
    }
}

impl StatementArgument {
    fn into_statement(self, at: &str, index: usize) -> Result<Statement, Box<ErrorBody>> {
        let field = |part: &str| format!("{at}statements[{index}].params{part}");
        let parameters = match self.params {
            ParamsArgument::Positional(values) => {
                let values = values.into_iter().enumerate();
                let values = values.map(|(at, one)| value(&field(&format!("[{at}]")), one));
                Parameters::Positional(values.collect::<Result<_, _>>()?)
            }
            ParamsArgument::Named(values) => {
                let values = values.into_iter().map(|(name, one)| {
                    let named = value(&field(&format!(".{name}")), one)?;
                    Ok((bare(&name), named))
                });
                Parameters::Named(values.collect::<Result<_, Box<ErrorBody>>>()?)
            }
        };
        Ok(Statement {
            sql: self.sql,
            parameters,
        })
    }
}

/// The name of a parameter without the mark that it may be given with.
fn bare(name: &str) -> String {
    name.strip_prefix([':', '@', '$'])
        .unwrap_or(name)
        .to_owned()
}

/// JSON's own numbers from here on are reals: writers of JSON give them an exponent,
/// while those below may be integers written out in full, rounded when they were read.
const SURELY_REAL: f64 = 1e21;

/// SQLite's integers end below this.
const INTEGERS_END: f64 = 9_223_372_036_854_775_808.0;

/// A value of SQL from one of JSON.
fn value(field: &str, json: Json) -> Result<Value, Box<ErrorBody>> {
    match json {
        Json::Null => Ok(Value::Null),
        Json::Bool(flag) => Ok(Value::Integer(flag.into())),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Ok(Value::Integer(integer)),
            (None, Some(real)) if !may_be_integer(real) => Ok(Value::Real(Real::new(real))),
            _ => Err(ErrorBody::invalid(
                field,
                format!(
                    "{number} is larger than SQLite's integers; write a real of this size as text, \
                     with CAST(… AS REAL) in the statement"
                ),
            )),
        },
        Json::String(text) => Ok(Value::Text(text)),
        Json::Object(object) => blob(field, &object),
        Json::Array(_) => Err(ErrorBody::invalid(
            field,
            "is an array, which SQL has no value for; pass it as JSON text",
        )),
    }
}

/// Whether it may have been an integer that is none of SQLite's: of those, what was
/// read is the nearest real, and would be written in place of it.
fn may_be_integer(real: f64) -> bool {
    (INTEGERS_END..SURELY_REAL).contains(&real.abs())
}

fn blob(field: &str, object: &serde_json::Map<String, Json>) -> Result<Value, Box<ErrorBody>> {
    let text = object.get("base64").and_then(Json::as_str);
    let text = text.filter(|_| object.len() == 1).ok_or_else(|| {
        let message = "is an object; a blob is written as {\"base64\": \"…\"}";
        ErrorBody::invalid(field, message)
    })?;
    let bytes = STANDARD.decode(text);
    let bytes = bytes.map_err(|error| {
        ErrorBody::invalid(
            &format!("{field}.base64"),
            format!("is not base64: {error}"),
        )
    })?;
    Ok(Value::Blob(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::arguments::parse;
    use serde_json::json;

    #[test]
    fn every_storage_class_has_a_way_in() {
        let cases = [
            (json!(null), Value::Null),
            (json!(true), Value::Integer(1)),
            (json!(-7), Value::Integer(-7)),
            (json!(i64::MAX), Value::Integer(i64::MAX)),
            (json!(0.5), Value::Real(Real::new(0.5))),
            (json!("text"), Value::Text("text".into())),
            (json!({"base64": "AP8="}), Value::Blob(vec![0, 255])),
        ];
        for (json, expected) in cases {
            assert_eq!(value("f", json).unwrap(), expected);
        }
    }

    #[test]
    fn what_sql_has_no_value_for_is_refused_by_name() {
        for (json, part) in [
            (json!(u64::MAX), "larger than SQLite's"),
            (json!([1]), "array"),
            (json!({"x": 1}), "base64"),
            (json!({"base64": "***"}), "not base64"),
        ] {
            let error = value("statements[0].params[1]", json).unwrap_err();
            assert!(error.field.unwrap().starts_with("statements[0].params[1]"));
            assert!(error.message.contains(part), "{}", error.message);
        }
    }

    #[test]
    fn integers_that_would_be_rounded_are_refused_and_reals_are_not() {
        let read = |text: &str| value("f", serde_json::from_str(text).unwrap());
        for text in [
            "9223372036854775808",
            "18446744073709551616",
            "18446744073709551617",
            "-9223372036854775809",
            "-18446744073709551617",
        ] {
            let error = read(text).unwrap_err();
            assert_eq!(error.field.as_deref(), Some("f"), "{text}");
            assert!(error.message.contains("larger than SQLite's"), "{text}");
        }
        let least = read("-9223372036854775808").unwrap();
        assert_eq!(least, Value::Integer(i64::MIN));
        for real in [0.5, 9.2e18, 6.022e23, -1e300] {
            let written = read(&serde_json::to_string(&real).unwrap()).unwrap();
            assert_eq!(written, Value::Real(Real::new(real)));
        }
    }

    #[test]
    fn params_may_be_null_and_what_else_they_are_is_told() {
        let read = |params: Json| {
            let write = json!({ "db": "d", "statements": [{ "sql": "s", "params": params }] });
            parse::<Arguments>("", write)
        };
        let given = read(Json::Null).unwrap().statements.remove(0).params;
        assert!(matches!(given, ParamsArgument::Positional(values) if values.is_empty()));
        for wrong in [json!("x"), json!(1)] {
            let refused = read(wrong).unwrap_err();
            assert_eq!(refused.field.as_deref(), Some("statements[0].params"));
            assert!(refused.message.contains("neither"), "{}", refused.message);
        }
    }

    #[test]
    fn names_may_be_given_with_their_mark() {
        for name in ["x", ":x", "@x", "$x"] {
            assert_eq!(bare(name), "x");
        }
    }
}
