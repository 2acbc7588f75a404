//! `evaluate`: a weight file and its training pictures in, figures of quality out.

mod report;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};
use burn::tensor::Device;
use clap::Parser;
use serde::{Deserialize, Serialize};

use super::shipped;
use crate::data::{Dataset, Squaring};
use crate::device::{self, DeviceChoice};
use crate::diffusion::{Cascade, NoiseLevels, Plan, Sampler, SamplingModel, SamplingStage};
use crate::files;
use crate::picture::Picture;
use crate::quality::{Calibration, FeatureNet, Judge, Judgement, novelty};
use crate::terminal;

/// Measure how good a model's pictures are: KID, FID, precision, recall, density, coverage, and whether they are copies.
///
/// Prints JSON. The network that pictures are compared by comes from scripts/quality-network.sh.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// A weight file; without it, the shipped butterflies
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// The pictures that the model learned from: a folder, a Parquet file or folder of them, or a dataset's name on the
    /// Hugging Face hub
    #[arg(long)]
    data: String,
    /// How pictures that are not square become square, as in training
    #[arg(long, default_value = "pad")]
    squaring: Squaring,
    /// How many pictures to sample, from seed 0 up; without it, as many as there are training pictures
    #[arg(long, value_parser = clap::value_parser!(u64).range(8..=100_000))]
    count: Option<u64>,
    /// Steps of the first stage; without it, as many as the weight file says, or 12 where that is fewer and there is another
    /// sampler. Further stages take a third of them, at most eight, or the few that they were tuned for
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1000))]
    steps: Option<u64>,
    /// heun, heun:CHURN (CHURN from 0 to 200), dpm, dpm-sde, ddim, ddim:ETA (ETA from 0 to 1) or ddpm; without it, dpm for a
    /// model whose first stage is tuned, else dpm-sde
    #[arg(long)]
    sampler: Option<Sampler>,
    /// Also write quality.json and index.html, with a grid, the closest training pictures, samplers compared and a
    /// calibration, into this folder
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Also write the index of the training pictures by which a page tells how new a picture is, where its
    /// models.json names it
    #[arg(long, value_name = "FILE")]
    index: Option<PathBuf>,
    /// Where to compute: auto, gpu, cpu, cuda, rocm, libtorch, or the address of a serve (ws://host:3000)
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// The network that pictures are compared by; without it, what scripts/quality-network.sh wrote
    #[arg(long, value_name = "FILE")]
    network: Option<PathBuf>,
}

/// Everything that was measured, as it stands in quality.json.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// The model's name.
    pub model: String,
    /// What it was compared with.
    pub data: String,
    /// Pictures sampled, from seed 0 up.
    pub generated: usize,
    /// How.
    pub sampler: Sampler,
    /// Steps of the first stage.
    pub steps: usize,
    /// Evaluations of all stages' networks together.
    pub evaluations: usize,
    /// What computed.
    pub device: String,
    /// Seconds a picture there, many at once.
    pub seconds_a_picture: f64,
    /// At the model's own size and, where that is larger, at 64 pixels.
    pub judgements: Vec<Judgement>,
    /// Damaged real pictures at each of these sizes; only with a report.
    pub calibration: Vec<(usize, Vec<Calibration>)>,
    /// How alike the index, if one was asked for, and the network rank generated pictures by how near they come to a
    /// training picture (Spearman); and the index and pixels.
    #[serde(default)]
    pub index_agreement: Option<[f64; 2]>,
    /// KID by sampler and evaluations, at the smallest of these sizes; only with a report.
    pub samplers: Vec<SamplerRow>,
}

/// One point of the comparison of samplers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SamplerRow {
    /// The sampler.
    pub sampler: Sampler,
    /// Evaluations of the first stage's network.
    pub evaluations: usize,
    /// KID × 1,000.
    pub kid: f64,
    /// Its deviation over subsets.
    pub deviation: f64,
}

