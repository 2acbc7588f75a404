//! `sample`: seeds in, pictures out.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::Parser;
use indicatif::ProgressBar;

use super::shipped;
use crate::address::MOST_STEPS;
use crate::data::{self, Squaring};
use crate::device::{self, DeviceChoice};
use crate::diffusion::{BetaSchedule, Cascade, CascadeStep, Edited, NoiseLevels, Plan, Sampler};
use crate::edit::{Edit, EditTask};
use crate::files;
use crate::origin::Series;
use crate::picture::Picture;
use crate::png;
use crate::terminal;

/// Sample pictures from a trained model.
///
/// A seed gives the same picture on every machine and in the browser, whichever pictures it is sampled together with.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// A weight file; without it, the shipped butterflies
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// The first seed; the others follow it
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// What the pictures are: seeds (those that follow the first), morph:SEED (the way to another seed's picture, which is the
    /// last), between:SEED:PERCENT (so far on that way, and so on with the seeds that follow both) or relatives (the first one
    /// with ever more of other noise)
    #[arg(long, default_value_t)]
    series: Series,
    /// How many pictures
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    count: u64,
    /// Steps of the first stage; without it, as many as the weight file says, or 12 where that is fewer and there is another sampler,
    /// another schedule or a picture to begin with. Further stages take a third of them, at most eight, or the few that they were tuned for, and are
    /// sampled ancestrally; heun asks the network twice a step
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1000))]
    steps: Option<u64>,
    /// heun, heun:CHURN (CHURN from 0 to 200), dpm, dpm-sde, ddim, ddim:ETA (ETA from 0 to 1) or ddpm; without it, dpm for a
    /// model whose first stage is tuned, else dpm-sde
    #[arg(long)]
    sampler: Option<Sampler>,
    /// Walk the noise levels of the classic DDPM instead of the default ones; cosine starts far above what the shipped model has seen
    #[arg(long, value_name = "SCHEDULE")]
    schedule: Option<BetaSchedule>,
    /// Begin with this picture instead of with noise alone (image to image)
    #[arg(long, value_name = "FILE", conflicts_with = "inpaint")]
    image: Option<PathBuf>,
    /// How far to leave that picture: the share of the first stage's steps that are taken
    #[arg(long, value_name = "SHARE", default_value_t = DEFAULT_STRENGTH, requires = "image")]
    strength: f64,
    /// Only ask the first stage what it sees in that picture under noise of this level (for pictures from −1 to 1), and show what it is given beside what it sees
    #[arg(long, value_name = "SIGMA", requires = "image", conflicts_with_all = ["strength", "strip", "each"])]
    guess_at: Option<f64>,
    /// Cut a skip connection of its network meanwhile, counted from the outermost, which is 0
    #[arg(long, value_name = "NUMBER", requires = "guess_at")]
    without_skip: Option<usize>,
    /// Make anew what is transparent in this square picture, and keep the rest (inpainting)
    #[arg(long, value_name = "FILE")]
    inpaint: Option<PathBuf>,
    /// Where to compute: auto, gpu, cpu, cuda, rocm, libtorch, or the address of a serve (ws://host:3000)
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// Pictures computed together
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=4096))]
    batch_size: u64,
    /// The PNG to write: a grid of all pictures
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Write the denoising steps in a row for each picture, instead of the pictures alone
    #[arg(long)]
    strip: bool,
    /// Write one PNG a picture, named after its seed, into the folder --out
    #[arg(long, conflicts_with = "strip")]
    each: bool,
}

/// Outline and colours are still those of a drawing, and the texture is that of a butterfly.
const DEFAULT_STRENGTH: f64 = 0.3;

/// Ways to another seed are looked at picture by picture.
const MOST_OF_A_SERIES: u64 = 1000;

impl Arguments {
    /// What is shown of each walk.
    fn shown(&self) -> Showing {
        match self {
            Self { guess_at: Some(_), .. } => Showing::Guess,
            Self { strip: true, .. } => Showing::Steps,
            _ => Showing::Finished,
        }
    }

