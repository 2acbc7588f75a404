//! What a browser keeps from one visit to the next, and what happens where it keeps nothing.

use crate::visitor::{Browser, Fault, GOLDEN, golden, golden_page, serve};

/// What all favourites are, to who does not see them.
const FAVOURITES: &str = "Array.from(document.querySelectorAll('[data-favourite]'), button => button.ariaLabel)";
const SEVENTH: &str = "Number 7, 8 steps of heun";

impl Browser {
    async fn favourites(&self) -> Vec<String> {
        self.ask(&format!("return {FAVOURITES};")).await
    }

    async fn wait_favourites(&self, expected: &[&str]) {
        let expected = serde_json::to_string(expected).unwrap();
        self.wait_until(&format!("JSON.stringify({FAVOURITES}) === JSON.stringify({expected})")).await;
    }

    async fn click_css(&self, css: &str) {
        self.driver.execute(&format!("document.querySelector(\"{css}\").click();"), Vec::new()).await.unwrap();
    }

    async fn is_pressed(&self) -> bool {
        self.ask("return document.getElementById('favourite').ariaPressed === 'true';").await
    }

    /// How some of the controls stand.
    pub async fn controls(&self) -> String {
        self.ask("return ['model', 'steps', 'sampler'].map(id => document.getElementById(id).value).join();").await
    }

