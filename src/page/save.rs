//! Pictures and films, handed to the visitor as files.

use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Document, HtmlAnchorElement, HtmlCanvasElement};

use super::canvas::{context, draw};
use crate::png;
use crate::protocol::Shown;

/// How long a frame of a film is shown, and its last one, in milliseconds.
const FRAME_MS: [u16; 2] = [160, 1600];

/// Hands the picture to the visitor as a PNG file, which says what it is.
pub fn picture(canvas: &HtmlCanvasElement, name: &str, text: Option<&str>) -> Result<(), JsValue> {
    let file = png_of(canvas).ok_or(JsValue::NULL)?;
    let labelled = text.and_then(|text| png::with_text(&file, png::KEYWORD, text));
    save(name, labelled.unwrap_or(file))
}

/// Hands pictures that follow each other to the visitor, as one animated PNG of their largest size.
pub fn film<'a>(
    name: &str,
    frames: impl Iterator<Item = &'a [Shown]> + Clone,
    text: Option<&str>,
) -> Result<(), JsValue> {
    let canvas = || Ok::<HtmlCanvasElement, JsValue>(document()?.create_element("canvas")?.unchecked_into());
    let (large, small) = (canvas()?, canvas()?);
    let sides = frames.clone().map(|pictures| {
        draw(&small, pictures);
        small.width()
    });
    let side = sides.max().unwrap_or(0);
    large.set_width(side);
    large.set_height(side);
    let context = context(&large).ok_or(JsValue::NULL)?;
    // Pixels stay pixels.
    context.set_image_smoothing_enabled(false);
    let files = frames.map(|pictures| {
        draw(&small, pictures);
        let side = f64::from(side);
        context.draw_image_with_html_canvas_element_and_dw_and_dh(&small, 0.0, 0.0, side, side).ok()?;
        png_of(&large)
    });
    let files: Vec<Vec<u8>> = files.collect::<Option<_>>().ok_or(JsValue::NULL)?;
    let file = png::animated(&files, FRAME_MS).ok_or(JsValue::NULL)?;
    let labelled = text.and_then(|text| png::with_text(&file, png::KEYWORD, text));
    save(name, labelled.unwrap_or(file))
}

fn save(name: &str, png: Vec<u8>) -> Result<(), JsValue> {
    let window = web_sys::window().ok_or(JsValue::NULL)?;
    let code = window.btoa(&png.into_iter().map(char::from).collect::<String>())?;
    let address = format!("data:image/png;base64,{code}");
    let link: HtmlAnchorElement = document()?.create_element("a")?.unchecked_into();
    link.set_href(&address);
    link.set_download(name);
    link.click();
    Ok(())
}

fn document() -> Result<Document, JsValue> {
    web_sys::window().and_then(|window| window.document()).ok_or(JsValue::NULL)
}

/// What is on a canvas, as a PNG file.
fn png_of(canvas: &HtmlCanvasElement) -> Option<Vec<u8>> {
    let address = canvas.to_data_url_with_type("image/png").ok()?;
    let (_, code) = address.split_once(',')?;
    // The browser's own functions take and give a byte for each character.
    let bytes = web_sys::window()?.atob(code).ok()?;
    Some(bytes.chars().map(|character| character as u8).collect())
}
