//! The kernels against the plain tensor operations, at shapes that leave remainders everywhere.

use burn::optim::{AdamWConfig, AdjustLrFn, MuonConfig, Optimizer};
use burn::tensor::activation::silu;
use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use chrysalis::device::{DeviceChoice, choose};
use chrysalis::diffusion::{Denoiser, Mixture, Model, StageShape};
use chrysalis::kernels::{
    Attention, Clustered, Convolution, Epilogue, Join, Packing, Patches, activate, attend, cluster, convolve, halve,
    join, mix, normalise, pack, patchify, reference, training, unpatchify,
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
fn a_mixture_leads_alike_on_every_device() {
    let plain = Device::flex();
    let single = crate::support::strange_components(32);
    let several = crate::support::strange_clusters(32);
    let all = |device: &Device, components| {
        let mixture = Mixture::new(components, device);
        let (x, rest) = (numbers(1, [3, 3, 32, 32], device).mul_scalar(5.0), numbers(2, [3, 3, 32, 32], device));
        let begun = mixture.noisy(x.clone(), 5.0);
        [begun, mixture.beyond(x.clone(), &rest, 5.0), mixture.flow(x, rest, [5.0, 0.7])]
    };
    // What the CPU finds is held against closed forms elsewhere.
    for (name, device) in devices().into_iter().skip(1) {
        for components in [&single, &several] {
            for (found, expected) in all(&device, components).into_iter().zip(all(&plain, components)) {
                let off = off(found, expected);
                assert!(off < 1e-5, "{name}: {off}");
            }
        }
    }
}

#[test]
fn what_clusters_say_of_points() {
    let plain = Device::flex();
    for (name, device) in devices() {
        for [points, clusters, width] in [[1, 1, 4], [3, 5, 12], [2, 64, 128]] {
            let inputs = |device: &Device| {
                let (x, rest) = (numbers(1, [points, 1, 1, width], device), numbers(2, [points, 1, 1, width], device));
                let centres = numbers::<4>(3, [1, 1, clusters, width], device);
                let variances = numbers::<4>(4, [1, 1, clusters, width], device).square();
                let known = numbers::<4>(5, [1, 1, 1, clusters], device);
                let levels = Tensor::from_data([[[[2.0f32, 0.3]]]], device);
                (x, rest, Tensor::cat(vec![centres, variances], 1), Tensor::cat(vec![levels, known], 3))
            };
            for spec in [Clustered::Guess, Clustered::Flow] {
                let (x, rest, table, known) = inputs(&device);
                let found = cluster(x, rest, table, known, spec);
                let (x, rest, table, known) = inputs(&plain);
                let off = off(found, reference::cluster(x, rest, table, known, spec));
                assert!(off < 1e-5, "{name}, {points} points, {clusters} clusters, {spec:?}: {off}");
            }
        }
    }
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
                let storage = Packing { outputs, inputs, side, rows, scale: 0.3 };
                let x = numbers(2, [batch, rows, columns, inputs], &plain);
                let stored_outputs = outputs.next_multiple_of(4);
                let path = numbers(3, [batch, rows, columns, stored_outputs], &plain);
                let modulation = numbers(4, [1, 1, 1, stored_outputs + 8], &plain);
                for (epilogue, other) in [
                    (Epilogue::Plain, &x),
                    (Epilogue::Activate, &x),
                    (Epilogue::Modulate { offset: 4 }, &modulation),
                    (Epilogue::Blend { main: 0.9 }, &path),
                ] {
                    let spec = Convolution { side, outputs, epilogue };
                    let expected_weight = reference::pack(weight.clone(), gain.clone(), storage);
                    let expected = reference::convolve(x.clone(), expected_weight, other.clone(), spec);
                    let there = |tensor: &Tensor<4>| tensor.clone().to_device(&device);
                    let stored = pack(there(&weight), gain.clone().to_device(&device), storage);
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
        let storage = Packing { outputs: 8, inputs: 8, side: 3, rows: 8, scale: 1.0 };
        let stored = pack(weight, Tensor::ones([1], &device), storage);
        let spec = Convolution { side: 3, outputs: 8, epilogue: Epilogue::Blend { main: 1.0 } };
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
            let scales = Tensor::from_data([[[[0.4, 0.3, 1.7, 0.0]]]], &plain);
            let patches = reference::patchify(picture.clone(), scales.clone(), spec);
            check("entering", patchify(there(&picture), there(&scales), spec), patches.clone());
            let left = reference::unpatchify(patches.clone(), picture.clone(), scales.clone(), spec);
            check("leaving", unpatchify(there(&patches), there(&picture), there(&scales), spec), left);
        }
        let (a, b, c) =
            (numbers(6, [2, 3, 5, 7], &plain), numbers(7, [2, 3, 5, 7], &plain), numbers(8, [2, 3, 5, 7], &plain));
        let mixed = a.clone().mul_scalar(0.5) + b.clone().mul_scalar(-2.0) + c.clone().mul_scalar(3.0);
        check("mixing", mix([&a, &b, &c].map(there), [0.5, -2.0, 3.0]), mixed);
    }
}

