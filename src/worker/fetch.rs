//! Fetching the weights, with progress.

use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{ReadableStreamDefaultReader, Response};

use super::scope;

/// The largest weight file that is taken from a server.
const LARGEST: usize = 512 << 20;

/// Fetches a file; `progress` is told the bytes so far and, where the server says, in all.
///
/// # Errors
/// With a sentence for people.
pub async fn fetch(address: &str, mut progress: impl FnMut(usize, Option<usize>)) -> Result<Vec<u8>, String> {
    let unreachable = |_: JsValue| format!("The weights at {address} could not be fetched: the server does not answer");
    let response: Response =
        JsFuture::from(scope::global().fetch_with_str(address)).await.map_err(unreachable)?.unchecked_into();
    if !response.ok() {
        return Err(format!(
            "The weights at {address} could not be fetched: the server answered {}",
            response.status()
        ));
    }
    let of = response
        .headers()
        .get("content-length")
        .ok()
        .flatten()
        .and_then(|length| length.parse().ok())
        // With a content encoding the length is that of the encoded bytes.
        .filter(|_| !matches!(response.headers().get("content-encoding"), Ok(Some(_))));
    let body = response.body().ok_or_else(|| format!("The weights at {address} are empty"))?;
    let reader: ReadableStreamDefaultReader = body.get_reader().unchecked_into();
    let mut bytes = Vec::new();
    progress(0, of);
    loop {
        let cut = |_: JsValue| format!("The weights at {address} broke off after {} bytes", bytes.len());
        let chunk = JsFuture::from(reader.read()).await.map_err(cut)?;
        let field = |name: &str| Reflect::get(&chunk, &JsValue::from_str(name)).unwrap_or(JsValue::UNDEFINED);
        if field("done").is_truthy() {
            return Ok(bytes);
        }
        let part = Uint8Array::new(&field("value"));
        if bytes.len() + part.length() as usize > LARGEST {
            return Err(format!("The weights at {address} are larger than {} MB", LARGEST >> 20));
        }
        bytes.extend(part.to_vec());
        progress(bytes.len(), of);
    }
}
