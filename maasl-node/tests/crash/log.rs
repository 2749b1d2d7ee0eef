//! How much of a write-ahead log SQLite believes.
//!
//! Owns: reading the log as its documentation says [SQLite, "WAL-mode File
//! Format"]: frames count as long as their salts are those of the head and the
//! running checksum is right, and of those the ones up to the last commit.
//! Promises: two logs with the same sound part are the same database to whoever
//! opens it after a power cut. Leaves to others: what stands in the frames.

const HEAD_BYTES: usize = 32;
const FRAME_HEAD_BYTES: usize = 24;

/// The length of the part that counts; zero if there is none.
pub(crate) fn sound_bytes(log: &[u8]) -> usize {
    let Some(head) = log.get(..HEAD_BYTES) else {
        return 0;
    };
    let is_big_endian = match word(head, 0) {
        0x377f_0682 => false,
        0x377f_0683 => true,
        _ => return 0,
    };
    let mut sum = checksum((0, 0), &head[..24], is_big_endian);
    if sum != (word(head, 24), word(head, 28)) {
        return 0;
    }
    let page_bytes = word(head, 8) as usize;
    let mut sound = HEAD_BYTES;
    for (no, frame) in log[HEAD_BYTES..]
        .chunks_exact(FRAME_HEAD_BYTES + page_bytes)
        .enumerate()
    {
        sum = checksum(sum, &frame[..8], is_big_endian);
        sum = checksum(sum, &frame[FRAME_HEAD_BYTES..], is_big_endian);
        let is_of_head = frame[8..16] == head[16..24];
        if !is_of_head || sum != (word(frame, 16), word(frame, 20)) {
            break;
        }
        let commits = word(frame, 4) != 0;
        if commits {
            sound = HEAD_BYTES + (no + 1) * frame.len();
        }
    }
    sound
}

fn checksum(start: (u32, u32), bytes: &[u8], is_big_endian: bool) -> (u32, u32) {
    let read = |four: &[u8]| {
        let four = four.try_into().expect("four bytes");
        if is_big_endian {
            u32::from_be_bytes(four)
        } else {
            u32::from_le_bytes(four)
        }
    };
    bytes.chunks_exact(8).fold(start, |(one, two), eight| {
        let one = one.wrapping_add(read(&eight[..4])).wrapping_add(two);
        let two = two.wrapping_add(read(&eight[4..])).wrapping_add(one);
        (one, two)
    })
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log of two commits, and the length of the first.
    fn log() -> (Vec<u8>, usize) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        let db = rusqlite::Connection::open(&path).unwrap();
        db.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))
            .unwrap();
        db.execute_batch("CREATE TABLE t (n)").unwrap();
        let log = || std::fs::read(dir.path().join("db-wal")).unwrap();
        let first = log().len();
        db.execute_batch("INSERT INTO t VALUES (1)").unwrap();
        (log(), first)
    }

    #[test]
    fn all_that_was_committed_counts() {
        let (log, first) = log();
        assert_eq!(sound_bytes(&log), log.len());
        assert_eq!(sound_bytes(&log[..first]), first);
    }

    #[test]
    fn what_is_cut_off_or_damaged_does_not() {
        let (mut log, first) = log();
        assert_eq!(sound_bytes(&log[..log.len() - 1]), first);
        assert_eq!(sound_bytes(&log[..20]), 0);
        log[first + 100] ^= 1;
        assert_eq!(sound_bytes(&log), first);
        log[HEAD_BYTES + 100] ^= 1;
        assert_eq!(sound_bytes(&log), HEAD_BYTES);
        log[9] ^= 1;
        assert_eq!(sound_bytes(&log), 0);
    }
}
