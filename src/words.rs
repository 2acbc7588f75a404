//! What people read about engines and pictures: the only place that has words for it.

use std::cmp::Ordering;

use crate::activations;
use crate::edit::EditTask;
use crate::novelty::Novelty;
use crate::origin::Series;
use crate::pool::{Activity, Fault, Kind, On, Ready, Reason};
use crate::protocol::{BUILD, Purpose, SampleRequest, Shown};
use crate::riddle::Answer;

/// What runs here.
pub struct Running {
    /// The engine.
    pub ready: Ready,
    /// Where the weights came from.
    pub weights: String,
    /// Their bytes, if they are still there.
    pub bytes: Option<usize>,
    /// Their SHA-256, once it is known.
    pub digest: Option<String>,
    /// What sampling was measured to take, once it was.
    pub measured: Option<String>,
    /// How many processors the browser says there are.
    pub processors: usize,
    /// What the browser says that it is.
    pub browser: String,
}

/// What runs here, a line each, for bug reports.
pub fn report(running: &Running) -> String {
    let Running { ready, weights, bytes, digest, measured, processors, browser } = running;
    let Ready { on, step_ms, launches, model, image_size, memory, .. } = ready;
    let launches = launches.map_or(String::new(), |launches| format!(", {launches} launches"));
    let backend = match on {
        On::Gpu { .. } => "WebGPU, CubeCL kernels",
        On::Cpu(_) => "WebAssembly with SIMD, one thread a butterfly",
    };
    [
        format!("Chrysalis  {} (build {BUILD})", env!("CARGO_PKG_VERSION")),
        format!("device     {}", capitalised(&device(on))),
        format!("backend    {backend}"),
        format!("speed      {step_ms:.1} ms an evaluation of the networks{launches}, measured while warming up"),
        format!("measured   {}", measured.as_deref().unwrap_or("not yet")),
        format!("memory     {:.1} MB of the engine's own", memory / 1e6),
        format!("model      {model}, {image_size} × {image_size} pixels"),
        format!("weights    {weights}"),
        format!(
            "           {} bytes, SHA-256 {}",
            bytes.map_or("?".into(), |bytes| bytes.to_string()),
            digest.as_deref().unwrap_or("unknown")
        ),
        format!("processors {processors}"),
        format!("browser    {browser}"),
    ]
    .join("\n")
}

/// How long something took.
pub fn measured(request: &SampleRequest, total_ms: f64) -> String {
    let SampleRequest { count, .. } = request;
    let seconds = total_ms / 1000.0;
    format!("{count} butterflies in {seconds:.2} s, {:.2} s each: {}", seconds / *count as f64, settings(request))
}

/// How far something has come.
pub fn step_of(request: &SampleRequest, index: usize, of: usize) -> String {
    let what = match request.purpose {
        Purpose::Riddle => "one in secret".into(),
        _ => named(request),
    };
    match request.purpose {
        Purpose::Benchmark => format!("Measuring: step {index} of {of}"),
        _ => format!("Hatching {what}: step {index} of {of}"),
    }
}

/// How something is sampled: "12 steps of dpm-sde".
pub fn settings(request: &SampleRequest) -> String {
    format!("{} step{} of {}", steps(request), if request.steps == Some(1) { "" } else { "s" }, sampler(request))
}

/// How many steps of the first stage; until the model is there, nobody knows what is usual for it.
fn steps(request: &SampleRequest) -> String {
    request.steps.map_or("the usual".into(), |steps| steps.to_string())
}

/// The sampler's name; until the model is there, what suits it has none.
fn sampler(request: &SampleRequest) -> String {
    request.sampler.map_or("what suits the model".into(), |sampler| sampler.to_string())
}

/// What there is to say to the answer to a riddle.
pub fn answer(Answer { seen, settled, of }: &Answer) -> String {
    let compared = match seen.cmp(settled) {
        std::cmp::Ordering::Less => "before the network had",
        std::cmp::Ordering::Equal => "just when the network had",
        std::cmp::Ordering::Greater => "after the network had",
    };
    format!(
        "You saw it at step {seen} of {of}, {compared} settled: from step {settled} on its guess is nearer to the result than half of the way. Left is the result, right \
         what it guessed at your step."
    )
}

/// How new a picture is.
pub fn novelty(Novelty { share, .. }: &Novelty) -> String {
    let percent = (100.0 * share).round();
    if percent < 1.0 {
        return "Hardly new: a training picture is as near as real ones hardly ever are to each other".into();
    }
    format!("Farther from all training pictures than {percent:.0} % of these are from each other")
}

/// What was asked for.
pub fn named(request: &SampleRequest) -> String {
    let SampleRequest { seed, count, .. } = *request;
    match request.series {
        Series::Between { to, percent } if count == 1 => {
            format!("{percent} % of the way from number {seed} to number {to}")
        }
        _ if count == 1 => format!("number {seed}"),
        Series::Seeds => format!("numbers {seed} to {}", seed.wrapping_add(count as u64 - 1)),
        Series::Morph(to) => format!("from number {seed} to number {to}"),
        Series::Between { to, percent } => {
            format!("{percent} % of the ways from number {seed} and {} more to number {to} and as many", count - 1)
        }
        Series::Relatives => format!("number {seed} and its {} relatives", count - 1),
    }
}

