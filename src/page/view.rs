//! The elements of the page, and what can be shown in them.

use js_sys::Reflect;
use wasm_bindgen::{Clamped, JsCast, JsValue};
use web_sys::{
    CanvasRenderingContext2d, Document, Element, Event, HtmlButtonElement, HtmlCanvasElement, HtmlElement,
    HtmlInputElement, HtmlProgressElement, HtmlSelectElement, ImageData,
};

use crate::cabinet::{Cabinet, Specimen};
use crate::origin::Series;
use crate::protocol::{Purpose, SampleRequest, Shown};
use crate::words;

/// What the list of models has as the value of the visitor's own: no address of a file.
pub const OWN_MODEL: &str = "own:";

/// The mark of the buttons of specimens.
pub const SPECIMEN: &str = "data-specimen";

/// All elements that change.
pub struct View {
    pub document: Document,
    pub picture: HtmlCanvasElement,
    pub caption: HtmlElement,
    pub controls: HtmlElement,
    pub model: HtmlSelectElement,
    pub seed: HtmlInputElement,
    pub dice: HtmlButtonElement,
    pub count: HtmlSelectElement,
    pub steps: HtmlInputElement,
    pub steps_shown: HtmlElement,
    pub sampler: HtmlSelectElement,
    pub hatch: HtmlButtonElement,
    pub cancel: HtmlButtonElement,
    pub save: HtmlButtonElement,
    pub progress: HtmlProgressElement,
    pub status: HtmlElement,
    pub announcement: HtmlElement,
    pub device: HtmlElement,
    pub show_noisy: HtmlInputElement,
    pub strip: HtmlElement,
    pub scrub: HtmlInputElement,
    pub copy: HtmlButtonElement,
    pub report: HtmlElement,
    pub copy_report: HtmlButtonElement,
    pub measure: HtmlButtonElement,
    pub relatives: HtmlButtonElement,
    pub to: HtmlInputElement,
    pub morph: HtmlButtonElement,
    pub between: HtmlInputElement,
    pub between_shown: HtmlElement,
    pub specimens: HtmlElement,
    pub forward_picture: HtmlCanvasElement,
    pub forward_level: HtmlInputElement,
    pub forward_shown: HtmlElement,
    pub forward_guess: HtmlElement,
    pub forward_guessed: HtmlCanvasElement,
    pub drawing: HtmlCanvasElement,
    pub brush_shown: HtmlElement,
    pub paint: HtmlInputElement,
    pub brush: HtmlInputElement,
    pub mirror: HtmlInputElement,
    pub erase: HtmlInputElement,
    pub take: HtmlButtonElement,
    pub open: HtmlInputElement,
    pub empty: HtmlButtonElement,
    pub strength: HtmlInputElement,
    pub strength_shown: HtmlElement,
    pub rework: HtmlButtonElement,
    pub fill: HtmlButtonElement,
    pub bring: HtmlInputElement,
    pub save_film: HtmlButtonElement,
}

impl View {
    /// Finds every element; the error is the name of the first that is missing.
    pub fn find() -> Result<Self, String> {
        let document = web_sys::window().and_then(|window| window.document()).ok_or("document")?;
        Ok(Self {
            picture: get(&document, "picture")?,
            caption: get(&document, "caption")?,
            controls: get(&document, "controls")?,
            model: get(&document, "model")?,
            seed: get(&document, "seed")?,
            dice: get(&document, "dice")?,
            count: get(&document, "count")?,
            steps: get(&document, "steps")?,
            steps_shown: get(&document, "steps-shown")?,
            sampler: get(&document, "sampler")?,
            hatch: get(&document, "hatch")?,
            cancel: get(&document, "cancel")?,
            save: get(&document, "save")?,
            progress: get(&document, "progress")?,
            status: get(&document, "status")?,
            announcement: get(&document, "announcement")?,
            device: get(&document, "device")?,
            show_noisy: get(&document, "show-noisy")?,
            strip: get(&document, "strip")?,
            scrub: get(&document, "scrub")?,
            copy: get(&document, "copy")?,
            report: get(&document, "report")?,
            copy_report: get(&document, "copy-report")?,
            measure: get(&document, "measure")?,
            relatives: get(&document, "relatives")?,
            to: get(&document, "to")?,
            morph: get(&document, "morph")?,
            between: get(&document, "between")?,
            between_shown: get(&document, "between-shown")?,
            specimens: get(&document, "specimens")?,
            forward_picture: get(&document, "forward-picture")?,
            forward_level: get(&document, "forward-level")?,
            forward_shown: get(&document, "forward-shown")?,
            forward_guess: get(&document, "forward-guess")?,
            forward_guessed: get(&document, "forward-guessed")?,
            drawing: get(&document, "drawing")?,
            brush_shown: get(&document, "brush-shown")?,
            paint: get(&document, "paint")?,
            brush: get(&document, "brush")?,
            mirror: get(&document, "mirror")?,
            erase: get(&document, "erase")?,
            take: get(&document, "take")?,
            open: get(&document, "open")?,
            empty: get(&document, "empty")?,
            strength: get(&document, "strength")?,
            strength_shown: get(&document, "strength-shown")?,
            rework: get(&document, "rework")?,
            fill: get(&document, "fill")?,
            bring: get(&document, "bring")?,
            save_film: get(&document, "save-film")?,
            document,
        })
    }