/// An operation of training on two tensors; those on one leave the second alone.
type Operation<'a, const D: usize> = &'a dyn Fn(Tensor<4>, Tensor<D>) -> Tensor<4>;

/// Whether an operation has the values of another, and the gradients of Σ y · n for some fixed n.
fn same_with_gradients<const D: usize>(
    what: &str,
    [found, expected]: [Operation<'_, D>; 2],
    x: &Tensor<4>,
    other: &Tensor<D>,
) {
    let run = |operation: Operation<'_, D>| {
        let (x, other) = (x.clone().require_grad(), other.clone().require_grad());
        let y = operation(x.clone(), other.clone());
        // Numbers that bf16 holds exactly, so that products in it differ in nothing.
        let n = short(numbers(9, y.dims(), &y.device()));
        let gradients = (y.clone() * n).sum().backward();
        (y.inner(), x.grad(&gradients).expect("the first always has one"), other.grad(&gradients))
    };
    let ((y, of_x, of_other), expected) = (run(found), run(expected));
    let check = |part, found, expected| {
        let off = off(found, expected);
        assert!(off < 3e-5, "{what}: the {part} is off by {off}");
    };
    check("value", y, expected.0);
    check("gradient", of_x, expected.1);
    assert_eq!(of_other.is_some(), expected.2.is_some(), "{what}");
    if let (Some(found), Some(expected)) = (of_other, expected.2) {
        let size = found.shape().num_elements();
        check("second gradient", found.reshape([1, 1, 1, size]), expected.reshape([1, 1, 1, size]));
    }
}

/// The nearest numbers in bf16.
fn short<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    x.cast(FloatDType::BF16).cast(FloatDType::F32)
}

#[test]
fn convolutions_in_training_have_the_values_and_gradients_of_the_plain_one() {
    let device = Device::flex().autodiff();
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
        for side in [1, 3] {
            let x = short(numbers(1, [batch, rows, columns, inputs], &device));
            let weight = short(numbers(2, [outputs, inputs, side, side], &device));
            let what = format!("a convolution of {batch}×{rows}×{columns}×{inputs} to {outputs}, side {side}");
            let plain: Operation<'_, 4> = &|x, weight| reference::convolve_plain(x, weight);
            same_with_gradients(&what, [&|x, w| training::convolve(x, w, false), plain], &x, &weight);
            // Only some processors have a unit for products in bf16; on the others this is the same again.
            let products = training::Arithmetic::half(&Device::flex()).short_products;
            let what = format!("{what}, in bf16: {products}");
            same_with_gradients(&what, [&|x, w| training::convolve(x, w, products), plain], &x, &weight);
        }
    }
}

