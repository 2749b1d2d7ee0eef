//! Values: what a property can be set to.
//!
//! Owns: JSON values with a total order, and the one text each of them is
//! written as. Promises: equal values have equal texts and the other way round;
//! a value read from its text is the same value; nesting is bounded. Leaves to
//! others: reading values from text (`value/parse.rs`), and how large they may
//! be in a patch (`changes`).
//!
//! Numbers that are not 64-bit integers are kept digit for digit, so `1`, `1.0`
//! and `1e0` are three values. To take them for one would need rounding, and two
//! authors who wrote a number differently are told so rather than corrected.

mod parse;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, SerializeMap, SerializeSeq, Serializer};
use serde::{Deserialize, Serialize};

pub use self::parse::NotAValue;

/// How deep lists and maps may be nested in the value of a property.
pub const DEPTH_MAX: usize = 64;

/// A JSON value. The order is by kind as listed here, then by content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// `null`, which is a value and not the absence of one.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer of 64 bits.
    Integer(i64),
    /// Any other number.
    Decimal(Decimal),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// A map; its keys are sorted.
    Map(BTreeMap<String, Value>),
}

/// A number as it was written. Its order is that of its text, not of numbers:
/// it is there to settle ties.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decimal(String);

impl Decimal {
    /// The number as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value {
    /// Reads one JSON value, nested at most [`DEPTH_MAX`] deep.
    pub fn parse(text: &str) -> Result<Self, NotAValue> {
        parse::parse(text, DEPTH_MAX)
    }

    /// Reads one JSON value, nested at most so deep: what others lie in.
    pub(super) fn parse_within(text: &str, depth_max: usize) -> Result<Self, NotAValue> {
        parse::parse(text, depth_max)
    }

    /// A text value.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    /// How deep it is nested: 0 for what holds no others.
    #[must_use]
    pub fn depth(&self) -> usize {
        let deepest = match self {
            Self::List(items) => items.iter().map(Self::depth).max(),
            Self::Map(entries) => entries.values().map(Self::depth).max(),
            _ => return 0,
        };
        1 + deepest.unwrap_or(0)
    }
}

impl fmt::Display for Value {
    /// The canonical text: no spaces, keys in order, as few escapes as JSON
    /// allows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Decimal(number) => f.write_str(&number.0),
            Self::Text(text) => write_text(f, text),
            Self::List(items) => write_list(f, items),
            Self::Map(entries) => write_map(f, entries),
        }
    }
}

fn write_list(f: &mut fmt::Formatter<'_>, items: &[Value]) -> fmt::Result {
    f.write_char('[')?;
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            f.write_char(',')?;
        }
        write!(f, "{item}")?;
    }
    f.write_char(']')
}

fn write_map(f: &mut fmt::Formatter<'_>, entries: &BTreeMap<String, Value>) -> fmt::Result {
    f.write_char('{')?;
    for (place, (key, value)) in entries.iter().enumerate() {
        if place > 0 {
            f.write_char(',')?;
        }
        write_text(f, key)?;
        write!(f, ":{value}")?;
    }
    f.write_char('}')
}

fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for character in text.chars() {
        match character {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            '\0'..='\u{1F}' => write!(f, "\\u{:04x}", u32::from(character))?,
            _ => f.write_char(character)?,
        }
    }
    f.write_char('"')
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Integer(value) => serializer.serialize_i64(*value),
            Self::Decimal(number) => serialize_decimal(number, serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(item)?;
                }
                list.end()
            }
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

/// Serde knows no numbers beyond 64 bits: what does not fit is rounded here, and
/// whole in [`Value`]'s own text.
fn serialize_decimal<S: Serializer>(number: &Decimal, serializer: S) -> Result<S::Ok, S::Error> {
    if let Ok(integer) = number.0.parse::<u64>() {
        return serializer.serialize_u64(integer);
    }
    let float: f64 = number.0.parse().map_err(S::Error::custom)?;
    serializer.serialize_f64(float)
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or_else(
            |_| Value::Decimal(Decimal(format!("{value}"))),
            Value::Integer,
        ))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        if !value.is_finite() {
            return Err(E::custom("JSON has no such number"));
        }
        // The shortest text that reads as this number, always with a point or
        // an exponent.
        Ok(Value::Decimal(Decimal(format!("{value:?}"))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::text(text))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some((key, value)) = map.next_entry()? {
            entries.insert(key, value);
        }
        Ok(Value::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn a_value_reads_what_it_writes() {
        let texts = [
            "null",
            "true",
            "-9223372036854775808",
            "9223372036854775808",
            "1.50",
            "-0",
            "1e-7",
            r#""a\"\\\n\u0001é🙂""#,
            r#"[1,[],{"a":{},"b":[null]}]"#,
        ];
        for text in texts {
            assert_eq!(Value::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn spaces_order_and_escapes_do_not_matter() {
        let one = Value::parse(" { \"b\" : 1 , \"a\" : \"\\u00e9\\/\\ud83d\\ude42\" } ").unwrap();
        assert_eq!(one.to_string(), "{\"a\":\"é/🙂\",\"b\":1}");
    }

    #[test]
    fn kinds_are_in_order() {
        let texts = [
            "null", "false", "true", "-1", "7", "0.5", "\"\"", "[]", "{}",
        ];
        let values = texts.map(|text| Value::parse(text).unwrap());
        assert!(values.is_sorted(), "{values:?}");
    }

    #[test]
    fn depth_counts_nesting() {
        assert_eq!(Value::parse("1").unwrap().depth(), 0);
        assert_eq!(Value::parse("[[],{\"a\":[1]}]").unwrap().depth(), 3);
    }
}
