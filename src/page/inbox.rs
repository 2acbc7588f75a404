//! Everything that happens to the page, one thing after the other.

use std::rc::Rc;

use futures_channel::mpsc::UnboundedSender;

use super::favourites::Wanted;
use super::kept::{Favourite, Kept};
use super::models::Offered;
use super::studio::Stroke;
use crate::novelty::Index;
use crate::pool::Event;

/// Something that happened.
pub enum PageEvent {
    /// The visitor did something.
    Act(Act),
    /// Something happened to the engines, or to what they run on.
    Event(Event),
    /// The visitor has brought a saved picture; with what it says about itself, if it does.
    Brought(Option<String>),
    /// The visitor has brought a weight file, by its name; with its bytes, or a sentence on why there are none.
    BroughtWeights(String, Result<Rc<[u8]>, String>),
    /// The SHA-256 of the weight file is known.
    Digest(String),
    /// An index of training pictures is here, by where it is from.
    Index(String, Box<Index>),
    /// The models that the page offers are known.
    Models(Vec<Offered>),
    /// What was kept from earlier visits is here.
    Kept {
        /// Where it was kept.
        kept: Rc<Kept>,
        /// Favourites.
        favourites: Vec<Favourite>,
        /// How the controls stood, as in an address.
        controls: Option<String>,
    },
    /// The browser keeps nothing from one visit to the next.
    NothingKept,
}

/// What a visitor can do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Act {
    /// Hatch what the controls say.
    Hatch,
    /// Hatch another seed.
    Roll,
    /// Stop.
    Cancel,
    /// Choose another model.
    ChooseModel,
    /// Take the picture home.
    Save,
    /// Take the steps to it home, or the way, as an animation.
    SaveFilm,
    /// Take its address along.
    CopyLink,
    /// Take along what runs here, for a bug report.
    CopyReport,
    /// Hear whether the browser let something be taken along.
    NoteCopied(bool),
    /// Hatch relatives of the specimen that is shown.
    HatchRelatives,
    /// Hatch the way from it to another seed.
    Morph,
    /// Drag along that way.
    GoBetween,
    /// Let go somewhere on it, perhaps to go on.
    LetGoBetween,
    /// Hatch what is there.
    HatchBetween,
    /// Open or close what the network's blocks put out.
    LookInside,
    /// Pick up a specimen, by its number in the cabinet.
    Pick(u32),
    /// Look at a step, or at a place on the way to another seed.
    Scrub,
    /// Drag the noise level of the lesson's picture.
    ChooseForwardLevel,
    /// Let go of it: what does the network see?
    AskNetwork,
    /// Make what is shown a favourite, or no longer one.
    Favour,
    /// Do something with a favourite.
    Favourite(Wanted),
    /// Hear whether the browser kept something.
    NoteKept(bool),
    /// Hatch one seed twice, with a setting changed.
    HatchTwins,
    /// Hatch one that is not shown.
    HatchSecret,
    /// Look at its next step.
    NextOfSecret,
    /// Say that one sees what it will be.
    SeeSecret,
    /// See how long sampling takes.
    Measure,
    /// Move the slider.
    ChooseSteps,
    /// Choose a sampler.
    ChooseSampler,
    /// Show the steps with or without the noise.
    ChooseNoise,
    /// Move the brush over the drawing.
    Draw(Stroke),
    /// Take the butterfly that is shown as the drawing.
    Take,
    /// Hear whether the browser made a picture of a file.
    NoteOpened(bool),
    /// Empty the sheet.
    Empty,
    /// Move the slider of how far to leave the drawing.
    ChooseStrength,
    /// Hatch a butterfly that begins with the drawing: leave it as far as the slider says, or fill what is empty.
    HatchDrawing(Beginning),
}

/// What becomes of the drawing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// All of it is reworked.
    Rework,
    /// What is empty is filled, and the rest stays.
    Fill,
}

/// Where things that happen are put.
#[derive(Clone)]
pub struct Inbox(pub UnboundedSender<PageEvent>);

impl Inbox {
    /// Puts something in.
    pub fn send(&self, input: impl Into<PageEvent>) {
        // Fails only when nobody reads, as after a panic: the page has said so then.
        let _ = self.0.unbounded_send(input.into());
    }
}

impl From<Act> for PageEvent {
    fn from(act: Act) -> Self {
        Self::Act(act)
    }
}

impl From<Event> for PageEvent {
    fn from(event: Event) -> Self {
        Self::Event(event)
    }
}
