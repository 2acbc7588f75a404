//! What the browser keeps from one visit to the next, in its IndexedDB: favourites, and how the controls stood.
//!
//! A browser may have no such store, or forbid it, or have it full. Then the page does without, and says so where somebody asked
//! for something to be kept.

use rexie::{ObjectStore, Rexie, TransactionMode};
use serde::{Deserialize, Serialize};
use wasm_bindgen::JsValue;

use crate::protocol::Shown;

const DATABASE: &str = "chrysalis";
const FAVOURITES: &str = "favourites";
const SETTINGS: &str = "settings";
/// Under which key the settings are: there is one record of them.
const CONTROLS: &str = "controls";

/// A butterfly that the visitor wants to find again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Favourite {
    /// What it is, as a saved picture says it. No two favourites have the same.
    pub text: String,
    /// What it is, for people.
    pub label: String,
    /// The picture.
    pub picture: Shown,
    /// When it became one, in milliseconds since 1970.
    pub since: f64,
}

/// The store.
pub struct Kept(Rexie);

/// Something of the store failed: there is nothing to tell beyond that.
pub struct NotKept;

impl<E: std::error::Error> From<E> for NotKept {
    fn from(_: E) -> Self {
        Self
    }
}

impl Kept {
    /// Opens the store, and makes it on the first visit.
    ///
    /// # Errors
    /// When the browser has none, or allows none.
    pub async fn open() -> Result<Self, NotKept> {
        let store = Rexie::builder(DATABASE)
            .version(1)
            .add_object_store(ObjectStore::new(FAVOURITES))
            .add_object_store(ObjectStore::new(SETTINGS));
        Ok(Self(store.build().await?))
    }

    /// All favourites, the newest first. What another version of the page wrote, and this one cannot read, is left where it
    /// is.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn favourites(&self) -> Result<Vec<Favourite>, NotKept> {
        let transaction = self.0.transaction(&[FAVOURITES], TransactionMode::ReadOnly)?;
        let values = transaction.store(FAVOURITES)?.get_all(None, None).await?;
        let mut favourites: Vec<Favourite> =
            values.into_iter().filter_map(|value| serde_wasm_bindgen::from_value(value).ok()).collect();
        favourites.sort_by(|a, b| b.since.total_cmp(&a.since));
        Ok(favourites)
    }

    /// Keeps a favourite.
    ///
    /// # Errors
    /// When the store is full, or does not take it.
    pub async fn keep(&self, favourite: &Favourite) -> Result<(), NotKept> {
        self.put(FAVOURITES, &favourite.text, &serde_wasm_bindgen::to_value(favourite)?).await
    }

    /// Keeps it no longer.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn forget(&self, text: &str) -> Result<(), NotKept> {
        let transaction = self.0.transaction(&[FAVOURITES], TransactionMode::ReadWrite)?;
        transaction.store(FAVOURITES)?.delete(text.into()).await?;
        transaction.done().await?;
        Ok(())
    }

    /// How the controls stood, as in an address.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn controls(&self) -> Result<Option<String>, NotKept> {
        let transaction = self.0.transaction(&[SETTINGS], TransactionMode::ReadOnly)?;
        let value = transaction.store(SETTINGS)?.get(CONTROLS.into()).await?;
        Ok(value.and_then(|value| value.as_string()))
    }

    /// Keeps how the controls stand.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn keep_controls(&self, text: &str) -> Result<(), NotKept> {
        self.put(SETTINGS, CONTROLS, &text.into()).await
    }

    async fn put(&self, store: &str, key: &str, value: &JsValue) -> Result<(), NotKept> {
        let transaction = self.0.transaction(&[store], TransactionMode::ReadWrite)?;
        transaction.store(store)?.put(value, Some(&key.into())).await?;
        transaction.done().await?;
        Ok(())
    }
}
