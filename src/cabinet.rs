//! The specimens that have been sampled: the newest so many, each with the steps that led to it, in bounded memory.

use std::collections::VecDeque;

use crate::protocol::{SampleRequest, Shown, ShownStep};

/// How many specimens are kept: more would not be looked at again.
const MOST: usize = 60;
/// About what the steps of one specimen may take, beside its finished picture.
const MOST_BYTES: usize = 512 << 10;

/// A finished picture and how it came about.
#[derive(Debug, Clone, PartialEq)]
pub struct Specimen {
    /// By which the cabinet knows it: no two have the same.
    pub number: u32,
    /// What was asked for.
    pub request: SampleRequest,
    /// Which of its pictures this is, from zero.
    pub place: usize,
    /// By which model, in what time and on what it was made, for people.
    pub made: String,
    /// The finished picture.
    pub picture: Shown,
    /// The steps to it, each with this picture alone.
    pub steps: Vec<ShownStep>,
}

impl Specimen {
    /// What to ask for to see it again.
    pub fn again(&self) -> SampleRequest {
        self.request.again(self.place)
    }
}

/// All specimens, from the back to the front.
#[derive(Debug, Default)]
pub struct Cabinet {
    specimens: VecDeque<Specimen>,
    given: u32,
}

impl Cabinet {
    /// Puts in what was asked for, and takes the oldest out where there are too many. One that is in it already moves to
    /// the front.
    pub fn add(&mut self, request: SampleRequest, steps: &[ShownStep], pictures: &[Shown], made: &str) {
        // The last one first, so that they stand in order behind the front.
        for (place, picture) in pictures.iter().enumerate().rev() {
            let steps = steps.iter().map(|step| step.of_picture(place).within(MOST_BYTES)).collect();
            self.given += 1;
            let (request, picture, made) = (request.clone(), picture.clone(), made.to_string());
            let specimen = Specimen { number: self.given, request, place, made, picture, steps };
            self.specimens.retain(|other| !is_same(other, &specimen));
            self.specimens.push_back(specimen);
        }
        while self.specimens.len() > MOST {
            self.specimens.pop_front();
        }
    }

    /// The specimen of a number.
    pub fn get(&self, number: u32) -> Option<&Specimen> {
        self.specimens.iter().find(|specimen| specimen.number == number)
    }

    /// The one in front: the first picture of what was put in last.
    pub fn newest(&self) -> Option<&Specimen> {
        self.specimens.back()
    }

    /// All of them, what was put in last in front, its pictures in order.
    pub fn iter(&self) -> impl Iterator<Item = &Specimen> {
        self.specimens.iter().rev()
    }
}

/// Whether both are one picture: the same noise, walked in the same way from the same beginning.
fn is_same(a: &Specimen, b: &Specimen) -> bool {
    let walk = |of: &Specimen| {
        let SampleRequest { steps, sampler, edit, .. } = of.request.clone();
        (of.request.origins().get(of.place).copied(), steps, sampler, edit)
    };
    walk(a) == walk(b)
}
