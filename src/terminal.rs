//! What programs show in a terminal.

use std::io::Write;

use indicatif::{ProgressBar, ProgressStyle};

/// Prints a line to standard error, if there is anybody to read it: a terminal that was closed ends no run.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A bar for work of so many parts, with the time left; none where standard error is no terminal.
pub fn bar(what: &'static str, length: u64) -> ProgressBar {
    let bar = ProgressBar::new(length);
    // The template is a constant; if it were wrong the bar would fall back to indicatif's own.
    if let Ok(style) = ProgressStyle::with_template("{msg}  {bar:32} {percent}%  {eta_precise} left") {
        bar.set_style(style);
    }
    bar.set_message(what);
    bar
}
