//! `train`: pictures in, a run folder and weights out.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use burn::tensor::Device;
use clap::Parser;

use super::export::{self, About};
use super::{memory, shipped};
use crate::data::{Dataset, Squaring};
use crate::device::{self, DeviceChoice};
use crate::diffusion::Stage;
use crate::files;
use crate::terminal::say;
use crate::train::{
    Adversarial, Limits, Outcome, Precision, Run, RunFolder, StageConfig, StopReason, TrainConfig, Trained, Which,
    has_begun,
};

/// Train a diffusion model on a folder of pictures.
///
/// Everything is written to the run folder: the settings, a log, sample grids, and checkpoints to resume from. Ctrl-C
/// finishes the step, saves and exits. Flags win over --config, which wins over the defaults.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// A folder of pictures, a Parquet file or folder of them, or a dataset's name on the Hugging Face hub
    #[arg(long)]
    data: Option<String>,
    /// The run folder
    #[arg(long, default_value = "runs/butterflies")]
    out: PathBuf,
    /// Go on with the run in --out from its newest checkpoint
    #[arg(long)]
    resume: bool,
    /// Settings as TOML, in the form of a run folder's config.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to compute: auto, gpu, cpu, cuda, rocm, libtorch, or the address of a serve (ws://host:3000)
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// Share each batch out over this many devices of the kind
    #[arg(long, default_value_t = 1)]
    devices: usize,
    /// Train this stage only, counted from 1; without it all of them, one after the other
    #[arg(long, value_name = "NUMBER")]
    stage: Option<usize>,
    /// Stop each stage after this many steps, over all sessions; the learning rate is planned for them
    #[arg(long)]
    steps: Option<u64>,
    /// Stop each stage after this many pictures, over all sessions
    #[arg(long)]
    images: Option<u64>,
    /// Stop this session after a time such as 90s, 45m or 2h, shared out over the stages
    #[arg(long, value_parser = humantime::parse_duration)]
    time_limit: Option<Duration>,
    /// Pictures a step
    #[arg(long)]
    batch_size: Option<usize>,
    /// The highest learning rate
    #[arg(long)]
    learning_rate: Option<f64>,
    /// Seed of everything that is random
    #[arg(long)]
    seed: Option<u64>,
    /// Side of the finished pictures, in pixels; a small picture first where the size allows
    #[arg(long)]
    image_size: Option<usize>,
    /// How pictures that are not square become square
    #[arg(long)]
    squaring: Option<Squaring>,
    /// Look at the quality of each stage's pictures after so many steps, again and again, and keep the best checkpoint
    /// for export --best; wants the network that scripts/quality-network.sh fetches
    #[arg(long, value_name = "STEPS")]
    evaluate_every: Option<u64>,
    /// Precision of the convolutions
    #[arg(long)]
    precision: Option<Precision>,
    /// Tune the last stage, or that of --stage, against a discriminator, so that a single evaluation makes its detail (of a
    /// first stage, finishes its picture); wants --from
    #[arg(long)]
    adversarial: bool,
    /// The noise levels that the tuned stage learns to finish from, falling, as multiples of the data's scale: 40 is pure noise,
    /// and from each further one it finishes again what it has made
    #[arg(long, value_name = "LEVELS", value_delimiter = ',', requires = "adversarial", conflicts_with = "resume")]
    finishes_from: Option<Vec<f64>>,
    /// Start from the weights of a file instead of random ones; the network then has the file's shape
    #[arg(long, value_name = "FILE", conflicts_with_all = ["resume", "image_size"])]
    from: Option<PathBuf>,
    /// When training ends, write the weights to a file, and a model card beside it
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
    #[command(flatten)]
    about: About,
}

impl Arguments {
    /// The weights to begin with, a stage each: those that are named, or those that a resumed run began with, for the stages
    /// that it has not come to. Without any, nothing.
    fn weights(&self, folder: &RunFolder) -> anyhow::Result<Vec<Stage>> {
        let path = match &self.from {
            Some(path) => path.clone(),
            None if self.resume && folder.from().exists() => folder.from(),
            None => return Ok(Vec::new()),
        };
        // Each stage brings them to its own device.
        Ok(shipped::load(Some(&path), &Device::flex())?.model.stages)
    }

    /// The only stage that is meant, counted from 1: tuning is for one of them.
    fn only_stage(&self, stages: usize) -> Option<usize> {
        self.stage.or(self.adversarial.then_some(stages))
    }
}

