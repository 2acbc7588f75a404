//! The lesson's riddle: one step after the other, and no result before the answer.

use chrysalis::protocol::{Shown, ShownStep};
use chrysalis::riddle::{Answer, Riddle};

fn shown(side: u32, value: u8) -> Shown {
    Shown { width: side, height: side, rgba: vec![value; 4 * (side * side) as usize] }
}

/// Steps whose guesses are grey of these values, the last one twice as large as the others; under noise, a tenth of them.
fn riddle(guesses: &[u8]) -> Riddle {
    let mut riddle = Riddle::new();
    for (index, &value) in guesses.iter().enumerate() {
        let side = if index + 1 == guesses.len() { 4 } else { 2 };
        let (noisy, clean) = (vec![shown(side, value / 10)], vec![shown(side, value)]);
        riddle.add(ShownStep {
            index: index + 1,
            of: guesses.len(),
            sigma: if index + 1 == guesses.len() { 0.0 } else { 10.0 / (index + 1) as f64 },
            began: 10.0 / index.max(1) as f64,
            noisy,
            clean,
            activations: Vec::new(),
        });
    }
    riddle
}

#[test]
fn the_result_is_seen_only_with_the_answer() {
    let mut riddle = riddle(&[100, 110, 190, 200]);
    assert_eq!(riddle.place(), Some((1, 4, 10.0)));
    assert_eq!(riddle.shown(), Some(&shown(2, 10)), "under noise");
    assert_eq!(riddle.guess(), None, "what the network sees would tell it");
    riddle.advance();
    assert_eq!((riddle.place(), riddle.shown()), (Some((2, 4, 5.0)), Some(&shown(2, 11))));

    assert_eq!(riddle.answer(), Some(Answer { seen: 2, settled: 3, of: 4 }));
    assert_eq!(riddle.shown(), Some(&shown(4, 200)), "the result");
    assert_eq!(riddle.guess(), Some(&shown(2, 110)), "at the step of the answer");
    riddle.advance();
    assert_eq!(riddle.place(), Some((2, 4, 5.0)), "it is over");
    assert!(!riddle.goes_on() && !riddle.is_open());
}

#[test]
fn a_guess_has_settled_at_half_of_the_way() {
    let settled = |guesses: &[u8]| riddle(guesses).answer().map(|answer| answer.settled);
    assert_eq!(settled(&[100, 150, 200]), Some(2), "exactly half");
    assert_eq!(settled(&[100, 149, 200]), Some(3), "just not half");
    assert_eq!(settled(&[200, 250, 199, 200]), Some(1), "the first guess was the result");
    assert_eq!(settled(&[7]), Some(1));
}

#[test]
fn it_ends_before_the_finished_picture_and_there_may_be_none() {
    let mut riddle = riddle(&[1, 2, 3]);
    assert!(riddle.goes_on() && riddle.is_open());
    (0..5).for_each(|_| riddle.advance());
    assert_eq!(riddle.place().map(|(at, ..)| at), Some(2));
    assert!(!riddle.goes_on() && riddle.is_open(), "there is still to be said that it is seen");

    let mut empty = Riddle::new();
    empty.advance();
    assert_eq!((empty.answer(), empty.shown(), empty.guess(), empty.place()), (None, None, None, None));
}
