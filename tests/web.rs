//! What must hold in a browser: the same noise, and the same picture on its CPU and on its GPU.
//!
//! `cargo test --target wasm32-unknown-unknown --no-default-features --features cpu --test web` runs it, and with `gpu`
//! the other half: each engine with its own features, as the page has it. `webdriver.json` gives Chromium WebGPU in
//! software.
#![cfg(target_family = "wasm")]

use burn::tensor::Device;
#[cfg(feature = "gpu")]
use chrysalis::device::open_gpu;
#[cfg(feature = "cpu")]
use chrysalis::diffusion::DEFAULT_STEPS;
use chrysalis::diffusion::{Cascade, NoiseLevels, Plan, Sampler};
use chrysalis::noise::{Noise, Purpose};
use chrysalis::picture::Picture;
use chrysalis::weights::decode;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

// The engine lives in a worker, so that is where it is tested.
wasm_bindgen_test_configure!(run_in_dedicated_worker);

include!("shared/golden.rs");
include!("shared/noise_golden.rs");
#[cfg(feature = "cpu")]
include!("shared/readme.rs");

const TINY: &[u8] = include_bytes!("fixtures/tiny.safetensors");

fn golden() -> Picture {
    Picture::from_png(include_bytes!("fixtures/golden.png")).unwrap()
}

#[wasm_bindgen_test]
fn seeds_give_the_golden_bits() {
    check_golden_noise();
}

#[cfg(feature = "cpu")]
#[wasm_bindgen_test]
async fn the_cpu_gives_the_golden_picture() {
    let off = hatch_golden(TINY, &Device::flex()).await.unwrap().largest_difference(&golden()).unwrap();
    assert!(off <= 1, "off by {off}/255");
}

#[cfg(feature = "cpu")]
#[wasm_bindgen_test]
async fn the_readme_shows_what_the_shipped_weights_give_here() {
    let off = hatch_shipped(7, &Device::flex()).await.largest_difference(&in_the_readme(7)).unwrap();
    assert!(off <= 1, "off by {off}/255");
}

#[cfg(feature = "gpu")]
#[wasm_bindgen_test]
async fn web_gpu_gives_the_golden_picture() {
    let adapter = open_gpu().await.expect("webdriver.json gives the browser WebGPU in software");
    let psnr = hatch_golden(TINY, &adapter.device).await.unwrap().psnr(&golden()).unwrap();
    assert!(psnr >= 40.0, "{}: {psnr:.1} dB", adapter.name);
}

#[cfg(feature = "cpu")]
#[wasm_bindgen_test]
fn damaged_weights_are_an_error_and_no_panic() {
    for length in [0, 7, 8, 1000, TINY.len() - 1] {
        assert!(decode(&TINY[..length], &Device::flex()).is_err());
    }
}
