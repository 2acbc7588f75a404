//! Favourites, as the visitor sees them: [`super::kept`] keeps them from one visit to the next.

use std::rc::Rc;

use wasm_bindgen::JsValue;
use wasm_bindgen_futures::spawn_local;
use web_sys::{Document, Event, HtmlButtonElement, HtmlElement};

use super::inbox::{Act, Inbox, PageEvent};
use super::items;
use super::kept::{Favourite, Kept};
use super::view::get;
use crate::protocol::Shown;

/// The marks of the buttons that hatch a favourite, and that make it none.
const HATCH: &str = "data-favourite";
const FORGET: &str = "data-forget";

/// All favourites, and where they are shown.
pub struct Favourites {
    /// Makes what is shown a favourite, or no longer one.
    pub button: HtmlButtonElement,
    /// Where they lie.
    pub list: HtmlElement,
    section: HtmlElement,
    document: Document,
    inbox: Inbox,
    store: Store,
    all: Vec<Favourite>,
}

/// Where they are kept.
enum Store {
    /// It is being opened, and what becomes a favourite meanwhile is kept then.
    Opening,
    /// It is open.
    Open(Rc<Kept>),
    /// There is none.
    Missing,
}

/// What the visitor wants with a favourite, counted from the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Hatch it again.
    Hatch(usize),
    /// It is none any more.
    Forget(usize),
}

impl Favourites {
    /// Finds its elements, and begins to open the store; the error is the name of the first element that is missing.
    pub fn find(document: &Document, inbox: &Inbox) -> Result<Self, String> {
        open(inbox.clone());
        Ok(Self {
            button: get(document, "favourite")?,
            list: get(document, "favourites")?,
            section: get(document, "favourites-section")?,
            document: document.clone(),
            inbox: inbox.clone(),
            store: Store::Opening,
            all: Vec::new(),
        })
    }

    /// What was kept is here.
    pub fn take(&mut self, kept: Rc<Kept>, favourites: Vec<Favourite>) {
        self.store = Store::Open(kept);
        let meanwhile = std::mem::replace(&mut self.all, favourites);
        for favourite in meanwhile.into_iter().rev() {
            if self.place(&favourite.text).is_none() {
                self.keep(favourite);
            }
        }
        self.show();
    }

    /// There is nothing to keep them in: whoever has made one already is told.
    pub fn do_without(&mut self) {
        self.store = Store::Missing;
        if !self.all.is_empty() {
            self.inbox.send(Act::NoteKept(false));
        }
    }

    /// What a favourite is, as a saved picture says it.
    pub fn text(&self, index: usize) -> Option<String> {
        self.all.get(index).map(|favourite| favourite.text.clone())
    }

    /// Makes something a favourite, or, if it is one, no longer.
    pub fn toggle(&mut self, text: String, label: String, picture: &Shown) {
        match self.place(&text) {
            Some(index) => self.forget(index),
            None => {
                self.keep(Favourite { text, label, picture: picture.clone(), since: js_sys::Date::now() });
                self.show();
            }
        }
    }

    fn place(&self, text: &str) -> Option<usize> {
        self.all.iter().position(|favourite| favourite.text == text)
    }

    fn keep(&mut self, favourite: Favourite) {
        self.all.insert(0, favourite.clone());
        self.change(move |kept| async move { kept.keep(&favourite).await.is_ok() });
    }

    /// Makes one no longer one.
    pub fn forget(&mut self, index: usize) {
        if index < self.all.len() {
            let Favourite { text, .. } = self.all.remove(index);
            self.show();
            self.change(move |kept| async move { kept.forget(&text).await.is_ok() });
        }
    }

    /// Keeps how the controls stand, as in an address.
    pub fn keep_controls(&self, text: String) {
        if let Store::Open(kept) = &self.store {
            let kept = kept.clone();
            spawn_local(async move {
                // Nobody has asked for it, so nobody is told.
                let _ = kept.keep_controls(&text).await;
            });
        }
    }

    /// Names the button for what it would do to what is shown.
    pub fn name_button(&self, shown: Option<&str>) {
        let is_one = shown.is_some_and(|shown| self.place(shown).is_some());
        let pressed = if is_one { "true" } else { "false" };
        if self.button.get_attribute("aria-pressed").as_deref() != Some(pressed) {
            // Refused only for invalid names.
            let _ = self.button.set_attribute("aria-pressed", pressed);
        }
    }

    fn change<F: Future<Output = bool> + 'static>(&self, change: impl FnOnce(Rc<Kept>) -> F + 'static) {
        match &self.store {
            Store::Opening => {}
            Store::Missing => self.inbox.send(Act::NoteKept(false)),
            Store::Open(kept) => {
                let (kept, inbox) = (kept.clone(), self.inbox.clone());
                spawn_local(async move { inbox.send(Act::NoteKept(change(kept).await)) });
            }
        }
    }

    fn show(&self) {
        self.section.set_hidden(self.all.is_empty());
        self.list.set_text_content(None);
        for (index, favourite) in self.all.iter().enumerate() {
            // Elements are refused only for invalid names.
            let _ = self.add(index, favourite);
        }
    }

    fn add(&self, index: usize, Favourite { label, picture, .. }: &Favourite) -> Result<(), JsValue> {
        let index = index.to_string();
        let name = label.split(',').next().unwrap_or_default();
        let item = items::boxed(&self.document, (HATCH, &index), name, label, picture)?;
        let forget = self.document.create_element("button")?;
        forget.set_attribute("type", "button")?;
        forget.set_attribute(FORGET, &index)?;
        forget.set_attribute("aria-label", &format!("No favourite any more: {label}"))?;
        forget.set_text_content(Some("×"));
        item.append_child(&forget)?;
        self.list.append_child(&item)?;
        Ok(())
    }
}

/// What a click in the list is for.
pub fn wanted(event: &Event) -> Option<Wanted> {
    items::marked(event, HATCH).map(Wanted::Hatch).or_else(|| items::marked(event, FORGET).map(Wanted::Forget))
}

/// Opens the store, and reads it.
fn open(inbox: Inbox) {
    spawn_local(async move {
        let Ok(kept) = Kept::open().await else { return inbox.send(PageEvent::NothingKept) };
        let favourites = kept.favourites().await.unwrap_or_default();
        let controls = kept.controls().await.ok().flatten();
        inbox.send(PageEvent::Kept { kept: Rc::new(kept), favourites, controls });
    });
}
