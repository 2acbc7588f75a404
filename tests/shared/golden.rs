// Included by the native and the browser tests, so that both hatch the very same picture.

/// The picture behind seed 7 in 8 steps of Heun's method, and 3 ancestral ones of its second stage.
async fn hatch_golden(weights: &[u8], device: &Device) -> Result<Picture, String> {
    let weights = decode(weights, device).map_err(|error| error.to_string())?;
    let model = weights.model.for_sampling(device);
    for (stage, described) in model.stages().iter().zip(&weights.description.stages) {
        described.probe.check(stage, device).await.map_err(|error| error.to_string())?;
    }
    let plan = Plan { sampler: Sampler::Heun { churn: 0.0 }, levels: NoiseLevels::default(), steps: 8 };
    let last = Cascade::new(&model, plan, &[7], device).last();
    let pictures = Picture::from_batch(last.ok_or("no step")?.step.x).await.map_err(|error| error.to_string())?;
    pictures.into_iter().next().ok_or_else(|| "no picture".to_string())
}
