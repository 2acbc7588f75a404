//! Loading a model and hatching pictures from it.

use std::cell::RefCell;
use std::rc::Rc;

use burn::tensor::{Device, Tensor};

use super::device::{Failure, Kind, Sound};
use super::scope;
use crate::diffusion::{Cascade, CascadeStep, NoiseLevels, Plan, Sampler, SamplingModel};
use crate::picture::Picture;
use crate::protocol::{self, Event, Fault, HatchWish, Hatching, Shown};

/// The most steps a page may ask for.
const MOST_STEPS: usize = 1000;
/// The most pictures at once.
const MOST_PICTURES: usize = 64;

/// What the worker holds between requests.
#[derive(Default)]
pub struct Engine {
    sound: Option<Rc<Sound>>,
    /// The number of the hatching that is wanted: one that finds another than its own stops.
    wanted: Option<u32>,
}

impl Engine {
    /// Stops whatever hatches.
    pub fn cancel(&mut self) {
        self.wanted = None;
    }
}

/// Opens the device and loads the weights.
pub async fn load(engine: Rc<RefCell<Engine>>, weights: Vec<u8>, kind: Kind) {
    match try_load(&weights, kind).await {
        Ok(sound) => {
            let description = &sound.description;
            scope::post(&Event::Ready {
                gpu: sound.gpu.clone(),
                step_ms: sound.step_ms,
                model: description.name.clone(),
                image_size: description.image_size(),
            });
            engine.borrow_mut().sound = Some(Rc::new(sound));
        }
        Err(event) => scope::post(&event),
    }
}

async fn try_load(weights: &[u8], kind: Kind) -> Result<Sound, Event> {
    let device = kind.open().await.map_err(|reason| Event::Unfit { reason })?;
    device.load(weights).await.map_err(|failure| match failure {
        Failure::Weights(error) => Event::Failed { fault: Fault::Weights(error.to_string()) },
        Failure::Device(reason) => Event::Unfit { reason },
    })
}

/// Hatches pictures, telling the page of every step.
pub async fn hatch(engine: Rc<RefCell<Engine>>, turn: u32, wish: HatchWish) {
    let sound = {
        let mut engine = engine.borrow_mut();
        engine.wanted = Some(turn);
        engine.sound.clone()
    };
    let still_wanted = || engine.borrow().wanted == Some(turn);
    let tell = |news| scope::post(&Event::Hatching { turn, news });
    tell(match sound {
        Some(sound) => {
            let end = try_hatch(&sound, wish, |step| tell(Hatching::Step(step)), still_wanted).await;
            end.unwrap_or_else(|reason| Hatching::Failed { reason })
        }
        None => Hatching::Failed { reason: "the model is not loaded yet".into() },
    });
}

async fn try_hatch(
    sound: &Sound,
    wish: HatchWish,
    tell: impl Fn(protocol::Step),
    still_wanted: impl Fn() -> bool,
) -> Result<Hatching, String> {
    if !(1..=MOST_STEPS).contains(&wish.steps) {
        return Err(format!("a butterfly takes from 1 to {MOST_STEPS} steps, not {}", wish.steps));
    }
    if !(1..=MOST_PICTURES).contains(&wish.count) {
        return Err(format!("from 1 to {MOST_PICTURES} butterflies hatch at once, not {}", wish.count));
    }
    let before = scope::now_ms();
    let seeds: Vec<u64> = (0..wish.count as u64).map(|index| wish.seed.wrapping_add(index)).collect();
    let plan = Plan { sampler: wish.sampler, levels: NoiseLevels::default(), steps: wish.steps };
    let mut last = None;
    for CascadeStep { finished, step, .. } in Cascade::new(&sound.model, plan, &seeds, &sound.device) {
        let (noisy, clean) = shown(step.x, step.denoised).await?;
        if finished {
            last = Some(noisy.clone());
        }
        tell(protocol::Step { index: step.index, of: step.of, sigma: step.sigma, noisy, clean });
        scope::give_way().await;
        if !still_wanted() {
            return Ok(Hatching::Cancelled);
        }
    }
    let pictures = last.ok_or("no step was taken")?;
    Ok(Hatching::Hatched { pictures, total_ms: scope::now_ms() - before })
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

/// Hatches a picture that nobody sees: everything that hatching needs is compiled then.
///
/// # Errors
/// When the device gives no picture back.
pub async fn rehearse(model: &SamplingModel, device: &Device) -> Result<(), String> {
    let plan = Plan { sampler: Sampler::DpmSolver, levels: NoiseLevels::default(), steps: 2 };
    for CascadeStep { step, .. } in Cascade::new(model, plan, &[0], device) {
        shown(step.x, step.denoised).await?;
    }
    Ok(())
}
