//! A member for a JSON object, put into the text that has it.
//!
//! Owns: the place of a new member and its indentation. Promises: every byte that was
//! there stays, in its order. Leaves to others: whether the text is what it should be.

use serde_json::Value;

use crate::members;

/// One step of indentation.
const STEP: &str = "  ";

/// `text` with a new member `name`: of its outermost object, or of the one that this has
/// under the name `within`. Nothing where there is no such object.
pub(super) fn inserted(
    text: &str,
    within: Option<&str>,
    name: &str,
    value: &Value,
) -> Option<String> {
    let begin = match within {
        None => 0,
        Some(section) => value_of(text, section)?,
    };
    let Gap { at, before, after } = Gap::find(text, begin)?;
    let name = Value::from(name);
    let member = match before.rfind('\n') {
        None => format!("{name}: {value}"),
        Some(line) => {
            let margin = format!("{}{}", line_end(text), &before[line + 1..]);
            let value = format!("{value:#}").replace('\n', &margin);
            format!("{name}: {value}")
        }
    };
    let (start, rest) = text.split_at(at);
    Some(format!("{start}{before}{member}{after}{rest}"))
}

/// Where the value of this member begins: of the last, which is the one that counts.
fn value_of(text: &str, name: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut found = None;
    members::scan(bytes, |key, value| {
        if members::is_text(&bytes[key], name) {
            found = Some(value.start);
        }
    });
    found
}

/// Where a new member comes, and what goes around it.
struct Gap {
    at: usize,
    before: String,
    after: String,
}

impl Gap {
    /// At the end of the object that begins here.
    fn find(text: &str, begin: usize) -> Option<Self> {
        let mut last = None;
        let close = members::scan(&text.as_bytes()[begin..], |name, value| {
            last = Some((begin + name.start, begin + value.end));
        })?;
        let open = begin + text[begin..].find('{')?;
        Some(match last {
            Some((name, end)) => Self::behind(text, name, end),
            None => Self::between(text, open, begin + close),
        })
    }

    /// The new member stands to the last one as that one to what is before it.
    fn behind(text: &str, name: usize, end: usize) -> Self {
        let space = text[..name].trim_end().len();
        Self {
            at: end,
            before: format!(",{}", &text[space..name]),
            after: String::new(),
        }
    }

    /// Between braces that have nothing between them.
    fn between(text: &str, open: usize, close: usize) -> Self {
        let line = text[..open].rfind('\n').map_or(0, |end| end + 1);
        let indented = text[line..open].trim_start_matches([' ', '\t']);
        let margin = &text[line..open - indented.len()];
        let end = line_end(text);
        let is_one_line = !text.trim_end().contains('\n');
        let has_lines = text[open..close].contains('\n');
        Self {
            at: open + 1,
            before: if is_one_line {
                String::new()
            } else {
                format!("{end}{margin}{STEP}")
            },
            after: if is_one_line || has_lines {
                String::new()
            } else {
                format!("{end}{margin}")
            },
        }
    }
}

/// How lines end in a text.
fn line_end(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn with(text: &str, within: Option<&str>) -> String {
        inserted(text, within, "m", &json!({ "x": [1] })).expect("it has such an object")
    }

    #[test]
    fn a_member_is_added_as_those_before_it_stand() {
        for (text, expected) in [
            ("{}", r#"{"m": {"x":[1]}}"#),
            (r#"{"a": 1, "b": 2}"#, r#"{"a": 1, "b": 2, "m": {"x":[1]}}"#),
            (
                "{\n\t\"a\": 1\n}\n",
                "{\n\t\"a\": 1,\n\t\"m\": {\n\t  \"x\": [\n\t    1\n\t  ]\n\t}\n}\n",
            ),
            (
                "{\r\n  \"a\": 1\r\n}",
                "{\r\n  \"a\": 1,\r\n  \"m\": {\r\n    \"x\": [\r\n      1\r\n    ]\r\n  }\r\n}",
            ),
        ] {
            assert_eq!(with(text, None), expected, "{text:?}");
        }
    }

    #[test]
    fn empty_braces_are_opened() {
        for (text, expected) in [
            (r#"{"s": {}, "t": 1}"#, r#"{"s": {"m": {"x":[1]}}, "t": 1}"#),
            (
                "{\n  \"s\": {}\n}",
                "{\n  \"s\": {\n    \"m\": {\n      \"x\": [\n        1\n      ]\n    }\n  }\n}",
            ),
            (
                "{\n  \"s\": {\n  }\n}",
                "{\n  \"s\": {\n    \"m\": {\n      \"x\": [\n        1\n      ]\n    }\n  }\n}",
            ),
        ] {
            assert_eq!(with(text, Some("s")), expected, "{text:?}");
        }
    }

    #[test]
    fn of_two_members_with_one_name_the_last_is_meant() {
        let text = r#"{"s": {"a": 1}, "s": {"b": 2}}"#;
        let expected = r#"{"s": {"a": 1}, "s": {"b": 2,"m": {"x":[1]}}}"#;
        assert_eq!(with(text, Some("s")), expected);
    }
}
