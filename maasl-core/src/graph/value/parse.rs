//! Reading a value from its text.
//!
//! Owns: the grammar of JSON, without extensions. Promises: anything that is not
//! one whole JSON value is refused with the place; a key that occurs twice is
//! refused rather than resolved; the stack is bounded by the depth that is asked for.
//! Leaves to others: what values mean.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Decimal, Value};

/// Why a text is not a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a JSON value, at byte {at}: {what}")]
pub struct NotAValue {
    /// The byte at which reading stopped.
    pub at: usize,
    /// What was expected there.
    pub what: &'static str,
}

pub(super) fn parse(text: &str, depth_max: usize) -> Result<Value, NotAValue> {
    let mut reader = Reader {
        text,
        at: 0,
        depth_max,
    };
    let value = reader.value(0)?;
    reader.spaces();
    if reader.at < text.len() {
        return Err(reader.fault("the end"));
    }
    Ok(value)
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    depth_max: usize,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Result<Value, NotAValue> {
        self.spaces();
        match self.peek() {
            Some(b'n') => self.word("null", Value::Null),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'"') => self.string().map(Value::Text),
            Some(b'[' | b'{') if depth == self.depth_max => Err(self.fault("less nesting")),
            Some(b'[') => self.list(depth),
            Some(b'{') => self.map(depth),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.fault("a value")),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value, NotAValue> {
        self.at += 1;
        let mut items = Vec::new();
        if self.took_after_spaces(b']') {
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.took_after_spaces(b']') {
                return Ok(Value::List(items));
            }
            self.need(b',', "`,` or `]`")?;
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, NotAValue> {
        self.at += 1;
        let mut entries = BTreeMap::new();
        if self.took_after_spaces(b'}') {
            return Ok(Value::Map(entries));
        }
        loop {
            self.spaces();
            if self.peek() != Some(b'"') {
                return Err(self.fault("a key"));
            }
            let key = self.string()?;
            self.spaces();
            self.need(b':', "`:`")?;
            let value = self.value(depth + 1)?;
            if entries.insert(key, value).is_some() {
                return Err(self.fault("a key that did not occur yet"));
            }
            if self.took_after_spaces(b'}') {
                return Ok(Value::Map(entries));
            }
            self.need(b',', "`,` or `}`")?;
        }
    }

    fn number(&mut self) -> Result<Value, NotAValue> {
        let start = self.at;
        self.took(b'-');
        if !self.took(b'0') {
            self.digits()?;
        }
        let whole = self.at;
        if self.took(b'.') {
            self.digits()?;
        }
        if self.took(b'e') || self.took(b'E') {
            let _ = self.took(b'+') || self.took(b'-');
            self.digits()?;
        }
        let text = &self.text[start..self.at];
        match text.parse() {
            Ok(integer) if whole == self.at && text != "-0" => Ok(Value::Integer(integer)),
            _ => Ok(Value::Decimal(Decimal(text.into()))),
        }
    }

    fn digits(&mut self) -> Result<(), NotAValue> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.fault("a digit"));
        }
        Ok(())
    }

    fn string(&mut self) -> Result<String, NotAValue> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let start = self.at;
            while matches!(self.peek(), Some(byte) if byte >= 0x20 && byte != b'"' && byte != b'\\')
            {
                self.at += 1;
            }
            text.push_str(&self.text[start..self.at]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => text.push(self.escape()?),
                _ => return Err(self.fault("the rest of a text")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, NotAValue> {
        self.at += 1;
        let letter = self.peek();
        self.at += 1;
        Ok(match letter {
            Some(plain @ (b'"' | b'\\' | b'/')) => char::from(plain),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{C}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.escaped_unit(),
            _ => return Err(self.fault("an escape")),
        })
    }

    /// The character of `\uXXXX`, or of two of them that belong together.
    fn escaped_unit(&mut self) -> Result<char, NotAValue> {
        let first = self.unit()?;
        if !(0xD800..0xDC00).contains(&first) {
            return char::from_u32(first).ok_or_else(|| self.fault("a whole character"));
        }
        self.need(b'\\', "the other half of a character")?;
        self.need(b'u', "the other half of a character")?;
        let second = self.unit()?;
        if !(0xDC00..0xE000).contains(&second) {
            return Err(self.fault("the other half of a character"));
        }
        char::from_u32(0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00))
            .ok_or_else(|| self.fault("a whole character"))
    }

    fn unit(&mut self) -> Result<u32, NotAValue> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            unit = unit * 16 + digit.ok_or_else(|| self.fault("four hexadecimal digits"))?;
            self.at += 1;
        }
        Ok(unit)
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, NotAValue> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.fault("a value"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn took(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn took_after_spaces(&mut self, byte: u8) -> bool {
        self.spaces();
        self.took(byte)
    }

    fn need(&mut self, byte: u8, what: &'static str) -> Result<(), NotAValue> {
        if self.took(byte) {
            return Ok(());
        }
        Err(self.fault(what))
    }

    fn fault(&self, what: &'static str) -> NotAValue {
        NotAValue { at: self.at, what }
    }
}

#[cfg(test)]
mod tests {
    use super::super::DEPTH_MAX;
    use super::*;

    fn parse(text: &str) -> Result<Value, NotAValue> {
        super::parse(text, DEPTH_MAX)
    }

    #[test]
    fn what_is_not_json_is_refused() {
        let texts = [
            "",
            " ",
            "nul",
            "tru",
            "[",
            "[1",
            "[1,]",
            "[1 2]",
            "{",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\":1,\"a\":2}",
            "01",
            "-",
            "1.",
            ".5",
            "+1",
            "1e",
            "1e+",
            "0x1",
            "NaN",
            "\"",
            "\"\n\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\ud83d\"",
            "\"\\ude42\"",
            "\"\\ud83d\\u0041\"",
            "1 2",
            "'a'",
            "\u{FEFF}1",
            "é",
        ];
        for text in texts {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(&nested(DEPTH_MAX)).is_ok());
        assert!(parse(&nested(DEPTH_MAX + 1)).is_err());
        assert!(parse(&"[".repeat(1_000_000)).is_err());
    }

    #[test]
    fn the_place_is_named() {
        assert_eq!(parse("[1;2]").map_err(|fault| fault.at), Err(2));
    }
}
