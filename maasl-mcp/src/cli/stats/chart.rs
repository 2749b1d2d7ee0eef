//! Small charts of text for a terminal.
//!
//! Owns: bars and sparklines. Promises: what is not zero can be seen, and the
//! largest value fills its room. Leaves to others: what is drawn.

/// From almost nothing to full height.
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The part of a cell that the end of a bar fills.
const WIDTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// How many cells the longest bar has.
const BAR_CELLS: u64 = 24;

/// One character per value; a value of zero is a gap.
pub(super) fn sparkline(values: &[u64]) -> String {
    let most = values.iter().copied().max().unwrap_or(0);
    let mark = |value: &u64| match *value {
        0 => ' ',
        value => HEIGHTS[scaled(value, most, 8) - 1],
    };
    values.iter().map(mark).collect()
}

/// One line per value, named; each value stands behind its bar.
pub(super) fn bars(rows: &[(String, u64)]) -> String {
    let most = rows.iter().map(|(_, value)| *value).max().unwrap_or(0);
    let named = rows.iter().map(|(name, _)| name.chars().count());
    let width = named.max().unwrap_or(0);
    let line = |(name, value): &(String, u64)| {
        let eighths = match *value {
            0 => 0,
            value => scaled(value, most, BAR_CELLS * 8),
        };
        let bar = format!("{}{}", "█".repeat(eighths / 8), WIDTHS[eighths % 8]);
        let space = if bar.is_empty() { "" } else { " " };
        format!("  {name:<width$}  {bar}{space}{value}\n")
    };
    rows.iter().map(line).collect()
}

/// `value` of `most` as a part of `of`, rounded up; `most` is not zero.
fn scaled(value: u64, most: u64, of: u64) -> usize {
    let part = u128::from(value) * u128::from(of);
    usize::try_from(part.div_ceil(u128::from(most))).expect("a part of a small number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_shows_every_value_that_is_not_zero() {
        assert_eq!(sparkline(&[0, 1, 4, 8, 7]), " ▁▄█▇");
        assert_eq!(sparkline(&[0, 1, u64::MAX]), " ▁█");
        assert_eq!(sparkline(&[5, 5]), "██");
        assert_eq!(sparkline(&[0, 0]), "  ");
        assert_eq!(sparkline(&[]), "");
    }

    #[test]
    fn bars_are_as_long_as_their_values() {
        let rows = [("a", 48), ("long", 1), ("none", 0)];
        let rows = rows.map(|(name, value)| (name.to_owned(), value));
        let full = "█".repeat(24);
        let expected = format!("  a     {full} 48\n  long  ▌ 1\n  none  0\n");
        assert_eq!(bars(&rows), expected);
        let rows = [("a".to_owned(), u64::MAX), ("b".to_owned(), 1)];
        assert!(bars(&rows).contains("b  ▏ 1"));
    }
}
