//! A whole run: steps until something says stop, with everything written down on the way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use burn::tensor::Device;
use thiserror::Error;

use super::checkpoint::{self, CheckpointError, State};
use super::config::{ConfigError, TrainConfig};
use super::folder::RunFolder;
use super::log::{Log, Row};
use super::progress::Progress;
use super::trainer::{Report, Trainer};
use crate::data::Dataset;
use crate::diffusion::{Model, NoiseLevels, Sampling};
use crate::files::{self, FileError};
use crate::noise::BatchNoise;
use crate::picture::{Picture, PictureError};
use crate::unet::{UNet, UNetConfigError};

/// A run folder with a trainer in some state.
pub struct Run {
    folder: RunFolder,
    config: TrainConfig,
    trainer: Trainer,
    dataset: Dataset,
    state: State,
    log: Log,
}

/// The averaged weights of a run, and what they have behind them.
pub struct Trained {
    /// The network in its frame, folded for sampling.
    pub model: Model,
    /// Pictures seen, repeats included.
    pub images_seen: u64,
    /// Seconds of training.
    pub seconds: f64,
    /// Pictures in the dataset.
    pub pictures: usize,
}

/// When to stop before the planned number of steps.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// Time to train in this session.
    pub time: Option<Duration>,
    /// Pictures to have seen, over all sessions.
    pub images: Option<u64>,
}

/// How training ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// Why.
    pub reason: StopReason,
    /// Steps done, over all sessions.
    pub steps: u64,
    /// Pictures seen, over all sessions.
    pub images: u64,
    /// Seconds of training, over all sessions.
    pub seconds: f64,
}

/// Why training ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// All planned steps are done.
    Finished,
    /// The session's time is up.
    TimeLimit,
    /// Enough pictures were seen.
    ImageLimit,
    /// Somebody asked for it.
    Interrupted,
}

