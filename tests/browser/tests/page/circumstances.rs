//! The page beside other pages, after a while away, clicked without end, and under a policy that allows it nothing else.

use crate::visitor::{Browser, Fault, GOLDEN, Picture, golden, golden_page, serve};

impl Browser {
    async fn run<T: serde::de::DeserializeOwned>(&self, script: &str) -> T {
        self.driver.execute(script, Vec::new()).await.unwrap().convert().unwrap()
    }

    async fn shows_the_golden_butterfly(&self) {
        self.wait_hatched().await;
        let off = self.picture().await.largest_difference(&golden());
        assert!(off <= 1, "off by {off}/255");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn nothing_runs_or_loads_that_the_page_did_not_bring() {
    let browser = Browser::start(false).await;
    browser.open(&format!("{}?{GOLDEN}", serve(Fault::None))).await;
    browser.shows_the_golden_butterfly().await;
    let policy: String =
        browser.run("return document.querySelector('meta[http-equiv=\"Content-Security-Policy\"]').content;").await;
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    assert!(!policy.contains("unsafe-inline") && !policy.contains("'unsafe-eval'"), "{policy}");
    // What somebody might smuggle in: a script in the page, one from elsewhere, a style, text that is run, and a call home.
    let smuggled = "const done = arguments[0], found = [];
        document.addEventListener('securitypolicyviolation', event => found.push(event.effectiveDirective));
        const add = (tag, fields) => document.body.append(Object.assign(document.createElement(tag), fields));
        add('script', {textContent: 'window.smuggled = 1'});
        add('script', {src: 'http://127.0.0.1:9/x.js'});
        add('style', {textContent: 'body { display: none }'});
        add('iframe', {src: 'http://127.0.0.1:9/'});
        fetch('http://127.0.0.1:9/').catch(() => {});
        setTimeout(() => done([found, window.smuggled === undefined, getComputedStyle(document.body).display]), 500);";
    let (found, kept_out, display): (Vec<String>, bool, String) =
        browser.driver.execute_async(smuggled, Vec::new()).await.unwrap().convert().unwrap();
    for directive in ["script-src-elem", "style-src-elem", "frame-src", "connect-src"] {
        assert!(found.iter().any(|violated| violated == directive), "{directive} is not among {found:?}");
    }
    assert!(kept_out && display != "none", "{display}");
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn the_first_butterfly_hatches_by_itself_unless_less_motion_is_wanted() {
    let page = format!("{}?weights=weights/tiny.safetensors", serve(Fault::None));
    let browser = Browser::eager().await;
    browser.open(&page).await;
    browser.wait_hatched().await;
    browser.end().await;
    let browser = Browser::start(false).await;
    browser.open(&page).await;
    browser.wait_for("status", "Ready", |text| text == "Ready.").await;
    assert_eq!(browser.run::<usize>("return document.getElementById('strip').childElementCount;").await, 0);
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn an_address_that_makes_no_sense_hatches_nothing_else_instead() {
    let browser = Browser::eager().await;
    browser.open(&format!("{}?weights=weights/tiny.safetensors&seed=7&steps=65", serve(Fault::None))).await;
    browser.wait_for("device", "an engine", |text| text.contains("CPU")).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let status = browser.text("status").await;
    assert!(status.contains("steps"), "{status}");
    assert_eq!(browser.run::<usize>("return document.getElementById('strip').childElementCount;").await, 0);
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn a_page_and_an_engine_of_different_builds_do_not_meet() {
    let browser = Browser::start(false).await;
    browser.open(&format!("{}?{GOLDEN}", serve(Fault::OtherBuild))).await;
    let said = browser.wait_for("failure", "a sentence", |text| text.contains("different builds")).await;
    assert!(said.contains("Reload the page"), "{said}");
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn a_hundred_clicks_leave_a_page_that_works() {
    let browser = Browser::start(false).await;
    browser.open(&golden_page(Fault::None)).await;
    browser.wait_for("status", "Ready", |text| text == "Ready.").await;
    let clicks =
        "const done = arguments[0], ids = ['hatch', 'cancel', 'dice', 'hatch', 'cancel', 'save', 'show-noisy'];
        let count = 0;
        const click = () => {
          document.getElementById('count').value = ['1', '4', '9'][count % 3];
          document.getElementById(ids[count % ids.length]).click();
          ++count < 100 ? setTimeout(click, count % 5 * 3) : done(count);
        };
        click();";
    browser.driver.execute_async(clicks, Vec::new()).await.unwrap();
    browser.click("cancel").await;
    let idle = |text: &str| text == "Cancelled." || text == "Ready." || text.starts_with("Hatched");
    browser.wait_for("status", "peace", idle).await;
    for (id, value) in [("seed", "7"), ("count", "1")] {
        browser.set(id, value).await;
    }
    browser.click("hatch").await;
    browser.wait_for("caption", "number 7", |text| text.starts_with("Number 7,")).await;
    browser.shows_the_golden_butterfly().await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn two_tabs_hatch_at_once_and_a_hidden_one_goes_on() {
    let browser = Browser::start(false).await;
    let page = format!("{}?{GOLDEN}", serve(Fault::None));
    let first = browser.driver.window().await.unwrap();
    browser.open(&page).await;
    // The first is hidden from here on, most likely before it has hatched anything.
    let second = browser.driver.new_tab().await.unwrap();
    browser.driver.switch_to_window(second).await.unwrap();
    browser.open(&page).await;
    browser.shows_the_golden_butterfly().await;
    browser.driver.switch_to_window(first).await.unwrap();
    browser.shows_the_golden_butterfly().await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn whoever_leaves_and_comes_back_finds_a_page_that_works() {
    let browser = Browser::start(false).await;
    let page = serve(Fault::None);
    browser.open(&format!("{page}?{GOLDEN}")).await;
    browser.shows_the_golden_butterfly().await;
    browser.open(&format!("{page}?weights=weights/tiny.safetensors&seed=1&steps=2")).await;
    browser.driver.back().await.unwrap();
    browser.wait_for("status", "an engine", |text| text == "Ready." || text.starts_with("Hatched")).await;
    browser.set("seed", "7").await;
    browser.click("hatch").await;
    browser.wait_for("caption", "number 7", |text| text.starts_with("Number 7,")).await;
    browser.shows_the_golden_butterfly().await;
    // And in the middle of a request.
    browser.set("steps", "64").await;
    browser.run::<Option<bool>>("document.getElementById('hatch').click();").await;
    browser.open(&format!("{page}?weights=weights/tiny.safetensors")).await;
    browser.driver.back().await.unwrap();
    browser.wait_for("status", "an end", |text| text == "Ready." || text.starts_with("Hatched")).await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn no_width_makes_the_page_scroll_sideways_or_hides_a_control() {
    for firefox in [false, true] {
        let browser = match firefox {
            false => Browser::start(false).await,
            true => match Browser::firefox().await {
                Some(browser) => browser,
                None => continue,
            },
        };
        browser.open(&format!("{}?{GOLDEN}&device=cpu", serve(Fault::None))).await;
        browser.shows_the_golden_butterfly().await;
        for width in [360, 820, 1440] {
            browser.driver.set_window_rect(0, 0, width.max(500), 1000).await.unwrap();
            // No window is as narrow as a telephone: its root is.
            browser.run::<Option<bool>>(&format!("document.documentElement.style.width = '{width}px';")).await;
            let (wide, hidden): (bool, Vec<String>) = browser
                .run(
                    "const root = document.documentElement, ids = ['seed', 'dice', 'count', 'steps', 'sampler', 'hatch', 'save', 'picture'];
                    const out = id => { const box = document.getElementById(id).getBoundingClientRect();
                        return box.width < 20 || box.left < 0 || box.right > root.getBoundingClientRect().right + 1; };
                    return [root.scrollWidth > Math.max(root.clientWidth, innerWidth) + 1, ids.filter(out)];",
                )
                .await;
            assert!(
                !wide && hidden.is_empty(),
                "at {width} pixels, firefox {firefox}: wider than the window {wide}, out of sight {hidden:?}"
            );
        }
        browser.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn firefox_gives_the_golden_butterflies_on_the_cpu() {
    let Some(browser) = Browser::firefox().await else { return };
    browser.open(&format!("{}?{GOLDEN}&device=cpu", serve(Fault::None))).await;
    browser.shows_the_golden_butterfly().await;
    browser.set("seed", "4").await;
    browser.set("count", "4").await;
    browser.click("hatch").await;
    browser.wait_for("caption", "the four", |text| text.starts_with("Numbers 4 to 7,")).await;
    let four = browser.picture().await;
    let corner = Picture(image::imageops::crop_imm(&four.0, 16, 16, 16, 16).to_image());
    assert!(corner.largest_difference(&golden()) <= 1, "the last of four is the one alone");
    browser.end().await;
}
