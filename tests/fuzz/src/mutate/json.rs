//! Changes to JSON texts as trees.

use serde_json::{Deserializer, Map, Value};

use super::bytes;
use crate::rng::Rng;

/// Strings with a meaning somewhere, or with none anywhere.
const STRINGS: [&str; 16] = [
    "",
    "2024-02-30",
    "2024",
    "2024-01-01T10:00:00Z",
    "9999-12-31T23:59:60+14:00",
    "urn:uuid:00000000-0000-4000-8000-000000000001",
    "Patient/p1",
    "#contained",
    "Observation",
    "Patient",
    "1e400",
    "\u{0}\u{1b}[2J\u{202e}",
    "é😀\u{301}",
    "text/plain; charset=utf-8",
    "aGVsbG8=",
    "final",
];

/// Numbers as they may be written.
const NUMBERS: [&str; 10] = [
    "0",
    "-0",
    "1.0e-7",
    "1E400",
    "-1",
    "18446744073709551616",
    "0.1000000000000000055511151231257827",
    "1e-400",
    "9007199254740993",
    "3.14",
];

/// Makes one change; false if the input is no JSON.
pub(super) fn mutate(input: &mut Vec<u8>, other: &[u8], rng: &mut Rng) -> bool {
    let Some(mut texts) = parse(input) else {
        return false;
    };
    let at = rng.below(texts.len());
    if rng.one_in(12) && texts.len() > 1 {
        // Texts stand for themselves: lines of a file.
        let second = rng.below(texts.len());
        texts.swap(at, second);
    } else if let Some(text) = texts.get_mut(at) {
        let donor = parse(other)
            .and_then(|others| rng.pick(&others).cloned())
            .map(|other| pick(&other, rng));
        let mut number = rng.below(count(text));
        change_at(text, &mut number, donor.as_ref(), rng);
    }
    let lines: Vec<String> = texts.iter().map(Value::to_string).collect();
    *input = lines.join("\n").into_bytes();
    if rng.one_in(12) {
        say_twice(input, rng);
    }
    true
}

fn parse(input: &[u8]) -> Option<Vec<Value>> {
    let texts = Deserializer::from_slice(input).into_iter::<Value>();
    let texts = texts.collect::<Result<Vec<_>, _>>().ok()?;
    (!texts.is_empty()).then_some(texts)
}

/// Repeats one member of an object, which a tree cannot hold: `"a":1,` becomes `"a":1,"a":1,`.
fn say_twice(input: &mut Vec<u8>, rng: &mut Rng) {
    let commas: Vec<usize> = (0..input.len())
        .filter(|at| input.get(*at) == Some(&b','))
        .collect();
    let first = rng.below(commas.len().saturating_sub(1));
    if let (Some(from), Some(to)) = (commas.get(first), commas.get(first + 1)) {
        let member = input.get(*from..*to).unwrap_or_default().to_vec();
        let at = *to;
        input.splice(at..at, member);
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        _ => 0,
    }
}

fn pick(value: &Value, rng: &mut Rng) -> Value {
    let mut at = rng.below(count(value));
    find(value, &mut at).unwrap_or(value).clone()
}

fn find<'v>(value: &'v Value, at: &mut usize) -> Option<&'v Value> {
    if *at == 0 {
        return Some(value);
    }
    *at -= 1;
    match value {
        Value::Array(items) => items.iter().find_map(|item| find(item, at)),
        Value::Object(members) => members.values().find_map(|item| find(item, at)),
        _ => None,
    }
}

fn change_at(value: &mut Value, at: &mut usize, donor: Option<&Value>, rng: &mut Rng) -> bool {
    if *at == 0 {
        change(value, donor, rng);
        return true;
    }
    *at -= 1;
    match value {
        Value::Array(items) => items.iter_mut().any(|item| change_at(item, at, donor, rng)),
        Value::Object(members) => members
            .values_mut()
            .any(|item| change_at(item, at, donor, rng)),
        _ => false,
    }
}

