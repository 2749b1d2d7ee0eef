//! A timeline shows what the store granted beside what holders believed.

use maasl_sim::plan::{File, Plan};
use maasl_sim::timeline::{Look, Sign, Timeline};
use maasl_sim::world::World;

/// The clock of a paused holder stands still while another takes over.
fn frozen() -> Plan {
    toml::from_str(include_str!("plans/frozen_clock.toml")).expect("a plan")
}

fn contended() -> Plan {
    toml::from_str(include_str!("plans/contended.toml")).expect("a plan")
}

#[test]
fn a_belief_that_outlives_its_grant_is_marked_from_when_another_was_granted() {
    let timeline = Timeline::of(&frozen());
    let wrong = timeline
        .beliefs
        .iter()
        .filter(|one| one.false_from.is_some());
    let wrong: Vec<_> = wrong.collect();
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert_eq!(wrong[0].agent, "ann");
    assert_eq!(timeline.processes[wrong[0].process.unwrap()], "east");
    let mut grants = timeline.grants.iter();
    let other = grants
        .find(|one| Some(one.from) == wrong[0].false_from)
        .unwrap();
    assert_eq!(
        (other.agent.as_str(), other.resource),
        ("bob", wrong[0].resource)
    );
    assert_eq!(timeline.resources[other.resource], "code:src/lib.rs");
}

#[test]
fn a_clock_that_runs_ends_a_belief_before_the_store_ends_the_grant() {
    let mut plan = frozen();
    plan.faults.remove(0);
    let timeline = Timeline::of(&plan);
    assert!(timeline.beliefs.iter().all(|one| one.false_from.is_none()));
    let belief = &timeline.beliefs[0];
    assert_eq!(belief.end, "ran out by the holder's clock");
    let mut grants = timeline.grants.iter();
    let grant = grants.find(|one| one.token == belief.token).unwrap();
    assert!(belief.to.ns < grant.expires_ns.unwrap());
    assert!(grant.expires_ns.unwrap() < grant.to.ns);
}

#[test]
fn spans_lie_within_the_run_and_every_belief_had_a_grant() {
    for plan in [frozen(), contended()] {
        let timeline = Timeline::of(&plan);
        let steps = timeline.steps.len();
        assert!(timeline.grants.len() > 3 && timeline.beliefs.len() > 3);
        for span in timeline.grants.iter().chain(&timeline.beliefs) {
            assert!(span.from.step <= span.to.step && span.to.step <= steps);
            assert!(span.from.ns <= span.to.ns);
            assert!(timeline.resources.len() > span.resource);
        }
        for belief in &timeline.beliefs {
            let mut grants = timeline.grants.iter();
            let granted = grants
                .any(|grant| grant.token == belief.token && grant.resource == belief.resource);
            assert!(granted, "{belief:?}");
        }
    }
}

#[test]
fn refused_stale_writes_and_changes_are_marked_on_their_resource() {
    let timeline = Timeline::of(&frozen());
    let on = |sign| {
        let marks = timeline.marks.iter().filter(move |mark| mark.sign == sign);
        marks.map(|mark| timeline.resources[mark.resource].as_str())
    };
    assert_eq!(on(Sign::Stale).collect::<Vec<_>>(), ["code:src/lib.rs"]);
    assert_eq!(on(Sign::Outside).collect::<Vec<_>>(), ["code:readme.md"]);
    assert_eq!(on(Sign::Change).count(), 3);
    let error = timeline.first_error.unwrap();
    assert_eq!(timeline.steps[error].look, Look::Stale);
    assert!(timeline.steps[error].what.contains("lease_lost"));
}

#[test]
fn silences_and_faults_last_as_long_as_the_plan_says() {
    let timeline = Timeline::of(&contended());
    let pause = timeline.silences.iter().find(|one| !one.dead).unwrap();
    assert_eq!(pause.to.ns - pause.from.ns, 7_345_000_000);
    let death = timeline.silences.iter().find(|one| one.dead).unwrap();
    assert_eq!(death.to.ns - death.from.ns, 217_000_000);
    let slow = timeline.faults.iter().find(|one| one.store).unwrap();
    assert_eq!(slow.to.ns - slow.from.ns, 900_000_000);
    assert_eq!(timeline.faults.len(), 3);
}

#[test]
fn looking_changes_no_record() {
    let plan = frozen();
    let timeline = Timeline::of(&plan);
    let kept = World::new(&plan, true).run().kept;
    let times = timeline.steps.iter().map(|step| step.at_ns);
    assert!(times.eq(kept.iter().map(|record| record.at_ns)));
}

#[test]
fn the_page_needs_nothing_else_and_no_name_ends_its_script() {
    let mut plan = contended();
    plan.scenario = "</script><script>alert(1)".into();
    plan.files.push(File {
        path: "x.txt".into(),
        content: String::new(),
    });
    let timeline = Timeline::of(&plan);
    let page = timeline.to_html();
    for outside in ["http:", "https:", "<link", "@import", "url(", " src="] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert_eq!(page.matches("</script>").count(), 1);
    let data = page.split_once("const T = ").unwrap().1;
    let data = data.split_once(";\n").unwrap().0;
    let read: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(read, serde_json::to_value(&timeline).unwrap());
}

#[test]
fn the_text_has_every_step_and_the_spans_between_them() {
    let timeline = Timeline::of(&frozen());
    let text = timeline.to_text();
    let notes = text
        .lines()
        .skip(1)
        .filter(|line| line[15..].starts_with('|'));
    let spans = timeline.grants.len() + timeline.beliefs.len();
    let marks = timeline.marks.iter();
    let told = marks.filter(|mark| !matches!(mark.sign, Sign::Stale | Sign::Refused));
    assert_eq!(notes.count(), 2 * spans + told.count());
    let lines = text.lines().skip(1).count();
    assert_eq!(
        lines - text.lines().filter(|line| line.contains(" |  ")).count(),
        timeline.steps.len()
    );
    assert!(text.contains("another was granted it before"), "{text}");
    assert!(
        text.contains("store grants code:src/lib.rs to bob, token "),
        "{text}"
    );
}