/// One of its pictures, counted from zero.
pub fn place(request: &SampleRequest, place: usize) -> String {
    let SampleRequest { seed, count, .. } = *request;
    match request.series {
        Series::Seeds => format!("number {}", seed.wrapping_add(place as u64)),
        Series::Between { .. } => named(&request.again(place)),
        _ if place == 0 => format!("number {seed}"),
        Series::Morph(to) if place + 1 == count => format!("number {to}"),
        Series::Morph(to) => format!("{seed} to {to}, {place} of {}", count - 1),
        Series::Relatives => format!("relative {place} of {seed}"),
    }
}

/// What to call a file of all its pictures, or of one of them; and of an earlier step, by its number.
pub fn file_name(request: &SampleRequest, place: Option<usize>, step: Option<usize>) -> String {
    let SampleRequest { seed, count, series, .. } = *request;
    let what = match (series, place) {
        (Series::Seeds, Some(place)) => format!("butterfly-{}", seed.wrapping_add(place as u64)),
        (Series::Seeds, None) if count == 1 => format!("butterfly-{seed}"),
        (Series::Seeds, None) => format!("butterflies-{seed}-and-{}", count - 1),
        (Series::Between { .. }, Some(place)) if place > 0 => return file_name(&request.again(place), None, step),
        (Series::Between { to, percent }, _) => format!("butterfly-{seed}-to-{to}-at-{percent}"),
        (Series::Morph(to), Some(place)) => format!("butterfly-{seed}-to-{to}-{place}-of-{}", count - 1),
        (Series::Morph(to), None) => format!("butterfly-{seed}-to-{to}"),
        (Series::Relatives, Some(place)) => format!("butterfly-{seed}-relative-{place}"),
        (Series::Relatives, None) => format!("butterfly-{seed}-relatives"),
    };
    let step = step.map_or(String::new(), |step| format!("-step-{step}"));
    let beginning = match task(request) {
        None => "",
        Some(EditTask::ImageToImage { .. }) => "-from-a-picture",
        Some(EditTask::Inpainting) => "-filled-in",
        Some(EditTask::Guess { .. }) => "-guessed",
    };
    let settings = format!("{}-{}", sampler(request), steps(request)).replace([':', ' '], "-");
    format!("{what}{beginning}-{settings}{step}.png")
}

/// How it came about: "number 7, 12 steps of dpm-sde".
pub fn label(name: &str, request: &SampleRequest) -> String {
    let beginning = match task(request) {
        None => String::new(),
        Some(EditTask::ImageToImage { strength }) => format!(", from a picture at {:.0} %", 100.0 * strength),
        Some(EditTask::Inpainting) => ", filled in".into(),
        Some(EditTask::Guess { sigma, .. }) => format!(", guessed at {}", level(sigma)),
    };
    format!("{}{beginning}, {}", capitalised(name), settings(request))
}

/// What became of the picture that was begun with, if there was one.
fn task(request: &SampleRequest) -> Option<EditTask> {
    request.edit.as_ref().map(|edit| edit.task())
}

/// Which block of a network it is, of so many in all, and what it works on, as its sheet of activations shows.
pub fn block(block: usize, of: usize, sheet: &Shown) -> String {
    let way = match block.cmp(&(of / 2)) {
        Ordering::Less => "Down",
        Ordering::Equal => "Middle",
        Ordering::Greater => "Up",
    };
    let [rows, columns] = activations::places(sheet);
    format!("{way}, {rows} × {columns}")
}

/// A noise level.
pub fn level(sigma: f64) -> String {
    if sigma >= 10.0 {
        format!("σ {sigma:.0}")
    } else if sigma >= 1.0 || sigma == 0.0 {
        format!("σ {sigma:.1}")
    } else {
        format!("σ {sigma:.3}")
    }
}

/// With a capital letter at its beginning.
pub fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// What is being done, as a sentence.
pub fn activity(activity: &Activity) -> String {
    match activity {
        Activity::LookingForGpu => "Looking for a GPU…".into(),
        Activity::FetchingEngine(Kind::Gpu) => "Fetching the engine for your GPU…".into(),
        Activity::FetchingEngine(Kind::Cpu) => "Fetching the engine for the CPU…".into(),
        Activity::LoadingWeights { bytes, of: Some(of) } => {
            format!("Loading the model: {:.1} of {:.1} MB", bytes / 1e6, of / 1e6)
        }
        Activity::LoadingWeights { bytes, of: None } => format!("Loading the model: {:.1} MB", bytes / 1e6),
        Activity::WarmingUp(Some(name)) => format!("Almost there: warming up your GPU ({name})…"),
        Activity::WarmingUp(None) => "Almost there: warming up the CPU…".into(),
        Activity::WakingHelpers => "Waking a helper for every processor…".into(),
        Activity::Cancelling => "Cancelling…".into(),
        Activity::LeavingGpu(Reason::GaveUp) => "Your GPU gave up; starting again on the CPU…".into(),
        Activity::LeavingGpu(_) => "Your GPU cannot go on; starting again on the CPU…".into(),
        Activity::Restarting => "The engine did not answer; starting it again…".into(),
    }
}

