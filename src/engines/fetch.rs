//! Getting the weights, from a server with progress or from the visitor, and undoing their coding: once, for all engines.

use std::cell::RefCell;
use std::rc::Rc;

use gloo_timers::future::TimeoutFuture;
use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{AbortController, ReadableStreamDefaultReader, RequestInit, Response};

use crate::pool::Download;
use crate::weights::inflated;

/// The largest weight file that is taken.
pub const LARGEST: usize = 512 << 20;
/// Progress is told at most every so many bytes.
const PROGRESS_EVERY: usize = 64 << 10;

/// Where weights come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A server, by the file's absolute address.
    Address(String),
    /// The visitor.
    Own {
        /// The file's name.
        name: String,
        /// All of it.
        bytes: Rc<[u8]>,
    },
}

/// A download, under way or done; it ends with this.
pub struct Fetch {
    controller: Option<AbortController>,
    file: Rc<RefCell<Option<File>>>,
}

/// A weight file that has arrived.
struct File {
    /// As it came.
    bytes: Rc<[u8]>,
    /// With its coding undone, for all engines.
    inflated: Vec<u8>,
}

impl File {
    async fn new(bytes: Rc<[u8]>, hear: &impl Fn(Download)) -> Result<Self, Download> {
        let all = bytes.len() as f64;
        let inflated = inflated(&bytes, async || {
            // It has not stalled, and the page is to stay awake.
            hear(Download::Progress { bytes: all, of: Some(all) });
            TimeoutFuture::new(0).await;
        })
        .await;
        Ok(Self { inflated: inflated.map_err(|error| Download::Unusable(error.to_string()))?, bytes })
    }
}

impl Fetch {
    /// Starts to get a file. `hear` hears how it goes.
    pub fn start(source: &Source, hear: impl Fn(Download) + 'static) -> Self {
        let file = Rc::new(RefCell::new(None));
        let controller = AbortController::new().ok();
        let (source, stop) = (source.clone(), controller.clone());
        // What is aborted fails, and would be taken for what was begun in its place: it is not heard of any more.
        let into = Rc::downgrade(&file);
        let wanted = into.clone();
        let hear = move |download| {
            if wanted.strong_count() > 0 {
                hear(download);
            }
        };
        spawn_local(async move {
            let bytes = match source {
                Source::Address(address) => {
                    fetch(&address, stop.as_ref(), &hear).await.map(Rc::from).map_err(Download::Failed)
                }
                Source::Own { bytes, .. } => Ok(bytes),
            };
            let made = match bytes {
                Ok(bytes) => File::new(bytes, &hear).await,
                Err(end) => Err(end),
            };
            match made {
                Ok(file) => {
                    if let Some(into) = into.upgrade() {
                        *into.borrow_mut() = Some(file);
                    }
                    hear(Download::Complete);
                }
                Err(end) => hear(end),
            }
        });
        Self { controller, file }
    }

    /// The file as it came, once it is whole and sound.
    pub fn bytes(&self) -> Option<Rc<[u8]>> {
        self.file.borrow().as_ref().map(|file| Rc::clone(&file.bytes))
    }

    /// The file with its coding undone, once it is whole and sound.
    pub fn inflated(&self) -> Option<Vec<u8>> {
        self.file.borrow().as_ref().map(|file| file.inflated.clone())
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        if let Some(controller) = &self.controller {
            controller.abort();
        }
    }
}

/// Fetches a file; `hear` is told the bytes so far and, where the server says, in all. Fails with a sentence for people.
async fn fetch(address: &str, stop: Option<&AbortController>, hear: &impl Fn(Download)) -> Result<Vec<u8>, String> {
    let unreachable =
        |_: JsValue| format!("The weights at {address} could not be fetched: the server does not answer.");
    let window = web_sys::window().ok_or("There is no window.")?;
    let options = RequestInit::new();
    options.set_signal(stop.map(AbortController::signal).as_ref());
    let promise = window.fetch_with_str_and_init(address, &options);
    let response: Response = JsFuture::from(promise).await.map_err(unreachable)?.unchecked_into();
    if !response.ok() {
        return Err(format!(
            "The weights at {address} could not be fetched: the server answered {}.",
            response.status()
        ));
    }
    let header = |name: &str| response.headers().get(name).ok().flatten();
    // With a content encoding the length is that of the encoded bytes.
    let of = header("content-length")
        .and_then(|length| length.parse::<usize>().ok())
        .filter(|_| header("content-encoding").is_none());
    let body = response.body().ok_or_else(|| format!("The weights at {address} are empty."))?;
    let reader: ReadableStreamDefaultReader = body.get_reader().unchecked_into();
    let mut bytes: Vec<u8> = Vec::new();
    let mut told = 0;
    loop {
        if bytes.is_empty() || bytes.len() >= told + PROGRESS_EVERY || Some(bytes.len()) == of {
            told = bytes.len();
            hear(Download::Progress { bytes: told as f64, of: of.map(|of| of as f64) });
        }
        let cut = |_: JsValue| format!("The weights at {address} broke off after {} bytes.", bytes.len());
        let chunk = JsFuture::from(reader.read()).await.map_err(cut)?;
        let field = |name: &str| Reflect::get(&chunk, &JsValue::from_str(name)).unwrap_or(JsValue::UNDEFINED);
        if field("done").is_truthy() {
            return Ok(bytes);
        }
        let part = Uint8Array::new(&field("value"));
        if bytes.len() + part.length() as usize > LARGEST {
            return Err(format!("The weights at {address} are larger than {} MB.", LARGEST >> 20));
        }
        bytes.extend(part.to_vec());
    }
}
