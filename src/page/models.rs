//! The models that the page offers: those that its manifest, models.json, names.

use serde::Deserialize;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::spawn_local;
use web_sys::{Document, HtmlAnchorElement, HtmlSelectElement};

use super::address;
use super::files;
use super::inbox::{Inbox, PageEvent};
use super::view::get;

/// Where the manifest is, relative to the page.
const MANIFEST: &str = "models.json";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    models: Vec<Offered>,
}

/// A model that the page offers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offered {
    /// Its weight file, relative to the page.
    pub weights: String,
    /// What it is called in the list.
    pub name: String,
    /// Its card, relative to the page, if it has one.
    #[serde(default)]
    pub card: Option<String>,
    /// The index of its training pictures, relative to the page, if it has one.
    #[serde(default)]
    pub index: Option<String>,
}

/// The list of models, and the link to the card of the one that is chosen.
pub struct Models {
    list: HtmlSelectElement,
    card: HtmlAnchorElement,
    document: Document,
    offered: Vec<Offered>,
}

impl Models {
    /// Finds its elements, and has the manifest fetched, after which [`PageEvent::Models`] comes; the error is the name of the first
    /// element that is missing.
    pub fn find(document: &Document, inbox: &Inbox) -> Result<Self, String> {
        let inbox = inbox.clone();
        spawn_local(async move {
            // Without it there is the model that the page itself names.
            if let Ok(offered) = fetch().await {
                inbox.send(PageEvent::Models(offered));
            }
        });
        Ok(Self {
            list: get(document, "model")?,
            card: get(document, "card")?,
            document: document.clone(),
            offered: Vec::new(),
        })
    }

    /// Offers these, above what else is in the list. What is chosen stays so.
    pub fn offer(&mut self, offered: Vec<Offered>) {
        for model in offered.iter().rev() {
            // Elements are refused only for invalid names.
            let _ = self.add(model);
        }
        self.offered = offered;
        self.show_card();
    }

    /// Shows where the card of the model is that is chosen, if it has one.
    pub fn show_card(&self) {
        let card = self.chosen().and_then(|model| model.card.as_deref()).and_then(address::beside_page);
        self.card.set_hidden(card.is_none());
        if let Some(card) = card {
            self.card.set_href(&card);
        }
    }

    /// Where the index of the chosen model's training pictures is, relative to the page, if it has one.
    pub fn index(&self) -> Option<String> {
        self.chosen().and_then(|model| model.index.clone())
    }

    fn chosen(&self) -> Option<&Offered> {
        let chosen = self.list.value();
        self.offered.iter().find(|model| model.weights == chosen)
    }

    fn add(&self, Offered { weights, name, .. }: &Offered) -> Result<(), JsValue> {
        let chosen = self.list.value();
        // A name with a quote in it is not found, and stands in the list twice.
        if let Some(before) = self.list.query_selector(&format!("option[value=\"{weights}\"]")).ok().flatten() {
            before.remove();
        }
        let option = self.document.create_element("option")?;
        option.set_text_content(Some(name));
        option.set_attribute("value", weights)?;
        self.list.prepend_with_node_1(&option)?;
        self.list.set_value(&chosen);
        Ok(())
    }
}

async fn fetch() -> Result<Vec<Offered>, JsValue> {
    let at = address::beside_page(MANIFEST).ok_or(JsValue::NULL)?;
    Ok(files::json::<Manifest>(&at).await?.models)
}
