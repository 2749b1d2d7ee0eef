//! The contents that stood in files, as an outsider reads them.
//!
//! Owns: the bytes of every content that was seen in a file, and whose line says
//! what in it. Promises: knows a content by the hash the disk gave it. Leaves to
//! others: what the lines are worth (`world::client` writes them).

use std::collections::BTreeMap;
use std::sync::Arc;

use maasl_core::id::ContentHash;

use crate::observe::{Ground, Observation};

/// Contents by hash.
#[derive(Debug, Default)]
pub(super) struct Contents {
    known: BTreeMap<ContentHash, Arc<[u8]>>,
    begun: bool,
}

impl Contents {
    /// Learns what stands in a file after something happened to it.
    pub(super) fn observe(&mut self, seen: &Observation<'_>, ground: &Ground<'_>) {
        if !self.begun {
            self.begun = true;
            let paths: Vec<String> = ground.disk.files().map(|(path, _)| path.into()).collect();
            for path in paths {
                self.learn(&path, ground);
            }
        }
        match seen {
            Observation::Swapped { item, .. } => self.learn(&item.path, ground),
            Observation::Outside { path, .. } | Observation::Rotted { path, .. } => {
                self.learn(path, ground);
            }
            _ => {}
        }
    }

    /// The text of a content; nothing if it was never seen, or is no text that
    /// an agent can change by lines.
    pub(super) fn text(&self, hash: ContentHash) -> Option<&str> {
        let text = core::str::from_utf8(self.known.get(&hash)?).ok()?;
        (text.is_empty() || text.ends_with('\n')).then_some(text)
    }

    fn learn(&mut self, path: &str, ground: &Ground<'_>) {
        if let (Some(hash), Some(bytes)) = (ground.disk.hash(path), ground.disk.read(path)) {
            self.known.insert(hash, bytes);
        }
    }
}

/// What the line of `agent` says.
pub(super) fn count_of(text: &str, agent: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (name, count) = line.split_once(' ')?;
        (name == agent).then(|| count.parse().ok())?
    })
}

/// The lines that are not `agent`'s, without those that only keep lines apart.
pub(super) fn others<'t>(text: &'t str, agent: &str) -> Vec<&'t str> {
    let own = |line: &&str| line.split_once(' ').is_some_and(|(name, _)| name == agent);
    let lines = text.lines().filter(|line| *line != "-" && !own(line));
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart_by_whole_names() {
        let text = "ann 1\n-\nanna 7\n-\nbob x\n";
        assert_eq!(count_of(text, "ann"), Some(1));
        assert_eq!(count_of(text, "anna"), Some(7));
        assert_eq!(count_of(text, "bob"), None);
        assert_eq!(others(text, "ann"), ["anna 7", "bob x"]);
    }
}
