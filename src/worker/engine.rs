//! Loading a model and sampling pictures from it.

use std::cell::RefCell;
use std::rc::Rc;

use burn::tensor::{Device, Tensor, TensorData, Transaction};
use futures_channel::oneshot::{self, Receiver};
use wasm_bindgen_futures::spawn_local;

use super::device::{Failure, Kind, LoadedModel, Opened};
use super::scope;
use crate::activations;
use crate::diffusion::{Cascade, CascadeStep, Edited, NoiseLevels, Plan, Sampler, SamplingModel, SamplingStage, Step};
use crate::edit::Edit;
use crate::picture::Picture;
use crate::protocol::{self, Fault, SampleTask, SamplingOutput, Shown, WorkerOutput};

/// The most steps a page may ask for.
const MOST_STEPS: usize = 1000;
/// The most pictures at once.
const MOST_PICTURES: usize = 64;

/// What the worker holds between requests.
pub struct WorkerState {
    /// The device that is being opened while the weights are on their way, until they ask for it.
    opening: Option<Receiver<Result<Opened, String>>>,
    loaded: Option<Rc<LoadedModel>>,
    /// The number of the request that is wanted: one that finds another than its own stops.
    wanted: Option<u32>,
}

impl WorkerState {
    /// Begins to open the device.
    pub fn opening(kind: Kind) -> Self {
        let (send, receive) = oneshot::channel();
        spawn_local(async move {
            let opened = kind.open().await;
            if let Err(reason) = &opened {
                // Now rather than when the weights are here: the page has another engine to fetch.
                scope::post(&WorkerOutput::Unfit { reason: reason.clone() });
            }
            // Nobody listens any more: the worker is about to end.
            let _ = send.send(opened);
        });
        Self { opening: Some(receive), loaded: None, wanted: None }
    }

    /// Stops whatever is being sampled.
    pub fn cancel(&mut self) {
        self.wanted = None;
    }
}

/// Loads the weights onto the device.
pub async fn load(engine: Rc<RefCell<WorkerState>>, weights: Vec<u8>, kind: Kind) {
    let opening = engine.borrow_mut().opening.take();
    match try_load(&weights, kind, opening).await {
        Ok(loaded) => {
            let description = &loaded.description;
            scope::post(&WorkerOutput::Ready {
                gpu: loaded.gpu.clone(),
                step_ms: loaded.step_ms,
                launches: loaded.launches,
                model: description.name.clone(),
                image_size: description.image_size(),
                first_size: loaded.model.stages().first().map_or(0, SamplingStage::image_size),
                usual: loaded.model.usual(),
                memory: scope::memory(),
            });
            engine.borrow_mut().loaded = Some(Rc::new(loaded));
        }
        Err(event) => scope::post(&event),
    }
}

async fn try_load(
    weights: &[u8],
    kind: Kind,
    opening: Option<Receiver<Result<Opened, String>>>,
) -> Result<LoadedModel, WorkerOutput> {
    let opened = match opening {
        Some(opening) => opening.await.unwrap_or_else(|_| Err("nobody opened the device".into())),
        None => kind.open().await,
    };
    let device = opened.map_err(|reason| WorkerOutput::Unfit { reason })?;
    device.load(weights).await.map_err(|failure| match failure {
        Failure::Weights(error) => WorkerOutput::Failed { fault: Fault::Weights(error.to_string()) },
        Failure::Device(reason) => WorkerOutput::Unfit { reason },
    })
}

/// Samples pictures, telling the page of every step.
pub async fn sample(engine: Rc<RefCell<WorkerState>>, turn: u32, task: SampleTask) {
    let loaded = {
        let mut engine = engine.borrow_mut();
        engine.wanted = Some(turn);
        engine.loaded.clone()
    };
    let still_wanted = || engine.borrow().wanted == Some(turn);
    let report = |output| scope::post(&WorkerOutput::Sampling { turn, output });
    report(match loaded {
        Some(loaded) => {
            let end = try_sample(&loaded, task, |step| report(SamplingOutput::Step(step)), still_wanted).await;
            end.unwrap_or_else(|reason| SamplingOutput::Failed { reason })
        }
        None => SamplingOutput::Failed { reason: "the model is not loaded yet".into() },
    });
}

