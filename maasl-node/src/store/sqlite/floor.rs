//! The floor: the highest token that may have been issued, outside the database.
//!
//! Owns: the file `floor`. Promises: it never goes down; a value that
//! [`Floor::raise`] returned is on the disk; a write that is cut short leaves the
//! value before it; nobody waits for its lock for ever, and who waits in vain is told
//! who has it. Leaves to others: raising it before tokens above it are issued, and
//! what to do when it is missing or damaged.
//!
//! The database may be deleted or put back from an old copy; without the floor,
//! tokens would then be issued twice. The file holds two lines, each on a page
//! of its own, and a new value overwrites the lower one.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::RangeInclusive;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use maasl_core::id::{ContentHash, Token, hex};
use maasl_core::lease::floor::Reading;

use super::holder;
use super::identity::refuse_foreign;
use crate::fault::{Side, point};
use crate::platform;
use crate::store::StoreError;

const NAME: &str = "floor";

/// How long its lock is waited for. Whoever raises it has the lock for as long as a
/// sync takes, and others for microseconds: who has it for longer is stopped, or its
/// disk does not answer.
const WAIT: Duration = Duration::from_secs(5);

/// Waits between attempts, in microseconds.
const PAUSE_US: RangeInclusive<u64> = 30..=2_000;

/// Where the lines begin.
const PLACES: [u64; 2] = [0, 4096];

/// `floor <20 digits> <16 hexadecimal digits>` and the end of the line.
const LINE_BYTES: usize = 6 + 20 + 1 + 16 + 1;

/// The floor file of one store.
pub(super) struct Floor {
    path: PathBuf,
    wait: Duration,
}

impl Floor {
    pub(super) fn of(dir: &Path) -> Self {
        Self {
            path: Self::path_in(dir),
            wait: WAIT,
        }
    }

    /// Where it is in the state directory `dir`.
    pub(super) fn path_in(dir: &Path) -> PathBuf {
        dir.join(NAME)
    }

    /// Reads it.
    pub(super) fn read(&self) -> Result<Reading, StoreError> {
        let failed = |error| StoreError::io(&self.path, error);
        refuse_foreign(&self.path)?;
        match File::open(&self.path) {
            Ok(file) => {
                self.lock(&file, platform::try_lock_shared)?;
                Ok(reading(lines(&file).map_err(failed)?))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Reading::Missing),
            Err(error) => Err(failed(error)),
        }
    }

    /// Makes it cover at least the tokens up to `through`, durably.
    pub(super) fn raise(&self, through: Token) -> Result<(), StoreError> {
        let failed = |error| StoreError::io(&self.path, error);
        refuse_foreign(&self.path)?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&self.path)
            .map_err(failed)?;
        self.lock(&file, platform::try_lock_exclusive)?;
        point(Side::Before, "raise_floor");
        self.raise_locked(&file, through).map_err(failed)
    }

    /// Takes the lock of the file, which goes with it.
    fn lock(
        &self,
        file: &File,
        attempt: fn(BorrowedFd<'_>) -> io::Result<bool>,
    ) -> Result<(), StoreError> {
        let since = Instant::now();
        let mut pause_us = *PAUSE_US.start();
        while !attempt(file.as_fd()).map_err(|error| StoreError::io(&self.path, error))? {
            let waited = since.elapsed();
            if waited >= self.wait {
                return Err(StoreError::Busy {
                    holder: holder::locker(file),
                    waited_ms: u64::try_from(waited.as_millis()).unwrap_or(u64::MAX),
                });
            }
            thread::sleep(Duration::from_micros(pause_us));
            pause_us = (pause_us * 2).min(*PAUSE_US.end());
        }
        Ok(())
    }

    fn raise_locked(&self, file: &File, through: Token) -> io::Result<()> {
        let found = lines(file)?;
        if let Reading::Through(token) = reading(found)
            && token >= through
        {
            // Whoever wrote it may not have come to its sync.
            return file.sync_data();
        }
        let made_now = found.iter().all(|line| *line == Line::Blank);
        let value = |line: Line| match line {
            Line::Valid(token) => Some(token),
            Line::Blank | Line::Damaged => None,
        };
        let lower = usize::from(value(found[1]) < value(found[0]));
        file.write_all_at(text(through).as_bytes(), PLACES[lower])?;
        file.sync_data()?;
        if made_now {
            let dir = self
                .path
                .parent()
                .expect("the file was joined to a directory");
            File::open(dir)?.sync_all()?;
        }
        Ok(())
    }
}

/// One of the two lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Blank,
    Valid(Token),
    Damaged,
}

