//! Slots: finding the number of a thing by its key.
//!
//! Owns: one open-addressed table of numbers. Promises: the same calls give the
//! same numbers; nothing can be listed, so its inner order never shows. Leaves
//! to others: the things themselves, their keys, and comparing things whose keys
//! are alike.
//!
//! A cell keeps half of the key, so that a look-up seldom touches a thing in
//! vain, and the table grows without touching any.

use alloc::vec;
use alloc::vec::Vec;

/// Numbers of things, by key.
#[derive(Clone, Debug, Default)]
pub(super) struct Slots {
    /// A power of two of them, or none.
    cells: Vec<Cell>,
    used: usize,
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    tag: u32,
    number: u32,
}

const FREE: Cell = Cell {
    tag: 0,
    number: u32::MAX,
};

impl Slots {
    /// The number of the thing with this key that `is_it`; if there is none,
    /// `number` is taken down for it and nothing returned.
    pub(super) fn find_or_insert(
        &mut self,
        key: u64,
        number: u32,
        is_it: impl Fn(u32) -> bool,
    ) -> Option<u32> {
        // At most three quarters are used, or runs of used cells grow long.
        if self.used * 4 >= self.cells.len() * 3 {
            self.grow(self.used + 1);
        }
        let tag = tag(key);
        match self.search(tag, is_it) {
            Ok(found) => Some(found),
            Err(place) => {
                self.cells[place] = Cell { tag, number };
                self.used += 1;
                None
            }
        }
    }

    /// The number of the thing with this key that `is_it`.
    pub(super) fn find(&self, key: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        if self.cells.is_empty() {
            return None;
        }
        self.search(tag(key), is_it).ok()
    }

    /// Has the memory ready in which things with these keys would be found, and
    /// says where to look for some of them. Where many are to be found, to begin
    /// with this lets the machine fetch from many places at once.
    pub(super) fn look_ahead(&self, keys: impl Iterator<Item = u64>, found: &mut Vec<u32>) {
        found.clear();
        for key in keys {
            let cell = self.cells.get(home(tag(key), self.cells.len()));
            found.push(cell.map_or(FREE.number, |cell| cell.number));
        }
    }

    /// Makes room for `more` things without growing on the way.
    pub(super) fn reserve(&mut self, more: usize) {
        let wanted = self.used + more;
        if wanted * 4 >= self.cells.len() * 3 {
            self.grow(wanted);
        }
    }

    /// The number found, or the free cell where it would have been.
    fn search(&self, tag: u32, is_it: impl Fn(u32) -> bool) -> Result<u32, usize> {
        let mask = self.cells.len() - 1;
        let mut place = home(tag, self.cells.len());
        loop {
            let cell = self.cells[place];
            if cell.number == FREE.number {
                return Err(place);
            }
            if cell.tag == tag && is_it(cell.number) {
                return Ok(cell.number);
            }
            place = (place + 1) & mask;
        }
    }

    fn grow(&mut self, used: usize) {
        let length = (used * 4 / 3 + 1).next_power_of_two().max(8);
        let old = core::mem::replace(&mut self.cells, vec![FREE; length]);
        for cell in old {
            if cell.number == FREE.number {
                continue;
            }
            let free = self.search(cell.tag, |_| false);
            let place = free.expect_err("nothing is it, so a free cell was found");
            self.cells[place] = cell;
        }
    }
}

/// The high half of a key.
fn tag(key: u64) -> u32 {
    u32::try_from(key >> 32).expect("a number shifted by half its bits fits into half of them")
}

/// Where the search for a tag begins: the tag as a fraction of the table.
fn home(tag: u32, length: usize) -> usize {
    let bits = length.trailing_zeros() % u64::BITS;
    let place = u64::from(tag) << bits >> 32;
    usize::try_from(place).expect("it is less than the length of a table")
}

#[cfg(test)]
mod tests {
    use super::super::key;
    use super::*;

    #[test]
    fn things_are_found_by_their_numbers() {
        let things: Vec<alloc::string::String> =
            (0..1_000).map(|n| alloc::format!("{n}")).collect();
        let mut slots = Slots::default();
        for round in 0..2 {
            for (number, thing) in things.iter().enumerate() {
                let number = u32::try_from(number).unwrap();
                let is_it = |n: u32| things[n as usize] == *thing;
                let found = slots.find_or_insert(key::of_text(thing), number, is_it);
                assert_eq!(found, (round == 1).then_some(number));
                assert_eq!(slots.find(key::of_text(thing), is_it), Some(number));
            }
        }
        assert_eq!(slots.find(key::of_text("x"), |_| false), None);
    }

    #[test]
    fn one_key_can_have_many_things() {
        let mut slots = Slots::default();
        for number in 0..100 {
            assert_eq!(
                slots.find_or_insert(u64::MAX, number, |n| n == number),
                None
            );
        }
        for number in 0..100 {
            assert_eq!(slots.find(u64::MAX, |n| n == number), Some(number));
        }
    }

    #[test]
    fn an_empty_table_finds_nothing() {
        assert_eq!(Slots::default().find(7, |_| true), None);
    }
}
