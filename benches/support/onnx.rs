//! The network as an ONNX file, so that other engines can run the very same one.
//!
//! ONNX is protocol buffers; the dozen fields that a graph needs are written here by hand.

use std::collections::BTreeMap;

use chrysalis::unet::{Layers, UNetConfig};

/// Tensors by their names in a weight file, with their shapes.
pub type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// The share of a branch in a block (EDM2), as in `src/unet/block.rs`.
const BRANCH: f32 = 0.3;
const EPSILON: f32 = 1e-4;
const SILU_SIZE: f32 = 0.596;

/// Writes the network: inputs `x` `[batch, inputs, side, side]` and `waves` `[1, embedding]`, output `y` `[batch, outputs, side, side]`.
pub fn write(config: &UNetConfig, tensors: &Tensors, batch: usize) -> Vec<u8> {
    let mut graph = Graph { tensors, config, batch, nodes: Vec::new(), initializers: Vec::new(), names: 0 };
    graph.network();
    let side = config.side;
    let mut body = Vec::new();
    for node in &graph.nodes {
        bytes(&mut body, 1, node);
    }
    bytes(&mut body, 2, b"unet");
    for initializer in &graph.initializers {
        bytes(&mut body, 5, initializer);
    }
    bytes(&mut body, 11, &value_info("x", &[batch, config.inputs, side, side]));
    bytes(&mut body, 11, &value_info("waves", &[1, config.layers.embedding]));
    bytes(&mut body, 12, &value_info("y", &[batch, config.outputs, side, side]));
    let mut model = Vec::new();
    number(&mut model, 1, 8);
    bytes(&mut model, 2, b"chrysalis");
    bytes(&mut model, 7, &body);
    let mut opset = Vec::new();
    bytes(&mut opset, 1, b"");
    number(&mut opset, 2, 17);
    bytes(&mut model, 8, &opset);
    model
}

struct Graph<'a> {
    tensors: &'a Tensors,
    config: &'a UNetConfig,
    batch: usize,
    nodes: Vec<Vec<u8>>,
    initializers: Vec<Vec<u8>>,
    names: usize,
}

enum Attribute<'a> {
    Int(&'a str, i64),
    Ints(&'a str, &'a [i64]),
    Text(&'a str, &'a str),
}

