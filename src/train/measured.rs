//! What was measured on the pictures when a stage began, as its folder keeps it.

use std::error::Error;
use std::io::ErrorKind;
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::config::TrainConfig;
use super::error::TrainError;
use super::folder::StageFolder;
use crate::diffusion::{Clusters, Components, Preconditioning, StageShape};
use crate::files::{self, FileError};

/// The tensors of components.safetensors.
const MEAN: &str = "mean";
const LOADINGS: &str = "loadings";
const SHARES: &str = "shares";
const CENTRES: &str = "centres";
const DEVIATIONS: &str = "deviations";

/// Keeps the bands and, if there are any, the principal components of whole pictures.
pub fn write(folder: &StageFolder, measured: &Preconditioning) -> Result<(), TrainError> {
    let path = folder.bands();
    let text = serde_json::to_string(&measured.bands).map_err(|error| damaged(&path, &error.into()))?;
    files::write(&path, text.as_bytes())?;
    let path = folder.components();
    match &measured.components {
        Some(components) => Ok(files::write(&path, &to_bytes(components).map_err(|error| damaged(&path, &error))?)?),
        // One of another beginning would be taken for this one's.
        None => match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(FileError::at(&path, "removing")(error).into()),
            _ => Ok(()),
        },
    }
}

/// The preconditioning that a stage of this shape was begun with.
pub fn read(folder: &StageFolder, config: &TrainConfig, shape: &StageShape) -> Result<Preconditioning, TrainError> {
    let path = folder.bands();
    let bands = serde_json::from_slice(&files::read(&path)?).map_err(|error| damaged(&path, &error.into()))?;
    let path = folder.components();
    // Runs of before there were any, and further stages, have none.
    let components = match path.exists() {
        true => Some(from_bytes(&files::read(&path)?, shape).map_err(|error| damaged(&path, &error))?),
        false => None,
    };
    Ok(Preconditioning { prediction: config.prediction, bands, components })
}

type Reason = Box<dyn Error>;

fn damaged(path: &Path, reason: &Reason) -> TrainError {
    TrainError::Measured { path: path.display().to_string(), reason: reason.to_string() }
}

fn to_bytes(components: &Components) -> Result<Vec<u8>, Reason> {
    let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let (count, size) = (components.count(), components.size());
    let mut tensors = vec![
        (MEAN, vec![3, size, size], bytes(components.mean())),
        (LOADINGS, vec![count, 3, size, size], bytes(components.loadings())),
    ];
    if let Some(clusters) = components.clusters() {
        let rows = vec![clusters.count(), clusters.width()];
        tensors.push((SHARES, vec![clusters.count()], bytes(clusters.shares())));
        tensors.push((CENTRES, rows.clone(), bytes(clusters.centres())));
        tensors.push((DEVIATIONS, rows, bytes(clusters.deviations())));
    }
    let views =
        tensors.iter().map(|(name, shape, bytes)| Ok((*name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)));
    Ok(safetensors::serialize(views.collect::<Result<Vec<_>, Reason>>()?, None)?)
}

fn from_bytes(bytes: &[u8], shape: &StageShape) -> Result<Components, Reason> {
    let tensors = SafeTensors::deserialize(bytes)?;
    let values = |name| -> Result<Vec<f32>, Reason> {
        let view = tensors.tensor(name)?;
        if view.dtype() != Dtype::F32 {
            return Err(format!("the tensor '{name}' is stored as {:?}, and not as F32", view.dtype()).into());
        }
        Ok(view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    };
    let size = tensors.tensor(MEAN)?.shape().last().copied().unwrap_or(0);
    if size != shape.image_size || !shape.can_have_components() {
        return Err(format!(
            "it is of pictures of {size} × {size} pixels, and no stage of {0} × {0} has that",
            shape.image_size
        )
        .into());
    }
    let components = Components::new(size, values(MEAN)?, values(LOADINGS)?)?;
    // Runs of before there were any know their pictures as a single Gaussian.
    if tensors.tensor(SHARES).is_err() {
        return Ok(components);
    }
    Ok(components.with_clusters(Clusters::new(values(SHARES)?, values(CENTRES)?, values(DEVIATIONS)?)?)?)
}
