//! The picture, the steps to it, the cabinet, and the lesson's figure: all that shows what was sampled.

use super::address;
use super::canvas;
use super::failure;
use super::film::Film;
use super::lesson::Forward;
use super::save;
use super::view::View;
use crate::cabinet::Cabinet;
use crate::pool::{On, Ready};
use crate::protocol::{SampleRequest, Shown, ShownStep};
use crate::words;

/// What was sampled, as the visitor sees it.
pub struct Display {
    pub view: View,
    film: Film,
    cabinet: Cabinet,
    forward: Forward,
    finished: Option<Finished>,
    /// What computes, and the model's name.
    maker: Option<(On, String)>,
    /// Whether the weights are the visitor's own, which no address names.
    own: bool,
}

/// What is shown, if it is finished.
struct Finished {
    request: SampleRequest,
    /// Which of its pictures, if it is one alone.
    place: Option<usize>,
    /// What made it.
    made: String,
}

impl Finished {
    /// What to ask for to see it again.
    fn again(&self) -> SampleRequest {
        self.place.map_or_else(|| self.request.clone(), |place| self.request.again(place))
    }

    fn label(&self) -> String {
        label(&self.request, self.place)
    }
}

/// What one picture of a request is, or all of them are.
fn label(request: &SampleRequest, place: Option<usize>) -> String {
    words::label(&place.map_or_else(|| words::named(request), |place| words::place(request, place)), request)
}

impl Display {
    /// Nothing has been sampled yet.
    pub fn new(view: View) -> Self {
        let (film, cabinet, forward) = (Film::new(), Cabinet::default(), Forward::default());
        Self { view, film, cabinet, forward, finished: None, maker: None, own: false }
    }

    /// Whether a finished picture is shown.
    pub fn is_finished(&self) -> bool {
        self.finished.is_some()
    }

    /// Whether an address can name what is shown.
    pub fn has_address(&self) -> bool {
        !self.own && self.finished.as_ref().is_some_and(|finished| finished.request.edit.is_none())
    }

    /// The picture that is shown large, the first if there are several.
    pub fn shown(&self) -> Option<&Shown> {
        let (_, pictures) = self.film.frame(self.at(), false)?;
        pictures.first()
    }

    /// The finished picture, the first if there are several; on the way to another seed the one that is shown.
    pub fn result(&self) -> Option<&Shown> {
        let index = if self.film.is_way() { self.at() } else { self.frames().checked_sub(1)? };
        let (_, pictures) = self.film.frame(index, false)?;
        pictures.first()
    }

    /// The finished picture, if it is one alone.
    pub fn specimen(&self) -> Option<&Shown> {
        let Finished { request, place, .. } = self.finished.as_ref()?;
        self.result().filter(|_| place.is_some() || request.count == 1)
    }

    /// What it is, as a file of it says.
    pub fn text(&self) -> Option<String> {
        self.finished.as_ref().and_then(|finished| self.said(finished))
    }

    /// What it is, for people.
    pub fn label(&self) -> String {
        self.finished.as_ref().map_or(String::new(), Finished::label)
    }

    /// How many frames the slider goes over.
    pub fn frames(&self) -> usize {
        self.film.len()
    }

    /// Says what computes.
    pub fn show_ready(&mut self, Ready { on, step_ms, model, image_size, first_size, .. }: &Ready, greeting: &str) {
        self.maker = Some((on.clone(), model.clone()));
        self.forward.set_sizes([*image_size as u32, *first_size as u32]);
        failure::clear();
        self.view.set_progress(Some(0.0));
        self.view.device.set_text_content(Some(&format!(
            "{}, {step_ms:.0} ms an evaluation · {model}, {image_size} × {image_size}",
            words::capitalised(&words::device(on))
        )));
        self.view.announce(greeting);
    }

    /// Forgets what another model made, for one that may be the visitor's own.
    pub fn change_model(&mut self, own: bool) {
        failure::clear();
        self.own = own;
        self.empty();
        self.cabinet = Cabinet::default();
        self.view.show_specimens(&self.cabinet);
    }

    fn empty(&mut self) {
        self.finished = None;
        self.film = Film::new();
        self.view.clear_strip();
        self.view.made.set_text_content(None);
    }

    fn write_address(&self, butterfly: &SampleRequest) {
        match self.own {
            true => address::clear(butterfly),
            false => address::write(butterfly),
        }
    }

    /// A request is being answered.
    pub fn begin(&mut self, request: &SampleRequest) {
        failure::clear();
        self.write_address(request);
        self.empty();
        self.view.label_picture("A butterfly on its way");
        self.view.set_progress(Some(0.0));
        self.view.announce(&format!("Hatching {}…", words::named(request)));
    }

    /// It has taken a step.
    pub fn add_step(&mut self, step: ShownStep) {
        self.film.add(step);
        let last = self.frames().saturating_sub(1);
        self.add_to_strip(last);
        self.show_frame(last);
    }

    /// Something has taken a step.
    pub fn say_step(&self, request: &SampleRequest, step: &ShownStep) {
        self.view.set_progress(Some(step.index as f64 / step.of.max(1) as f64));
        self.view.say(&words::step_of(request, step.index, step.of));
    }

    /// About what would hatch, before it is asked for.
    pub fn preview(&mut self, request: &SampleRequest, pictures: &[Shown]) {
        // What was there before is not what is shown any more, and this is nothing to save.
        self.empty();
        let name = words::capitalised(&words::named(request));
        self.view.label_picture(&format!("About what would hatch: {name}"));
        canvas::draw(&self.view.picture, pictures);
        self.view.caption.set_text_content(Some(&name));
    }

