//! The address bar: what [`Address`] reads from it, and where a butterfly is put.

use web_sys::{Url, UrlSearchParams};

use crate::address::Address;
use crate::protocol::SampleRequest;

/// Reads the page's address.
pub fn read() -> Address {
    let search = web_sys::window().and_then(|window| window.location().search().ok()).unwrap_or_default();
    parse(&search)
}

/// Puts a butterfly into the address bar, leaving everything else in it.
pub fn write(butterfly: &SampleRequest) {
    change(|params| {
        for (name, value) in Address::parameters(butterfly) {
            match value {
                Some(value) => params.set(name, &value),
                None => params.delete(name),
            }
        }
    });
}

/// Takes a butterfly that no address names out of the address bar, and the weight file.
pub fn clear(butterfly: &SampleRequest) {
    change(|params| {
        Address::parameters(butterfly).iter().for_each(|(name, _)| params.delete(name));
        params.delete("weights");
    });
}

fn change(change: impl FnOnce(&UrlSearchParams)) {
    let Some(window) = web_sys::window() else { return };
    let Some(url) = window.location().href().ok().and_then(|href| Url::new(&href).ok()) else { return };
    change(&url.search_params());
    if let Ok(history) = window.history() {
        // Refused only in documents without an address of their own, where there is no bar to keep it in either.
        let _ = history.replace_state_with_url(&wasm_bindgen::JsValue::NULL, "", Some(&url.href()));
    }
}

/// What a saved picture says about itself: the parameters that give it again, as in an address. None where no address does.
pub fn text(butterfly: &SampleRequest, weights: &str) -> Option<String> {
    let params = UrlSearchParams::new().ok()?;
    let known = Address::parameters(butterfly).into_iter().filter_map(|(name, value)| Some((name, value?)));
    known.for_each(|(name, value)| params.set(name, &value));
    params.has("seed").then(|| {
        params.set("weights", weights);
        String::from(params.to_string())
    })
}

/// What to let the controls stand at on another visit: the same without the seed. None where no address says it.
pub fn controls(butterfly: &SampleRequest, weights: &str) -> Option<String> {
    let params = UrlSearchParams::new_with_str(&text(butterfly, weights)?).ok()?;
    params.delete("seed");
    Some(String::from(params.to_string()))
}

/// Reads what a saved picture says about itself.
pub fn parse(text: &str) -> Address {
    Address::parse(|name| UrlSearchParams::new_with_str(text).ok().and_then(|params| params.get(name)))
}

/// Puts a weight file into the address bar, leaving everything else in it.
pub fn write_model(weights: &str) {
    change(|params| params.set("weights", weights));
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
