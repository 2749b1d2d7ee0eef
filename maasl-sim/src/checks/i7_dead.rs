//! I7, the dead: nobody is refused for the sake of who was dead when it asked.
//!
//! Owns: who had died when each request was sent first. Promises: every refusal that
//! names who is in the way is judged, that of a call which may not wait too. Leaves to
//! others: how long anybody waits (`i7_served`).
//!
//! Not judged: worlds with a lock-delay, in which the dead stand in the way for a
//! while.

use std::collections::BTreeMap;

use maasl_core::coordinator::io::Response;
use maasl_core::id::SessionId;
use maasl_core::refusal::{Busy, Refusal};

use super::{Breach, Judge};
use crate::observe::{Ground, Observation, RequestNo};
use crate::plan::Plan;
use crate::promise::Promise;

/// The judge.
#[derive(Debug)]
pub(super) struct Dead {
    has_delay: bool,
    /// Processes that died, each with how many had died before.
    died: BTreeMap<SessionId, usize>,
    /// How many had died when a request was sent first.
    asked: BTreeMap<RequestNo, usize>,
}

impl Dead {
    /// The judge of a plan.
    pub(super) fn of(plan: &Plan) -> Self {
        let config = plan.config();
        let mut policies = config.policies.iter();
        Self {
            has_delay: policies.any(|policy| policy.lock_delay_ms > 0),
            died: BTreeMap::new(),
            asked: BTreeMap::new(),
        }
    }

    fn judge_answer(&self, request: RequestNo, response: &Response) -> Result<(), Breach> {
        let busy: &Busy = match &response.result {
            Err(Refusal::ResourceBusy(busy)) => busy,
            Err(Refusal::DbBusy(refused)) => &refused.busy,
            _ => return Ok(()),
        };
        let Some(deaths) = self.asked.get(&request) else {
            return Ok(());
        };
        let was_dead = |session: &SessionId| {
            let before = self.died.get(session);
            before.is_some_and(|before| before < deaths)
        };
        let mut owners = busy.blockers.iter().map(|blocker| &blocker.owner);
        let Some(owner) = owners.find(|owner| was_dead(&owner.session)) else {
            return Ok(());
        };
        let message = format!(
            "request {} was refused for {} through {}, which was dead before it was sent",
            request.0, owner.agent, owner.session
        );
        Err(Breach::new(Promise::I7, "refused-for-the-dead", message))
    }
}

impl Judge for Dead {
    fn observe(&mut self, seen: &Observation<'_>, _: &Ground<'_>) -> Result<(), Breach> {
        match seen {
            _ if self.has_delay => {}
            Observation::Died { session, .. } => {
                let before = self.died.len();
                self.died.entry((*session).clone()).or_insert(before);
            }
            Observation::Asked(asked) => {
                self.asked.entry(asked.request).or_insert(self.died.len());
            }
            Observation::Answered {
                request, response, ..
            } => return self.judge_answer(*request, response),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use maasl_core::lease::outcome::Blocker;

    use super::*;
    use crate::checks::scene::{Scene, edit, key, owner, plan, site, token};

    fn asked(judge: &mut Dead) -> Scene {
        let scene = Scene::new(&[]);
        scene.ask(judge, 1, &edit("a"), None, &[]).unwrap();
        scene
    }

    /// Request 1 is refused for a lease of `p-1`.
    fn refused(scene: &Scene, judge: &mut Dead) -> Option<&'static str> {
        let blocker = Blocker {
            key: key("a"),
            owner: owner("bob", "p-1"),
            token: Some(token(1)),
            since_wall_ms: 0,
            held_ms: 0,
            expires_in_ms: 1,
            purpose: None,
        };
        let busy = Busy {
            blockers: vec![blocker],
            ..Busy::default()
        };
        let refusal = Refusal::ResourceBusy(Box::new(busy));
        site(scene.answered(judge, 1, Err(refusal)))
    }

    #[test]
    fn who_lives_or_died_meanwhile_may_stand_in_the_way() {
        let mut judge = Dead::of(&plan());
        let scene = asked(&mut judge);
        assert_eq!(refused(&scene, &mut judge), None);
        scene.died(&mut judge, "p-1").unwrap();
        assert_eq!(refused(&scene, &mut judge), None);
    }

    #[test]
    fn who_was_dead_before_does_not() {
        let mut judge = Dead::of(&plan());
        Scene::new(&[]).died(&mut judge, "p-1").unwrap();
        let scene = asked(&mut judge);
        let judged = refused(&scene, &mut judge);
        assert_eq!(judged, Some("refused-for-the-dead"));
    }

    #[test]
    fn a_lock_delay_lets_the_dead_stand_in_the_way() {
        let mut plan = plan();
        plan.settings.lock_delay_ms = Some(50);
        let mut judge = Dead::of(&plan);
        Scene::new(&[]).died(&mut judge, "p-1").unwrap();
        let scene = asked(&mut judge);
        assert_eq!(refused(&scene, &mut judge), None);
    }
}
