//! Every view as a picture, for people to look at: `make screenshots`.

use std::path::PathBuf;

use crate::visitor::{Browser, Fault, serve};

const WIDTHS: [u32; 3] = [360, 820, 1440];

struct Album {
    browser: Browser,
    folder: PathBuf,
    scheme: &'static str,
}

impl Album {
    /// The whole page at every width, as it is now.
    async fn keep(&self, view: &str) {
        let Self { browser, folder, scheme } = self;
        for width in WIDTHS {
            let high = "return Math.ceil(document.documentElement.getBoundingClientRect().height);";
            // Twice: another width makes another height.
            let mut height = 900;
            for _ in 0..2 {
                browser.size(width, height).await;
                height = browser.driver.execute(high, Vec::new()).await.unwrap().convert().unwrap();
            }
            browser.driver.screenshot(&folder.join(format!("{view}-{scheme}-{width}.png"))).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make screenshots"]
async fn every_view_is_kept() {
    // Only where somebody wants to see them.
    let Some(folder) = std::env::var_os("ALBUM").map(PathBuf::from) else { return };
    std::fs::create_dir_all(&folder).unwrap();
    for (scheme, dark) in [("light", false), ("dark", true)] {
        let album = Album { browser: Browser::coloured(dark).await, folder: folder.clone(), scheme };
        let browser = &album.browser;
        let page = serve(Fault::None);
        browser.open(&page).await;
        browser.wait_for("status", "Ready", |text| text == "Ready.").await;
        album.keep("empty").await;

        browser.slide("steps", "64").await;
        browser.set("count", "9").await;
        browser.click("hatch").await;
        browser.wait_for("status", "a step", |text| text.contains("step 4 of")).await;
        album.keep("working").await;
        browser.click("cancel").await;
        browser.wait_for("status", "Cancelled", |text| text == "Cancelled.").await;

        browser.slide("steps", "12").await;
        browser.click("hatch").await;
        browser.wait_hatched().await;
        album.keep("nine").await;
        browser.set("count", "1").await;
        browser.set("seed", "15").await;
        browser.click("hatch").await;
        browser.wait_for("caption", "one", |text| text.starts_with("Number 15,")).await;
        album.keep("one").await;
        browser.open_studio().await;
        browser.click("take").await;
        browser.click("erase").await;
        browser.drag([0.2, -0.2], [0.3, 0.2]).await;
        browser.click("fill").await;
        browser.wait_for("caption", "what was filled in", |text| text.contains("filled in")).await;
        browser.slide("forward-level", "0.6").await;
        browser.ask_network().await;
        album.keep("studio").await;

        browser.open(&format!("{page}?weights=weights/none.safetensors")).await;
        browser.wait_for("failure", "the failure", |text| text.contains("could not be fetched")).await;
        album.keep("failed").await;
        album.browser.end().await;
    }
}