impl Graph<'_> {
    fn network(&mut self) {
        let UNetConfig { mut side, .. } = *self.config;
        let Layers { ref widths, depth, embedding, .. } = self.config.layers;
        let ones = self.floats(&[self.batch, 1, side, side], &vec![1.0; self.batch * side * side]);
        let x = self.node("Concat", &["x", &ones], &[Attribute::Int("axis", 1)]);
        let mut x = self.convolution(&x, "stem", 1.0);
        let waves = self.reshape("waves", &[1, embedding as i64, 1, 1]);
        let embedding = self.convolution(&waves, "embed", 1.0);
        let embedding = self.silu(&embedding);

        let mut width = widths[0];
        let mut skips = Vec::new();
        for (level, &outputs) in widths.iter().enumerate() {
            if level > 0 {
                let two: &[i64] = &[2, 2];
                x = self.node(
                    "AveragePool",
                    &[&x],
                    &[Attribute::Ints("kernel_shape", two), Attribute::Ints("strides", two)],
                );
                side /= 2;
            }
            for block in 0..depth {
                x = self.block(&x, &embedding, &format!("down.{level}.blocks.{block}"), true, outputs, side);
                width = outputs;
                skips.push((x.clone(), width));
            }
        }
        x = self.block(&x, &embedding, "middle", false, width, side);
        for (index, &outputs) in widths.iter().rev().enumerate() {
            if index > 0 {
                let none = self.floats(&[0], &[]);
                let scales = self.floats(&[4], &[1.0, 1.0, 2.0, 2.0]);
                let how = [
                    Attribute::Text("mode", "nearest"),
                    Attribute::Text("nearest_mode", "floor"),
                    Attribute::Text("coordinate_transformation_mode", "asymmetric"),
                ];
                x = self.node("Resize", &[&x, &none, &scales], &how);
                side *= 2;
            }
            for block in 0..depth {
                if let Some((skip, skip_width)) = skips.pop() {
                    let scale = ((width + skip_width) as f32 / 2.0).sqrt();
                    let a = self.times(&x, scale / (width as f32).sqrt());
                    let b = self.times(&skip, scale / (skip_width as f32).sqrt());
                    x = self.node("Concat", &[&a, &b], &[Attribute::Int("axis", 1)]);
                }
                x = self.block(&x, &embedding, &format!("up.{index}.blocks.{block}"), false, outputs, side);
                width = outputs;
            }
        }
        let gain = self.scalar("head_gain");
        let x = self.convolution(&x, "head", gain);
        self.named_node("Identity", &[&x], "y", &[]);
    }

    fn block(&mut self, x: &str, embedding: &str, name: &str, encoder: bool, width: usize, side: usize) -> String {
        let shortcut = format!("{name}.shortcut");
        let has_shortcut = self.tensors.contains_key(&format!("{shortcut}.weight"));
        let mut x = x.to_string();
        if encoder {
            if has_shortcut {
                x = self.convolution(&x, &shortcut, 1.0);
            }
            x = self.normalise(&x, 1);
        }
        let y = self.silu(&x);
        let y = self.convolution(&y, &format!("{name}.first"), 1.0);
        let gain = self.scalar(&format!("{name}.modulation_gain"));
        let factor = self.convolution(embedding, &format!("{name}.modulation"), gain);
        let one = self.floats(&[1], &[1.0]);
        let factor = self.node("Add", &[&factor, &one], &[]);
        let y = self.node("Mul", &[&y, &factor], &[]);
        let y = self.silu(&y);
        let scale = 1.0 / ((1.0 - BRANCH) * (1.0 - BRANCH) + BRANCH * BRANCH).sqrt();
        let y = self.convolution(&y, &format!("{name}.second"), BRANCH * scale);
        if !encoder && has_shortcut {
            x = self.convolution(&x, &shortcut, 1.0);
        }
        let x = self.times(&x, (1.0 - BRANCH) * scale);
        let mut x = self.node("Add", &[&x, &y], &[]);
        if self.tensors.contains_key(&format!("{name}.attention.projection.weight")) {
            let attended = self.attention(&x, &format!("{name}.attention"), BRANCH * scale, width, side);
            let main = self.times(&x, (1.0 - BRANCH) * scale);
            x = self.node("Add", &[&main, &attended], &[]);
        }
        let (low, high) = (self.floats(&[], &[-256.0]), self.floats(&[], &[256.0]));
        self.node("Clip", &[&x, &low, &high], &[])
    }

    fn attention(&mut self, x: &str, name: &str, scale: f32, width: usize, side: usize) -> String {
        let (batch, head_width, positions) =
            (self.batch as i64, self.config.layers.head_width as i64, (side * side) as i64);
        let heads = width as i64 / head_width;
        let mixed = self.convolution(x, &format!("{name}.query_key_value"), 1.0);
        let mixed = self.reshape(&mixed, &[batch * 3 * heads, head_width, positions]);
        let mixed = self.normalise(&mixed, 1);
        let mixed = self.reshape(&mixed, &[batch, 3, heads, head_width, positions]);
        let mut part = |index: i64| {
            let at = self.integers(&[index]);
            let part = self.node("Gather", &[&mixed, &at], &[Attribute::Int("axis", 1)]);
            self.reshape(&part, &[batch * heads, head_width, positions])
        };
        let (query, key, value) = (part(0), part(1), part(2));
        let query = self.node("Transpose", &[&query], &[Attribute::Ints("perm", &[0, 2, 1])]);
        let scores = self.node("MatMul", &[&query, &key], &[]);
        let scores = self.times(&scores, 1.0 / (head_width as f32).sqrt());
        let weights = self.node("Softmax", &[&scores], &[Attribute::Int("axis", 2)]);
        let weights = self.node("Transpose", &[&weights], &[Attribute::Ints("perm", &[0, 2, 1])]);
        let attended = self.node("MatMul", &[&value, &weights], &[]);
        let attended = self.reshape(&attended, &[batch, width as i64, side as i64, side as i64]);
        self.convolution(&attended, &format!("{name}.projection"), scale)
    }

    fn normalise(&mut self, x: &str, axis: i64) -> String {
        let squares = self.node("Mul", &[x, x], &[]);
        let how = [Attribute::Ints("axes", &[axis]), Attribute::Int("keepdims", 1)];
        let mean = self.node("ReduceMean", &[&squares], &how);
        let root = self.node("Sqrt", &[&mean], &[]);
        let epsilon = self.floats(&[1], &[EPSILON]);
        let size = self.node("Add", &[&root, &epsilon], &[]);
        self.node("Div", &[x, &size], &[])
    }

    /// SiLU without its scale: the weights that follow carry it.
    fn silu(&mut self, x: &str) -> String {
        let gate = self.node("Sigmoid", &[x], &[]);
        let y = self.node("Mul", &[x, &gate], &[]);
        self.times(&y, 1.0 / SILU_SIZE)
    }

    fn times(&mut self, x: &str, factor: f32) -> String {
        let factor = self.floats(&[1], &[factor]);
        self.node("Mul", &[x, &factor], &[])
    }

    fn convolution(&mut self, x: &str, name: &str, scale: f32) -> String {
        let (shape, values) = &self.tensors[&format!("{name}.weight")];
        let values: Vec<f32> = values.iter().map(|value| value * scale).collect();
        let weight = self.floats(&shape.clone(), &values);
        let side = shape[2] as i64;
        let pad = side / 2;
        let how = [Attribute::Ints("kernel_shape", &[side, side]), Attribute::Ints("pads", &[pad, pad, pad, pad])];
        self.node("Conv", &[x, &weight], &how)
    }

    fn scalar(&self, name: &str) -> f32 {
        self.tensors[name].1[0]
    }

    fn reshape(&mut self, x: &str, shape: &[i64]) -> String {
        let shape = self.integers(shape);
        self.node("Reshape", &[x, &shape], &[])
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("t{}", self.names)
    }

    fn node(&mut self, kind: &str, inputs: &[&str], attributes: &[Attribute<'_>]) -> String {
        let output = self.name();
        self.named_node(kind, inputs, &output, attributes);
        output
    }

    fn named_node(&mut self, kind: &str, inputs: &[&str], output: &str, attributes: &[Attribute<'_>]) {
        let mut node = Vec::new();
        for input in inputs {
            bytes(&mut node, 1, input.as_bytes());
        }
        bytes(&mut node, 2, output.as_bytes());
        bytes(&mut node, 3, format!("{kind}_{output}").as_bytes());
        bytes(&mut node, 4, kind.as_bytes());
        for attribute in attributes {
            let mut body = Vec::new();
            match attribute {
                Attribute::Int(name, value) => {
                    bytes(&mut body, 1, name.as_bytes());
                    number(&mut body, 3, *value as u64);
                    number(&mut body, 20, 2);
                }
                Attribute::Ints(name, values) => {
                    bytes(&mut body, 1, name.as_bytes());
                    for value in *values {
                        number(&mut body, 8, *value as u64);
                    }
                    number(&mut body, 20, 7);
                }
                Attribute::Text(name, value) => {
                    bytes(&mut body, 1, name.as_bytes());
                    bytes(&mut body, 4, value.as_bytes());
                    number(&mut body, 20, 3);
                }
            }
            bytes(&mut node, 5, &body);
        }
        self.nodes.push(node);
    }

    fn floats(&mut self, shape: &[usize], values: &[f32]) -> String {
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.initializer(shape.iter().map(|&n| n as u64), 1, &raw)
    }

    fn integers(&mut self, values: &[i64]) -> String {
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.initializer([values.len() as u64].into_iter(), 7, &raw)
    }

    fn initializer(&mut self, shape: impl Iterator<Item = u64>, kind: u64, raw: &[u8]) -> String {
        let name = self.name();
        let mut tensor = Vec::new();
        for size in shape {
            number(&mut tensor, 1, size);
        }
        number(&mut tensor, 2, kind);
        bytes(&mut tensor, 8, name.as_bytes());
        bytes(&mut tensor, 9, raw);
        self.initializers.push(tensor);
        name
    }
}

fn value_info(name: &str, shape: &[usize]) -> Vec<u8> {
    let mut dims = Vec::new();
    for &size in shape {
        let mut dim = Vec::new();
        number(&mut dim, 1, size as u64);
        bytes(&mut dims, 1, &dim);
    }
    let mut tensor = Vec::new();
    number(&mut tensor, 1, 1);
    bytes(&mut tensor, 2, &dims);
    let mut kind = Vec::new();
    bytes(&mut kind, 1, &tensor);
    let mut info = Vec::new();
    bytes(&mut info, 1, name.as_bytes());
    bytes(&mut info, 2, &kind);
    info
}

/// A field with a whole number.
fn number(into: &mut Vec<u8>, field: u64, value: u64) {
    varint(into, field << 3);
    varint(into, value);
}

/// A field with bytes: text, or a message within the message.
fn bytes(into: &mut Vec<u8>, field: u64, value: &[u8]) {
    varint(into, field << 3 | 2);
    varint(into, value.len() as u64);
    into.extend_from_slice(value);
}

fn varint(into: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        into.push(value as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}
