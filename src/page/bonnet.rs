//! Under the bonnet: what runs here, in the visitor's words and in those of a bug report.

use std::rc::Rc;

use js_sys::{Function, Promise, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};

use super::browser;
use super::inbox::{Inbox, PageEvent};
use super::view::View;
use crate::address::{SERIES, USUAL};
use crate::engines::{Source, processors};
use crate::pool::Ready;
use crate::protocol::{Purpose, SampleRequest};
use crate::words::{self, Running};

/// What is known of what runs.
#[derive(Default)]
pub struct Bonnet(Option<Running>);

impl Bonnet {
    /// An engine is ready, with weights from somewhere.
    pub fn set_ready(&mut self, view: &View, ready: &Ready, weights: &Source, bytes: Option<Rc<[u8]>>, inbox: &Inbox) {
        let weights = match weights {
            Source::Address(address) => address.clone(),
            Source::Own { name, .. } => format!("{name}, the visitor's own"),
        };
        self.0 = Some(Running {
            ready: ready.clone(),
            weights,
            bytes: bytes.as_ref().map(|bytes| bytes.len()),
            digest: None,
            measured: None,
            processors: processors(),
            browser: browser::user_agent(),
        });
        self.show(view);
        if let Some(bytes) = bytes {
            let inbox = inbox.clone();
            spawn_local(async move {
                // Pages that came without encryption have no digests: then there is none to tell.
                if let Ok(digest) = digest(&bytes).await {
                    inbox.send(PageEvent::Digest(digest));
                }
            });
        }
    }

    /// The weights' SHA-256 is known.
    pub fn set_digest(&mut self, view: &View, digest: String) {
        if let Some(running) = &mut self.0 {
            running.digest = Some(digest);
        }
        self.show(view);
    }

    /// What to sample to see how long it takes: as many pictures as a drawer has, in the usual way.
    pub fn benchmark() -> SampleRequest {
        SampleRequest { seed: 0, count: SERIES, purpose: Purpose::Benchmark, ..USUAL }
    }

    /// It took so many milliseconds.
    pub fn set_measured(&mut self, view: &View, request: &SampleRequest, total_ms: f64) {
        if let Some(running) = &mut self.0 {
            running.measured = Some(words::measured(request, total_ms));
        }
        self.show(view);
    }

    fn show(&self, view: &View) {
        if let Some(running) = &self.0 {
            view.report.set_text_content(Some(&words::report(running)));
        }
    }
}

/// The SHA-256 of some bytes, in hexadecimal.
async fn digest(bytes: &[u8]) -> Result<String, JsValue> {
    let window = web_sys::window().ok_or(JsValue::NULL)?;
    let subtle = Reflect::get(&Reflect::get(&window, &"crypto".into())?, &"subtle".into())?;
    let digest: Function = Reflect::get(&subtle, &"digest".into())?.dyn_into()?;
    let promise: Promise = digest.call2(&subtle, &"SHA-256".into(), &Uint8Array::from(bytes))?.dyn_into()?;
    let digest = Uint8Array::new(&JsFuture::from(promise).await?).to_vec();
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}
