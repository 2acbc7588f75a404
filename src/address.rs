//! What an address asks for: seed, how many and of which series, steps and sampler, so that an address is a butterfly.

use crate::diffusion::MOST_USUAL_STEPS;
use crate::origin::Series;
use crate::pool::DevicePreference;
use crate::protocol::{Purpose, SampleRequest};

/// What an address asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Address {
    /// What to put into the controls.
    pub request: SampleRequest,
    /// Whether to hatch it at once: the address names a butterfly by its seed.
    pub hatch: bool,
    /// What in the address makes no sense, as a sentence for people.
    pub fault: Option<String>,
    /// Which devices may be used.
    pub device: DevicePreference,
    /// Another weight file of the same server than the page's own.
    pub weights: Option<String>,
}

/// Seed, steps and sampler when the address does not name them.
pub const USUAL: SampleRequest = SampleRequest {
    seed: 7,
    count: 1,
    series: Series::Seeds,
    steps: None,
    sampler: None,
    edit: None,
    purpose: Purpose::Specimen,
};
/// The most steps that the page offers.
pub const MOST_STEPS: usize = MOST_USUAL_STEPS;
/// How many butterflies the page offers at once: squares, which fill the picture.
const COUNTS: [usize; 5] = [1, 4, 9, 16, 36];
/// How many pictures relatives and the way to another seed are.
pub const SERIES: usize = 9;

impl Address {
    /// Reads an address through what looks up its parameters by name.
    pub fn parse(get: impl Fn(&str) -> Option<String>) -> Self {
        let mut address = Self {
            request: USUAL,
            hatch: false,
            fault: None,
            device: match get("device").as_deref() {
                Some("cpu") => DevicePreference::Cpu,
                Some("gpu") => DevicePreference::Gpu,
                _ => DevicePreference::Best,
            },
            weights: get("weights"),
        };
        let mut fault = None;
        if let Some(text) = get("steps") {
            match text.parse() {
                Ok(steps) if (1..=MOST_STEPS).contains(&steps) => address.request.steps = Some(steps),
                _ => {
                    fault =
                        Some(format!("The address asks for '{text}' steps, and the page takes from 1 to {MOST_STEPS}."))
                }
            }
        }
        if let Some(text) = get("count") {
            match text.parse() {
                Ok(count) if COUNTS.contains(&count) => address.request.count = count,
                _ => {
                    fault = Some(format!(
                        "The address asks for '{text}' butterflies, and the page hatches 1, 4, 9, 16 or 36."
                    ))
                }
            }
        }
        if let Some(text) = get("series") {
            match text.parse() {
                Ok(series) => {
                    let request = &mut address.request;
                    match (get("count"), series) {
                        (None, Series::Seeds | Series::Between { .. }) => (request.series, request.count) = (series, 1),
                        // As many as the page makes of one.
                        (None, _) => (request.series, request.count) = (series, SERIES),
                        // One picture alone leads nowhere.
                        (Some(_), Series::Morph(_) | Series::Relatives) if request.count == 1 => {}
                        (Some(_), _) => request.series = series,
                    }
                }
                Err(error) => fault = Some(format!("In the address, {error}.")),
            }
        }
        if let Some(text) = get("sampler") {
            match text.parse() {
                Ok(sampler) => address.request.sampler = Some(sampler),
                Err(error) => fault = Some(format!("In the address, {error}.")),
            }
        }
        if let Some(text) = get("seed") {
            match text.parse() {
                Ok(seed) => (address.request.seed, address.hatch) = (seed, true),
                Err(_) => fault = Some(format!("The address asks for the seed '{text}', which is no whole number.")),
            }
        }
        // Another butterfly than the one asked for would be worse than none.
        address.hatch &= fault.is_none();
        address.fault = fault;
        address
    }

    /// The parameters of a butterfly, in the order that they are put into an address; one without a value is taken out.
    /// One that began with a picture has none: no address holds the picture.
    pub fn parameters(butterfly: &SampleRequest) -> [(&'static str, Option<String>); 5] {
        let SampleRequest { seed, count, series, steps, sampler, edit, .. } = butterfly;
        let known = edit.is_none();
        [
            ("seed", known.then(|| seed.to_string())),
            ("count", (known && *count != 1).then(|| count.to_string())),
            ("series", (known && *series != Series::Seeds).then(|| series.to_string())),
            ("steps", steps.filter(|_| known).map(|steps| steps.to_string())),
            ("sampler", sampler.filter(|_| known).map(|sampler| sampler.to_string())),
        ]
    }
}