/// The size at which published models are compared, and all sizes can be.
const COMMON_SIZE: usize = 64;
/// Pictures sampled together.
const BATCH: usize = 16;
/// Samplers in the report's comparison, and evaluations of the first stage.
const COMPARED: [Sampler; 4] =
    [Sampler::DpmSolverSde, Sampler::Ddpm, Sampler::DpmSolver, Sampler::Heun { churn: 10.0 }];
const EVALUATIONS: [usize; 3] = [10, 20, 40];
/// The share of all pictures that such a comparison, or a row of the calibration, is made with.
const SHARE_FOR_ROWS: usize = 3;

/// Runs the command.
///
/// # Errors
/// With what stopped it.
pub fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let chosen = device::choose(&arguments.device)?;
    let path = arguments.network.clone().unwrap_or_else(FeatureNet::default_path);
    let network = Arc::new(FeatureNet::load(&path, &chosen.device)?);
    let weights = shipped::load(arguments.weights.as_deref(), &chosen.device)?;
    let model = weights.model.for_sampling(&chosen.device);
    let size = weights.description.image_size();
    let sizes = if size > COMMON_SIZE { vec![size, COMMON_SIZE] } else { vec![size] };
    let load = |size| Dataset::load(&arguments.data, size, arguments.squaring).map(|dataset| pictures(&dataset));
    let real = sizes.iter().map(|&size| load(size)).collect::<Result<Vec<_>, _>>()?;
    let found = real.first().map_or(0, Vec::len);
    if found < 8 {
        bail!("{} holds {found} usable pictures: at least 8 are needed to compare with", arguments.data);
    }
    let count = arguments.count.map_or(found, |count| count as usize);
    eprintln!("{} on {}, against {found} pictures", weights.description.name, chosen.name);

    let (sampler, steps) = model.usual().unless(arguments.sampler, arguments.steps.map(|steps| steps as usize), false);
    let plan = Plan { sampler, levels: NoiseLevels::default(), steps };
    let started = Instant::now();
    let generated = sample(&model, plan, count, &chosen.device)?;
    let seconds_a_picture = started.elapsed().as_secs_f64() / count as f64;

    let judges = judges(&network, real)?;
    let mut quality = Quality {
        model: weights.description.name.clone(),
        data: arguments.data.clone(),
        generated: count,
        sampler,
        steps: plan.steps,
        evaluations: plan.evaluations(&model),
        device: chosen.name.clone(),
        seconds_a_picture,
        judgements: Vec::new(),
        calibration: Vec::new(),
        index_agreement: None,
        samplers: Vec::new(),
    };
    for judge in &judges {
        let bar = terminal::bar("comparing", (count + judge.real().len()) as u64);
        quality.judgements.push(judge.judge(&generated, |done| bar.inc(done as u64))?);
        bar.finish_and_clear();
    }
    if let (Some(file), Some(judge), Some(judgement)) = (&arguments.index, judges.first(), quality.judgements.first()) {
        let index = novelty::index(judge.real()).checked()?;
        files::write(file, &index.write()?)?;
        let distance = |picture: &Picture| Some(index.novelty(&novelty::described(picture)?)?.distance);
        let distances: Vec<f64> = generated.iter().filter_map(distance).collect();
        quality.index_agreement = Some([&judgement.copies_in_features, &judgement.copies_in_pixels].map(|copies| {
            let nearest: Vec<f64> = copies.nearest.iter().map(|(_, distance)| *distance).collect();
            novelty::rank_correlation(&distances, &nearest)
        }));
        eprintln!("{}", file.display());
    }
    if let Some(folder) = &arguments.report {
        compare_further(&mut quality, &judges, &model, &chosen.device)?;
        report::write(folder, &quality, &judges, &generated)?;
        eprintln!("{}", folder.join("index.html").display());
    }
    println!("{}", serde_json::to_string_pretty(&quality)?);
    Ok(())
}

/// Reads what was measured.
///
/// # Errors
/// When the file cannot be read or is none of `evaluate`'s.
pub fn read(path: &Path) -> anyhow::Result<Quality> {
    serde_json::from_slice(&files::read(path)?)
        .with_context(|| format!("{} is not written by evaluate", path.display()))
}

