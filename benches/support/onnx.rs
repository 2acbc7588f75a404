//! The network as an ONNX file, so that other engines can run the very same one.
//!
//! ONNX is protocol buffers; the dozen fields that a graph needs are written here by hand.

use burn::tensor::Tensor;
use chrysalis::kernels::{EPSILON, LARGEST_ACTIVATION};
use chrysalis::unet::{ACTIVATION_SIZE, Block, ConvolutionWeight, Operations, Skip, UNet, UNetConfig, branch_factors};

/// Writes the network: inputs `x` `[batch, inputs, side, side]` and `waves` `[1, embedding]`, output `y` `[batch,
/// outputs, side, side]`.
pub fn write(unet: &UNet, config: &UNetConfig, batch: usize) -> Vec<u8> {
    let UNetConfig { side, inputs, outputs, .. } = *config;
    let embedding = config.layers.embedding;
    let mut graph = Graph { batch, nodes: Vec::new(), initializers: Vec::new(), names: 0, embedding: String::new() };
    let waves = graph.reshape("waves", &[1, embedding as i64, 1, 1]);
    let embedded = graph.convolution(&waves, unet.embed().unit());
    graph.embedding = graph.silu(&embedded);
    let ones = graph.floats(&[batch, 1, side, side], &vec![1.0; batch * side * side]);
    let name = graph.node("Concat", &["x", &ones], &[Attribute::Int("axis", 1)]);
    let y = unet.trunk().forward(&mut graph, Value { name, channels: inputs + 1, side });
    let gain = numbers(unet.head_gain()).1[0];
    let y = graph.times(&y.name, gain);
    graph.named_node("Identity", &[&y], "y", &[]);

    let mut body = Vec::new();
    for node in &graph.nodes {
        bytes(&mut body, 1, node);
    }
    bytes(&mut body, 2, b"unet");
    for initializer in &graph.initializers {
        bytes(&mut body, 5, initializer);
    }
    bytes(&mut body, 11, &value_info("x", &[batch, inputs, side, side]));
    bytes(&mut body, 11, &value_info("waves", &[1, embedding]));
    bytes(&mut body, 12, &value_info("y", &[batch, outputs, side, side]));
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

/// The graph as it is being written, by the operations of the network.
struct Graph {
    batch: usize,
    nodes: Vec<Vec<u8>>,
    initializers: Vec<Vec<u8>>,
    names: usize,
    /// The name of what all modulations are computed from.
    embedding: String,
}

/// Activations: their name and size.
#[derive(Clone)]
struct Value {
    name: String,
    channels: usize,
    side: usize,
}

enum Attribute<'a> {
    Int(&'a str, i64),
    Ints(&'a str, &'a [i64]),
    Text(&'a str, &'a str),
}

impl Operations for Graph {
    type Weight = ConvolutionWeight;
    type Modulation = Block;
    type Value = Value;

    fn convolve(&mut self, x: Value, weight: &ConvolutionWeight) -> Value {
        let weight = weight.unit();
        let channels = weight.dims()[0];
        Value { name: self.convolution(&x.name, weight), channels, ..x }
    }

    fn convolve_modulated(&mut self, x: Value, weight: &ConvolutionWeight, block: &Block) -> Value {
        let y = self.convolve(x, weight);
        let embedding = self.embedding.clone();
        let factor = self.convolution(&embedding, block.modulation_matrix());
        let one = self.floats(&[1], &[1.0]);
        let factor = self.node("Add", &[&factor, &one], &[]);
        let modulated = self.node("Mul", &[&y.name, &factor], &[]);
        Value { name: self.silu(&modulated), ..y }
    }

    fn convolve_onto(&mut self, x: Value, weight: &ConvolutionWeight, main: Value) -> Value {
        let [by_main, by_branch] = branch_factors();
        let branch = self.convolution(&x.name, weight.unit().mul_scalar(by_branch));
        let main_part = self.times(&main.name, by_main as f32);
        let sum = self.node("Add", &[&main_part, &branch], &[]);
        let [low, high] = [-LARGEST_ACTIVATION, LARGEST_ACTIVATION].map(|bound| self.floats(&[], &[bound]));
        Value { name: self.node("Clip", &[&sum, &low, &high], &[]), ..main }
    }

    fn activate(&mut self, x: Value) -> Value {
        Value { name: self.silu(&x.name), ..x }
    }

    fn normalise(&mut self, x: Value, width: Option<usize>) -> Value {
        let Some(width) = width else { return Value { name: self.divide_by_size(&x.name), ..x } };
        let groups = (self.batch * x.channels / width) as i64;
        let grouped = self.reshape(&x.name, &[groups, width as i64, (x.side * x.side) as i64]);
        let grouped = self.divide_by_size(&grouped);
        let shape = [self.batch, x.channels, x.side, x.side].map(|n| n as i64);
        Value { name: self.reshape(&grouped, &shape), ..x }
    }

    fn halve(&mut self, x: Value) -> Value {
        let two: &[i64] = &[2, 2];
        let how = [Attribute::Ints("kernel_shape", two), Attribute::Ints("strides", two)];
        Value { name: self.node("AveragePool", &[&x.name], &how), side: x.side / 2, ..x }
    }

    fn join(&mut self, x: Value, skip: Skip<Value>) -> Value {
        let factors = skip.factors(x.channels, skip.value.channels);
        let Skip { value: skip, doubles, .. } = skip;
        let mut name = x.name;
        if doubles {
            let none = self.floats(&[0], &[]);
            let scales = self.floats(&[4], &[1.0, 1.0, 2.0, 2.0]);
            let how = [
                Attribute::Text("mode", "nearest"),
                Attribute::Text("nearest_mode", "floor"),
                Attribute::Text("coordinate_transformation_mode", "asymmetric"),
            ];
            name = self.node("Resize", &[&name, &none, &scales], &how);
        }
        let (a, b) = (self.times(&name, factors.main), self.times(&skip.name, factors.skip));
        let name = self.node("Concat", &[&a, &b], &[Attribute::Int("axis", 1)]);
        Value { name, channels: x.channels + skip.channels, side: skip.side }
    }

    fn attend(&mut self, x: Value, width: usize) -> Value {
        let (batch, width, positions) = (self.batch as i64, width as i64, (x.side * x.side) as i64);
        let channels = x.channels / 3;
        let heads = channels as i64 / width;
        let mixed = self.reshape(&x.name, &[batch, 3, heads, width, positions]);
        let mut part = |index: i64| {
            let at = self.integers(&[index]);
            let part = self.node("Gather", &[&mixed, &at], &[Attribute::Int("axis", 1)]);
            self.reshape(&part, &[batch * heads, width, positions])
        };
        let (query, key, value) = (part(0), part(1), part(2));
        let query = self.node("Transpose", &[&query], &[Attribute::Ints("perm", &[0, 2, 1])]);
        let scores = self.node("MatMul", &[&query, &key], &[]);
        let scores = self.times(&scores, 1.0 / (width as f32).sqrt());
        let weights = self.node("Softmax", &[&scores], &[Attribute::Int("axis", 2)]);
        let weights = self.node("Transpose", &[&weights], &[Attribute::Ints("perm", &[0, 2, 1])]);
        let attended = self.node("MatMul", &[&value, &weights], &[]);
        let shape = [self.batch, channels, x.side, x.side].map(|n| n as i64);
        Value { name: self.reshape(&attended, &shape), channels, ..x }
    }
}

impl Graph {
    /// Divides by the root mean square along the second axis.
    fn divide_by_size(&mut self, x: &str) -> String {
        let squares = self.node("Mul", &[x, x], &[]);
        let how = [Attribute::Ints("axes", &[1]), Attribute::Int("keepdims", 1)];
        let mean = self.node("ReduceMean", &[&squares], &how);
        let root = self.node("Sqrt", &[&mean], &[]);
        let epsilon = self.floats(&[1], &[EPSILON]);
        let size = self.node("Add", &[&root, &epsilon], &[]);
        self.node("Div", &[x, &size], &[])
    }

    /// SiLU at unit variance.
    fn silu(&mut self, x: &str) -> String {
        let gate = self.node("Sigmoid", &[x], &[]);
        let y = self.node("Mul", &[x, &gate], &[]);
        self.times(&y, (1.0 / ACTIVATION_SIZE) as f32)
    }

    fn times(&mut self, x: &str, factor: f32) -> String {
        let factor = self.floats(&[1], &[factor]);
        self.node("Mul", &[x, &factor], &[])
    }

    fn convolution(&mut self, x: &str, weight: Tensor<4>) -> String {
        let (shape, values) = numbers(weight);
        let weight = self.floats(&shape, &values);
        let side = shape[2] as i64;
        let pad = side / 2;
        let how = [Attribute::Ints("kernel_shape", &[side, side]), Attribute::Ints("pads", &[pad, pad, pad, pad])];
        self.node("Conv", &[x, &weight], &how)
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

/// A tensor's shape and numbers.
fn numbers<const D: usize>(tensor: Tensor<D>) -> (Vec<usize>, Vec<f32>) {
    let shape = tensor.dims().to_vec();
    (shape, tensor.into_data().try_into_vec().expect("weights are f32"))
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
