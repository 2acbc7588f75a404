//! The model card: a weight file's description for people.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::description::Description;
use super::encode::Storage;
use crate::diffusion::StageShape;

/// The last line of a card, by which it is known again.
const SIGNATURE: &str = "<!-- a model card, written by chrysalis -->\n";

/// Whether bytes are a card that [`model_card`] wrote.
pub fn is_model_card(bytes: &[u8]) -> bool {
    bytes.ends_with(SIGNATURE.as_bytes())
}

/// What a card says that its weight file does not.
#[derive(Debug, Clone, Copy)]
pub struct CardFacts<'a> {
    /// How the file's numbers are stored.
    pub storage: Storage,
    /// Numbers of all networks together.
    pub parameters: usize,
    /// Bytes of the file.
    pub bytes: usize,
    /// Markdown of the model's own: how to sample it best, what is known to be wrong with it.
    pub notes: &'a str,
}

/// A model card in Markdown, to lie beside the weight file.
pub fn model_card(description: &Description, facts: CardFacts<'_>) -> String {
    let CardFacts { storage, parameters, bytes, notes } = facts;
    let Description { name, stages, usual_steps, data, quality, crate_version, .. } = description;
    let size = description.image_size();
    let stored = match storage {
        Storage::F16 => "f16",
        Storage::F32 => "f32",
        Storage::Int8 => "int8 with a scale for each output channel",
        Storage::Compact => "about 4 bits a number, entropy-coded, with a scale for each output channel",
    };
    let mut card = format!(
        "# {name}\n\n\
         An unconditional diffusion model for pictures of {size} × {size} pixels, trained with Chrysalis {crate_version}.\n\n\
         | | |\n|---|---|\n\
         | file | safetensors, {stored}, {:.2} million parameters, {:.2} MB |\n\
         | training data | {}, {} pictures |\n\
         | licence of the data | {} |\n",
        parameters as f64 / 1e6,
        bytes as f64 / 1e6,
        data.name,
        data.pictures,
        data.licence,
    );
    for (number, stage) in (1..).zip(stages) {
        let StageShape { image_size, patch, enlarges, layers } = &stage.shape;
        let makes = match enlarges {
            1 => format!("makes {image_size} × {image_size} pixels"),
            _ => format!("adds detail to pictures enlarged {enlarges} times, to {image_size} × {image_size} pixels"),
        };
        let epochs = stage.images_seen as f64 / data.pictures.max(1) as f64;
        // Writing to a String cannot fail.
        let _ = writeln!(
            card,
            "| stage {number} | {makes}; UNet of magnitude-preserving blocks (EDM2) on patches of {patch} × {patch}, widths {:?}, {} \
             block(s) a level, attention heads of {} channels at the coarsest; preconditioned by bands ({:?}); {} pictures seen \
             ({epochs:.0} passes), {:.0} minutes{}{}{} |",
            layers.widths,
            layers.depth,
            layers.head_width,
            stage.prediction,
            stage.images_seen,
            stage.seconds / 60.0,
            match stage.finishes_from[..] {
                [] => String::new(),
                [level, ref again @ ..] => {
                    let again =
                        if again.is_empty() { String::new() } else { format!(", and again from {}", listed(again)) };
                    format!(
                        "; tuned against a discriminator to finish in one evaluation from σ = {level} times the data's scale (their \
                         root mean square about the mean){again}"
                    )
                }
            },
            match (stage.components, stage.clusters) {
                (0, _) => String::new(),
                (count, 0) =>
                    format!("; {count} principal components of whole pictures, from which `dpm` begins in few steps"),
                (count, clusters) => format!(
                    "; {clusters} clusters of whole pictures along {count} principal components, from which `dpm` begins in few steps"
                ),
            },
            match stage.finishing_noise[..] {
                [] => String::new(),
                ref noise =>
                    format!("; the noise there is, for each of these σ that it is told (S_noise): {}", listed(noise)),
            }
        );
    }
    let _ = writeln!(card, "| usually sampled | in {usual_steps} step(s) of stage 1 |");
    if quality.is_empty() {
        card.push_str("| quality | not measured |\n");
    } else {
        card.push_str(&quality_table(quality));
    }
    if !notes.trim().is_empty() {
        let _ = write!(card, "\n{}\n", notes.trim());
    }
    card.push_str(
        "\n## Use\n\n    cargo run --release --bin sample -- --weights THIS_FILE --count 16 --out grid.png\n\n\
         Or put the file in `weights/` of the page. The file holds the network's shape and a check by which a device shows that \
         it computes this network.\n\n\
         ## Limits\n\n\
         It knows nothing but its training pictures, can come close to single ones of them, and its pictures are no evidence of \
         what any species looks like.\n\n",
    );
    card.push_str(SIGNATURE);
    card
}

fn listed(numbers: &[f64]) -> String {
    numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(", ")
}

/// The order of measures in a card, by how their names begin.
const MEASURES: [&str; 7] = ["KID", "FID", "precision", "recall", "density", "coverage", "share"];

/// A row a measure, a column for each size that pictures were compared at: measures are named `NAME at SIZE px` with
/// anything behind.
fn quality_table(quality: &BTreeMap<String, f64>) -> String {
    let mut sizes = BTreeSet::new();
    let mut rows: BTreeMap<(usize, String), BTreeMap<usize, f64>> = BTreeMap::new();
    for (measure, &value) in quality {
        let (name, size) = at_size(measure).unwrap_or_else(|| (measure.clone(), 0));
        let place = MEASURES.iter().position(|first| name.starts_with(first)).unwrap_or(MEASURES.len());
        sizes.insert(size);
        rows.entry((place, name)).or_default().insert(size, value);
    }
    let heading = |size: &usize| if *size == 0 { " |".into() } else { format!(" at {size} px |") };
    let mut table = format!(
        "\n## Quality\n\nMeasured by `evaluate` with EfficientNet-Lite0. Read KID beside its floor and beside what damage does to real pictures \
         (noise there is on a scale where pictures go from −1 to 1).\n\n\
         | |{}\n|---|{}\n",
        sizes.iter().map(heading).collect::<String>(),
        "---|".repeat(sizes.len())
    );
    for ((_, name), values) in rows {
        let _ = write!(table, "| {name} |");
        for size in &sizes {
            let value = values.get(size).map_or(String::new(), |value| format!(" {}", digits(*value)));
            let _ = write!(table, "{value} |");
        }
        table.push('\n');
    }
    table
}

/// `NAME at SIZE px…` as the name without the size, and the size.
fn at_size(measure: &str) -> Option<(String, usize)> {
    let (name, rest) = measure.split_once(" at ")?;
    let (size, behind) = rest.split_once(" px")?;
    Some((format!("{name}{behind}"), size.parse().ok()?))
}

/// As many digits as such a measure is sure of.
fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 10.0 => format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}
