//! Sampling and training natively, at three sizes.

use std::time::Instant;

use burn::tensor::{Device, Tensor};
use chrysalis::data::{Dataset, Squaring};
use chrysalis::device::{DeviceChoice, choose};
use chrysalis::diffusion::{Denoiser, Model, Preconditioning};
use chrysalis::noise::BatchNoise;
use chrysalis::picture::Picture;
use chrysalis::train::{TrainConfig, Trainer};
use chrysalis::unet::{UNet, UNetConfig};

use super::report::Report;

/// Pictures at once while sampling, as in the figures of the starting point.
const SAMPLING_BATCH: usize = 16;
const TRAINING_BATCH: usize = 32;
const REPEATS: usize = 5;

/// Names, widths, and the cost of a forward pass in GFLOP.
fn sizes() -> [(&'static str, Vec<usize>); 3] {
    [
        ("small", vec![32, 64, 128]),
        ("shipped", UNetConfig::shipped(64).widths),
        // As large as the network of the starting point: 14.9 million parameters instead of 14.2, 3.6 GFLOP instead of 4.1.
        ("large", vec![96, 192, 384]),
    ]
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
        for (name, widths) in sizes() {
            let config = UNetConfig { widths, ..UNetConfig::shipped(64) };
            let unet = UNet::new(&config, 0, &device).expect("a sound configuration").folded();
            let model = Model { unet, preconditioning: Preconditioning::edm(0.8) };
            let seeds: Vec<u64> = (0..SAMPLING_BATCH as u64).collect();
            let x = BatchNoise::new(&seeds, [3, 64, 64], &device).draw();
            let plain = per_second(SAMPLING_BATCH, || wait(model.denoise(x.clone(), 1.0)));
            let sampling = model.for_sampling();
            let fast = per_second(SAMPLING_BATCH, || wait(sampling.denoise(x.clone(), 1.0)));
            let training = training(&config, &device);
            eprintln!("{device_name}, {name}: sampling {fast:.1} (plain {plain:.1}), training {training:.1} images/s");
            report.native(&device_name, name, &config, plain, fast, training);
        }
    }
}

fn wait(tensor: Tensor<4>) {
    let _: f32 = tensor.sum().into_scalar();
}

fn training(config: &UNetConfig, device: &Device) -> f64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for index in 0..TRAINING_BATCH {
        let pixels = (0..64 * 64 * 3).map(|i| ((i * (index + 3)) % 251) as u8).collect();
        let picture = Picture::from_rgb(64, 64, pixels).expect("as many pixels as it says");
        let path = folder.path().join(format!("{index}.png"));
        std::fs::write(path, picture.to_png().expect("a PNG")).expect("room for a picture");
    }
    let data = Dataset::load(&folder.path().display().to_string(), 64, Squaring::Pad).expect("pictures just written");
    let config = TrainConfig { unet: config.clone(), batch_size: TRAINING_BATCH, ..TrainConfig::default() };
    let mut trainer = Trainer::new(&config, 0.8, std::slice::from_ref(device)).expect("a sound configuration");
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
