//! What several tests need: small networks, small pictures, small folders.

use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor};
use chrysalis::diffusion::{Model, Preconditioning};
use chrysalis::picture::Picture;
use chrysalis::train::TrainConfig;
use chrysalis::unet::{UNet, UNetConfig};

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

/// A small folded model.
pub fn small_model(device: &Device) -> (Model, UNetConfig) {
    let config = small_config().unet;
    let unet = lively_unet(&config, device).folded();
    (Model { unet, preconditioning: Preconditioning::edm(0.6) }, config)
}

/// Settings that train in seconds.
pub fn small_config() -> TrainConfig {
    TrainConfig {
        batch_size: 8,
        steps: 6,
        warmup_steps: 2,
        log_every: 1,
        checkpoint_every: 0,
        sample_every: 0,
        sample_count: 4,
        sample_steps: 2,
        unet: UNetConfig {
            image_size: 16,
            channels: 3,
            patch: 2,
            widths: vec![16, 32],
            depth: 1,
            head_width: 16,
            embedding: 32,
        },
        ..TrainConfig::default()
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
