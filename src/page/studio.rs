//! The studio: a picture that butterflies begin with, drawn by hand, opened from a file, or taken from the drawer.

use js_sys::{Array, Function, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{CanvasRenderingContext2d, Event, HtmlCanvasElement};

use super::canvas;
use super::view::View;
use crate::edit::{Edit, EditTask};
use crate::protocol::Shown;

/// How far a key moves the brush, as a share of its width.
const KEY_STEP: f64 = 0.5;

/// A movement of the brush over the drawing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stroke {
    /// It touches the paper, at a share of its width and height.
    Begin([f64; 2]),
    /// It moves on.
    Continue([f64; 2]),
    /// It leaves the paper.
    End,
    /// A key moves it without touching the paper, right and down, in steps.
    Move([f64; 2]),
    /// A key lets it touch where it is.
    Touch,
}

/// The drawing and the brush.
pub struct Studio {
    context: Option<CanvasRenderingContext2d>,
    /// Where the brush is, in pixels.
    at: [f64; 2],
    /// Whether it touches the paper.
    draws: bool,
}

impl Studio {
    /// An empty sheet.
    pub fn new(view: &View) -> Self {
        let middle = f64::from(view.drawing.width()) / 2.0;
        Self { context: canvas::context(&view.drawing), at: [middle; 2], draws: false }
    }

    /// Takes a sheet of so many pixels, unless it has them already: that of the model's pictures.
    pub fn resize(&mut self, view: &View, size: usize) {
        let size = size as u32;
        if (view.drawing.width(), view.drawing.height()) != (size, size) {
            view.drawing.set_width(size);
            view.drawing.set_height(size);
            self.at = [f64::from(size) / 2.0; 2];
        }
    }

    /// Empties the sheet.
    pub fn empty(&self, view: &View) {
        if let Some(context) = &self.context {
            context.clear_rect(0.0, 0.0, f64::from(view.drawing.width()), f64::from(view.drawing.height()));
        }
    }

    /// Lays a picture on the sheet.
    pub fn lay(&self, view: &View, picture: &Shown) {
        if (picture.width, picture.height) == (view.drawing.width(), view.drawing.height()) {
            canvas::draw(&view.drawing, std::slice::from_ref(picture));
        }
    }

    /// Moves the brush.
    pub fn stroke(&mut self, view: &View, stroke: Stroke) {
        let size = [view.drawing.width(), view.drawing.height()].map(f64::from);
        let pixels = |share: [f64; 2]| [share[0] * size[0], share[1] * size[1]];
        match stroke {
            Stroke::Begin(share) => {
                self.draws = true;
                self.at = pixels(share);
                self.line(view, self.at);
            }
            Stroke::Continue(share) if self.draws => {
                let from = std::mem::replace(&mut self.at, pixels(share));
                self.line(view, from);
            }
            Stroke::Continue(_) => {}
            Stroke::End => self.draws = false,
            Stroke::Move([right, down]) => {
                let step = (brush(view) * KEY_STEP).max(1.0);
                let [x, y] = self.at;
                self.at = [(x + right * step).clamp(0.0, size[0]), (y + down * step).clamp(0.0, size[1])];
            }
            Stroke::Touch => self.line(view, self.at),
        }
        view.show_brush([self.at[0] / size[0], self.at[1] / size[1]], brush(view) / size[0]);
    }

    /// Draws from somewhere to where the brush is, and the same on the other side where that is wanted.
    fn line(&self, view: &View, from: [f64; 2]) {
        let Some(context) = &self.context else { return };
        let erases = view.erase.checked();
        // Neither can be refused: both are names that the specification has.
        let _ = context.set_global_composite_operation(if erases { "destination-out" } else { "source-over" });
        context.set_stroke_style_str(&view.paint.value());
        context.set_line_width(brush(view));
        context.set_line_cap("round");
        let width = f64::from(view.drawing.width());
        // A line of no length has round ends too, but not in every browser.
        let to = [self.at[0] + 0.01, self.at[1]];
        for mirrored in [false, true].into_iter().take(1 + usize::from(view.mirror.checked())) {
            let place = |[x, y]: [f64; 2]| if mirrored { [width - x, y] } else { [x, y] };
            let ([x, y], [to_x, to_y]) = (place(from), place(to));
            context.begin_path();
            context.move_to(x, y);
            context.line_to(to_x, to_y);
            context.stroke();
        }
        let _ = context.set_global_composite_operation("source-over");
    }

