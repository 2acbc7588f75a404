//! What several tests need: small networks, small pictures, small folders.

use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor};
use chrysalis::diffusion::{Bands, Clusters, Components, Model, Preconditioning, Prediction, Stage, StageShape};
use chrysalis::noise::{Noise, Purpose};
use chrysalis::picture::Picture;
use chrysalis::train::{StageConfig, TrainConfig};
use chrysalis::unet::{Layers, UNet, UNetConfig};

/// A small network that, unlike a fresh one, has an output and listens to the noise level.
pub fn lively_unet(config: &UNetConfig, device: &Device) -> UNet {
    with_gains(UNet::new(config, 11, device).unwrap(), 1.0, 0.5)
}

/// Sets the learned gains, which start at zero.
pub fn with_gains(unet: UNet, head: f64, modulation: f64) -> UNet {
    struct Gains {
        path: Vec<String>,
        head: f64,
        modulation: f64,
    }
    impl ModuleMapper for Gains {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.into());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            match self.path.last().map(String::as_str) {
                Some("head_gain") => param.map(|gain| gain.add_scalar(self.head)),
                Some("modulation_gain") => param.map(|gain| gain.add_scalar(self.modulation)),
                _ => param,
            }
        }
    }
    unet.map(&mut Gains { path: Vec::new(), head, modulation })
}

/// Bands of no particular data: a rotation that mixes everything, a mean, and deviations that fall by a factor of 300.
pub fn strange_bands(patch: usize) -> Bands {
    let count = 3 * patch * patch;
    let mut noise = Noise::new(8, Purpose::Probe);
    let mut rows: Vec<Vec<f64>> = Vec::new();
    while rows.len() < count {
        let mut row: Vec<f64> = (0..count).map(|_| noise.gaussian()).collect();
        for other in &rows {
            let product: f64 = row.iter().zip(other).map(|(a, b)| a * b).sum();
            row.iter_mut().zip(other).for_each(|(a, b)| *a -= product * b);
        }
        let norm = row.iter().map(|a| a * a).sum::<f64>().sqrt();
        rows.push(row.into_iter().map(|a| a / norm).collect());
    }
    let mean = (0..count).map(|i| 0.3 + 0.1 * (i as f32).sin()).collect();
    let deviations = (0..count).map(|i| 2.0 * 300f32.powf(-(i as f32) / count as f32)).collect();
    Bands::new(patch, mean, rows.into_iter().flatten().map(|x| x as f32).collect(), deviations).unwrap()
}

/// A mean picture and three principal components of whole pictures, with standard deviations of 6, 2 and 0.5.
pub fn strange_components(size: usize) -> Components {
    let pixels = 3 * size * size;
    let wave = |turns: usize| (0..pixels).map(move |i| ((2 * turns + 1) as f32 * 0.37 * i as f32).sin());
    let length = |turns| wave(turns).map(|x| x * x).sum::<f32>().sqrt();
    let loadings: Vec<f32> = [6.0, 2.0, 0.5]
        .into_iter()
        .enumerate()
        .flat_map(|(turns, deviation)| wave(turns).map(move |x| x * deviation / length(turns)))
        .collect();
    Components::new(size, (0..pixels).map(|i| 0.4 + 0.2 * (i as f32).cos()).collect(), loadings).unwrap()
}

/// The same in three clusters, far from each other and each of a reach of its own.
pub fn strange_clusters(size: usize) -> Components {
    let components = strange_components(size);
    let centres = vec![9.0, 0.0, 1.0, -5.0, 2.0, 0.0, 0.0, -3.0, -1.0];
    let deviations = vec![0.5, 1.0, 0.3, 2.0, 0.2, 0.5, 1.0, 1.0, 0.1];
    components.with_clusters(Clusters::new(vec![0.2, 0.5, 0.3], centres, deviations).unwrap()).unwrap()
}

/// A small folded stage.
pub fn small_stage(shape: &StageShape, device: &Device) -> Stage {
    let unet = lively_unet(&shape.unet(), device).folded();
    let preconditioning =
        Preconditioning { prediction: Prediction::Edm, bands: strange_bands(shape.patch), components: None };
    Stage { shape: shape.clone(), unet, preconditioning, finishes_from: Vec::new(), finishing_noise: Vec::new() }
}

