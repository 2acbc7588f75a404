//! Pictures from folders, Parquet files and the hub, good ones and bad.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use chrysalis::data::{BatchPlan, DataError, Dataset, Squaring, surviving};
use image::{DynamicImage, Rgb, RgbImage, Rgba, RgbaImage};
use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use crate::support::{disc, folder_of_discs, text};

fn load(path: &Path, size: usize) -> Result<Dataset, DataError> {
    Dataset::load(&text(path), size, Squaring::Pad)
}

#[test]
fn a_folder_is_read_with_its_subfolders_in_all_three_formats() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("a/b")).unwrap();
    let picture = DynamicImage::ImageRgb8(RgbImage::from_pixel(40, 40, Rgb([10, 200, 90])));
    picture.save(folder.path().join("one.PNG")).unwrap();
    picture.save(folder.path().join("a/two.jpeg")).unwrap();
    picture.save(folder.path().join("a/b/three.webp")).unwrap();
    fs::write(folder.path().join("notes.txt"), "not a picture").unwrap();
    fs::create_dir(folder.path().join(".hidden")).unwrap();
    picture.save(folder.path().join(".hidden/four.png")).unwrap();
    let dataset = load(folder.path(), 32).unwrap();
    assert_eq!((dataset.len(), dataset.skipped().len(), dataset.size()), (3, 0, 32));
    for index in 0..3 {
        let found = dataset.picture(index).unwrap();
        assert!(
            found.rgb().as_chunks::<3>().0.iter().all(|p| p[0].abs_diff(10) < 4 && p[1].abs_diff(200) < 4),
            "picture {index}"
        );
    }
}

#[test]
fn broken_and_tiny_pictures_are_left_out_counted_and_named() {
    let folder = folder_of_discs(3, 32);
    fs::write(folder.path().join("broken.png"), &disc(1, 32).to_png().unwrap()[..60]).unwrap();
    fs::write(folder.path().join("garbage.jpg"), b"garbage").unwrap();
    fs::write(folder.path().join("empty.webp"), b"").unwrap();
    fs::write(folder.path().join("tiny.png"), disc(1, 15).to_png().unwrap()).unwrap();
    let dataset = load(folder.path(), 32).unwrap();
    assert_eq!(dataset.len(), 3);
    let names: Vec<&str> = dataset.skipped().iter().map(|s| s.name.rsplit('/').next().unwrap()).collect();
    assert_eq!(names, ["broken.png", "empty.webp", "garbage.jpg", "tiny.png"]);
    assert!(
        dataset.skipped()[3].reason.contains("15 × 15 pixels are too few: at least 16"),
        "{:?}",
        dataset.skipped()[3]
    );
}

#[test]
fn nothing_to_train_on_is_an_error_that_says_so() {
    let empty = tempfile::tempdir().unwrap();
    assert!(load(empty.path(), 32).unwrap_err().to_string().contains("no usable picture (0 looked at"));

    let useless = tempfile::tempdir().unwrap();
    fs::write(useless.path().join("a.png"), b"garbage").unwrap();
    let message = load(useless.path(), 32).unwrap_err().to_string();
    assert!(message.contains("1 looked at, 1 skipped; the first,") && message.contains("a.png"), "{message}");

    let missing = load(Path::new("/no/such/folder"), 32).unwrap_err();
    assert!(matches!(missing, DataError::NoSuchSource(_)), "{missing}");
    assert!(missing.to_string().contains("Give a folder of pictures"), "{missing}");
}

#[test]
fn transparency_becomes_white() {
    let folder = tempfile::tempdir().unwrap();
    let half = RgbaImage::from_fn(32, 32, |x, _| if x < 16 { Rgba([0, 0, 0, 0]) } else { Rgba([0, 0, 0, 128]) });
    half.save(folder.path().join("a.png")).unwrap();
    let picture = load(folder.path(), 32).unwrap().picture(0).unwrap();
    assert_eq!(picture.rgb()[0..3], [255, 255, 255]);
    assert_eq!(picture.rgb()[20 * 3..20 * 3 + 3], [127, 127, 127]);
}

#[test]
fn pictures_are_squared_by_padding_or_cropping() {
    // A red field with a green stripe down the left edge of its middle third, on a wide picture.
    let wide =
        RgbImage::from_fn(96, 32, |x, _| if (32..64).contains(&x) { Rgb([0, 255, 0]) } else { Rgb([200, 10, 10]) });
    let folder = tempfile::tempdir().unwrap();
    wide.save(folder.path().join("a.png")).unwrap();
    let source = text(folder.path());
    let middle = |squaring, row: usize| {
        let picture = Dataset::load(&source, 32, squaring).unwrap().picture(0).unwrap();
        let at = (row * 32 + 16) * 3;
        [picture.rgb()[at], picture.rgb()[at + 1], picture.rgb()[at + 2]]
    };
    assert_eq!(middle(Squaring::Crop, 1), [0, 255, 0], "cropped: only the middle third is left");
    assert_eq!(middle(Squaring::Pad, 16), [0, 255, 0], "padded: the middle is as it was");
    assert_eq!(middle(Squaring::Pad, 1), [200, 10, 10], "padded: the border's colour above it");
}

