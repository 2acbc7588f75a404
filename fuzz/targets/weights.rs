//! A weight file. Half of the mutations keep it one: they change its header as JSON, with the description inside, and
//! mend the header's length.
#![no_main]

#[path = "../entry.rs"]
#[allow(dead_code)]
mod entry;

use libfuzzer_sys::fuzzer_mutate;
use serde_json::{Value, json};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| entry::weights(bytes));

libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut draw = Draw(u64::from(seed) << 1 | 1);
    if draw.below(2) == 0
        && let Some(bytes) = with_other_header(&data[..size], &mut draw)
        && bytes.len() <= max_size
    {
        data[..bytes.len()].copy_from_slice(&bytes);
        return bytes.len();
    }
    fuzzer_mutate(data, size, max_size)
});

/// The file with one value of its header or description changed; nothing if it has no header.
fn with_other_header(bytes: &[u8], draw: &mut Draw) -> Option<Vec<u8>> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let mut header: Value = serde_json::from_slice(rest.get(..length)?).ok()?;
    let described = header["__metadata__"]["chrysalis"].as_str().and_then(|text| serde_json::from_str(text).ok());
    match described {
        Some(mut description) if draw.below(2) == 0 => {
            change(&mut description, draw);
            header["__metadata__"]["chrysalis"] = Value::from(description.to_string());
        }
        _ => change(&mut header, draw),
    }
    let text = serde_json::to_vec(&header).ok()?;
    // Now and then the tensors lose or gain some bytes too.
    let tensors = &rest[length..];
    let kept = if draw.below(8) == 0 { draw.below(tensors.len() + 1) } else { tensors.len() };
    Some([&(text.len() as u64).to_le_bytes(), text.as_slice(), &tensors[..kept]].concat())
}

/// Changes one value somewhere inside.
fn change(value: &mut Value, draw: &mut Draw) {
    match value {
        Value::Object(fields) if !fields.is_empty() && draw.below(8) > 0 => {
            let chosen = draw.below(fields.len());
            let name = fields.keys().nth(chosen).cloned().unwrap_or_default();
            match draw.below(12) {
                0 => drop(fields.remove(&name)),
                1 => {
                    let copy = fields[&name].clone();
                    fields.insert(format!("{name}.scale"), copy);
                }
                _ => change(&mut fields[&name], draw),
            }
        }
        Value::Array(items) if !items.is_empty() && draw.below(8) > 0 => {
            let chosen = draw.below(items.len());
            match draw.below(6) {
                0 => drop(items.remove(chosen)),
                1 => items.insert(chosen, items[chosen].clone()),
                _ => change(&mut items[chosen], draw),
            }
        }
        other => *other = strange(other, draw),
    }
}

/// A value that readers stumble over.
fn strange(value: &Value, draw: &mut Draw) -> Value {
    let number = value.as_u64().unwrap_or(8);
    let all = [
        json!(number.wrapping_add(1)),
        json!(number.wrapping_sub(1)),
        json!(number.wrapping_mul(2)),
        json!(0),
        json!(1),
        json!(-1),
        json!(1u64 << 20),
        json!(1u64 << 32),
        json!(1u64 << 62),
        json!(u64::MAX),
        json!(1e-320),
        json!(1e300),
        json!(null),
        json!(true),
        json!(""),
        json!([]),
        json!({}),
        json!([number, number]),
        json!("U8"),
        json!("I8"),
        json!("F16"),
        json!("F64"),
        json!("F8_E8M0"),
    ];
    all[draw.below(all.len())].clone()
}

/// Numbers that look random (xorshift64).
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end.max(1)
    }
}
