//! Texts: every id, name and value once, under a small number.
//!
//! Owns: the bytes and keys of distinct texts. Promises: equal texts have equal
//! numbers, given in the order of first use; no text ever changes. Leaves to
//! others: what a text stands for.

use alloc::string::String;
use alloc::vec::Vec;

use super::key;
use super::slots::Slots;
use super::{at, number};

/// Distinct texts, by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts {
    bytes: String,
    entries: Vec<Entry>,
    slots: Slots,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    key: u64,
    start: usize,
    length: u32,
}

/// How many texts are looked for at once.
const AT_ONCE: usize = 32;

impl Texts {
    /// The number of a text, which it is given if it has none.
    pub(super) fn intern(&mut self, text: &str) -> u32 {
        self.intern_keyed(text, key::of_text(text))
    }

    /// The same, for a text whose key is known.
    pub(super) fn intern_keyed(&mut self, text: &str, key: u64) -> u32 {
        let next = number(self.entries.len());
        let Self {
            bytes,
            entries,
            slots,
        } = self;
        let is_it = |n: u32| {
            let entry = entries[at(n)];
            entry.key == key && entry.text(bytes) == text
        };
        if let Some(found) = slots.find_or_insert(key, next, is_it) {
            return found;
        }
        entries.push(Entry {
            key,
            start: bytes.len(),
            length: number(text.len()),
        });
        bytes.push_str(text);
        next
    }

    /// The numbers of all texts of another, in the order of theirs.
    pub(super) fn intern_all(&mut self, theirs: &Self) -> Vec<u32> {
        self.reserve(theirs);
        let mut numbers = Vec::with_capacity(theirs.len());
        let mut found = Vec::with_capacity(AT_ONCE);
        for some in theirs.entries.chunks(AT_ONCE) {
            let keys = some.iter().map(|entry| entry.key);
            self.slots.look_ahead(keys, &mut found);
            for entry in found.iter().filter_map(|n| self.entries.get(at(*n))) {
                core::hint::black_box(entry.start);
            }
            for entry in some {
                let text = entry.text(&theirs.bytes);
                numbers.push(self.intern_keyed(text, entry.key));
            }
        }
        numbers
    }

    /// The number of a text, if it has one.
    pub(super) fn find(&self, text: &str) -> Option<u32> {
        let key = key::of_text(text);
        let is_it = |n: u32| self.key(n) == key && self.text(n) == text;
        self.slots.find(key, is_it)
    }

    /// The text with a number.
    pub(super) fn text(&self, n: u32) -> &str {
        self.entries[at(n)].text(&self.bytes)
    }

    /// The key of the text with a number.
    pub(super) fn key(&self, n: u32) -> u64 {
        self.entries[at(n)].key
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// All of them, in the order of their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.text(&self.bytes))
    }

    /// The keys of all of them, in the same order.
    pub(super) fn keys(&self) -> impl Iterator<Item = u64> {
        self.entries.iter().map(|entry| entry.key)
    }

    /// Makes room for those of another.
    fn reserve(&mut self, other: &Self) {
        self.bytes.reserve(other.bytes.len());
        self.entries.reserve(other.len());
        self.slots.reserve(other.len());
    }
}

impl Entry {
    fn text(self, bytes: &str) -> &str {
        &bytes[self.start..self.start + at(self.length)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_one_number_and_a_number_one_text() {
        let mut texts = Texts::default();
        let numbers = ["a", "", "b", "a", "ab", ""].map(|text| texts.intern(text));
        assert_eq!(numbers, [0, 1, 2, 0, 3, 1]);
        assert_eq!(texts.iter().collect::<Vec<_>>(), ["a", "", "b", "ab"]);
        assert_eq!((texts.find("ab"), texts.find("c")), (Some(3), None));
    }
}