fn write_parquet(path: &Path, pictures: &[Option<Vec<u8>>]) {
    fs::write(path, parquet_bytes(pictures, Compression::UNCOMPRESSED)).unwrap();
}

/// A Parquet file with a struct column `image` of `bytes` and `path`, and a column beside it.
pub fn parquet_bytes(pictures: &[Option<Vec<u8>>], codec: Compression) -> Vec<u8> {
    let schema = "message schema {
        optional binary name (UTF8);
        optional group image { optional binary bytes; optional binary path (UTF8); }
    }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = Arc::new(WriterProperties::builder().set_compression(codec).build());
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, properties).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let present: Vec<ByteArray> = pictures.iter().flatten().cloned().map(ByteArray::from).collect();
    let names: Vec<ByteArray> =
        (0..pictures.len()).map(|i| ByteArray::from(format!("specimen {i}").into_bytes())).collect();
    let levels: Vec<i16> = pictures.iter().map(|p| if p.is_some() { 2 } else { 1 }).collect();
    for column in 0..3 {
        let mut writer = group.next_column().unwrap().unwrap();
        let typed = writer.typed::<ByteArrayType>();
        match column {
            0 => typed.write_batch(&names, Some(&vec![1; names.len()]), None).unwrap(),
            1 => typed.write_batch(&present, Some(&levels), None).unwrap(),
            _ => typed.write_batch(&[], Some(&vec![1; names.len()]), None).unwrap(),
        };
        writer.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn parquet_in_the_hub_layout_is_read_from_a_file_and_from_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let encoded = |i| Some(disc(i, 24).to_png().unwrap());
    let one = folder.path().join("train-00000.parquet");
    write_parquet(&one, &[encoded(1), None, encoded(2), Some(b"garbage".to_vec())]);
    let dataset = load(&one, 24).unwrap();
    assert_eq!((dataset.len(), dataset.picture(1).unwrap()), (2, disc(2, 24)));
    let reasons: Vec<&str> = dataset.skipped().iter().map(|s| s.name.rsplit('/').next().unwrap()).collect();
    assert_eq!(reasons, ["train-00000.parquet, row 1", "train-00000.parquet, row 3"]);

    write_parquet(&folder.path().join("train-00001.parquet"), &[encoded(3)]);
    assert_eq!(load(folder.path(), 24).unwrap().len(), 3);
}

#[test]
fn parquet_is_read_in_every_codec() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let codecs = [
        Compression::SNAPPY,
        Compression::GZIP(Default::default()),
        Compression::BROTLI(Default::default()),
        Compression::ZSTD(Default::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
    ];
    for codec in codecs {
        let same = Some(disc(1, 24).to_png().unwrap());
        fs::write(&path, parquet_bytes(&[same.clone(), None, same], codec)).unwrap();
        let dataset = load(&path, 24).unwrap_or_else(|error| panic!("{codec}: {error}"));
        assert_eq!((dataset.len(), dataset.picture(1).unwrap()), (2, disc(1, 24)), "{codec}");
    }
}

#[test]
fn parquet_of_another_layout_or_cut_off_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    write_parquet(&path, &[Some(disc(1, 24).to_png().unwrap())]);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let message = load(&path, 24).unwrap_err().to_string();
    assert!(message.contains("a.parquet: this is no readable Parquet file"), "{message}");

    let schema = Arc::new(parse_message_type("message schema { optional binary picture; }").unwrap());
    let writer = SerializedFileWriter::new(
        fs::File::create(&path).unwrap(),
        schema,
        Arc::new(WriterProperties::builder().build()),
    );
    writer.unwrap().close().unwrap();
    let message = load(&path, 24).unwrap_err().to_string();
    assert!(message.contains("no struct column 'image' among the columns picture"), "{message}");
}

/// A PNG that says that it has so many pixels, and holds next to none of them.
pub fn boastful_png(side: u32) -> Vec<u8> {
    let mut png = disc(0, 16).to_png().unwrap();
    png[16..20].copy_from_slice(&side.to_be_bytes());
    png[20..24].copy_from_slice(&side.to_be_bytes());
    let mut crc = flate2::Crc::new();
    crc.update(&png[12..29]);
    png[29..33].copy_from_slice(&crc.sum().to_be_bytes());
    png
}

