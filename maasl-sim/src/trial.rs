//! Plans to try things on.
//!
//! Owns: small plans that tests share. Promises: they meet what their names say.
//! Leaves to others: what is expected of them.

use crate::plan::Plan;

/// Two agents in two processes on one file, one of them paused between its
/// reading and its write, so that it is refused as stale.
pub(crate) fn contended() -> Plan {
    let plan: Plan = toml::from_str(CONTENDED).expect("a plan of this form");
    plan.validate().expect("a plan that can be run");
    plan
}

const CONTENDED: &str = include_str!("../tests/plans/contended.toml");
