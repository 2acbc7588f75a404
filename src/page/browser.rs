//! What the page asks of the browser itself.

use js_sys::{Function, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

/// Puts text into the clipboard, if the browser lets it.
pub async fn copy(text: &str) -> Result<(), JsValue> {
    let window = web_sys::window().ok_or(JsValue::NULL)?;
    let clipboard = Reflect::get(&window.navigator(), &"clipboard".into())?;
    let write: Function = Reflect::get(&clipboard, &"writeText".into())?.dyn_into()?;
    let promise: Promise = write.call1(&clipboard, &text.into())?.dyn_into()?;
    JsFuture::from(promise).await.map(drop)
}

/// Whether the visitor has asked for less motion or less data: then nothing begins by itself.
pub fn prefers_calm() -> bool {
    let Some(window) = web_sys::window() else { return true };
    let field = |of: &JsValue, name: &str| Reflect::get(of, &name.into()).unwrap_or(JsValue::UNDEFINED);
    let saves_data = field(&field(&window.navigator(), "connection"), "saveData").is_truthy();
    let query = field(&window, "matchMedia").dyn_into::<Function>().ok();
    let answer = query.and_then(|query| query.call1(&window, &"(prefers-reduced-motion: reduce)".into()).ok());
    saves_data || answer.is_some_and(|answer| field(&answer, "matches").is_truthy())
}

/// What the browser says that it is.
pub fn user_agent() -> String {
    web_sys::window().and_then(|window| window.navigator().user_agent().ok()).unwrap_or_default()
}
