//! A real browser, driven: shared by the page's tests and by the browser's half of the benchmark.
//!
//! A package of its own, which knows nothing of the crate's code but what a visitor sees of it: the built page.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tempfile::TempDir;
use thirtyfour::prelude::*;
use tiny_http::{Header, Response, Server};

/// A script that counts what is asked of WebGPU in a worker, and tells whoever asks over a `BroadcastChannel`.
pub const COUNT: &str = include_str!("count.js");

/// A script that counts what the page does on the main thread, in `window.work`.
pub const MAIN_THREAD: &str = include_str!("main-thread.js");

/// Headless, and without the traffic that a fresh profile makes.
pub const CHROME_FLAGS: &[&str] = &[
    "--headless=new",
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
    "--window-size=1000,1400",
];
/// WebGPU on SwiftShader, Chromium's own Vulkan in software.
pub const SOFTWARE_WEBGPU_FLAGS: &[&str] = &[
    "--enable-unsafe-webgpu",
    "--enable-unsafe-swiftshader",
    "--use-webgpu-adapter=swiftshader",
    "--enable-features=Vulkan",
    "--use-vulkan=swiftshader",
    "--use-angle=swiftshader",
    "--ignore-gpu-blocklist",
];
/// A browser in which there is no WebGPU.
pub const NO_WEBGPU_FLAGS: &[&str] = &["--disable-features=WebGPU", "--disable-blink-features=WebGPU", "--disable-gpu"];

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A headless Chromium and its driver; both end with it.
pub struct Session {
    /// What drives it.
    pub driver: WebDriver,
    _process: Ended,
}

impl Session {
    /// Starts a fresh browser with `flags` beside [`CHROME_FLAGS`], whose downloads go to `downloads`. The programs are
    /// those that the environment variables CHROMEDRIVER and CHROME name, else those on the path.
    ///
    /// # Errors
    /// When there is no chromedriver, or it starts no browser within a minute.
    pub async fn start(flags: &[&str], downloads: Option<&Path>) -> anyhow::Result<Self> {
        let program = std::env::var("CHROMEDRIVER").unwrap_or_else(|_| "chromedriver".into());
        let profile = tempfile::tempdir()?;
        let mut caps = DesiredCapabilities::chrome();
        caps.add_arg(&format!("--user-data-dir={}", profile.path().display()))?;
        for flag in CHROME_FLAGS.iter().chain(flags) {
            caps.add_arg(flag)?;
        }
        if let Some(downloads) = downloads {
            caps.add_experimental_option("prefs", serde_json::json!({ "download.default_directory": downloads }))?;
        }
        if let Ok(chrome) = std::env::var("CHROME") {
            caps.set_binary(&chrome)?;
        }
        Self::with(&program, &[], caps.into(), profile).await
    }

    /// Starts a fresh Firefox without a window. The programs are those that the environment variables GECKODRIVER and FIREFOX name;
    /// None where the first is empty, as `make test` leaves it where Firefox or its driver cannot be installed.
    ///
    /// # Errors
    /// When no browser starts within a minute.
    pub async fn firefox() -> anyhow::Result<Option<Self>> {
        let driver =
            std::env::var("GECKODRIVER").context("GECKODRIVER does not name Firefox's driver: run make test")?;
        let browser = std::env::var("FIREFOX").ok().filter(|browser| !browser.is_empty());
        if driver.is_empty() {
            return Ok(None);
        }
        let profiles = tempfile::tempdir()?;
        let root = format!("--profile-root={}", profiles.path().display());
        let mut caps = DesiredCapabilities::firefox();
        caps.add_arg("-headless")?;
        if let Some(browser) = browser {
            caps.set_firefox_binary(&browser)?;
        }
        Self::with(&driver, &[root], caps.into(), profiles).await.map(Some)
    }

    async fn with(program: &str, arguments: &[String], caps: Capabilities, profile: TempDir) -> anyhow::Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let process = Command::new(program)
            .arg(format!("--port={port}"))
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("{program} could not be started: run make test, which installs it"))?;
        let process = Ended { driver: process, profile };
        let started = Instant::now();
        loop {
            match WebDriver::new(format!("http://127.0.0.1:{port}"), caps.clone()).await {
                Ok(driver) => return Ok(Self { driver, _process: process }),
                Err(error) if started.elapsed() > Duration::from_secs(60) => bail!("no browser: {error}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    }

    /// Closes the browser. Its driver's own process is ended either way.
    pub async fn end(self) {
        let _ = self.driver.clone().quit().await;
    }
}

/// A driver that ends with whoever holds it, and its browser too: a test that panics says goodbye to neither.
struct Ended {
    driver: Child,
    /// The browser's own: it stands in the command line of each of its processes.
    profile: TempDir,
}

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        let _ = Command::new("pkill").args(["-KILL", "-f"]).arg(self.profile.path()).status();
    }
}

/// Serves what `answer` gives for a path without its leading slash, on a free port of this machine, without any special
/// header, as static hosts do. Returns the address, without a slash at its end.
///
/// # Errors
/// When no port can be opened.
pub fn serve(mut answer: impl FnMut(&str) -> Option<Vec<u8>> + Send + 'static) -> anyhow::Result<String> {
    let server = Server::http("127.0.0.1:0").map_err(|error| anyhow::anyhow!("{error}"))?;
    let port = server.server_addr().to_ip().context("the server listens on no port")?.port();
    std::thread::spawn(move || {
        for request in server.incoming_requests() {
            let path = request.url().split('?').next().unwrap_or("").trim_start_matches('/').to_string();
            let body = if path.contains("..") { None } else { answer(&path) };
            let kind = match path.rsplit_once('.').map(|(_, end)| end) {
                Some("wasm") => "application/wasm",
                Some("js" | "mjs") => "text/javascript",
                Some("css") => "text/css",
                Some("json") => "application/json",
                Some("safetensors" | "onnx") => "application/octet-stream",
                _ => "text/html",
            };
            let Ok(header) = Header::from_bytes("Content-Type", kind) else { continue };
            // A visitor who leaves in the middle of a file is no fault of the server.
            let _ = match body {
                Some(body) => request.respond(Response::from_data(body).with_header(header)),
                None => request.respond(Response::from_string("not found").with_status_code(404)),
            };
        }
    });
    Ok(format!("http://127.0.0.1:{port}"))
}