/// Runs the command.
///
/// # Errors
/// With what stopped it.
pub fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    // SAFETY: nothing has started a thread yet.
    unsafe { device::set_default_device(&arguments.device) };
    memory::keep_freed();

    let folder = RunFolder::new(&arguments.out);
    let from = arguments.weights(&folder)?;
    let config = settings(&arguments, &folder, &from)?;
    let interruption = listen()?;
    let chosen = device::choose_many(&arguments.device, arguments.devices)?;
    if let Some(stage) = config.stages.iter().find(|stage| !stage.batch_size.is_multiple_of(chosen.len())) {
        bail!(
            "a batch of {} cannot be shared evenly by {} devices: choose another --batch-size",
            stage.batch_size,
            chosen.len()
        );
    }
    for device in &chosen {
        say(&format!("training on {}", device.name));
    }
    let devices: Vec<_> = chosen.into_iter().map(|chosen| chosen.device).collect();

    let size = config.image_size();
    let load = if config.wants_finer_pictures() { Dataset::load_finer } else { Dataset::load };
    let dataset = load(&config.data, size, config.squaring)?;
    say(&format!("{}: {} pictures at {size} × {size}", dataset.name(), dataset.len()));

    let only = arguments.only_stage(config.stages.len());
    let numbers = match only {
        Some(number) => number.saturating_sub(1)..number,
        None => 0..config.stages.len(),
    };
    let _lock = folder.lock()?;
    if let Some(path) = &arguments.from {
        folder.begin_with(&files::read(path)?, config.stages.len())?;
    }
    interruption.training.store(true, Ordering::Relaxed);
    let mut left = arguments.time_limit;
    for number in numbers.clone() {
        let started = Instant::now();
        let mut run = if arguments.resume && has_begun(&folder, number)? {
            Run::resume(folder.clone(), config.clone(), number, &dataset, &devices)?
        } else {
            Run::start(folder.clone(), config.clone(), number, &dataset, from.get(number).cloned(), &devices)?
        };
        let time = left.map(|left| left.mul_f64(share(&config.stages, number..numbers.end)));
        let outcome = run.train(Limits { time, images: arguments.images }, &interruption.stop)?;
        say(&format!("stage {}: {}", number + 1, sentence(&outcome, only, &folder)));
        left = left.map(|left| left.saturating_sub(started.elapsed()));
        if outcome.reason == StopReason::Interrupted {
            break;
        }
    }
    let config = TrainConfig::read(&folder.config())?;
    if let Some(file) = &arguments.export {
        let trained = Trained::read(&folder, &config, Which::Newest, &devices[0])?;
        export::write(&trained, &config, &arguments.about, file)?;
    }
    Ok(())
}

/// The part of what is left of a time limit that the first of some stages gets.
fn share(stages: &[StageConfig], numbers: Range<usize>) -> f64 {
    let shares: Vec<f64> = stages.get(numbers).unwrap_or(&[]).iter().map(|stage| stage.time_share).collect();
    shares.first().map_or(1.0, |first| first / shares.iter().sum::<f64>())
}

/// Stages as a weight file has them, trained as the configuration says.
fn take_shapes(config: &mut TrainConfig, stages: &[Stage]) {
    let settings = std::mem::take(&mut config.stages);
    let last = settings.last().cloned().unwrap_or_default();
    config.stages = stages
        .iter()
        .zip(settings.into_iter().chain(std::iter::repeat(last)))
        .map(|(stage, settings)| StageConfig { shape: stage.shape.clone(), ..settings })
        .collect();
    if let Some(stage) = stages.first() {
        config.prediction = stage.preconditioning.prediction;
    }
}

