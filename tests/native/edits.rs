//! Sampling that begins with a picture: what stays of it, and what does not.

use std::path::Path;

use burn::tensor::{Device, Tensor};
use chrysalis::activations::{places, sheet};
use chrysalis::diffusion::{Cascade, Denoiser, Edited, NoiseLevels, Plan, Sampler, SamplingModel, Start, reduce};
use chrysalis::edit::{Edit, EditError, EditTask};
use chrysalis::kernels::training::Arithmetic;
use chrysalis::noise::BatchNoise;
use chrysalis::picture::{Picture, batch_from_rgb};
use chrysalis::unet::Setting;
use chrysalis::weights;
use proptest::prelude::*;

use crate::support::{disc, small_model};

const PLAN: Plan = Plan {
    sampler: Sampler::DpmSolverSde,
    levels: NoiseLevels::Karras { smallest: 0.01, largest: 40.0, rho: 7.0 },
    steps: 6,
};

fn values(x: Tensor<4>) -> Vec<f32> {
    x.into_data().convert::<f32>().try_into_vec().unwrap()
}

/// The pictures of two seeds, begun with a picture if there is one.
fn finished(model: &SamplingModel, plan: Plan, edit: Option<&Edit>, device: &Device) -> Tensor<4> {
    let edited = edit.map(|edit| Edited::new(edit, model, device).unwrap());
    let origins = vec![7.into(), 23.into()];
    Cascade::from_origins(model, plan, origins, edited, device).last().expect("a cascade has steps").step.x
}

/// Whether a column is to be made anew.
type Erased = fn(usize) -> bool;

fn inpainted(picture: &Picture, erased: Erased) -> Edit {
    let size = picture.width();
    let mut rgba = picture.rgba();
    for (index, pixel) in rgba.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        if erased(index % size) {
            // What a drawing programme leaves there is anything.
            *pixel = [255, 0, 255, 0];
        }
    }
    Edit::new(size, rgba, EditTask::Inpainting).unwrap()
}

#[test]
fn what_is_opaque_stays_and_what_is_transparent_is_made_anew() {
    let device = Device::flex();
    let model = small_model(&device).for_sampling(&device);
    let size = model.image_size();
    let picture = disc(3, size);
    let pixels = values(batch_from_rgb(&[(picture.rgb(), false)], size, &device));
    for sampler in [Sampler::DpmSolverSde, Sampler::DpmSolver, Sampler::Heun { churn: 10.0 }, Sampler::Ddpm] {
        let plan = Plan { sampler, ..PLAN };
        let erased: Erased = |column| column >= 9;
        let made = values(finished(&model, plan, Some(&inpainted(&picture, erased)), &device));
        for (place, (made, pixel)) in made.iter().zip(pixels.iter().cycle()).enumerate() {
            if !erased(place % size) {
                assert!((made - pixel).abs() < 1e-4, "{sampler}: {made} for {pixel} at {place}");
            }
        }
        let [one, other] = [&made[..made.len() / 2], &made[made.len() / 2..]];
        let differ = one.iter().zip(other).enumerate().filter(|(_, (a, b))| (*a - *b).abs() > 1e-2);
        let places: Vec<usize> = differ.map(|(place, _)| place % size).collect();
        assert!(
            !places.is_empty() && places.iter().all(|&column| erased(column)),
            "each seed fills the gap in its way"
        );

        let alone = values(finished(&model, plan, None, &device));
        let nothing_kept = values(finished(&model, plan, Some(&inpainted(&picture, |_| true)), &device));
        assert!(alone.iter().zip(&nothing_kept).all(|(a, b)| (a - b).abs() < 1e-5), "{sampler}: nothing is known");
        let all_kept = values(finished(&model, plan, Some(&inpainted(&picture, |_| false)), &device));
        assert!(all_kept.iter().zip(pixels.iter().cycle()).all(|(a, b)| (a - b).abs() < 1e-4), "{sampler}: all is");
    }
}

