//! The network: shapes, sizes, and what its blocks promise.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use chrysalis::noise::BatchNoise;
use chrysalis::train::StageConfig;
use chrysalis::unet::{Layers, Operations, Skip, UNet, UNetConfig, UNetConfigError};

fn config(side: usize, inputs: usize, widths: &[usize], depth: usize, head_width: usize) -> UNetConfig {
    let layers = Layers { widths: widths.to_vec(), depth, head_width, embedding: 32 };
    UNetConfig { side, inputs, outputs: 6, layers }
}

/// Standard normal numbers, `[seeds, side, side, channels]`.
fn numbers(seeds: &[u64], config: &UNetConfig) -> Tensor<4> {
    BatchNoise::new(seeds, [config.side, config.side, config.inputs], &Device::flex()).draw()
}

fn small() -> UNetConfig {
    config(8, 12, &[8, 16], 1, 8)
}

/// How many numbers a configuration needs, from the drawing of the network.
fn parameters(config: &UNetConfig) -> usize {
    let Layers { widths, depth, head_width, embedding } = &config.layers;
    let block = |encoder: bool, inputs: usize, outputs: usize, coarsest: bool| {
        let first = if encoder { outputs } else { inputs };
        let shortcut = if inputs == outputs { 0 } else { inputs * outputs };
        let attention = if coarsest && *head_width > 0 { 4 * outputs * outputs } else { 0 };
        9 * first * outputs + 9 * outputs * outputs + embedding * outputs + 1 + shortcut + attention
    };
    let last = widths.len() - 1;
    let mut sum = 9 * (config.inputs + 1) * widths[0] + embedding * embedding + 9 * widths[0] * config.outputs + 1;
    let mut width = widths[0];
    for (level, &outputs) in widths.iter().enumerate() {
        for _ in 0..*depth {
            sum += block(true, width, outputs, level == last);
            width = outputs;
        }
    }
    sum += block(false, width, width, true);
    for (level, &outputs) in widths.iter().enumerate().rev() {
        for _ in 0..*depth {
            sum += block(false, width + outputs, outputs, level == last);
            width = outputs;
        }
    }
    sum
}

#[test]
fn shapes_and_parameter_counts_of_several_networks() {
    let device = Device::flex();
    for config in [
        config(8, 12, &[8, 16], 1, 8),
        config(16, 3, &[8], 2, 0),
        config(10, 12, &[8, 12], 2, 4),
        config(6, 48, &[12, 20], 1, 20),
        config(24, 6, &[4, 8, 12, 16], 1, 4),
    ] {
        let unet = UNet::new(&config, 1, &device).unwrap();
        assert_eq!(unet.num_params(), parameters(&config), "{config:?}");
        let x = numbers(&[1, 2], &config);
        assert_eq!(unet.forward(x, &[0.1, -0.4]).dims(), [2, config.side, config.side, 6], "{config:?}");
    }
}

#[test]
fn impossible_networks_are_named() {
    let error = |config: UNetConfig| UNet::new(&config, 0, &Device::flex()).unwrap_err();
    match error(config(50, 2, &[8, 8, 8], 1, 0)) {
        UNetConfigError::CannotHalve { multiple: 4, suggestion: 52, halvings: 2, .. } => {}
        other => panic!("{other}"),
    }
    assert!(error(config(50, 2, &[8, 8, 8], 1, 0)).to_string().contains("multiple of 4, such as 52"));
    assert!(matches!(error(config(16, 2, &[8, 12], 1, 8)), UNetConfigError::UnevenHeads { width: 12, head_width: 8 }));
    assert!(matches!(error(config(16, 2, &[10], 1, 0)), UNetConfigError::NotInFours { found: 10, suggestion: 12, .. }));
    for impossible in [
        config(0, 2, &[8], 1, 0),
        config(16, 0, &[8], 1, 0),
        config(16, 2, &[], 1, 0),
        config(16, 2, &[0], 1, 0),
        config(16, 2, &[usize::MAX], 1, 0),
        config(16, 2, &[8], usize::MAX, 0),
        config(usize::MAX, 2, &[8], 1, 0),
        config(16, 2, &[8; 100], 1, 0),
        // Kilobytes of weights that would ask for terabytes of attention, and for gigabytes of activations.
        config(1024, 1, &[8], 1, 8),
        config(1024, 1, &[4096], 1, 0),
    ] {
        assert!(matches!(error(impossible.clone()), UNetConfigError::OutOfRange { .. }), "{impossible:?}");
    }
}

#[test]
fn a_fresh_network_predicts_nothing_and_the_same_seed_gives_the_same_weights() {
    let device = Device::flex();
    let config = config(8, 12, &[8, 16], 1, 8);
    let x = numbers(&[1], &config);
    let output = UNet::new(&config, 1, &device).unwrap().forward(x.clone(), &[0.0]);
    assert_eq!(output.abs().max().into_scalar::<f32>(), 0.0);

    let output = |seed| {
        let unet = crate::support::with_gains(UNet::new(&config, seed, &device).unwrap(), 1.0, 0.5);
        unet.forward(x.clone(), &[0.0]).into_data()
    };
    assert_eq!(output(4), output(4));
    assert_ne!(output(4), output(5));
}

