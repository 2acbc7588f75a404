//! The elements of the page, and what can be shown in them.

use wasm_bindgen::{JsCast, JsValue};
use web_sys::{
    Document, HtmlButtonElement, HtmlCanvasElement, HtmlElement, HtmlInputElement, HtmlProgressElement,
    HtmlSelectElement,
};

use super::settings::Settings;
use super::{canvas, items};
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
    pub settings: Settings,
    pub hatch: HtmlButtonElement,
    pub cancel: HtmlButtonElement,
    pub save: HtmlButtonElement,
    pub progress: HtmlProgressElement,
    pub status: HtmlElement,
    pub announcement: HtmlElement,
    pub made: HtmlElement,
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
            settings: Settings::find(&document)?,
            hatch: get(&document, "hatch")?,
            cancel: get(&document, "cancel")?,
            save: get(&document, "save")?,
            progress: get(&document, "progress")?,
            status: get(&document, "status")?,
            announcement: get(&document, "announcement")?,
            made: get(&document, "made")?,
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
        let (steps, sampler) = (self.settings.steps()?, self.settings.sampler()?);
        let count = self.count.value().parse().unwrap_or(1);
        Ok(SampleRequest { seed, count, series: Series::Seeds, steps, sampler, edit: None, purpose: Purpose::Specimen })
    }

    /// The seed to go to from the one in the controls; the error is a sentence for people.
    pub fn to(&self) -> Result<u64, String> {
        seed(&self.to)
    }

    /// Sets the controls.
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
        self.settings.set(request.steps, request.sampler);
    }

    /// Says which weight file is used. One that the list does not offer is added to it.
    pub fn set_model(&self, weights: &str) {
        choose(&self.model, weights);
    }

    /// Says that a weight file of the visitor's own is used, and lets it be chosen again.
    pub fn set_own_model(&self, name: &str) {
        choose(&self.model, OWN_MODEL);
        if let Ok(Some(option)) = self.model.query_selector(&format!("option[value='{OWN_MODEL}']")) {
            option.set_text_content(Some(&format!("Your own: {name}")));
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
        // Elements are refused only for invalid names.
        let Ok((item, canvas)) = items::captioned(&self.document, caption) else { return };
        canvas::draw(&canvas, pictures);
        if self.strip.append_child(&item).is_ok() {
            self.strip.set_scroll_left(self.strip.scroll_width());
        }
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
        items::mark(&self.strip, &format!("li:nth-child({})", index + 1));
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
        let item =
            items::boxed(&self.document, (SPECIMEN, &specimen.number.to_string()), &name, &label, &specimen.picture)?;
        self.specimens.append_child(&item)?;
        Ok(())
    }

    /// Marks the specimen that is shown large.
    pub fn mark_specimen(&self, number: u32) {
        items::mark(&self.specimens, &format!("[{SPECIMEN}='{number}']"));
    }
}

/// The seed in a field; the error is a sentence for people.
fn seed(field: &HtmlInputElement) -> Result<u64, String> {
    let text = field.value();
    text.trim().parse().map_err(|_| format!("The seed '{text}' is no whole number from 0 to {}.", u64::MAX))
}

/// The element of an id; the error is the id.
pub fn get<T: JsCast>(document: &Document, id: &str) -> Result<T, String> {
    document.get_element_by_id(id).and_then(|element| element.dyn_into().ok()).ok_or_else(|| id.to_string())
}

/// Chooses a value, be it in the list or not.
pub fn choose(list: &HtmlSelectElement, value: &str) {
    list.set_value(value);
    if list.value() != value
        && let Some(Ok(option)) = list.owner_document().map(|document| document.create_element("option"))
    {
        option.set_text_content(Some(value));
        if option.set_attribute("value", value).is_ok() && list.append_child(&option).is_ok() {
            list.set_value(value);
        }
    }
}
