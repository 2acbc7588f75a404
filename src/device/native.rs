//! Devices of a native program.

use std::fmt;
use std::str::FromStr;
#[cfg(feature = "gpu")]
use std::sync::OnceLock;

use burn::tensor::Device;
#[cfg(feature = "gpu")]
use burn::tensor::wgpu::wgpu::{AdapterInfo, DeviceType};
#[cfg(feature = "gpu")]
use burn::tensor::{DeviceKind, DeviceType as Runtime};
use thiserror::Error;

use super::Chosen;
#[cfg(feature = "remote")]
use super::token::{TOKEN, token};

/// What was asked for on the command line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The best GPU if there is a real one, else the CPU.
    #[default]
    Auto,
    /// A GPU through wgpu (Vulkan, Metal or DirectX), software adapters included.
    Gpu,
    /// The CPU, through burn's flex backend.
    Cpu,
    /// An NVIDIA GPU; with the feature `cuda`.
    Cuda,
    /// An AMD GPU; with the feature `rocm`.
    Rocm,
    /// LibTorch on the CPU; with the feature `libtorch`.
    LibTorch,
    /// Devices of other machines that run `serve`, their addresses parted by commas; with the feature `remote`.
    Remote(String),
}

/// Why a device cannot be used.
#[derive(Debug, Error)]
pub enum DeviceError {
    /// No such word.
    #[error(
        "there is no device '{0}': choose auto, gpu, cpu, cuda, rocm, libtorch or the address of a 'serve', such as ws://host:3000"
    )]
    Unknown(String),
    /// Not in this build.
    #[error("--device {device} is not in this build: build it with 'cargo build --release --features {feature}'")]
    NotBuilt {
        /// What was asked for.
        device: &'static str,
        /// The cargo feature that brings it.
        feature: &'static str,
    },
    /// No GPU.
    #[error(
        "no GPU can be used: {0}. Install a Vulkan driver (on Debian, mesa-vulkan-drivers has one in software), or use --device cpu"
    )]
    NoGpu(String),
    /// More devices than there are.
    #[error("--devices {wanted}: this machine has {found} of that kind")]
    TooFew {
        /// How many were asked for.
        wanted: usize,
        /// How many there are.
        found: usize,
    },
    /// The remote server does not answer.
    #[error("the server {address} cannot be used: {reason}")]
    Remote {
        /// Where it should be.
        address: String,
        /// What went wrong.
        reason: String,
    },
}

impl FromStr for DeviceChoice {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        Ok(match text {
            "auto" => Self::Auto,
            "gpu" => Self::Gpu,
            "cpu" => Self::Cpu,
            "cuda" => Self::Cuda,
            "rocm" => Self::Rocm,
            "libtorch" => Self::LibTorch,
            _ if text.starts_with("ws://") => Self::Remote(text.into()),
            _ => return Err(DeviceError::Unknown(text.into())),
        })
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Gpu => "gpu",
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::Rocm => "rocm",
            Self::LibTorch => "libtorch",
            Self::Remote(address) => address,
        })
    }
}

/// Opens the device that was asked for.
///
/// # Errors
/// When it is not there, or not in this build.
pub fn choose(choice: &DeviceChoice) -> Result<Chosen, DeviceError> {
    match choice {
        DeviceChoice::Auto => Ok(match open_gpu(false) {
            Ok(gpu) => gpu,
            Err(_) => cpu(),
        }),
        DeviceChoice::Gpu => open_gpu(true),
        DeviceChoice::Cpu => Ok(cpu()),
        DeviceChoice::Cuda => cuda(),
        DeviceChoice::Rocm => rocm(),
        DeviceChoice::LibTorch => libtorch(),
        DeviceChoice::Remote(address) => remote(address),
    }
}

/// Opens several devices of one kind; remote ones are as many as there are addresses. On the CPU they share its cores,
/// which serves only to try the mechanism.
///
/// # Errors
/// When there are not as many, or one cannot be opened.
pub fn choose_many(choice: &DeviceChoice, wanted: usize) -> Result<Vec<Chosen>, DeviceError> {
    if let DeviceChoice::Remote(addresses) = choice {
        return addresses.split(',').map(remote).collect();
    }
    let first = choose(choice)?;
    if wanted <= 1 {
        return Ok(vec![first]);
    }
    let devices: Vec<Device> = match choice {
        DeviceChoice::Cpu => vec![first.device.clone(); wanted],
        #[cfg(feature = "gpu")]
        DeviceChoice::Auto | DeviceChoice::Gpu => {
            (0..wanted).map(|index| Device::wgpu(DeviceKind::DiscreteGpu(index))).collect()
        }
        #[cfg(feature = "cuda")]
        DeviceChoice::Cuda => (0..wanted).map(Device::cuda).collect(),
        #[cfg(feature = "rocm")]
        DeviceChoice::Rocm => (0..wanted).map(Device::rocm).collect(),
        _ => return Err(DeviceError::TooFew { wanted, found: 1 }),
    };
    // Counted among what there is, of just the kind that will be opened.
    let there = match choice {
        #[cfg(feature = "gpu")]
        DeviceChoice::Auto | DeviceChoice::Gpu => Device::enumerate(Runtime::Wgpu).to_vec(),
        #[cfg(feature = "cuda")]
        DeviceChoice::Cuda => Device::enumerate(Runtime::Cuda).to_vec(),
        #[cfg(feature = "rocm")]
        DeviceChoice::Rocm => Device::enumerate(Runtime::Rocm).to_vec(),
        _ => devices.clone(),
    };
    let found = devices.iter().filter(|device| there.contains(device)).count();
    if found < wanted {
        return Err(DeviceError::TooFew { wanted, found });
    }
    Ok(devices
        .into_iter()
        .enumerate()
        .map(|(index, device)| Chosen { device, name: format!("{} #{index}", first.name) })
        .collect())
}

