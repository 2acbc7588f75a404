//! What page and workers say to each other.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::averages::averages;
use crate::diffusion::{Sampler, Usual};
use crate::edit::Edit;
use crate::origin::{Origin, Series};

/// Which build this is. Page and workers are separate programs: a cache that keeps one of them and not the other must
/// not let them meet.
pub const BUILD: &str = match option_env!("CHRYSALIS_BUILD") {
    Some(build) => build,
    None => env!("CARGO_PKG_VERSION"),
};

/// From the adapter probe to the page: what the browser says about its GPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProbeResult {
    /// There is one.
    Gpu(Adapter),
    /// There is none, and why, as a sentence's beginning.
    NoGpu(String),
}

/// A GPU that the browser offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adapter {
    /// Its name for people; empty where the browser keeps it to itself.
    pub name: String,
    /// Whether it computes in software.
    pub software: bool,
    /// Whether it tells how long its work takes (the feature `timestamp-query`), without which cubecl's profiler panics.
    pub timestamps: bool,
}

/// From the page to the worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum WorkerInput {
    /// Make the device ready with weights.
    Load {
        /// The bytes of the weight file.
        #[serde(with = "serde_bytes")]
        weights: Vec<u8>,
    },
    /// Turn seeds into pictures, instead of those of an earlier request.
    Sample {
        /// Which request this is: its outputs carry the number, so that those of an earlier one cannot be taken for its own.
        turn: u32,
        /// What to sample.
        task: SampleTask,
    },
    /// Stop sampling after the step at hand.
    Cancel,
}

/// What a worker is to sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SampleTask {
    /// The noise of each picture.
    #[serde(with = "origins")]
    pub origins: Vec<Origin>,
    /// Steps from noise to picture.
    pub steps: usize,
    /// How to get from one noise level to the next.
    pub sampler: Sampler,
    /// The picture that it begins with, if not with noise alone.
    pub edit: Option<Edit>,
    /// Whether a guess comes with what the blocks of the first stage's network put out meanwhile.
    pub activations: bool,
}

/// What a visitor wants sampled.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleRequest {
    /// The seed.
    pub seed: u64,
    /// How many pictures.
    pub count: usize,
    /// What the pictures are.
    pub series: Series,
    /// Steps of the first stage; none for as many as are usual for the model, whichever that is.
    pub steps: Option<usize>,
    /// How to get from one noise level to the next; none for what suits the model.
    pub sampler: Option<Sampler>,
    /// The picture that it begins with, if not with noise alone.
    pub edit: Option<Arc<Edit>>,
    /// Who looks at what comes of it.
    pub purpose: Purpose,
}

/// What something is sampled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Purpose {
    /// To be looked at and kept.
    #[default]
    Specimen,
    /// The lesson asks what the network sees at one noise level.
    Guess {
        /// And what its blocks put out meanwhile.
        activations: bool,
    },
    /// The lesson shows the same seed twice, with one setting changed: the one or the other.
    Twin(Twin),
    /// The lesson asks at which step one sees what it will be.
    Riddle,
    /// To see where a way between two seeds leads while it is gone along.
    Preview,
    /// To see how long it takes.
    Benchmark,
}

/// One of two pictures of the same seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Twin {
    /// The one that is sampled first.
    First,
    /// The one with another setting.
    Second,
}

impl SampleRequest {
    /// The noise level at which the network is only asked what it sees, if that is all.
    pub fn guessed_at(&self) -> Option<f64> {
        self.edit.as_deref().and_then(Edit::guessed_at)
    }

    /// The noise of each picture.
    pub fn origins(&self) -> Vec<Origin> {
        self.series.origins(self.seed, self.count)
    }

    /// What to ask for to see one of its pictures again, counted from zero: itself where it has a seed of its own, else what it
    /// is a part of.
    pub fn again(&self, place: usize) -> Self {
        match self.series {
            Series::Seeds | Series::Between { .. } => {
                let (seed, series) = (self.seed.wrapping_add(place as u64), self.series.of_place(place));
                Self { seed, series, count: 1, ..self.clone() }
            }
            Series::Morph(_) | Series::Relatives => self.clone(),
        }
    }
}

/// From the worker to the page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum WorkerOutput {
    /// The worker runs and listens.
    Started {
        /// Its [`BUILD`].
        build: String,
    },
    /// The weights are here; the device is being tried.
    WarmingUp {
        /// The name of the GPU; none on the CPU.
        gpu: Option<String>,
    },
    /// The device cannot be used; another may do.
    Unfit {
        /// Why, as a sentence's beginning.
        reason: String,
    },
    /// Ready to sample.
    Ready {
        /// The name of the GPU; none on the CPU.
        gpu: Option<String>,
        /// How long an evaluation of the networks takes, in milliseconds.
        step_ms: f64,
        /// How many kernels it makes a GPU run.
        launches: Option<u32>,
        /// The model's name.
        model: String,
        /// Side of its pictures, in pixels.
        image_size: usize,
        /// Side of the first stage's pictures, in pixels.
        first_size: usize,
        /// How it is sampled where nobody asks for anything else.
        usual: Usual,
        /// How much memory the engine has for itself, in bytes; what a GPU holds is not in it.
        memory: f64,
    },
    /// How a request goes on.
    Sampling {
        /// Which one.
        turn: u32,
        /// What happened to it.
        output: SamplingOutput,
    },
    /// Something went wrong, outside any request.
    Failed {
        /// What.
        fault: Fault,
    },
}

