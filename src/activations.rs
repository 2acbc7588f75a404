//! What a network's blocks compute, made visible.

use crate::protocol::Shown;

/// Channels of a sheet, along either side.
const ACROSS: usize = 4;
/// Standard deviations from a channel's mean that are told from black and from white.
const CONTRAST: f32 = 2.5;

/// Rows and columns of the channels that a sheet shows.
pub fn places(sheet: &Shown) -> [u32; 2] {
    [sheet.height, sheet.width].map(|length| (length + 1) / ACROSS as u32 - 1)
}

/// The sixteen channels that differ most from place to place, or all if there are fewer, in the order that they have, four in a
/// row: a gap of one transparent pixel between them, grey at a channel's mean. `values` are those of one picture, or of a
/// batch whose first is shown, row by row, with the channels of a place side by side.
pub fn sheet(values: &[f32], [rows, columns, channels]: [usize; 3]) -> Shown {
    let moments: Vec<[f32; 2]> = (0..channels)
        .map(|channel| {
            let of_channel = || values.iter().skip(channel).step_by(channels.max(1)).take(rows * columns);
            let count = (rows * columns).max(1) as f32;
            let mean = of_channel().sum::<f32>() / count;
            let variance = of_channel().map(|value| (value - mean).powi(2)).sum::<f32>() / count;
            [mean, variance.sqrt()]
        })
        .collect();
    let mut chosen: Vec<usize> = (0..channels).collect();
    chosen.sort_by(|&a, &b| moments[b][1].total_cmp(&moments[a][1]));
    chosen.truncate(ACROSS * ACROSS);
    chosen.sort_unstable();

    let side = |length: usize| ACROSS * (length + 1) - 1;
    let (width, height) = (side(columns), side(rows));
    let mut rgba = vec![0; width * height * 4];
    for (index, channel) in chosen.into_iter().enumerate() {
        let [mean, deviation] = moments[channel];
        let (left, top) = (index % ACROSS * (columns + 1), index / ACROSS * (rows + 1));
        for place in 0..rows * columns {
            let Some(value) = values.get(place * channels + channel) else { continue };
            let at = 4 * ((top + place / columns) * width + left + place % columns);
            let share = (value - mean) / (CONTRAST * deviation.max(f32::MIN_POSITIVE));
            // A float-to-integer cast saturates.
            let grey = (127.5 + 127.5 * share).round() as u8;
            if let Some(pixel) = rgba.get_mut(at..at + 4) {
                pixel.copy_from_slice(&[grey, grey, grey, 255]);
            }
        }
    }
    Shown { width: width as u32, height: height as u32, rgba }
}
