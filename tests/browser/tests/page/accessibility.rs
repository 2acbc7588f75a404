//! Nothing on the page keeps anybody out, as far as axe-core can tell: in every view, light and dark, wide and narrow.

use crate::visitor::{Browser, Fault, golden_page, serve};

/// What axe-core has to say, if it could be fetched: scripts/axe.sh.
fn axe() -> Option<String> {
    // Empty where it could not be fetched, which `make test` has said then.
    let Some(path) = std::env::var_os("AXE") else {
        assert!(std::env::var_os("CHRYSALIS_ALL_TESTS").is_none(), "axe-core is missing: run scripts/axe.sh");
        return None;
    };
    if path.is_empty() {
        return None;
    }
    Some(std::fs::read_to_string(path).unwrap())
}

impl Browser {
    /// The rules that the page breaks, with the elements that do.
    async fn barriers(&self, axe: &str) -> Vec<String> {
        let script = format!(
            "{axe};
            const done = arguments[arguments.length - 1];
            window.axe.run(document).then(
                found => done(found.violations.map(v => `${{v.id}}: ${{v.nodes.map(n => n.target.join(' ')).join(', ')}}`)),
                error => done([String(error)]));"
        );
        self.driver.execute_async(&script, Vec::new()).await.unwrap().convert().unwrap()
    }

    async fn expect_no_barriers(&self, axe: &str, view: &str) {
        for (width, height) in [(1280, 900), (400, 800)] {
            self.driver.set_window_rect(0, 0, width, height).await.unwrap();
            let barriers = self.barriers(axe).await;
            assert!(barriers.is_empty(), "{view}, {width} pixels wide: {barriers:#?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn no_view_has_a_barrier_in_light_or_dark() {
    let Some(axe) = axe() else { return };
    for dark in [false, true] {
        let browser = Browser::coloured(dark).await;
        let is_dark = "return matchMedia('(prefers-color-scheme: dark)').matches;";
        let is_dark: bool = browser.driver.execute(is_dark, Vec::new()).await.unwrap().convert().unwrap();
        assert_eq!(is_dark, dark);
        let page = golden_page(Fault::None);
        browser.open(&page).await;
        browser.wait_for("status", "Ready", |text| text == "Ready.").await;
        browser.expect_no_barriers(&axe, "ready").await;
        browser.click("hatch").await;
        browser.wait_hatched().await;
        browser.expect_no_barriers(&axe, "hatched").await;
        browser.click("relatives").await;
        browser.wait_for("caption", "the relatives", |text| text.starts_with("Number 7 and its 8")).await;
        browser.expect_no_barriers(&axe, "with relatives").await;
        browser.open_studio().await;
        browser.expect_no_barriers(&axe, "with the studio open").await;
        browser.open(&page.replace("tiny", "none")).await;
        browser.wait_for("failure", "the failure", |text| text.contains("could not be fetched")).await;
        browser.expect_no_barriers(&axe, "failed").await;
        browser.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn a_barrier_would_be_found() {
    let Some(axe) = axe() else { return };
    let browser = Browser::start(false).await;
    browser.open(&serve(Fault::None)).await;
    let spoil =
        "document.querySelector('label[for=seed]').remove(); document.getElementById('status').style.color = '#ddd';
        document.getElementById('status').textContent = 'pale';";
    browser.driver.execute(spoil, Vec::new()).await.unwrap();
    let barriers = browser.barriers(&axe).await;
    for rule in ["label: #seed", "color-contrast: #status"] {
        assert!(barriers.iter().any(|barrier| barrier.contains(rule)), "{rule} is not in {barriers:#?}");
    }
    browser.end().await;
}