    /// What a butterfly is to begin with; the error is a sentence for people.
    pub fn edit(&self, view: &View, task: EditTask) -> Result<Edit, String> {
        let size = f64::from(view.drawing.width());
        let data = self.context.as_ref().and_then(|context| context.get_image_data(0.0, 0.0, size, size).ok());
        let data = data.ok_or("The browser does not hand the drawing out.")?;
        let edit = Edit::new(data.width() as usize, data.data().0, task).map_err(|error| format!("{error}."))?;
        let opacities = edit.opacities();
        let all = |opacity: f32| opacities.iter().all(|&found| found == opacity);
        match task {
            _ if all(0.0) => Err("The sheet is empty: draw something, or take a butterfly or a picture first.".into()),
            EditTask::Inpainting if all(1.0) => {
                Err("Nothing on the sheet is empty: erase what is to grow anew.".into())
            }
            _ => Ok(edit),
        }
    }
}

/// The brush's width, in pixels: its slider stands at a percentage of the sheet's.
fn brush(view: &View) -> f64 {
    view.brush.value().parse().unwrap_or(1.0) / 100.0 * f64::from(view.drawing.width())
}

/// What an event over the drawing does with the brush, if anything.
pub fn stroke_of(canvas: &HtmlCanvasElement, event: &Event) -> Option<Stroke> {
    let number = |name: &str| Reflect::get(event, &name.into()).ok().and_then(|value| value.as_f64()).unwrap_or(0.0);
    let place = || {
        [
            number("offsetX") / f64::from(canvas.client_width().max(1)),
            number("offsetY") / f64::from(canvas.client_height().max(1)),
        ]
    };
    match event.type_().as_str() {
        "pointerdown" => {
            // So that a stroke goes on beyond the edge. Refused only for pointers that are gone.
            if let Ok(capture) =
                Reflect::get(canvas, &"setPointerCapture".into()).and_then(|f| f.dyn_into::<Function>())
            {
                let _ = capture.call1(canvas, &number("pointerId").into());
            }
            Some(Stroke::Begin(place()))
        }
        "pointermove" => Some(Stroke::Continue(place())),
        "pointerup" | "pointercancel" => Some(Stroke::End),
        "keydown" => match Reflect::get(event, &"key".into()).ok()?.as_string()?.as_str() {
            "ArrowLeft" => Some(Stroke::Move([-1.0, 0.0])),
            "ArrowRight" => Some(Stroke::Move([1.0, 0.0])),
            "ArrowUp" => Some(Stroke::Move([0.0, -1.0])),
            "ArrowDown" => Some(Stroke::Move([0.0, 1.0])),
            " " | "Enter" => Some(Stroke::Touch),
            _ => None,
        },
        _ => None,
    }
}

/// Lays a picture from a file on the sheet: whole, in its middle, on white.
///
/// # Errors
/// When the browser makes no picture of it.
pub async fn open(canvas: HtmlCanvasElement, file: JsValue) -> Result<(), JsValue> {
    let window = web_sys::window().ok_or(JsValue::NULL)?;
    let make: Function = Reflect::get(&window, &"createImageBitmap".into())?.dyn_into()?;
    let bitmap = JsFuture::from(make.call1(&window, &file)?.dyn_into::<Promise>()?).await?;
    let side = |name: &str| Reflect::get(&bitmap, &name.into()).map(|value| value.as_f64().unwrap_or(0.0).max(1.0));
    let [width, height] = [side("width")?, side("height")?];
    let context = canvas::context(&canvas).ok_or(JsValue::NULL)?;
    let size = f64::from(canvas.width());
    let scale = size / width.max(height);
    let [across, down] = [width * scale, height * scale];
    context.set_fill_style_str("#fff");
    context.fill_rect(0.0, 0.0, size, size);
    let _ = Reflect::set(&context, &"imageSmoothingQuality".into(), &"high".into());
    let draw: Function = Reflect::get(&context, &"drawImage".into())?.dyn_into()?;
    let place = [(size - across) / 2.0, (size - down) / 2.0, across, down].map(JsValue::from);
    draw.apply(&context, &std::iter::once(bitmap).chain(place).collect::<Array>()).map(drop)
}