#[test]
fn a_pixel_half_transparent_is_half_kept() {
    let device = Device::flex();
    let model = small_model(&device).for_sampling(&device);
    let size = model.image_size();
    let grey = |alpha: u8| {
        let rgba = [51, 51, 51, alpha].repeat(size * size);
        values(finished(&model, PLAN, Some(&Edit::new(size, rgba, EditTask::Inpainting).unwrap()), &device))
    };
    // 51 of 255 is −0.6. What the network adds at an opacity of 4 in 5 is a fifth of its own guess.
    let mostly = grey(204);
    let guess: Vec<f32> = mostly.iter().map(|value| (value + 0.8 * 0.6) / 0.2).collect();
    let spread = guess.iter().fold((f32::MAX, f32::MIN), |(least, most), &value| (least.min(value), most.max(value)));
    assert!(spread.1 - spread.0 > 0.1, "the network has its say: {spread:?}");
    assert!(grey(255).iter().all(|value| (value + 0.6).abs() < 1e-4));
}

#[test]
fn image_to_image_begins_with_the_picture_under_noise_of_the_level_that_is_left() {
    let device = Device::flex();
    let model = small_model(&device).for_sampling(&device);
    let size = model.image_size();
    let picture = disc(5, size);
    let first = &model.stages()[0];
    let small = reduce(batch_from_rgb(&[(picture.rgb(), false)], size, &device), size / first.image_size());
    let sigmas = first.sigmas(&PLAN.levels_of(0, &[], Start::Noise));
    for (strength, steps) in [(0.0, 1), (0.2, 1), (0.5, 3), (1.0, 6)] {
        let edit = Edit::new(size, picture.rgba(), EditTask::ImageToImage { strength }).unwrap();
        let edited = Edited::new(&edit, &model, &device).unwrap();
        let cascade = Cascade::from_origins(&model, PLAN, vec![7.into()], Some(edited), &device);
        assert_eq!(cascade.steps(), steps + PLAN.steps_of(1, &[]), "strength {strength}");
        let all: Vec<_> = cascade.collect();
        assert_eq!(all.len(), steps + PLAN.steps_of(1, &[]));
        assert_eq!(all.iter().filter(|step| step.stage == 0).count(), steps);
        assert!(all.iter().enumerate().all(|(index, step)| (step.step.index, step.step.of) == (index + 1, all.len())));

        let sigma = sigmas[sigmas.len() - 1 - steps];
        let side = first.image_size();
        let noise = BatchNoise::of_stage(&[7.into()], 0, [3, side, side], &device).draw();
        let guess = first.denoiser(None).denoise(small.clone() + noise * sigma, sigma);
        let most = (guess - all[0].step.denoised.clone()).abs().max().into_scalar::<f32>();
        assert!(most < 1e-5, "strength {strength}: {most} from the picture under noise of {sigma}");
    }

    // The strength is a share of the way down; what is finished more than once is finished as often.
    let mut tuned = small_model(&device);
    tuned.stages[0].finishes_from = vec![0.5];
    let tuned = tuned.for_sampling(&device);
    let plan = Plan { steps: 12, ..PLAN };
    for (strength, steps) in [(0.0, 1 + 5), (0.5, 4 + 5), (1.0, 7 + 5)] {
        let edit = Edit::new(size, picture.rgba(), EditTask::ImageToImage { strength }).unwrap();
        let edited = Edited::new(&edit, &tuned, &device).unwrap();
        let cascade = Cascade::from_origins(&tuned, plan, vec![7.into()], Some(edited), &device);
        assert_eq!(cascade.filter(|step| step.stage == 0).count(), steps, "strength {strength}");
    }
}

#[test]
fn a_guess_is_one_evaluation_of_the_first_stage_at_any_level() {
    let device = Device::flex();
    let mut model = small_model(&device);
    // Where it finishes there is less noise than it is told of, but not where it is asked.
    (model.stages[0].finishes_from, model.stages[0].finishing_noise) = (vec![1.5], vec![0.7]);
    let model = model.for_sampling(&device);
    let size = model.image_size();
    let picture = disc(5, size);
    let first = &model.stages()[0];
    let side = first.image_size();
    let small = reduce(batch_from_rgb(&[(picture.rgb(), false)], size, &device), size / side);
    for sigma in [0.01, 0.7, 20.0] {
        let edit = Edit::new(size, picture.rgba(), EditTask::Guess { sigma, without_skip: None }).unwrap();
        let edited = Edited::new(&edit, &model, &device).unwrap();
        let cascade = Cascade::from_origins(&model, PLAN, vec![7.into()], Some(edited), &device);
        assert_eq!(cascade.steps(), 1);
        let all: Vec<_> = cascade.collect();
        assert_eq!((all.len(), all[0].stage, all[0].finished, all[0].step.of), (1, 0, true, 1));
        let noise = BatchNoise::of_stage(&[7.into()], 0, [3, side, side], &device).draw();
        let given = small.clone() + noise * sigma;
        let guess = first.denoiser(None).denoise(given.clone(), sigma);
        for (found, wanted) in [(&all[0].step.x, given), (&all[0].step.denoised, guess)] {
            let most = (wanted - found.clone()).abs().max().into_scalar::<f32>();
            assert!(most < 1e-4 * (1.0 + sigma as f32), "σ {sigma}: {most}");
        }
    }
}

