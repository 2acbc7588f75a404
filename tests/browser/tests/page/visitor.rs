//! A visitor: a browser, the page as a static host serves it, and what may be wrong with either.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrysalis_browser::{COUNT, MAIN_THREAD, NO_WEBGPU_FLAGS, SOFTWARE_WEBGPU_FLAGS, Session, root};
use image::RgbImage;
use thirtyfour::prelude::*;

pub const TIMEOUT: Duration = Duration::from_secs(120);
/// A butterfly of the tiny model: the golden picture.
pub const GOLDEN: &str = "seed=7&steps=8&sampler=heun&weights=weights/tiny.safetensors";

pub fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(root().join("tests/fixtures").join(name)).unwrap()
}

/// What is wrong with a server or a browser.
#[derive(Clone, Copy, PartialEq)]
pub enum Fault {
    None,
    /// A file is missing.
    Without(&'static str),
    /// `navigator.gpu` is not there, as in browsers older than WebGPU.
    NoWebGpu,
    /// No fault, but everything that is asked of WebGPU is counted.
    Counted,
    /// No fault, but everything that the main thread does is counted.
    CountedPage,
    /// `navigator.gpu` lends an adapter that throws whatever is asked of it.
    BrokenGpu,
    /// `navigator.gpu` never says whether it has an adapter.
    SilentGpu,
    /// The file of an engine is there for the first that asks, and for nobody after that.
    OneEngine,
    /// Engines do not say that they have cancelled.
    NoCancellation,
    /// The weights are there for the second that asks, and not for the first.
    LateWeights,
    /// The engines are of another build than the page.
    OtherBuild,
    /// The butterflies' weights are on their way for ever.
    EndlessWeights,
    /// The browser has no store.
    NoStore,
    /// The browser's store takes nothing.
    FullStore,
    /// The browser's store is not open before `openStore()` is called.
    SlowStore,
}

impl Fault {
    /// What to run in the page and its workers before anything else.
    pub fn script(self) -> &'static str {
        match self {
            Self::NoWebGpu => "Object.defineProperty(navigator, 'gpu', {value: undefined});",
            Self::BrokenGpu => {
                "const broken = new Proxy({}, {get(_, name) { if (name === 'info') return {vendor: 'broken'};
                    if (name === 'features') return {has: () => true};
                    if (name === 'then' || name === 'isFallbackAdapter') return undefined; throw new Error('broken'); }});
                Object.defineProperty(navigator, 'gpu', {value: {requestAdapter: async () => broken}});"
            }
            Self::SilentGpu => {
                "Object.defineProperty(navigator, 'gpu', {value: {requestAdapter: () => new Promise(() => {})}});"
            }
            Self::NoCancellation => {
                "if (self.postMessage && !self.document) { const post = self.postMessage.bind(self);
                    self.postMessage = message => { if (message?.Sampling?.output !== 'Cancelled') post(message); }; }"
            }
            Self::OtherBuild => {
                "if (self.postMessage && !self.document) { const post = self.postMessage.bind(self);
                    self.postMessage = message => post(message?.Started ? {Started: {build: 'of yesterday'}} : message); }"
            }
            Self::EndlessWeights => {
                "if (self.document) { const get = self.fetch.bind(self); self.fetch = (at, options) =>
                    !String(at).includes('butterflies') ? get(at, options) : new Promise((_, fail) =>
                        options.signal.addEventListener('abort', () => fail(options.signal.reason))); }"
            }
            Self::NoStore => "Object.defineProperty(self, 'indexedDB', { value: undefined });",
            Self::FullStore => {
                "if (self.IDBObjectStore) IDBObjectStore.prototype.put = () => {
                    throw new DOMException('no room', 'QuotaExceededError'); };"
            }
            Self::SlowStore => {
                "if (self.IDBFactory) { const open = IDBFactory.prototype.open; let waiting = [];
                    IDBFactory.prototype.open = function (...named) { const request = open.apply(this, named);
                        request.addEventListener('success', event => {
                            if (waiting) { event.stopImmediatePropagation(); waiting.push(request); } });
                        return request; };
                    self.openStore = () => { const opened = waiting; waiting = null;
                        opened.forEach(request => request.dispatchEvent(new Event('success'))); }; }"
            }
            Self::Counted => COUNT,
            Self::CountedPage => MAIN_THREAD,
            _ => "",
        }
    }
}

/// The page's address with the weights, steps and sampler of the golden butterfly, to which more can be added.
pub fn golden_page(fault: Fault) -> String {
    format!("{}?weights=weights/tiny.safetensors&steps=8&sampler=heun", serve(fault))
}

/// The folder of the built page.
pub fn built() -> PathBuf {
    let dist = std::env::var_os("CHRYSALIS_DIST").map_or_else(|| root().join("dist"), PathBuf::from);
    assert!(dist.join("index.html").exists(), "there is no built page in {}: run make test", dist.display());
    dist
}

