//! Between pixels and tensors.

use burn::tensor::{Device, Tensor, TensorData};
use chrysalis::picture::{Picture, PictureError, batch_from_rgb};

use crate::support::disc;

#[test]
fn pixels_survive_the_way_into_a_tensor_and_back() {
    let (a, b) = (disc(1, 12), disc(2, 12));
    let batch = batch_from_rgb(&[(a.rgb(), false), (b.rgb(), false)], 12, &Device::flex());
    assert_eq!(pollster::block_on(Picture::from_batch(batch)).unwrap(), [a, b]);
}

#[test]
fn flipping_reverses_each_row() {
    let picture = Picture::from_rgb(2, 2, vec![1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]).unwrap();
    let batch = batch_from_rgb(&[(picture.rgb(), true)], 2, &Device::flex());
    let flipped = pollster::block_on(Picture::from_batch(batch)).unwrap().remove(0);
    assert_eq!(flipped.rgb(), [4, 5, 6, 1, 2, 3, 10, 11, 12, 7, 8, 9]);
}

#[test]
fn numbers_out_of_range_are_cut_off() {
    let values = vec![-9.0f32, 9.0, f32::NAN, 0.0, -1.0, 1.0, f32::INFINITY, f32::NEG_INFINITY, 0.5, -0.5, 0.0, 0.0];
    let batch = Tensor::<4>::from_data(TensorData::new(values, [1, 3, 2, 2]), &Device::flex());
    let picture = pollster::block_on(Picture::from_batch(batch)).unwrap().remove(0);
    assert_eq!(picture.rgb(), [0, 0, 191, 255, 255, 64, 0, 255, 128, 128, 0, 128]);
}

#[test]
fn grids_keep_every_picture_whole() {
    let pictures: Vec<Picture> = (0..5).map(|i| disc(i, 8)).collect();
    let grid = Picture::grid(&pictures, 3, 2);
    assert_eq!((grid.width(), grid.height()), (2 + 3 * 10, 2 + 2 * 10));
    // The fifth picture starts at column 12, row 12.
    for row in 0..8 {
        let start = ((12 + row) * grid.width() + 12) * 3;
        assert_eq!(grid.rgb()[start..start + 24], pictures[4].rgb()[row * 24..row * 24 + 24]);
    }
    assert_eq!(grid.rgb()[0..6], [255; 6]);
}

#[test]
fn png_files_can_be_read_back_and_garbage_cannot() {
    let picture = disc(3, 16);
    assert_eq!(Picture::from_png(&picture.to_png().unwrap()).unwrap(), picture);
    assert!(matches!(Picture::from_png(b"no png"), Err(PictureError::Coding(_))));
    assert!(matches!(Picture::from_rgb(4, 4, vec![0; 5]), Err(PictureError::WrongCount { needed: 48, found: 5, .. })));
}

#[test]
fn differences_are_measured() {
    let white = Picture::from_rgb(1, 2, vec![255; 6]).unwrap();
    let grey = Picture::from_rgb(1, 2, vec![255, 255, 255, 255, 255, 245]).unwrap();
    assert_eq!(white.largest_difference(&grey), Some(10));
    // MSE = 100 / 6: 10 log₁₀(255² · 6 / 100)
    assert!((white.psnr(&grey).unwrap() - 35.912).abs() < 1e-3);
    assert_eq!(white.psnr(&white), Some(f64::INFINITY));
    assert_eq!(white.psnr(&disc(0, 8)), None);
}
