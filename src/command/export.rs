//! `export`: a run folder in, a weight file and its model card out.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use burn::module::Module;
use burn::tensor::Device;
use clap::{Args, Parser};

use super::evaluate;
use crate::data::DEFAULT_SOURCE;
use crate::device::{self, DeviceChoice};
use crate::diffusion::{Clusters, Components, DEFAULT_STEPS, MOST_USUAL_STEPS};
use crate::files;
use crate::train::{RunFolder, TrainConfig, Trained, TrainedStage, Which};
use crate::weights::{
    CardFacts, DataCard, Description, Probe, StageDescription, Storage, encode, is_model_card, is_weight_file,
    model_card,
};

/// Turn a run's newest checkpoint into a weight file and a model card.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The run folder
    #[arg(long, default_value = "runs/butterflies")]
    run: PathBuf,
    /// The weight file to write; its model card gets the same name with .md
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The best checkpoint of each stage instead of the newest, where train --evaluate-every looked for it
    #[arg(long)]
    best: bool,
    #[command(flatten)]
    about: About,
}

/// What a weight file says about itself beyond what the run knows.
#[derive(Debug, Clone, Args)]
pub struct About {
    /// How numbers are stored; without it, as the stages were trained for, or else f16
    #[arg(long)]
    pub storage: Option<Storage>,
    /// What to call the model; without it, after its file
    #[arg(long)]
    pub name: Option<String>,
    /// What to call the training pictures; without it, as --data named them
    #[arg(long)]
    pub data_name: Option<String>,
    /// The licence of the training pictures
    #[arg(long)]
    pub data_licence: Option<String>,
    /// What evaluate measured of these weights, its quality.json: the file and its card will say so
    #[arg(long, value_name = "FILE")]
    pub quality: Option<PathBuf>,
    /// Steps of the first stage where nobody asks sample, evaluate or a page for others; without it, 12, whatever the weights had
    /// that the run began with
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=MOST_USUAL_STEPS as u64))]
    pub usual_steps: Option<u64>,
    /// Markdown to put into the model card: how these weights sample best, their known faults, which seeds are shown
    #[arg(long, value_name = "FILE")]
    pub notes: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// With what stopped it.
pub fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    // SAFETY: nothing has started a thread yet.
    unsafe { device::set_default_device(&DeviceChoice::Cpu) };
    let folder = RunFolder::new(&arguments.run);
    let config = TrainConfig::read(&folder.config())?;
    let which = if arguments.best { Which::Best } else { Which::Newest };
    let trained = Trained::read(&folder, &config, which, &Device::flex())?;
    if trained.stages.len() < config.stages.len() {
        eprintln!(
            "only {} of {} stages have begun: the others are left out",
            trained.stages.len(),
            config.stages.len()
        );
    }
    write(&trained, &config, &arguments.about, &arguments.out)
}

/// Writes the averaged weights of a run and their model card.
///
/// # Errors
/// When a weight is not a number, or a file cannot be written.
pub fn write(trained: &Trained, config: &TrainConfig, about: &About, out: &Path) -> anyhow::Result<()> {
    own(out)?;
    let notes = match &about.notes {
        Some(path) => {
            String::from_utf8(files::read(path)?).with_context(|| format!("{} is no text", path.display()))?
        }
        None => String::new(),
    };
    let card_path = out.with_extension("md");
    let storage = about.storage.unwrap_or_else(|| trained_for(config));
    let device = Device::flex();
    let mut model = trained.model();
    for stage in &mut model.stages {
        stage.unet = stage.unet.clone().to_device(&device);
    }
    let licence = match &about.data_licence {
        Some(licence) => licence.clone(),
        None if config.data == DEFAULT_SOURCE => "CC0-1.0".into(),
        None => "not stated".into(),
    };
    let mut description = Description {
        layout: crate::weights::LAYOUT,
        name: about.name.clone().unwrap_or_else(|| name_of(out)),
        stages: trained
            .stages
            .iter()
            .map(|TrainedStage { stage, images_seen, seconds }| StageDescription {
                shape: stage.shape.clone(),
                prediction: stage.preconditioning.prediction,
                images_seen: *images_seen,
                seconds: *seconds,
                finishes_from: stage.finishes_from.clone(),
                finishing_noise: stage.finishing_noise.clone(),
                components: stage.preconditioning.components.as_ref().map_or(0, Components::count),
                clusters: stage
                    .preconditioning
                    .components
                    .as_ref()
                    .and_then(Components::clusters)
                    .map_or(0, Clusters::count),
                probe: Probe { expected: Vec::new() },
            })
            .collect(),
        usual_steps: about.usual_steps.map_or(DEFAULT_STEPS, |steps| steps as usize),
        data: DataCard {
            name: about.data_name.clone().unwrap_or_else(|| config.data.clone()),
            licence,
            pictures: trained.pictures,
        },
        quality: match &about.quality {
            Some(path) => evaluate::read(path)?.figures(),
            None => Default::default(),
        },
        crate_version: env!("CARGO_PKG_VERSION").into(),
    };
    // The probe is measured on what a reader of the file will get, rounding included.
    let rounded = pollster::block_on(encode(&model, &description, storage))?;
    let rounded = crate::weights::decode(&rounded, &device)?.model;
    for (described, stage) in description.stages.iter_mut().zip(&rounded.stages) {
        described.probe = pollster::block_on(Probe::measure(stage, &device))?;
    }

    let bytes = pollster::block_on(encode(&model, &description, storage))?;
    let parameters = model.stages.iter().map(|stage| stage.unet.num_params()).sum();
    let card = model_card(&description, CardFacts { storage, parameters, bytes: bytes.len(), notes: &notes });
    files::write(out, &bytes)?;
    files::write(&card_path, card.as_bytes())?;
    eprintln!("{} ({:.2} MB) and {}", out.display(), bytes.len() as f64 / 1e6, card_path.display());
    Ok(())
}

/// The storage that a run's stages learned to be rounded for, the last one's if several did; f16 where none did.
fn trained_for(config: &TrainConfig) -> Storage {
    let mut rounded = config.stages.iter().map(|stage| stage.storage).filter(|storage| *storage != Storage::F32);
    rounded.next_back().unwrap_or(Storage::F16)
}

/// What a model is called that nobody has named.
fn name_of(file: &Path) -> String {
    file.file_stem().map_or_else(|| "Chrysalis".into(), |stem| stem.to_string_lossy().into_owned())
}

/// Whether the weight file and its card may be written: there is none yet, or it is one that this command wrote.
fn own(out: &Path) -> anyhow::Result<()> {
    let card = out.with_extension("md");
    if card == out {
        bail!("{}: a weight file needs another ending, as its card will be called that", out.display());
    }
    let others = "is none of this command's files: remove it, or choose another name with --out";
    if out.exists() && !is_weight_file(&files::read(out)?) {
        bail!("{} {others}", out.display());
    }
    if card.exists() && !is_model_card(&files::read(&card)?) {
        bail!("{} {others}", card.display());
    }
    Ok(())
}