/// Serves the built page below /a/sub/path/, with weight files of every kind beside it. Returns the page's address.
pub fn serve(fault: Fault) -> String {
    let dist = built();
    let (mut engines, mut late) = (0, true);
    let address = chrysalis_browser::serve(move |path| {
        let file = path.strip_prefix("a/sub/path/").map(|file| if file.is_empty() { "index.html" } else { file })?;
        match file {
            file if matches!(fault, Fault::Without(missing) if missing == file) => None,
            loader @ ("adapter-probe_loader.js" | "worker-gpu_loader.js" | "worker-cpu_loader.js") => {
                engines += usize::from(loader.starts_with("worker"));
                if fault == Fault::OneEngine && engines > 1 {
                    return None;
                }
                let script = std::fs::read(dist.join(loader)).ok()?;
                if fault == Fault::CountedPage {
                    return Some(script);
                }
                Some([fault.script().as_bytes(), &script].concat())
            }
            "index.html" => {
                let page = std::fs::read_to_string(dist.join("index.html")).ok()?;
                // Nothing that is tested depends on how many processors this machine has.
                let processors = "Object.defineProperty(navigator, 'hardwareConcurrency', {value: 2});";
                let script = format!("<head><script>{processors}{}</script>", fault.script());
                Some(page.replacen("<head>", &script, 1).into_bytes())
            }
            "weights/tiny.safetensors" if fault == Fault::LateWeights && std::mem::replace(&mut late, false) => None,
            "weights/tiny.safetensors" => Some(fixture("tiny.safetensors")),
            "weights/truncated.safetensors" => Some(fixture("tiny.safetensors")[..100_000].to_vec()),
            "weights/garbage.safetensors" => Some(vec![0x5a; 50_000]),
            file => std::fs::read(dist.join(file)).ok(),
        }
    });
    format!("{}/a/sub/path/", address.unwrap())
}

/// What the page shows, pixel by pixel.
#[derive(Debug, PartialEq)]
pub struct Picture(pub RgbImage);

impl Picture {
    pub fn from_png(bytes: &[u8]) -> Self {
        Self(image::load_from_memory_with_format(bytes, image::ImageFormat::Png).unwrap().into_rgb8())
    }

    /// The largest difference between two bytes of pictures of the same size, and their peak signal-to-noise ratio in dB.
    pub fn compare(&self, other: &Self) -> (u8, f64) {
        assert_eq!(self.0.dimensions(), other.0.dimensions());
        let pairs = || self.0.as_raw().iter().zip(other.0.as_raw());
        let largest = pairs().map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        let squares: f64 = pairs().map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum();
        (largest, 10.0 * (255f64.powi(2) * self.0.as_raw().len() as f64 / squares).log10())
    }

    pub fn largest_difference(&self, other: &Self) -> u8 {
        self.compare(other).0
    }

    pub fn psnr(&self, other: &Self) -> f64 {
        self.compare(other).1
    }

    pub fn width(&self) -> u32 {
        self.0.width()
    }
}

/// A browser and where its downloads go.
pub struct Browser {
    session: Session,
    pub driver: WebDriver,
    pub downloads: tempfile::TempDir,
}

impl Browser {
    /// Chromium, whose visitor wants less motion: nothing begins by itself.
    pub async fn start(web_gpu: bool) -> Self {
        Self::with(if web_gpu { SOFTWARE_WEBGPU_FLAGS } else { NO_WEBGPU_FLAGS }, &["--force-prefers-reduced-motion"])
            .await
    }

    /// Chromium without WebGPU, whose visitor, like most, has not asked for less motion.
    pub async fn eager() -> Self {
        Self::with(NO_WEBGPU_FLAGS, &[]).await
    }

    /// Chromium without WebGPU, calm, whose visitor prefers dark pages or light ones.
    pub async fn coloured(dark: bool) -> Self {
        let scheme = format!("--blink-settings=preferredColorScheme={}", u8::from(!dark));
        Self::with(NO_WEBGPU_FLAGS, &["--force-prefers-reduced-motion", &scheme]).await
    }

    async fn with(flags: &[&str], more: &[&str]) -> Self {
        let downloads = tempfile::tempdir().unwrap();
        let session = Session::start(&[flags, more].concat(), Some(downloads.path())).await.unwrap();
        let driver = session.driver.clone();
        driver.set_script_timeout(TIMEOUT).await.unwrap();
        Self { session, driver, downloads }
    }

    /// Firefox, where it and its driver are installed.
    pub async fn firefox() -> Option<Self> {
        let session = Session::firefox().await.unwrap()?;
        let driver = session.driver.clone();
        driver.set_script_timeout(TIMEOUT).await.unwrap();
        Some(Self { session, driver, downloads: tempfile::tempdir().unwrap() })
    }

