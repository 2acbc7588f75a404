//! Gaussian noise from seeds: the same numbers on every platform.
//!
//! A permalink names a butterfly by its seed, so the noise behind a seed must not depend on the machine. Every number is
//! drawn on the CPU from ChaCha12 (whose output is specified bit by bit), turned into a uniform and then into a
//! Gaussian with `libm`'s logarithm and cosine. The standard library's would not do: they call the platform's own.

use burn::tensor::{Device, Tensor, TensorData};
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

use crate::origin::{Origin, Towards};

/// What a stream of noise is for. Streams of different purpose never overlap, whatever their seeds. The numbers are part of
/// what a seed means: they never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The start of a picture and the fresh noise of stochastic samplers.
    Picture = 0,
    /// The noise levels and the noise of one training step.
    Training = 1,
    /// The order of pictures in one epoch.
    Order = 2,
    /// Which pictures of a batch are flipped.
    Augmentation = 3,
    /// The starting weights of a network.
    Weights = 4,
    /// The known input of the check after loading.
    Probe = 5,
    /// What is done to a training picture before it is shown.
    Change = 6,
    /// Which channels a training picture is shown without.
    Dropout = 7,
}

/// A stream of random numbers, fixed by its seed, purpose and index.
#[derive(Debug, Clone)]
pub struct Noise {
    generator: ChaCha12Rng,
    spare: Option<f64>,
}

impl Noise {
    /// The stream of `seed` for a purpose.
    pub fn new(seed: u64, purpose: Purpose) -> Self {
        Self::indexed(seed, purpose, 0)
    }

    /// The stream of `seed` for a purpose and an index, such as a training step: any of them can be reached without drawing
    /// the ones before, which is what lets a training run resume where it stopped.
    pub fn indexed(seed: u64, purpose: Purpose, index: u64) -> Self {
        let mut key = [0u8; 32];
        key[0..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&(purpose as u64).to_le_bytes());
        key[16..24].copy_from_slice(&index.to_le_bytes());
        Self { generator: ChaCha12Rng::from_seed(key), spare: None }
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.generator.next_u64()
    }

    /// A number in (0, 1), on a grid of 2⁵³ points that touches neither end.
    pub fn uniform(&mut self) -> f64 {
        ((self.bits() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// A whole number below `end`, which must not be zero; every one as likely as the next to within 2⁻⁶⁴ · `end`.
    pub fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.bits()) * end as u128) >> 64) as usize
    }

    /// A number from the standard normal distribution (Box and Muller 1958).
    pub fn gaussian(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let radius = (-2.0 * libm::log(self.uniform())).sqrt();
        let angle = 2.0 * std::f64::consts::PI * self.uniform();
        self.spare = Some(radius * libm::sin(angle));
        radius * libm::cos(angle)
    }

    /// `count` numbers from the standard normal distribution.
    pub fn gaussians(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.gaussian() as f32).collect()
    }
}

/// The stream of a picture. Between two seeds it is cos(πt/2) of the one's and sin(πt/2) of the other's, at a share t of the
/// way: both are independent and standard normal, so what lies between them is standard normal too ("spherical
/// interpolation", White 2016, "Sampling Generative Networks", section 2.1; Song et al. 2021, DDIM, section 5.3).
#[derive(Debug, Clone)]
struct Mixture {
    from: Noise,
    other: Option<(Noise, [f32; 2])>,
}

impl Mixture {
    fn new(origin: Origin, stage: usize) -> Self {
        let stream = |seed| Noise::indexed(seed, Purpose::Picture, stage as u64);
        // A seed's noise is not independent of itself: on the way from a seed to itself nothing changes.
        let leads_away = |towards: &Towards| towards.share > 0.0 && towards.seed != origin.seed;
        let other = origin.towards.filter(leads_away).map(|Towards { seed, share }| {
            let angle = std::f64::consts::FRAC_PI_2 * share.min(1.0);
            // At the end of the way nothing is left of where it began, not even what rounding leaves.
            let factors = if share < 1.0 { [libm::cos(angle), libm::sin(angle)] } else { [0.0, 1.0] };
            (stream(seed), factors.map(|factor| factor as f32))
        });
        Self { from: stream(origin.seed), other }
    }

    fn gaussians(&mut self, count: usize) -> Vec<f32> {
        let mut values = self.from.gaussians(count);
        if let Some((other, [kept, added])) = &mut self.other {
            for (value, other) in values.iter_mut().zip(other.gaussians(count)) {
                *value = *value * *kept + other * *added;
            }
        }
        values
    }
}

/// Noise for a batch in which every picture has an origin of its own, so that a picture does not depend on its neighbours.
#[derive(Debug, Clone)]
pub struct BatchNoise {
    streams: Vec<Mixture>,
    shape: [usize; 3],
    device: Device,
}

impl BatchNoise {
    /// One stream a seed, for pictures of `shape` = channels × rows × columns.
    pub fn new(seeds: &[u64], shape: [usize; 3], device: &Device) -> Self {
        let origins: Vec<Origin> = seeds.iter().map(|&seed| seed.into()).collect();
        Self::of_stage(&origins, 0, shape, device)
    }

    /// The streams of a stage of a cascade, counted from zero: each stage has its own, whatever the one before it used.
    pub fn of_stage(origins: &[Origin], stage: usize, shape: [usize; 3], device: &Device) -> Self {
        let streams = origins.iter().map(|&origin| Mixture::new(origin, stage)).collect();
        Self { streams, shape, device: device.clone() }
    }

    /// The next standard normal tensor, `[origins, channels, rows, columns]`.
    pub fn draw(&mut self) -> Tensor<4> {
        let [channels, rows, columns] = self.shape;
        let size = channels * rows * columns;
        let values: Vec<f32> = self.streams.iter_mut().flat_map(|stream| stream.gaussians(size)).collect();
        let data = TensorData::new(values, [self.streams.len(), channels, rows, columns]);
        Tensor::from_data(data, &self.device)
    }
}