/// Why training ended badly.
#[derive(Debug, Error)]
pub enum TrainError {
    /// The loss is no number any more.
    #[error(
        "the loss or the weights became {loss} at step {step}; they are not kept, and the last checkpoint is as it was. \
         Resume from it with a lower --learning-rate or with --precision f32"
    )]
    NotANumber {
        /// The step, counted from one.
        step: u64,
        /// What the loss was.
        loss: f64,
    },
    /// A run folder that is in use.
    #[error("{0} already holds a run: continue it with --resume, or choose another --out")]
    FolderInUse(String),
    /// Other pictures than the run began with.
    #[error(
        "the run began with {began} pictures and now there are {found}: a run goes on with the pictures it began with. \
         Export it, and start another with --from"
    )]
    DatasetChanged {
        /// How many there were.
        began: usize,
        /// How many there are.
        found: usize,
    },
    /// The device failed.
    #[error("step {step}: the device returned no result: {reason}")]
    Device {
        /// The step, counted from one.
        step: u64,
        /// What the device said.
        reason: String,
    },
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The network is impossible.
    #[error(transparent)]
    UNet(#[from] UNetConfigError),
    /// A checkpoint failed.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A file failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// A sample grid failed.
    #[error(transparent)]
    Picture(#[from] PictureError),
}

impl Trained {
    fn from(trainer: &Trainer, state: State) -> Self {
        let State { images, seconds, pictures, .. } = state;
        Self { model: trainer.sampler_model(), images_seen: images, seconds, pictures }
    }
}

impl Run {
    /// Starts a run in an empty folder, from fresh weights or from `weights`.
    ///
    /// # Errors
    /// When the folder holds a run already, the configuration cannot be used, or a file cannot be written.
    pub fn start(
        folder: RunFolder,
        mut config: TrainConfig,
        dataset: Dataset,
        weights: Option<UNet>,
        devices: &[Device],
    ) -> Result<Self, TrainError> {
        config.validate()?;
        if folder.config().exists() && checkpoint::latest_state(&folder.checkpoints()).is_ok() {
            return Err(TrainError::FolderInUse(folder.path().display().to_string()));
        }
        let sigma_data = config.sigma_data.unwrap_or_else(|| dataset.root_mean_square());
        config.sigma_data = Some(sigma_data);
        let mut trainer = Trainer::new(&config, sigma_data, devices)?;
        if let Some(weights) = weights {
            trainer = trainer.continue_from(weights);
        }
        files::write(&folder.config(), config.to_toml()?.as_bytes())?;
        let log = Log::open(&folder.log(), 0)?;
        let state = State { step: 0, images: 0, seconds: 0.0, pictures: dataset.len(), sigma_data };
        Ok(Self { folder, config, trainer, dataset, state, log })
    }

    /// Goes on with the run in a folder, from its newest checkpoint, with the folder's own configuration but for `steps`.
    ///
    /// # Errors
    /// When there is no checkpoint, it is damaged, or does not fit the configuration.
    pub fn resume(
        folder: RunFolder,
        config: TrainConfig,
        dataset: Dataset,
        devices: &[Device],
    ) -> Result<Self, TrainError> {
        config.validate()?;
        let sigma_data = checkpoint::latest_state(&folder.checkpoints())?.sigma_data;
        let fresh = Trainer::new(&config, sigma_data, devices)?;
        let (trainer, state) = checkpoint::load_latest(&folder.checkpoints(), fresh)?;
        if state.pictures != dataset.len() {
            return Err(TrainError::DatasetChanged { began: state.pictures, found: dataset.len() });
        }
        files::write(&folder.config(), config.to_toml()?.as_bytes())?;
        let log = Log::open(&folder.log(), state.step)?;
        Ok(Self { folder, config, trainer, dataset, state, log })
    }

    /// Trains until all steps are done, a limit is reached, or `stop` is set; then writes a checkpoint and a sample grid.
    ///
    /// # Errors
    /// When the loss is no longer a number (the last checkpoint stays as it was), or a file cannot be written.
    pub fn train(&mut self, limits: Limits, stop: &AtomicBool) -> Result<Outcome, TrainError> {
        let started = Instant::now();
        let seconds_before = self.state.seconds;
        let mut progress = Progress::new(self.config.steps, self.trainer.steps_done(), self.trainer.images_seen());
        self.note_skipped(&progress)?;
        let mut since_row: Vec<Report> = Vec::new();
        let reason = loop {
            if let Some(reason) = self.reason_to_stop(limits, started, stop) {
                break reason;
            }
            let step = self.trainer.steps_done() + 1;
            let report = self.trainer.step(&self.dataset).map_err(|reason| TrainError::Device { step, reason })?;
            if !report.loss.is_finite() || !report.gradient_norm.is_finite() {
                progress.finish();
                let loss = if report.loss.is_finite() { report.gradient_norm } else { report.loss };
                return Err(TrainError::NotANumber { step, loss });
            }
            since_row.push(report);
            self.state.step = step;
            self.state.images = self.trainer.images_seen();
            self.state.seconds = seconds_before + started.elapsed().as_secs_f64();

            let due = |every: u64| every > 0 && step.is_multiple_of(every);
            if due(self.config.log_every) {
                let row = self.row(&since_row);
                since_row.clear();
                self.log.add(&row)?;
                progress.show(&row);
            }
            if due(self.config.checkpoint_every) {
                self.save()?;
            }
            if due(self.config.sample_every) {
                self.write_grid(&progress)?;
            }
        };
        progress.finish();
        self.save()?;
        if reason != StopReason::Interrupted && !self.folder.grid(self.state.step).exists() {
            self.write_grid(&progress)?;
        }
        let State { step: steps, images, seconds, .. } = self.state;
        Ok(Outcome { reason, steps, images, seconds })
    }

    /// The averaged weights as they are now.
    pub fn trained(&self) -> Trained {
        Trained::from(&self.trainer, self.state)
    }

    /// The settings.
    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// The averaged weights of the newest checkpoint in a run folder, without the pictures that they learned from.
    ///
    /// # Errors
    /// When there is no checkpoint, or it is damaged.
    pub fn newest(folder: &RunFolder, config: &TrainConfig, device: &Device) -> Result<Trained, TrainError> {
        let sigma_data = checkpoint::latest_state(&folder.checkpoints())?.sigma_data;
        let fresh = Trainer::new(config, sigma_data, std::slice::from_ref(device))?;
        let (trainer, state) = checkpoint::load_latest(&folder.checkpoints(), fresh)?;
        Ok(Trained::from(&trainer, state))
    }

    /// Writes a checkpoint, unless the last step itself left weights that are no numbers: a loss tells only a step later.
    fn save(&self) -> Result<(), TrainError> {
        let step = self.state.step;
        let size = self.trainer.weight_norm().map_err(|reason| TrainError::Device { step, reason })?;
        if !size.is_finite() {
            return Err(TrainError::NotANumber { step, loss: size });
        }
        checkpoint::save(&self.folder.checkpoints(), &self.trainer, self.state)?;
        Ok(())
    }

    fn reason_to_stop(&self, limits: Limits, started: Instant, stop: &AtomicBool) -> Option<StopReason> {
        if stop.load(Ordering::Relaxed) {
            Some(StopReason::Interrupted)
        } else if self.trainer.steps_done() >= self.config.steps {
            Some(StopReason::Finished)
        } else if limits.images.is_some_and(|images| self.trainer.images_seen() >= images) {
            Some(StopReason::ImageLimit)
        } else if limits.time.is_some_and(|time| started.elapsed() >= time) {
            Some(StopReason::TimeLimit)
        } else {
            None
        }
    }

    fn row(&self, reports: &[Report]) -> Row {
        let mean = |number: fn(&Report) -> f64| reports.iter().map(number).sum::<f64>() / reports.len().max(1) as f64;
        Row {
            step: self.state.step,
            images: self.state.images,
            seconds: self.state.seconds,
            loss: mean(|report| report.loss),
            gradient_norm: mean(|report| report.gradient_norm),
            learning_rate: reports.last().map_or(0.0, |report| report.learning_rate),
        }
    }

    /// Samples the averaged weights at the fixed seeds.
    fn write_grid(&self, progress: &Progress) -> Result<(), TrainError> {
        if self.config.sample_count == 0 {
            return Ok(());
        }
        let model = self.trainer.sampler_model().for_sampling();
        let size = self.config.unet.image_size;
        let seeds: Vec<u64> = (0..self.config.sample_count as u64).collect();
        let noise = BatchNoise::new(&seeds, [3, size, size], &self.trainer.main_device());
        let levels = NoiseLevels::default().list(self.config.sample_steps);
        let Some(last) = Sampling::new(&model, self.config.sampler, levels, noise).last() else { return Ok(()) };
        let pictures = pollster::block_on(Picture::from_batch(last.x))?;
        let columns = (seeds.len() as f64).sqrt().ceil() as usize;
        let path = self.folder.grid(self.state.step);
        files::write(&path, &Picture::grid(&pictures, columns, 2).to_png()?)?;
        progress.say(&format!("step {}: sample grid in {}", self.state.step, path.display()));
        Ok(())
    }

    fn note_skipped(&self, progress: &Progress) -> Result<(), TrainError> {
        let skipped = self.dataset.skipped();
        if skipped.is_empty() {
            return Ok(());
        }
        let lines: String = skipped.iter().map(|s| format!("{}: {}\n", s.name, s.reason)).collect();
        files::write(&self.folder.skipped(), lines.as_bytes())?;
        for line in lines.lines().take(5) {
            progress.say(&format!("left out {line}"));
        }
        progress.say(&format!("{} pictures left out, all named in {}", skipped.len(), self.folder.skipped().display()));
        Ok(())
    }
}
