// Included by the native and the browser tests, so that both hatch the very same picture.

/// The picture behind seed 7 in 8 steps of Heun's method.
async fn hatch_golden(weights: &[u8], device: &Device) -> Result<Picture, String> {
    let weights = decode(weights, device).map_err(|error| error.to_string())?;
    let model = weights.model.for_sampling();
    weights.description.probe.check(&model, device).await.map_err(|error| error.to_string())?;
    let size = weights.description.unet.image_size;
    let noise = BatchNoise::new(&[7], [3, size, size], device);
    let last = Sampling::new(&model, Sampler::Heun, NoiseLevels::default().list(8), noise).last();
    let pictures = Picture::from_batch(last.ok_or("no step")?.x).await.map_err(|error| error.to_string())?;
    pictures.into_iter().next().ok_or_else(|| "no picture".to_string())
}
