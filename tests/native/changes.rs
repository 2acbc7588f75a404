//! Changes of training pictures, dropout, and that neither shows in what is sampled.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use chrysalis::data::{BatchPlan, Change, Dataset, LABELS, Squaring};
use chrysalis::kernels::training::Arithmetic;
use chrysalis::noise::{BatchNoise, Noise, Purpose};
use chrysalis::unet::{Dropout, Layers, Setting, UNet, UNetConfig};

use crate::support::{folder_of_discs, lively_unet, text};

/// A side of 64 pixels, 16 after the change.
const SIDES: [usize; 2] = [64, 16];

/// A picture of 64 pixels, by a function of places from −1 to 1.
fn painted(colour: impl Fn(f64, f64) -> [u8; 3]) -> Vec<u8> {
    let [side, _] = SIDES;
    let at = |i: usize| (i as f64 + 0.5) * 2.0 / side as f64 - 1.0;
    (0..side * side).flat_map(|place| colour(at(place % side), at(place / side))).collect()
}

/// A white blob on black, an ellipse with its centre and its half axes along x and y.
fn blob([x0, y0]: [f64; 2], [a, b]: [f64; 2]) -> Vec<u8> {
    painted(|x, y| if ((x - x0) / a).hypot((y - y0) / b) < 1.0 { [255; 3] } else { [0; 3] })
}

/// Mass, centre and second moments (xx, yy, xy) of a changed picture's red, places from −1 to 1.
fn moments(pixels: &[u8], labels: [f32; LABELS]) -> (f64, [f64; 2], [f64; 3]) {
    let [from, size] = SIDES;
    let planes = Change::of(labels).planes(pixels, from, size, false);
    let at = |i: usize| (i as f64 + 0.5) * 2.0 / size as f64 - 1.0;
    let red: Vec<(f64, f64, f64)> = planes[..size * size]
        .iter()
        .enumerate()
        .map(|(place, value)| ((f64::from(*value) + 1.0) / 2.0, at(place % size), at(place / size)))
        .collect();
    let mass: f64 = red.iter().map(|(m, ..)| m).sum();
    let mean = |f: &dyn Fn(f64, f64) -> f64| red.iter().map(|(m, x, y)| m * f(*x, *y)).sum::<f64>() / mass;
    let [x, y] = [mean(&|x, _| x), mean(&|_, y| y)];
    (mass, [x, y], [mean(&|a, _| (a - x).powi(2)), mean(&|_, b| (b - y).powi(2)), mean(&|a, b| (a - x) * (b - y))])
}

fn near(found: f64, wanted: f64, within: f64, what: &str) {
    assert!((found - wanted).abs() < within, "{what}: {found}, not {wanted}");
}

#[test]
fn no_change_is_plain_reduction() {
    let folder = folder_of_discs(1, 64);
    let dataset = Dataset::load(&text(folder.path()), 64, Squaring::Pad).unwrap();
    let reduced = dataset.reduced(4).picture(0).unwrap();
    let none = Change::of([0.0; LABELS]);
    assert!(none.is_none());
    for flipped in [false, true] {
        let planes = none.planes(dataset.picture(0).unwrap().rgb(), 64, 16, flipped);
        let wanted = if flipped { reduced.flipped() } else { reduced.clone() };
        for (place, pixel) in wanted.rgb().as_chunks::<3>().0.iter().enumerate() {
            for (channel, value) in pixel.iter().enumerate() {
                // Half a level of rounding is in the reduced picture alone.
                near(planes[channel * 256 + place].into(), f64::from(*value) / 127.5 - 1.0, 0.5 / 127.4, "a pixel");
            }
        }
    }
}

#[test]
fn each_label_does_what_it_says() {
    let at = |label: usize, value: f32| std::array::from_fn(|i| if i == label { value } else { 0.0 });
    let round = blob([0.3, -0.2], [0.3, 0.3]);
    let (mass, centre, _) = moments(&round, [0.0; LABELS]);
    near(centre[0], 0.3, 0.01, "x");
    near(centre[1], -0.2, 0.01, "y");

    let (larger, centre, _) = moments(&round, at(0, 1.0));
    let growth = 2f64.powf(0.2);
    near(larger / mass, growth * growth, 0.02, "the area at size 1");
    near(centre[0], 0.3 * growth, 0.01, "x at size 1");

    let (_, centre, _) = moments(&round, at(1, 1.0));
    let (sine, cosine) = 0.25f64.sin_cos();
    near(centre[0], 0.3 * cosine - -0.2 * sine, 0.01, "x at turn 1");
    near(centre[1], 0.3 * sine + -0.2 * cosine, 0.01, "y at turn 1");

    let (same, centre, _) = moments(&round, at(4, 1.0));
    near(same / mass, 1.0, 0.02, "the area at shift 1");
    near(centre[0], 0.3 + 0.25, 0.01, "x at shift 1");
    let (_, centre, _) = moments(&round, at(5, -1.0));
    near(centre[1], -0.2 - 0.25, 0.01, "y at shift -1");

    // Stretched along x, and at a double angle of a right one, along the diagonal.
    let middle = blob([0.0, 0.0], [0.4, 0.4]);
    let ratio = 2f64.powf(0.8);
    let (stretched, _, [xx, yy, _]) = moments(&middle, at(2, 1.0));
    near(stretched / moments(&middle, [0.0; LABELS]).0, 1.0, 0.02, "the area at stretch 1");
    near(xx / yy, ratio, 0.05, "along x");
    let (_, _, [xx, yy, xy]) = moments(&middle, at(3, 1.0));
    near(xx / yy, 1.0, 0.02, "not along x");
    near((xx + xy) / (xx - xy), ratio, 0.05, "along the diagonal");
}

