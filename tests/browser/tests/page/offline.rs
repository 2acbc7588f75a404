//! The page after its first visit, without a network, and when its host has another build by then.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrysalis_browser::root;
use tempfile::TempDir;

use crate::visitor::{Browser, GOLDEN, TIMEOUT, built, fixture, golden};

/// A static host: what it serves, and what it was asked for.
#[derive(Default)]
struct Host {
    /// The folder that it serves; none while it cannot be reached.
    folder: Option<PathBuf>,
    asked: Vec<String>,
}

impl Host {
    /// Serves the folder, below /a/sub/path/ as everywhere here. Returns the page's address.
    fn start(host: Arc<Mutex<Self>>) -> String {
        let address = chrysalis_browser::serve(move |path| {
            let mut host = host.lock().unwrap();
            host.asked.push(path.to_string());
            let file =
                path.strip_prefix("a/sub/path/").map(|file| if file.is_empty() { "index.html" } else { file })?;
            std::fs::read(host.folder.as_ref()?.join(file)).ok()
        });
        format!("{}/a/sub/path/", address.unwrap())
    }
}

/// The page as `make dist` builds it: with its service worker, here after `change` has changed the folder.
fn release(change: impl Fn(&Path)) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let ends_well = |command: &mut Command| assert!(command.status().unwrap().success(), "{command:?}");
    ends_well(Command::new("cp").arg("-R").arg(built().join(".")).arg(folder.path()));
    std::fs::write(folder.path().join("weights/tiny.safetensors"), fixture("tiny.safetensors")).unwrap();
    change(folder.path());
    let script = root().join("scripts/offline.sh");
    ends_well(Command::new("bash").arg(script).env("TRUNK_PROFILE", "release").env("TRUNK_STAGING_DIR", folder.path()));
    folder
}

/// Gives the page another title.
fn entitled(title: &str) -> TempDir {
    release(|folder| {
        let file = folder.join("index.html");
        let page = std::fs::read_to_string(&file).unwrap();
        assert!(page.contains("<title>Chrysalis: "));
        std::fs::write(&file, page.replace("<title>Chrysalis: ", &format!("<title>{title}: "))).unwrap();
    })
}

impl Browser {
    async fn reload_until_entitled(&self, title: &str) {
        self.driver.refresh().await.unwrap();
        let started = Instant::now();
        while !self.driver.title().await.unwrap().starts_with(title) {
            assert!(started.elapsed() < TIMEOUT, "{} instead of {title}", self.driver.title().await.unwrap());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn assert_golden(&self) {
        self.wait_hatched().await;
        assert!(self.picture().await.largest_difference(&golden()) <= 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn after_the_first_visit_it_needs_no_network_and_builds_never_mix() {
    let first = entitled("First");
    let host = Arc::new(Mutex::new(Host { folder: Some(first.path().into()), ..Host::default() }));
    let serve = |folder: Option<&TempDir>| {
        let mut host = host.lock().unwrap();
        host.folder = folder.map(|folder| folder.path().into());
        std::mem::take(&mut host.asked)
    };
    let browser = Browser::start(false).await;
    let address = format!("{}?{GOLDEN}&device=cpu", Host::start(Arc::clone(&host)));
    browser.open(&address).await;
    browser.assert_golden().await;
    for file in ["index.html", "worker-cpu_bg.wasm", "weights/tiny.safetensors"] {
        browser.wait_until(&format!("!!(await caches.match(new URL('{file}', location.href)))")).await;
    }
    // A visitor does not pay for the engine that the machine does not need.
    browser.wait_until("!(await caches.match(new URL('worker-gpu_bg.wasm', location.href)))").await;

    serve(None);
    browser.open("about:blank").await;
    browser.open(&address).await;
    browser.assert_golden().await;
    let asked = serve(None);
    // The browser itself asks whether there is a new service worker.
    let asked: Vec<&String> = asked.iter().filter(|path| !path.ends_with("offline.js")).collect();
    assert!(asked.is_empty(), "{asked:?}");

    // A build that is only half on the host is not taken.
    let torn = entitled("Torn");
    std::fs::write(torn.path().join("icon.svg"), "<svg/>").unwrap();
    serve(Some(&torn));
    browser.reload_until_entitled("First").await;
    browser.wait_until("!!(await (await navigator.serviceWorker.ready).update().catch(() => true))").await;
    browser.wait_until("{ const r = await navigator.serviceWorker.ready; return !r.installing && !r.waiting; }").await;
    browser.reload_until_entitled("First").await;
    browser.assert_golden().await;

    // A whole one is made ready meanwhile, and is there from the next visit on.
    let second = entitled("Second");
    serve(Some(&second));
    browser.reload_until_entitled("First").await;
    browser.wait_until("!!(await navigator.serviceWorker.ready).waiting").await;
    browser.assert_golden().await;
    browser.reload_until_entitled("Second").await;
    browser.assert_golden().await;
    browser.wait_until("(await caches.keys()).length === 1").await;
    serve(None);
    browser.wait_until("!!(await caches.match(new URL('weights/tiny.safetensors', location.href)))").await;
    browser.end().await;
}
