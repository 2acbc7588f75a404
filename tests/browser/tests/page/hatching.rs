//! Hatching as a visitor does it: the right pictures, on either engine, and what happens when something is missing.

use std::io::Cursor;

use image::AnimationDecoder;
use image::codecs::png::PngDecoder;
use thirtyfour::prelude::*;

use crate::visitor::{Browser, Fault, GOLDEN, Picture, built, fixture, golden, golden_page, serve};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn an_address_gives_the_golden_butterfly_on_the_cpu() {
    let browser = Browser::start(true).await;
    browser.open(&format!("{}?{GOLDEN}&device=cpu", serve(Fault::None))).await;
    browser.wait_hatched().await;
    let off = browser.picture().await.largest_difference(&golden());
    assert!(off <= 1, "off by {off}/255");
    assert!(browser.text("device").await.contains("The CPU, as asked for"), "{}", browser.text("device").await);
    browser.screenshot("hatched").await;

    browser.end().await;
}

/// What the main thread did so far, as `src/main-thread.js` counts it.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Work {
    modules: i64,
    module_bytes: i64,
    calls: i64,
    messages: i64,
    message_bytes: i64,
    pixels: i64,
    read_bytes: i64,
}

/// Counts, no times: a busy machine makes anything late, and a page that computes on its main thread shows in these.
/// `make bench` has the times.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn the_main_thread_handles_messages_and_draws_and_nothing_else() {
    let browser = Browser::start(true).await;
    let page = format!("{}?sampler=dpm&seed=1&device=cpu", serve(Fault::CountedPage));
    browser.open(&format!("{page}&weights=weights/tiny.safetensors&steps=8")).await;
    browser.wait_hatched().await;
    let mut works: Vec<Work> = Vec::new();
    for steps in [8, 16, 64] {
        browser.hatch_steps(steps, "dpm").await;
        works.push(browser.driver.execute("return window.work;", Vec::new()).await.unwrap().convert().unwrap());
    }
    eprintln!("{works:?}");
    let [eight, sixteen, sixty_four] = works[..] else { unreachable!() };
    // The engine is not here: the page's own module is small, and it reads the weights once, to hand them on.
    assert_eq!(sixty_four.modules, 1);
    assert!((1..950_000).contains(&sixty_four.module_bytes), "the page's module has {} bytes", sixty_four.module_bytes);
    let weights = fixture("tiny.safetensors").len() as i64;
    assert!(sixty_four.read_bytes <= weights + 10_000, "the main thread read {} bytes", sixty_four.read_bytes);
    assert_eq!(sixty_four.read_bytes, eight.read_bytes, "hatching reads nothing");
    // A step is one message with two small pictures, some calls of the DOM, and their pixels. What a hatching costs
    // beside its steps cancels out. With a second stage's third, eight at most, the hatchings have 22 and 72 steps; of
    // the 50 between them, 48 are of the first stage.
    let a_step = |count: fn(&Work) -> i64| {
        ((count(&sixty_four) - count(&sixteen)) - (count(&sixteen) - count(&eight))) as f64 / 50.0
    };
    let pixels = (48.0 * 8.0 * 8.0 + 2.0 * 16.0 * 16.0) / 50.0;
    assert!((0.9..=1.1).contains(&a_step(|work| work.messages)), "{} messages", a_step(|work| work.messages));
    let bytes = a_step(|work| work.message_bytes);
    assert!((4.0 * pixels..=2.0 * 4.0 * pixels + 500.0).contains(&bytes), "{bytes} bytes of messages");
    assert!((pixels..=3.0 * pixels).contains(&a_step(|work| work.pixels)), "{} pixels", a_step(|work| work.pixels));
    let calls = a_step(|work| work.calls);
    assert!((1.0..=200.0).contains(&calls), "{calls} calls of the DOM");
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn web_gpu_gives_the_golden_butterfly() {
    let browser = Browser::start(true).await;
    browser.open(&format!("{}?{GOLDEN}&device=gpu", serve(Fault::None))).await;
    browser.wait_hatched().await;
    assert!(browser.text("device").await.contains("Your GPU"), "{}", browser.text("device").await);
    let psnr = browser.picture().await.psnr(&golden());
    assert!(psnr >= 40.0, "{psnr:.1} dB");
    browser.end().await;
}

