//! The judges of quality against the Python reference (numpy, Pillow, ONNX Runtime), whose figures are noted here.

use burn::tensor::Device;
use chrysalis::picture::Picture;
use chrysalis::quality::matrix::eigenvalues;
use chrysalis::quality::{FeatureNet, Filter, Judge, Matrix, Memorisation, NetworkError, Scores, resized};

/// A picture that any program can make: `x · 7 · k + y · 13 + c · 50 + (x · y) mod 31`, of which the lowest byte counts.
fn picture(side: usize, k: usize) -> Picture {
    let pixel = |index: usize| {
        let (x, y, c) = (index / 3 % side, index / 3 / side, index % 3);
        ((x * 7 * k + y * 13 + c * 50 + (x * y) % 31) % 256) as u8
    };
    Picture::from_rgb(side, side, (0..side * side * 3).map(pixel).collect()).unwrap()
}

/// Every byte times its place, counted from one, summed modulo 2³².
fn checksum(picture: &Picture) -> u32 {
    (1_u32..).zip(picture.rgb()).fold(0, |sum, (place, byte)| sum.wrapping_add(place.wrapping_mul(u32::from(*byte))))
}

#[test]
fn pictures_are_resized_to_the_bit_as_pillow_does_it() {
    for (side, to, filter, expected) in [
        (40, 224, Filter::Bicubic, 2_282_811_551),
        (40, 17, Filter::Bicubic, 48_026_270),
        (64, 32, Filter::Box, 605_576_071),
        (50, 20, Filter::Box, 92_694_934),
        (33, 64, Filter::Bicubic, 997_788_987),
    ] {
        let found = checksum(&resized(&picture(side, 1), to, to, filter));
        assert_eq!(found, expected, "{side} to {to} pixels, {filter:?}");
    }
}

/// Two sets of forty rows that overlap.
fn sets() -> [Matrix; 2] {
    let rows = |number: &dyn Fn(f64, f64) -> f64| {
        let values = (0..40).flat_map(|i| (0..4).map(move |j| (f64::from(i), f64::from(j))));
        Matrix::new(values.map(|(i, j)| number(i, j)).collect(), 4)
    };
    [
        rows(&|i, j| (i * 1.7 + j * 0.9).sin() + 0.5 * (i * j * 0.37).sin()),
        rows(&|i, j| 1.2 * (i * 2.9 + j * 0.95).sin() + 0.5 * (i * j * 0.41).sin() + 0.05),
    ]
}

#[test]
fn scores_are_those_of_numpy() {
    let [real, generated] = sets();
    let scores = Scores::of(&real, &generated);
    let near = |name: &str, found: f64, expected: f64, within: f64| {
        assert!((found - expected).abs() < within, "{name} is {found}, not {expected}");
    };
    // Roots of eigenvalues that are nearly zero cost it some digits.
    near("FID", scores.fid, 0.094_837_992_761_278_18, 2e-6);
    near("precision", scores.precision, 0.925, 1e-12);
    near("recall", scores.recall, 0.975, 1e-12);
    near("density", scores.density, 0.95, 1e-12);
    near("coverage", scores.coverage, 1.0, 1e-12);
    // Means over random subsets, other ones here than there: 2,000 of them gave −88.7 with a deviation of 150.4.
    near("KID", scores.kid, -88.7, 4.0 * 150.4 / 50_f64.sqrt());
    near("the deviation of KID", scores.kid_deviation, 150.4, 50.0);

    let far = Matrix::new(real.iter().flatten().map(|value| value + 100.0).collect(), 4);
    let copies = Memorisation::of(&real.unit_rows(), &far, &generated.unit_rows());
    near("the median distance", copies.median, 0.202_297_515_157_819_7, 1e-9);
    near("the real median", copies.real_median, 0.301_768_913_676_261_6, 1e-9);
    near("the real percentile", copies.real_percentile, 0.090_543_251_183_499_22, 1e-9);
    near("the share nearer", copies.share_nearer, 0.075, 1e-12);
}

#[test]
fn copies_are_found_mirrored_ones_too() {
    let [training, others] = sets();
    let mirrored = Matrix::new(training.iter().flatten().map(|value| value + 3.0).collect(), 4);
    let copies = Memorisation::of(&training, &mirrored, &mirrored.select([5, 7]));
    assert_eq!(copies.nearest.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [5, 7]);
    assert_eq!(copies.share_nearer, 1.0);
    assert!(Memorisation::of(&training, &mirrored, &others).share_nearer < 0.5);
}

