//! I5 of what may not be changed: a commit that meets it is taken back.
//!
//! Owns: the commits of which the system forbade a swap, as long as their calls are
//! inside their latches. Promises: when such a call drops its latches, its commit is
//! undone or being undone, so that nobody else's files wait for the one that may not
//! be changed. Leaves to others: whether all of it was undone (`i5_durable`), and
//! recoveries, which wait until the file may be changed again.
//!
//! Judged only where steps fail for no other reason: a store that fails may be told
//! of nothing.

use std::collections::BTreeMap;

use maasl_core::coordinator::io::CallId;
use maasl_core::id::{OpId, SessionId};
use maasl_core::lease::{Command, CommitIntent, CommitItem, Outcome};

use super::{Breach, Judge};
use crate::observe::{Ground, Observation, ProcessNo};
use crate::plan::{FaultKind, Plan};
use crate::promise::Promise;

/// The judge.
#[derive(Debug, Default)]
pub(super) struct Forbidden {
    steps_fail: bool,
    sessions: BTreeMap<ProcessNo, SessionId>,
    /// The commit that has each staged name, and whose it is.
    commits: BTreeMap<String, (OpId, SessionId)>,
    /// The commit whose swap was forbidden to each call.
    barred: BTreeMap<(ProcessNo, CallId), OpId>,
}

impl Forbidden {
    /// The judge of a plan.
    pub(super) fn of(plan: &Plan) -> Self {
        Self {
            steps_fail: steps_fail(plan),
            ..Self::default()
        }
    }
}

/// Whether steps may fail for another reason than that they are forbidden.
fn steps_fail(plan: &Plan) -> bool {
    let spares_steps = |fault: &FaultKind| {
        matches!(
            fault,
            FaultKind::Forbidden { .. }
                | FaultKind::Kill { .. }
                | FaultKind::PowerCut { .. }
                | FaultKind::OutsideWrite { .. }
                | FaultKind::OutsideDelete { .. }
        )
    };
    let mut faults = plan.faults.iter();
    plan.timing.remote_store || !faults.all(|fault| spares_steps(&fault.what))
}

impl Judge for Forbidden {
    fn observe(&mut self, seen: &Observation<'_>, ground: &Ground<'_>) -> Result<(), Breach> {
        match seen {
            _ if self.steps_fail => {}
            Observation::Started { process, session } => {
                self.sessions.insert(*process, (*session).clone());
            }
            Observation::Died { process, .. } => {
                self.barred.retain(|(of, _), _| of != process);
            }
            Observation::Transacted {
                command: Command::BeginCommit(intent),
                outcome: Outcome::Begun,
                ..
            } => self.note_begun(intent),
            Observation::Barred {
                process,
                call,
                item,
                back: false,
            } => self.note_barred((*process, *call), item),
            Observation::Unlatched { process, call } => {
                if let Some(op) = self.barred.remove(&(*process, *call)) {
                    return judge_left(&op, ground);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Forbidden {
    fn note_begun(&mut self, intent: &CommitIntent) {
        let of = (intent.op.clone(), intent.owner.session.clone());
        let stages = intent.items.iter().map(|item| item.stage.clone());
        self.commits.extend(stages.map(|stage| (stage, of.clone())));
    }

    fn note_barred(&mut self, by: (ProcessNo, CallId), item: &CommitItem) {
        let Some((op, session)) = self.commits.get(&item.stage) else {
            return;
        };
        if self.sessions.get(&by.0) == Some(session) {
            self.barred.insert(by, op.clone());
        }
    }
}

/// Whether a call leaves its commit behind as one that is to go forward.
fn judge_left(op: &OpId, ground: &Ground<'_>) -> Result<(), Breach> {
    let mut open = ground.rows.intents();
    let Some(left) = open.find(|intent| intent.op == *op && !intent.turned_back) else {
        return Ok(());
    };
    let paths: Vec<&str> = left.items.iter().map(|item| item.path.as_str()).collect();
    let message = format!(
        "a commit of {} met a file that may not be changed, and keeps {} closed",
        left.owner.agent,
        paths.join(", ")
    );
    Err(Breach::new(Promise::I5, "forbidden-left-open", message))
}

#[cfg(test)]
mod tests {
    use maasl_core::lease::outcome::Change;

    use super::*;
    use crate::checks::scene::{CALL, P, Scene, intent, item, plan, site};
    use crate::plan::{Fault, When};

    /// A commit of the living `p-1` is open, and a swap of it was forbidden.
    fn barred(back: bool, turned_back: bool) -> (Scene, Forbidden) {
        let (mut scene, mut judge) = (Scene::new(&[]), Forbidden::default());
        let session = SessionId::new("p-1");
        let started = Observation::Started {
            process: P,
            session: &session,
        };
        scene.show(&mut judge, &started).unwrap();
        let item = item("a", Some("old\n"), Some("new\n"));
        let open = intent(core::slice::from_ref(&item));
        scene.begin(&mut judge, &open).unwrap();
        scene.rows.apply(Change::PutIntent(Box::new(CommitIntent {
            turned_back,
            ..open
        })));
        let seen = Observation::Barred {
            process: P,
            call: CALL,
            item: &item,
            back,
        };
        scene.show(&mut judge, &seen).unwrap();
        (scene, judge)
    }

    fn unlatched(scene: &Scene, judge: &mut Forbidden) -> Option<&'static str> {
        let seen = Observation::Unlatched {
            process: P,
            call: CALL,
        };
        site(scene.show(judge, &seen))
    }

    #[test]
    fn what_met_a_forbidden_file_is_not_left_open() {
        let (scene, mut judge) = barred(false, false);
        let left = unlatched(&scene, &mut judge);
        assert_eq!(left, Some("forbidden-left-open"));
    }

    #[test]
    fn what_is_being_undone_may_wait_for_the_file() {
        let (scene, mut judge) = barred(false, true);
        assert_eq!(unlatched(&scene, &mut judge), None);
        let (scene, mut judge) = barred(true, false);
        assert_eq!(unlatched(&scene, &mut judge), None);
    }

    #[test]
    fn what_a_dead_process_left_open_is_settled_by_others() {
        let (scene, mut judge) = barred(false, false);
        scene.died(&mut judge, "p-1").unwrap();
        assert_eq!(unlatched(&scene, &mut judge), None);
    }

    #[test]
    fn where_other_steps_fail_nothing_is_judged() {
        let mut plan = plan();
        assert!(!steps_fail(&plan));
        plan.faults.push(Fault {
            when: When::At { at_ms: 1 },
            what: FaultKind::StoreFull { for_ms: 1 },
        });
        assert!(steps_fail(&plan));
    }
}