    /// The weight file that the page names, relative to it.
    pub fn weights(&self) -> Option<String> {
        self.meta("chrysalis-weights")
    }

    /// The script of the service worker, if the page was built with one, relative to it.
    pub fn offline(&self) -> Option<String> {
        self.meta("chrysalis-offline")
    }

    fn meta(&self, name: &str) -> Option<String> {
        self.document.query_selector(&format!("meta[name={name}]")).ok()??.get_attribute("content")
    }

    /// What the controls say; the error is a sentence for people.
    pub fn request(&self) -> Result<SampleRequest, String> {
        let seed = seed(&self.seed)?;
        let steps = self.steps.value().parse().map_err(|_| "The number of steps is missing.".to_string())?;
        let sampler = self.sampler.value().parse().map_err(|error| format!("{error}."))?;
        let count = self.count.value().parse().unwrap_or(1);
        Ok(SampleRequest { seed, count, series: Series::Seeds, steps, sampler, edit: None, purpose: Purpose::Specimen })
    }

    /// The seed to go to from the one in the controls; the error is a sentence for people.
    pub fn to(&self) -> Result<u64, String> {
        seed(&self.to)
    }

    /// Sets the controls. A sampler that the list does not offer, such as ddim:0.5, is added to it.
    pub fn set_request(&self, request: &SampleRequest) {
        self.seed.set_value(&request.seed.to_string());
        match request.series {
            Series::Seeds => self.count.set_value(&request.count.to_string()),
            Series::Morph(to) => self.to.set_value(&to.to_string()),
            Series::Between { to, percent } => {
                self.to.set_value(&to.to_string());
                self.between.set_value(&percent.to_string());
                self.show_between();
            }
            Series::Relatives => {}
        }
        self.steps.set_value(&request.steps.to_string());
        self.show_steps();
        self.choose(&self.sampler, &request.sampler.to_string());
    }

    /// Says which weight file is used. One that the list does not offer is added to it.
    pub fn set_model(&self, weights: &str) {
        self.choose(&self.model, weights);
    }

    /// Says that a weight file of the visitor's own is used, and lets it be chosen again.
    pub fn set_own_model(&self, name: &str) {
        self.choose(&self.model, OWN_MODEL);
        if let Ok(Some(option)) = self.model.query_selector(&format!("option[value='{OWN_MODEL}']")) {
            option.set_text_content(Some(&format!("Your own: {name}")));
        }
    }

    /// Chooses a value, be it in the list or not.
    fn choose(&self, list: &HtmlSelectElement, value: &str) {
        list.set_value(value);
        if list.value() != value
            && let Ok(option) = self.document.create_element("option")
        {
            option.set_text_content(Some(value));
            if option.set_attribute("value", value).is_ok() && list.append_child(&option).is_ok() {
                list.set_value(value);
            }
        }
    }

    /// How far a picture that is begun with is to be left, from 0 to 1.
    pub fn strength(&self) -> f64 {
        self.strength.value().parse().map_or(0.5, |percent: f64| percent / 100.0)
    }

    /// How far to go to the other seed, in hundredths of the way.
    pub fn between(&self) -> u8 {
        self.between.value().parse().unwrap_or(0)
    }

    /// Shows what the slider of that stands at.
    pub fn show_between(&self) {
        self.between_shown.set_text_content(Some(&format!("{} %", self.between.value())));
    }

    /// Shows what the slider of the strength stands at.
    pub fn show_strength(&self) {
        self.strength_shown.set_text_content(Some(&format!("{} %", self.strength.value())));
    }

    /// Shows where the brush is, as shares of the sheet: its middle, and its width.
    pub fn show_brush(&self, [x, y]: [f64; 2], width: f64) {
        let style = self.brush_shown.style();
        for (name, share) in [("left", x), ("top", y), ("width", width)] {
            // Refused only for names that are no properties.
            let _ = style.set_property(name, &format!("{:.2}%", 100.0 * share));
        }
    }

    /// Shows the number that the slider stands at.
    pub fn show_steps(&self) {
        self.steps_shown.set_text_content(Some(&self.steps.value()));
    }

    /// Shows how far something has come, from 0 to 1; None for "nobody knows".
    pub fn set_progress(&self, share: Option<f64>) {
        match share {
            Some(share) => self.progress.set_value(share),
            // Without a value the bar shows that something is going on. Removing an attribute cannot fail.
            None => {
                let _ = self.progress.remove_attribute("value");
            }
        }
    }

    /// Says what is going on, without interrupting a screen reader: progress, many times a second.
    pub fn say(&self, sentence: &str) {
        self.status.set_text_content(Some(sentence));
    }

    /// Says what has happened, to screen readers too.
    pub fn announce(&self, sentence: &str) {
        self.say(sentence);
        self.announcement.set_text_content(Some(sentence));
    }

