//! The lesson's network: with one of its skip connections switched off, beside the network as it is, and what its blocks put out.

use wasm_bindgen::JsCast;
use web_sys::{Document, Element, HtmlCanvasElement, HtmlElement, HtmlSelectElement};

use super::canvas;
use super::items;
use super::view::get;
use crate::protocol::{Shown, ShownStep};
use crate::words;

/// Its figures.
pub struct Network {
    document: Document,
    /// Which skip connection is switched off.
    pub list: HtmlSelectElement,
    whole: HtmlCanvasElement,
    cut: HtmlCanvasElement,
    /// What is opened to see the activations.
    pub inside: Element,
    activations: HtmlElement,
}

impl Network {
    /// Finds its elements; the error is the name of the first that is missing.
    pub fn find(document: &Document) -> Result<Self, String> {
        Ok(Self {
            document: document.clone(),
            list: get(document, "skip")?,
            whole: get(document, "skip-whole")?,
            cut: get(document, "skip-cut")?,
            inside: get(document, "inside")?,
            activations: get(document, "activations")?,
        })
    }

    /// The skip connection that is switched off, counted from the outermost.
    pub fn without_skip(&self) -> Option<usize> {
        self.list.value().parse().ok()
    }

    /// Whether somebody looks at what the blocks put out.
    pub fn is_open(&self) -> bool {
        self.inside.has_attribute("open")
    }

    /// Shows what the network sees without one of its skip connections, or with all; with all, what the blocks put out too.
    pub fn show(&self, without_skip: Option<usize>, step: &ShownStep) {
        match without_skip {
            None => {
                canvas::draw(&self.whole, &step.clean);
                canvas::clear(&self.cut);
                self.show_activations(&step.activations);
            }
            Some(skip) if Some(skip) == self.without_skip() => canvas::draw(&self.cut, &step.clean),
            // The visitor has chosen another one meanwhile.
            Some(_) => {}
        }
    }

    /// Shows nothing: there is another picture to ask about.
    pub fn clear(&self) {
        [&self.whole, &self.cut].into_iter().for_each(canvas::clear);
        self.show_activations(&[]);
    }

    fn show_activations(&self, activations: &[Shown]) {
        // As many blocks as before: their canvases stay, and nothing moves.
        if self.activations.child_element_count() as usize != activations.len() {
            self.activations.set_text_content(None);
            for (block, sheet) in activations.iter().enumerate() {
                // Elements are refused only for invalid names.
                if let Ok((item, _)) = items::captioned(&self.document, &words::block(block, activations.len(), sheet))
                {
                    let _ = self.activations.append_child(&item);
                }
            }
        }
        // No selector that is refused.
        let Ok(canvases) = self.activations.query_selector_all("canvas") else { return };
        for (block, sheet) in (0..).zip(activations) {
            if let Some(canvas) = canvases.item(block).and_then(|canvas| canvas.dyn_into().ok()) {
                canvas::draw(&canvas, std::slice::from_ref(sheet));
            }
        }
    }
}
