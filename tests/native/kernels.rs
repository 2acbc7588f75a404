//! The kernels against the plain tensor operations, at shapes that leave remainders everywhere.

use burn::tensor::{Device, Tensor, TensorData};
use chrysalis::device::{DeviceChoice, choose};
use chrysalis::diffusion::{Denoiser, Model, StageShape};
use chrysalis::kernels::{
    Attention, Convolution, Finish, Join, Patches, Storage, activate, attend, convolve, enter, halve, join, leave, mix,
    normalise, reference, store, training,
};
use chrysalis::noise::{Noise, Purpose};
use chrysalis::unet::Layers;

fn numbers<const D: usize>(seed: u64, shape: [usize; D], device: &Device) -> Tensor<D> {
    let values = Noise::new(seed, Purpose::Probe).gaussians(shape.iter().product());
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// The CPU, and the GPU where there is one, software adapters included.
fn devices() -> Vec<(String, Device)> {
    let mut devices = vec![("CPU".to_string(), Device::flex())];
    match choose(&DeviceChoice::Gpu) {
        Ok(gpu) => devices.push((gpu.name, gpu.device)),
        Err(error) => eprintln!("GPU not tested, {error}"),
    }
    devices
}

/// The largest difference, as a share of the largest number that should be.
fn off<const D: usize>(found: Tensor<D>, expected: Tensor<D>) -> f32 {
    assert_eq!(found.dims(), expected.dims());
    let vec = |tensor: Tensor<D>| tensor.into_data().try_into_vec::<f32>().unwrap();
    let (found, expected) = (vec(found), vec(expected));
    let largest = expected.iter().fold(1e-3f32, |most, value| most.max(value.abs()));
    found
        .iter()
        .zip(&expected)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0f32, |worst, off| if off.is_nan() || off > worst { off } else { worst })
        / largest
}

#[test]
fn convolutions_with_all_that_may_follow_them() {
    let plain = Device::flex();
    for (name, device) in devices() {
        // Batch, rows, columns, inputs, outputs: pictures that tiles do not divide, channels that vectors do not.
        for [batch, rows, columns, inputs, outputs] in [
            [1, 16, 16, 16, 32],
            [2, 18, 20, 12, 20],
            [1, 8, 8, 64, 48],
            [3, 6, 10, 4, 12],
            [1, 33, 17, 20, 3],
            [1, 1, 1, 32, 8],
        ] {
            for side in [1, 3] {
                let weight = numbers(1, [outputs, inputs, side, side], &plain);
                let gain = Tensor::<1>::from_data([0.7], &plain);
                let storage = Storage { outputs, inputs, side, rows, scale: 0.3 };
                let x = numbers(2, [batch, rows, columns, inputs], &plain);
                let stored_outputs = outputs.next_multiple_of(4);
                let path = numbers(3, [batch, rows, columns, stored_outputs], &plain);
                let modulation = numbers(4, [1, 1, 1, stored_outputs + 8], &plain);
                for (finish, other) in [
                    (Finish::Plain, &x),
                    (Finish::Activate, &x),
                    (Finish::Modulate { offset: 4 }, &modulation),
                    (Finish::Blend { main: 0.9 }, &path),
                ] {
                    let spec = Convolution { side, outputs, finish };
                    let expected_weight = reference::store(weight.clone(), gain.clone(), storage);
                    let expected = reference::convolve(x.clone(), expected_weight, other.clone(), spec);
                    let there = |tensor: &Tensor<4>| tensor.clone().to_device(&device);
                    let stored = store(there(&weight), gain.clone().to_device(&device), storage);
                    let found = convolve(there(&x), stored, there(other), spec);
                    let off = off(found.to_device(&plain), expected);
                    // Winograd's transforms cost a digit.
                    assert!(off < 2e-5, "{name}: {spec:?} of {batch}×{rows}×{columns}×{inputs} is off by {off}");
                }
            }
        }
    }
}

#[test]
fn large_activations_are_kept_within_bounds() {
    for (name, device) in devices() {
        let x = numbers(1, [1, 8, 8, 8], &device);
        let weight = numbers(2, [8, 8, 3, 3], &device).mul_scalar(100.0);
        let storage = Storage { outputs: 8, inputs: 8, side: 3, rows: 8, scale: 1.0 };
        let stored = store(weight, Tensor::ones([1], &device), storage);
        let spec = Convolution { side: 3, outputs: 8, finish: Finish::Blend { main: 1.0 } };
        let largest: f32 = convolve(x.clone(), stored, x, spec).abs().max().into_scalar();
        assert_eq!(largest, 256.0, "{name}");
    }
}

