//! One model, one seed, one picture: on this CPU, on this GPU where there is one, and (`tests/web.rs`) in browsers.

use burn::tensor::Device;
use chrysalis::device::{DeviceChoice, choose};
use chrysalis::diffusion::{NoiseLevels, Sampler, Sampling};
use chrysalis::noise::BatchNoise;
use chrysalis::picture::Picture;
use chrysalis::weights::decode;

use crate::support::fixture;

include!("../shared/golden.rs");

fn hatch(device: &Device) -> Picture {
    pollster::block_on(hatch_golden(&std::fs::read(fixture("tiny.safetensors")).unwrap(), device)).unwrap()
}

fn golden() -> Picture {
    Picture::from_png(&std::fs::read(fixture("golden.png")).unwrap()).unwrap()
}

#[test]
fn the_cpu_gives_the_golden_picture() {
    let off = hatch(&Device::flex()).largest_difference(&golden()).unwrap();
    assert!(off <= 1, "off by {off}/255");
}

#[test]
fn a_gpu_gives_the_golden_picture() {
    // Software adapters count here: what is tested is wgpu's shaders, not their speed.
    match choose(&DeviceChoice::Gpu) {
        Ok(gpu) => {
            let weights = decode(&std::fs::read(fixture("tiny.safetensors")).unwrap(), &gpu.device).unwrap();
            let off = pollster::block_on(weights.description.probe.check(&weights.model.for_sampling(), &gpu.device))
                .unwrap();
            assert!(off < 0.005, "{}: rounding of {off}, which leaves the probe's tolerance little room", gpu.name);
            let psnr = hatch(&gpu.device).psnr(&golden()).unwrap();
            assert!(psnr >= 40.0, "{}: {psnr:.1} dB", gpu.name);
        }
        Err(error) => eprintln!("not tested, {error}"),
    }
}

/// Makes the tiny model and its picture anew: `cargo test --release --test native make_golden -- --ignored`.
#[test]
#[ignore = "it writes the files that the other tests compare with"]
fn make_golden_files() {
    use crate::support::{folder_of_discs, small_config, text};
    use chrysalis::data::{Dataset, Squaring};
    use chrysalis::train::{TrainConfig, Trainer};
    use chrysalis::weights::{DataCard, Description, LAYOUT, Probe, Storage, encode};

    let folder = folder_of_discs(64, 16);
    let dataset = Dataset::load(&text(folder.path()), 16, Squaring::Pad).unwrap();
    let config = TrainConfig { steps: 1500, warmup_steps: 50, batch_size: 16, ..small_config() };
    let device = Device::flex();
    let mut trainer = Trainer::new(&config, dataset.root_mean_square(), std::slice::from_ref(&device)).unwrap();
    for _ in 0..config.steps {
        trainer.step(&dataset).unwrap();
    }
    let model = trainer.sampler_model();
    let mut description = Description {
        layout: LAYOUT,
        name: "Discs".into(),
        unet: config.unet.clone(),
        preconditioning: model.preconditioning,
        data: DataCard { name: "discs drawn by the tests".into(), licence: "CC0-1.0".into(), pictures: dataset.len() },
        images_seen: trainer.images_seen(),
        seconds: 0.0,
        quality: Default::default(),
        crate_version: env!("CARGO_PKG_VERSION").into(),
        probe: Probe { expected: Vec::new() },
    };
    let rounded = pollster::block_on(encode(&model, &description, Storage::F16)).unwrap();
    let rounded = decode(&rounded, &device).unwrap().model;
    description.probe = pollster::block_on(Probe::measure(&rounded, &device)).unwrap();
    let bytes = pollster::block_on(encode(&model, &description, Storage::F16)).unwrap();
    chrysalis::files::write(&fixture("tiny.safetensors"), &bytes).unwrap();

    let picture = pollster::block_on(hatch_golden(&bytes, &device)).unwrap();
    chrysalis::files::write(&fixture("golden.png"), &picture.to_png().unwrap()).unwrap();
}