#[test]
fn hues_turn_about_grey() {
    let turned = |colour: [u8; 3], angle: f64| -> [f64; 3] {
        let mut labels = [0.0; LABELS];
        [labels[6], labels[7]] = [angle.cos() as f32 - 1.0, angle.sin() as f32];
        let [from, size] = SIDES;
        let planes = Change::of(labels).planes(&painted(|_, _| colour), from, size, false);
        [0, 1, 2].map(|channel| (f64::from(planes[channel * size * size]) + 1.0) * 127.5)
    };
    let third = std::f64::consts::TAU / 3.0;
    for (colour, angle, wanted) in [
        ([255, 255, 255], 1.0, [255.0; 3]),
        ([90, 90, 90], 2.0, [90.0; 3]),
        ([200, 40, 10], third, [10.0, 200.0, 40.0]),
        ([200, 40, 10], -third, [40.0, 10.0, 200.0]),
    ] {
        let found = turned(colour, angle);
        for (found, wanted) in found.into_iter().zip(wanted) {
            near(found, wanted, 0.01, "a colour");
        }
    }
}

#[test]
fn changes_are_drawn_as_often_as_asked_and_from_the_seed_alone() {
    let draw = |index, share| Change::draw(&mut Noise::indexed(5, Purpose::Change, index), share);
    let all: Vec<[f32; LABELS]> = (0..4000).map(|index| draw(index, 0.25).labels()).collect();
    for (label, name) in (0..).zip(["size", "turn", "stretch", "stretch", "shift", "shift"]) {
        let changed: Vec<f64> = all.iter().map(|labels| f64::from(labels[label])).filter(|x| *x != 0.0).collect();
        near(changed.len() as f64 / 4000.0, 0.25, 0.03, name);
        near(changed.iter().map(|x| x * x).sum::<f64>() / changed.len() as f64, 1.0, 0.15, name);
    }
    let hues: Vec<[f32; 2]> = all.iter().map(|labels| [labels[6], labels[7]]).filter(|hue| *hue != [0.0; 2]).collect();
    near(hues.len() as f64 / 4000.0, 0.25, 0.03, "hue");
    for [x, y] in hues {
        near(f64::from(x + 1.0).hypot(y.into()), 1.0, 1e-5, "the length of a direction");
    }
    assert_eq!(draw(7, 0.25), draw(7, 0.25));
    assert!((0..100).all(|index| draw(index, 0.0).is_none()));
}

#[test]
fn a_changed_batch_is_the_plain_one_where_nothing_was_changed() {
    let folder = folder_of_discs(12, 32);
    let dataset = Dataset::load(&text(folder.path()), 32, Squaring::Pad).unwrap().reduced(2);
    let plan = BatchPlan { batch_size: 12, seed: 3, flip: true, change_share: 0.1, sharp: false };
    let device = Device::flex();
    let plain: Vec<f32> = dataset.batch(&plan, 2, &device).into_data().try_into_vec().unwrap();
    let (pictures, labels) = dataset.changed_batch(&plan, 2, &device);
    let pictures: Vec<f32> = pictures.into_data().try_into_vec().unwrap();
    let labels: Vec<f32> = labels.into_data().try_into_vec().unwrap();
    let picture = 3 * 16 * 16;
    let mut changed = 0;
    for (index, labels) in labels.chunks_exact(LABELS).enumerate() {
        let range = index * picture..(index + 1) * picture;
        if labels.iter().all(|label| *label == 0.0) {
            assert_eq!(pictures[range.clone()], plain[range], "picture {index}");
        } else {
            assert_ne!(pictures[range.clone()], plain[range], "picture {index}");
            changed += 1;
        }
    }
    assert!((1..12).contains(&changed), "{changed}");
}

fn network() -> (UNetConfig, UNet) {
    let layers = Layers { widths: vec![8, 16], depth: 1, head_width: 8, embedding: 32 };
    let config = UNetConfig { side: 8, inputs: 12, outputs: 12, layers };
    let unet = lively_unet(&config, &Device::flex());
    (config, unet)
}