/// What WebGPU was asked for so far, as `tests/browser/src/count.js` counts it.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    dispatches: i64,
    submits: i64,
    pipelines: i64,
    buffers: i64,
    bytes: i64,
    wasm_bytes: i64,
}

impl Browser {
    async fn counts(&self) -> Counts {
        let ask = "const done = arguments[arguments.length - 1], channel = new BroadcastChannel('counts');
            channel.onmessage = message => { channel.close(); done(message.data); }; channel.postMessage('ask');";
        self.driver.execute_async(ask, Vec::new()).await.unwrap().convert().unwrap()
    }

    /// Hatches with as many steps of a sampler, and waits until it is done.
    async fn hatch_steps(&self, steps: usize, sampler: &str) {
        let hatch = format!(
            "document.getElementById('steps').value = {steps}; document.getElementById('caption').textContent = '';
            document.getElementById('hatch').click();"
        );
        self.driver.execute(&hatch, Vec::new()).await.unwrap();
        let caption = format!("{steps} steps of {sampler}");
        self.wait_for("caption", "the steps", |text| text.contains(&caption)).await;
    }

    /// Hatches one butterfly after the other, from seed `first` on.
    async fn hatch_many(&self, first: usize, count: usize) {
        let script = "const [first, count, done] = arguments, get = id => document.getElementById(id);
            (async () => {
              for (let seed = first; seed < first + count; seed++) {
                get('seed').value = seed;
                get('hatch').click();
                while (!get('caption').textContent.startsWith(`Number ${seed},`)) await new Promise(r => setTimeout(r, 2));
              }
              done(true);
            })();";
        // A few at a time: the driver waits two minutes for a script, and a busy machine is slow.
        for start in (first..first + count).step_by(25) {
            let arguments = vec![serde_json::json!(start), serde_json::json!(25.min(first + count - start))];
            self.driver.execute_async(script, arguments).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn hundreds_of_butterflies_leave_memory_as_the_first_did() {
    for device in ["cpu", "gpu"] {
        let browser = Browser::start(true).await;
        let page = format!("{}?device={device}&sampler=ddim&steps=1&seed=0", serve(Fault::Counted));
        browser.open(&format!("{page}&weights=weights/tiny.safetensors")).await;
        browser.wait_hatched().await;
        browser.hatch_many(1, 9).await;
        let tenth = browser.counts().await;
        browser.hatch_many(10, 90).await;
        let hundredth = browser.counts().await;
        browser.hatch_many(100, 400).await;
        let last = browser.counts().await;
        assert!(tenth.wasm_bytes > 0);
        assert_eq!(last.wasm_bytes, tenth.wasm_bytes, "{device}: WebAssembly's memory grew");
        // cubecl's pools find their final size within the first hundred; one small page more is what that has taken.
        assert!(hundredth.buffers - tenth.buffers <= 1, "{device}: GPU buffers were made early");
        assert_eq!((last.bytes, last.buffers), (hundredth.bytes, hundredth.buffers), "{device}: GPU buffers were made");
        browser.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn a_step_of_the_shipped_network_costs_a_gpu_few_launches_and_nothing_new() {
    let browser = Browser::start(true).await;
    browser.open(&format!("{}?device=gpu&sampler=dpm&steps=6&seed=1", serve(Fault::Counted))).await;
    let mut counts: Vec<Counts> = Vec::new();
    // The second stage was tuned to take a single step, which cancels out: 7, 7 and 9 in all. Of six steps the last two finish the
    // picture, so all that happens in a step has happened in the first picture.
    for steps in [6, 6, 8] {
        if counts.is_empty() {
            browser.wait_hatched().await;
        } else {
            browser.hatch_steps(steps, "dpm").await;
        }
        counts.push(browser.counts().await);
    }
    eprintln!("{counts:?}; {}; eight steps: {}", browser.text("device").await, browser.text("status").await);
    let [first, second, third] = counts[..] else { unreachable!() };
    let a_step =
        |count: fn(&Counts) -> i64| ((count(&third) - count(&second)) - (count(&second) - count(&first))) as f64 / 2.0;
    // The network, its preconditioning, the sampler's arithmetic, and reading two pictures back to show them.
    let (dispatches, submits) = (a_step(|counts| counts.dispatches), a_step(|counts| counts.submits));
    assert!((60.0..=120.0).contains(&dispatches), "{dispatches} dispatches a step");
    // The page counts for itself, both stages and without the sampler's arithmetic.
    browser.driver.execute("document.querySelector('.bonnet').open = true;", Vec::new()).await.unwrap();
    let report = browser.text("report").await;
    let launches =
        report.split_once(" launches").and_then(|(before, _)| before.rsplit(' ').next()?.parse::<f64>().ok());
    assert!(launches.is_some_and(|launches| (1.5..=2.5).contains(&(launches / dispatches))), "{dispatches}: {report}");
    // Four on the way down; fresh noise, which the second of the two further steps brings, is one more.
    assert!(submits <= 4.5, "{submits} submits a step");
    assert_eq!(third.pipelines, first.pipelines, "pipelines were made after the first picture");
    assert_eq!(third.buffers, first.buffers, "buffers were made after the first picture");
    browser.end().await;
}

#[test]
#[ignore = "needs a built page: make test"]
fn no_module_runs_its_constructors_at_every_call() {
    // The linker gives the wrappers that do it names of their own; see docs/upstream.md.
    let contains = |module: &str, name: &str| {
        let bytes = std::fs::read(built().join(module)).unwrap();
        bytes.windows(name.len()).any(|window| window == name.as_bytes())
    };
    assert!(contains("worker-gpu_bg.wasm", "__wasm_call_ctors"), "the module has lost its names, or its constructors");
    for module in ["worker-gpu_bg.wasm", "worker-cpu_bg.wasm", "adapter-probe_bg.wasm"] {
        assert!(!contains(module, ".command_export"), "{module} is taken for a command");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn four_butterflies_hatch_at_once_and_are_the_ones_that_hatch_alone() {
    let browser = Browser::start(false).await;
    let page = golden_page(Fault::None);
    browser.hatch_at(&format!("{page}&seed=4&count=4")).await;
    let four = browser.picture().await;
    assert_eq!(four.0.dimensions(), (32, 32));
    browser.screenshot("four").await;
    assert!(browser.text("caption").await.starts_with("Numbers 4 to 7"), "{}", browser.text("caption").await);
    // The last of them is the golden one.
    let corner = Picture(image::imageops::crop_imm(&four.0, 16, 16, 16, 16).to_image());
    assert!(corner.largest_difference(&golden()) <= 1);
    browser.set("steps", "64").await;
    browser.hatch_and_cancel().await;
    browser.wait_for("status", "Cancelled", |text| text == "Cancelled.").await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn a_request_for_four_can_be_withdrawn_while_helpers_wake() {
    let browser = Browser::start(false).await;
    browser.open(&golden_page(Fault::None)).await;
    browser.wait_for("status", "Ready", |text| text == "Ready.").await;
    browser.set("count", "4").await;
    let at_once = "document.getElementById('hatch').click(); await null; await null;
        const said = document.getElementById('status').textContent; document.getElementById('cancel').click(); return said;";
    let said: String = browser.driver.execute(at_once, Vec::new()).await.unwrap().convert().unwrap();
    assert!(said.contains("helper"), "{said}");
    browser.wait_for("status", "Cancelled", |text| text == "Cancelled.").await;
    // The helpers that are on their way do not start what nobody wants any more, and the next request is granted.
    browser.set("count", "1").await;
    browser.click("hatch").await;
    browser.wait_hatched().await;
    assert!(browser.picture().await.largest_difference(&golden()) <= 1);
    browser.set("count", "4").await;
    browser.click("hatch").await;
    browser.wait_for("caption", "the four", |text| text.starts_with("Numbers 7 to 10,")).await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn four_butterflies_hatch_without_helpers_too() {
    let browser = Browser::start(false).await;
    let page = golden_page(Fault::OneEngine);
    browser.hatch_at(&format!("{page}&seed=4&count=4")).await;
    assert_eq!(browser.picture().await.width(), 32);
    browser.wait_for("caption", "the four", |text| text.starts_with("Numbers 4 to 7,")).await;
    assert_eq!(browser.text("failure").await, "");
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn whoever_falls_silent_is_not_waited_for() {
    let browser = Browser::start(false).await;
    // Nobody says whether there is a GPU, for one reason or another.
    for (fault, needed) in [
        (Fault::SilentGpu, "The browser does not say whether there is a GPU: using the CPU"),
        (Fault::Without("adapter-probe_loader.js"), "Nobody could look for a GPU"),
    ] {
        browser.open(&format!("{}?{GOLDEN}", serve(fault))).await;
        browser.wait_hatched().await;
        assert!(browser.text("device").await.contains(needed), "{}", browser.text("device").await);
    }
    // An engine hangs when it should stop; the next one hatches what is asked for then, and not what was cancelled.
    browser.open(&format!("{}?weights=weights/tiny.safetensors&sampler=heun", serve(Fault::NoCancellation))).await;
    browser.wait_for("status", "Ready", |text| text == "Ready.").await;
    browser.set("steps", "64").await;
    browser.hatch_and_cancel().await;
    browser.wait_for("status", "Ready", |text| text == "Ready.").await;
    browser.set("steps", "8").await;
    browser.set("seed", "7").await;
    browser.click("hatch").await;
    browser.wait_hatched().await;
    assert!(browser.picture().await.largest_difference(&golden()) <= 1);
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn the_keyboard_finds_its_way_back() {
    let browser = Browser::start(false).await;
    browser.open(&format!("{}?weights=weights/tiny.safetensors", serve(Fault::None))).await;
    browser.wait_for("status", "Ready", |text| text == "Ready.").await;
    for id in ["dice", "hatch"] {
        let press = format!("const button = document.getElementById('{id}'); button.focus(); button.click();");
        browser.driver.execute(&press, Vec::new()).await.unwrap();
        browser.wait_for("caption", "a butterfly", |text| text.starts_with("Number ")).await;
        let focused = "return document.activeElement.id;";
        let found: String = browser.driver.execute(focused, Vec::new()).await.unwrap().convert().unwrap();
        assert_eq!(found, id);
        browser.driver.execute("document.getElementById('caption').textContent = '';", Vec::new()).await.unwrap();
    }
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn a_software_adapter_is_named_and_not_used() {
    let browser = Browser::start(true).await;
    browser.open(&format!("{}?weights=weights/tiny.safetensors", serve(Fault::None))).await;
    browser.wait_for("status", "Ready", |text| text == "Ready.").await;
    let device = browser.text("device").await;
    assert!(device.contains("Software adapter") && device.contains(": using the CPU"), "{device}");
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn a_browser_without_web_gpu_hatches_on_the_cpu_and_says_so() {
    let browser = Browser::start(false).await;
    // Switched off in the browser, where navigator.gpu stays and lends nothing; and not there at all.
    for (fault, needed) in [
        (Fault::None, "WebGPU offers no device (it may be switched off, or the driver be too old): using the CPU"),
        (Fault::NoWebGpu, "This browser has no WebGPU: using the CPU"),
    ] {
        browser.open(&format!("{}?{GOLDEN}", serve(fault))).await;
        browser.wait_hatched().await;
        let device = browser.text("device").await;
        assert!(device.contains(needed), "{device}");
        assert!(browser.picture().await.largest_difference(&golden()) <= 1);
    }
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn hatching_can_be_cancelled_repeated_saved_and_shared() {
    let browser = Browser::start(false).await;
    let page = serve(Fault::None);
    browser.open(&format!("{page}?weights=weights/tiny.safetensors")).await;
    browser.wait_for("status", "Ready", |text| text == "Ready.").await;
    assert!(!browser.enabled("cancel").await && !browser.enabled("save").await);

    browser.set("steps", "64").await;
    browser.hatch_and_cancel().await;
    browser.wait_for("status", "Cancelled", |text| text == "Cancelled.").await;
    assert!(browser.enabled("hatch").await && !browser.enabled("save").await);

    // Another seed, typed in; the address bar follows.
    browser
        .driver
        .execute(
            "document.getElementById('steps').value = 5; document.getElementById('sampler').value = 'dpm';
        document.getElementById('seed').value = '18446744073709551615';",
            Vec::new(),
        )
        .await
        .unwrap();
    browser.click("hatch").await;
    browser.wait_hatched().await;
    let address = browser.driver.current_url().await.unwrap().to_string();
    for part in ["seed=18446744073709551615", "steps=5", "sampler=dpm", "weights=weights"] {
        assert!(address.contains(part), "{part} is not in {address}");
    }
    let first = browser.picture().await;
    assert_eq!(browser.driver.find_all(By::Css("#strip li")).await.unwrap().len(), 5 + 2, "both stages");

    browser.click("save").await;
    let file = browser.downloads.path().join("butterfly-18446744073709551615-dpm-5.png");
    assert_eq!(Picture::from_png(&browser.downloaded(&file).await), first, "the saved file is the picture");
    browser.click("save-film").await;
    let film = browser.downloads.path().join("film-of-butterfly-18446744073709551615-dpm-5.png");
    let film = PngDecoder::new(Cursor::new(browser.downloaded(&film).await)).unwrap();
    let frames = film.apng().unwrap().into_frames().collect_frames().unwrap();
    assert_eq!(frames.len(), 5 + 2, "every step");
    let pixels = |frame: &image::Frame| image::DynamicImage::from(frame.buffer().clone()).into_rgb8();
    assert_eq!(Picture(pixels(&frames[6])), first, "the last is the picture");
    assert!(frames.iter().all(|frame| frame.buffer().dimensions() == first.0.dimensions()));
    assert_ne!(pixels(&frames[0]), pixels(&frames[6]));

    browser.open("about:blank").await;
    browser.open(&address).await;
    browser.wait_hatched().await;
    assert_eq!(browser.picture().await, first, "the address gives the same butterfly");

    // So does the saved file, with the model that it names.
    browser.open("about:blank").await;
    for at in [format!("{page}?weights=weights/tiny.safetensors"), format!("{page}?device=cpu")] {
        browser.open(&at).await;
        browser.wait_for("status", "Ready", |text| text == "Ready.").await;
        let field = browser.driver.find(By::Id("bring")).await.unwrap();
        field.send_keys(file.to_str().unwrap()).await.unwrap();
        let caption = "Number 18446744073709551615, 5 steps of dpm";
        browser.wait_for("caption", "the saved one", |text| text == caption).await;
        assert_eq!(browser.picture().await, first, "the saved file gives the same butterfly");
    }
    let other = browser.downloads.path().join("other.png");
    image::RgbImage::new(4, 4).save(&other).unwrap();
    browser.driver.find(By::Id("bring")).await.unwrap().send_keys(other.to_str().unwrap()).await.unwrap();
    browser.wait_for("status", "that it says nothing", |text| text.contains("does not say which butterfly")).await;

    browser.driver.execute("document.getElementById('seed').value = 'seven';", Vec::new()).await.unwrap();
    browser.driver.execute("document.getElementById('controls').noValidate = true;", Vec::new()).await.unwrap();
    browser.click("hatch").await;
    browser.wait_for("status", "the seed's fault", |text| text.contains("'seven' is no whole number")).await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn a_visitor_can_open_a_weight_file_of_their_own() {
    let browser = Browser::start(false).await;
    browser.hatch_at(&format!("{}?seed=7&steps=8&sampler=heun&device=cpu", serve(Fault::None))).await;
    let file = browser.downloads.path().join("mine.safetensors");
    let bring = async |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        browser.driver.find(By::Id("bring")).await.unwrap().send_keys(file.to_str().unwrap()).await.unwrap();
    };
    bring(&fixture("tiny.safetensors")).await;
    let device = browser.wait_for("device", "the other model", |text| text.contains("16 × 16")).await;
    browser.wait_hatched().await;
    assert!(browser.picture().await.largest_difference(&golden()) <= 1, "{device}");
    // No address gives that butterfly again.
    assert!(!browser.enabled("copy").await);
    let address = browser.driver.current_url().await.unwrap();
    let names: Vec<_> = address.query_pairs().map(|(name, _)| name.into_owned()).collect();
    assert_eq!(names, ["device"], "{address}");
    let list = "const list = document.getElementById('model'); return list.selectedOptions[0].textContent;";
    let chosen: String = browser.driver.execute(list, Vec::new()).await.unwrap().convert().unwrap();
    assert_eq!(chosen, "Your own: mine.safetensors");

    bring(&fixture("tiny.safetensors")[..100_000]).await;
    browser.wait_for("failure", "what is wrong with it", |text| text.contains("Your weight file cannot be used")).await;
    // The way out: another model.
    browser.choose("model", "weights/butterflies-128.safetensors").await;
    browser.wait_for("device", "the shipped model", |text| text.contains("128 × 128")).await;
    browser.wait_for("status", "Ready", |text| text == "Ready." || text.starts_with("Hatch")).await;
    assert_eq!(browser.text("failure").await, "");
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn bad_weights_are_explained() {
    let browser = Browser::start(false).await;
    let page = serve(Fault::None);
    for (name, needed, remedy) in [
        ("missing", "the server answered 404", "try again"),
        ("truncated", "cut off", "Reload"),
        ("garbage", "cannot be used: the weight file's header claims", "Reload"),
    ] {
        browser.open(&format!("{page}?weights=weights/{name}.safetensors")).await;
        let said = browser.wait_for("failure", "a failure", |text| !text.is_empty()).await;
        assert!(said.contains(needed) && said.contains(remedy), "{name}: {said}");
        assert!(browser.enabled("hatch").await, "another attempt is welcome");
        browser.screenshot(name).await;
    }
    browser.open(&format!("{page}?weights=weights/tiny.safetensors&seed=7&steps=65")).await;
    browser.wait_for("status", "the address's fault", |text| text.contains("'65' steps")).await;
    assert!(browser.enabled("hatch").await, "the rest of the page works");
    browser.open(&format!("{page}?weights=https://example.org/other.safetensors")).await;
    let said = browser.wait_for("failure", "a failure", |text| !text.is_empty()).await;
    assert!(said.contains("on another server"), "{said}");
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn a_download_that_failed_is_tried_again_by_hatching() {
    let browser = Browser::start(false).await;
    browser.open(&format!("{}?{GOLDEN}", serve(Fault::LateWeights))).await;
    let said = browser.wait_for("failure", "a failure", |text| !text.is_empty()).await;
    assert!(said.contains("press Hatch to try again"), "{said}");
    browser.click("hatch").await;
    browser.wait_hatched().await;
    assert_eq!(browser.text("failure").await, "");
    assert!(browser.picture().await.largest_difference(&golden()) <= 1);
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn an_engine_that_does_not_start_is_explained() {
    let browser = Browser::start(false).await;
    for file in ["worker-cpu_loader.js", "worker-cpu_bg.wasm"] {
        browser.open(&serve(Fault::Without(file))).await;
        let said = browser.wait_for("failure", "a failure", |text| !text.is_empty()).await;
        assert!(said.contains("The engine could not go on"), "{file}: {said}");
    }
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn a_gpu_that_takes_the_engine_down_is_given_up_for_the_cpu_or_explained() {
    let browser = Browser::start(false).await;
    let page = serve(Fault::BrokenGpu);
    browser.open(&format!("{page}?{GOLDEN}")).await;
    browser.wait_hatched().await;
    assert!(
        browser.text("device").await.contains("Your GPU gave up: using the CPU"),
        "{}",
        browser.text("device").await
    );
    assert_eq!(browser.text("failure").await, "", "what was mended is not complained about");
    assert!(browser.picture().await.largest_difference(&golden()) <= 1);

    browser.open(&format!("{page}?{GOLDEN}&device=gpu")).await;
    let said = browser.wait_for("failure", "a failure", |text| !text.is_empty()).await;
    assert!(said.contains("device=cpu"), "{said}");
    assert!(browser.enabled("hatch").await, "another attempt is welcome");
    browser.end().await;
}