#[test]
fn a_picture_that_would_fill_the_memory_is_refused_before_it_does() {
    let folder = folder_of_discs(2, 32);
    fs::write(folder.path().join("large.png"), boastful_png(18_000)).unwrap();
    let dataset = load(folder.path(), 32).unwrap();
    assert_eq!(dataset.len(), 2);
    let reason = &dataset.skipped()[0].reason;
    assert!(reason.contains("18000 × 18000 pixels are too many"), "{reason}");
}

#[test]
fn a_decoder_that_panics_costs_its_picture_alone() {
    let decode = |bytes: &'static [u8]| surviving(|| Ok(bytes[1]));
    assert_eq!(decode(&[1, 2]), Ok(2));
    assert_eq!(decode(&[1]), Err("the decoder failed over it".into()));
}

#[cfg(unix)]
#[test]
fn entries_that_cannot_be_read_are_left_out_and_named() {
    let folder = folder_of_discs(3, 32);
    // What an editor leaves beside a file that it has open, hidden and not, and a link whose end was removed.
    for name in [".#a.png", "#a.png#", "gone.png", "gone.parquet"] {
        std::os::unix::fs::symlink("nobody@nowhere:1", folder.path().join(name)).unwrap();
    }
    std::os::unix::fs::symlink(folder.path(), folder.path().join("round")).unwrap();
    let dataset = load(folder.path(), 32).unwrap();
    assert_eq!(dataset.len(), 3);
    let names: Vec<&str> = dataset.skipped().iter().map(|s| s.name.rsplit('/').next().unwrap()).collect();
    assert_eq!(names, ["#a.png#", "gone.parquet", "gone.png", "round"]);
    assert!(dataset.skipped()[2].reason.contains("No such file"), "{:?}", dataset.skipped());
}

#[test]
fn batches_walk_through_every_picture_once_an_epoch_in_a_new_order() {
    let plan = BatchPlan { batch_size: 4, seed: 9, flip: true, change_share: 0.0, sharp: false };
    let epoch = |number: u64| -> Vec<usize> {
        (0..5).flat_map(|step| plan.choose(20, number * 5 + step)).map(|(index, _)| index).collect()
    };
    let (first, second) = (epoch(0), epoch(1));
    let mut sorted = first.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..20).collect::<Vec<_>>());
    assert_ne!(first, second);
    assert_eq!(first, epoch(0), "any step can be drawn again");
    // A batch may straddle two epochs.
    let straddling = BatchPlan { batch_size: 7, ..plan.clone() };
    let all: Vec<usize> = (0..20).flat_map(|step| straddling.choose(20, step)).map(|(index, _)| index).collect();
    for picture in 0..20 {
        assert_eq!(all.iter().filter(|&&index| index == picture).count(), 7);
    }
}

#[test]
fn about_half_of_the_pictures_are_flipped_and_none_when_told_so() {
    let plan = BatchPlan { batch_size: 1000, seed: 1, flip: true, change_share: 0.0, sharp: false };
    let flipped = plan.choose(10, 0).iter().filter(|(_, flip)| *flip).count();
    assert!((430..570).contains(&flipped), "{flipped}");
    let still = BatchPlan { flip: false, ..plan };
    assert!(still.choose(10, 0).iter().all(|(_, flip)| !flip));
}

#[test]
fn a_reduced_dataset_holds_the_means_of_squares() {
    let folder = tempfile::tempdir().unwrap();
    RgbImage::from_fn(32, 32, |x, y| Rgb([(x / 4) as u8 * 10, (y % 4) as u8 * 2, if x < 16 { 255 } else { 0 }]))
        .save(folder.path().join("a.png"))
        .unwrap();
    let reduced = load(folder.path(), 32).unwrap().reduced(4);
    assert_eq!((reduced.size(), reduced.len()), (8, 1));
    let picture = reduced.picture(0).unwrap();
    for (place, pixel) in picture.rgb().as_chunks::<3>().0.iter().enumerate() {
        let x = place % 8;
        assert_eq!(*pixel, [x as u8 * 10, 3, if x < 4 { 255 } else { 0 }], "pixel {place}");
    }
}

