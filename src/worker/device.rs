//! Which device hatches: the fastest one that computes the right numbers.

use burn::tensor::Device;

use super::scope;
use crate::device::{Adapter, open_gpu};
use crate::diffusion::SamplingModel;
use crate::protocol::{DeviceWish, Event};
use crate::weights::{Description, WeightsError, decode};

/// A model on a device that was shown to be sound, with its measured speed.
pub struct Sound {
    /// The model.
    pub model: SamplingModel,
    /// What its file says about it.
    pub description: Description,
    /// Its device.
    pub device: Device,
    /// Whether that is a GPU.
    pub gpu: bool,
    /// The device and why, as a sentence for people.
    pub sentence: String,
    /// How long it takes to ask the network once, in milliseconds.
    pub step_ms: f64,
}

/// Tries the devices that the wish allows.
///
/// # Errors
/// With the weight file's fault, or with a sentence on why no device will do.
pub async fn choose(bytes: &[u8], wish: DeviceWish) -> Result<Sound, Failure> {
    let gpu = match wish {
        DeviceWish::Cpu => Err("the CPU, as asked for".to_string()),
        DeviceWish::Best | DeviceWish::Gpu => {
            scope::post(&Event::Warming { what: "looking for a GPU".into() });
            open_gpu().await.map_err(|error| error.to_string())
        }
    };
    match (gpu, wish) {
        (Ok(adapter), DeviceWish::Gpu) => try_gpu(bytes, adapter).await?.map_err(Failure::Device),
        (Err(reason), DeviceWish::Gpu) => Err(Failure::Device(reason)),
        // A software adapter takes ten times as long as the CPU path; trying it would cost a visitor half a minute.
        (Ok(adapter), _) if adapter.software => {
            let reason = format!("software adapter ({}), using the CPU instead", adapter.name);
            cpu(bytes, &reason).await
        }
        (Ok(adapter), _) => faster(bytes, adapter).await,
        (Err(reason), DeviceWish::Cpu) => cpu(bytes, &reason).await,
        (Err(reason), DeviceWish::Best) => cpu(bytes, &format!("{reason}: using the CPU")).await,
    }
}

/// Why there is nothing to hatch with.
pub enum Failure {
    /// The weight file is at fault.
    Weights(WeightsError),
    /// No device will do.
    Device(String),
}

/// A GPU that answers within this time is taken without trying the CPU: a butterfly then takes a second or two.
const QUICK_MS: f64 = 60.0;

async fn faster(bytes: &[u8], adapter: Adapter) -> Result<Sound, Failure> {
    match try_gpu(bytes, adapter).await? {
        Ok(gpu) if gpu.step_ms <= QUICK_MS => Ok(gpu),
        Ok(gpu) => {
            let name = gpu.sentence.clone();
            let cpu = cpu(bytes, &format!("{name} is slower than the CPU, using the CPU instead")).await?;
            Ok(if cpu.step_ms < gpu.step_ms { cpu } else { gpu })
        }
        Err(reason) => cpu(bytes, &format!("{reason}: using the CPU")).await,
    }
}

/// The outer error is the file's, the inner one the device's.
async fn try_gpu(bytes: &[u8], adapter: Adapter) -> Result<Result<Sound, String>, Failure> {
    scope::post(&Event::Warming { what: format!("warming up your GPU ({})", adapter.name) });
    let sentence = format!("your GPU: {}", adapter.name);
    Ok(match sound(bytes, adapter.device, true, sentence).await {
        Ok(sound) => Ok(sound),
        Err(Failure::Device(reason)) => Err(format!("your GPU ({}) cannot be used, {reason}", adapter.name)),
        Err(fault) => return Err(fault),
    })
}

async fn cpu(bytes: &[u8], reason: &str) -> Result<Sound, Failure> {
    scope::post(&Event::Warming { what: "warming up the CPU".into() });
    sound(bytes, Device::flex(), false, reason.to_string()).await
}

/// Loads the model, checks it against the numbers in the file, and measures a second pass: the first one also compiles.
async fn sound(bytes: &[u8], device: Device, gpu: bool, sentence: String) -> Result<Sound, Failure> {
    scope::give_way().await;
    let weights = decode(bytes, &device).map_err(Failure::Weights)?;
    let (model, description) = (weights.model.for_sampling(), weights.description);
    let check =
        || async { description.probe.check(&model, &device).await.map_err(|error| Failure::Device(error.to_string())) };
    check().await?;
    scope::give_way().await;
    let before = scope::now_ms();
    check().await?;
    let step_ms = scope::now_ms() - before;
    Ok(Sound { model, description, device, gpu, sentence, step_ms })
}