#[test]
fn everything_else() {
    let plain = Device::flex();
    for (name, device) in devices() {
        let check = |what: &str, found: Tensor<4>, expected: Tensor<4>| {
            let off = off(found.to_device(&plain), expected);
            assert!(off < 1e-5, "{name}: {what} is off by {off}");
        };
        let there = |tensor: &Tensor<4>| tensor.clone().to_device(&device);

        let x = numbers(1, [2, 6, 10, 12], &plain);
        let wide = x.clone().mul_scalar(30.0);
        check("SiLU", activate(there(&wide)), burn::tensor::activation::silu(wide));
        check("normalising positions", normalise(there(&x), 12), reference::normalise(x.clone(), 12));
        check("normalising heads", normalise(there(&x), 4), reference::normalise(x.clone(), 4));
        check("halving", halve(there(&x)), reference::halve(x.clone()));

        let factors = Join { main: 0.8, skip: 1.3 };
        for (what, rows, columns) in [("joining", 6, 10), ("doubling and joining", 12, 20)] {
            let skip = numbers(2, [2, rows, columns, 8], &plain);
            check(what, join(there(&x), there(&skip), factors), reference::join(x.clone(), skip, factors));
        }

        for [rows, columns, heads, width] in [[4, 4, 2, 8], [3, 7, 1, 20], [8, 8, 4, 64]] {
            let mixed = numbers(3, [2, rows, columns, 3 * heads * width], &plain).mul_scalar(2.0);
            let spec = Attention { width };
            check("attention", attend(there(&mixed), spec), reference::attend(mixed.clone(), spec));
        }

        let picture = numbers(4, [2, 3, 12, 24], &plain);
        for patch in [1, 2, 3, 4] {
            let spec = Patches { side: patch };
            let frame = Tensor::from_data([[[[0.4, 0.3, 1.7, 0.0]]]], &plain);
            let patches = reference::enter(picture.clone(), frame.clone(), spec);
            check("entering", enter(there(&picture), there(&frame), spec), patches.clone());
            let left = reference::leave(patches.clone(), picture.clone(), frame.clone(), spec);
            check("leaving", leave(there(&patches), there(&picture), there(&frame), spec), left);
        }
        let (a, b, c) =
            (numbers(6, [2, 3, 5, 7], &plain), numbers(7, [2, 3, 5, 7], &plain), numbers(8, [2, 3, 5, 7], &plain));
        let mixed = a.clone().mul_scalar(0.5) + b.clone().mul_scalar(-2.0) + c.clone().mul_scalar(3.0);
        check("mixing", mix([&a, &b, &c].map(there), [0.5, -2.0, 3.0]), mixed);
    }
}

#[test]
fn training_has_the_values_and_gradients_of_the_plain_operations() {
    let device = Device::flex().autodiff();
    // The gradients of Σ y · n for some fixed n, and y itself.
    let run = |operation: &dyn Fn(Tensor<4>, Tensor<4>) -> Tensor<4>, x: &Tensor<4>, weight: &Tensor<4>| {
        let (x, weight) = (x.clone().require_grad(), weight.clone().require_grad());
        let y = operation(x.clone(), weight.clone());
        let gradients = (y.clone() * numbers(9, y.dims(), &device)).sum().backward();
        (y.inner(), x.grad(&gradients).unwrap(), weight.grad(&gradients))
    };
    let check = |what: &str, (y, x, weight): (Tensor<4>, Tensor<4>, Option<Tensor<4>>), expected: (Tensor<4>, _, _)| {
        for (part, found, expected) in [("value", Some(y), Some(expected.0)), ("gradient", Some(x), Some(expected.1))]
            .into_iter()
            .chain([("kernel's gradient", weight, expected.2)])
        {
            assert_eq!(found.is_some(), expected.is_some(), "{what}: {part}");
            if let (Some(found), Some(expected)) = (found, expected) {
                let off = off(found, expected);
                assert!(off < 3e-5, "{what}: the {part} is off by {off}");
            }
        }
    };
    for [batch, rows, columns, inputs, outputs] in [
        [1, 16, 16, 16, 32],
        [2, 18, 20, 13, 20],
        [4, 8, 8, 40, 48],
        [3, 6, 10, 5, 12],
        [1, 33, 17, 20, 3],
        [2, 1, 1, 32, 8],
        [1, 1, 7, 1, 1],
        // More tiles than are transformed at once.
        [3, 48, 48, 130, 17],
    ] {
        let x = numbers(1, [batch, rows, columns, inputs], &device);
        let weight = numbers(2, [outputs, inputs, 3, 3], &device);
        let found = run(&training::convolve, &x, &weight);
        let what = format!("a convolution of {batch}×{rows}×{columns}×{inputs} to {outputs}");
        check(&what, found, run(&reference::convolve_plain, &x, &weight));

        let wide = x.mul_scalar(8.0);
        let found = run(&|x, _| training::activate(x), &wide, &weight);
        check("SiLU", found, run(&|x, _| burn::tensor::activation::silu(x), &wide, &weight));
    }
}

#[test]
fn the_network_for_sampling_is_the_network_that_was_trained() {
    let shape = |image_size, patch, enlarges, widths: &[usize], depth, head_width| StageShape {
        image_size,
        patch,
        enlarges,
        layers: Layers { widths: widths.to_vec(), depth, head_width, embedding: 32 },
    };
    let plain = Device::flex();
    for (name, device) in devices() {
        for shape in [
            shape(64, 2, 1, &[32, 48], 1, 16),
            shape(16, 1, 1, &[8], 2, 0),
            shape(40, 2, 2, &[8, 12, 16], 2, 4),
            shape(24, 4, 4, &[12, 20], 1, 20),
        ] {
            let model = |device: &Device| Model { stages: vec![crate::support::small_stage(&shape, device)] };
            // The same network, as it is trained, on the CPU: burn would first try out its many ways to multiply matrices on a GPU.
            let (trained, sampling) = (model(&plain), model(&device).for_sampling(&device));
            let (trained, sampling) = (&trained.stages[0], &sampling.stages()[0]);
            let size = [2, 3, shape.image_size, shape.image_size];
            let x = numbers(5, size, &plain);
            let condition = shape.is_conditioned().then(|| numbers(6, size, &plain));
            let denoiser = sampling.denoiser(condition.clone().map(|condition| condition.to_device(&device)));
            for sigma in [0.01, 1.0, 40.0] {
                let expected = trained.denoise(x.clone(), sigma, condition.clone());
                let found = denoiser.denoise(x.clone().to_device(&device), sigma).to_device(&plain);
                let off = off(found, expected);
                assert!(off < 1e-4, "{name}: {shape:?} at σ {sigma} is off by {off}");
            }
        }
    }
}
