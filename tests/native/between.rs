//! Going along the way between two seeds by hand.

use chrysalis::between::Between;
use chrysalis::diffusion::{Sampler, Usual};
use chrysalis::origin::Series;
use chrysalis::protocol::{Purpose, SampleRequest};

fn request(steps: impl Into<Option<usize>>, sampler: Option<Sampler>) -> SampleRequest {
    let (series, purpose) = (Series::Seeds, Purpose::Specimen);
    SampleRequest { seed: 7, count: 9, series, steps: steps.into(), sampler, edit: None, purpose }
}

/// What is asked for next by who stands at 40 % of the way to 23.
fn next(between: &mut Between, steps: impl Into<Option<usize>>, sampler: Option<Sampler>) -> Option<SampleRequest> {
    between.next(|| Some((request(steps, sampler), 23, 40)))
}

#[test]
fn who_drags_sees_previews_in_as_many_steps_as_fit_and_who_lets_go_hatches_in_full() {
    let mut between = Between::default();
    let place = Series::Between { to: 23, percent: 40 };
    let heun = Some(Sampler::Heun { churn: 0.0 });
    // A quarter of a second, one evaluation a step, or two but for the last; and never fewer steps than show something.
    for (step_ms, sampler, steps) in [
        (5.0, Some(Sampler::DpmSolverSde), 12),
        (50.0, Some(Sampler::DpmSolverSde), 5),
        (50.0, None, 5),
        (50.0, heun, 3),
        (25.0, heun, 5),
        (400.0, Some(Sampler::DpmSolverSde), 3),
    ] {
        between.set_model(step_ms, Usual::default());
        between.drag();
        let preview = next(&mut between, 12, sampler).unwrap();
        let wanted = SampleRequest {
            count: 1,
            series: place,
            steps: Some(steps),
            purpose: Purpose::Preview,
            ..request(12, sampler)
        };
        assert_eq!(preview, wanted, "{step_ms} ms an evaluation");
        assert_eq!(next(&mut between, 12, sampler), None, "once");
        between.drag();
        between.let_go();
        let specimen = next(&mut between, 12, sampler).unwrap();
        assert_eq!(specimen, SampleRequest { count: 1, series: place, ..request(12, sampler) });
    }
    // Two steps are all that was asked for.
    between.drag();
    assert_eq!(next(&mut between, 2, None).unwrap().steps, Some(2));
    // As few as are usual for the model, if that is asked for, and no others for another sampler.
    between.set_model(5.0, Usual { sampler: Sampler::DpmSolver, steps: 4 });
    for (sampler, steps) in [(None, 4), (Some(Sampler::DpmSolver), 4), (Some(Sampler::DpmSolverSde), 12)] {
        between.drag();
        assert_eq!(next(&mut between, None, sampler).unwrap().steps, Some(steps), "{sampler:?}");
    }
    between.let_go();
    assert_eq!(next(&mut between, None, None).unwrap().steps, None, "what hatches is left to the model");
}

#[test]
fn what_was_let_go_is_left_for_who_moves_on() {
    let mut between = Between::default();
    let ask = |between: &mut Between| next(between, 12, Some(Sampler::DpmSolverSde)).unwrap();
    assert!(!between.drag() && between.is_wanted(), "nothing hatches");
    ask(&mut between);
    assert!(!between.drag() && between.is_wanted(), "a preview is waited for");
    between.let_go();
    assert_eq!(ask(&mut between).purpose, Purpose::Specimen);
    assert!(!between.is_wanted());
    assert!(between.drag(), "the specimen is not");
    assert!(!between.drag(), "which is told once");
    // One that has hatched is not in the way.
    between.let_go();
    ask(&mut between);
    assert_eq!(between.next(|| None), None);
    assert!(!between.drag());
}

#[test]
fn what_is_given_up_or_makes_no_sense_is_not_asked_for_later() {
    let mut between = Between::default();
    assert_eq!(next(&mut between, 12, Some(Sampler::DpmSolverSde)), None);
    between.let_go();
    between.give_up();
    assert_eq!(next(&mut between, 12, Some(Sampler::DpmSolverSde)), None);
    between.let_go();
    assert_eq!(between.next(|| None), None);
    assert_eq!(next(&mut between, 12, Some(Sampler::DpmSolverSde)), None);
}