    /// The name of a picture's file: its seed, or of a way between seeds the first one and the picture's number on it.
    fn file_name(&self, index: u64) -> String {
        match self.series {
            Series::Seeds => format!("{:08}.png", self.seed + index),
            Series::Morph(to) => format!("{:08}-to-{to:08}-{index:03}.png", self.seed),
            Series::Between { to, percent } => {
                let [seed, to] = [self.seed, to].map(|first| first.wrapping_add(index));
                format!("{seed:08}-to-{to:08}-at-{percent:03}.png")
            }
            Series::Relatives => format!("{:08}-relative-{index:03}.png", self.seed),
        }
    }

    /// What a picture's file says about itself, as an address does: the page opens it again. Nothing where the page has not all
    /// that it takes.
    fn said(&self, index: u64, Plan { sampler, steps, .. }: Plan) -> Option<String> {
        let Self { weights: None, series: Series::Seeds, schedule: None, image: None, inpaint: None, .. } = self else {
            return None;
        };
        if steps > MOST_STEPS {
            return None;
        }
        Some(format!("seed={}&steps={}&sampler={}&weights={}", self.seed + index, steps, sampler, shipped::SHIPPED))
    }

    /// The picture to begin with, for a model whose pictures have a side of `size` pixels.
    fn edit(&self, size: usize) -> anyhow::Result<Option<Edit>> {
        let begun = match self.guess_at {
            Some(sigma) => EditTask::Guess { sigma, without_skip: self.without_skip },
            None => EditTask::ImageToImage { strength: self.strength },
        };
        let (path, task) = match (&self.image, &self.inpaint) {
            (Some(path), _) => (path, begun),
            (None, Some(path)) => (path, EditTask::Inpainting),
            (None, None) => return Ok(None),
        };
        let bytes = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let rgba = match task {
            EditTask::ImageToImage { .. } | EditTask::Guess { .. } => data::square(&bytes, size, Squaring::Pad, false)
                .and_then(|square| Picture::from_rgb(size, size, square.pixels).map_err(|error| error.to_string()))
                .map(|picture| picture.rgba()),
            EditTask::Inpainting => data::square_with_opacity(&bytes, size),
        };
        let rgba = rgba.map_err(|reason| anyhow!("{} cannot be begun with: {reason}", path.display()))?;
        let edit = Edit::new(size, rgba, task)?;
        if task == EditTask::Inpainting && edit.opacities().iter().all(|&opacity| opacity == 1.0) {
            bail!(
                "nothing in {} is transparent: erase what is to be made anew, and keep the PNG's transparency",
                path.display()
            );
        }
        Ok(Some(edit))
    }
}

