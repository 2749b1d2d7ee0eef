//! Scenario and plan files of the simulator.
//!
//! Owns: either as arbitrary bytes. Promises: a scenario that is read can be drawn
//! with any seed, and what was drawn is a plan that is written and read alike.
//! Leaves to others: running it.

use maasl_sim::draw;
use maasl_sim::plan::Plan;
use maasl_sim::scenario;

/// Seeds that each scenario is drawn with.
const SEEDS: [u64; 2] = [0, 0x7fff_ffff_ffff_ffff];

/// Bytes of a message about a file that is wrong.
const MESSAGE_BYTES_MAX: usize = 16 * 1024;

/// Tries bytes as a scenario and as a plan.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match scenario::parse("x.toml", text) {
        Ok(scenario) => {
            for seed in SEEDS {
                let plan = draw::plan(&scenario, seed);
                assert_eq!(plan, draw::plan(&scenario, seed), "drawn twice");
                assert_eq!(plan.validate(), Ok(()), "seed {seed}");
                written_is_read(&plan);
            }
        }
        Err(error) => {
            let said = error.to_string().len();
            let most = MESSAGE_BYTES_MAX + 8 * text.len();
            assert!(said <= most, "{said} bytes are said of {}", text.len());
        }
    }
    if let Ok(plan) = toml::from_str::<Plan>(text)
        && plan.validate().is_ok()
    {
        written_is_read(&plan);
    }
}

fn written_is_read(plan: &Plan) {
    let text = toml::to_string(plan).expect("a plan is written as TOML");
    let read: Plan = toml::from_str(&text).expect("what was written is read");
    assert_eq!(&read, plan);
}
