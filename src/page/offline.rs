//! Use without a network: the service worker that keeps the page's files, where the page was built with one.

use js_sys::{Array, Function, Object, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};

use crate::pool::Kind;

/// Starts the service worker with this script, relative to the page.
pub fn start(script: &str) {
    let script = script.to_string();
    spawn_local(async move {
        // A browser that keeps nothing, as in private windows, needs a network each time: nothing is lost.
        let _ = call(&container(), "register", &script.into()).await;
    });
}

/// Has it keep what the page uses: the files of an engine, and a weight file by its path beside the page.
pub fn keep(engine: Kind, weights: &str) {
    let engine = match engine {
        Kind::Gpu => "worker-gpu",
        Kind::Cpu => "worker-cpu",
    };
    // With what lies beside it.
    let weights = weights.strip_suffix("safetensors").unwrap_or(weights);
    let files = Array::of2(&engine.into(), &weights.into());
    spawn_local(async move {
        // Whatever is not kept now is fetched another time.
        let _ = send(&files).await;
    });
}

async fn send(files: &Array) -> Result<(), JsValue> {
    // It may still be on its way; where there will be none, this waits for as long as the page lives.
    let ready: Promise = Reflect::get(&container(), &"ready".into())?.dyn_into()?;
    let active = Reflect::get(&JsFuture::from(ready).await?, &"active".into())?;
    let message = Object::new();
    Reflect::set(&message, &"keep".into(), files)?;
    let post: Function = Reflect::get(&active, &"postMessage".into())?.dyn_into()?;
    post.call1(&active, &message).map(drop)
}

/// The browser's service workers, or something that has none.
fn container() -> JsValue {
    let navigator = web_sys::window().map(|window| window.navigator());
    navigator.and_then(|navigator| Reflect::get(&navigator, &"serviceWorker".into()).ok()).unwrap_or(JsValue::UNDEFINED)
}

async fn call(of: &JsValue, name: &str, with: &JsValue) -> Result<JsValue, JsValue> {
    let function: Function = Reflect::get(of, &name.into())?.dyn_into()?;
    JsFuture::from(function.call1(of, with)?.dyn_into::<Promise>()?).await
}
