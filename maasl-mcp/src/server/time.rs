//! Times as people and programs read them.
//!
//! Owns: the one form of an instant in results, RFC 3339 in UTC, and how callers
//! may name one. Promises: any number of milliseconds has a form. Leaves to
//! others: the clocks that decide.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last millisecond of the year 9999, beyond which the form does not go.
const LAST_MS: u64 = 253_402_300_799_999;

/// The instant `wall_ms` milliseconds after the beginning of 1970.
pub(crate) fn rfc3339(wall_ms: u64) -> String {
    let since = Duration::from_millis(wall_ms.min(LAST_MS));
    humantime::format_rfc3339_millis(UNIX_EPOCH + since).to_string()
}

/// The instant that a text names, in milliseconds since 1970: one of that form,
/// or how long ago it was (`2h`); nothing where it is neither.
pub(crate) fn wall_ms(text: &str) -> Option<u64> {
    let ago = || SystemTime::now().checked_sub(humantime::parse_duration(text).ok()?);
    let instant = humantime::parse_rfc3339_weak(text).ok().or_else(ago)?;
    let since = instant.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_a_form() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(1_795_327_520_123), "2026-11-22T06:05:20.123Z");
        assert_eq!(rfc3339(u64::MAX), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn an_instant_is_named_as_such_or_by_its_age() {
        assert_eq!(wall_ms("2026-11-22T06:05:20.123Z"), Some(1_795_327_520_123));
        assert!(wall_ms("2h") < wall_ms("1h 59m"));
        for other in ["", "now", "-1h", "2026-13-01T00:00:00Z", "9999999999999y"] {
            assert_eq!(wall_ms(other), None, "{other}");
        }
    }
}
