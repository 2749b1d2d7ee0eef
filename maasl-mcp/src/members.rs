//! Where the members of a JSON object stand in its text.
//!
//! Owns: names and values by their quotes and brackets, whatever is between them.
//! Promises: of an object that is valid JSON every member is found; of one that is
//! not, those up to where it cannot be followed; nothing is kept in memory. Leaves to
//! others: what names and values say.

use std::ops::Range;

/// Tells `member` where the name and the value of each member stand of the object that
/// `text` is; returns where its closing brace stands. Nothing where there is none, or
/// `text` is no object.
pub(crate) fn scan(
    text: &[u8],
    mut member: impl FnMut(Range<usize>, Range<usize>),
) -> Option<usize> {
    let mut at = text.iter().position(|byte| !byte.is_ascii_whitespace())?;
    if text[at] != b'{' {
        return None;
    }
    let (mut depth, mut start, mut colon) = (0_usize, at + 1, None);
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                at = after_string(text, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b':' if depth == 1 && colon.is_none() => colon = Some(at),
            b',' | b'}' | b']' if depth == 1 => {
                if let Some(colon) = colon.take() {
                    member(trimmed(text, start..colon), trimmed(text, colon + 1..at));
                }
                if *byte != b',' {
                    return Some(at);
                }
                start = at + 1;
            }
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    None
}

/// What stands there is this text, as JSON writes texts.
pub(crate) fn is_text(found: &[u8], text: &str) -> bool {
    serde_json::from_slice::<String>(found).is_ok_and(|found| found == text)
}

/// What follows the string that begins at `quote`.
fn after_string(text: &[u8], quote: usize) -> Option<usize> {
    let mut at = quote + 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn trimmed(text: &[u8], range: Range<usize>) -> Range<usize> {
    let part = &text[range.clone()];
    let start = range.end - part.trim_ascii_start().len();
    start..start + part.trim_ascii().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(text: &str) -> (Vec<(&str, &str)>, Option<usize>) {
        let mut found = Vec::new();
        let end = scan(text.as_bytes(), |name, value| {
            found.push((&text[name], &text[value]));
        });
        (found, end)
    }

    #[test]
    fn every_member_is_found_whatever_it_holds() {
        let text = r#" {"a" : [1, {"b": 2}], "c":"},\"", "d": {} ,"":null}  "#;
        let expected = [
            (r#""a""#, r#"[1, {"b": 2}]"#),
            (r#""c""#, r#""},\"""#),
            (r#""d""#, "{}"),
            (r#""""#, "null"),
        ];
        assert_eq!(members(text), (expected.to_vec(), text.rfind('}')));
        assert_eq!(members("{}"), (Vec::new(), Some(1)));
        assert_eq!(members("{ }"), (Vec::new(), Some(2)));
    }

    #[test]
    fn what_is_no_whole_object_is_followed_as_far_as_it_goes() {
        let cut = r#"{"id": 1, "x": "never ends"#;
        assert_eq!(members(cut), (vec![(r#""id""#, "1")], None));
        for other in ["", "  ", "[1]", "1", "\"{\"", "{", "{\"a\"", "{\"a\\"] {
            assert_eq!(members(other), (Vec::new(), None), "{other}");
        }
        let odd = r#"{"a": 1e400, "b": ]"#;
        let found = vec![(r#""a""#, "1e400"), (r#""b""#, "")];
        assert_eq!(members(odd), (found, Some(18)));
    }

    #[test]
    fn a_name_is_the_same_however_it_is_spelt() {
        assert!(is_text(br#""id""#, "id"));
        assert!(is_text(br#""\u0069d""#, "id"));
        for other in [&br#""ID""#[..], b"id", b"", br#""\ud83d""#, b"\"\xff\""] {
            assert!(!is_text(other, "id"));
        }
    }
}
