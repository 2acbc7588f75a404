//! How many kernels a GPU is asked to run.

use std::cell::Cell;
use std::rc::Rc;

use js_sys::{Array, Function, Object, Proxy, Reflect};
use wasm_bindgen::prelude::*;

/// The methods of a compute pass that launch a kernel.
const LAUNCH: [&str; 2] = ["dispatchWorkgroups", "dispatchWorkgroupsIndirect"];

/// Counts launches for as long as it lives.
pub struct Launches {
    count: Rc<Cell<u32>>,
    pass: JsValue,
    originals: Vec<(&'static str, JsValue)>,
    _watch: Closure<dyn FnMut(Function, JsValue, Array) -> Result<JsValue, JsValue>>,
}

impl Launches {
    /// Begins to count; nothing where there are no compute passes.
    pub fn watch() -> Option<Self> {
        let pass = Reflect::get(&js_sys::global(), &"GPUComputePassEncoder".into()).ok()?;
        let pass = Reflect::get(&pass, &"prototype".into()).ok()?;
        let count = Rc::new(Cell::new(0));
        let counted = Rc::clone(&count);
        let watch = Closure::new(move |launch: Function, pass: JsValue, values: Array| {
            counted.set(counted.get() + 1);
            Reflect::apply(&launch, &pass, &values)
        });
        let handler = Object::new();
        Reflect::set(&handler, &"apply".into(), watch.as_ref()).ok()?;
        let mut launches = Self { count, pass, originals: Vec::new(), _watch: watch };
        for name in LAUNCH {
            let Ok(original) = Reflect::get(&launches.pass, &name.into()) else { continue };
            if original.is_function() {
                // What is replaced is put back on dropping, whatever comes next.
                let watched = Proxy::new(&original, &handler);
                launches.originals.push((name, original));
                Reflect::set(&launches.pass, &name.into(), &watched).ok()?;
            }
        }
        Some(launches)
    }

    /// Launches so far.
    pub fn count(&self) -> u32 {
        self.count.get()
    }
}

impl Drop for Launches {
    fn drop(&mut self) {
        for (name, original) in &self.originals {
            // Fails only for an object that refuses changes, which had let itself be changed.
            let _ = Reflect::set(&self.pass, &(*name).into(), original);
        }
    }
}
