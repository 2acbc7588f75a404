//! Butterflies in other people's pages: the module, the element, and the package.

use std::process::Command;

use chrysalis_browser::root;
use image::RgbImage;
use serde::Deserialize;
use serde_json::Value;

use crate::visitor::{Browser, Fault, Picture, built, golden, serve};

/// The options of the golden butterfly, from a page in examples/.
const GOLDEN: &str = "seed: '7', steps: 8, sampler: 'heun', weights: '../weights/tiny.safetensors', device: 'cpu'";
/// The same as attributes.
const GOLDEN_ATTRIBUTES: &str =
    "seed=\"7\" steps=\"8\" sampler=\"heun\" weights=\"../weights/tiny.safetensors\" device=\"cpu\"";

/// An `ImageData`, taken apart by a script.
#[derive(Deserialize)]
struct Image {
    width: u32,
    height: u32,
    data: Vec<u8>,
}

impl From<Image> for Picture {
    fn from(image: Image) -> Self {
        let rgb = image.data.as_chunks::<4>().0.iter().flat_map(|[r, g, b, _]| [*r, *g, *b]).collect();
        Self(RgbImage::from_raw(image.width, image.height, rgb).unwrap())
    }
}

const TAKE_APART: &str = "const apart = ({ width, height, data }) => ({ width, height, data: Array.from(data) });";

impl Browser {
    /// Runs the body of an asynchronous function in the page, which may use `hatch`.
    async fn in_foreign_page(&self, body: &str) -> Value {
        let script = format!(
            "const done = arguments[0]; {TAKE_APART}
             (async () => {{ const {{ hatch }} = await import('../chrysalis.js'); {body} }})().then(done, error => done(String(error)));"
        );
        self.driver.execute_async(&script, Vec::new()).await.unwrap().json().clone()
    }