#[test]
fn products_in_bf16_lose_what_the_rounding_loses() {
    let short_products = training::Arithmetic::half(&Device::flex()).short_products;
    let (x, weight) = (numbers(1, [2, 9, 9, 33], &Device::flex()), numbers(2, [40, 33, 3, 3], &Device::flex()));
    let found = training::convolve(x.clone(), weight.clone(), short_products);
    let rounded = |x: Tensor<4>| if short_products { short(x) } else { x };
    let off = off(found, reference::convolve_plain(rounded(x), rounded(weight)));
    assert!(off < 3e-5, "off by {off}");
}

#[test]
fn everything_else_in_training_has_them_too() {
    let device = Device::flex().autodiff();
    let one = Tensor::<1>::ones([1], &device);
    for channels in [12, 20, 64] {
        let x = numbers(1, [3, 6, 10, channels], &device).mul_scalar(4.0);
        let slope = 1.7;
        let check = |what: &str, operations: [Operation<'_, 1>; 2]| same_with_gradients(what, operations, &x, &one);
        check("SiLU", [&|x, _| training::activate(x, slope), &|x, _| silu(x).mul_scalar(slope)]);
        check("norms", [&|x, _| training::normalise(x, channels), &|x, _| reference::normalise(x, channels)]);
        check("groups' norms", [&|x, _| training::normalise(x, 4), &|x, _| reference::normalise(x, 4)]);
        let triple: Operation<'_, 1> = &|x, _| training::attend(Tensor::cat(vec![x.clone() * 0.3, x.clone(), x], 3), 4);
        let plain: Operation<'_, 1> =
            &|x, _| reference::attend(Tensor::cat(vec![x.clone() * 0.3, x.clone(), x], 3), Attention { width: 4 });
        check("attention", [triple, plain]);
        check("halving", [&|x, _| training::halve(x), &|x, _| reference::halve(x)]);
        let unit: Operation<'_, 1> = &|x, _| {
            let norm = x.clone().square().sum_dims(&[1, 2, 3]).sqrt().add_scalar(1e-4);
            x.div(norm)
        };
        check("unit norms", [&|x, _| training::unit_norm(x), unit]);

        let modulation = numbers(2, [3, channels], &device);
        let plain: Operation<'_, 2> =
            &|x, m| silu(x * m.add_scalar(1.0).reshape([3, 1, 1, channels])).mul_scalar(slope);
        same_with_gradients("modulation", [&|x, m| training::modulate(x, m, slope), plain], &x, &modulation);

        // Large enough for the bound to matter here and there.
        let (main, branch) = (x.clone().mul_scalar(40.0), numbers(3, [3, 6, 10, channels], &device));
        let plain: Operation<'_, 4> = &|a, b| (a.mul_scalar(0.9) + b.mul_scalar(0.4)).clamp(-256.0, 256.0);
        same_with_gradients("a sum", [&|a, b| training::blend(a, b, [0.9, 0.4]), plain], &main, &branch);

        let spec = Join { main: 0.7, skip: 1.2 };
        for times in [1, 2] {
            let skip = numbers(4, [3, 6 * times, 10 * times, 8], &device);
            let plain: Operation<'_, 4> = &|x, skip| reference::join(x, skip, spec);
            same_with_gradients("a join", [&|x, skip| training::join(x, skip, spec), plain], &x, &skip);
        }
    }
}

