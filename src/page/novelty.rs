//! How new the specimen is that is shown, by the index of the model's training pictures. It is fetched when there is something to
//! ask it.

use wasm_bindgen_futures::spawn_local;
use web_sys::{Document, HtmlElement};

use super::address;
use super::files;
use super::inbox::{Inbox, PageEvent};
use super::view::get;
use crate::novelty::{self, Index};
use crate::protocol::Shown;
use crate::words;

/// Where it is told, and the index to ask.
pub struct Novelties {
    text: HtmlElement,
    inbox: Inbox,
    /// Where the index is from, relative to the page.
    from: Option<String>,
    index: Option<Index>,
}

impl Novelties {
    /// Finds its element; the error is its name if it is missing.
    pub fn find(document: &Document, inbox: &Inbox) -> Result<Self, String> {
        Ok(Self { text: get(document, "novelty")?, inbox: inbox.clone(), from: None, index: None })
    }

    /// Tells how new a picture is, by an index given relative to the page; and of none, or by none, nothing. One that is not here
    /// yet is fetched, once, and [`PageEvent::Index`] says when to try again.
    pub fn tell(&mut self, index: Option<String>, picture: Option<&Shown>) {
        let (Some(from), Some(picture)) = (index, picture) else { return self.text.set_text_content(None) };
        if self.from.as_deref() != Some(&from) {
            (self.from, self.index) = (Some(from.clone()), None);
            fetch(from, self.inbox.clone());
        }
        let (width, height) = (picture.width as usize, picture.height as usize);
        let described = novelty::described(&picture.rgba, [width, height], 4);
        let novelty = self.index.as_ref().zip(described).and_then(|(index, described)| index.novelty(&described));
        self.text.set_text_content(novelty.map(|novelty| words::novelty(&novelty)).as_deref());
    }

    /// An index is here.
    pub fn take(&mut self, from: &str, index: Index) {
        if self.from.as_deref() == Some(from) {
            self.index = Some(index);
        }
    }
}

/// Fetches an index. Without it, nothing is told.
fn fetch(from: String, inbox: Inbox) {
    let Some(at) = address::beside_page(&from) else { return };
    spawn_local(async move {
        if let Ok(index) = files::json::<Index>(&at).await
            && let Ok(index) = index.checked()
        {
            inbox.send(PageEvent::Index(from, Box::new(index)));
        }
    });
}
