//! The lesson's network with one of its skip connections switched off, beside the network as it is.

use web_sys::{Document, HtmlCanvasElement, HtmlSelectElement};

use super::view::{self, get};
use crate::protocol::ShownStep;

/// The figure.
pub struct Skips {
    /// Which of them is switched off.
    pub list: HtmlSelectElement,
    whole: HtmlCanvasElement,
    cut: HtmlCanvasElement,
}

impl Skips {
    /// Finds its elements; the error is the name of the first that is missing.
    pub fn find(document: &Document) -> Result<Self, String> {
        Ok(Self { list: get(document, "skip")?, whole: get(document, "skip-whole")?, cut: get(document, "skip-cut")? })
    }

    /// The skip connection that is switched off, counted from the outermost.
    pub fn chosen(&self) -> Option<usize> {
        self.list.value().parse().ok()
    }

    /// Shows what the network sees without one of them, or with all.
    pub fn show(&self, without_skip: Option<usize>, step: &ShownStep) {
        match without_skip {
            None => {
                view::draw(&self.whole, &step.clean);
                view::clear(&self.cut);
            }
            Some(skip) if Some(skip) == self.chosen() => view::draw(&self.cut, &step.clean),
            // The visitor has chosen another one meanwhile.
            Some(_) => {}
        }
    }

    /// Shows nothing: there is another picture to ask about.
    pub fn clear(&self) {
        [&self.whole, &self.cut].into_iter().for_each(view::clear);
    }
}