    /// Says what the picture shows, to those who do not see it.
    pub fn label_picture(&self, label: &str) {
        // It cannot be refused: the attribute's name is valid.
        let _ = self.picture.set_attribute("aria-label", label);
    }

    /// The id of the element that has the keyboard's focus.
    pub fn focused(&self) -> String {
        self.document.active_element().map(|element| element.id()).unwrap_or_default()
    }

    /// Empties the strip of steps.
    pub fn clear_strip(&self) {
        self.strip.set_text_content(None);
    }

    /// Adds a step to the strip, and keeps it in sight.
    pub fn add_to_strip(&self, pictures: &[Shown], caption: &str) {
        let Some((item, canvas)) = self.strip_item() else { return };
        draw(&canvas, pictures);
        if let Ok(text) = self.document.create_element("span") {
            text.set_text_content(Some(caption));
            let _ = item.append_child(&text);
        }
        if self.strip.append_child(&item).is_ok() {
            self.strip.set_scroll_left(self.strip.scroll_width());
        }
    }

    fn strip_item(&self) -> Option<(Element, HtmlCanvasElement)> {
        let item = self.document.create_element("li").ok()?;
        let canvas: HtmlCanvasElement = self.document.create_element("canvas").ok()?.dyn_into().ok()?;
        item.append_child(&canvas).ok()?;
        Some((item, canvas))
    }

    /// Sets the slider along the strip.
    pub fn set_scrub(&self, index: usize, frames: usize, caption: &str) {
        self.scrub.set_max(&frames.saturating_sub(1).to_string());
        self.scrub.set_value(&index.to_string());
        // It cannot be refused: the attribute's name is valid.
        let _ = self.scrub.set_attribute("aria-valuetext", caption);
    }

    /// Marks the frame of the strip that is shown large.
    pub fn mark_frame(&self, index: usize) {
        mark(&self.strip, &format!("li:nth-child({})", index + 1));
    }

    /// Shows all specimens of the cabinet.
    pub fn show_specimens(&self, cabinet: &Cabinet) {
        self.specimens.set_text_content(None);
        for specimen in cabinet.iter() {
            // Elements are refused only for invalid names.
            let _ = self.add_specimen(specimen);
        }
    }

    fn add_specimen(&self, specimen: &Specimen) -> Result<(), JsValue> {
        let name = words::capitalised(&words::place(&specimen.request, specimen.place));
        let label = words::label(&name, &specimen.request);
        let item = boxed(&self.document, (SPECIMEN, &specimen.number.to_string()), &name, &label, &specimen.picture)?;
        self.specimens.append_child(&item)?;
        Ok(())
    }

    /// Marks the specimen that is shown large.
    pub fn mark_specimen(&self, number: u32) {
        mark(&self.specimens, &format!("[{SPECIMEN}='{number}']"));
    }
}

/// A picture in a box with its name, to be clicked at: an item of a list. The button in it has the attribute `mark`, by which
/// clicks are told apart, and `label` says what it is to who does not see it.
pub fn boxed(
    document: &Document,
    mark: (&str, &str),
    name: &str,
    label: &str,
    picture: &Shown,
) -> Result<Element, JsValue> {
    let item = document.create_element("li")?;
    let button = document.create_element("button")?;
    button.set_attribute("type", "button")?;
    button.set_attribute(mark.0, mark.1)?;
    button.set_attribute("aria-label", label)?;
    let canvas: HtmlCanvasElement = document.create_element("canvas")?.unchecked_into();
    draw(&canvas, std::slice::from_ref(picture));
    let text = document.create_element("span")?;
    text.set_text_content(Some(name));
    button.append_child(&canvas)?;
    button.append_child(&text)?;
    item.append_child(&button)?;
    Ok(item)
}

/// The number in the attribute by which clicks are told apart, of what was clicked at.
pub fn marked<N: std::str::FromStr>(event: &Event, mark: &str) -> Option<N> {
    let target: Element = event.target()?.dyn_into().ok()?;
    target.closest(&format!("[{mark}]")).ok()??.get_attribute(mark)?.parse().ok()
}

/// Marks the element of a list that a selector finds, and no other.
fn mark(list: &HtmlElement, selector: &str) {
    // Asked for at every step, so not by going over all elements. Neither selector can be refused, nor the attribute.
    if let Ok(Some(before)) = list.query_selector("[aria-current]") {
        let _ = before.remove_attribute("aria-current");
    }
    if let Ok(Some(item)) = list.query_selector(selector) {
        let _ = item.set_attribute("aria-current", "true");
    }
}

/// The seed in a field; the error is a sentence for people.
fn seed(field: &HtmlInputElement) -> Result<u64, String> {
    let text = field.value();
    text.trim().parse().map_err(|_| format!("The seed '{text}' is no whole number from 0 to {}.", u64::MAX))
}

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

/// The element of an id; the error is the id.
pub fn get<T: JsCast>(document: &Document, id: &str) -> Result<T, String> {
    document.get_element_by_id(id).and_then(|element| element.dyn_into().ok()).ok_or_else(|| id.to_string())
}