/// Makes burn's own default device the chosen kind. Burn puts a loaded optimiser state there first, whichever device trains,
/// and would otherwise open a GPU for a run on the CPU.
///
/// # Safety
/// Call it at the start of `main`, before any other thread runs: it sets an environment variable.
pub unsafe fn set_default_device(choice: &DeviceChoice) {
    let name = match choice {
        DeviceChoice::Gpu => "wgpu",
        DeviceChoice::Cuda => "cuda",
        DeviceChoice::Rocm => "rocm",
        _ => "flex",
    };
    if std::env::var_os("BURN_DEVICE").is_none() {
        // SAFETY: the caller promises that no other thread runs.
        unsafe { std::env::set_var("BURN_DEVICE", name) };
    }
}

fn cpu() -> Chosen {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    Chosen { device: Device::flex(), name: format!("the CPU ({threads} threads)") }
}

#[cfg(not(feature = "gpu"))]
fn open_gpu(_: bool) -> Result<Chosen, DeviceError> {
    Err(DeviceError::NotBuilt { device: "gpu", feature: "gpu" })
}

/// Opens the best adapter; one in software only if that was asked for in so many words.
#[cfg(feature = "gpu")]
fn open_gpu(software_too: bool) -> Result<Chosen, DeviceError> {
    // burn opens it once in a program, and every later attempt is an error.
    static GPU: OnceLock<Result<(Device, AdapterInfo), String>> = OnceLock::new();
    let opened = GPU.get_or_init(|| {
        let (device, setup) = Device::wgpu_options().init_with_setup().map_err(|error| error.to_string())?;
        Ok((device, setup.adapter.get_info()))
    });
    let (device, info) = opened.as_ref().map_err(|error| DeviceError::NoGpu(error.clone()))?;
    if info.device_type == DeviceType::Cpu && !software_too {
        return Err(DeviceError::NoGpu(format!("{} computes in software", info.name)));
    }
    Ok(Chosen { device: device.clone(), name: format!("{} ({:?})", info.name, info.backend) })
}

#[cfg(feature = "cuda")]
fn cuda() -> Result<Chosen, DeviceError> {
    Ok(Chosen { device: Device::cuda(0), name: "the first CUDA device".into() })
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> Result<Chosen, DeviceError> {
    Err(DeviceError::NotBuilt { device: "cuda", feature: "cuda" })
}

#[cfg(feature = "rocm")]
fn rocm() -> Result<Chosen, DeviceError> {
    Ok(Chosen { device: Device::rocm(0), name: "the first ROCm device".into() })
}

#[cfg(not(feature = "rocm"))]
fn rocm() -> Result<Chosen, DeviceError> {
    Err(DeviceError::NotBuilt { device: "rocm", feature: "rocm" })
}

#[cfg(feature = "libtorch")]
#[allow(deprecated)] // Deprecated in burn in favour of its own backends; still the fastest on a CPU that computes in bf16.
fn libtorch() -> Result<Chosen, DeviceError> {
    Ok(Chosen { device: Device::libtorch(), name: "the CPU through LibTorch".into() })
}

#[cfg(not(feature = "libtorch"))]
fn libtorch() -> Result<Chosen, DeviceError> {
    Err(DeviceError::NotBuilt { device: "libtorch", feature: "libtorch" })
}

#[cfg(feature = "remote")]
fn remote(address: &str) -> Result<Chosen, DeviceError> {
    let host = burn::remote::RemoteHost::websocket(address);
    let failed = |reason: String| DeviceError::Remote { address: address.into(), reason };
    let host = match token().map_err(|_| failed(format!("{TOKEN} is not text")))? {
        Some(token) => host.with_credential(token),
        None => host,
    };
    let device = Device::remote_options(&host).init().map_err(|error| failed(connect_reason(&error)))?;
    Ok(Chosen { device, name: format!("a device of {address}") })
}

/// What burn says, and what to do about it.
#[cfg(feature = "remote")]
fn connect_reason(error: &burn::remote::ConnectError) -> String {
    use burn::remote::ConnectError;
    let remedy = match error {
        ConnectError::Unauthorized => "set CHRYSALIS_TOKEN to the token that 'serve' was started with",
        ConnectError::Unreachable { .. } => "see that 'serve' runs there and that no firewall is in between",
        ConnectError::IncompatibleProtocol { .. } => "build both from the same version",
        _ => "try again",
    };
    format!("{error} ({remedy})")
}

#[cfg(not(feature = "remote"))]
fn remote(_: &str) -> Result<Chosen, DeviceError> {
    Err(DeviceError::NotBuilt { device: "ws://…", feature: "remote" })
}