/// Runs the command.
///
/// # Errors
/// With what stopped it.
pub fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if arguments.series == Series::Seeds && arguments.seed.checked_add(arguments.count - 1).is_none() {
        bail!("--seed {} with --count {} goes past the largest seed, {}", arguments.seed, arguments.count, u64::MAX);
    }
    if arguments.series != Series::Seeds && arguments.count > MOST_OF_A_SERIES {
        bail!("--count {} is too many for one way: at most {MOST_OF_A_SERIES}", arguments.count);
    }
    let chosen = device::choose(&arguments.device)?;
    let weights = shipped::load(arguments.weights.as_deref(), &chosen.device)?;
    let model = weights.model.for_sampling(&chosen.device);
    for (stage, described) in model.stages().iter().zip(&weights.description.stages) {
        pollster::block_on(described.probe.check(stage, &chosen.device))
            .map_err(|error| anyhow::anyhow!("{} cannot be used: {error}. Try --device cpu", chosen.name))?;
    }
    eprintln!("{} on {}", weights.description.name, chosen.name);

    let origins = arguments.series.origins(arguments.seed, arguments.count as usize);
    let levels = match arguments.schedule {
        Some(schedule) => NoiseLevels::Ddpm(schedule),
        None => NoiseLevels::default(),
    };
    let edit = arguments.edit(model.image_size())?;
    let asked = arguments.steps.map(|steps| steps as usize);
    let (sampler, steps) =
        model.usual().unless(arguments.sampler, asked, edit.is_some() || arguments.schedule.is_some());
    let plan = Plan { sampler, levels, steps };
    let edited = edit.map(|edit| Edited::new(&edit, &model, &chosen.device)).transpose()?;
    let batch_size = arguments.batch_size as usize;
    let bar = terminal::bar("sampling", 0);
    let mut rows: Vec<Vec<Picture>> = Vec::new();
    for (first, batch) in (0..).step_by(batch_size).zip(origins.chunks(batch_size)) {
        let cascade = Cascade::from_origins(&model, plan, batch.to_vec(), edited.clone(), &chosen.device);
        bar.set_length((origins.len() * cascade.steps()) as u64);
        let finished = walk(cascade, arguments.shown(), batch.len(), &bar)?;
        if arguments.each {
            // Written as they come: hours of work are not lost to an interruption.
            for (index, picture) in (first..).zip(finished.iter().flatten()) {
                let png = picture.to_png()?;
                let said = arguments.said(index, plan).and_then(|text| png::with_text(&png, png::KEYWORD, &text));
                files::write(&arguments.out.join(arguments.file_name(index)), &said.unwrap_or(png))?;
            }
        } else {
            rows.extend(finished);
        }
    }
    bar.finish_and_clear();
    write(&arguments, rows)
}

/// What is shown of the way from noise to a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Showing {
    /// The finished picture alone.
    Finished,
    /// What the network sees at each step, and the finished picture.
    Steps,
    /// What the network is given, and what it sees in it.
    Guess,
}

/// Samples one batch: a row for each picture, in which small ones are enlarged to the size of the last.
fn walk(cascade: Cascade<'_>, showing: Showing, count: usize, bar: &ProgressBar) -> anyhow::Result<Vec<Vec<Picture>>> {
    let mut rows = vec![Vec::new(); count];
    for CascadeStep { finished, step, .. } in cascade {
        // Reading a step back also keeps the bar honest: until then a GPU has only been told what to do.
        let shown = match showing {
            Showing::Guess => vec![step.x, step.denoised],
            _ if finished => vec![step.x],
            Showing::Steps => vec![step.denoised],
            Showing::Finished => Vec::new(),
        };
        for shown in shown {
            for (row, picture) in rows.iter_mut().zip(pollster::block_on(Picture::from_batch(shown))?) {
                row.push(picture);
            }
        }
        bar.inc(count as u64);
    }
    for row in &mut rows {
        let size = row.last().map_or(0, Picture::width);
        for picture in row.iter_mut() {
            *picture = picture.repeated(size / picture.width().max(1));
        }
    }
    Ok(rows)
}

fn write(arguments: &Arguments, rows: Vec<Vec<Picture>>) -> anyhow::Result<()> {
    if arguments.each {
        eprintln!("{} pictures in {}", arguments.count, arguments.out.display());
        return Ok(());
    }
    let columns = match rows.first() {
        Some(row) if arguments.shown() != Showing::Finished => row.len(),
        _ => square_columns(arguments.count as usize),
    };
    let pictures: Vec<Picture> = rows.into_iter().flatten().collect();
    write_grid(&arguments.out, &pictures, columns)
}

fn write_grid(path: &Path, pictures: &[Picture], columns: usize) -> anyhow::Result<()> {
    files::write(path, &Picture::grid(pictures, columns, 2).to_png()?)?;
    eprintln!("{}", path.display());
    Ok(())
}

/// Columns that make a grid about twice as wide as high, or square for a square number.
fn square_columns(count: usize) -> usize {
    let side = (count as f64).sqrt();
    if side.fract() == 0.0 { side as usize } else { ((count * 2) as f64).sqrt().ceil() as usize }
}