fn evaluate(unet: &UNet, setting: Setting) -> Vec<f32> {
    let x = BatchNoise::new(&[1, 1], [8, 8, 12], &Device::flex()).draw();
    unet.forward_in(x, &[0.1, 0.1], setting).into_data().try_into_vec().unwrap()
}

fn halves(numbers: &[f32]) -> (&[f32], &[f32]) {
    numbers.split_at(numbers.len() / 2)
}

#[test]
fn a_network_told_of_nothing_is_the_network_that_cannot_be_told() {
    let device = Device::flex();
    let (_, unet) = network();
    let plain = || Setting::plain(Arithmetic::FULL);
    let told = unet.clone().told_of_changes(LABELS, 0, &device);
    let changes = |values: [f32; 2 * LABELS]| {
        Some(Tensor::<2>::from_data(TensorData::new(values.to_vec(), [2, LABELS]), &device))
    };
    let without = evaluate(&unet, plain());
    assert_eq!(evaluate(&told, Setting { changes: changes([0.0; 2 * LABELS]), ..plain() }), without);
    assert_eq!(evaluate(&told, plain()), without);
    // Only the second picture's label says that something was done.
    let second = changes(std::array::from_fn(|i| if i == LABELS { 1.0 } else { 0.0 }));
    let found = evaluate(&told, Setting { changes: second, ..plain() });
    assert_eq!(halves(&found).0, halves(&without).0);
    assert_ne!(halves(&found).1, halves(&without).1);
    // What only training needs is not in what is exported.
    assert_eq!(told.num_params(), unet.num_params() + LABELS * 32);
    assert_eq!(told.folded().num_params(), unet.num_params());
}

#[test]
fn dropout_leaves_out_channels_by_picture_and_stream_and_keeps_the_scale() {
    let (_, unet) = network();
    let dropped = |share, seeds: [u64; 2]| {
        let streams = seeds.map(|seed| Noise::new(seed, Purpose::Dropout)).to_vec();
        evaluate(&unet, Setting { dropout: Some(Dropout { share, streams }), ..Setting::plain(Arithmetic::FULL) })
    };
    let without = evaluate(&unet, Setting::plain(Arithmetic::FULL));
    let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
    assert!(close(&dropped(1e-12, [1, 2]), &without), "nothing left out");
    let half = dropped(0.5, [1, 1]);
    assert_eq!(halves(&half).0, halves(&half).1, "the same stream, the same channels");
    let other = dropped(0.5, [1, 2]);
    assert_eq!(halves(&other).0, halves(&half).0);
    assert!(!close(halves(&other).1, halves(&half).1), "another stream, other channels");
    // Over many draws the output is about as large as without, which it is not when the rest is not made larger.
    let size = |numbers: &[f32]| numbers.iter().map(|x| f64::from(x * x)).sum::<f64>();
    let mean = (0..64).map(|seed| size(&dropped(0.5, [seed, 100 + seed]))).sum::<f64>() / 64.0;
    near((mean / size(&without)).sqrt(), 1.0, 0.25, "the size of the output");
}

#[test]
fn detail_is_learned_from_changed_pictures_only_where_the_files_have_pixels_to_spare() {
    let device = Device::flex();
    let plan = BatchPlan { batch_size: 6, seed: 4, flip: false, change_share: 1.0, sharp: true };
    let values = |tensor: Tensor<4>| tensor.into_data().try_into_vec::<f32>().unwrap();
    let fine = folder_of_discs(6, 64);
    let dataset = Dataset::load_finer(&text(fine.path()), 32, Squaring::Pad).unwrap();
    let (pictures, labels) = dataset.changed_batch(&plan, 1, &device);
    // Made of all the pixels of the files: of the pictures at twice their size.
    let originals = Dataset::load(&text(fine.path()), 64, Squaring::Pad).unwrap();
    let labels: Vec<f32> = labels.into_data().try_into_vec().unwrap();
    let chosen = plan.choose(6, 1);
    for (place, pixels) in values(pictures).chunks_exact(3 * 32 * 32).enumerate() {
        let change = Change::draw(&mut Noise::indexed(4, Purpose::Change, 6 + place as u64), 1.0);
        assert_eq!(labels[place * LABELS..][..LABELS], change.labels());
        let original = originals.picture(chosen[place].0).unwrap();
        assert_eq!(pixels, change.planes(original.rgb(), 64, 32, false), "picture {place}");
    }

    let coarse = folder_of_discs(6, 63);
    let dataset = Dataset::load_finer(&text(coarse.path()), 32, Squaring::Pad).unwrap();
    let (pictures, _) = dataset.changed_batch(&plan, 1, &device);
    assert_eq!(values(pictures), values(dataset.batch(&plan, 1, &device)), "what a change would blur stays as it is");
    let (pictures, _) = dataset.changed_batch(&BatchPlan { sharp: false, ..plan.clone() }, 1, &device);
    assert_ne!(values(pictures), values(dataset.batch(&plan, 1, &device)), "who is told may see blurred ones");
}
