//! Items of lists that show a picture and say what it is.

use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Document, Element, Event, HtmlCanvasElement, HtmlElement};

use super::canvas::draw;
use crate::protocol::Shown;

/// A canvas with a caption below, in an item of a list.
///
/// # Errors
/// When the document makes no elements.
pub fn captioned(document: &Document, caption: &str) -> Result<(Element, HtmlCanvasElement), JsValue> {
    let item = document.create_element("li")?;
    let canvas = add_captioned(document, &item, caption)?;
    Ok((item, canvas))
}

fn add_captioned(document: &Document, to: &Element, caption: &str) -> Result<HtmlCanvasElement, JsValue> {
    let canvas: HtmlCanvasElement = document.create_element("canvas")?.unchecked_into();
    let text = document.create_element("span")?;
    text.set_text_content(Some(caption));
    to.append_child(&canvas)?;
    to.append_child(&text)?;
    Ok(canvas)
}

/// A picture in a box with its name, to be clicked at: an item of a list. The button in it has the attribute `mark`, by which
/// clicks are told apart, and `label` says what it is to who does not see it.
pub fn boxed(
    document: &Document,
    mark: (&str, &str),
    name: &str,
    label: &str,
    picture: &Shown,
) -> Result<Element, JsValue> {
    let item = document.create_element("li")?;
    let button = document.create_element("button")?;
    button.set_attribute("type", "button")?;
    button.set_attribute(mark.0, mark.1)?;
    button.set_attribute("aria-label", label)?;
    draw(&add_captioned(document, &button, name)?, std::slice::from_ref(picture));
    item.append_child(&button)?;
    Ok(item)
}

/// The number in the attribute by which clicks are told apart, of what was clicked at.
pub fn marked<N: std::str::FromStr>(event: &Event, mark: &str) -> Option<N> {
    let target: Element = event.target()?.dyn_into().ok()?;
    target.closest(&format!("[{mark}]")).ok()??.get_attribute(mark)?.parse().ok()
}

/// Marks the element of a list that a selector finds, and no other.
pub fn mark(list: &HtmlElement, selector: &str) {
    // Asked for at every step, so not by going over all elements. Neither selector can be refused, nor the attribute.
    if let Ok(Some(before)) = list.query_selector("[aria-current]") {
        let _ = before.remove_attribute("aria-current");
    }
    if let Ok(Some(item)) = list.query_selector(selector) {
        let _ = item.set_attribute("aria-current", "true");
    }
}
