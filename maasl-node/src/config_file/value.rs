//! One value of a configuration file as the type that its key calls for.
//!
//! Owns: conversions, among them decimal seconds and hours to integer
//! milliseconds without floating point. Promises: a value is converted exactly or not at
//! all. Leaves to others: ranges (`maasl_core::config`) and where in the file
//! the value stands.

use toml::de::DeValue;

/// What one unit of a number in the file is worth in the unit of the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// The unit of the field itself.
    Same,
    /// Seconds, decimals allowed, for a field in milliseconds.
    Seconds,
    /// Hours, two decimals allowed, for a field in milliseconds.
    Hours,
    /// Mebibytes for a field in bytes.
    Mebibytes,
}

/// Stands for a number that no `u64` can hold: negative or huge. It is outside
/// every range, so the check of ranges refuses it and can tell the range.
pub(super) const OFF_SCALE: u64 = u64::MAX;

impl Unit {
    /// The field's value for a value in the file; `Err` says what was expected.
    pub(super) fn read(self, value: &DeValue<'_>) -> Result<u64, String> {
        match (self, value) {
            (Self::Seconds | Self::Hours, DeValue::Float(number)) => self.decimal(number.as_str()),
            (_, DeValue::Integer(number)) => {
                // Signed, because TOML admits -0.
                let number = i128::from_str_radix(number.as_str(), number.radix()).ok();
                let number = number.and_then(|number| u64::try_from(number).ok());
                let scaled = number.and_then(|number| number.checked_mul(self.worth()));
                Ok(scaled.unwrap_or(OFF_SCALE))
            }
            _ => Err(expected(self.noun(), value)),
        }
    }

    /// A field's value as one would write it in the file.
    pub(super) fn show(self, value: u64) -> String {
        let (whole, rest) = (value / self.worth(), value % self.worth());
        let (places, decimals) = (self.places(), rest / self.smallest());
        let shown = format!("{whole}.{decimals:0places$}");
        let shown = shown.trim_end_matches('0');
        shown.trim_end_matches('.').to_owned()
    }

    /// A decimal number, as TOML writes a float, in the unit of the field.
    fn decimal(self, number: &str) -> Result<u64, String> {
        let (word, places) = (self.word(), self.places());
        let digits = number.trim_start_matches(['+', '-']);
        let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
        let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !plain(whole) || !plain(decimals) {
            return Err(format!("expected {word} in plain decimals, as in 1.5"));
        }
        let decimals = decimals.trim_end_matches('0');
        if decimals.len() > places {
            return Err(format!("expected {word} with at most {places} decimals"));
        }
        let smallest: Option<u64> = format!("{whole}{decimals:0<places$}").parse().ok();
        let scaled = smallest.and_then(|count| count.checked_mul(self.smallest()));
        let negative = number.starts_with('-') && scaled != Some(0);
        Ok(scaled.filter(|_| !negative).unwrap_or(OFF_SCALE))
    }

    const fn worth(self) -> u64 {
        match self {
            Self::Same => 1,
            Self::Seconds => 1_000,
            Self::Hours => 3_600_000,
            Self::Mebibytes => 1 << 20,
        }
    }

    /// How many decimals it may have.
    const fn places(self) -> usize {
        match self {
            Self::Same | Self::Mebibytes => 0,
            Self::Seconds => 3,
            Self::Hours => 2,
        }
    }

    /// What its last decimal is worth in the unit of the field.
    const fn smallest(self) -> u64 {
        match self {
            Self::Seconds => 1,
            Self::Hours => 36_000,
            Self::Same | Self::Mebibytes => self.worth(),
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Same => "an integer",
            Self::Seconds => "seconds",
            Self::Hours => "hours",
            Self::Mebibytes => "MiB",
        }
    }

    const fn noun(self) -> &'static str {
        match self {
            Self::Same => "an integer",
            Self::Seconds => "a number of seconds",
            Self::Hours => "a number of hours",
            Self::Mebibytes => "an integer number of MiB",
        }
    }
}

/// "expected …, found …" for a value of the wrong type.
pub(super) fn expected(what: &str, found: &DeValue<'_>) -> String {
    let found = match found {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    };
    format!("expected {what}, found {found}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(unit: Unit, text: &str) -> Result<u64, String> {
        let value = DeValue::parse(text).expect("a value");
        unit.read(value.get_ref())
    }

    #[test]
    fn seconds_become_milliseconds_exactly() {
        for (text, ms) in [
            ("30", 30_000),
            ("1.5", 1_500),
            ("0.001", 1),
            ("0.1", 100),
            ("+2.250000", 2_250),
            ("1_000.5", 1_000_500),
            ("0x10", 16_000),
            ("-0.0", 0),
            ("-0", 0),
            // The nearest double to this one is not it.
            ("9007199254740.993", 9_007_199_254_740_993),
        ] {
            assert_eq!(read(Unit::Seconds, text), Ok(ms), "{text}");
        }
    }

    #[test]
    fn hours_become_milliseconds_exactly() {
        for (text, ms) in [("72", 259_200_000), ("0.01", 36_000), ("1.5", 5_400_000)] {
            assert_eq!(read(Unit::Hours, text), Ok(ms), "{text}");
        }
        for text in ["0.001", "1e3", "\"1\""] {
            assert!(read(Unit::Hours, text).is_err(), "{text}");
        }
        assert_eq!(read(Unit::Hours, "5124095576030.44"), Ok(OFF_SCALE));
    }

    #[test]
    fn numbers_that_do_not_fit_are_off_scale() {
        for text in [
            "-1",
            "9223372036854775807",
            "99999999999999999999999999",
            "-0.001",
            "99999999999999999999.5",
        ] {
            assert_eq!(read(Unit::Seconds, text), Ok(OFF_SCALE), "{text}");
        }
        assert_eq!(read(Unit::Same, "18446744073709551616"), Ok(OFF_SCALE));
        assert_eq!(read(Unit::Mebibytes, "17592186044416"), Ok(OFF_SCALE));
    }

    #[test]
    fn what_is_not_exactly_a_number_of_milliseconds_is_refused() {
        for text in ["1.0001", "1e3", "inf", "nan", "-inf"] {
            assert!(read(Unit::Seconds, text).is_err(), "{text}");
        }
    }

    #[test]
    fn other_types_are_refused_by_name() {
        let refused = |unit, text| read(unit, text).expect_err(text);
        assert_eq!(
            refused(Unit::Same, "1.5"),
            "expected an integer, found a float"
        );
        assert_eq!(
            refused(Unit::Seconds, "\"30\""),
            "expected a number of seconds, found a string"
        );
        assert_eq!(
            refused(Unit::Mebibytes, "[1]"),
            "expected an integer number of MiB, found an array"
        );
        assert_eq!(
            refused(Unit::Same, "1979-05-27"),
            "expected an integer, found a date or time"
        );
    }

    #[test]
    fn values_are_shown_in_the_unit_of_the_key() {
        assert_eq!(Unit::Seconds.show(30_000), "30");
        assert_eq!(Unit::Seconds.show(100), "0.1");
        assert_eq!(Unit::Seconds.show(0), "0");
        assert_eq!(Unit::Hours.show(259_200_000), "72");
        assert_eq!(Unit::Hours.show(36_000), "0.01");
        assert_eq!(Unit::Mebibytes.show(1 << 30), "1024");
        assert_eq!(Unit::Same.show(7), "7");
    }
}
