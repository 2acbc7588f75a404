//! A whole run: steps until something says stop, with everything written down on the way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use burn::tensor::Device;

use super::checkpoint::{self, State};
use super::config::{StageConfig, TrainConfig};
use super::earlier::EarlierStages;
use super::error::TrainError;
use super::evaluation::{self, Best, Evaluation, SamplePlan};
use super::folder::{RunFolder, StageFolder};
use super::log::{Row, Table};
use super::progress::Progress;
use super::trainer::{Report, Trainer};
use super::{measure, measured};
use crate::data::Dataset;
use crate::diffusion::{NoiseLevels, Plan, Preconditioning, Sampler, Stage};
use crate::files;
use crate::picture::Picture;

/// One stage of a run: its folder, with a trainer in some state.
pub struct Run {
    run_folder: RunFolder,
    folder: StageFolder,
    config: TrainConfig,
    number: usize,
    trainer: Trainer,
    /// What makes the small pictures that the stage's own are judged on, if the run has it.
    earlier: Option<EarlierStages>,
    dataset: Dataset,
    state: State,
    log: Table<Row>,
    qualities: Option<Table<Best>>,
    evaluation: Option<Evaluation>,
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

impl Run {
    /// Starts a stage of a run, counted from zero, from fresh weights or from those of `from`, which brings its own
    /// bands. `dataset` holds the pictures at their final size.
    ///
    /// # Errors
    /// When the folder holds the stage already, the configuration cannot be used, or a file cannot be written.
    pub fn start(
        run_folder: RunFolder,
        config: TrainConfig,
        number: usize,
        dataset: &Dataset,
        from: Option<Stage>,
        devices: &[Device],
    ) -> Result<Self, TrainError> {
        config.validate()?;
        let (stage, dataset) = of_stage(&config, number, dataset)?;
        let folder = run_folder.stage(number);
        if checkpoint::any(&folder.checkpoints())? {
            return Err(TrainError::FolderHoldsRun(run_folder.path().display().to_string()));
        }
        check_tuning(&stage, number, from.is_some(), devices)?;
        let trainer = match from {
            Some(Stage { unet, preconditioning, .. }) => {
                // The network knows its bands; how these pictures lie as a whole only a sampler has to know.
                let components =
                    measure::components(&dataset, &stage.shape, preconditioning.bands.scale(), config.flip);
                let preconditioning = Preconditioning { components, ..preconditioning };
                Trainer::new(&config, &stage, preconditioning, devices)?.continue_from(unet)
            }
            None => Trainer::measured(&config, &stage, &dataset, devices)?,
        };
        measured::write(&folder, trainer.preconditioning())?;
        let state = State {
            step: 0,
            images: 0,
            seconds: 0.0,
            pictures: dataset.len(),
            fingerprint: dataset.fingerprint(),
            continued: trainer.continued,
        };
        Self::at(state, run_folder, config, number, trainer, dataset)
    }

    /// Goes on with a stage of the run in a folder, from its newest checkpoint, with the folder's own configuration but
    /// for `steps`.
    ///
    /// # Errors
    /// When there is no checkpoint, it is damaged, or does not fit the configuration.
    pub fn resume(
        run_folder: RunFolder,
        config: TrainConfig,
        number: usize,
        dataset: &Dataset,
        devices: &[Device],
    ) -> Result<Self, TrainError> {
        config.validate()?;
        let (stage, dataset) = of_stage(&config, number, dataset)?;
        let folder = run_folder.stage(number);
        checkpoint::latest_state(&folder.checkpoints())?;
        check_tuning(&stage, number, true, devices)?;
        let fresh = Trainer::new(&config, &stage, measured::read(&folder, &config, &stage.shape)?, devices)?;
        let (trainer, state) = checkpoint::load_latest(&folder.checkpoints(), fresh)?;
        if state.fingerprint != dataset.fingerprint() {
            let found = match dataset.len() {
                same if same == state.pictures => "they are other ones, or squared in another way".to_string(),
                other => format!("there are {other}"),
            };
            return Err(TrainError::DatasetChanged { began: state.pictures, found });
        }
        Self::at(state, run_folder, config, number, trainer, dataset)
    }

