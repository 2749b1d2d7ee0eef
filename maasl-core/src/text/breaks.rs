//! Line breaks: LF and CRLF, told apart and made alike.
//!
//! Owns: what counts as a line break. Promises: linear time; a carriage return
//! that no line feed follows is an ordinary byte. Leaves to others: the rule by
//! which an edit writes them (`edit`).

use alloc::string::String;
use alloc::vec::Vec;

/// A text with every bare `\n` written as `\r\n`.
pub(super) fn crlf(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\n', "\r\n")
}

/// Which line break is in use, asked for positions in ascending order.
pub(super) struct Breaks<'b> {
    body: &'b [u8],
    /// The line feed last found; all bytes from where it was sought up to it
    /// hold no other, so that asking often stays linear.
    ahead: Option<usize>,
    last: Option<usize>,
}

impl<'b> Breaks<'b> {
    /// Prepares to be asked about `body`.
    pub(super) fn of(body: &'b [u8]) -> Self {
        Self {
            body,
            ahead: None,
            last: body.iter().rposition(|byte| *byte == b'\n'),
        }
    }

    /// Whether the first line break at or after `start`, else the last of all, is
    /// a CRLF.
    pub(super) fn is_crlf_at(&mut self, start: usize) -> bool {
        let Some(last) = self.last else { return false };
        let feed = match self.ahead {
            Some(ahead) if ahead >= start => ahead,
            _ if last < start => last,
            _ => {
                start
                    + self.body[start..]
                        .iter()
                        .take_while(|byte| **byte != b'\n')
                        .count()
            }
        };
        self.ahead = Some(feed);
        self.body[..feed].last() == Some(&b'\r')
    }
}

/// Whether some line break is a CRLF.
pub(super) fn has_crlf(text: &[u8]) -> bool {
    text.windows(2).any(|pair| pair == b"\r\n")
}

/// Whether some line feed stands without a carriage return before it.
pub(super) fn has_bare_feed(text: &[u8]) -> bool {
    text.first() == Some(&b'\n')
        || text
            .windows(2)
            .any(|pair| pair[1] == b'\n' && pair[0] != b'\r')
}

/// The text with CRLF as LF, and where in it that was done.
pub(super) fn fold(text: &[u8]) -> (Vec<u8>, Vec<usize>) {
    let mut folded = Vec::with_capacity(text.len());
    let mut crlf = Vec::new();
    for (at, byte) in text.iter().enumerate() {
        if *byte == b'\r' && text.get(at + 1) == Some(&b'\n') {
            crlf.push(folded.len());
        } else {
            folded.push(*byte);
        }
    }
    (folded, crlf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_tells_where_it_folded() {
        assert_eq!(fold(b"a\r\nb\n\r"), (b"a\nb\n\r".to_vec(), [1].to_vec()));
        assert_eq!(fold(b"\r\r\n"), (b"\r\n".to_vec(), [1].to_vec()));
    }

    #[test]
    fn breaks_are_told_apart() {
        assert!(has_crlf(b"a\r\n") && !has_bare_feed(b"a\r\n"));
        assert!(!has_crlf(b"a\n\r") && has_bare_feed(b"a\n\r"));
        assert!(has_bare_feed(b"\n"));
    }

    #[test]
    fn writing_crlf_leaves_those_that_are() {
        assert_eq!(crlf("a\nb\r\n\n"), "a\r\nb\r\n\r\n");
    }

    #[test]
    fn the_break_in_use_is_the_next_one_or_else_the_last() {
        let mut breaks = Breaks::of(b"a\nb\r\nc");
        assert_eq!(
            [0, 1, 2, 3, 4, 5].map(|at| breaks.is_crlf_at(at)),
            [false, false, true, true, true, true]
        );
        assert!(!Breaks::of(b"abc").is_crlf_at(1));
    }
}