/// What can go wrong in a worker. The page finds words for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// The weight file cannot be used; why.
    Weights(String),
    /// A request was not understood; why. The worker hears the next one.
    Misunderstood(String),
    /// The worker is gone, and would not hear another request; why.
    Crash(String),
}

/// What comes of a request: steps, and one of the others at its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum SamplingOutput {
    /// One step is done.
    Step(ShownStep),
    /// The pictures are finished.
    Finished {
        /// The pictures.
        pictures: Vec<Shown>,
        /// How long it took, in milliseconds.
        total_ms: f64,
    },
    /// It stopped because the page asked for that, or for something else.
    Cancelled,
    /// It could not go on; the worker hears the next request.
    Failed {
        /// Why, as a sentence's beginning.
        reason: String,
    },
}

/// One step on the way from noise to pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShownStep {
    /// Which step, from 1 up.
    pub index: usize,
    /// How many steps there are.
    pub of: usize,
    /// The noise level that it reached.
    pub sigma: f64,
    /// The noise level that it began at.
    pub began: f64,
    /// The pictures under the noise that it reached; where the network was only asked what it sees, what it was given.
    pub noisy: Vec<Shown>,
    /// The clean pictures that the network saw where it began.
    pub clean: Vec<Shown>,
    /// What the network's blocks put out of the first of them, if that was asked: those on the way down, the middle one and those
    /// on the way up.
    pub activations: Vec<Shown>,
}

impl ShownStep {
    /// The step of one of its pictures alone.
    pub fn of_picture(&self, place: usize) -> Self {
        let alone = |pictures: &[Shown]| pictures.get(place).cloned().into_iter().collect();
        Self { noisy: alone(&self.noisy), clean: alone(&self.clean), activations: Vec::new(), ..*self }
    }

    /// The step with its pictures reduced until those of all steps together take no more than about `most` bytes.
    pub fn within(mut self, most: usize) -> Self {
        let bytes: usize = self.noisy.iter().chain(&self.clean).map(|picture| picture.rgba.len()).sum();
        let all = bytes as u64 * self.of.max(1) as u64;
        let factor = (1..).find(|factor: &u64| all / (factor * factor) <= most as u64).unwrap_or(1);
        if factor > 1 {
            self.noisy.iter_mut().chain(&mut self.clean).for_each(|picture| *picture = picture.reduced(factor as u32));
        }
        self
    }
}

/// A picture on its way to a canvas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// RGBA bytes, row by row.
    #[serde(with = "serde_bytes")]
    pub rgba: Vec<u8>,
}

impl Shown {
    /// The averages of squares of pixels, with a side of `size`; itself where that does not divide its own.
    pub fn averaged(&self, size: u32) -> Self {
        if size == 0 || self.width != self.height || !self.width.is_multiple_of(size) {
            return self.clone();
        }
        let sides = [self.width as usize, self.height as usize];
        let Some(averages) = averages(&self.rgba, sides, 4, size as usize) else { return self.clone() };
        Self { width: size, height: size, rgba: averages.into_iter().map(|average| average.round() as u8).collect() }
    }

    /// Every `factor`-th pixel of every `factor`-th row, for a picture that is shown small.
    fn reduced(&self, factor: u32) -> Self {
        let (width, height) = (self.width.div_ceil(factor), self.height.div_ceil(factor));
        let pixel = |x: u32, y: u32| {
            let at = 4 * (y as usize * self.width as usize + x as usize);
            self.rgba.get(at..at + 4).unwrap_or(&[0; 4])
        };
        let rgba =
            (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x * factor, y * factor))).copied().collect();
        Self { width, height, rgba }
    }
}

/// Origins on the wire: seeds cross as text, because a JavaScript number holds only 53 bits.
mod origins {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::origin::{Origin, Towards};

    type Sent = (String, Option<(String, f64)>);

    pub fn serialize<S: Serializer>(origins: &[Origin], serializer: S) -> Result<S::Ok, S::Error> {
        let sent = |origin: &Origin| -> Sent {
            (origin.seed.to_string(), origin.towards.map(|towards| (towards.seed.to_string(), towards.share)))
        };
        origins.iter().map(sent).collect::<Vec<_>>().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Origin>, D::Error> {
        let read = |(seed, towards): Sent| {
            let towards = towards.map(|(seed, share)| Ok(Towards { seed: seed.parse()?, share })).transpose()?;
            Ok(Origin { seed: seed.parse()?, towards })
        };
        let sent = Vec::<Sent>::deserialize(deserializer)?;
        sent.into_iter().map(read).collect::<Result<_, std::num::ParseIntError>>().map_err(serde::de::Error::custom)
    }
}