impl Quality {
    /// The figures that a weight file carries: by name.
    pub fn figures(&self) -> std::collections::BTreeMap<String, f64> {
        let mut figures = std::collections::BTreeMap::new();
        for Judgement { size, scores, floor, copies_in_features, copies_in_pixels } in &self.judgements {
            let mut figure = |name: &str, value: f64| {
                // Four digits are more than any of them is sure of.
                figures.insert(format!("{name} at {size} px"), (value * 1e4).round() / 1e4);
            };
            figure("KID × 1000", scores.kid);
            figure("KID × 1000, deviation over subsets", scores.kid_deviation);
            figure("KID × 1000, real pictures against real ones", floor.kid);
            figure("FID", scores.fid);
            figure("precision", scores.precision);
            figure("recall", scores.recall);
            figure("density", scores.density);
            figure("coverage", scores.coverage);
            figure(
                "share nearer to a training picture than the 1st percentile, features",
                copies_in_features.share_nearer,
            );
            figure("share nearer to a training picture than the 1st percentile, pixels", copies_in_pixels.share_nearer);
        }
        for (size, rows) in &self.calibration {
            for Calibration { damage, kid } in rows {
                figures
                    .insert(format!("KID × 1000 at {size} px of real pictures, {damage}"), (kid * 1e4).round() / 1e4);
            }
        }
        figures
    }
}

fn pictures(dataset: &Dataset) -> Vec<Picture> {
    (0..dataset.len()).filter_map(|index| dataset.picture(index)).collect()
}

fn judges(network: &Arc<FeatureNet>, real: Vec<Vec<Picture>>) -> anyhow::Result<Vec<Judge>> {
    let bar = terminal::bar("looking at real pictures", real.iter().map(Vec::len).sum::<usize>() as u64);
    let judges = real.into_iter().map(|real| Judge::new(Arc::clone(network), real, |done| bar.inc(done as u64)));
    let judges = judges.collect::<Result<_, _>>()?;
    bar.finish_and_clear();
    Ok(judges)
}

/// The finished pictures of the seeds from 0 up.
fn sample(model: &SamplingModel, plan: Plan, count: usize, device: &Device) -> anyhow::Result<Vec<Picture>> {
    let bar = terminal::bar("sampling", count as u64);
    let seeds: Vec<u64> = (0..count as u64).collect();
    let mut pictures = Vec::with_capacity(count);
    for seeds in seeds.chunks(BATCH) {
        let last = Cascade::new(model, plan, seeds, device).last().context("a cascade has steps")?;
        pictures.extend(pollster::block_on(Picture::from_batch(last.step.x))?);
        bar.inc(seeds.len() as u64);
    }
    bar.finish_and_clear();
    Ok(pictures)
}

fn compare_further(
    quality: &mut Quality,
    judges: &[Judge],
    model: &SamplingModel,
    device: &Device,
) -> anyhow::Result<()> {
    for judge in judges {
        let count = judge.real().len().div_ceil(SHARE_FOR_ROWS);
        let bar = terminal::bar("calibrating", (count * Judge::DAMAGES) as u64);
        quality.calibration.push((judge.size(), judge.calibrate(count, |done| bar.inc(done as u64))?));
        bar.finish_and_clear();
    }
    let Some(judge) = judges.last() else { return Ok(()) };
    let finishes_from = model.stages().first().map_or(&[][..], SamplingStage::finishes_from);
    let count = quality.generated.div_ceil(SHARE_FOR_ROWS).max(8);
    for sampler in COMPARED {
        for evaluations in EVALUATIONS {
            let plan = |steps| Plan { sampler, levels: NoiseLevels::default(), steps };
            let affordable = |&steps: &usize| plan(steps).evaluations_of(0, finishes_from) <= evaluations;
            let plan = plan((1..=evaluations).rev().find(affordable).unwrap_or(1));
            let evaluations = plan.evaluations_of(0, finishes_from);
            let generated = sample(model, plan, count, device)?;
            let (kid, deviation) = judge.kernel_distance(&generated, |_| ())?;
            quality.samplers.push(SamplerRow { sampler, evaluations, kid, deviation });
        }
    }
    Ok(())
}