#[test]
fn the_optimiser_takes_the_steps_of_adamw_and_keeps_kernels_at_unit_variance() {
    let update = |time, device: &Device| training::Update {
        optimizer: training::Optimizer::AdamW,
        learning_rate: 0.03,
        betas: [0.9, 0.99],
        epsilon: 1e-8,
        weight_decay: 0.1,
        time,
        gradient_scale: Tensor::ones([1], device),
        keep: 0.75,
    };
    for (name, device) in devices() {
        // Against burn's own, on numbers that are no kernel.
        let burns = AdamWConfig::new().with_beta_2(0.99).with_epsilon(1e-8).with_weight_decay(0.1).build();
        let start = numbers(1, [70], &device);
        let zeros = Tensor::zeros([70], &device);
        let mut state =
            training::State { weight: start.clone(), first: zeros.clone(), second: zeros, average: start.clone() };
        let (mut expected, mut memory, mut average) = (start.clone(), None, start);
        for time in 1..=4 {
            let gradient = numbers(10 + time, [70], &device);
            state = update(time, &device).apply(state, gradient.clone());
            (expected, memory) = burns.step(0.03, expected, gradient, memory);
            average = average.mul_scalar(0.75) + expected.clone().mul_scalar(0.25);
            let of = |x: Tensor<1>| x.reshape([1, 1, 1, 70]);
            assert!(off(of(state.weight.clone()), of(expected.clone())) < 1e-5, "{name}: weights, step {time}");
            assert!(off(of(state.average.clone()), of(average.clone())) < 1e-5, "{name}: average, step {time}");
        }

        let kernel = numbers(2, [6, 5, 3, 3], &device);
        let zeros = kernel.zeros_like();
        let state =
            training::State { weight: kernel.clone(), first: zeros.clone(), second: zeros, average: kernel.clone() };
        let after = update(1, &device).apply(state, numbers(3, [6, 5, 3, 3], &device)).weight;
        let variances = after.square().mean_dims(&[1, 2, 3]);
        assert!(off(variances, Tensor::ones([6, 1, 1, 1], &device)) < 1e-4, "{name}");
    }
}

