//! Reading histories.
//!
//! Owns: turning lines into events. Promises: only the last line of a file may
//! be cut short, by the death of its writer; any other line that is no event is
//! an error with its number; nothing is taken for a history that does not begin as
//! one, or that speaks of operations unknown here. Leaves to others: files (`cli`).

use super::{Entry, Event, HISTORY_VERSION};

/// What a request may be.
const OPERATIONS: [&str; 20] = [
    "read",
    "write",
    "edit",
    "move",
    "delete",
    "refactor",
    "restore",
    "docgen",
    "db_write",
    "rag_enrich",
    "transaction",
    "graph_patch",
    "graph_query",
    "graph_compact",
    "graph_export",
    "acquire",
    "renew",
    "release",
    "revoke",
    "recover",
];

/// Why something is no history.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// A line is no event.
    #[error("line {line}: {message}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
    /// What begins it is missing, so it may be anything.
    #[error("the first line does not say `history`")]
    Headless,
    /// It is of another form.
    #[error("line {line}: version {version} is not known; this program reads {HISTORY_VERSION}")]
    Version {
        /// Counted from 1.
        line: usize,
        /// What it says.
        version: u32,
    },
}

/// Reads one file's text. A last line that no line break ends may be cut short:
/// it counts if it is whole.
pub fn parse(text: &str) -> Result<Vec<Entry>, HistoryError> {
    let mut entries = Vec::new();
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let entry: Entry = match serde_json::from_str(line) {
            Ok(entry) => entry,
            Err(_) if !line.ends_with('\n') => break,
            Err(error) => {
                return Err(HistoryError::Line {
                    line: index + 1,
                    message: error.to_string(),
                });
            }
        };
        check(&entry.event, index + 1)?;
        entries.push(entry);
    }
    match entries.first().map(|entry| &entry.event) {
        Some(Event::History { .. }) => Ok(entries),
        _ => Err(HistoryError::Headless),
    }
}

/// Whether this program knows what an event speaks of.
fn check(event: &Event, line: usize) -> Result<(), HistoryError> {
    match event {
        Event::History { version } if *version != HISTORY_VERSION => Err(HistoryError::Version {
            line,
            version: *version,
        }),
        Event::Invoke { operation, .. } if !OPERATIONS.contains(&operation.as_str()) => {
            let message = format!("{operation:?} is no operation");
            Err(HistoryError::Line { line, message })
        }
        _ => Ok(()),
    }
}

/// One history of several, by time; within one instant as given.
#[must_use]
pub fn merge(histories: Vec<Vec<Entry>>) -> Vec<Entry> {
    let mut all: Vec<Entry> = histories.into_iter().flatten().collect();
    all.sort_by_key(|entry| entry.at_ns);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = r#"{"at_ns":0,"event":"history","version":1}"#;
    const STARTED: &str = r#"{"at_ns":5,"process":"p","event":"started"}"#;
    const KILLED: &str = r#"{"at_ns":3,"process":"q","event":"killed"}"#;

    #[test]
    fn a_line_cut_short_at_the_end_is_dropped() {
        let text = format!("{FIRST}\n{STARTED}\n{}", &KILLED[..20]);
        assert_eq!(parse(&text).unwrap().len(), 2);
        let whole = format!("{FIRST}\n{STARTED}\n{KILLED}");
        assert_eq!(parse(&whole).unwrap().len(), 3);
    }

    #[test]
    fn a_line_cut_short_elsewhere_is_an_error_with_its_number() {
        let text = format!("{FIRST}\n{}\n{KILLED}\n", &KILLED[..20]);
        let error = parse(&text).unwrap_err();
        assert!(error.to_string().starts_with("line 2: "), "{error}");
    }

    #[test]
    fn what_does_not_begin_as_a_history_is_none() {
        let empty = ["", "\n", &FIRST[..20], STARTED];
        for text in empty {
            assert_eq!(parse(text), Err(HistoryError::Headless), "{text}");
        }
    }

    #[test]
    fn an_operation_that_is_not_known_is_refused() {
        let asked = r#"{"at_ns":1,"event":"invoke","agent":"a","request":"1","operation":"#;
        let parse = |operation: &str| parse(&format!("{FIRST}\n{asked}\"{operation}\"}}\n"));
        assert_eq!(parse("transaction").unwrap().len(), 2);
        let error = parse("transact").unwrap_err();
        assert!(error.to_string().starts_with("line 2: "), "{error}");
    }

    #[test]
    fn another_version_is_refused_by_name() {
        let text = "{\"at_ns\":0,\"event\":\"history\",\"version\":9}\n";
        let error = parse(text).unwrap_err();
        assert_eq!(
            error,
            HistoryError::Version {
                line: 1,
                version: 9
            }
        );
    }

    #[test]
    fn histories_are_merged_by_time() {
        let [one, two] = [STARTED, KILLED].map(|line| parse(&format!("{FIRST}\n{line}")).unwrap());
        let times: Vec<u64> = merge(vec![one, two]).iter().map(|one| one.at_ns).collect();
        assert_eq!(times, [0, 0, 3, 5]);
    }
}
