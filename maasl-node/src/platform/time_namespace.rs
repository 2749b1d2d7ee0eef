//! Time namespaces of Linux.
//!
//! Owns: by how much the clocks of this process are off those of the machine, and
//! the name of the clock it goes by. Promises: processes of one boot whose offset
//! can be read have one clock, whatever namespaces they are in; where it cannot be
//! read, the clock has a name that only processes of the same namespace use. Leaves
//! to others: reading the clock.
//!
//! The offset of a namespace cannot change once a process is in it
//! (`time_namespaces(7)`), so it is read once.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::sync::OnceLock;

/// The number of the namespace that the machine starts with: a constant of the
/// kernel (`TIME_NS_INIT_INO`).
const MACHINE: u64 = 0xEFFF_FFFA;

/// Where this process stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    /// The namespace whose clock it goes by; nothing where the kernel has none.
    namespace: Option<u64>,
    /// What has to be taken off `CLOCK_BOOTTIME` to get the time of that clock.
    offset_ns: i128,
}

/// The namespace whose clock this process goes by; nothing where the kernel has
/// none.
pub(super) fn namespace() -> io::Result<Option<u64>> {
    place().map(|place| place.namespace)
}

/// `boottime_ns`, which this process has read, on the clock it goes by. A time
/// before the origin counts as the origin.
pub(super) fn corrected(boottime_ns: u64) -> u64 {
    // Without a place there is no identity either, so nothing is opened.
    let offset_ns = place().map_or(0, |place| place.offset_ns);
    let corrected_ns = (i128::from(boottime_ns) - offset_ns).max(0);
    u64::try_from(corrected_ns).unwrap_or(u64::MAX)
}

fn place() -> io::Result<Place> {
    static PLACE: OnceLock<Place> = OnceLock::new();
    if let Some(place) = PLACE.get() {
        return Ok(*place);
    }
    let found = look()?;
    Ok(*PLACE.get_or_init(|| found))
}

fn look() -> io::Result<Place> {
    let Some(own) = number("time")? else {
        return Ok(Place {
            namespace: None,
            offset_ns: 0,
        });
    };
    // What can be read are the offsets that children get.
    let is_told = number("time_for_children")? == Some(own);
    let offsets = fs::read_to_string("/proc/self/timens_offsets").ok();
    let told = offsets.filter(|_| is_told);
    Ok(stand(own, told.as_deref()))
}

fn number(kind: &str) -> io::Result<Option<u64>> {
    match fs::metadata(format!("/proc/self/ns/{kind}")) {
        Ok(namespace) => Ok(Some(namespace.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// `own` is the namespace of this process, `offsets` what the kernel says of it.
fn stand(own: u64, offsets: Option<&str>) -> Place {
    let offset_ns = match own {
        MACHINE => Some(0),
        _ => offsets.and_then(boottime_offset_ns),
    };
    Place {
        namespace: Some(offset_ns.map_or(own, |_| MACHINE)),
        offset_ns: offset_ns.unwrap_or(0),
    }
}

/// Reads a line as `boottime   100000   0`: seconds and nanoseconds.
fn boottime_offset_ns(offsets: &str) -> Option<i128> {
    let line = offsets.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        (words.next() == Some("boottime")).then_some(words)
    });
    let mut numbers = line?.map(|word| word.parse::<i64>().ok());
    let (seconds, rest_ns) = (numbers.next()??, numbers.next()??);
    Some(i128::from(seconds) * 1_000_000_000 + i128::from(rest_ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFSETS: &str = "monotonic        5000         0\nboottime      -100000   5\n";

    #[test]
    fn the_offset_of_the_boot_clock_is_read() {
        assert_eq!(boottime_offset_ns(OFFSETS), Some(-99_999_999_999_995));
        for broken in [
            "",
            "boottime",
            "boottime 1",
            "boottime a 0",
            "monotonic 1 0",
        ] {
            assert_eq!(boottime_offset_ns(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn who_knows_its_offset_goes_by_the_clock_of_the_machine() {
        let known = stand(7, Some(OFFSETS));
        assert_eq!(known.namespace, Some(MACHINE));
        assert_eq!(known.offset_ns, -99_999_999_999_995);
        let at_home = stand(MACHINE, None);
        assert_eq!(at_home.namespace, Some(MACHINE));
        assert_eq!(at_home.offset_ns, 0);
    }

    #[test]
    fn who_does_not_know_it_has_a_clock_of_its_own() {
        for unknown in [None, Some("")] {
            let alone = stand(7, unknown);
            assert_eq!((alone.namespace, alone.offset_ns), (Some(7), 0));
        }
    }
}
