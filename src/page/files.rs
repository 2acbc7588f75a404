//! Files: those that visitors bring, chosen in a field or dropped, which stay in the browser; and small ones of the page's own server.

use js_sys::{Function, Promise, Reflect, Uint8Array};
use serde::de::DeserializeOwned;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Event, Response};

/// The first file that an event brings.
pub fn of(event: &Event) -> Option<JsValue> {
    let field = |of: &JsValue, name: &str| Reflect::get(of, &name.into()).ok().filter(|value| value.is_truthy());
    let bringer = field(event, "dataTransfer").or_else(|| event.target().map(JsValue::from))?;
    let file = Reflect::get_u32(&field(&bringer, "files")?, 0).ok()?;
    file.is_truthy().then_some(file)
}

/// Its name.
pub fn name(file: &JsValue) -> String {
    Reflect::get(file, &"name".into()).ok().and_then(|name| name.as_string()).unwrap_or_default()
}

/// How many bytes it has.
pub fn size(file: &JsValue) -> f64 {
    Reflect::get(file, &"size".into()).ok().and_then(|size| size.as_f64()).unwrap_or(0.0)
}

/// Its bytes.
///
/// # Errors
/// When the browser cannot read it.
pub async fn bytes(file: JsValue) -> Result<Vec<u8>, JsValue> {
    let read: Function = Reflect::get(&file, &"arrayBuffer".into())?.dyn_into()?;
    let buffer = JsFuture::from(read.call0(&file)?.dyn_into::<Promise>()?).await?;
    Ok(Uint8Array::new(&buffer).to_vec())
}

/// What a JSON file of the page's own server says. The browser reads it: code that does would be a quarter of the page's.
///
/// # Errors
/// When it does not come, or says something else.
pub async fn json<T: DeserializeOwned>(at: &str) -> Result<T, JsValue> {
    let window = web_sys::window().ok_or(JsValue::NULL)?;
    let response: Response = JsFuture::from(window.fetch_with_str(at)).await?.dyn_into()?;
    if !response.ok() {
        return Err(response.status_text().into());
    }
    let value = JsFuture::from(response.json()?).await?;
    Ok(serde_wasm_bindgen::from_value(value)?)
}
