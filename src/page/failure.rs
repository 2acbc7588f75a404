//! The failure above everything else, which can be told even when nothing else works.

use wasm_bindgen::JsCast;
use web_sys::{Document, HtmlElement};

/// Takes over from the script that tells failures until the page's own code runs.
pub fn say_started() {
    let root = web_sys::window().and_then(|window| window.document()).and_then(|document| document.document_element());
    if let Some(root) = root {
        // Removing an attribute cannot fail.
        let _ = root.remove_attribute("data-starting");
    }
}

/// Shows a failure above everything else; works even when nothing else does.
pub fn tell(message: &str, remedy: &str) {
    let Some(document) = web_sys::window().and_then(|window| window.document()) else { return };
    for (id, text) in [("failure-message", message), ("failure-remedy", remedy)] {
        if let Some(element) = document.get_element_by_id(id) {
            element.set_text_content(Some(text));
        }
    }
    set_failure_hidden(&document, false);
}

/// Takes the failure away again.
pub fn clear() {
    if let Some(document) = web_sys::window().and_then(|window| window.document()) {
        set_failure_hidden(&document, true);
    }
}

fn set_failure_hidden(document: &Document, hidden: bool) {
    if let Some(failure) =
        document.get_element_by_id("failure").and_then(|element| element.dyn_into::<HtmlElement>().ok())
    {
        failure.set_hidden(hidden);
    }
}
