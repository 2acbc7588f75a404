//! Changes to files that keep some of their structure.

use serde_json::{Value, json};

/// The file with a few bytes changed, put in or taken out.
pub fn with_other_bytes(bytes: &[u8], draw: &mut Draw) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=draw.below(4) {
        let at = draw.below(bytes.len() + 1);
        let end = (at + draw.below(9)).min(bytes.len());
        match draw.below(6) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let copy = bytes[at..end].to_vec();
                let to = draw.below(bytes.len() + 1);
                bytes.splice(to..to, copy);
            }
            3 => bytes.splice(at..end, [0xff; 4]).for_each(drop),
            4 => bytes.insert(at, draw.below(256) as u8),
            _ if at < bytes.len() => bytes[at] ^= 1 << draw.below(8),
            _ => {}
        }
    }
    bytes
}

/// The file with one value of its header or description changed; nothing if it has no header.
pub fn with_other_header(bytes: &[u8], draw: &mut Draw) -> Option<Vec<u8>> {
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
pub struct Draw(u64);

impl Draw {
    /// Other numbers for every seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end.max(1)
    }
}
