//! How the network is told the noise level.

/// Slowest and fastest wave of the embedding, in radians a unit of the noise label. EDM's label is ln σ / 4 and runs
/// from −1.6 to 1.1, so the slowest wave tells the ends apart and the fastest tells σ from 1.03 σ.
const FREQUENCIES: [f64; 2] = [0.5, 64.0];

/// Cosines and sines of each label at geometrically spaced frequencies (Vaswani et al. 2017, with the scale √2 that
/// EDM2 gives them for unit variance): `width` numbers a label.
///
/// They are computed here in double precision and not on the device: WGSL leaves the precision of a sine outside ±π open.
pub fn waves(labels: &[f64], width: usize) -> Vec<f32> {
    let [slowest, fastest] = FREQUENCIES;
    let half = width.div_ceil(2);
    let frequencies: Vec<f64> = (0..half)
        .map(|k| {
            let position = k as f64 / (half.max(2) - 1) as f64;
            slowest * libm::exp(position * libm::log(fastest / slowest))
        })
        .collect();
    labels
        .iter()
        .flat_map(|&label| {
            let cosines = frequencies.iter().map(move |frequency| libm::cos(label * frequency));
            let sines = frequencies.iter().map(move |frequency| libm::sin(label * frequency));
            cosines.chain(sines).take(width)
        })
        .map(|wave| (std::f64::consts::SQRT_2 * wave) as f32)
        .collect()
}
