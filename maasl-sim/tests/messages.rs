//! What is said about scenarios that are wrong.
//!
//! Owns: the words of errors, each with file, line, column, field and fix.
//! Leaves to others: when they are due (`maasl_sim::scenario`).

use maasl_sim::scenario;

const RIGHT: &str = include_str!("full.toml");

/// The message after `from` was replaced by `to` in a scenario that was right.
fn message(from: &str, to: &str) -> String {
    assert!(
        RIGHT.matches(from).count() == 1,
        "{from:?} is not there once"
    );
    let text = RIGHT.replace(from, to);
    let error = scenario::parse("scenarios/x.toml", &text).expect_err(to);
    error.to_string()
}

/// The line and column at which a text stands in the scenario.
fn place(of: &str) -> String {
    let before = &RIGHT[..RIGHT.find(of).expect("a text of the scenario")];
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .map_or(0, |line| line.chars().count())
        + 1;
    format!("scenarios/x.toml:{line}:{column}:")
}

#[test]
fn a_field_that_does_not_exist() {
    let at = place("probability_permille = 900");
    assert_eq!(
        message("probability_permille = 900", "porbability_permille = 900"),
        format!(
            "{at} unknown field \"porbability_permille\" in faults[0]; \
             did you mean \"probability_permille\"?"
        )
    );
}

#[test]
fn a_field_like_none_that_exists() {
    let at = place("sometimes = ");
    assert_eq!(
        message("sometimes = ", "weather = "),
        format!(
            "{at} unknown field \"weather\" in expect; \
             there are sometimes, successful_calls_min, verdict"
        )
    );
}

#[test]
fn a_kind_of_fault_that_does_not_exist() {
    let at = place("\"suspend\"");
    assert_eq!(
        message("\"suspend\"", "\"supsend\""),
        format!("{at} unknown value \"supsend\" of faults[4].what.kind; did you mean \"suspend\"?")
    );
}

#[test]
fn a_fault_that_lacks_a_field() {
    let at = place("{ kind = \"suspend\"");
    assert_eq!(
        message(
            "kind = \"suspend\", for_ms = { from = 100, to = 300 }",
            "kind = \"suspend\""
        ),
        format!("{at} faults[4].what needs the field \"for_ms\"")
    );
}

#[test]
fn a_text_where_a_number_belongs() {
    let at = place("{ from = 2, to = 3 } # files");
    assert_eq!(
        message("{ from = 2, to = 3 } # files", "\"many\""),
        format!("{at} topology.files needs a whole number or {{ from = .., to = .. }}, not a text")
    );
}

#[test]
fn a_fraction() {
    let at = place("1_000 # keyed");
    assert_eq!(
        message("1_000 # keyed", "0.5"),
        format!("{at} workload.keyed_permille needs a whole number, not a fraction")
    );
}

#[test]
fn a_share_beyond_the_whole() {
    let at = place("1_000 # keyed");
    assert_eq!(
        message("1_000 # keyed", "1_001"),
        format!("{at} workload.keyed_permille lies between 0 and 1000")
    );
}

#[test]
fn a_range_that_ends_before_it_begins() {
    let at = place("{ from = 2, to = 3 } # files");
    assert_eq!(
        message("{ from = 2, to = 3 } # files", "{ from = 3, to = 2 }"),
        format!(
            "{at} the range of topology.files ends before it begins; \
             write {{ from = 2, to = 3 }}"
        )
    );
}

#[test]
fn a_process_that_never_takes_part() {
    let at = place("\"p1\" # struck");
    assert_eq!(
        message("\"p1\" # struck", "\"p7\""),
        format!("{at} \"p7\" is no process; did you mean \"p0\"?")
    );
}

#[test]
fn a_step_that_does_not_exist() {
    let at = place("\"begin_commit\"");
    assert_eq!(
        message("\"begin_commit\"", "\"begin_comit\""),
        format!("{at} \"begin_comit\" is no step; did you mean \"begin_commit\"?")
    );
}

#[test]
fn two_faults_of_one_name() {
    let at = place("name = \"second pause\"");
    let error = message("name = \"second pause\"", "");
    assert!(
        error.ends_with("faults[1] is called \"pause\" as faults[0] is; give it a name of its own"),
        "{error} {at}"
    );
}

#[test]
fn a_script_of_somebody_unknown() {
    let at = place("\"p1-a1\"");
    assert_eq!(
        message("\"p1-a1\"", "\"p1a1\""),
        format!("{at} \"p1a1\" is no agent; did you mean \"p1-a1\"?")
    );
}

#[test]
fn a_setting_out_of_range() {
    let error = message("clock_drift_ppm = 10_000", "clock_drift_ppm = 900_000");
    assert!(
        error.starts_with("scenarios/x.toml:") && error.contains("clock_drift_ppm"),
        "{error}"
    );
}

#[test]
fn a_break_nobody_would_notice() {
    let error = message("promises = [\"I1\", \"I2\"]", "promises = [\"I2\", \"I3\"]");
    let at = place("{ broken = \"I1\" }");
    assert_eq!(
        error,
        format!("{at} I1 is expected to break but is not among the promises")
    );
}

#[test]
fn a_later_form() {
    let at = place("1 # version");
    assert_eq!(
        message("1 # version", "2"),
        format!("{at} schema_version is 2; this program reads 1")
    );
}

#[test]
fn a_file_that_is_no_toml() {
    let error = message("[expect]", "[expect");
    assert!(error.starts_with("scenarios/x.toml:"), "{error}");
}
