//! The fuzz targets' corpus, replayed: no file of it ends in a panic, takes long, or takes much memory.
//!
//! What fuzzing finds is put into `fuzz/corpus/TARGET` and stays there. The files to begin with are written by
//! `cargo test --release --test native write_the_corpus -- --ignored`.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use chrysalis::diffusion::{Model, StageShape};
use chrysalis::train::TrainConfig;
use chrysalis::unet::Layers;
use chrysalis::weights::{Storage, encode};
use image::{DynamicImage, ImageFormat, RgbImage, RgbaImage};
use parquet::basic::Compression;

use self::mutate::{Draw, with_other_bytes, with_other_header};
use crate::bombs::bombs;
use crate::data::{boastful_png, parquet_bytes};
use crate::support::{disc, small_cascade, small_stage};
use crate::weights::description;

#[path = "../../fuzz/entry.rs"]
mod entry;
#[path = "../../fuzz/mutate.rs"]
mod mutate;

/// Each with its name.
type Target = (&'static str, fn(&[u8]));
const TARGETS: [Target; 5] = [
    ("address", entry::address),
    ("config", entry::config),
    ("parquet", entry::parquet),
    ("pictures", entry::pictures),
    ("weights", entry::weights),
];
/// What one file may take, on a machine that does something else beside it.
const LONGEST: Duration = Duration::from_secs(20);
/// All that the program may ask the system for while it replays, in kB: what it takes for itself, threads and all, and
/// twice the 1 GiB that a page of Parquet may take.
#[cfg(target_os = "linux")]
const MOST_MEMORY: u64 = 5 << 20;

fn folder(target: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "fuzz/corpus", target].iter().collect()
}

fn files(target: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder(target)).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{target} has no corpus");
    files
}

fn replay() {
    for (target, entry) in TARGETS {
        for file in files(target) {
            // Told first: a file that ends the program cannot be told afterwards.
            eprintln!("{}", file.display());
            let started = Instant::now();
            entry(&fs::read(&file).unwrap());
            assert!(started.elapsed() < LONGEST, "{} takes {:?}", file.display(), started.elapsed());
        }
    }
}

#[test]
fn no_file_of_the_corpus_panics_or_takes_long() {
    replay();
}

