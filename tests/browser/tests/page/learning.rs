//! The lesson's figures that hatch something of their own, and how fast that goes: none of it touches what is in the drawer.

use sha2::{Digest, Sha256};

use crate::visitor::{Browser, Fault, fixture, golden, golden_page};

const SEVENTH: &str = "Number 7, 8 steps of heun";

impl Browser {
    /// The side of a canvas.
    async fn side(&self, id: &str) -> u32 {
        self.ask(&format!("return document.getElementById('{id}').width;")).await
    }

    /// Waits until there is something on a canvas, or nothing.
    async fn wait_drawn(&self, id: &str, drawn: bool) {
        let bytes = format!(
            "(of => of.getContext('2d').getImageData(0, 0, of.width, of.height).data)(document.getElementById('{id}'))"
        );
        self.wait_until(&format!("{bytes}.some(byte => byte > 0) === {drawn}")).await;
    }

    /// What is on a canvas, as the browser would save it.
    async fn content(&self, id: &str) -> String {
        let script = format!("return document.getElementById('{id}').toDataURL();");
        self.ask(&script).await
    }

    async fn choose_knob(&self, value: &str) {
        self.set("knob", value).await;
        self.click("twins").await;
    }

    async fn expect_undisturbed(&self) {
        assert_eq!(self.text("caption").await, SEVENTH);
        assert!(self.picture().await.largest_difference(&golden()) <= 1);
        let script = "return document.querySelectorAll('#specimens button').length;";
        let specimens: usize = self.ask(script).await;
        assert_eq!(specimens, 1, "what the lesson hatches is not in the cabinet");
        let address = self.driver.current_url().await.unwrap().to_string();
        assert!(address.contains("seed=7") && address.contains("sampler=heun"), "{address}");
        assert!(self.enabled("save").await);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn twins_differ_in_one_setting() {
    let browser = Browser::start(false).await;
    browser.hatch_at(&format!("{}&seed=7", golden_page(Fault::None))).await;
    browser.wait_drawn("twin-first", false).await;
    let timed = |text: &str, settings: &str| text.starts_with(settings) && text.ends_with(" s");
    browser.choose_knob("steps").await;
    browser.wait_for("twin-second-label", "a quarter", |text| timed(text, "2 steps of heun: ")).await;
    assert!(timed(&browser.text("twin-first-label").await, "8 steps of heun: "));
    let (first, second) = (browser.content("twin-first").await, browser.content("twin-second").await);
    assert_eq!(first, browser.content("picture").await, "the one is what the drawer shows");
    assert_ne!(first, second);
    browser.expect_undisturbed().await;

    browser.choose_knob("noise").await;
    browser.wait_for("twin-second-label", "none", |text| timed(text, "8 steps of dpm: ")).await;
    assert!(timed(&browser.text("twin-first-label").await, "8 steps of dpm-sde: "));
    let (stochastic, solver) = (browser.content("twin-first").await, browser.content("twin-second").await);
    assert!(stochastic != solver && stochastic != first);
    browser.choose_knob("order").await;
    browser.wait_for("twin-second-label", "the first order", |text| timed(text, "8 steps of ddim: ")).await;
    assert_eq!(browser.content("twin-first").await, solver, "the same seed in the same way is the same picture");
    browser.screenshot("twins").await;

    // Cancelled between both, the second does not come by itself.
    browser.set("steps", "64").await;
    browser.choose_knob("steps").await;
    browser.wait_for("status", "a step", |text| text.starts_with("Hatching number 7: step")).await;
    browser.click("cancel").await;
    browser.wait_for("status", "the end", |text| text == "Cancelled.").await;
    browser.wait_for("twin-second-label", "no time", |text| text == "16 steps of heun").await;
    assert!(browser.enabled("hatch").await);
    browser.expect_undisturbed().await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn a_riddle_hides_what_it_will_be_until_it_is_answered() {
    let browser = Browser::start(false).await;
    browser.hatch_at(&format!("{}&seed=7", golden_page(Fault::None))).await;
    assert!(!browser.enabled("riddle-next").await && !browser.enabled("riddle-seen").await);
    browser.click("riddle").await;
    browser.wait_for("riddle-place", "its first step", |text| text.starts_with("Step 1 of 11, σ")).await;
    assert_eq!(browser.side("riddle-picture").await, 8, "a small picture under noise");
    let noisy = browser.content("riddle-picture").await;
    let guess = "return document.getElementById('riddle-guess').checkVisibility({ visibilityProperty: true });";
    let sees = async || browser.ask::<bool>(guess).await;
    assert!(!sees().await, "what the network sees would tell it");
    browser.click("riddle-next").await;
    browser.wait_for("riddle-place", "the next", |text| text.starts_with("Step 2 of 11, σ")).await;
    assert_ne!(browser.content("riddle-picture").await, noisy);
    browser.expect_undisturbed().await;

    browser.click("riddle-seen").await;
    browser.wait_for("riddle-answer", "the answer", |text| text.starts_with("You saw it at step 2 of 11, ")).await;
    assert_eq!(browser.side("riddle-picture").await, 16, "the result");
    assert!(sees().await);
    assert!(!browser.enabled("riddle-next").await && !browser.enabled("riddle-seen").await);
    browser.screenshot("riddle").await;

    browser.click("riddle").await;
    browser.wait_for("riddle-place", "another one", |text| text.starts_with("Step 1 of 11, σ")).await;
    assert!(!sees().await);
    browser.expect_undisturbed().await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn a_skip_connection_can_be_switched_off() {
    let browser = Browser::start(false).await;
    browser.hatch_at(&format!("{}&seed=7", golden_page(Fault::None))).await;
    browser.slide("forward-level", "0.5").await;
    browser.choose("skip", "0").await;
    browser.wait_drawn("skip-cut", true).await;
    let outermost = browser.content("skip-cut").await;
    let whole = browser.content("skip-whole").await;
    assert_eq!(whole, browser.content("forward-guessed").await, "the same question as above");
    assert_ne!(whole, outermost);
    // What is shown is emptied before the next answer comes.
    browser.choose("skip", "").await;
    browser.wait_drawn("skip-cut", false).await;
    browser.choose("skip", "1").await;
    browser.wait_drawn("skip-cut", true).await;
    let other = browser.content("skip-cut").await;
    assert!(other != outermost && other != whole);
    assert_eq!(browser.content("skip-whole").await, whole);
    browser.expect_undisturbed().await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn the_network_shows_what_each_of_its_blocks_puts_out() {
    let browser = Browser::start(false).await;
    browser.hatch_at(&format!("{}&seed=7", golden_page(Fault::None))).await;
    let ask_at = async |level: &str| {
        browser.slide("forward-level", level).await;
        browser.ask::<()>("document.getElementById('forward-level').dispatchEvent(new Event('change'));").await;
    };
    ask_at("0.5").await;
    browser.wait_drawn("skip-whole", true).await;
    assert_eq!(browser.ask::<usize>("return activations.children.length;").await, 0, "nobody looks");
    browser.ask::<()>("inside.open = true;").await;
    // Two levels of one block, down and up, and the one between them.
    browser.wait_until("activations.children.length === 5").await;
    let captions = "return [...activations.children].map(block => block.textContent);";
    let captions: Vec<String> = browser.ask(captions).await;
    assert_eq!(captions, ["Down, 8 × 8", "Down, 4 × 4", "Middle, 4 × 4", "Up, 4 × 4", "Up, 8 × 8"]);
    let sheets = "return [...document.querySelectorAll('#activations canvas')].map(canvas => canvas.toDataURL());";
    let before: Vec<String> = browser.ask(sheets).await;
    browser.ask::<()>("activations.scrollIntoView();").await;
    browser.screenshot("inside").await;
    let same: Vec<_> = (1..5).filter(|&block| before[block] == before[block - 1]).collect();
    assert_eq!(same, [0; 0], "each shows something else");
    // Under other noise they put out something else, in the same places.
    ask_at("0.9").await;
    browser.wait_until(&format!("activations.querySelector('canvas').toDataURL() !== '{}'", before[0])).await;
    let after: Vec<String> = browser.ask(sheets).await;
    assert!(after.iter().zip(&before).all(|(after, before)| after != before));
    browser.expect_undisturbed().await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn a_report_says_what_runs_and_how_fast() {
    let browser = Browser::start(false).await;
    browser.hatch_at(&format!("{}&seed=7", golden_page(Fault::None))).await;
    browser.driver.execute("document.querySelector('.bonnet').open = true;", Vec::new()).await.unwrap();
    let bytes = fixture("tiny.safetensors");
    let digest = format!("{} bytes, SHA-256 {:x}", bytes.len(), Sha256::digest(&bytes));
    browser.wait_for("report", "the weights' digest", |text| text.contains(&digest)).await;
    let report = browser.text("report").await;
    let megabytes = |line: &str| line.strip_suffix(" MB of the engine's own")?.parse::<f64>().ok();
    let memory = report.lines().find_map(|line| megabytes(line.strip_prefix("memory     ")?));
    assert!(memory.is_some_and(|memory| (1.0..500.0).contains(&memory)), "{report}");
    assert!(report.contains("measured   not yet"), "{report}");
    browser.click("measure").await;
    let measured = "measured   9 butterflies in ";
    browser.wait_for("report", "how long it took", |text| text.contains(measured)).await;
    browser.expect_undisturbed().await;
    browser.end().await;
}
