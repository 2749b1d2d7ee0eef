//! Numbers with room for chance.
//!
//! Owns: ranges and shares, as scenarios write them. Promises: integers only; a
//! range includes both its ends. Leaves to others: whether a range makes sense
//! where it stands (`sense`).

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, Error as _, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer};

use crate::rng::Stream;

/// An integer that a range can be of.
pub trait Number: Copy + DeserializeOwned + JsonSchema {
    /// As the number that is drawn.
    fn wide(self) -> i64;

    /// Back from it, where it fits.
    fn narrow(wide: i64) -> Option<Self>;
}

macro_rules! number {
    ($($of:ty),*) => {$(
        impl Number for $of {
            fn wide(self) -> i64 {
                i64::try_from(self).unwrap_or(i64::MAX)
            }

            fn narrow(wide: i64) -> Option<Self> {
                Self::try_from(wide).ok()
            }
        }
    )*};
}

number!(u32, u64, i32);

/// A number, or two between which one is drawn: `5` or `{ from = 1, to = 9 }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range<N> {
    /// The least.
    pub from: N,
    /// The greatest.
    pub to: N,
}

impl<N: Number> Range<N> {
    /// Only this number.
    #[must_use]
    pub const fn fixed(value: N) -> Self {
        Self {
            from: value,
            to: value,
        }
    }

    /// From one number to another.
    #[must_use]
    pub const fn new(from: N, to: N) -> Self {
        Self { from, to }
    }

    /// One number of it.
    pub fn draw(&self, stream: &mut Stream) -> N {
        let drawn = stream.between(self.from.wide(), self.to.wide());
        N::narrow(drawn).unwrap_or(self.from)
    }
}

/// The ends of a range.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Ends<N> {
    /// The least.
    from: N,
    /// The greatest.
    to: N,
}

impl<'de, N: Number> Deserialize<'de> for Range<N> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(RangeVisitor(std::marker::PhantomData))
    }
}

struct RangeVisitor<N>(std::marker::PhantomData<N>);

impl<'de, N: Number> Visitor<'de> for RangeVisitor<N> {
    type Value = Range<N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number or { from = …, to = … }")
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Self::Value, E> {
        let value = N::narrow(value).ok_or_else(|| E::custom("out of range"))?;
        Ok(Range::fixed(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Self::Value, E> {
        let value = i64::try_from(value).map_err(|_| E::custom("out of range"))?;
        self.visit_i64(value)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let ends = Ends::<N>::deserialize(MapAccessDeserializer::new(map))?;
        if ends.from.wide() > ends.to.wide() {
            return Err(A::Error::custom("the range ends before it begins"));
        }
        Ok(Range::new(ends.from, ends.to))
    }
}

impl<N: Number> JsonSchema for Range<N> {
    fn schema_name() -> Cow<'static, str> {
        format!("Range_of_{}", N::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = N::json_schema(generator);
        let ends = Ends::<N>::json_schema(generator);
        json_schema!({ "anyOf": [one, ends] })
    }
}

/// A share of a thousand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Permille(pub u32);

impl Permille {
    /// The whole thousand.
    #[must_use]
    pub const fn always() -> Self {
        Self(1_000)
    }

    /// Whether it falls so this time.
    pub fn draw(self, stream: &mut Stream) -> bool {
        stream.permille(u64::from(self.0))
    }
}

impl JsonSchema for Permille {
    fn schema_name() -> Cow<'static, str> {
        "Permille".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 0, "maximum": 1000 })
    }
}