#[test]
fn muon_takes_the_steps_of_burns_own_and_keeps_kernels_at_unit_variance() {
    // Its steps are half as large at the same learning rate.
    let burns = MuonConfig::new().with_adjust_lr_fn(AdjustLrFn::MatchRmsAdamW).build();
    for (name, device) in devices() {
        // Wider than high, and higher than wide.
        let shapes = [[6, 5, 3, 3], [70, 3, 3, 3], [20, 20, 1, 1]];
        // A GPU tries several ways to multiply matrices of each new size, which takes one in software half a minute.
        let shapes = if training::on_cpu(&device) { &shapes[..] } else { &shapes[..1] };
        for &shape in shapes {
            let [rows, columns] = [shape[0], shape[1..].iter().product()];
            let unit = |x: Tensor<2>| {
                let norms = x.clone().square().mean_dim(1).sqrt();
                x / norms
            };
            let start = unit(numbers(2, shape, &device).reshape([rows, columns]));
            let kernel = start.clone().reshape(shape);
            let zeros = kernel.zeros_like();
            let mut state = training::State {
                weight: kernel.clone(),
                first: zeros.clone(),
                second: zeros,
                average: kernel.clone(),
            };
            let (mut expected, mut memory) = (start, None);
            for time in 1..=3 {
                let gradient: Tensor<4> = numbers(10 + time, shape, &device);
                let update = training::Update {
                    optimizer: training::Optimizer::Muon,
                    learning_rate: 0.3,
                    betas: [0.9, 0.99],
                    epsilon: 1e-8,
                    weight_decay: 0.0,
                    time,
                    // Whatever a gradient's size, its step is the same; all of them are as large here.
                    gradient_scale: Tensor::full([1], 0.5, &device),
                    keep: 0.75,
                };
                let before = state.average.clone();
                state = update.apply(state, gradient.clone());
                let (stepped, remembered) = burns.step(2.0 * 0.3, expected, gradient.reshape([rows, columns]), memory);
                (expected, memory) = (unit(stepped), remembered);
                let wanted = expected.clone().reshape(shape);
                assert!(off(state.weight.clone(), wanted.clone()) < 1e-3, "{name}, {shape:?}: weights, step {time}");
                let average = before.mul_scalar(0.75) + wanted.mul_scalar(0.25);
                assert!(off(state.average.clone(), average) < 1e-3, "{name}, {shape:?}: average, step {time}");
            }
        }
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
            let model = |device: &Device| Model::of(vec![crate::support::small_stage(&shape, device)]);
            // The same network, as it is trained, on the CPU: burn would first try out its many ways to multiply
            // matrices on a GPU.
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

/// What `scripts/miri.sh` interprets: all kernels of the CPU, at shapes that leave remainders and are soon done.
#[test]
fn small_shapes_of_all_kernels_of_the_cpu() {
    let device = Device::flex();
    let check = |what: &str, found: Tensor<4>, expected: Tensor<4>| {
        let off = off(found, expected);
        assert!(off < 2e-5, "{what} is off by {off}");
    };
    let x = numbers(1, [2, 4, 6, 8], &device);
    for (side, outputs) in [(1, 5), (3, 5)] {
        let weight = numbers(2, [outputs, 8, side, side], &device);
        let storage = Packing { outputs, inputs: 8, side, rows: 4, scale: 0.3 };
        let (gain, spec) = (Tensor::ones([1], &device), Convolution { side, outputs, epilogue: Epilogue::Activate });
        let expected = reference::pack(weight.clone(), gain.clone(), storage);
        let expected = reference::convolve(x.clone(), expected, x.clone(), spec);
        check("a convolution", convolve(x.clone(), pack(weight, gain, storage), x.clone(), spec), expected);
    }
    check("a norm", normalise(x.clone(), 4), reference::normalise(x.clone(), 4));
    check("halving", halve(x.clone()), reference::halve(x.clone()));
    let factors = Join { main: 0.8, skip: 1.3 };
    let skip = numbers(2, [2, 8, 12, 4], &device);
    check("joining", join(x.clone(), skip.clone(), factors), reference::join(x.clone(), skip, factors));
    let (mixed, heads) = (numbers(3, [1, 2, 3, 24], &device), Attention { width: 4 });
    check("attention", attend(mixed.clone(), heads), reference::attend(mixed, heads));
    let (picture, spec) = (numbers(4, [1, 3, 4, 6], &device), Patches { side: 2 });
    let scales = Tensor::from_data([[[[0.4, 0.3, 1.7, 0.0]]]], &device);
    let patches = patchify(picture.clone(), scales.clone(), spec);
    check("patches", patches.clone(), reference::patchify(picture.clone(), scales.clone(), spec));
    let back = reference::unpatchify(patches.clone(), picture.clone(), scales.clone(), spec);
    check("pictures", unpatchify(patches, picture, scales, spec), back);

    let device = Device::flex().autodiff();
    let x = short(numbers(1, [2, 4, 6, 7], &device));
    for side in [1, 3] {
        let weight = short(numbers(2, [5, 7, side, side], &device));
        let plain: Operation<'_, 4> = &|x, weight| reference::convolve_plain(x, weight);
        same_with_gradients("a convolution", [&|x, w| training::convolve(x, w, false), plain], &x, &weight);
    }
    let one = Tensor::<1>::ones([1], &device);
    same_with_gradients("SiLU", [&|x, _| training::activate(x, 1.7), &|x, _| silu(x).mul_scalar(1.7)], &x, &one);
    same_with_gradients("a norm", [&|x, _| training::normalise(x, 7), &|x, _| reference::normalise(x, 7)], &x, &one);
    same_with_gradients("halving", [&|x, _| training::halve(x), &|x, _| reference::halve(x)], &x, &one);
    let triple = |x: Tensor<4>| Tensor::cat(vec![x.clone() * 0.3, x.clone(), x], 3);
    let heads = Attention { width: 7 };
    let ways: [Operation<'_, 1>; 2] =
        [&|x, _| training::attend(triple(x), 7), &|x, _| reference::attend(triple(x), heads)];
    same_with_gradients("attention", ways, &numbers(5, [1, 2, 3, 7], &device), &one);
}
