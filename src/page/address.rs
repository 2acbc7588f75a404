//! The address bar: seed, steps and sampler, so that an address is a butterfly.

use web_sys::{Url, UrlSearchParams};

use crate::diffusion::Sampler;
use crate::protocol::{DeviceWish, HatchWish};

/// What an address asks for.
pub struct Address {
    /// The butterfly, if it names one by its seed.
    pub butterfly: Option<HatchWish>,
    /// Which devices may be used.
    pub device: DeviceWish,
    /// Another weight file of the same server than the page's own.
    pub weights: Option<String>,
}

/// Steps and sampler when the address does not name them.
pub const USUAL: HatchWish = HatchWish { seed: 7, steps: 18, sampler: Sampler::Heun };
/// The most steps that the page offers.
pub const MOST_STEPS: usize = 64;

impl Address {
    /// Reads the page's address. What makes no sense in it counts as not there.
    pub fn read() -> Self {
        let search = web_sys::window().and_then(|window| window.location().search().ok()).unwrap_or_default();
        let get = |name: &str| UrlSearchParams::new_with_str(&search).ok().and_then(|params| params.get(name));
        let steps = get("steps").and_then(|steps| steps.parse().ok()).filter(|steps| (1..=MOST_STEPS).contains(steps));
        let sampler = get("sampler").and_then(|sampler| sampler.parse().ok());
        let seed = get("seed").and_then(|seed| seed.parse().ok());
        Self {
            butterfly: seed.map(|seed| HatchWish {
                seed,
                steps: steps.unwrap_or(USUAL.steps),
                sampler: sampler.unwrap_or(USUAL.sampler),
            }),
            device: match get("device").as_deref() {
                Some("cpu") => DeviceWish::Cpu,
                Some("gpu") => DeviceWish::Gpu,
                _ => DeviceWish::Best,
            },
            weights: get("weights"),
        }
    }

    /// Puts a butterfly into the address bar, leaving everything else in it.
    pub fn write(butterfly: &HatchWish) {
        let Some(window) = web_sys::window() else { return };
        let Some(url) = window.location().href().ok().and_then(|href| Url::new(&href).ok()) else { return };
        let params = url.search_params();
        params.set("seed", &butterfly.seed.to_string());
        params.set("steps", &butterfly.steps.to_string());
        params.set("sampler", &butterfly.sampler.to_string());
        if let Ok(history) = window.history() {
            // Refused only in documents without an address of their own, where there is no bar to keep it in either.
            let _ = history.replace_state_with_url(&wasm_bindgen::JsValue::NULL, "", Some(&url.href()));
        }
    }
}

/// The absolute address of a file given relative to the page, if the page's own server has it.
pub fn beside_page(relative: &str) -> Option<String> {
    let location = web_sys::window()?.location();
    let url = Url::new_with_base(relative, &location.href().ok()?).ok()?;
    (url.origin() == location.origin().ok()?).then(|| url.href())
}
