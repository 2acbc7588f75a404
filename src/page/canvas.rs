//! Pictures on canvases.

use js_sys::Reflect;
use wasm_bindgen::{Clamped, JsCast};
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement, ImageData};

use crate::protocol::Shown;

/// What draws on a canvas.
pub fn context(canvas: &HtmlCanvasElement) -> Option<CanvasRenderingContext2d> {
    // Small pictures, put there pixel by pixel: a canvas on the GPU would cost its start and a copy for each.
    let options = js_sys::Object::new();
    let _ = Reflect::set(&options, &"willReadFrequently".into(), &true.into());
    canvas.get_context_with_context_options("2d", &options).ok().flatten()?.dyn_into().ok()
}

/// Draws pictures over the whole of a canvas, side by side in a square.
pub fn draw(canvas: &HtmlCanvasElement, pictures: &[Shown]) {
    let Some(Shown { width, height, .. }) = pictures.first() else { return };
    let across = (1..).find(|across| across * across >= pictures.len() as u32).unwrap_or(1);
    let down = (pictures.len() as u32).div_ceil(across);
    if (canvas.width(), canvas.height()) != (across * width, down * height) {
        canvas.set_width(across * width);
        canvas.set_height(down * height);
    }
    let Some(context) = context(canvas) else { return };
    for (index, picture) in (0..).zip(pictures) {
        let data = ImageData::new_with_u8_clamped_array_and_sh(Clamped(&picture.rgba), picture.width, picture.height);
        if let Ok(data) = data {
            // Fails only for data from elsewhere, which this is not.
            let _ =
                context.put_image_data(&data, f64::from(index % across * width), f64::from(index / across * height));
        }
    }
}

/// Empties a canvas.
pub fn clear(canvas: &HtmlCanvasElement) {
    // Which setting its width does.
    canvas.set_width(canvas.width());
}
