//! Plainer values.
//!
//! Owns: what a plainer value is: a default, nothing, a power of ten, a rounder
//! number, a shorter list. Promises: goes by the form of the plan alone, so that
//! a new field is made plainer like the others. Leaves to others: trying
//! (`search`).

use serde_json::{Value, json};

use super::search::Search;
use crate::plan::Plan;

/// What says where a plan comes from, what counts, and how long a run may take:
/// a run that ends early would hide that the failure is mended only by half.
const LEFT_ALONE: [&str; 8] = [
    "plan_version",
    "scenario",
    "seed",
    "quiet_from_ms",
    "settle_ms",
    "events_max",
    "nth",
    "bit",
];

pub(super) fn cut(search: &mut Search<'_>) -> bool {
    let mut any = false;
    let mut at = 0;
    loop {
        let Ok(form) = serde_json::to_value(&search.plan) else {
            return any;
        };
        let mut places = Vec::new();
        collect(&form, &mut Vec::new(), &mut places);
        // From the end, so that what goes does not move what is still to come.
        let Some(place) = places.iter().rev().nth(at) else {
            return any;
        };
        let plainer = plainer_at(&form, place);
        if plainer.into_iter().any(|plan| search.accept(plan)) {
            any = true;
        } else {
            at += 1;
        }
        if search.is_spent() {
            return any;
        }
    }
}

/// A way into a form.
#[derive(Clone, Debug)]
enum Into {
    Key(String),
    Index(usize),
}

fn collect(form: &Value, way: &mut Vec<Into>, places: &mut Vec<Vec<Into>>) {
    match form {
        Value::Object(fields) => {
            for (key, value) in fields {
                if LEFT_ALONE.contains(&key.as_str()) || value.is_null() {
                    continue;
                }
                way.push(Into::Key(key.clone()));
                places.push(way.clone());
                collect(value, way, places);
                way.pop();
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                way.push(Into::Index(index));
                collect(item, way, places);
                way.pop();
            }
        }
        _ => {}
    }
}

/// The plans with something plainer at one place, plainest first.
fn plainer_at(form: &Value, place: &[Into]) -> Vec<Plan> {
    let (last, before) = place.split_last().expect("a place is inside the plan");
    let Into::Key(key) = last else {
        return Vec::new();
    };
    let with = |change: &dyn Fn(&mut serde_json::Map<String, Value>)| {
        let mut form = form.clone();
        if let Some(Value::Object(fields)) = inside(&mut form, before) {
            change(fields);
        }
        serde_json::from_value::<Plan>(form).ok()
    };
    let by_default = with(&|fields| {
        fields.remove(key);
    });
    let as_it_is = with(&|_| {});
    // Nothing is plainer than a default.
    let (Some(value), true) = (reach(form, place), by_default != as_it_is) else {
        return Vec::new();
    };
    let plainer = plainer(value).into_iter().filter_map(|plainer| {
        with(&|fields| {
            fields.insert(key.clone(), plainer.clone());
        })
    });
    by_default.into_iter().chain(plainer).collect()
}

fn inside<'f>(form: &'f mut Value, way: &[Into]) -> Option<&'f mut Value> {
    way.iter().try_fold(form, |form, step| match step {
        Into::Key(key) => form.get_mut(key),
        Into::Index(index) => form.get_mut(index),
    })
}

fn reach<'f>(form: &'f Value, way: &[Into]) -> Option<&'f Value> {
    way.iter().try_fold(form, |form, step| match step {
        Into::Key(key) => form.get(key),
        Into::Index(index) => form.get(index),
    })
}

fn plainer(value: &Value) -> Vec<Value> {
    match value {
        Value::Number(number) => {
            let Some(number) = number.as_i64() else {
                return Vec::new();
            };
            let numbers = plainer_numbers(number.unsigned_abs());
            let sign = number.signum();
            let numbers = numbers
                .into_iter()
                .filter_map(|one| i64::try_from(one).ok());
            numbers.map(|one| json!(one * sign)).collect()
        }
        Value::Array(items) if items.len() > 1 && items.iter().all(Value::is_number) => {
            vec![json!([100]), json!([items[0]])]
        }
        Value::Array(items) if items.len() > 1 && items.iter().all(Value::is_string) => {
            let shorter = (0..items.len()).map(|index| {
                let mut items = items.clone();
                items.remove(index);
                Value::Array(items)
            });
            shorter.collect()
        }
        Value::Array(items) if items.len() == 1 => {
            let alone = plainer(&items[0]).into_iter();
            alone.map(|item| json!([item])).collect()
        }
        _ => Vec::new(),
    }
}

/// Numbers that are plainer than this one, plainest first: nothing, the powers of
/// ten below it, the number with fewer digits that are not zero.
fn plainer_numbers(number: u64) -> Vec<u64> {
    let powers = core::iter::successors(Some(1_u64), |power| power.checked_mul(10));
    let powers: Vec<u64> = powers.take_while(|power| *power <= number).collect();
    let mut plainer = vec![0];
    plainer.extend(&powers);
    for unit in powers.iter().rev() {
        let down = number / unit * unit;
        plainer.extend([down, down.saturating_add(*unit)]);
    }
    plainer.retain(|one| how_plain(*one) < how_plain(number));
    plainer
}

/// Smaller is plainer.
fn how_plain(number: u64) -> (u32, bool, u64) {
    let mut digits = 0;
    let mut rest = number;
    while rest > 0 && rest.is_multiple_of(10) {
        rest /= 10;
    }
    let leading = rest;
    while rest > 0 {
        rest /= 10;
        digits += 1;
    }
    (digits, leading != 1, number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plainer_number_has_fewer_digits_that_say_something() {
        let plainer = plainer_numbers(7_345);
        assert_eq!(plainer[..5], [0, 1, 10, 100, 1_000]);
        assert!(plainer.contains(&7_000) && plainer.contains(&7_340));
        assert_eq!(plainer_numbers(0), [0; 0]);
        assert_eq!(plainer_numbers(1), [0]);
        assert!(!plainer_numbers(7_000).contains(&8_000));
    }

    #[test]
    fn making_plainer_comes_to_an_end() {
        for start in [9_u64, 99, 12_345, 1 << 40, u64::MAX] {
            let mut number = start;
            let mut steps = 0;
            while let Some(next) = plainer_numbers(number).last() {
                number = *next;
                steps += 1;
                assert!(steps < 400, "{start} does not come to an end");
            }
            assert_eq!(number, 0);
        }
    }
}
