//! The live line of a run: step, images a second, loss, time left.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::log::Row;
use super::trainer::Trainer;
use crate::terminal::say;

/// How often a line is printed where there is no terminal to redraw one on.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// Shows how far a run has come: a bar on a terminal, now and then a line elsewhere.
pub struct Progress {
    bar: ProgressBar,
    name: String,
    started: Instant,
    first_image: u64,
    last_line: Option<Instant>,
}

impl Progress {
    /// A stage, counted from zero, out of `stages`, planned for `steps`.
    pub fn new(stage: usize, stages: usize, steps: u64, trainer: &Trainer) -> Self {
        let name = if stages > 1 { format!("stage {}/{stages}  ", stage + 1) } else { String::new() };
        let (done, images) = (trainer.steps_done(), trainer.images_seen());
        let bar = ProgressBar::new(steps);
        // The template is a constant; if it were wrong the bar would fall back to indicatif's own.
        if let Ok(style) = ProgressStyle::with_template("{prefix}{bar:24} step {pos}/{len}  {msg}  {eta_precise} left")
        {
            bar.set_style(style);
        }
        bar.set_prefix(name.clone());
        bar.set_position(done);
        bar.reset_eta();
        Self { bar, name, started: Instant::now(), first_image: images, last_line: None }
    }

    /// Takes a new row of the log.
    pub fn show(&mut self, row: &Row) {
        let speed = (row.images - self.first_image) as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
        self.bar.set_position(row.step);
        self.bar.set_message(format!("{speed:.1} images/s  loss {:.4}", row.loss));
        if self.bar.is_hidden() && self.last_line.is_none_or(|last| last.elapsed() >= LINE_EVERY) {
            let left = self.bar.eta().as_secs();
            say(&format!(
                "{}step {}/{}  {speed:.1} images/s  loss {:.4}  {}:{:02} left",
                self.name,
                row.step,
                self.bar.length().unwrap_or(0),
                row.loss,
                left / 60,
                left % 60
            ));
            self.last_line = Some(Instant::now());
        }
    }

    /// Prints a line above the bar.
    pub fn say(&self, line: &str) {
        if self.bar.is_hidden() { say(line) } else { self.bar.println(line) }
    }

    /// Says what could not be done.
    pub fn tell<E: std::fmt::Display>(&self, what: &str, done: Result<(), E>) {
        if let Err(error) = done {
            self.say(&format!("{what} was not written, and the run goes on: {error}"));
        }
    }

    /// Leaves the bar as it stands.
    pub fn finish(&self) {
        self.bar.abandon();
    }
}
