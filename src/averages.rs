//! Averages over the fields of a picture.

/// The averages of each channel over `fields` × `fields` fields, row by row, each with its channels. A field has as many pixels
/// as fall into it, be that not the same number for all. None for pictures with fewer pixels a side than fields, or with another
/// number of bytes than `width · height · channels`.
pub fn averages(bytes: &[u8], [width, height]: [usize; 2], channels: usize, fields: usize) -> Option<Vec<f64>> {
    if fields == 0 || channels == 0 || width < fields || height < fields || bytes.len() != width * height * channels {
        return None;
    }
    let (mut averages, mut counts) = (vec![0.0; channels * fields * fields], vec![0.0; fields * fields]);
    for (at, pixel) in bytes.chunks_exact(channels).enumerate() {
        let field = (at / width * fields / height) * fields + at % width * fields / width;
        *counts.get_mut(field)? += 1.0;
        let of_field = averages.get_mut(channels * field..channels * (field + 1))?;
        of_field.iter_mut().zip(pixel).for_each(|(sum, &byte)| *sum += f64::from(byte));
    }
    for (of_field, count) in averages.chunks_exact_mut(channels).zip(counts) {
        of_field.iter_mut().for_each(|sum| *sum /= count);
    }
    Some(averages)
}
