//! The text of a set of patches, as agents pass it about.
//!
//! Owns: the form `stamp;actor=contiguous+extra+first-last;…`, in which each
//! actor has the number up to which its patches are there without a gap, then
//! what is there beyond. Promises: a set has one text, and any other is refused.
//! Leaves to others: what agents do with it; they need not read it.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};
use core::str::FromStr;

use super::{RUNS_MAX, Run, Seen};
use crate::id::ActorId;

/// Why a text is not a set of patches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSeen {
    /// It is not of the form.
    #[error("not a `seen` text: pass it back as it was given")]
    Malformed,
    /// It has more gaps than a set may have.
    #[error("more than {RUNS_MAX} gaps")]
    TooLarge,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.newest)?;
        for (actor, runs) in &self.runs {
            f.write_char(';')?;
            write_actor(f, actor)?;
            write_runs(f, runs)?;
        }
        Ok(())
    }
}

fn write_runs(f: &mut fmt::Formatter<'_>, runs: &[Run]) -> fmt::Result {
    let (contiguous, extra) = match runs.split_first() {
        Some((run, extra)) if run.first == 1 => (run.last, extra),
        _ => (0, runs),
    };
    write!(f, "={contiguous}")?;
    for run in extra {
        write!(f, "+{}", run.first)?;
        if run.last > run.first {
            write!(f, "-{}", run.last)?;
        }
    }
    Ok(())
}

/// Writes a name, with every byte that could mean something else as `%xx`.
fn write_actor(f: &mut fmt::Formatter<'_>, actor: &ActorId) -> fmt::Result {
    for byte in actor.as_str().bytes() {
        if is_plain(byte) {
            f.write_char(char::from(byte))?;
        } else {
            write!(f, "%{byte:02x}")?;
        }
    }
    Ok(())
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~#@:/".contains(&byte)
}

impl FromStr for Seen {
    type Err = NotSeen;

    /// Reads what a caller says: no more gaps than it may name.
    fn from_str(text: &str) -> Result<Self, NotSeen> {
        if text.matches(['+', ';']).count() > RUNS_MAX {
            return Err(NotSeen::TooLarge);
        }
        Self::read(text)
    }
}

impl Seen {
    fn read(text: &str) -> Result<Self, NotSeen> {
        let mut parts = text.split(';');
        let stamp = parts.next().ok_or(NotSeen::Malformed)?;
        let mut seen = Self {
            newest: stamp.parse().map_err(|_| NotSeen::Malformed)?,
            ..Self::default()
        };
        for part in parts {
            let (actor, runs) = part.split_once('=').ok_or(NotSeen::Malformed)?;
            let actor = read_actor(actor).ok_or(NotSeen::Malformed)?;
            let runs = read_runs(runs).ok_or(NotSeen::Malformed)?;
            seen.runs.insert(actor, runs);
        }
        // One set, one text: whatever was lax about reading shows here.
        let is_canonical = alloc::format!("{seen}") == text;
        is_canonical.then_some(seen).ok_or(NotSeen::Malformed)
    }
}

fn read_actor(text: &str) -> Option<ActorId> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            u8::try_from(digit()? * 16 + digit()?).ok()?
        } else {
            byte
        });
    }
    let name = String::from_utf8(bytes).ok()?;
    (!name.is_empty()).then(|| ActorId::new(name))
}

fn read_runs(text: &str) -> Option<Vec<Run>> {
    let mut parts = text.split('+');
    let contiguous: u64 = parts.next()?.parse().ok()?;
    let mut runs = Vec::new();
    if contiguous > 0 {
        runs.push(Run {
            first: 1,
            last: contiguous,
        });
    }
    for part in parts {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        let gap_from = runs
            .last()
            .map_or(Some(0), |run: &Run| run.last.checked_add(2));
        if first > last || gap_from.is_none_or(|from| first < from) {
            return None;
        }
        runs.push(Run { first, last });
    }
    (!runs.is_empty()).then_some(runs)
}

impl From<Seen> for String {
    fn from(seen: Seen) -> Self {
        alloc::format!("{seen}")
    }
}

impl TryFrom<String> for Seen {
    type Error = NotSeen;

    /// Reads what was stored, however many gaps it has: what was accepted can be read.
    fn try_from(text: String) -> Result<Self, NotSeen> {
        Self::read(&text)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::super::super::stamp::Stamp;
    use super::super::Dot;
    use super::super::tests::seen;
    use super::*;

    #[test]
    fn a_set_reads_what_it_writes() {
        let sets = [
            Seen::nothing(),
            seen(&[("a", 1)]),
            seen(&[("a", 0)]),
            seen(&[
                ("claude-code#ab12", 2),
                ("claude-code#ab12", 3),
                ("é =;+%", 9),
            ]),
        ];
        for set in sets {
            assert_eq!(set.to_string().parse(), Ok(set));
        }
    }

    #[test]
    fn what_was_stored_is_read_however_many_gaps_it_has() {
        let mut set = Seen::nothing();
        for counter in 1..=RUNS_MAX as u64 + 1 {
            let actor = ActorId::new("a");
            let counter = 2 * counter;
            set.insert(&Dot { actor, counter }, Stamp::default());
        }
        let text = String::from(set.clone());
        assert_eq!(text.parse::<Seen>(), Err(NotSeen::TooLarge));
        assert_eq!(Seen::try_from(text), Ok(set));
    }

    #[test]
    fn any_other_text_is_refused() {
        let texts = [
            "",
            ";",
            "0.0;",
            "0.0;a",
            "0.0;a=",
            "0.0;a=0",
            "0.0;=1",
            "0.0;a=1;a=2",
            "0.0;b=1;a=1",
            "0.0;a=01",
            "0.0;a=+1",
            "0.0;a=1+2",
            "0.0;a=0+1",
            "0.0;a=1+5-5",
            "0.0;a=1+5-3",
            "0.0;a=1+5+3",
            "0.0;a=1+3+4",
            "0.0;%61=1",
            "0.0;%ff=1",
            "0.0;a b=1",
            "0.0;a=1 ",
            "x",
        ];
        for text in texts {
            assert_eq!(text.parse::<Seen>(), Err(NotSeen::Malformed), "{text:?}");
        }
        let long = "0.0;a=1".to_string() + &"+9".repeat(RUNS_MAX + 1);
        assert_eq!(long.parse::<Seen>(), Err(NotSeen::TooLarge));
    }
}
