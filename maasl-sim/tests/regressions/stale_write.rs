//! A plan that was cut down, kept so that what it showed stays mended.
//!
//! Owns: the plan below. Promises: the promises that it names hold in its run.
//! Leaves to others: running it (`main.rs`).

// contended, seed 7: some agent is told stale_version.
// ann, served by east, means to write a.txt.
// bob, served by east, means to write a.txt.

#[test]
fn the_promises_hold() {
    crate::holds(PLAN);
}

const PLAN: &str = r#"
# contended, seed 7: some agent is told stale_version.
# ann, served by east, means to write a.txt.
# bob, served by east, means to write a.txt.

plan_version = 1
scenario = "contended"
seed = 7
quiet_from_ms = 20000
settle_ms = 60000
events_max = 100000
promises = ["I3"]
faults = []

[settings]

[timing]
client_us = [0]
store_us = [0]
transaction_us = [0]
effect_us = [0]
sync_us = [0]
bell_us = [0]
remote_store = false
store_timeout_ms = 2000

[[files]]
path = "a.txt"
content = """
start
"""

[[processes]]
name = "east"
clock_ahead_us = 0
drift_ppm = 0
start_at_ms = 0

[[agents]]
name = "ann"
process = "east"
manner = "sensible"

[[agents.calls]]

[agents.calls.action]
do = "write"
path = "a.txt"

[[agents]]
name = "bob"
process = "east"
manner = "sensible"

[[agents.calls]]

[agents.calls.action]
do = "write"
path = "a.txt"
"#;
