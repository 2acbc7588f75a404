//! Sampling and training natively, at three sizes.

use std::time::Instant;

use burn::tensor::{Device, Tensor};
use chrysalis::data::{Dataset, Squaring};
use chrysalis::device::{DeviceChoice, choose};
use chrysalis::diffusion::{Denoiser, Model, Preconditioning, Stage, StageShape};
use chrysalis::kernels::training::Optimizer;
use chrysalis::noise::BatchNoise;
use chrysalis::picture::Picture;
use chrysalis::train::{StageConfig, TrainConfig, Trainer};
use chrysalis::unet::{Layers, UNet};

use super::report::Report;

/// Pictures at once while sampling, as in the figures of the starting point.
const SAMPLING_BATCH: usize = 16;
const TRAINING_BATCH: usize = 32;
const REPEATS: usize = 5;

/// The stages of the shipped cascade, and a network as large as that of the starting point: 14.9 million parameters
/// instead of 14.2, 3.6 GFLOP instead of 4.1.
fn sizes() -> Vec<(String, StageShape)> {
    let cascade = (1..).zip(StageConfig::cascade(128)).map(|(number, stage)| (format!("stage {number}"), stage.shape));
    let layers = Layers { widths: vec![96, 192, 384], depth: 1, head_width: 64, embedding: 256 };
    let large = StageShape { image_size: 64, patch: 2, enlarges: 1, layers };
    cascade.chain([("large".to_string(), large)]).collect()
}

pub fn measure(report: &mut Report) {
    // As `train` does.
    chrysalis::command::memory::keep_freed();
    let mut devices = vec![("CPU".to_string(), Device::flex())];
    if let Ok(gpu) = choose(&DeviceChoice::Auto)
        && !gpu.name.contains("CPU")
    {
        devices.push((gpu.name, gpu.device));
    }
    for (device_name, device) in devices {
        for (name, shape) in sizes() {
            let unet = UNet::new(&shape.unet(), 0, &device).expect("a sound configuration").folded();
            let preconditioning = Preconditioning::edm(shape.patch, 0.8);
            let model = Model::of(vec![Stage {
                shape: shape.clone(),
                unet,
                preconditioning,
                finishes_from: Vec::new(),
                finishing_noise: Vec::new(),
            }]);
            let seeds: Vec<u64> = (0..SAMPLING_BATCH as u64).collect();
            let x = BatchNoise::new(&seeds, [3, shape.image_size, shape.image_size], &device).draw();
            let condition = shape.is_conditioned().then(|| x.clone());
            let plain = per_second(SAMPLING_BATCH, || wait(model.stages[0].denoise(x.clone(), 1.0, condition.clone())));
            let sampling = model.for_sampling(&device);
            let denoiser = sampling.stages()[0].denoiser(condition);
            let fast = per_second(SAMPLING_BATCH, || wait(denoiser.denoise(x.clone(), 1.0)));
            let training = training(&StageConfig { shape: shape.clone(), ..StageConfig::default() }, &device);
            eprintln!("{device_name}, {name}: sampling {fast:.1} (plain {plain:.1}), training {training:.1} images/s");
            report.native(&device_name, &name, &shape, plain, fast, training);
        }
    }
}

fn wait(tensor: Tensor<4>) {
    let _: f32 = tensor.sum().into_scalar();
}

/// Pictures a second of training steps of a stage, the making of its batches included.
pub fn training(stage: &StageConfig, device: &Device) -> f64 {
    let shape = &stage.shape;
    let size = shape.image_size;
    let folder = tempfile::tempdir().expect("a temporary folder");
    for index in 0..TRAINING_BATCH {
        let pixels = (0..size * size * 3).map(|i| ((i * (index + 3)) % 251) as u8).collect();
        let picture = Picture::from_rgb(size, size, pixels).expect("as many pixels as it says");
        let path = folder.path().join(format!("{index}.png"));
        std::fs::write(path, picture.to_png().expect("a PNG")).expect("room for a picture");
    }
    let data = Dataset::load(&folder.path().display().to_string(), size, Squaring::Pad).expect("pictures just written");
    let stage = StageConfig { batch_size: TRAINING_BATCH, ..stage.clone() };
    // As earlier figures were measured, and as PyTorch is asked to.
    let optimizer = Optimizer::AdamW;
    let config = TrainConfig { optimizer, stages: vec![stage.clone()], ..TrainConfig::default() };
    let preconditioning = Preconditioning::edm(shape.patch, 0.8);
    let devices = std::slice::from_ref(device);
    let mut trainer = Trainer::new(&config, &stage, preconditioning, devices).expect("a sound configuration");
    per_second(TRAINING_BATCH, || {
        trainer.step(&data).expect("a step");
    })
}

/// Images a second: the median of some runs after one that warms up.
fn per_second(images: usize, mut run: impl FnMut()) -> f64 {
    run();
    let mut seconds: Vec<f64> = (0..REPEATS)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    images as f64 / seconds[seconds.len() / 2]
}