/// The test above once more, in a program of its own that may take so much memory and no more.
#[cfg(target_os = "linux")]
#[test]
fn no_file_of_the_corpus_takes_much_memory() {
    let output = std::process::Command::new("bash")
        .args(["-c", &format!("ulimit -v {MOST_MEMORY}; exec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "corpus::no_file_of_the_corpus_panics_or_takes_long", "--nocapture"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("corpus/weights"), "{said}");
}

/// What fuzzing does, blindly and in seconds: as many mutations of each target's files as CHRYSALIS_MUTATIONS says.
#[test]
fn mutated_files_of_the_corpus_never_panic() {
    let count: u64 = std::env::var("CHRYSALIS_MUTATIONS").map_or(300, |count| count.parse().unwrap());
    for (target, entry) in TARGETS {
        // Bombs take long to look at, and most of what they are made of tells nothing when it is changed.
        let files: Vec<Vec<u8>> = files(target)
            .into_iter()
            .filter(|file| !file.to_string_lossy().contains("bomb-"))
            .map(|file| fs::read(file).unwrap())
            .collect();
        for seed in 0..count {
            let mut draw = Draw::new(seed);
            let file = &files[draw.below(files.len())];
            let header =
                (target == "weights" && draw.below(2) == 0).then(|| with_other_header(file, &mut draw)).flatten();
            let bytes = header.unwrap_or_else(|| with_other_bytes(file, &mut draw));
            if std::panic::catch_unwind(|| entry(&bytes)).is_err() {
                let found = std::env::temp_dir().join(format!("chrysalis-{target}-{seed}"));
                fs::write(&found, bytes).unwrap();
                panic!("{target} panics over mutation {seed}, which lies in {}", found.display());
            }
        }
    }
}

#[test]
fn the_corpus_stays_small() {
    let all = walkdir::WalkDir::new(folder("")).into_iter().flatten();
    let bytes: u64 = all.filter(|entry| entry.file_type().is_file()).map(|entry| entry.metadata().unwrap().len()).sum();
    assert!(bytes < 100_000, "{bytes} bytes");
}

#[test]
#[ignore = "writes into the source tree"]
fn write_the_corpus() {
    let put = |target: &str, name: &str, bytes: &[u8]| {
        fs::create_dir_all(folder(target)).unwrap();
        fs::write(folder(target).join(name), bytes).unwrap();
    };
    put("address", "butterfly", b"seed=1234&count=4&steps=24&sampler=heun:0.5&device=cpu&weights=other.safetensors");
    put("address", "nonsense", "seed=-1&count=2&steps=0&sampler=ddim:2&device=abacus&seed=7".as_bytes());
    put("address", "large", b"seed=18446744073709551616&steps=99999999999999999999&sampler=ddim:1e-400&weights=//else");
    put("address", "way", b"seed=7&series=morph:23&count=1&series=relatives");
    put("address", "relatives", b"seed=7&series=relatives");
    put("address", "torn", "&&=&seed&sampler=heun:NaN&count=\u{661}&steps=+9".as_bytes());

    put("config", "defaults.toml", TrainConfig::default().to_toml().unwrap().as_bytes());
    put("config", "cascade.toml", small_cascade().to_toml().unwrap().as_bytes());
    put(
        "config",
        "strange.toml",
        b"seed = 9223372036854775807\nbetas = [nan, -0.0]\n[[stages]]\nbatch_size = 0\nstorage = \"int8\"\n",
    );
    put("config", "large.toml", b"[[stages]]\n[stages.shape]\nimage_size = 4611686018427387904\npatch = 4294967296\nlayers = { widths = [], depth = 0 }\n");

    let picture = |size: usize, format: ImageFormat| {
        let rgb = RgbImage::from_raw(size as u32, size as u32, disc(3, size).rgb().to_vec()).unwrap();
        let mut bytes = std::io::Cursor::new(Vec::new());
        DynamicImage::ImageRgb8(rgb).write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    };
    put("pictures", "disc.png", &picture(16, ImageFormat::Png));
    put("pictures", "disc.jpg", &picture(16, ImageFormat::Jpeg));
    put("pictures", "disc.webp", &picture(16, ImageFormat::WebP));
    put("pictures", "tiny.png", &picture(3, ImageFormat::Png));
    put("pictures", "cut.jpg", &picture(16, ImageFormat::Jpeg)[..300]);
    put("pictures", "boastful.png", &boastful_png(18_000));
    let mut clear = std::io::Cursor::new(Vec::new());
    DynamicImage::ImageRgba8(RgbaImage::from_fn(24, 9, |x, y| image::Rgba([x as u8 * 9, 3, 200, y as u8 * 28])))
        .into_rgba16()
        .write_to(&mut clear, ImageFormat::Png)
        .unwrap();
    put("pictures", "clear16.png", clear.get_ref());

    let pictures =
        [Some(disc(1, 16).to_png().unwrap()), None, Some(b"garbage".to_vec()), Some(disc(1, 16).to_png().unwrap())];
    let codecs = [
        ("plain", Compression::UNCOMPRESSED),
        ("snappy", Compression::SNAPPY),
        ("gzip", Compression::GZIP(Default::default())),
        ("zstd", Compression::ZSTD(Default::default())),
        ("lz4", Compression::LZ4_RAW),
        ("brotli", Compression::BROTLI(Default::default())),
    ];
    for (name, codec) in codecs {
        put("parquet", &format!("{name}.parquet"), &parquet_bytes(&pictures, codec));
    }
    for (name, bytes, _) in bombs() {
        if bytes.len() < 20_000 {
            put("parquet", &format!("bomb-{}.parquet", name.replace(' ', "-")), &bytes);
        }
    }

    // The smallest models: 4 pixels, and 4 enlarged to 8; wider where only larger tensors are rounded.
    let layers = |width| Layers { widths: vec![width], depth: 1, head_width: 0, embedding: 4 };
    let first = |width| StageShape { image_size: 4, patch: 2, enlarges: 1, layers: layers(width) };
    let second = StageShape { image_size: 8, patch: 2, enlarges: 2, layers: layers(4) };
    let device = burn::tensor::Device::flex();
    for (name, shapes, storage) in [
        ("f16", vec![first(4), second], Storage::F16),
        ("int8", vec![first(12)], Storage::Int8),
        ("compact", vec![first(12)], Storage::Compact),
    ] {
        let model = Model::of(shapes.iter().map(|shape| small_stage(shape, &device)).collect());
        let bytes = pollster::block_on(encode(&model, &description(&model), storage)).unwrap();
        put("weights", &format!("{name}.safetensors"), &bytes);
        if name == "int8" {
            put("weights", "cut.safetensors", &bytes[..3000]);
        }
    }
    put("weights", "claims.safetensors", &[&(1u64 << 40).to_le_bytes(), [b' '; 64].as_slice()].concat());
}