fn lines(file: &File) -> io::Result<[Line; 2]> {
    Ok([line(file, PLACES[0])?, line(file, PLACES[1])?])
}

fn line(file: &File, place: u64) -> io::Result<Line> {
    let mut bytes = [0; LINE_BYTES];
    let mut filled = 0;
    while filled < LINE_BYTES {
        match file.read_at(&mut bytes[filled..], place + filled as u64)? {
            0 => break,
            more => filled += more,
        }
    }
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(Line::Blank);
    }
    Ok(parse(&bytes).map_or(Line::Damaged, Line::Valid))
}

/// The larger of both lines. A damaged line beside a valid one is a write that
/// was cut short: its value was never returned, so nothing relies on it.
fn reading(lines: [Line; 2]) -> Reading {
    match lines {
        [Line::Blank, Line::Blank] => Reading::Missing,
        [Line::Valid(one), Line::Valid(other)] => Reading::Through(one.max(other)),
        [Line::Valid(token), _] | [_, Line::Valid(token)] => Reading::Through(token),
        [_, _] => Reading::Damaged,
    }
}

fn text(token: Token) -> String {
    let value = format!("floor {:020}", token.number());
    let sum = checksum(&value);
    format!("{value} {sum}\n")
}

fn parse(bytes: &[u8]) -> Option<Token> {
    let line = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    let (value, sum) = line.rsplit_once(' ')?;
    if checksum(value) != sum {
        return None;
    }
    let number = value.strip_prefix("floor ")?.parse().ok()?;
    Some(Token::from_number(number))
}

fn checksum(value: &str) -> String {
    hex(&ContentHash::of(value.as_bytes()).as_bytes()[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(number: u64) -> Token {
        Token::from_number(number)
    }

    fn fresh() -> (tempfile::TempDir, Floor) {
        let dir = tempfile::tempdir().unwrap();
        let floor = Floor::of(dir.path());
        (dir, floor)
    }

    fn damage(floor: &Floor, place: usize) {
        let file = OpenOptions::new().write(true).open(&floor.path).unwrap();
        file.write_all_at(b"9", PLACES[place] + 8).unwrap();
    }

    #[test]
    fn who_has_it_locked_is_waited_for_no_longer_than_allowed_and_named() {
        let (_dir, floor) = fresh();
        floor.raise(token(5)).unwrap();
        let impatient = Floor {
            path: floor.path.clone(),
            wait: Duration::from_millis(5),
        };
        let locked = File::open(&floor.path).unwrap();
        let refused = |done: Result<(), StoreError>| match done {
            Err(StoreError::Busy { holder, waited_ms }) => {
                assert!(waited_ms >= 5);
                assert_eq!(holder.unwrap().pid, std::process::id());
            }
            other => panic!("not refused: {other:?}"),
        };
        locked.lock_shared().unwrap();
        assert_eq!(impatient.read().unwrap(), Reading::Through(token(5)));
        refused(impatient.raise(token(9)));
        locked.unlock().unwrap();
        locked.lock().unwrap();
        refused(impatient.raise(token(9)));
        refused(impatient.read().map(drop));
        locked.unlock().unwrap();
        impatient.raise(token(9)).unwrap();
        assert_eq!(floor.read().unwrap(), Reading::Through(token(9)));
    }

    #[test]
    fn it_rises_and_never_falls() {
        let (_dir, floor) = fresh();
        assert_eq!(floor.read().unwrap(), Reading::Missing);
        for (raised, stands) in [(5, 5), (9, 9), (7, 9), (11, 11), (12, 12)] {
            floor.raise(token(raised)).unwrap();
            assert_eq!(floor.read().unwrap(), Reading::Through(token(stands)));
        }
    }

    #[test]
    fn a_write_cut_short_leaves_the_value_before_it() {
        let (_dir, floor) = fresh();
        floor.raise(token(5)).unwrap();
        floor.raise(token(9)).unwrap();
        damage(&floor, 1);
        assert_eq!(floor.read().unwrap(), Reading::Through(token(5)));
        floor.raise(token(6)).unwrap();
        assert_eq!(floor.read().unwrap(), Reading::Through(token(6)));
    }

    #[test]
    fn damage_to_both_is_told_and_repaired_by_raising() {
        let (_dir, floor) = fresh();
        floor.raise(token(5)).unwrap();
        damage(&floor, 0);
        assert_eq!(floor.read().unwrap(), Reading::Damaged);
        floor.raise(token(6)).unwrap();
        assert_eq!(floor.read().unwrap(), Reading::Through(token(6)));
    }
}