    /// Until everything that was to be kept is.
    async fn settle(&self) {
        let script = "const done = arguments[0], open = indexedDB.open('chrysalis');
            open.onsuccess = () => {
                const all = open.result.transaction(['favourites', 'settings'], 'readwrite');
                all.oncomplete = () => { open.result.close(); done(true); };
                all.objectStore('favourites').count();
            };";
        self.driver.execute_async(script, Vec::new()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn favourites_and_controls_are_there_on_the_next_visit() {
    let browser = Browser::start(false).await;
    let page = golden_page(Fault::None);
    assert!(browser.favourites().await.is_empty());
    browser.hatch_at(&format!("{page}&seed=7")).await;
    assert!(!browser.is_pressed().await);
    browser.click("favourite").await;
    browser.wait_favourites(&[SEVENTH]).await;
    assert!(browser.is_pressed().await);
    browser.set("seed", "8").await;
    browser.click("hatch").await;
    browser.wait_for("caption", "another one", |text| text == "Number 8, 8 steps of heun").await;
    assert!(!browser.is_pressed().await, "this one is none yet");
    browser.click("favourite").await;
    browser.wait_favourites(&["Number 8, 8 steps of heun", SEVENTH]).await;
    browser.settle().await;
    browser.screenshot("favourites").await;

    // Nothing of it is in the address of the next visit, and the controls stand as they stood.
    let (start, _) = page.split_once('?').unwrap();
    browser.open("about:blank").await;
    browser.open(start).await;
    browser.wait_favourites(&["Number 8, 8 steps of heun", SEVENTH]).await;
    assert_eq!(browser.controls().await, "weights/tiny.safetensors,8,heun");

    browser.click_css("[data-favourite='1']").await;
    browser.wait_for("caption", "the favourite", |text| text == SEVENTH).await;
    browser.wait_hatched().await;
    assert!(browser.picture().await.largest_difference(&golden()) <= 1, "it hatches again");
    assert!(browser.is_pressed().await);
    browser.click("favourite").await;
    browser.wait_favourites(&["Number 8, 8 steps of heun"]).await;
    browser.click_css("[data-forget='0']").await;
    browser.wait_favourites(&[]).await;
    assert!(!browser.is_pressed().await);
    browser.settle().await;
    browser.open("about:blank").await;
    browser.hatch_at(&format!("{page}&seed=7")).await;
    browser.settle().await;
    assert!(browser.favourites().await.is_empty(), "forgotten for good");
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn what_is_left_to_the_model_is_left_to_it_on_the_next_visit() {
    let browser = Browser::start(false).await;
    let start = serve(Fault::None);
    browser.hatch_at(&format!("{start}?weights=weights/tiny.safetensors&seed=7&steps=3")).await;
    assert_eq!(browser.text("caption").await, "Number 7, 3 steps of dpm-sde");
    browser.settle().await;
    browser.open("about:blank").await;
    browser.open(&start).await;
    browser.wait_for("steps-shown", "the controls of the last visit", |text| text == "3").await;
    assert_eq!(browser.controls().await, "weights/tiny.safetensors,3,");
    // Steps too.
    browser.hatch_at(&format!("{start}?weights=weights/heliconius-128.safetensors&seed=7")).await;
    browser.settle().await;
    browser.open("about:blank").await;
    browser.open(&start).await;
    browser.wait_for("steps-shown", "those of the model of the last visit", |text| text == "4").await;
    browser.wait_for("status", "Ready", |text| text == "Ready.").await;
    browser.click("hatch").await;
    browser.wait_hatched().await;
    assert_eq!(browser.text("caption").await, "Number 7, 4 steps of dpm");
    browser.choose("model", "weights/butterflies-128.safetensors").await;
    browser.wait_for("caption", "another model", |text| text == "Number 7, 12 steps of dpm").await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn an_address_says_more_than_the_last_visit() {
    let browser = Browser::start(false).await;
    // What is kept is kept for a server.
    let start = serve(Fault::None);
    browser.hatch_at(&format!("{start}?{GOLDEN}")).await;
    browser.settle().await;
    browser.open("about:blank").await;
    browser.open(&format!("{start}?steps=5")).await;
    browser.wait_for("status", "Ready", |text| text == "Ready.").await;
    assert_eq!(browser.controls().await, "weights/butterflies-128.safetensors,5,");
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn a_model_that_is_gone_since_the_last_visit_gives_way_to_the_usual_one() {
    let browser = Browser::start(false).await;
    let start = serve(Fault::None);
    browser.hatch_at(&format!("{start}?{GOLDEN}")).await;
    browser.settle().await;
    let script = "const done = arguments[0], open = indexedDB.open('chrysalis');
        open.onsuccess = () => {
            const all = open.result.transaction('settings', 'readwrite');
            all.oncomplete = () => { open.result.close(); done(true); };
            all.objectStore('settings').put('steps=3&weights=weights/gone.safetensors', 'controls');
        };";
    browser.driver.execute_async(script, Vec::new()).await.unwrap();
    browser.open("about:blank").await;
    browser.open(&start).await;
    browser.wait_for("steps-shown", "the controls of the last visit", |text| text == "3").await;
    browser.wait_until("document.getElementById('model').value === 'weights/butterflies-128.safetensors'").await;
    browser.wait_for("status", "the usual model", |text| text == "Ready.").await;
    browser.click("hatch").await;
    browser.wait_for("caption", "one of the usual model's", |text| text == "Number 7, 3 steps of dpm").await;
    assert_eq!(browser.controls().await, "weights/butterflies-128.safetensors,3,");
    assert_eq!(browser.text("failure").await, "", "nobody is to be blamed");
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn a_browser_that_keeps_nothing_says_so_when_it_is_asked_to() {
    for fault in [Fault::NoStore, Fault::FullStore] {
        let browser = Browser::start(false).await;
        browser.hatch_at(&format!("{}&seed=7", golden_page(fault))).await;
        assert_eq!(browser.text("failure").await, "", "nobody has asked for anything to be kept");
        browser.click("favourite").await;
        browser.wait_favourites(&[SEVENTH]).await;
        browser.wait_for("status", "why", |text| text.contains("favourites last as long as this page")).await;
        browser.click_css("[data-favourite='0']").await;
        browser.wait_hatched().await;
        assert!(browser.picture().await.largest_difference(&golden()) <= 1);
        assert_eq!(browser.text("failure").await, "");
        browser.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn a_favourite_made_before_the_store_is_open_is_kept_and_nobody_is_told_otherwise() {
    let browser = Browser::start(false).await;
    let page = golden_page(Fault::SlowStore);
    browser.hatch_at(&format!("{page}&seed=7")).await;
    browser.click("favourite").await;
    browser.wait_favourites(&[SEVENTH]).await;
    browser.ask::<()>("openStore();").await;
    browser.settle().await;
    assert!(browser.text("status").await.starts_with("Hatched in"), "{}", browser.text("status").await);
    browser.open("about:blank").await;
    browser.hatch_at(&format!("{page}&seed=8")).await;
    assert!(browser.favourites().await.is_empty(), "it is not open yet");
    browser.ask::<()>("openStore();").await;
    browser.wait_favourites(&[SEVENTH]).await;
    browser.end().await;
}
