//! The worker's device, and whether it computes the right numbers.

use burn::tensor::Device;

use super::launches::Launches;
use super::{engine, scope};
use crate::diffusion::SamplingModel;
use crate::protocol::WorkerOutput;
use crate::weights::{Description, WeightsError, decode};

/// What a worker computes on. Each worker is built for one, so that a visitor downloads no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The browser's GPU.
    #[cfg(feature = "gpu")]
    Gpu,
    /// One thread of the CPU.
    #[cfg(feature = "cpu")]
    Cpu,
}

/// A model on a device that was shown to be sound, with its measured speed.
pub struct LoadedModel {
    /// The model.
    pub model: SamplingModel,
    /// What its file says about it.
    pub description: Description,
    /// Its device.
    pub device: Device,
    /// The name of the GPU, if it is one.
    pub gpu: Option<String>,
    /// How long it takes to ask the networks of all stages once, in milliseconds.
    pub step_ms: f64,
    /// How many kernels that makes a GPU run.
    pub launches: Option<u32>,
}

/// Why there is nothing to sample with.
pub enum Failure {
    /// The weight file is at fault.
    Weights(WeightsError),
    /// The device will not do.
    Device(String),
}

/// A device that nothing is known about yet.
pub struct Opened {
    device: Device,
    /// The name of the GPU, if it is one.
    gpu: Option<String>,
}

impl Kind {
    /// Opens the device.
    ///
    /// # Errors
    /// With a sentence on why it will not do.
    pub async fn open(self) -> Result<Opened, String> {
        match self {
            #[cfg(feature = "gpu")]
            Self::Gpu => {
                let gpu = crate::device::open_gpu().await.map_err(|error| error.to_string())?;
                Ok(Opened { device: gpu.device, gpu: Some(gpu.name) })
            }
            #[cfg(feature = "cpu")]
            Self::Cpu => Ok(Opened { device: Device::flex(), gpu: None }),
        }
    }
}

impl Opened {
    /// Loads the model, checks it against the numbers in the file, and measures a second pass: the first one also compiles.
    ///
    /// # Errors
    /// With the weight file's fault, or with a sentence on why the device will not do.
    pub async fn load(self, bytes: &[u8]) -> Result<LoadedModel, Failure> {
        let Self { device, gpu } = self;
        scope::post(&WorkerOutput::WarmingUp { gpu: gpu.clone() });
        scope::give_way().await;
        let weights = decode(bytes, &device).map_err(Failure::Weights)?;
        let (model, description) = (weights.model.for_sampling(&device), weights.description);
        let unusable = |error: String| {
            Failure::Device(match &gpu {
                Some(name) => format!("your GPU ({name}) cannot be used, {error}"),
                None => format!("the CPU cannot be used, {error}"),
            })
        };
        let check = || async {
            for (stage, described) in model.stages().iter().zip(&description.stages) {
                let checked = described.probe.check(stage, &device).await;
                checked.map_err(|error| unusable(error.to_string()))?;
            }
            Ok(())
        };
        check().await?;
        scope::give_way().await;
        if gpu.is_some() {
            engine::warm_up(&model, &device).await.map_err(unusable)?;
            scope::give_way().await;
        }
        let watched = gpu.as_ref().and_then(|_| Launches::watch());
        let before = scope::now_ms();
        check().await?;
        let step_ms = scope::now_ms() - before;
        let launches = watched.map(|launches| launches.count());
        Ok(LoadedModel { model, description, device, gpu, step_ms, launches })
    }
}