async fn try_sample(
    loaded: &LoadedModel,
    task: SampleTask,
    report: impl Fn(protocol::ShownStep),
    still_wanted: impl Fn() -> bool,
) -> Result<SamplingOutput, String> {
    let SampleTask { origins, steps, sampler, edit, activations } = task;
    if !(1..=MOST_STEPS).contains(&steps) {
        return Err(format!("a butterfly takes from 1 to {MOST_STEPS} steps, not {steps}"));
    }
    if !(1..=MOST_PICTURES).contains(&origins.len()) {
        return Err(format!("from 1 to {MOST_PICTURES} butterflies hatch at once, not {}", origins.len()));
    }
    let before = scope::now_ms();
    let plan = Plan { sampler, levels: NoiseLevels::default(), steps };
    let watched_at = edit.as_ref().and_then(Edit::guessed_at).filter(|_| activations);
    let edited = edit.map(|edit| Edited::new(&edit, &loaded.model, &loaded.device)).transpose();
    let edited = edited.map_err(|error| error.to_string())?;
    let mut last = None;
    let cascade = Cascade::from_origins(&loaded.model, plan, origins, edited, &loaded.device);
    for CascadeStep { finished, step, .. } in cascade {
        // A guess is of the picture that its one step shows as given.
        let activations = match loaded.model.stages().first().zip(watched_at) {
            Some((first, sigma)) => shown_activations(first.denoiser(None).activations(&step.x, sigma)).await?,
            None => Vec::new(),
        };
        let (noisy, clean) = shown(step.x.clone(), step.denoised.clone()).await?;
        if finished {
            last = Some(noisy.clone());
        }
        let Step { index, of, sigma, began, .. } = step;
        report(protocol::ShownStep { index, of, sigma, began, noisy, clean, activations });
        scope::give_way().await;
        if !still_wanted() {
            return Ok(SamplingOutput::Cancelled);
        }
    }
    let pictures = last.ok_or("no step was taken")?;
    Ok(SamplingOutput::Finished { pictures, total_ms: scope::now_ms() - before })
}

/// Reads both batches back, at once: on a GPU each reading is a wait.
async fn shown(noisy: Tensor<4>, clean: Tensor<4>) -> Result<(Vec<Shown>, Vec<Shown>), String> {
    let both = Tensor::cat(vec![noisy, clean], 0);
    let pictures = Picture::from_batch(both).await.map_err(|error| format!("its picture was lost: {error}"))?;
    let shown = |picture: &Picture| Shown {
        width: picture.width() as u32,
        height: picture.height() as u32,
        rgba: picture.rgba(),
    };
    let (noisy, clean) = pictures.split_at(pictures.len() / 2);
    Ok((noisy.iter().map(shown).collect(), clean.iter().map(shown).collect()))
}

/// Reads activations back, all at once, as pictures.
async fn shown_activations(activations: Vec<Tensor<4>>) -> Result<Vec<Shown>, String> {
    let lost = |error: &dyn std::fmt::Display| format!("its activations were lost: {error}");
    let shapes: Vec<[usize; 4]> = activations.iter().map(Tensor::dims).collect();
    let reading = activations.into_iter().fold(Transaction::default(), Transaction::register);
    let read = reading.execute_async().await.map_err(|error| lost(&error))?;
    let sheet = |(data, [_, rows, columns, channels]): (TensorData, [usize; 4])| {
        let values = data.convert::<f32>().try_into_vec::<f32>().map_err(|error| lost(&error))?;
        Ok(activations::sheet(&values, [rows, columns, channels]))
    };
    read.into_iter().zip(shapes).map(sheet).collect()
}

/// Samples a picture that nobody sees: everything that sampling needs is compiled then.
///
/// # Errors
/// When the device gives no picture back.
pub async fn warm_up(model: &SamplingModel, device: &Device) -> Result<(), String> {
    // What most walks begin with: in two steps, the usual sampler would begin in a Gaussian.
    let plan = Plan { sampler: Sampler::Ddim { eta: 0.0 }, levels: NoiseLevels::default(), steps: 2 };
    for CascadeStep { step, .. } in Cascade::new(model, plan, &[0], device) {
        shown(step.x, step.denoised).await?;
    }
    Ok(())
}