/// A small folded model of two stages.
pub fn small_model(device: &Device) -> Model {
    Model::of(small_shapes().iter().map(|shape| small_stage(shape, device)).collect())
}

/// 8 pixels, then 16.
pub fn small_shapes() -> [StageShape; 2] {
    let layers = |head_width| Layers { widths: vec![16, 32], depth: 1, head_width, embedding: 32 };
    [
        StageShape { image_size: 8, patch: 1, enlarges: 1, layers: layers(16) },
        StageShape { image_size: 16, patch: 2, enlarges: 2, layers: layers(0) },
    ]
}

/// Settings that train in seconds: one stage of 16 pixels.
pub fn small_config() -> TrainConfig {
    TrainConfig {
        log_every: 1,
        checkpoint_every: 0,
        sample_every: 0,
        sample_count: 4,
        sample_steps: 2,
        stages: vec![small_stage_config()],
        ..TrainConfig::default()
    }
}

/// The same with other settings of its stage.
pub fn config_with(change: impl FnOnce(&mut StageConfig)) -> TrainConfig {
    let mut stage = small_stage_config();
    change(&mut stage);
    TrainConfig { stages: vec![stage], ..small_config() }
}

/// A first stage of 8 pixels and a further one of 16.
pub fn small_cascade() -> TrainConfig {
    let stages = small_shapes().map(|shape| StageConfig { condition_noise: 0.05, shape, ..small_stage_config() });
    TrainConfig { stages: stages.to_vec(), ..small_config() }
}

fn small_stage_config() -> StageConfig {
    StageConfig {
        batch_size: 8,
        steps: 6,
        warmup_steps: 2,
        learning_rate: 5e-3,
        shape: StageShape {
            image_size: 16,
            patch: 2,
            enlarges: 1,
            layers: Layers { widths: vec![16, 32], depth: 1, head_width: 16, embedding: 32 },
        },
        ..StageConfig::default()
    }
}

/// A disc on white, its place, size and colour fixed by `index`: the tests' own butterflies.
pub fn disc(index: usize, size: usize) -> Picture {
    let unit = |k: usize| ((index * 37 + k * 101) % 97) as f64 / 97.0;
    let side = size as f64;
    let (x0, y0) = ((0.35 + 0.3 * unit(1)) * side, (0.35 + 0.3 * unit(2)) * side);
    let radius = (0.18 + 0.17 * unit(3)) * side;
    let colour = [unit(4), unit(5), unit(6)].map(|c| (c * 200.0) as u8);
    let pixels = (0..size * size)
        .flat_map(|i| {
            let (x, y) = ((i % size) as f64 + 0.5, (i / size) as f64 + 0.5);
            if (x - x0).hypot(y - y0) < radius { colour } else { [255; 3] }
        })
        .collect();
    Picture::from_rgb(size, size, pixels).unwrap()
}

/// A folder with `count` discs.
pub fn folder_of_discs(count: usize, size: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for index in 0..count {
        std::fs::write(folder.path().join(format!("{index:03}.png")), disc(index, size).to_png().unwrap()).unwrap();
    }
    folder
}

/// A file under `tests/fixtures`.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A path as text.
pub fn text(path: &Path) -> String {
    path.to_str().unwrap().into()
}

/// Writes small.toml into a folder: settings that the program `train` works through in milliseconds a step, one stage of
/// `image_size` pixels. `more` settings come first.
pub fn write_small_toml(folder: &Path, image_size: usize, more: &str) {
    let text = format!(
        "{more}\nsample_count = 0\nlog_every = 1\n[[stages]]\nbatch_size = 2\n[stages.shape]\nimage_size = {image_size}\n\
         patch = 2\nenlarges = 1\nlayers = {{ widths = [8], depth = 1, head_width = 8, embedding = 16 }}\n"
    );
    std::fs::write(folder.join("small.toml"), text).unwrap();
}
