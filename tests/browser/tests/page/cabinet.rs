//! What has hatched stays at hand: relatives, ways between seeds, steps, and the lesson's own figure.

use thirtyfour::prelude::*;

use crate::visitor::{Browser, Fault, Picture, golden, golden_page, serve};

const SIDE: u32 = 16;

impl Browser {
    /// Moves a slider as a visitor does.
    pub async fn slide(&self, id: &str, value: &str) {
        let script = format!(
            "const slider = document.getElementById('{id}'); slider.value = '{value}';
             slider.dispatchEvent(new Event('input', {{ bubbles: true }}));"
        );
        self.driver.execute(&script, Vec::new()).await.unwrap();
    }

    async fn labels(&self) -> Vec<String> {
        self.ask("return Array.from(document.querySelectorAll('#specimens button'), b => b.ariaLabel);").await
    }

    async fn wait_specimens(&self, count: usize) {
        self.wait_until(&format!("document.querySelectorAll('#specimens button').length === {count}")).await;
    }

    async fn pick(&self, label: &str) {
        let css = format!("#specimens button[aria-label='{label}']");
        self.driver.find(By::Css(css)).await.unwrap().click().await.unwrap();
        self.wait_for("caption", "the specimen", |text| text == label).await;
    }

    /// A square of the picture, counted from its top left.
    async fn square(&self, column: u32, row: u32) -> Picture {
        let whole = self.picture().await;
        Picture(image::imageops::crop_imm(&whole.0, column * SIDE, row * SIDE, SIDE, SIDE).to_image())
    }

    /// How far a canvas of the lesson is from the specimen at its size, on average, from 0 to 255.
    async fn distance(&self, id: &str) -> f64 {
        let script = format!(
            "const whole = document.getElementById('picture'), canvas = document.getElementById('{id}');
             const data = of => of.getContext('2d').getImageData(0, 0, of.width, of.height).data;
             const [large, found] = [data(whole), data(canvas)], side = canvas.width, by = whole.width / side;
             if (by !== 2) return -1;
             let sum = 0;
             for (let y = 0; y < side; y++) for (let x = 0; x < side; x++) for (let c = 0; c < 3; c++) {{
                 let mean = 0;
                 for (let v = 0; v < by; v++) for (let u = 0; u < by; u++)
                     mean += large[4 * ((y * by + v) * whole.width + x * by + u) + c] / (by * by);
                 sum += Math.abs(mean - found[4 * (y * side + x) + c]);
             }}
             return sum / (3 * side * side);"
        );
        self.driver.execute(&script, Vec::new()).await.unwrap().convert().unwrap()
    }

