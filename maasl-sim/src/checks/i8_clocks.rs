//! I8: no clock breaks the other promises.
//!
//! Owns: telling runs in which only clocks went wrong. Promises: such a run that
//! breaks a promise says that it breaks this one as well. Leaves to others: the
//! judging. There is no judge of its own: whether a clock broke something can be
//! told only by what it broke, and a breach that were named I8 once its other
//! faults are taken away would no longer be the same breach to whoever cuts a
//! plan down.

use crate::plan::{FaultKind, Plan};

/// Whether clocks go wrong in a plan, and nothing else does.
pub(super) fn only_clocks(plan: &Plan) -> bool {
    let is_of_clocks = |fault: &FaultKind| {
        matches!(
            fault,
            FaultKind::ClockStep { .. }
                | FaultKind::ClockDrift { .. }
                | FaultKind::ClockFreeze { .. }
                | FaultKind::StoreClockStep { .. }
                | FaultKind::WallClockStep { .. }
        )
    };
    let drifts = plan.processes.iter().any(|process| process.drift_ppm != 0);
    (drifts || !plan.faults.is_empty()) && plan.faults.iter().all(|fault| is_of_clocks(&fault.what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::scene;
    use crate::plan::{Fault, When};

    fn with(faults: Vec<FaultKind>) -> Plan {
        let fault = |what| Fault {
            when: When::At { at_ms: 1 },
            what,
        };
        Plan {
            faults: faults.into_iter().map(fault).collect(),
            ..scene::plan()
        }
    }

    #[test]
    fn a_run_is_about_clocks_if_nothing_else_goes_wrong() {
        let step = FaultKind::StoreClockStep { by_ms: -5 };
        let kill = FaultKind::Kill {
            process: "p".into(),
            restart_after_ms: None,
        };
        assert!(only_clocks(&with(vec![step.clone()])));
        assert!(!only_clocks(&with(vec![step, kill])));
        assert!(!only_clocks(&with(Vec::new())));
    }
}