/// The run's own settings when resuming, else the file's, with the flags on top; the networks' shapes are those of the
/// weights to begin with.
fn settings(arguments: &Arguments, folder: &RunFolder, from: &[Stage]) -> anyhow::Result<TrainConfig> {
    let mut config = if arguments.resume {
        if arguments.config.is_some() {
            bail!("--resume goes on with the settings in {}; leave --config out", folder.config().display());
        }
        TrainConfig::read(&folder.config()).context("--resume needs a run folder in --out")?
    } else {
        match &arguments.config {
            Some(path) if from.is_empty() => TrainConfig::read(path)?,
            Some(path) => TrainConfig::read_unchecked(path)?,
            None => TrainConfig::default(),
        }
    };
    if !arguments.resume && !from.is_empty() {
        take_shapes(&mut config, from);
    }
    if arguments.resume {
        let batch_differs = |size| config.stages.iter().any(|stage| stage.batch_size != size);
        let fixed = [
            ("--seed", arguments.seed.is_some_and(|seed| seed != config.seed)),
            ("--batch-size", arguments.batch_size.is_some_and(batch_differs)),
            ("--image-size", arguments.image_size.is_some_and(|size| size != config.image_size())),
        ];
        if let Some((flag, _)) = fixed.iter().find(|(_, differs)| *differs) {
            bail!("{flag} cannot change when a run is resumed: start another run for it");
        }
    }
    if let Some(data) = &arguments.data {
        config.data.clone_from(data);
    }
    config.seed = arguments.seed.unwrap_or(config.seed);
    config.squaring = arguments.squaring.unwrap_or(config.squaring);
    config.evaluate_every = arguments.evaluate_every.unwrap_or(config.evaluate_every);
    config.precision = arguments.precision.unwrap_or(config.precision);
    if let Some(size) = arguments.image_size
        && size != config.image_size()
    {
        config.stages = StageConfig::cascade(size);
    }
    let stages = config.stages.len();
    if let Some(number) = arguments.stage
        && !(1..=stages).contains(&number)
    {
        bail!("there is no stage {number}: the run has {stages}");
    }
    let only = arguments.only_stage(stages);
    for (number, stage) in (1..).zip(&mut config.stages) {
        if only.is_some_and(|only| only != number) {
            continue;
        }
        if arguments.adversarial && stage.adversarial.is_none() {
            if arguments.resume && has_begun(folder, number - 1)? {
                bail!(
                    "stage {number} of {} is trained as usual, and stays so when it is resumed: export it, and tune the file with --from in \
                     another --out",
                    folder.path().display()
                );
            }
            stage.adversarial = Some(Adversarial::of(&stage.shape));
            stage.learning_rate = StageConfig::ADVERSARIAL_RATE;
        }
        if let (Some(tuning), Some(levels)) = (&mut stage.adversarial, &arguments.finishes_from) {
            tuning.finishes_from.clone_from(levels);
        }
        stage.batch_size = arguments.batch_size.unwrap_or(stage.batch_size);
        stage.learning_rate = arguments.learning_rate.unwrap_or(stage.learning_rate);
        // A number of pictures without a number of steps plans the learning rate for those pictures.
        let from_images = arguments.images.map(|images| images.div_ceil(stage.batch_size.max(1) as u64));
        stage.steps = match (arguments.steps, from_images) {
            (Some(steps), _) => steps,
            (None, Some(steps)) if arguments.resume => stage.steps.max(steps),
            (None, steps) => steps.unwrap_or(stage.steps),
        };
    }
    config.validate()?;
    Ok(config)
}

/// What Ctrl-C, a closed terminal or a friendly kill ask for.
#[derive(Default)]
struct Interruption {
    /// Somebody asked to stop.
    stop: AtomicBool,
    /// There is something to save first.
    training: AtomicBool,
}

/// While nothing is trained yet, an interruption ends the program; after that it ends training at the next step, and
/// asking again changes nothing: what has been learned is saved first.
fn listen() -> anyhow::Result<Arc<Interruption>> {
    let interruption = Arc::new(Interruption::default());
    let heard = Arc::clone(&interruption);
    ctrlc::set_handler(move || {
        if !heard.training.load(Ordering::Relaxed) {
            std::process::exit(130);
        }
        say(match heard.stop.swap(true, Ordering::Relaxed) {
            false => "\nfinishing this step, then saving",
            true => "\nstill saving; a kill -9 now would lose what was learned since the last checkpoint",
        });
    })
    .context("listening for Ctrl-C")?;
    Ok(interruption)
}

fn sentence(outcome: &Outcome, only: Option<usize>, folder: &RunFolder) -> String {
    let why = match outcome.reason {
        StopReason::Finished => "finished",
        StopReason::TimeLimit => "time is up",
        StopReason::ImageLimit => "enough pictures seen",
        StopReason::Interrupted => "interrupted",
    };
    let mut text = format!(
        "{why} after {} steps, {} pictures and {:.0} s of training; saved in {}",
        outcome.steps,
        outcome.images,
        outcome.seconds,
        folder.path().display()
    );
    if outcome.reason != StopReason::Finished {
        let stage = only.map_or(String::new(), |only| format!(" --stage {only}"));
        text.push_str(&format!("\ngo on with: train --resume{stage} --out {}", folder.path().display()));
    }
    text
}