#[test]
fn activations_are_those_of_the_network_as_it_was_trained() {
    let device = Device::flex();
    let model = small_model(&device);
    let (stage, sampling) = (&model.stages[0], model.for_sampling(&device));
    let first = &sampling.stages()[0];
    let (side, sigma) = (first.image_size(), 0.7);
    let x = BatchNoise::of_stage(&[7.into()], 0, [3, side, side], &device).draw() * sigma;
    let found = first.denoiser(None).activations(&x, sigma);
    // Two levels of one block, down and up, and the one between them.
    let layers = &stage.shape.layers;
    let blocks = layers.widths.len() * layers.depth;
    assert_eq!(found.len(), 2 * blocks + 1);
    for (up, down) in found.iter().rev().zip(&found[..blocks]) {
        assert_eq!(up.dims(), down.dims(), "a way up that mirrors the way down");
    }
    let preconditioning = &stage.preconditioning;
    let factors: Vec<f32> = preconditioning.at(sigma).iter().map(|band| band.input as f32).collect();
    let factors = Tensor::<1>::from_data(factors.as_slice(), &device).reshape([1, 1, 1, factors.len()]);
    let input = preconditioning.bands.from_pictures(x) * factors;
    let features = stage.unet.features(input, &[preconditioning.label(sigma)], Setting::plain(Arithmetic::FULL));
    assert_eq!(features.len(), blocks);
    for (feature, activation) in features.iter().zip(&found) {
        let off = (feature.clone() - activation.clone()).abs().max().into_scalar::<f32>();
        assert!(off < 1e-3, "off by {off}");
    }
}

#[test]
fn a_sheet_shows_the_sixteen_channels_that_differ_most() {
    // 2 × 3 places of 20 channels: channel c differs from place to place by c times the place's number.
    let [rows, columns, channels] = [2, 3, 20];
    let values: Vec<f32> =
        (0..rows * columns).flat_map(|place| (0..channels).map(move |channel| (channel * place) as f32)).collect();
    let shown = sheet(&values, [rows, columns, channels]);
    assert_eq!((shown.width, shown.height, places(&shown)), (15, 11, [2, 3]));
    let pixel = |x: usize, y: usize| <[u8; 4]>::try_from(&shown.rgba[4 * (y * 15 + x)..][..4]).unwrap();
    // Channels 4 to 19, each from dark to light by the same greys: 0 to 5 are 2.5 ± 2.5, with a deviation of 1.71.
    let greys = [0, 1, 2, 3, 4, 5].map(|place| (127.5 + 51.0 * (f64::from(place) - 2.5) / 1.7078).round() as u8);
    for (left, top) in [(0, 0), (4, 0), (12, 9)] {
        let found = [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)].map(|(x, y)| pixel(left + x, top + y));
        assert_eq!(found, greys.map(|grey| [grey, grey, grey, 255]));
    }
    assert_eq!((pixel(3, 0), pixel(0, 2)), ([0; 4], [0; 4]), "gaps");
    // What never differs is grey, and few channels leave room.
    let flat = sheet(&[7.0; 4], [2, 2, 1]);
    assert_eq!((flat.rgba[..4].to_vec(), flat.rgba[12..16].to_vec()), (vec![128, 128, 128, 255], vec![0; 4]));
}

