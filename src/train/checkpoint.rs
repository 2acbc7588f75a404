//! Checkpoints: everything a run needs to go on as if it had never stopped.

use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::store::{ModuleRecord, RecordError};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::gradients::TrainedWeights;
use super::trainer::Trainer;
use crate::files::{self, FileError};

/// How many checkpoints a run keeps.
const KEPT: usize = 3;

/// Weights, their average and both moments; and those of a discriminator.
const NETWORK: [&str; 4] = ["model.bpk", "average.bpk", "first-moment.bpk", "second-moment.bpk"];
const DISCRIMINATOR: [&str; 4] = [
    "discriminator.bpk",
    "discriminator-average.bpk",
    "discriminator-first-moment.bpk",
    "discriminator-second-moment.bpk",
];
const STATE: &str = "state.toml";

/// What a checkpoint says about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Steps done.
    pub step: u64,
    /// Pictures seen.
    pub images: u64,
    /// Seconds spent training, over all sessions.
    pub seconds: f64,
    /// How many pictures the dataset has.
    pub pictures: usize,
    /// Their [`fingerprint`](crate::data::Dataset::fingerprint).
    pub fingerprint: String,
    /// Whether the run began with weights that had been trained before.
    pub continued: bool,
}

/// Why a checkpoint could not be written or read.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// A file or folder failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// A part of a checkpoint is damaged or belongs to another network.
    #[error("{path}: {reason}. Remove this checkpoint's folder to resume from the one before", path = .path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A checkpoint could not be written. Those before it are as they were.
    #[error("{path}: writing the checkpoint failed: {reason}", path = .path.display())]
    Unwritten {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// There is nothing to resume from.
    #[error("{path}: there is no checkpoint to resume from; start without --resume", path = .0.display())]
    None(PathBuf),
}

/// Writes a checkpoint below `folder`, aside and then renamed, and removes all but the last three.
pub fn save(folder: &Path, trainer: &Trainer, state: &State) -> Result<PathBuf, CheckpointError> {
    let place = write(folder, trainer, state)?;
    prune(folder, KEPT)?;
    Ok(place)
}

/// The same, and removes all others.
pub fn save_only(folder: &Path, trainer: &Trainer, state: &State) -> Result<PathBuf, CheckpointError> {
    let place = write(folder, trainer, state)?;
    for other in list(folder)?.iter().filter(|other| **other != place) {
        remove(other)?;
    }
    Ok(place)
}

fn write(folder: &Path, trainer: &Trainer, state: &State) -> Result<PathBuf, CheckpointError> {
    let place = folder.join(format!("step-{:08}", state.step));
    // The same step of a run is the same checkpoint: a good one is never taken away to be put there again.
    if read_state(&place).is_ok_and(|there| State { seconds: state.seconds, ..there } == *state) {
        return Ok(place);
    }
    fs::create_dir_all(folder).map_err(FileError::at(folder, "making the folder"))?;
    let aside = tempfile::Builder::new()
        .prefix(files::ASIDE)
        .tempdir_in(folder)
        .map_err(FileError::at(folder, "making a temporary folder in this one"))?;
    let part = |name: &str| aside.path().join(name);
    write_weights(aside.path(), NETWORK, &trainer.weights)?;
    if let Some(adversary) = &trainer.adversary {
        write_weights(aside.path(), DISCRIMINATOR, &adversary.weights)?;
    }
    let text = toml::to_string(state)
        .map_err(|error| CheckpointError::Unwritten { path: part(STATE), reason: error.to_string() })?;
    files::write(&part(STATE), text.as_bytes())?;

    if place.exists() {
        // Damaged, or of another run that was given up: no loss.
        fs::remove_dir_all(&place).map_err(FileError::at(&place, "replacing"))?;
    }
    fs::rename(aside.path(), &place).map_err(FileError::at(&place, "renaming the finished checkpoint"))?;
    let _ = aside.keep();
    Ok(place)
}

fn write_weights<M: Module>(
    place: &Path,
    names: [&str; 4],
    weights: &TrainedWeights<M>,
) -> Result<(), CheckpointError> {
    let TrainedWeights { model, average, moments: [first, second] } = weights;
    for (name, module) in names.into_iter().zip([model, average, first, second]) {
        let path = place.join(name);
        module
            .clone()
            .into_record()
            .save(&path)
            .map_err(|error| CheckpointError::Unwritten { path, reason: error.to_string() })?;
    }
    Ok(())
}

/// Weights out of a checkpoint, put into others of the same shape.
fn read_weights<M: Module>(
    place: &Path,
    names: [&str; 4],
    into: TrainedWeights<M>,
) -> Result<TrainedWeights<M>, CheckpointError> {
    let put = |name: &str, module: M| {
        let path = place.join(name);
        let damaged = |error: RecordError| CheckpointError::Damaged { path: path.clone(), reason: error.to_string() };
        module.try_load_record(ModuleRecord::load(&path).map_err(damaged)?).map_err(damaged)
    };
    let [model, average, first, second] = names;
    let [of_first, of_second] = into.moments;
    Ok(TrainedWeights {
        model: put(model, into.model)?,
        average: put(average, into.average)?,
        moments: [put(first, of_first)?, put(second, of_second)?],
    })
}

/// Puts the newest checkpoint below `folder` into `trainer`.
pub fn load_latest(folder: &Path, trainer: Trainer) -> Result<(Trainer, State), CheckpointError> {
    let place = latest(folder)?;
    let state = read_state(&place)?;
    let mut trainer = trainer;
    trainer.weights = read_weights(&place, NETWORK, trainer.weights)?;
    trainer.adversary = match trainer.adversary {
        Some(mut adversary) => {
            adversary.weights = read_weights(&place, DISCRIMINATOR, adversary.weights)?;
            Some(adversary)
        }
        None => None,
    };
    trainer.step = state.step;
    trainer.continued = state.continued;
    Ok((trainer, state))
}

/// Whether there is any checkpoint, a damaged one too.
pub fn any(folder: &Path) -> Result<bool, CheckpointError> {
    Ok(!list(folder)?.is_empty())
}

/// The newest checkpoint's word about itself.
pub fn latest_state(folder: &Path) -> Result<State, CheckpointError> {
    read_state(&latest(folder)?)
}

fn latest(folder: &Path) -> Result<PathBuf, CheckpointError> {
    list(folder)?.pop().ok_or_else(|| CheckpointError::None(folder.to_path_buf()))
}

fn read_state(place: &Path) -> Result<State, CheckpointError> {
    let path = place.join(STATE);
    let text = String::from_utf8_lossy(&files::read(&path)?).into_owned();
    toml::from_str(&text).map_err(|error| CheckpointError::Damaged { path, reason: error.to_string() })
}

/// All checkpoints, oldest first; what was left half-written has another name.
fn list(folder: &Path) -> Result<Vec<PathBuf>, CheckpointError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(FileError::at(folder, "listing"))? {
        let entry = entry.map_err(FileError::at(folder, "listing"))?;
        if entry.file_name().to_string_lossy().starts_with("step-") {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn prune(folder: &Path, kept: usize) -> Result<(), CheckpointError> {
    let all = list(folder)?;
    all.iter().take(all.len().saturating_sub(kept)).try_for_each(|old| remove(old))
}

fn remove(old: &Path) -> Result<(), CheckpointError> {
    Ok(fs::remove_dir_all(old).map_err(FileError::at(old, "removing an old checkpoint"))?)
}
