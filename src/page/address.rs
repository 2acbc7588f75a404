//! The address bar: seed, how many and of which series, steps and sampler, so that an address is a butterfly.

use web_sys::{Url, UrlSearchParams};

use crate::diffusion::{DEFAULT_STEPS, Sampler};
use crate::origin::Series;
use crate::pool::DevicePreference;
use crate::protocol::SampleRequest;

/// What an address asks for.
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
const USUAL: SampleRequest =
    SampleRequest { seed: 7, count: 1, series: Series::Seeds, steps: DEFAULT_STEPS, sampler: Sampler::DpmSolverSde };
/// The most steps that the page offers.
const MOST_STEPS: usize = 64;
/// How many butterflies the page offers at once: squares, which fill the picture.
const COUNTS: [usize; 3] = [1, 4, 9];

impl Address {
    /// Reads the page's address.
    pub fn read() -> Self {
        let search = web_sys::window().and_then(|window| window.location().search().ok()).unwrap_or_default();
        let get = |name: &str| UrlSearchParams::new_with_str(&search).ok().and_then(|params| params.get(name));
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
                Ok(steps) if (1..=MOST_STEPS).contains(&steps) => address.request.steps = steps,
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
                    fault = Some(format!("The address asks for '{text}' butterflies, and the page hatches 1, 4 or 9."))
                }
            }
        }
        if let Some(text) = get("series") {
            match text.parse() {
                Ok(series) => address.request.series = series,
                Err(error) => fault = Some(format!("In the address, {error}.")),
            }
        }
        if let Some(text) = get("sampler") {
            match text.parse() {
                Ok(sampler) => address.request.sampler = sampler,
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

    /// Puts a butterfly into the address bar, leaving everything else in it.
    pub fn write(butterfly: &SampleRequest) {
        let Some(window) = web_sys::window() else { return };
        let Some(url) = window.location().href().ok().and_then(|href| Url::new(&href).ok()) else { return };
        let params = url.search_params();
        params.set("seed", &butterfly.seed.to_string());
        match butterfly.count {
            1 => params.delete("count"),
            count => params.set("count", &count.to_string()),
        }
        match butterfly.series {
            Series::Seeds => params.delete("series"),
            series => params.set("series", &series.to_string()),
        }
        params.set("steps", &butterfly.steps.to_string());
        params.set("sampler", &butterfly.sampler.to_string());
        if let Ok(history) = window.history() {
            // Refused only in documents without an address of their own, where there is no bar to keep it in either.
            let _ = history.replace_state_with_url(&wasm_bindgen::JsValue::NULL, "", Some(&url.href()));
        }
    }
}

/// Opens the page anew with another weight file, and everything else as it is.
pub fn open_model(weights: &str) {
    let Some(window) = web_sys::window() else { return };
    let Some(url) = window.location().href().ok().and_then(|href| Url::new(&href).ok()) else { return };
    url.search_params().set("weights", weights);
    // Refused only to pages that may not navigate, which have no choice to offer either.
    let _ = window.location().set_href(&url.href());
}

/// The page's address as it is now.
pub fn current() -> String {
    web_sys::window().and_then(|window| window.location().href().ok()).unwrap_or_default()
}

/// The absolute address of a file given relative to the page, if the page's own server has it.
pub fn beside_page(relative: &str) -> Option<String> {
    let location = web_sys::window()?.location();
    let url = Url::new_with_base(relative, &location.href().ok()?).ok()?;
    (url.origin() == location.origin().ok()?).then(|| url.href())
}