/// Whether that is out of the ordinary, and to be said aloud.
pub fn is_unusual(activity: &Activity) -> bool {
    matches!(activity, Activity::WakingHelpers | Activity::LeavingGpu(_) | Activity::Restarting)
}

/// How far it has come, from 0 to 1, where that is known.
pub fn share(activity: &Activity) -> Option<f64> {
    match activity {
        Activity::LoadingWeights { bytes, of: Some(of) } if *of > 0.0 => Some((bytes / of).min(1.0)),
        _ => None,
    }
}

/// What made a picture, and in what time, for its label.
pub fn made(model: &str, on: &On, total_ms: f64) -> String {
    let device = match on {
        On::Gpu { name, .. } => name,
        On::Cpu(_) => "the CPU",
    };
    format!("{model}, in {:.1} s on {device}", total_ms / 1000.0)
}

/// What computes, and why.
pub fn device(on: &On) -> String {
    match on {
        On::Gpu { name, rival_crashed: None } => format!("your GPU: {name}"),
        On::Gpu { name, rival_crashed: Some(reason) } => {
            format!("your GPU: {name} (the CPU's engine crashed: {reason})")
        }
        On::Cpu(Reason::Asked) => "the CPU, as asked for".into(),
        On::Cpu(reason) => format!("{}: using the CPU", why(reason)),
    }
}

fn why(reason: &Reason) -> String {
    match reason {
        Reason::Asked => "asked for".into(),
        Reason::NoGpu(reason) | Reason::Unfit(reason) => reason.clone(),
        Reason::Software(name) => format!("software adapter ({name})"),
        Reason::NoTimestamps(name) => format!("your GPU ({name}) lacks timestamp-query"),
        Reason::Slower(name) => format!("your GPU ({name}) is slower than the CPU"),
        Reason::Silent => "your GPU fell silent".into(),
        Reason::GaveUp => "your GPU gave up".into(),
    }
}

const OTHER_BROWSER: &str = "Try a current Chrome, Edge, Firefox or Safari.";

/// What went wrong, and what to do about it: a sentence each. With weights of their own, visitors can do more.
pub fn fault(fault: &Fault, own_weights: bool) -> (String, String) {
    match fault {
        Fault::Weights(reason) if own_weights => (
            format!("Your weight file cannot be used: {reason}."),
            "Open one that 'export' of this project wrote, or choose another model.".into(),
        ),
        Fault::NotStarted(reason) => (format!("The engine could not be started: {reason}."), OTHER_BROWSER.into()),
        Fault::EngineFiles => (
            "The engine's files did not arrive.".into(),
            "Check your connection, then press Hatch to try again.".into(),
        ),
        Fault::OtherBuild => (
            "The page and its engine are of different builds: one of them is an old copy.".into(),
            "Reload the page; if it stays, empty the browser's cache for it.".into(),
        ),
        Fault::Download(sentence) => (sentence.clone(), "Check your connection, then press Hatch to try again.".into()),
        Fault::Stalled => (
            "The download of the model has stalled.".into(),
            "Check your connection, then press Hatch to try again.".into(),
        ),
        Fault::Weights(reason) => (
            format!("The weights cannot be used: {reason}."),
            "Reload the page; if it stays, the file on the server is damaged.".into(),
        ),
        Fault::Unfit { reason, on_gpu } => {
            let instead = if *on_gpu { ", or add ?device=cpu to the page's address" } else { "" };
            (format!("No device can be used: {reason}."), format!("Try another browser{instead}."))
        }
        Fault::Crashed { kind, reason } => {
            let instead = if *kind == Kind::Gpu { "add ?device=cpu to its address, or " } else { "" };
            (
                format!("The engine could not go on: {reason}."),
                format!(
                    "Press Hatch to start it again. If it happens again, {instead}try a current Chrome, Edge, Firefox or Safari."
                ),
            )
        }
        Fault::EngineSilent => (
            "The engine does not answer.".into(),
            "Press Hatch to start it again, or add ?device=cpu to the page's address.".into(),
        ),
        Fault::Sampling(reason) => (
            format!("Hatching stopped: {reason}."),
            "Hatch again; if it stays, add ?device=cpu to the page's address and reload.".into(),
        ),
        Fault::Misunderstood(what) => {
            (format!("The page and its engine do not understand each other: {what}."), "Reload the page.".into())
        }
    }
}
