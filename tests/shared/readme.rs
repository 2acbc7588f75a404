// Included by the native and the browser tests, so that both look for the same butterflies in the README.

/// A seed below 100 as the README's grid shows it: ten in a row, two pixels between them.
fn in_the_readme(seed: usize) -> Picture {
    let grid = Picture::from_png(include_bytes!("../../docs/butterflies.png")).unwrap();
    let (gap, columns) = (2, 10);
    let size = (grid.width() - gap) / columns - gap;
    let (left, top) = (gap + seed % columns * (size + gap), gap + seed / columns * (size + gap));
    let row = |y: usize| 3 * ((top + y) * grid.width() + left)..3 * ((top + y) * grid.width() + left + size);
    Picture::from_rgb(size, size, (0..size).flat_map(|y| grid.rgb()[row(y)].to_vec()).collect()).unwrap()
}

/// A seed with the shipped weights and everything else as it is without being asked for.
async fn hatch_shipped(seed: u64, device: &Device) -> Picture {
    let weights = decode(include_bytes!("../../weights/butterflies-128.safetensors"), device).unwrap();
    let model = weights.model.for_sampling(device);
    let plan = Plan { sampler: Sampler::default(), levels: NoiseLevels::default(), steps: DEFAULT_STEPS };
    let last = Cascade::new(&model, plan, &[seed], device).last().unwrap();
    Picture::from_batch(last.step.x).await.unwrap().remove(0)
}