#[test]
fn bands_of_pictures_are_their_principal_components() {
    // Grey pictures of random brightness, and a little noise: one band is grey and large, the others are the noise.
    let folder = tempfile::tempdir().unwrap();
    let mut noise = chrysalis::noise::Noise::new(3, chrysalis::noise::Purpose::Probe);
    for index in 0..40 {
        let grey = 128.0 + 40.0 * noise.gaussian();
        RgbImage::from_fn(16, 16, |_, _| {
            Rgb([0; 3].map(|_: u8| (grey + 4.0 * noise.gaussian()).clamp(0.0, 255.0) as u8))
        })
        .save(folder.path().join(format!("{index}.png")))
        .unwrap();
    }
    let dataset = load(folder.path(), 16).unwrap();
    let layers = chrysalis::unet::Layers { widths: vec![8], depth: 1, head_width: 0, embedding: 16 };
    let shape = chrysalis::diffusion::StageShape { image_size: 16, patch: 2, enlarges: 1, layers };
    let bands = chrysalis::train::bands(&dataset, &shape);
    let grey = bands.rotation()[..12].iter().map(|number| number.abs()).collect::<Vec<_>>();
    assert!(grey.iter().all(|number| (number - 12f32.sqrt().recip()).abs() < 0.02), "{grey:?}");
    assert!(bands.deviations()[0] > 10.0 * bands.deviations()[1]);
    let noise = bands.deviations()[6];
    assert!((noise - 4.0 / 127.5).abs() < 0.004, "{noise}");
}

#[test]
fn components_of_whole_pictures_are_those_that_they_were_made_of() {
    // Two patterns at right angles on grey, one of them three times as strong, none of them its own mirror image.
    let folder = tempfile::tempdir().unwrap();
    let mut noise = chrysalis::noise::Noise::new(5, chrysalis::noise::Purpose::Probe);
    let count = 60;
    for index in 0..count {
        let (across, down) = (30.0 * noise.gaussian(), 10.0 * noise.gaussian());
        RgbImage::from_fn(16, 16, |x, y| {
            let sign = |low: bool| if low { 1.0 } else { -1.0 };
            Rgb([(128.0 + across * sign(x < 8) + down * sign(y < 8)).round().clamp(0.0, 255.0) as u8; 3])
        })
        .save(folder.path().join(format!("{index:03}.png")))
        .unwrap();
    }
    let dataset = load(folder.path(), 16).unwrap();
    let layers = chrysalis::unet::Layers { widths: vec![8], depth: 1, head_width: 0, embedding: 16 };
    let mut shape = chrysalis::diffusion::StageShape { image_size: 16, patch: 2, enlarges: 1, layers };
    let components = chrysalis::train::components(&dataset, &shape, 0.1, true).unwrap();
    let axes = components.axes();
    let pixels = 3.0 * 256.0f64;
    let alike = |axis: &[f32], pattern: fn(usize) -> bool| {
        let sum: f64 =
            axis.iter().enumerate().map(|(i, x)| if pattern(i) { f64::from(*x) } else { -f64::from(*x) }).sum();
        (sum / pixels.sqrt()).abs()
    };
    assert!(alike(&axes[0].0, |i| i % 16 < 8) > 0.99 && alike(&axes[1].0, |i| i / 16 % 16 < 8) > 0.99);
    for ((_, variance), strength) in axes.iter().zip([30.0, 10.0]) {
        // The spread of sixty Gaussian numbers is known to a tenth.
        let found = (variance / pixels).sqrt() * 127.5;
        assert!((found / strength - 1.0).abs() < 0.25, "{found} for {strength}");
    }
    // Mirrored, what lies across is as often one way as the other.
    let lopsided = |mean: &[f32]| mean.chunks_exact(16).map(|row| (row[0] - row[15]).abs()).fold(0.0, f32::max);
    assert!(lopsided(components.mean()) < 1e-4, "{}", lopsided(components.mean()));
    assert!(
        (2..20).contains(&components.count()),
        "what rounding leaves nothing of is left out: {}",
        components.count()
    );
    let as_they_are = chrysalis::train::components(&dataset, &shape, 0.1, false).unwrap();
    assert!(lopsided(as_they_are.mean()) > 1e-3, "{}", lopsided(as_they_are.mean()));
    // They compress farther than any weights do, and come back all the same.
    let mut model = crate::support::small_model(&burn::tensor::Device::flex());
    model.stages[0].shape.image_size = 16;
    model.stages[0].preconditioning.components = Some(components);
    model.stages.truncate(1);
    let about = crate::weights::description(&model);
    let file =
        pollster::block_on(chrysalis::weights::encode(&model, &about, chrysalis::weights::Storage::Compact)).unwrap();
    let read = chrysalis::weights::decode(&file, &burn::tensor::Device::flex()).unwrap();
    assert_eq!(read.model.stages[0].preconditioning.components.as_ref().unwrap().axes().len(), axes.len());
    shape.enlarges = 2;
    assert!(chrysalis::train::components(&dataset, &shape, 0.1, true).is_none(), "of a further stage");
}