    pub async fn open(&self, address: &str) {
        self.driver.goto(address).await.unwrap();
    }

    /// Opens an address that asks for butterflies, and waits until they are there.
    pub async fn hatch_at(&self, address: &str) {
        self.open(address).await;
        self.wait_hatched().await;
    }

    pub async fn text(&self, id: &str) -> String {
        self.driver.find(By::Id(id)).await.unwrap().text().await.unwrap()
    }

    pub async fn click(&self, id: &str) {
        self.driver.find(By::Id(id)).await.unwrap().click().await.unwrap();
    }

    pub async fn enabled(&self, id: &str) -> bool {
        self.driver.find(By::Id(id)).await.unwrap().is_enabled().await.unwrap()
    }

    /// Waits until an element's text fulfils a condition, and returns it.
    pub async fn wait_for(&self, id: &str, what: &str, fulfilled: impl Fn(&str) -> bool) -> String {
        let started = Instant::now();
        loop {
            let text = self.text(id).await;
            if fulfilled(&text) {
                return text;
            }
            if started.elapsed() > TIMEOUT {
                let (status, failure) = (self.text("status").await, self.text("failure").await);
                self.screenshot("timeout").await;
                panic!("waited for {what} in #{id}, which says '{text}'; status '{status}', failure '{failure}'");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until an asynchronous expression of the page is true.
    pub async fn wait_until(&self, expression: &str) {
        let script = format!("const done = arguments[0]; (async () => {expression})().then(done, () => done(false));");
        let started = Instant::now();
        while !self.driver.execute_async(&script, Vec::new()).await.unwrap().convert::<bool>().unwrap() {
            assert!(started.elapsed() < TIMEOUT, "never: {expression}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What a script returns.
    pub async fn ask<T: serde::de::DeserializeOwned>(&self, script: &str) -> T {
        self.driver.execute(script, Vec::new()).await.unwrap().convert().unwrap()
    }

    pub async fn wait_hatched(&self) -> String {
        self.wait_for("status", "Hatched", |text| text.starts_with("Hatched")).await
    }

    /// The canvas's own pixels.
    pub async fn picture(&self) -> Picture {
        let script = "const c = document.getElementById('picture');
            return [c.width, c.height, Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)];";
        let value = self.driver.execute(script, Vec::new()).await.unwrap();
        let (width, height, rgba): (u32, u32, Vec<u8>) = value.convert().unwrap();
        let rgb = rgba.as_chunks::<4>().0.iter().flat_map(|[r, g, b, _]| [*r, *g, *b]).collect();
        Picture(RgbImage::from_raw(width, height, rgb).unwrap())
    }

    /// Sees the page in so many pixels, also in fewer than a window can be narrow.
    pub async fn size(&self, width: u32, height: u32) {
        let screen = serde_json::json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.driver.cdp().send_raw("Emulation.setDeviceMetricsOverride", screen).await.unwrap();
    }

    /// The bytes of a file, once it has come down as a whole.
    pub async fn downloaded(&self, file: &Path) -> Vec<u8> {
        // A browser may show a file under its last name before all of it is there; a PNG ends with this chunk.
        const END: &[u8] = b"\0\0\0\0IEND\xae\x42\x60\x82";
        let started = Instant::now();
        loop {
            match std::fs::read(file) {
                Ok(bytes) if bytes.ends_with(END) => return bytes,
                _ => assert!(started.elapsed() < TIMEOUT, "{} does not come, or not whole", file.display()),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Keeps a screenshot when SCREENSHOTS names a folder for them.
    pub async fn screenshot(&self, name: &str) {
        if let Some(folder) = std::env::var_os("SCREENSHOTS") {
            self.driver.screenshot(&Path::new(&folder).join(format!("{name}.png"))).await.unwrap();
        }
    }

    /// Chooses from a list.
    pub async fn choose(&self, id: &str, value: &str) {
        let script = format!(
            "const list = document.getElementById('{id}'); list.value = '{value}';
             list.dispatchEvent(new Event('change', {{ bubbles: true }}));"
        );
        self.driver.execute(&script, Vec::new()).await.unwrap();
    }

    pub async fn set(&self, id: &str, value: &str) {
        let script = format!("document.getElementById('{id}').value = '{value}';");
        self.driver.execute(&script, Vec::new()).await.unwrap();
    }

    /// Hatches, and cancels as soon as that is possible.
    pub async fn hatch_and_cancel(&self) {
        let script = "const done = arguments[0], get = id => document.getElementById(id); get('hatch').click();
            const cancel = () => get('cancel').disabled ? setTimeout(cancel, 1) : (get('cancel').click(), done(true));
            cancel();";
        self.driver.execute_async(script, Vec::new()).await.unwrap();
    }

    pub async fn end(self) {
        self.session.end().await;
    }
}

pub fn golden() -> Picture {
    Picture::from_png(&fixture("golden.png"))
}