    /// A page that hatches nothing by itself.
    async fn open_foreign_page(&self) {
        self.open(&format!("{}examples/element.html", serve(Fault::None))).await;
        self.driver.execute("document.body.replaceChildren();", Vec::new()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn the_module_samples_with_what_suits_the_model() {
    let browser = Browser::start(false).await;
    browser.open_foreign_page().await;
    let body = "const options = { steps: 3, weights: '../weights/tiny.safetensors', device: 'cpu' }, all = [];
        for (const sampler of [undefined, 'dpm-sde', 'dpm']) all.push(apart(await hatch({ ...options, sampler })));
        return all;";
    let all: Vec<Image> = serde_json::from_value(browser.in_foreign_page(body).await).unwrap();
    let [left, suiting, other] = all.try_into().map(|all: [Image; 3]| all.map(Picture::from)).ok().unwrap();
    assert_eq!(left.largest_difference(&suiting), 0);
    assert!(left.largest_difference(&other) > 10, "the samplers differ");
    let body = "let steps = 0; const options = { weights: '../weights/heliconius-128.safetensors', device: 'cpu' };
        await hatch({ ...options, onStep: ({ of }) => (steps = of) }); return steps;";
    let steps: usize = serde_json::from_value(browser.in_foreign_page(body).await).unwrap();
    assert_eq!(steps, 4 + 2, "as many as are usual for it");
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn the_module_hatches_in_any_page() {
    let browser = Browser::start(false).await;
    browser.open_foreign_page().await;
    #[derive(Deserialize)]
    struct Hatched {
        picture: Image,
        steps: Vec<(usize, usize, f64, u32)>,
    }
    let body = format!(
        "const steps = []; const onStep = s => steps.push([s.index, s.of, s.sigma, s.picture.width]);
         const picture = await hatch({{ {GOLDEN}, onStep }}); return {{ picture: apart(picture), steps }};"
    );
    let Hatched { picture, steps } = serde_json::from_value(browser.in_foreign_page(&body).await).unwrap();
    assert!(Picture::from(picture).largest_difference(&golden()) <= 1);
    let widths: Vec<u32> = steps.iter().map(|(.., width)| *width).collect();
    assert_eq!((steps.len(), widths[0], *widths.last().unwrap()), (11, 8, 16), "both stages");
    assert!((1..).zip(&steps).all(|(at, (index, of, ..))| (*index, *of) == (at, 11)));
    assert!(steps.windows(2).take(7).all(|pair| pair[0].2 > pair[1].2), "{steps:?}");

    // Whoever is given up, in the middle, waiting, or before anything, makes room for the next.
    let body = format!(
        "const outcomes = [], note = promise => promise.then(p => outcomes.push(p.width), e => outcomes.push(e.name));
         const [first, second, third] = [new AbortController(), new AbortController(), new AbortController()];
         const options = {{ {GOLDEN} }};
         const all = [
             note(hatch({{ ...options, steps: 64, signal: first.signal, onStep: () => first.abort() }})),
             note(hatch({{ ...options, signal: second.signal }})), note(hatch(options)),
         ];
         second.abort(); third.abort();
         await note(hatch({{ ...options, signal: third.signal }}));
         await Promise.all(all);
         return outcomes;"
    );
    let mut outcomes: Vec<Value> = serde_json::from_value(browser.in_foreign_page(&body).await).unwrap();
    outcomes.sort_by_key(Value::to_string);
    assert_eq!(
        outcomes,
        ["AbortError", "AbortError", "AbortError"]
            .map(Value::from)
            .into_iter()
            .chain([Value::from(16)])
            .collect::<Vec<_>>()
    );

    // What makes no sense is said in words, and nothing is stuck afterwards.
    for (options, words) in [
        ("seed: 'seven'", "'seven' is no whole number"),
        ("sampler: 'magic'", "magic"),
        ("device: 'abacus'", "'abacus'"),
        ("steps: 1001", "from 1 to 1000 steps"),
        ("weights: '../weights/missing.safetensors'", "the server answered 404"),
        ("weights: '../weights/garbage.safetensors'", "cannot be used"),
    ] {
        let said = browser.in_foreign_page(&format!("return (await hatch({{ {GOLDEN}, {options} }})).width;")).await;
        assert!(said.as_str().is_some_and(|said| said.contains(words)), "{options}: {said}");
    }
    assert_eq!(browser.in_foreign_page(&format!("return (await hatch({{ {GOLDEN} }})).width;")).await, 16);
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn the_element_hatches_when_it_is_seen_and_anew_when_it_changes() {
    let browser = Browser::start(false).await;
    browser.open_foreign_page().await;
    let hatched = "const hatched = of => new Promise((done, fail) => {
            of.addEventListener('hatched', e => done(e.detail.picture), { once: true });
            of.addEventListener('failed', e => fail(e.detail.error), { once: true }); });
        const label = of => of.shadowRoot.querySelector('canvas').ariaLabel;";
    #[derive(Deserialize)]
    struct Seen {
        label: String,
        shown: Image,
        width: f64,
        below: Option<String>,
    }
    let body = format!(
        "{hatched} document.body.innerHTML = '<chrysalis-butterfly id=\"one\" {GOLDEN_ATTRIBUTES}></chrysalis-butterfly>' +
            '<p class=\"tall\"></p><chrysalis-butterfly id=\"below\" {GOLDEN_ATTRIBUTES}></chrysalis-butterfly>';
         document.querySelector('.tall').style.height = '20000px';
         const [one, below] = ['one', 'below'].map(id => document.getElementById(id));
         await hatched(one);
         const canvas = one.shadowRoot.querySelector('canvas');
         const shown = apart(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height));
         return {{ label: label(one), shown, width: one.getBoundingClientRect().width, below: label(below) }};"
    );
    let Seen { label, shown, width, below } = serde_json::from_value(browser.in_foreign_page(&body).await).unwrap();
    assert!(Picture::from(shown).largest_difference(&golden()) <= 1);
    assert_eq!((label.as_str(), width, below), ("Butterfly number 7", 128.0, None));

    // Two attributes in one breath are one butterfly.
    let body = format!(
        "{hatched} const one = document.getElementById('one'), came = hatched(one);
         one.setAttribute('seed', '8'); one.setAttribute('steps', '4'); const picture = await came;
         const below = document.getElementById('below'), seen = hatched(below); below.scrollIntoView(); await seen;
         return [apart(picture), label(one), label(below)];"
    );
    let (picture, one, below): (Image, String, String) =
        serde_json::from_value(browser.in_foreign_page(&body).await).unwrap();
    assert!(Picture::from(picture).largest_difference(&golden()) > 30);
    assert_eq!([one.as_str(), below.as_str()], ["Butterfly number 8", "Butterfly number 7"]);

    let body = format!(
        "{hatched} const below = document.getElementById('below'), failed = hatched(below).catch(error => error.message);
         below.setAttribute('sampler', 'magic'); return [await failed, label(below)];"
    );
    let (failed, label): (String, String) = serde_json::from_value(browser.in_foreign_page(&body).await).unwrap();
    assert!(failed.contains("magic") && label.contains(&failed), "{failed}; {label}");
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn the_examples_hatch_the_shipped_butterflies() {
    expect_the_examples_to_hatch(Browser::start(false).await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn the_examples_hatch_in_firefox_too() {
    if let Some(browser) = Browser::firefox().await {
        expect_the_examples_to_hatch(browser).await;
    }
}

async fn expect_the_examples_to_hatch(browser: Browser) {
    let page = serve(Fault::None);
    browser.open(&format!("{page}examples/module.html")).await;
    browser.wait_for("said", "a butterfly", |text| text.starts_with("Number") && !text.contains("step")).await;
    browser.open(&format!("{page}examples/element.html")).await;
    let labels = "return Array.from(document.querySelectorAll('chrysalis-butterfly'), b => b.shadowRoot?.querySelector('canvas').ariaLabel ?? '').join();";
    let wanted = "Butterfly number 14,Butterfly number 15,Butterfly number 59";
    browser.wait_until(&format!("(() => {{ {labels} }})() === '{wanted}'")).await;
    browser.end().await;
}

#[test]
#[ignore = "needs a built page: make test"]
fn the_package_has_all_that_it_imports() {
    // Where there is no npm, nobody packs.
    let Ok(packed) = Command::new("npm").args(["pack", "--dry-run", "--json"]).current_dir(built()).output() else {
        return;
    };
    assert!(packed.status.success(), "{}", String::from_utf8_lossy(&packed.stderr));
    let said: Value = serde_json::from_slice(&packed.stdout).unwrap();
    let files: Vec<&str> =
        said[0]["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
    for file in [
        "package.json",
        "README.md",
        "chrysalis.js",
        "chrysalis.d.ts",
        "embed.js",
        "embed_bg.wasm",
        "adapter-probe_loader.js",
        "adapter-probe_bg.wasm",
        "worker-cpu_loader.js",
        "worker-cpu.js",
        "worker-cpu_bg.wasm",
        "worker-gpu_loader.js",
        "worker-gpu.js",
        "worker-gpu_bg.wasm",
        "weights/butterflies-128.safetensors",
    ] {
        assert!(files.contains(&file), "{file} is not in {files:?}");
    }
    assert!(!files.iter().any(|file| file.contains("page-") || file.contains("heliconius")), "{files:?}");
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let version = format!("version = {}", said[0]["version"]);
    assert!(
        manifest.lines().any(|line| line == version),
        "Cargo.toml has another version than package.json: {version}"
    );
}
