//! How pictures are sampled: the slider of the steps and the list of samplers, which stand at what is usual for the model until
//! somebody chooses.

use std::cell::Cell;

use web_sys::{Document, HtmlElement, HtmlInputElement, HtmlSelectElement};

use super::view::{choose, get};
use crate::diffusion::{Sampler, Usual};

/// The controls.
pub struct Settings {
    /// Steps of the first stage.
    pub steps: HtmlInputElement,
    /// Has an empty value where it is left to the model.
    pub sampler: HtmlSelectElement,
    steps_shown: HtmlElement,
    /// What is usual for the model.
    usual: Cell<Usual>,
    /// Whether the number of steps was chosen.
    chosen: Cell<bool>,
}

impl Settings {
    /// Finds the elements; the error is the name of the first that is missing.
    pub fn find(document: &Document) -> Result<Self, String> {
        Ok(Self {
            steps: get(document, "steps")?,
            sampler: get(document, "sampler")?,
            steps_shown: get(document, "steps-shown")?,
            usual: Cell::default(),
            chosen: Cell::default(),
        })
    }

    /// The steps in the controls, none for as many as are usual for the model; the error is a sentence for people.
    pub fn steps(&self) -> Result<Option<usize>, String> {
        let steps = self.steps.value().parse().map_err(|_| "The number of steps is missing.".to_string())?;
        Ok((self.chosen.get() || steps != self.usual_steps()).then_some(steps))
    }

    /// The sampler in the controls, none for what suits the model; the error is a sentence for people.
    pub fn sampler(&self) -> Result<Option<Sampler>, String> {
        match self.sampler.value().as_str() {
            "" => Ok(None),
            named => named.parse().map(Some).map_err(|error| format!("{error}.")),
        }
    }

    /// The steps that are usual for the model with the sampler in the controls.
    pub fn usual_steps(&self) -> usize {
        let (_, steps) = self.usual.get().unless(self.sampler().ok().flatten(), None, false);
        steps
    }

    /// Sets the controls; what is none is left to the model. A sampler that the list does not offer, such as ddim:0.5, is added to it.
    pub fn set(&self, steps: Option<usize>, sampler: Option<Sampler>) {
        choose(&self.sampler, &sampler.map_or(String::new(), |sampler| sampler.to_string()));
        self.chosen.set(steps.is_some());
        self.move_to(steps.unwrap_or(self.usual_steps()));
    }

    /// Says what is usual for the model.
    pub fn set_usual(&self, usual: Usual) {
        self.usual.set(usual);
        self.follow();
    }

    /// Another sampler may have another number of steps that is usual: that is where the slider goes, unless one was chosen.
    pub fn follow(&self) {
        if !self.chosen.get() {
            self.move_to(self.usual_steps());
        }
    }

    /// The slider was moved.
    pub fn choose_steps(&self) {
        self.chosen.set(true);
        self.show_steps();
    }

    /// Before another model is taken: a slider at the usual number goes to that of the other one.
    pub fn release(&self) {
        self.chosen.set(self.steps.value() != self.usual_steps().to_string());
    }

    fn move_to(&self, steps: usize) {
        self.steps.set_value(&steps.to_string());
        self.show_steps();
    }

    fn show_steps(&self) {
        self.steps_shown.set_text_content(Some(&self.steps.value()));
    }
}