#[test]
fn folding_changes_no_output() {
    let device = Device::flex();
    let unet = crate::support::lively_unet(&small(), &device);
    let x = numbers(&[3], &small());
    let before = unet.forward(x.clone(), &[0.2]);
    let off: f32 = (unet.folded().forward(x, &[0.2]) - before.clone()).abs().max().into_scalar();
    let scale: f32 = before.abs().max().into_scalar();
    assert!(scale > 0.1, "the test needs an output to compare, got {scale}");
    assert!(off < 1e-5 * scale.max(1.0), "off by {off}");
}

#[test]
fn every_picture_of_a_batch_is_computed_for_itself() {
    let device = Device::flex();
    let unet = crate::support::lively_unet(&small(), &device);
    let x = numbers(&[3, 4, 5], &small());
    let together = unet.forward(x.clone(), &[0.2, -0.3, 0.5]).narrow(0, 1, 1);
    let alone = unet.forward(x.narrow(0, 1, 1), &[-0.3]);
    let off: f32 = (together - alone).abs().max().into_scalar();
    assert!(off < 1e-5, "off by {off}");
}

#[test]
fn the_network_listens_to_the_noise_level() {
    let device = Device::flex();
    let unet = crate::support::lively_unet(&small(), &device);
    let x = numbers(&[3], &small());
    let off: f32 = (unet.forward(x.clone(), &[-1.0]) - unet.forward(x, &[-0.95])).abs().max().into_scalar();
    assert!(off > 1e-3, "σ made no difference: {off}");
}

#[test]
fn unit_variance_goes_through_the_whole_network() {
    // What "magnitude-preserving" promises: at the start of training no layer blows up or dies.
    let device = Device::flex();
    for stage in StageConfig::cascade(128) {
        let config = stage.shape.unet();
        let unet = crate::support::with_gains(UNet::new(&config, 9, &device).unwrap(), 1.0, 0.0);
        let output = unet.forward(numbers(&[3], &config), &[0.0]);
        let variance: f32 = output.square().mean().into_scalar();
        assert!((0.3..3.0).contains(&variance), "variance {variance}");
    }
}

/// Runs a network on names: a value is the number of the layer that it comes from.
#[derive(Default)]
struct Names {
    /// What came across each skip connection, in order, and whether it was cut.
    joined: Vec<(usize, bool)>,
}

impl Operations for Names {
    type Weight = usize;
    type Modulation = ();
    type Value = usize;

    fn convolve(&mut self, _: usize, weight: &usize) -> usize {
        *weight
    }
    fn convolve_modulated(&mut self, _: usize, weight: &usize, (): &()) -> usize {
        *weight
    }
    fn convolve_onto(&mut self, _: usize, weight: &usize, _: usize) -> usize {
        *weight
    }
    fn activate(&mut self, x: usize) -> usize {
        x
    }
    fn normalise(&mut self, x: usize, _: Option<usize>) -> usize {
        x
    }
    fn halve(&mut self, x: usize) -> usize {
        x
    }
    fn join(&mut self, x: usize, skip: Skip<usize>) -> usize {
        assert_eq!(skip.factors(8, 8).skip == 0.0, skip.cut);
        assert!(skip.factors(8, 8).main > 0.0);
        self.joined.push((skip.value, skip.cut));
        x
    }
    fn attend(&mut self, x: usize, _: usize) -> usize {
        x
    }
}

#[test]
fn skip_connections_are_counted_from_the_outermost() {
    let unet = UNet::new(&config(8, 12, &[8, 16], 2, 8), 1, &Device::flex()).unwrap();
    let mut layers = 0..;
    let trunk = unet.trunk().map(|_, _, _| layers.next().unwrap(), |_| ());
    let joined = |without_skip| {
        let mut names = Names::default();
        trunk.forward_watched(&mut names, usize::MAX, without_skip, |_| {});
        names.joined
    };
    let whole = joined(None);
    assert_eq!(whole.len(), 4);
    assert!(whole.is_sorted_by(|a, b| a.0 > b.0), "what was put out last on the way down comes first: {whole:?}");
    for cut in 0..6 {
        let marks: Vec<usize> = joined(Some(cut)).iter().filter(|(_, cut)| *cut).map(|(value, _)| *value).collect();
        let expected: Vec<usize> = whole.iter().rev().nth(cut).map(|(value, _)| *value).into_iter().collect();
        assert_eq!(marks, expected, "connection {cut}");
    }
    assert!(whole.iter().all(|(_, cut)| !cut));

    // Who watches is shown what each block puts out, and layers are numbered in the order that they run in.
    let mut watched = Vec::new();
    trunk.forward_watched(&mut Names::default(), usize::MAX, None, |value| watched.push(*value));
    assert_eq!(watched.len(), 9, "four on the way down, one, and four on the way up");
    assert!(watched.is_sorted_by(|a, b| a < b), "{watched:?}");
    let down: Vec<usize> = whole.iter().rev().map(|(value, _)| *value).collect();
    assert_eq!(watched[..4], down);
}