    /// A run in some state, its configuration and tables written or opened.
    fn at(
        state: State,
        run_folder: RunFolder,
        config: TrainConfig,
        number: usize,
        trainer: Trainer,
        dataset: Dataset,
    ) -> Result<Self, TrainError> {
        files::write(&run_folder.config(), config.to_toml()?.as_bytes())?;
        let earlier = EarlierStages::of(&run_folder, &config, number, &trainer.main_device())?;
        let folder = run_folder.stage(number);
        let log = Table::open(&folder.log(), state.step)?;
        // The table of what pictures score, if they are looked at or were.
        let wanted = config.evaluate_every > 0 || folder.quality().exists();
        let qualities = if wanted { Some(Table::open(&folder.quality(), state.step)?) } else { None };
        Ok(Self {
            run_folder,
            folder,
            config,
            number,
            trainer,
            earlier,
            dataset,
            state,
            log,
            qualities,
            evaluation: None,
        })
    }

    /// Trains until all steps are done, a limit is reached, or `stop` is set; then writes a checkpoint and a sample grid.
    ///
    /// # Errors
    /// When the loss is no longer a number (the last checkpoint stays as it was), or a file cannot be written.
    pub fn train(&mut self, limits: Limits, stop: &AtomicBool) -> Result<Outcome, TrainError> {
        let started = Instant::now();
        let seconds_before = self.state.seconds;
        let mut progress =
            Progress::new(self.number, self.config.stages.len(), self.trainer.planned_steps(), &self.trainer);
        progress.tell("the list of pictures left out", self.note_skipped(&progress));
        if self.config.evaluate_every > 0 && self.evaluation.is_none() {
            // What is missing for it is said now, and not hours later.
            self.evaluation = Some(Evaluation::new(&self.dataset, &self.folder.best_quality(), self.state.step)?);
        }
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
                progress.tell("the log", self.log.add(&row));
                progress.show(&row);
            }
            // What cannot be written is told, and the run goes on: the disk may have room again by the next time.
            if due(self.config.checkpoint_every) {
                match self.save() {
                    Err(error @ TrainError::NotANumber { .. }) => return Err(error),
                    saved => progress.tell("the checkpoint", saved),
                }
            }
            if due(self.config.sample_every) {
                progress.tell("the sample grid", self.write_grid(&progress));
            }
            if due(self.config.evaluate_every) {
                match self.evaluate(&progress) {
                    Err(error @ TrainError::NotANumber { .. }) => return Err(error),
                    evaluated => progress.tell("what the pictures score", evaluated),
                }
            }
        };
        progress.finish();
        self.save()?;
        if reason != StopReason::Interrupted && !self.folder.grid(self.state.step).exists() {
            progress.tell("the sample grid", self.write_grid(&progress));
        }
        let State { step: steps, images, seconds, .. } = self.state;
        Ok(Outcome { reason, steps, images, seconds })
    }

    /// Writes a checkpoint.
    fn save(&self) -> Result<(), TrainError> {
        self.check_weights()?;
        checkpoint::save(&self.folder.checkpoints(), &self.trainer, &self.state)?;
        Ok(())
    }

    /// Whether the last step itself left weights that are no numbers: a loss tells only a step later.
    fn check_weights(&self) -> Result<(), TrainError> {
        let step = self.state.step;
        let size = self.trainer.weight_norm().map_err(|reason| TrainError::Device { step, reason })?;
        if !size.is_finite() {
            return Err(TrainError::NotANumber { step, loss: size });
        }
        Ok(())
    }

    fn reason_to_stop(&self, limits: Limits, started: Instant, stop: &AtomicBool) -> Option<StopReason> {
        if stop.load(Ordering::Relaxed) {
            Some(StopReason::Interrupted)
        } else if self.trainer.steps_done() >= self.trainer.planned_steps() {
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
        let rounded = |number: f64, parts: f64| (number * parts).round() / parts;
        let mean = |number: fn(&Report) -> f64| {
            rounded(reports.iter().map(number).sum::<f64>() / reports.len().max(1) as f64, 1e6)
        };
        Row {
            step: self.state.step,
            images: self.state.images,
            seconds: rounded(self.state.seconds, 10.0),
            loss: mean(|report| report.loss),
            gradient_norm: mean(|report| report.gradient_norm),
            learning_rate: rounded(reports.last().map_or(0.0, |report| report.learning_rate), 1e8),
            discriminator_loss: reports
                .iter()
                .all(|report| report.discriminator_loss.is_some())
                .then(|| mean(|report| report.discriminator_loss.unwrap_or_default())),
        }
    }

    fn sample(&self, count: usize) -> Result<Vec<Picture>, TrainError> {
        let TrainConfig { sample_steps: steps, sampler, .. } = self.config;
        let usual = || match &self.earlier {
            Some(earlier) => earlier.usual_sampler(),
            None => Sampler::suiting(&self.trainer.finishes_from()),
        };
        let cascade = Plan { sampler: sampler.unwrap_or_else(usual), levels: NoiseLevels::default(), steps };
        evaluation::sample(
            &self.trainer,
            &self.dataset,
            self.earlier.as_ref(),
            SamplePlan { stage: self.number, count, cascade },
        )
    }

    /// Writes a grid of the averaged weights' pictures at the fixed seeds.
    fn write_grid(&self, progress: &Progress) -> Result<(), TrainError> {
        let pictures = self.sample(self.config.sample_count)?;
        if pictures.is_empty() {
            return Ok(());
        }
        let columns = (pictures.len() as f64).sqrt().ceil() as usize;
        let path = self.folder.grid(self.state.step);
        files::write(&path, &Picture::grid(&pictures, columns, 2).to_png()?)?;
        progress.say(&format!("step {}: sample grid in {}", self.state.step, path.display()));
        Ok(())
    }

    /// Judges the averaged weights' pictures, notes what they score, and keeps the checkpoint if none before was better.
    fn evaluate(&mut self, progress: &Progress) -> Result<(), TrainError> {
        let step = self.state.step;
        let noted = self.folder.best_quality();
        let pictures = self.sample(self.config.evaluate_count)?;
        let Some(evaluation) = &self.evaluation else { return Ok(()) };
        let (quality, better) = evaluation.judge(&pictures, step)?;
        if let Some(qualities) = &self.qualities {
            qualities.add(&quality)?;
        }
        let Best { kid, deviation, .. } = quality;
        progress.say(&format!(
            "step {step}: KID × 1000 {kid:.1} ± {deviation:.1}{}",
            if better { ", the best" } else { "" }
        ));
        if better {
            self.check_weights()?;
            checkpoint::save_only(&self.folder.best(), &self.trainer, &self.state)?;
            let text = format!("step = {step}\nkid = {kid:?}\ndeviation = {deviation:?}\n");
            files::write(&noted, text.as_bytes())?;
            if let Some(evaluation) = &mut self.evaluation {
                evaluation.keep(quality);
            }
        }
        Ok(())
    }

    fn note_skipped(&self, progress: &Progress) -> Result<(), TrainError> {
        let skipped = self.dataset.skipped();
        if skipped.is_empty() {
            return Ok(());
        }
        let lines: String = skipped.iter().map(|s| format!("{}: {}\n", s.name, s.reason)).collect();
        files::write(&self.run_folder.skipped(), lines.as_bytes())?;
        for line in lines.lines().take(5) {
            progress.say(&format!("left out {line}"));
        }
        progress.say(&format!(
            "{} pictures left out, all named in {}",
            skipped.len(),
            self.run_folder.skipped().display()
        ));
        Ok(())
    }
}

/// Whether a stage that is to be tuned can be: with weights, and on one device.
fn check_tuning(stage: &StageConfig, number: usize, weights: bool, devices: &[Device]) -> Result<(), TrainError> {
    if stage.adversarial.is_some() && (!weights || devices.len() > 1) {
        return Err(TrainError::Adversarial { number: number + 1 });
    }
    Ok(())
}

/// The settings of a stage, and the pictures at its size.
fn of_stage(config: &TrainConfig, number: usize, dataset: &Dataset) -> Result<(StageConfig, Dataset), TrainError> {
    let stages = config.stages.len();
    let stage = config.stages.get(number).ok_or(TrainError::NoStage { found: number + 1, stages })?;
    Ok((stage.clone(), dataset.reduced(config.image_size() / stage.shape.image_size)))
}