#[test]
fn each_skip_connection_of_the_first_stage_can_be_cut() {
    let device = Device::flex();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("weights/butterflies-128.safetensors");
    let model = weights::decode(&std::fs::read(file).unwrap(), &device).unwrap().model.for_sampling(&device);
    let picture = disc(5, 128);
    let guess = |without_skip| {
        let edit = Edit::new(128, picture.rgba(), EditTask::Guess { sigma: 0.3, without_skip }).unwrap();
        let edited = Edited::new(&edit, &model, &device).unwrap();
        Cascade::from_origins(&model, PLAN, vec![7.into()], Some(edited), &device).last().unwrap().step.denoised
    };
    let whole = guess(None);
    let changes: Vec<Tensor<4>> = (0..6).map(|number| guess(Some(number)) - whole.clone()).collect();
    let energies: Vec<f32> = changes.into_iter().map(|x| x.square().mean().into_scalar::<f32>()).collect();
    assert!(energies[..4].iter().all(|&energy| energy > 1e-5), "the first stage has four: {energies:?}");
    assert_eq!(energies[4..], [0.0, 0.0], "and no more");
}

#[test]
fn the_less_the_strength_the_more_stays_of_a_butterfly() {
    let device = Device::flex();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("weights/butterflies-128.safetensors");
    let model = weights::decode(&std::fs::read(file).unwrap(), &device).unwrap().model.for_sampling(&device);
    let plan = Plan { steps: 4, ..PLAN };
    let origins = || vec![23.into()];
    let target = Cascade::from_origins(&model, plan, vec![7.into()], None, &device).last().unwrap().step.x;
    let picture = pollster::block_on(Picture::from_batch(target.clone())).unwrap().remove(0);
    let distance =
        |x: Tensor<4>| (reduce(x, 4) - reduce(target.clone(), 4)).square().mean().sqrt().into_scalar::<f32>();
    let unguided = distance(Cascade::from_origins(&model, plan, origins(), None, &device).last().unwrap().step.x);
    let at = |strength: f64| {
        let edit = Edit::new(picture.width(), picture.rgba(), EditTask::ImageToImage { strength }).unwrap();
        let edited = Edited::new(&edit, &model, &device).unwrap();
        distance(Cascade::from_origins(&model, plan, origins(), Some(edited), &device).last().unwrap().step.x)
    };
    let distances = [at(0.25), at(0.5), at(0.75), unguided];
    assert!(distances.windows(2).all(|pair| pair[0] < pair[1]), "{distances:?}");
    assert!(distances[0] < 0.25 * unguided, "{distances:?}");
}

#[test]
fn what_no_model_can_begin_with_is_named() {
    let size = |found| Err(EditError::Size { found, wanted: 8 });
    let image = EditTask::ImageToImage { strength: 0.5 };
    assert_eq!(Edit::new(4, vec![0; 64], image).unwrap().check(8), size(4));
    assert_eq!(Edit::new(8, vec![0; 255], image), Err(EditError::Bytes { size: 8, wanted: 256, found: 255 }));
    assert!(matches!(Edit::new(usize::MAX, Vec::new(), image), Err(EditError::Bytes { .. })));
    for sigma in [0.0, -1.0, 1001.0, f64::NAN, f64::INFINITY] {
        let error = Edit::new(1, vec![0; 4], EditTask::Guess { sigma, without_skip: None }).unwrap_err();
        assert!(error.to_string().contains("above 0"), "{error}");
    }
    for strength in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        let error = Edit::new(1, vec![0; 4], EditTask::ImageToImage { strength }).unwrap_err();
        assert!(error.to_string().contains("from 0 to 1"), "{error}");
    }
    let device = Device::flex();
    let model = small_model(&device).for_sampling(&device);
    let other = Edit::new(4, vec![0; 64], EditTask::Inpainting).unwrap();
    assert!(Edited::new(&other, &model, &device).is_err_and(|error| error.to_string().contains("4 × 4")));
}

proptest! {
    #[test]
    fn at_least_one_step_is_taken_and_never_more_than_there_are(strength in 0.0..=1.0f64, steps in 1usize..200) {
        let edit = Edit::new(1, vec![0; 4], EditTask::ImageToImage { strength }).unwrap();
        prop_assert!((1..=steps).contains(&edit.steps(steps)));
        let inpainting = Edit::new(1, vec![0; 4], EditTask::Inpainting).unwrap();
        prop_assert_eq!(inpainting.steps(steps), steps);
    }
}
