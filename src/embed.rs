//! Butterflies for other people's pages: the pool and its engines behind one call. `www/embed/chrysalis.js` is what such a page
//! imports.

use std::collections::VecDeque;
use std::rc::Rc;

use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use js_sys::{Array, Error, Function, Object, Promise, Reflect, Uint8ClampedArray};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::spawn_local;
use web_sys::ImageData;

use crate::engines::{Engines, Source};
use crate::pool::{DevicePreference, Event, Update};
use crate::protocol::{SampleRequest, Shown, ShownStep};
use crate::words;

/// Something that happens to a [`SamplingClient`].
enum ClientInput {
    Event(Event),
    Sample(Job),
    Cancel(u32),
}

/// Pictures that somebody waits for.
struct Job {
    number: u32,
    request: SampleRequest,
    on_step: Option<Function>,
    resolve: Function,
    reject: Function,
}

/// One model on the best device, which samples what it is asked for, one request after the other.
pub struct SamplingClient {
    inputs: UnboundedSender<ClientInput>,
}

impl SamplingClient {
    /// With the workers' scripts in a folder, whose absolute address ends with a slash, and weights at an absolute address.
    /// Nothing is fetched before it is asked for pictures.
    pub fn new(folder: String, weights: String, allowed: DevicePreference) -> Self {
        let (inputs, heard) = unbounded();
        let sender = inputs.clone();
        let hear = Rc::new(move |event| {
            // Fails only when nobody reads any more.
            let _ = sender.unbounded_send(ClientInput::Event(event));
        });
        let sampling = SamplingLoop {
            engines: Engines::new(hear, folder, Source::Address(weights), allowed),
            waiting: VecDeque::new(),
            current: None,
        };
        spawn_local(sampling.run(heard));
        Self { inputs }
    }

    /// Samples; the promise is of an array of `ImageData`. `on_step` is called with `{index, of, sigma, pictures}`, where
    /// pictures are the clean ones that the network sees. A number is how [`SamplingClient::cancel`] knows it.
    pub fn sample(&self, number: u32, request: SampleRequest, on_step: Option<Function>) -> Promise {
        Promise::new(&mut |resolve, reject| {
            let job = Job { number, request: request.clone(), on_step: on_step.clone(), resolve, reject };
            // Fails only when nobody reads any more.
            let _ = self.inputs.unbounded_send(ClientInput::Sample(job));
        })
    }

    /// Gives a request up: its promise is rejected.
    pub fn cancel(&self, number: u32) {
        // Fails only when nobody reads any more.
        let _ = self.inputs.unbounded_send(ClientInput::Cancel(number));
    }
}

/// What does the work.
struct SamplingLoop {
    engines: Engines,
    waiting: VecDeque<Job>,
    current: Option<Job>,
}

impl SamplingLoop {
    async fn run(mut self, mut inputs: UnboundedReceiver<ClientInput>) {
        while let Ok(input) = inputs.recv().await {
            match input {
                ClientInput::Event(event) => self.hear(event),
                ClientInput::Sample(job) => self.waiting.push_back(job),
                ClientInput::Cancel(number) => self.cancel(number),
            }
            self.go_on();
        }
    }

    /// Begins with the next request, if there is none; one that was given up may still be sampled.
    fn go_on(&mut self) {
        if self.current.is_none()
            && !self.engines.pool().is_sampling()
            && let Some(job) = self.waiting.pop_front()
        {
            let request = job.request.clone();
            self.current = Some(job);
            self.hear(Event::Request(request));
        }
    }

    fn cancel(&mut self, number: u32) {
        if let Some(place) = self.waiting.iter().position(|job| job.number == number)
            && let Some(job) = self.waiting.remove(place)
        {
            give_up(&job.reject);
        }
        if self.current.as_ref().is_some_and(|job| job.number == number) {
            if self.engines.pool().is_sampling() {
                return self.hear(Event::Cancel);
            }
            // It waits for the engine, which goes on loading for the next one.
            if let Some(job) = self.current.take() {
                give_up(&job.reject);
            }
        }
    }

    fn hear(&mut self, event: Event) {
        for update in self.engines.hear(event) {
            self.handle(update);
        }
    }

    fn handle(&mut self, update: Update) {
        match update {
            Update::Step(request, step) => {
                if let Some(Job { on_step: Some(on_step), .. }) =
                    self.current.as_ref().filter(|job| job.request == request)
                {
                    // What the page does with it is the page's.
                    let _ = on_step.call1(&JsValue::NULL, &described(&step));
                }
            }
            Update::Finished(request, pictures, _) => {
                // One that was given up while the engine was loading is finished for nobody.
                if let Some(job) = self.current.take_if(|job| job.request == request) {
                    let _ = job.resolve.call1(&JsValue::NULL, &images(&pictures));
                }
            }
            Update::Cancelled => {
                if let Some(job) = self.current.take() {
                    give_up(&job.reject);
                }
            }
            Update::Failed(fault) => {
                let (message, _) = words::fault(&fault, false);
                if let Some(job) = self.current.take() {
                    let _ = job.reject.call1(&JsValue::NULL, &Error::new(&message));
                }
            }
            // From here on it says which sampler it is and in how many steps, where that was left to the model.
            Update::Started(request) => {
                if let Some(job) = &mut self.current {
                    job.request = request;
                }
            }
            Update::Busy(_) | Update::Ready(_) => {}
        }
    }
}

/// Rejects as browsers do what was aborted.
fn give_up(reject: &Function) {
    let error = Error::new("It was not wanted any more.");
    error.set_name("AbortError");
    let _ = reject.call1(&JsValue::NULL, &error);
}

fn described(step: &ShownStep) -> Object {
    let described = Object::new();
    let fields = [
        ("index", JsValue::from(step.index as f64)),
        ("of", JsValue::from(step.of as f64)),
        ("sigma", JsValue::from(step.began)),
        ("pictures", images(&step.clean).into()),
    ];
    for (name, value) in fields {
        // Refused only by frozen objects.
        let _ = Reflect::set(&described, &name.into(), &value);
    }
    described
}

fn images(pictures: &[Shown]) -> Array {
    let image = |Shown { width, height, rgba }: &Shown| {
        // A copy: ImageData keeps what it is given, and this module's memory changes.
        let copy = Uint8ClampedArray::from(rgba.as_slice());
        ImageData::new_with_js_u8_clamped_array_and_sh(&copy, *width, *height).ok()
    };
    pictures.iter().filter_map(image).collect()
}