    /// Lets go of the lesson's slider, and waits for what the network says.
    pub async fn ask_network(&self) {
        let script = "document.getElementById('forward-level').dispatchEvent(new Event('change', { bubbles: true }));";
        self.driver.execute(script, Vec::new()).await.unwrap();
        let guess = self.driver.find(By::Id("forward-guess")).await.unwrap();
        guess.wait_until().displayed().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn a_drawer_is_filled_with_thirty_six() {
    let browser = Browser::start(false).await;
    browser.hatch_at(&format!("{}&seed=7", golden_page(Fault::None))).await;
    browser.set("count", "36").await;
    browser.click("hatch").await;
    browser.wait_for("caption", "all of them", |text| text == "Numbers 7 to 42, 8 steps of heun").await;
    browser.wait_hatched().await;
    assert_eq!(browser.picture().await.0.dimensions(), (6 * SIDE, 6 * SIDE));
    assert!(browser.square(0, 0).await.largest_difference(&golden()) <= 1);
    browser.wait_specimens(36).await;
    let last = browser.square(5, 5).await;
    browser.pick("Number 42, 8 steps of heun").await;
    assert_eq!(browser.picture().await, last);
    assert!(browser.driver.current_url().await.unwrap().query().unwrap().contains("seed=42"));
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn relatives_hatch_and_each_can_be_picked_up() {
    let browser = Browser::start(false).await;
    let page = golden_page(Fault::None);
    browser.hatch_at(&format!("{page}&seed=7")).await;
    assert_eq!(browser.labels().await, ["Number 7, 8 steps of heun"]);
    let alone = browser.text("made").await;
    let [name, rest] = alone.split(", in ").collect::<Vec<_>>()[..] else { panic!("{alone}") };
    assert!(!name.is_empty() && rest.strip_suffix(" s on the CPU").unwrap().parse::<f64>().is_ok(), "{alone}");

    browser.click("relatives").await;
    let caption = "Number 7 and its 8 relatives, 8 steps of heun";
    browser.wait_for("caption", "the relatives", |text| text == caption).await;
    let whole = browser.picture().await;
    assert_eq!(whole.0.dimensions(), (3 * SIDE, 3 * SIDE));
    assert!(browser.square(0, 0).await.largest_difference(&golden()) <= 1, "the first is the one itself");
    let whole_made = browser.text("made").await;
    let near = browser.square(1, 0).await;
    let far = browser.square(2, 2).await;
    assert!(near.largest_difference(&golden()) > 1);
    let labels = browser.labels().await;
    assert_eq!(labels.len(), 9, "{labels:?}");
    assert_eq!(
        (labels[0].as_str(), labels[8].as_str()),
        ("Number 7, 8 steps of heun", "Relative 8 of 7, 8 steps of heun")
    );
    browser.screenshot("relatives").await;

    browser.pick("Relative 8 of 7, 8 steps of heun").await;
    assert_eq!(browser.picture().await, far);
    assert_eq!(browser.text("made").await, whole_made, "it was made with the others");
    browser.pick("Number 7, 8 steps of heun").await;
    assert!(browser.picture().await.largest_difference(&golden()) <= 1);
    assert_eq!(browser.driver.find_all(By::Css("#strip li")).await.unwrap().len(), 8 + 3, "with its steps");

    // The address that was shown for the relatives gives the relatives.
    browser.open("about:blank").await;
    browser.open(&format!("{page}&seed=7&series=relatives")).await;
    browser.wait_for("caption", "the relatives", |text| text == caption).await;
    assert_eq!(browser.picture().await, whole);
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn a_way_leads_to_another_seed_and_the_slider_along_it() {
    let browser = Browser::start(false).await;
    let page = golden_page(Fault::None);
    browser.hatch_at(&format!("{page}&seed=8")).await;
    let eight = browser.picture().await;
    browser.set("seed", "7").await;
    browser.set("to", "eight").await;
    browser.click("morph").await;
    browser.wait_for("status", "what is wrong", |text| text.contains("'eight' is no whole number")).await;
    browser.set("to", "8").await;
    browser.click("morph").await;
    browser.wait_specimens(9).await;
    assert_eq!(browser.text("caption").await, "Number 8, 8 steps of heun");
    assert!(browser.picture().await.largest_difference(&eight) <= 1, "it ends at seed 8");
    browser.slide("scrub", "0").await;
    browser.wait_for("caption", "its beginning", |text| text == "Number 7, 8 steps of heun").await;
    assert!(browser.picture().await.largest_difference(&golden()) <= 1, "and begins at seed 7");
    browser.slide("scrub", "4").await;
    browser.wait_for("caption", "its middle", |text| text == "7 to 8, 4 of 8, 8 steps of heun").await;
    let middle = browser.picture().await;
    assert!(middle.largest_difference(&golden()) > 1 && middle.largest_difference(&eight) > 1);
    let address = browser.driver.current_url().await.unwrap().to_string();
    assert!(address.contains("series=morph%3A8") && address.contains("count=9"), "{address}");
    assert_eq!(browser.labels().await.len(), 9, "seven between both seeds, which are there once");
    browser.screenshot("way").await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn steps_can_be_looked_at_again_and_noise_be_added_by_hand() {
    let browser = Browser::start(false).await;
    browser.hatch_at(&format!("{}&seed=7", golden_page(Fault::None))).await;
    browser.slide("scrub", "2").await;
    browser.wait_for("caption", "the third step", |text| text.starts_with("What the network sees at σ")).await;
    assert_eq!(browser.picture().await.0.dimensions(), (SIDE / 2, SIDE / 2), "a guess of the first stage");
    browser.slide("scrub", "8").await;
    browser
        .wait_for("caption", "a step of the second stage", |text| text.starts_with("What the network sees at σ"))
        .await;
    assert!(browser.picture().await.largest_difference(&golden()) > 1, "not yet the picture");
    browser.slide("scrub", "10").await;
    browser.wait_for("caption", "the last one", |text| text == "Number 7, 8 steps of heun").await;
    assert!(browser.picture().await.largest_difference(&golden()) <= 1);

    browser.slide("forward-level", "0").await;
    browser.wait_for("forward-shown", "the least noise", |text| text == "σ 0.010").await;
    let least = browser.distance("forward-picture").await;
    assert!((0.1..3.0).contains(&least), "{least}");
    browser.ask_network().await;
    let [given, guessed] = [browser.distance("forward-picture").await, browser.distance("forward-guessed").await];
    assert!((0.1..3.0).contains(&given) && (0.0..8.0).contains(&guessed), "{given}, {guessed}");
    browser.slide("forward-level", "1").await;
    browser.wait_for("forward-shown", "the most noise", |text| text == "σ 20").await;
    let guess = browser.driver.find(By::Id("forward-guess")).await.unwrap();
    assert!(!guess.is_displayed().await.unwrap(), "the guess was at another level");
    let most = browser.distance("forward-picture").await;
    assert!(most > 60.0, "{most}");
    browser.ask_network().await;
    let far = browser.distance("forward-guessed").await;
    assert!(far > guessed && far < most, "{guessed}, {far}, {most}: of pure noise it sees an average");
    assert_eq!(browser.labels().await.len(), 1, "nothing has hatched meanwhile");
    browser.wait_for("caption", "the same butterfly", |text| text == "Number 7, 8 steps of heun").await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn another_model_can_be_chosen_while_the_first_is_on_its_way() {
    let browser = Browser::start(false).await;
    browser.open(&format!("{}?device=cpu", serve(Fault::EndlessWeights))).await;
    browser
        .wait_for("status", "the download", |text| text.starts_with("Fetching") || text.starts_with("Loading"))
        .await;
    browser.choose("model", "weights/heliconius-128.safetensors").await;
    browser.wait_for("device", "the other model", |text| text.contains("Heliconius, 128 × 128")).await;
    assert_eq!(browser.text("failure").await, "", "what was given up has not failed");
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn a_model_is_sampled_with_what_suits_it_until_the_visitor_names_a_sampler() {
    let browser = Browser::start(false).await;
    // Not tuned to finish early, as most that people train themselves; the shipped ones are.
    browser.hatch_at(&format!("{}?weights=weights/tiny.safetensors&seed=7&steps=3", serve(Fault::None))).await;
    assert_eq!(browser.text("caption").await, "Number 7, 3 steps of dpm-sde");
    assert!(browser.driver.current_url().await.unwrap().as_str().contains("sampler=dpm-sde"), "for others to see it");
    assert_eq!(browser.controls().await, "weights/tiny.safetensors,3,");
    browser.choose("model", "weights/butterflies-128.safetensors").await;
    browser.wait_for("caption", "the other model", |text| text == "Number 7, 3 steps of dpm").await;
    browser.wait_hatched().await;
    browser.set("sampler", "ddim").await;
    browser.choose("model", "weights/heliconius-128.safetensors").await;
    browser.wait_for("caption", "the named sampler", |text| text == "Number 7, 3 steps of ddim").await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn a_model_is_sampled_in_the_steps_that_are_usual_for_it_until_the_visitor_chooses_others() {
    let browser = Browser::start(false).await;
    let start = serve(Fault::None);
    let heliconius = "weights/heliconius-128.safetensors";
    browser.hatch_at(&format!("{start}?weights={heliconius}&seed=7")).await;
    assert_eq!(browser.text("caption").await, "Number 7, 4 steps of dpm");
    assert_eq!(browser.text("steps-shown").await, "4");
    // A lesson about the way wants one.
    browser.set("knob", "steps").await;
    browser.click("twins").await;
    browser.wait_for("twin-second-label", "a quarter", |text| text.starts_with("3 steps of dpm: ")).await;
    assert!(browser.text("twin-first-label").await.starts_with("12 steps of dpm: "));
    // Whether nobody chose, or the address of what was hatched says the same.
    for at in [format!("{start}?weights={heliconius}&seed=7"), format!("{start}?weights={heliconius}&seed=7&steps=4")] {
        browser.hatch_at(&at).await;
        assert_eq!(browser.text("steps-shown").await, "4");
        browser.choose("model", "weights/butterflies-128.safetensors").await;
        browser.wait_for("caption", "the other's", |text| text == "Number 7, 12 steps of dpm").await;
        browser.wait_hatched().await;
        assert_eq!(browser.text("steps-shown").await, "12");
    }
    browser.slide("steps", "9").await;
    browser.choose("model", heliconius).await;
    browser.wait_for("caption", "the chosen number", |text| text == "Number 7, 9 steps of dpm").await;
    browser.wait_hatched().await;
    // The slow way is chosen as any other.
    browser.hatch_at(&format!("{start}?weights={heliconius}&seed=7&steps=12")).await;
    assert_eq!(browser.text("caption").await, "Number 7, 12 steps of dpm");
    assert_eq!(browser.text("steps-shown").await, "12");
    // Four that were chosen are four, for a lesson too.
    browser.hatch_at(&format!("{start}?weights={heliconius}&seed=7&steps=4")).await;
    browser.set("knob", "steps").await;
    browser.click("twins").await;
    browser.wait_for("twin-second-label", "a quarter of four", |text| text.starts_with("1 step of dpm: ")).await;
    // So few are for its own sampler, unless they are asked for.
    browser.hatch_at(&format!("{start}?weights={heliconius}&seed=7&steps=4&sampler=ddim")).await;
    assert_eq!(browser.text("caption").await, "Number 7, 4 steps of ddim");
    browser.set("seed", "8").await;
    browser.click("hatch").await;
    browser.wait_for("caption", "another seed", |text| text == "Number 8, 4 steps of ddim").await;
    browser.hatch_at(&format!("{start}?weights={heliconius}&seed=7")).await;
    browser.choose("sampler", "ddim").await;
    browser.wait_for("steps-shown", "enough for it", |text| text == "12").await;
    browser.click("hatch").await;
    browser.wait_for("caption", "the sampler", |text| text == "Number 7, 12 steps of ddim").await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn another_model_can_be_chosen_and_the_address_keeps_it() {
    let browser = Browser::start(false).await;
    browser.open(&format!("{}?seed=7&steps=4", serve(Fault::None))).await;
    browser.wait_hatched().await;
    assert!(browser.text("device").await.contains("Chrysalis butterflies, 128 × 128"));
    let butterfly = browser.picture().await;
    let how_new = |text: &str| text.contains("training picture");
    let of_butterfly = browser.wait_for("novelty", "how new it is", how_new).await;
    browser.set("count", "4").await;
    browser.click("hatch").await;
    browser.wait_for("caption", "four", |text| text.starts_with("Numbers 7 to 10")).await;
    browser.wait_hatched().await;
    assert_eq!(browser.text("novelty").await, "", "of four pictures there is not one thing to say");
    browser.pick("Number 7, 4 steps of dpm").await;
    assert_eq!(browser.text("novelty").await, of_butterfly);
    browser.set("count", "1").await;
    browser.choose("model", "weights/heliconius-128.safetensors").await;
    browser.wait_for("device", "the other model", |text| text.contains("Heliconius, 128 × 128")).await;
    browser.wait_hatched().await;
    browser.wait_for("novelty", "how new the other is", how_new).await;
    assert!(browser.picture().await.largest_difference(&butterfly) > 30, "the same seed is another picture");
    let address = browser.driver.current_url().await.unwrap().to_string();
    for part in ["weights=weights%2Fheliconius-128.safetensors", "seed=7", "steps=4"] {
        assert!(address.contains(part), "{part} is not in {address}");
    }
    assert_eq!(browser.labels().await.len(), 1, "what the other model made is gone");
    let model = "return document.getElementById('model').value;";
    let model: String = browser.driver.execute(model, Vec::new()).await.unwrap().convert().unwrap();
    assert_eq!(model, "weights/heliconius-128.safetensors");
    let report = "return document.getElementById('report').textContent;";
    let report: String = browser.driver.execute(report, Vec::new()).await.unwrap().convert().unwrap();
    for line in [
        "Chrysalis  0.",
        "backend    WebAssembly",
        "ms an evaluation",
        "weights/heliconius-128.safetensors",
        "HeadlessChrome",
    ] {
        assert!(report.contains(line), "{line} is not in {report}");
    }
    let list = "return Array.from(document.getElementById('model').options, option => option.text);";
    let list: Vec<String> = browser.driver.execute(list, Vec::new()).await.unwrap().convert().unwrap();
    assert_eq!(list, ["Butterflies", "Heliconius"]);
    let card = browser.driver.find(By::Id("card")).await.unwrap();
    assert!(card.prop("href").await.unwrap().unwrap().ends_with("/weights/heliconius-128.md"));
    browser.screenshot("heliconius").await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn the_way_between_two_seeds_is_gone_along_by_hand() {
    let browser = Browser::start(false).await;
    browser.hatch_at(&format!("{}&seed=7", golden_page(Fault::None))).await;
    let seven = browser.picture().await;
    let (settings, hatched) = ("8 steps of heun", browser.labels().await);
    // Dragged, it shows where it is, and hatches nothing.
    browser.slide("between", "40").await;
    browser.wait_for("caption", "the place", |text| text == "40 % of the way from number 7 to number 23").await;
    assert_eq!(browser.text("between-shown").await, "40 %");
    assert!(browser.picture().await.largest_difference(&seven) > 20);
    assert_eq!(browser.labels().await, hatched);
    assert!(!browser.enabled("save").await && !browser.enabled("copy").await, "a preview is nothing to save");
    // Let go, it hatches with all its steps, and has an address of its own.
    let let_go = "document.getElementById('between').dispatchEvent(new Event('change'));";
    browser.ask::<()>(let_go).await;
    let place = format!("40 % of the way from number 7 to number 23, {settings}");
    browser.wait_for("caption", "the specimen", |text| text == place).await;
    assert_eq!(browser.labels().await.len(), hatched.len() + 1);
    let (picture, address) = (browser.picture().await, browser.driver.current_url().await.unwrap());
    assert!(address.as_str().contains("series=between%3A23%3A40"), "{address}");
    browser.open(address.as_str()).await;
    browser.wait_hatched().await;
    assert_eq!(browser.picture().await.largest_difference(&picture), 0);
    assert_eq!(browser.text("between-shown").await, "40 %");
    // It ends at the other seed.
    browser.slide("between", "100").await;
    browser.ask::<()>(let_go).await;
    let place = format!("100 % of the way from number 7 to number 23, {settings}");
    browser.wait_for("caption", "the specimen", |text| text == place).await;
    let end = browser.picture().await;
    browser.set("seed", "23").await;
    browser.click("hatch").await;
    let place = format!("Number 23, {settings}");
    browser.wait_for("caption", "the other seed", |text| text == place).await;
    assert_eq!(browser.picture().await.largest_difference(&end), 0);
    browser.end().await;
}
