//! Butterflies that begin with a picture: drawn, erased in part, or opened from a file.

use std::time::{Duration, Instant};

use thirtyfour::prelude::*;

use crate::visitor::{Browser, Fault, Picture, TIMEOUT, golden, golden_page};

impl Browser {
    pub async fn open_studio(&self) {
        self.driver.find(By::Css("#studio summary")).await.unwrap().click().await.unwrap();
    }

    /// Sets a control as a visitor does.
    async fn control(&self, id: &str, value: &str) {
        let script = format!(
            "const control = document.getElementById('{id}'); control.value = '{value}';
             control.dispatchEvent(new Event('input', {{ bubbles: true }}));"
        );
        self.driver.execute(&script, Vec::new()).await.unwrap();
    }

    /// The drawing's RGBA bytes.
    async fn drawing(&self) -> Vec<u8> {
        let script = "const c = document.getElementById('drawing');
            return Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data);";
        self.driver.execute(script, Vec::new()).await.unwrap().convert().unwrap()
    }

    async fn wait_drawing(&self, fulfilled: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let started = Instant::now();
        loop {
            let drawing = self.drawing().await;
            if fulfilled(&drawing) {
                return drawing;
            }
            assert!(started.elapsed() < TIMEOUT, "the drawing stays as it is");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Drags the pointer over the sheet, from and to shares of it counted from its middle.
    pub async fn drag(&self, from: [f64; 2], to: [f64; 2]) {
        let sheet = self.driver.find(By::Id("drawing")).await.unwrap();
        sheet.scroll_into_view().await.unwrap();
        let place = sheet.rect().await.unwrap();
        let pixels = |[x, y]: [f64; 2]| ((x * place.width) as i64, (y * place.height) as i64);
        let ((x, y), (to_x, to_y)) = (pixels(from), pixels(to));
        let chain = self.driver.action_chain().move_to_element_with_offset(&sheet, x, y).click_and_hold();
        chain.move_to_element_with_offset(&sheet, to_x, to_y).release().perform().await.unwrap();
    }

    async fn made(&self, caption: &str) -> Picture {
        self.wait_for("caption", "the butterfly", |text| text == caption).await;
        self.picture().await
    }
}

/// Pixels, and the drawing's beside them.
fn beside(picture: &Picture, drawing: &[u8]) -> Vec<([u8; 3], [u8; 4])> {
    let drawing = drawing.as_chunks::<4>().0.iter().copied();
    picture.0.pixels().map(|pixel| pixel.0).zip(drawing).collect()
}

fn distance(a: [u8; 3], b: [u8; 4]) -> u8 {
    a.iter().zip(b).map(|(a, b)| a.abs_diff(b)).max().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn an_erased_wing_grows_anew_and_the_rest_stays() {
    let browser = Browser::start(false).await;
    let page = golden_page(Fault::None);
    browser.hatch_at(&format!("{page}&seed=7")).await;
    browser.open_studio().await;
    browser.click("fill").await;
    browser.wait_for("status", "that there is nothing", |text| text.starts_with("The sheet is empty")).await;
    browser.click("take").await;
    let taken = browser.drawing().await;
    assert!(beside(&golden(), &taken).iter().all(|&(a, b)| distance(a, b) <= 1 && b[3] == 255));
    browser.click("fill").await;
    browser
        .wait_for("status", "that nothing is erased", |text| text.starts_with("Nothing on the sheet is empty"))
        .await;

    browser.click("mirror").await;
    browser.click("erase").await;
    browser.control("brush", "30").await;
    browser.drag([0.3, -0.4], [0.3, 0.4]).await;
    let erased = browser.drawing().await;
    let (kept, gone): (Vec<_>, Vec<_>) =
        erased.as_chunks::<4>().0.iter().enumerate().partition(|(_, pixel)| pixel[3] > 0);
    assert!(kept.len() > 128 && gone.len() > 32, "{} {}", kept.len(), gone.len());
    assert!(gone.iter().all(|(index, _)| index % 16 >= 8), "on the right side alone");

    let mut filled = Vec::new();
    for seed in ["8", "9", "8"] {
        browser.set("seed", seed).await;
        browser.click("fill").await;
        filled.push(browser.made(&format!("Number {seed}, filled in, 8 steps of heun")).await);
    }
    assert_eq!(filled[0], filled[2], "the same seed fills it in the same way");
    for picture in &filled {
        let pixels = beside(picture, &erased);
        assert!(pixels.iter().all(|&(a, b)| b[3] < 255 || distance(a, b) <= 1), "what is opaque stays");
    }
    let gap = |picture: &Picture| -> Vec<[u8; 3]> {
        beside(picture, &erased).into_iter().filter(|(_, b)| b[3] == 0).map(|(a, _)| a).collect()
    };
    assert_ne!(gap(&filled[0]), gap(&filled[1]), "another seed fills it in another way");
    assert_ne!(gap(&filled[0]), gap(&golden()));

    assert!(!browser.enabled("copy").await, "no address holds a picture");
    let address = browser.driver.current_url().await.unwrap().to_string();
    assert!(!address.contains("seed="), "{address}");
    let labels = "return Array.from(document.querySelectorAll('#specimens button'), b => b.ariaLabel);";
    let labels: Vec<String> = browser.driver.execute(labels, Vec::new()).await.unwrap().convert().unwrap();
    assert_eq!(
        labels,
        ["Number 8, filled in, 8 steps of heun", "Number 9, filled in, 8 steps of heun", "Number 7, 8 steps of heun"]
    );
    browser.screenshot("filled").await;
    // What is without such a beginning has an address again.
    browser.set("seed", "7").await;
    browser.click("hatch").await;
    browser.wait_hatched().await;
    assert!(browser.enabled("copy").await);
    assert!(browser.picture().await.largest_difference(&golden()) <= 1);
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn a_drawing_becomes_a_butterfly_and_the_slider_says_how_far() {
    let browser = Browser::start(false).await;
    browser.hatch_at(&format!("{}&seed=7", golden_page(Fault::None))).await;
    browser.open_studio().await;
    browser.control("paint", "#1040c0").await;
    browser.control("brush", "30").await;
    browser.drag([-0.4, -0.2], [-0.1, 0.2]).await;
    let drawing = browser.drawing().await;
    let pixels = drawing.as_chunks::<4>().0;
    let blue = pixels.iter().filter(|pixel| **pixel == [0x10, 0x40, 0xc0, 255]).count();
    assert!(blue > 5, "{blue}");
    // Edges are smoothed, which is not quite the same from the left and from the right.
    let mirrored = |index: usize| pixels[index / 16 * 16 + 15 - index % 16][3];
    let uneven = (0..256).map(|index| pixels[index][3].abs_diff(mirrored(index))).max().unwrap();
    assert!(uneven < 40, "both wings: {uneven}");

    let mut made = Vec::new();
    for percent in ["10", "60", "100"] {
        browser.control("strength", percent).await;
        assert_eq!(browser.text("strength-shown").await, format!("{percent} %"));
        browser.click("rework").await;
        let caption = format!("Number 7, from a picture at {percent} %, 8 steps of heun");
        made.push(browser.made(&caption).await);
    }
    let strip = browser.driver.find_all(By::Css("#strip li")).await.unwrap().len();
    assert_eq!(strip, 8 + 3, "all steps of the first stage at 100 %");
    let on_white = |pixel: [u8; 4]| if pixel[3] == 0 { [255; 4] } else { pixel };
    let distances: Vec<f64> = made
        .iter()
        .map(|picture| {
            let pixels = beside(picture, &drawing);
            pixels.iter().map(|&(a, b)| f64::from(distance(a, on_white(b)))).sum::<f64>() / pixels.len() as f64
        })
        .collect();
    assert!(distances[0] < distances[2], "the less, the nearer to the drawing: {distances:?}");
    assert!(made[0].largest_difference(&made[1]) > 1 && made[1].largest_difference(&made[2]) > 1);
    browser.screenshot("drawn").await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and a built page: make test"]
async fn the_sheet_takes_keys_and_files() {
    let browser = Browser::start(false).await;
    browser.open(&golden_page(Fault::None)).await;
    browser.wait_for("status", "Ready", |text| text == "Ready.").await;
    browser.open_studio().await;
    browser.click("take").await;
    browser.wait_for("status", "that there is none", |text| text == "There is no butterfly to take yet.").await;
    let sheet = browser.driver.find(By::Id("drawing")).await.unwrap();
    // The first key brings the sheet into sight.
    sheet.send_keys(Key::Left + "").await.unwrap();
    let before: f64 = browser.driver.execute("return scrollY;", Vec::new()).await.unwrap().convert().unwrap();
    sheet.send_keys(Key::Left + Key::Up + Key::Space).await.unwrap();
    let painted = browser.drawing().await.as_chunks::<4>().0.iter().filter(|pixel| pixel[3] > 0).count();
    assert!(painted > 0, "the space bar lets the brush touch");
    let after: f64 = browser.driver.execute("return scrollY;", Vec::new()).await.unwrap().convert().unwrap();
    assert_eq!(before, after, "and nothing scrolls");
    browser.click("empty").await;
    browser.wait_drawing(|bytes| bytes.iter().all(|&byte| byte == 0)).await;

    let folder = tempfile::tempdir().unwrap();
    let wide = folder.path().join("wide.png");
    image::RgbImage::from_pixel(64, 32, image::Rgb([200, 30, 60])).save(&wide).unwrap();
    let bad = folder.path().join("bad.png");
    std::fs::write(&bad, "no picture").unwrap();
    let field = browser.driver.find(By::Id("open")).await.unwrap();
    field.send_keys(wide.to_str().unwrap()).await.unwrap();
    let at = |drawing: &[u8], row: usize| <[u8; 4]>::try_from(&drawing[4 * (16 * row + 8)..][..4]).unwrap();
    let drawing = browser.wait_drawing(|bytes| bytes.iter().any(|&byte| byte != 0)).await;
    assert_eq!((at(&drawing, 1), at(&drawing, 8), at(&drawing, 14)), ([255; 4], [200, 30, 60, 255], [255; 4]));
    field.send_keys(bad.to_str().unwrap()).await.unwrap();
    browser.wait_for("status", "what is wrong", |text| text.contains("no picture of that file")).await;
    browser.end().await;
}