    /// Something is finished, after so many milliseconds.
    pub fn say_finished(&self, total_ms: f64) {
        self.view.set_progress(Some(1.0));
        self.view.announce(&format!("Hatched in {:.1} s.", total_ms / 1000.0));
    }

    /// It is finished, after so many milliseconds.
    pub fn finish(&mut self, request: SampleRequest, pictures: &[Shown], total_ms: f64) {
        let made = self.maker.as_ref().map_or(String::new(), |(on, model)| words::made(model, on, total_ms));
        self.cabinet.add(request.clone(), self.film.steps(), pictures, &made);
        self.finished = Some(Finished { request: request.clone(), place: None, made });
        self.view.show_specimens(&self.cabinet);
        if let (1, Some(newest)) = (pictures.len(), self.cabinet.newest()) {
            self.view.mark_specimen(newest.number);
        }
        self.film = std::mem::replace(&mut self.film, Film::new()).finished(&request, pictures);
        if self.film.is_way() {
            self.refill_strip();
        }
        if let Some(first) = pictures.first() {
            self.show_anew(first);
        }
        self.say_finished(total_ms);
    }

    /// Shows a specimen of the cabinet as if it had just hatched.
    pub fn pick(&mut self, number: u32) {
        let Some(specimen) = self.cabinet.get(number).cloned() else { return };
        let again = specimen.again();
        let (request, made) = (specimen.request.clone(), specimen.made.clone());
        let finished = Finished { request, place: Some(specimen.place), made };
        self.view.set_request(&again);
        self.write_address(&again);
        self.view.announce(&format!("{}.", finished.label()));
        self.view.mark_specimen(number);
        self.finished = Some(finished);
        self.film = Film::of(&specimen);
        self.refill_strip();
        self.show_anew(&specimen.picture);
    }

    /// Shows what has just become the film, and its picture in the lesson.
    fn show_anew(&mut self, picture: &Shown) {
        if let Some(finished) = &self.finished {
            self.view.label_picture(&format!("Butterfly: {}", finished.label()));
            self.view.made.set_text_content(Some(&finished.made));
        }
        self.forward.take(picture);
        self.forward.show(&self.view);
        self.show_frame(self.frames().saturating_sub(1));
    }

    /// Shows everything with the noise, or without it.
    pub fn redraw(&mut self) {
        self.refill_strip();
        self.scrub();
    }

    fn refill_strip(&self) {
        self.view.clear_strip();
        (0..self.frames()).for_each(|index| self.add_to_strip(index));
    }

    fn add_to_strip(&self, index: usize) {
        if let Some((caption, pictures)) = self.film.frame(index, self.view.show_noisy.checked()) {
            self.view.add_to_strip(pictures, &caption);
        }
    }

    /// Looks at the frame that the slider stands at.
    pub fn scrub(&mut self) {
        self.show_frame(self.at());
    }

    /// Where the slider stands.
    fn at(&self) -> usize {
        self.view.scrub.value().parse().unwrap_or(0)
    }

    fn show_frame(&mut self, index: usize) {
        let noisy = self.view.show_noisy.checked();
        let Some((caption, pictures)) = self.film.frame(index, noisy) else { return };
        canvas::draw(&self.view.picture, pictures);
        self.view.set_scrub(index, self.frames(), &caption);
        self.view.mark_frame(index);
        let is_last = index + 1 == self.frames();
        let label = match &self.finished {
            Some(Finished { request, .. }) if self.film.is_way() => label(request, Some(index)),
            Some(finished) if is_last => finished.label(),
            _ => format!("What the network {} at {}", if noisy { "is given" } else { "sees" }, caption),
        };
        self.view.caption.set_text_content(Some(&label));
    }

    /// The lesson's figure at the level that its slider stands at.
    pub fn show_forward(&self) {
        self.forward.show(&self.view);
    }

    /// What to ask for to learn what the network sees in it.
    pub fn question(&self, without_skip: Option<usize>, activations: bool) -> Option<SampleRequest> {
        self.forward.question(&self.view, without_skip, activations)
    }

    /// The network was asked at a noise level what it sees.
    pub fn show_guess(&self, sigma: f64, step: &ShownStep) {
        self.forward.show_guess(&self.view, sigma, step);
    }

    /// Hands what is shown to the visitor as a PNG file.
    pub fn save(&self) {
        let Some(finished @ Finished { request, place, .. }) = &self.finished else { return };
        let at = self.at();
        let (place, step) = match self.film.is_way() {
            true => (Some(at), None),
            false => (*place, (at + 1 < self.frames()).then_some(at + 1)),
        };
        // An earlier step is not what an address gives.
        let text = if step.is_none() { self.said(finished) } else { None };
        if save::picture(&self.view.picture, &words::file_name(request, place, step), text.as_deref()).is_err() {
            self.view.say("The browser did not let the picture be saved.");
        }
    }

    /// Hands the whole film to the visitor.
    pub fn save_film(&self) {
        let Some(finished @ Finished { request, place, .. }) = &self.finished else { return };
        let noisy = self.view.show_noisy.checked();
        let frames = (0..self.frames()).filter_map(|index| self.film.frame(index, noisy).map(|(_, pictures)| pictures));
        let name = format!("film-of-{}", words::file_name(request, *place, None));
        if save::film(&name, frames, self.said(finished).as_deref()).is_err() {
            self.view.say("The browser did not let the film be saved.");
        }
    }

    /// What a file of it says about itself.
    fn said(&self, finished: &Finished) -> Option<String> {
        if self.own {
            return None;
        }
        let butterfly = if self.film.is_way() { finished.request.clone() } else { finished.again() };
        address::text(&butterfly, &self.view.model.value())
    }
}
