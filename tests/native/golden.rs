//! One model, one seed, one picture: on this CPU, on this GPU where there is one, and (`tests/web.rs`) in browsers.

use burn::tensor::Device;
use chrysalis::device::{DeviceChoice, choose};
use chrysalis::diffusion::{Cascade, NoiseLevels, Plan, Sampler};
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
            let model = weights.model.for_sampling(&gpu.device);
            for (stage, described) in model.stages().iter().zip(&weights.description.stages) {
                let off = pollster::block_on(described.probe.check(stage, &gpu.device)).unwrap();
                assert!(off < 0.005, "{}: rounding of {off}, which leaves the probe's tolerance little room", gpu.name);
            }
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
    use crate::support::{folder_of_discs, small_cascade, text};
    use chrysalis::command::export::{About, write};
    use chrysalis::data::{Dataset, Squaring};
    use chrysalis::train::{Limits, Run, RunFolder, TrainConfig, Trained, Which};
    use chrysalis::weights::Storage;

    let (pictures, out) = (folder_of_discs(64, 16), tempfile::tempdir().unwrap());
    let dataset = Dataset::load(&text(pictures.path()), 16, Squaring::Pad).unwrap();
    let mut config = TrainConfig { sample_count: 0, log_every: 100, ..small_cascade() };
    for stage in &mut config.stages {
        (stage.steps, stage.warmup_steps, stage.batch_size) = (1500, 50, 16);
    }
    let device = Device::flex();
    let folder = RunFolder::new(out.path());
    for number in 0..config.stages.len() {
        let devices = std::slice::from_ref(&device);
        let mut run = Run::start(folder.clone(), config.clone(), number, &dataset, None, devices).unwrap();
        run.train(Limits::default(), &std::sync::atomic::AtomicBool::new(false)).unwrap();
    }
    let mut trained = Trained::read(&folder, &config, Which::Newest, &device).unwrap();
    trained.stages.iter_mut().for_each(|stage| stage.seconds = 0.0);
    let about = About {
        storage: Some(Storage::F16),
        name: Some("Discs".into()),
        data_name: Some("discs drawn by the tests".into()),
        data_licence: Some("CC0-1.0".into()),
        quality: None,
        usual_steps: None,
        notes: None,
    };
    let file = out.path().join("tiny.safetensors");
    write(&trained, &config, &about, &file).unwrap();
    let bytes = std::fs::read(file).unwrap();
    chrysalis::files::write(&fixture("tiny.safetensors"), &bytes).unwrap();

    let picture = pollster::block_on(hatch_golden(&bytes, &device)).unwrap();
    chrysalis::files::write(&fixture("golden.png"), &picture.to_png().unwrap()).unwrap();
}
