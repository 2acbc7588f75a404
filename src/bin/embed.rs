//! What `www/embed/chrysalis.js` imports. Everything of substance is in `chrysalis::embed`.

fn main() {}

#[cfg(target_family = "wasm")]
mod exported {
    use chrysalis::embed;
    use chrysalis::origin::Series;
    use chrysalis::pool::DevicePreference;
    use chrysalis::protocol::{Purpose, SampleRequest};
    use js_sys::{Error, Function, Promise};
    use wasm_bindgen::prelude::*;

    /// A model and what computes it.
    #[wasm_bindgen]
    pub struct SamplingClient(embed::SamplingClient);

    #[wasm_bindgen]
    impl SamplingClient {
        /// `device` is best, gpu or cpu.
        #[wasm_bindgen(constructor)]
        pub fn new(folder: String, weights: String, device: &str) -> Result<SamplingClient, Error> {
            let allowed = match device {
                "best" => DevicePreference::Best,
                "gpu" => DevicePreference::Gpu,
                "cpu" => DevicePreference::Cpu,
                _ => return Err(Error::new(&format!("device is best, gpu or cpu, not '{device}'"))),
            };
            Ok(Self(embed::SamplingClient::new(folder, weights, allowed)))
        }

        /// A seed is text, because a JavaScript number holds only 53 bits. Without steps and a sampler it is what suits the model.
        pub fn sample(
            &self,
            number: u32,
            seed: &str,
            steps: Option<usize>,
            sampler: Option<String>,
            on_step: Option<Function>,
        ) -> Result<Promise, Error> {
            let seed = seed
                .parse()
                .map_err(|_| Error::new(&format!("the seed '{seed}' is no whole number from 0 to {}", u64::MAX)))?;
            let sampler = sampler.map(|name| name.parse()).transpose();
            let sampler = sampler.map_err(|error| Error::new(&format!("{error}")))?;
            let request = SampleRequest {
                seed,
                count: 1,
                series: Series::Seeds,
                steps,
                sampler,
                edit: None,
                purpose: Purpose::Specimen,
            };
            Ok(self.0.sample(number, request, on_step))
        }

        /// Gives a request up.
        pub fn cancel(&self, number: u32) {
            self.0.cancel(number);
        }
    }
}