fn change(value: &mut Value, donor: Option<&Value>, rng: &mut Rng) {
    match rng.below(10) {
        0 => *value = donor.cloned().unwrap_or(Value::Null),
        1 => *value = scalar(rng),
        2 => {
            // Around it: one level more, or many.
            let levels = if rng.one_in(8) { 80 } else { 1 };
            for _ in 0..levels {
                *value = Value::Array(vec![value.take()]);
            }
        }
        _ => change_inside(value, donor, rng),
    }
}

fn scalar(rng: &mut Rng) -> Value {
    match rng.below(7) {
        0 => Value::Null,
        1 => Value::Bool(rng.one_in(2)),
        2 => Value::Array(Vec::new()),
        3 => Value::Object(Map::new()),
        4 => number(rng),
        _ => Value::String(string(rng)),
    }
}

fn string(rng: &mut Rng) -> String {
    rng.pick(&STRINGS).copied().unwrap_or_default().to_owned()
}

/// `arbitrary_precision` keeps the digits as they are written.
fn number(rng: &mut Rng) -> Value {
    let text = rng.pick(&NUMBERS).copied().unwrap_or("0");
    serde_json::from_str(text).unwrap_or(Value::Null)
}

fn change_inside(value: &mut Value, donor: Option<&Value>, rng: &mut Rng) {
    match value {
        Value::Null | Value::Bool(_) => *value = scalar(rng),
        Value::Number(_) => *value = number(rng),
        Value::String(text) => match rng.below(4) {
            0 => *text = string(rng),
            1 => *text = text.repeat(1 + rng.below(30)),
            _ => {
                let mut changed = text.clone().into_bytes();
                bytes::mutate(&mut changed, string(rng).as_bytes(), rng);
                *text = String::from_utf8_lossy(&changed).into_owned();
            }
        },
        Value::Array(items) => {
            let at = rng.below(items.len());
            match (rng.below(4), items.get(at).cloned()) {
                (0, Some(_)) => {
                    items.remove(at);
                }
                (1, Some(one)) => items.insert(at, one),
                (2, Some(_)) => {
                    let second = rng.below(items.len());
                    items.swap(at, second);
                }
                _ => items.insert(at, donor.cloned().unwrap_or_else(|| scalar(rng))),
            }
        }
        Value::Object(members) => {
            let name = members.keys().nth(rng.below(members.len())).cloned();
            match (rng.below(4), name) {
                (0 | 1, Some(name)) => {
                    members.remove(&name);
                }
                (2, Some(name)) => {
                    // The same under a name from elsewhere.
                    let renamed = match donor {
                        Some(Value::Object(other)) => {
                            other.keys().nth(rng.below(other.len())).cloned()
                        }
                        _ => None,
                    };
                    let one = members.remove(&name).unwrap_or_default();
                    members.insert(renamed.unwrap_or_else(|| string(rng)), one);
                }
                (_, name) => {
                    let name = name.unwrap_or_else(|| string(rng));
                    let new = donor.cloned().unwrap_or_else(|| scalar(rng));
                    members.insert(name, new);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_keep_most_texts_json() {
        let mut rng = Rng::new(2, "json");
        let sample = br#"{"a":[1,2.50,{"b":"c"}],"d":null}
{"e":true}"#;
        let mut whole = 0;
        for _ in 0..500 {
            let mut input = sample.to_vec();
            assert!(mutate(&mut input, sample, &mut rng));
            whole += usize::from(parse(&input).is_some());
        }
        assert!(whole > 400, "{whole}");
        assert!(!mutate(&mut b"{".to_vec(), sample, &mut rng));
    }

    #[test]
    fn numbers_keep_their_digits() {
        let texts = parse(b"[2.50]").unwrap();
        assert_eq!(texts[0].to_string(), "[2.50]");
    }
}
