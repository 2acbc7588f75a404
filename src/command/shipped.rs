//! Where the weights are that are used when nobody names any.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use burn::tensor::Device;

use crate::files;
use crate::weights::{self, Weights};

/// The shipped weights, below the repository.
pub const SHIPPED: &str = "weights/butterflies-128.safetensors";

/// The largest weight file that is read: a network of 130 million parameters in f32.
const LARGEST: u64 = 512 << 20;

/// Reads a weight file, or the shipped one.
///
/// # Errors
/// When it is not there, or anything in it is wrong; the error names the file.
pub fn load(path: Option<&Path>, device: &Device) -> anyhow::Result<Weights> {
    let path = match path {
        Some(path) => path.to_path_buf(),
        None => find_shipped()?,
    };
    let bytes = files::read_at_most(&path, LARGEST)?;
    weights::decode(&bytes, device).with_context(|| path.display().to_string())
}

fn find_shipped() -> anyhow::Result<PathBuf> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join(SHIPPED);
    for place in [PathBuf::from(SHIPPED), repository] {
        if place.exists() {
            return Ok(place);
        }
    }
    bail!("{SHIPPED} is not here: run this in the repository, or name a weight file with --weights")
}
