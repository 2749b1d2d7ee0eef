//! What may be believed of a file without reading it again.
//!
//! Owns: which look of a file is a sign that its content is what it was. Promises:
//! a belief is given up unless every change since would show. Leaves to others:
//! asking the file system, and remembering (`maasl-node`).

/// What a file system says of a file without showing its content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Its size in bytes.
    pub size: u64,
    /// When its content was changed, in nanoseconds since 1970.
    pub modified_ns: i64,
    /// When anything of it was changed; no program sets this.
    pub changed_ns: i64,
    /// Its number in the file system.
    pub inode: u64,
}

impl Stamp {
    /// Whether every later change of the file must show in its stamp. `tick_ns` is
    /// the file system's own time, taken before the content was read: a file that
    /// was changed in that tick may be changed once more in it, and look the same.
    #[must_use]
    pub fn is_settled(&self, tick_ns: i64) -> bool {
        self.modified_ns < tick_ns && self.changed_ns < tick_ns
    }
}

/// What was found in a file once, and what the file looked like then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Belief<T> {
    /// What the file looked like.
    pub stamp: Stamp,
    /// What was found.
    pub found: T,
}

impl<T: Copy> Belief<T> {
    /// A belief, if it can be told later whether it still holds.
    #[must_use]
    pub fn sound(stamp: Stamp, found: T, tick_ns: i64) -> Option<Self> {
        stamp.is_settled(tick_ns).then_some(Self { stamp, found })
    }

    /// What is still believed of a file that looks like this now.
    #[must_use]
    pub fn holds_for(&self, now: &Stamp) -> Option<T> {
        (self.stamp == *now).then_some(self.found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: i64 = 1_000;

    fn stamp(modified_ns: i64, changed_ns: i64) -> Stamp {
        Stamp {
            size: 3,
            modified_ns,
            changed_ns,
            inode: 7,
        }
    }

    #[test]
    fn a_file_changed_in_the_tick_it_was_read_in_is_not_believed_in() {
        for (modified, changed, sound) in [
            (999, 999, true),
            (1_000, 1_000, false),
            (999, 1_000, false),
            (1_000, 999, false),
            (2_000, 2_000, false),
        ] {
            let belief = Belief::sound(stamp(modified, changed), 1, TICK);
            assert_eq!(belief.is_some(), sound, "{modified} {changed}");
        }
    }

    #[test]
    fn any_difference_ends_a_belief() {
        let before = stamp(5, 5);
        let belief = Belief::sound(before, 1, TICK).expect("sound");
        assert_eq!(belief.holds_for(&before), Some(1));
        for now in [
            Stamp { size: 4, ..before },
            Stamp {
                modified_ns: 6,
                ..before
            },
            Stamp {
                changed_ns: 6,
                ..before
            },
            Stamp { inode: 8, ..before },
        ] {
            assert_eq!(belief.holds_for(&now), None, "{now:?}");
        }
    }
}
