//! Times as people and programs read them.
//!
//! Owns: the one form of an instant in results, RFC 3339 in UTC. Promises: any
//! number of milliseconds has one. Leaves to others: reading clocks.

use std::time::{Duration, UNIX_EPOCH};

/// The last millisecond of the year 9999, beyond which the form does not go.
const LAST_MS: u64 = 253_402_300_799_999;

/// The instant `wall_ms` milliseconds after the beginning of 1970.
pub(crate) fn rfc3339(wall_ms: u64) -> String {
    let since = Duration::from_millis(wall_ms.min(LAST_MS));
    humantime::format_rfc3339_millis(UNIX_EPOCH + since).to_string()
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
}