#[test]
fn eigenvalues_are_found() {
    // Those of the second difference on n points are 4 sin²(k π / 2 (n + 1)).
    let size = 30;
    let number = |i: usize, j: usize| match i.abs_diff(j) {
        0 => 2.0,
        1 => -1.0,
        _ => 0.0,
    };
    let plain = Matrix::new((0..size * size).map(|index| number(index / size, index % size)).collect(), size);
    // Turned by a reflection, so that it is full.
    let direction: Vec<f64> = (0..size).map(|i| (i as f64 * 0.7).sin() + 0.3).collect();
    let length: f64 = direction.iter().map(|value| value * value).sum();
    let mirror = |i: usize, j: usize| f64::from(u8::from(i == j)) - 2.0 * direction[i] * direction[j] / length;
    let mirror = Matrix::new((0..size * size).map(|index| mirror(index / size, index % size)).collect(), size);
    let full = mirror.products(&plain).products(&mirror);
    let mut found = eigenvalues(full);
    found.sort_by(f64::total_cmp);
    for (k, found) in (1..).zip(found) {
        let expected = 4.0 * (f64::from(k) * std::f64::consts::PI / (2.0 * (size as f64 + 1.0))).sin().powi(2);
        assert!((found - expected).abs() < 1e-10, "the eigenvalue {k} is {found}, not {expected}");
    }
    assert_eq!(eigenvalues(Matrix::new(vec![3.0], 1)), [3.0]);
    assert!(eigenvalues(Matrix::new(vec![0.0; 9], 3)).iter().all(|value| *value == 0.0));
}

#[test]
fn features_are_those_of_the_reference_network() {
    let device = Device::flex();
    let network = match FeatureNet::load(&FeatureNet::default_path(), &device) {
        Ok(network) => network,
        Err(NetworkError::Missing(path)) => {
            // scripts/test fetches it before the tests; by themselves they need no network.
            assert!(std::env::var_os("CHRYSALIS_ALL_TESTS").is_none(), "{} is missing", path.display());
            eprintln!("the network is not here: scripts/quality-network.sh fetches it");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let pictures = [picture(64, 1), picture(64, 3)];
    let features = network.features(&pictures, |_| ()).unwrap();
    // From ONNX Runtime: some features, the sum of all and their norm.
    let expected = [
        ([(577, 5.14213), (190, 4.67683), (759, 4.09128), (881, 3.87576)], 209.92087, 19.514505),
        ([(897, 4.81103), (577, 3.99612), (100, 3.98214), (591, 3.94891)], 197.98563, 18.323912),
    ];
    for (row, (some, sum, norm)) in features.iter().zip(expected) {
        for (index, expected) in some {
            assert!((row[index] - expected).abs() < 1e-3, "feature {index} is {}, not {expected}", row[index]);
        }
        assert!((row.iter().sum::<f64>() - sum).abs() < 1e-3 * sum);
        assert!((row.iter().map(|value| value * value).sum::<f64>().sqrt() - norm).abs() < 1e-3);
    }

    // Real pictures against themselves are no distance apart, and damage shows, more of it more.
    let real: Vec<Picture> = (1..=12).map(|k| picture(32, k)).collect();
    let judge = Judge::new(std::sync::Arc::new(network), real.clone(), |_| ()).unwrap();
    let judged = judge.judge(&real, |_| ()).unwrap();
    // Not zero exactly: twelve pictures leave most of the covariance's eigenvalues at rounding's size, and their roots
    // are summed.
    assert!(judged.scores.fid.abs() < 1e-4, "{}", judged.scores.fid);
    assert_eq!(judged.scores.coverage, 1.0);
    assert_eq!(judged.copies_in_pixels.share_nearer, 1.0, "every one is a copy");
    let rows = judge.calibrate(12, |_| ()).unwrap();
    assert!(rows[0].kid < rows[1].kid && rows[1].kid < rows[2].kid, "{rows:?}");
}

#[test]
fn a_missing_or_damaged_network_is_named_with_its_mend() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("network.safetensors");
    let error = |path: &std::path::Path| FeatureNet::load(path, &Device::flex()).err().unwrap().to_string();
    assert!(error(&missing).contains("scripts/quality-network.sh"));
    std::fs::write(&missing, b"no tensors").unwrap();
    assert!(error(&missing).contains("Remove it"));
}
