//! One seed, one picture: with whatever vectors, threads and neighbours, for every sampler, with the shipped weights.

use std::path::Path;
use std::process::Command;

use burn::tensor::Device;
use chrysalis::diffusion::{Cascade, DEFAULT_STEPS, NoiseLevels, Plan, Sampler};
use chrysalis::picture::Picture;
use chrysalis::weights::decode;

use crate::support::text;

include!("../shared/readme.rs");

/// Sums are taken in another order and products rounded once or twice: what that may change of a value of 255.
const MOST_OFF: u8 = 1;

/// Seeds 7 and 8 from the program itself, each in a file.
fn sample(folder: &Path, [sampler, steps]: [&str; 2], simd: &str, threads: &str, batch: &str) -> [Picture; 2] {
    let out = folder.join(format!("{sampler}-{steps}-{simd}-{threads}-{batch}"));
    let arguments =
        ["--device", "cpu", "--seed", "7", "--count", "2", "--each", "--batch-size", batch, "--steps", steps];
    let output = Command::new(env!("CARGO_BIN_EXE_sample"))
        .args(arguments)
        .args(["--sampler", sampler, "--out", &text(&out)])
        .env("CHRYSALIS_SIMD", simd)
        .env("RAYON_NUM_THREADS", threads)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    [7, 8].map(|seed| Picture::from_png(&std::fs::read(out.join(format!("{seed:08}.png"))).unwrap()).unwrap())
}

#[test]
fn vectors_threads_and_neighbours_do_not_change_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let samplers = ["ddpm", "dpm-sde", "dpm", "heun", "heun:20", "ddim", "ddim:0.5"].map(|sampler| [sampler, "9"]);
    // In few steps it begins in another way.
    for sampler in samplers.into_iter().chain([["dpm", "4"]]) {
        let usual = sample(folder.path(), sampler, "widest", "2", "2");
        for (simd, threads, batch, most) in [
            ("scalar", "2", "2", MOST_OFF),
            ("avx2", "2", "2", MOST_OFF),
            ("widest", "3", "2", 0),
            ("widest", "1", "1", 0),
        ] {
            for (a, b) in usual.iter().zip(&sample(folder.path(), sampler, simd, threads, batch)) {
                let off = a.largest_difference(b).unwrap();
                assert!(off <= most, "{sampler:?}, {simd}, {threads} threads, batches of {batch}: off by {off}/255");
            }
        }
    }
}

#[test]
fn the_readme_shows_what_the_shipped_weights_give() {
    for seed in [0, 7, 42, 99] {
        let picture = pollster::block_on(hatch_shipped(seed, &Device::flex()));
        let off = picture.largest_difference(&in_the_readme(seed as usize)).unwrap();
        assert!(off <= MOST_OFF, "seed {seed}: off by {off}/255");
    }
}

#[test]
fn the_readme_and_the_page_tell_the_quality_that_the_shipped_weights_carry() {
    let weights = decode(include_bytes!("../../weights/butterflies-128.safetensors"), &Device::flex()).unwrap();
    let [small, large] = [64, 128].map(|size| weights.description.quality[&format!("KID × 1000 at {size} px")].round());
    let page = include_str!("../../index.html");
    let row = format!(r#"<th scope="row">What hatches here</th><td>{small}</td><td>{large}</td>"#);
    assert!(page.contains(&row), "index.html has no row {row}");
    let sentence = format!("KID × 1000 is {small} at 64 pixels");
    let readme = include_str!("../../README.md").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(readme.contains(&sentence), "README.md does not say '{sentence}'");
}
