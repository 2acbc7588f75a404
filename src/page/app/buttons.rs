//! Which buttons can be pressed, and where the keyboard's focus goes with them.

use super::App;
use crate::page::view::View;

impl App {
    pub(super) fn update_buttons(&mut self) {
        let (hatching, idle) = (self.engines.pool().is_sampling(), self.engines.pool().is_idle());
        let View { hatch, dice, cancel, save, copy, relatives, morph, scrub, rework, fill, .. } = &self.display.view;
        // A button that is disabled loses the keyboard's focus: it goes to the one that is of use now, and back again.
        let focus = match self.display.view.focused().as_str() {
            id if hatching
                && let Some(button) =
                    [hatch, dice, relatives, morph, rework, fill].into_iter().find(|of| of.id() == id) =>
            {
                self.focused = Some(button.clone());
                Some(cancel.clone())
            }
            "cancel" if idle => Some(self.focused.take().unwrap_or_else(|| hatch.clone())),
            "cancel" if !hatching => {
                self.focus_lost = true;
                None
            }
            "" if idle && self.focus_lost => Some(self.focused.take().unwrap_or_else(|| hatch.clone())),
            _ => None,
        };
        self.focus_lost &= !idle;
        hatch.set_disabled(!idle);
        dice.set_disabled(!idle);
        cancel.set_disabled(!hatching);
        let nothing = hatching || !self.display.is_finished();
        save.set_disabled(nothing);
        self.display.view.save_film.set_disabled(nothing || self.display.frames() < 2);
        copy.set_disabled(nothing || !self.display.has_address());
        let text = if nothing { None } else { self.display.text() };
        self.favourites.button.set_disabled(text.is_none());
        self.favourites.name_button(text.as_deref());
        rework.set_disabled(!idle);
        fill.set_disabled(!idle);
        relatives.set_disabled(!idle);
        morph.set_disabled(!idle);
        for button in [&self.twins.hatch, &self.secret.hatch, &self.display.view.measure] {
            button.set_disabled(!idle);
        }
        self.display.view.between.set_disabled(!idle && !hatching);
        scrub.set_disabled(hatching || self.display.frames() < 2);
        if let Some(button) = focus {
            // Fails only for elements that cannot have it.
            let _ = button.focus();
        }
    }
}
