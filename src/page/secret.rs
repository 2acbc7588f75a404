//! The lesson's riddle, as the visitor sees it: [`crate::riddle`] knows the steps and the answer.

use web_sys::{Document, HtmlButtonElement, HtmlCanvasElement, HtmlElement};

use super::canvas;
use super::view::get;
use crate::protocol::{Purpose, SampleRequest, Shown, ShownStep};
use crate::riddle::Riddle;
use crate::words;

/// The figure.
pub struct Secret {
    /// Has one sampled that is not shown.
    pub hatch: HtmlButtonElement,
    /// Shows its next step.
    pub next: HtmlButtonElement,
    /// Says that one sees what it will be.
    pub seen: HtmlButtonElement,
    picture: HtmlCanvasElement,
    guess: HtmlCanvasElement,
    guess_figure: HtmlElement,
    place: HtmlElement,
    answer: HtmlElement,
    /// What is on its way.
    coming: Riddle,
    /// What is asked.
    riddle: Riddle,
}

impl Secret {
    /// Finds its elements; the error is the name of the first that is missing.
    pub fn find(document: &Document) -> Result<Self, String> {
        Ok(Self {
            hatch: get(document, "riddle")?,
            next: get(document, "riddle-next")?,
            seen: get(document, "riddle-seen")?,
            picture: get(document, "riddle-picture")?,
            guess: get(document, "riddle-guess")?,
            guess_figure: get(document, "riddle-guess-figure")?,
            place: get(document, "riddle-place")?,
            answer: get(document, "riddle-answer")?,
            coming: Riddle::new(),
            riddle: Riddle::new(),
        })
    }

    /// What to ask for: what the controls say, of a seed that nobody knows.
    pub fn begin(&mut self, request: SampleRequest) -> SampleRequest {
        self.coming = Riddle::new();
        let seed = (js_sys::Math::random() * 1e15) as u64;
        SampleRequest { seed, purpose: Purpose::Riddle, ..request }
    }

    /// It has taken a step.
    pub fn add_step(&mut self, step: ShownStep) {
        self.coming.add(step);
    }

    /// It is finished, and can be asked.
    pub fn finish(&mut self) {
        self.riddle = std::mem::take(&mut self.coming);
        self.answer.set_text_content(Some("What will it be? Go on step by step, and say when you see it."));
        self.show();
        // Fails only for elements that cannot have the focus.
        let _ = self.next.focus();
    }

    /// Shows the next step.
    pub fn advance(&mut self) {
        self.riddle.advance();
        self.show();
    }

    /// Shows what it is.
    pub fn reveal(&mut self) {
        let answer = self.riddle.answer();
        if let Some(answer) = answer {
            self.answer.set_text_content(Some(&words::answer(&answer)));
        }
        self.show();
    }

    fn show(&self) {
        let draw = |canvas: &HtmlCanvasElement, picture: Option<&Shown>| match picture {
            Some(picture) => canvas::draw(canvas, std::slice::from_ref(picture)),
            None => canvas::clear(canvas),
        };
        draw(&self.picture, self.riddle.shown());
        self.guess_figure.set_hidden(self.riddle.guess().is_none());
        draw(&self.guess, self.riddle.guess());
        let place = self
            .riddle
            .place()
            .map_or(String::new(), |(at, of, sigma)| format!("Step {at} of {of}, {}", words::level(sigma)));
        self.place.set_text_content(Some(&place));
        self.next.set_disabled(!self.riddle.goes_on());
        self.seen.set_disabled(!self.riddle.is_open());
    }
}
