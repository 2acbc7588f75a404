//! The table that `make bench` prints and writes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use chrysalis::diffusion::StageShape;
use serde_json::Value;

/// Images a second of the starting point: burn-flex 0.22.1 as it comes, on a network of 14.2 million parameters and
/// 4.09 GFLOP, two cores.
const START: [f64; 2] = [10.4, 2.8];

/// What was measured so far.
pub struct Report {
    native: String,
    pytorch: String,
    download: String,
    /// Of each file, raw, with gzip and with brotli.
    sizes: BTreeMap<String, [usize; 3]>,
    visit: String,
    browser: String,
    steps: Vec<(String, u64, f64)>,
    notes: Vec<String>,
}

impl Report {
    pub fn new() -> Self {
        Self {
            native: String::new(),
            pytorch: String::new(),
            download: String::new(),
            sizes: BTreeMap::new(),
            visit: String::new(),
            browser: String::new(),
            steps: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// A network's speeds on a native device, in images a second.
    pub fn native(&mut self, device: &str, name: &str, shape: &StageShape, plain: f64, fast: f64, training: f64) {
        let _ = writeln!(
            self.native,
            "| {device} | {name}, {:?} | {fast:.1} | {plain:.1} | {training:.1} |",
            shape.layers.widths
        );
        if name == "large" && device == "CPU" {
            self.notes.push(format!(
                "Natively on the CPU, against the starting point's {} and {} images/s on a network of that size: sampling × {:.1}, \
                 training × {:.1}.",
                START[0],
                START[1],
                fast / START[0],
                training / START[1]
            ));
        }
    }

    /// Training of a stage in images a second: here, before and after, and in PyTorch in some ways.
    pub fn pytorch(&mut self, stage: usize, ours: [f64; 2], theirs: &[(&str, Option<f64>)]) {
        let [before, after] = ours;
        let mut row = format!("| stage {stage} | Chrysalis | {before:.1}, {after:.1} |\n");
        for (name, speed) in theirs {
            let speed = speed.map_or_else(|| "does not run here".into(), |speed| format!("{speed:.1}"));
            let _ = writeln!(row, "| | PyTorch, {name} | {speed} |");
        }
        eprint!("{row}");
        self.pytorch.push_str(&row);
        let best = theirs.iter().filter_map(|(_, speed)| *speed).fold(0.0, f64::max);
        if best > 0.0 {
            self.notes.push(format!(
                "Training stage {stage} is {:.2} × as fast as PyTorch's fastest way here.",
                f64::midpoint(before, after) / best
            ));
        }
    }

    /// Sizes of everything that a first visit may fetch.
    pub fn download(&mut self, dist: &Path) -> anyhow::Result<()> {
        let mut files: Vec<_> = [dist.to_path_buf(), dist.join("weights")]
            .iter()
            .flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten().flatten())
            .map(|entry| entry.path())
            .filter(|path| path.is_file())
            .collect();
        files.sort();
        for path in files {
            let bytes = std::fs::read(&path)?;
            let name = path.strip_prefix(dist).unwrap_or(&path).display().to_string();
            let (brotli, gzip) = (brotli_size(&bytes)?, gzip_size(&bytes)?);
            let _ = writeln!(self.download, "| {name} | {} | {gzip} | {brotli} |", bytes.len());
            self.sizes.insert(name, [bytes.len(), gzip, brotli]);
        }
        Ok(())
    }

    /// From navigation to the first butterfly, after [`Report::download`].
    pub fn browser(&mut self, visit: &Value) {
        let number = |field: &str| visit[field].as_f64().unwrap_or(f64::NAN);
        let requests: Vec<&str> =
            visit["requests"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let files: BTreeSet<&str> = requests.iter().copied().collect();
        let sizes = files.iter().filter_map(|file| self.sizes.get(*file));
        let [raw, gzip, brotli] = sizes.fold([0; 3], |sums, sizes| [0, 1, 2].map(|at| sums[at] + sizes[at]));
        let _ = writeln!(self.visit, "| device | {} |", visit["device"].as_str().unwrap_or(""));
        for (what, value) in [
            ("first contentful paint", format!("{:.0} ms", number("firstPaintMs"))),
            ("largest contentful paint", format!("{:.0} ms", number("largestPaintMs"))),
            ("the page takes orders", format!("{:.0} ms", number("interactiveMs"))),
            ("the first butterfly is finished", format!("{:.1} s", number("seconds"))),
            ("main thread: longest task of 50 ms or more", format!("{:.0} ms", number("longestTaskMs"))),
            ("main thread: blocked beyond 50 ms a task, in all", format!("{:.0} ms", number("blockingMs"))),
            ("cumulative layout shift", format!("{:.3}", number("shift"))),
            ("requests", format!("{}, for {} files", requests.len(), files.len())),
            ("bytes of these files, raw, gzip, brotli", format!("{raw}, {gzip}, {brotli}")),
        ] {
            let _ = writeln!(self.visit, "| {what} | {value} |");
        }
        eprint!("{}", self.visit);
    }

    /// One engine's step in the browser.
    pub fn engine(&mut self, name: &str, batch: u64, value: &Value) {
        let number = |field: &str| value[field].as_f64().unwrap_or(f64::NAN);
        let count = |field: &str| match value[field].as_f64() {
            Some(count) => format!("{count:.0}"),
            None => "–".into(),
        };
        let megabytes = match value["mostBytes"].as_f64() {
            Some(bytes) if bytes > 0.0 => format!("{:.1}", bytes / 1e6),
            _ => "–".into(),
        };
        self.steps.push((name.into(), batch, number("step")));
        let row = format!(
            "| {name} | {batch} | {:.1} | {:.0} | {:.0} | {} | {} | {} | {} | {megabytes} |",
            number("step"),
            number("first"),
            number("ready"),
            count("dispatches"),
            count("submits"),
            count("bindGroups"),
            count("pipelines"),
        );
        eprintln!("{row}");
        let _ = writeln!(self.browser, "{row}");
    }

    /// Four butterflies with several workers.
    pub fn pool(&mut self, value: &Value) {
        let number = |field: &str| value[field].as_f64().unwrap_or(f64::NAN);
        self.notes.push(format!(
            "Four butterflies on the CPU path with {} workers: {:.2} × the throughput of one butterfly with one worker.",
            number("processors"),
            4.0 * number("one") / number("four")
        ));
    }

    pub fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Prints the tables, and writes them into the part of the file that belongs to `make bench`; what people wrote stays.
    pub fn write(mut self, path: &Path) -> anyhow::Result<()> {
        self.compare();
        let mut text = String::from("<!-- From here to the end: written by `make bench`. -->\n\n");
        let _ = writeln!(text, "## The last run\n\n{}\n", about());
        let _ = writeln!(text, "### In the browser\n");
        let _ = writeln!(
            text,
            "Milliseconds of one step (one look of the network; Chrysalis's includes the sampler's arithmetic and two pictures for the \
             page), of the first one, and until the engine was ready; then what WebGPU is asked for in a step, and megabytes of GPU \
             buffers at most.\n"
        );
        let _ = writeln!(
            text,
            "| engine | batch | step | first | ready | dispatches | submits | bind groups | pipelines | MB |\n|---|---|---|---|---|---|---|---|---|---|\n{}",
            self.browser
        );
        let _ = writeln!(
            text,
            "### Natively\n\nImages a second; sampling at batch 16, training steps at batch 32, and the first or second stage of the cascade or one network at 64 × 64 pixels.\n"
        );
        let _ = writeln!(
            text,
            "| device | network, widths | sampling | sampling with the network for training | training |\n|---|---|---|---|---|\n{}",
            self.native
        );
        let _ = writeln!(
            text,
            "### Training against PyTorch\n\nImages a second of training steps at batch 32, with the layers of the default cascade.\n"
        );
        let _ = writeln!(text, "| network | with | training |\n|---|---|---|\n{}", self.pytorch);
        let _ = writeln!(
            text,
            "### A first visit\n\nOn localhost, with the page's own settings, until the first butterfly is finished.\n"
        );
        let _ = writeln!(text, "| what | measured |\n|---|---|\n{}", self.visit);
        let _ = writeln!(text, "### The download\n\nBytes, gzip at level 9 and brotli at level 11.\n");
        let _ = writeln!(text, "| file | raw | gzip | brotli |\n|---|---|---|---|\n{}", self.download);
        let _ = writeln!(text, "### In short\n");
        for note in &self.notes {
            let _ = writeln!(text, "- {note}");
        }
        println!("{text}");
        let before = std::fs::read_to_string(path).unwrap_or_default();
        let by_hand = before.split("<!-- From here to the end").next().unwrap_or_default();
        chrysalis::files::write(path, format!("{by_hand}{text}").as_bytes())?;
        Ok(())
    }

    fn compare(&mut self) {
        let step = |name: &str, batch: u64| {
            self.steps.iter().find(|(engine, at, _)| engine == name && *at == batch).map(|(_, _, step)| *step)
        };
        let mut notes = Vec::new();
        for (ours, theirs) in [
            ("Chrysalis, WebGPU", "ONNX Runtime Web, WebGPU"),
            ("Chrysalis, CPU, one worker", "ONNX Runtime Web, wasm, one thread"),
        ] {
            for batch in [1, 4] {
                if let (Some(a), Some(b)) = (step(ours, batch), step(theirs, batch)) {
                    notes.push(format!("{ours} is {:.1} × as fast as {theirs} at batch {batch}.", b / a));
                }
            }
        }
        self.notes.extend(notes);
    }
}

/// Date, machine and versions.
fn about() -> String {
    let run = |program: &str, arguments: &[&str]| {
        let output = std::process::Command::new(program).args(arguments).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_string()).unwrap_or_default()
    };
    let processor = std::fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| {
            text.lines().find_map(|line| {
                line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim().to_string())
            })
        })
        .unwrap_or_else(|| std::env::consts::ARCH.into());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let chrome = std::env::var("CHROME").unwrap_or_else(|_| "chromium".into());
    format!(
        "`make bench` on {}, {processor}, {threads} threads; {}; {}; burn 0.22.1; onnxruntime-web {}.",
        run("date", &["+%Y-%m-%d"]),
        run("rustc", &["--version"]),
        run(&chrome, &["--version"]),
        std::env::var("ONNXRUNTIME_WEB_VERSION").unwrap_or_else(|_| "not installed".into())
    )
}

fn gzip_size(bytes: &[u8]) -> anyhow::Result<usize> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?.len())
}

fn brotli_size(bytes: &[u8]) -> anyhow::Result<usize> {
    let mut coded = Vec::new();
    let parameters = brotli::enc::BrotliEncoderParams { quality: 11, lgwin: 24, ..Default::default() };
    brotli::BrotliCompress(&mut &bytes[..], &mut coded, &parameters)?;
    Ok(coded.len())
}
