//! Weight files: there and back, and every way they can be wrong.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use chrysalis::diffusion::{Clusters, Components, ComponentsError, Model};
use chrysalis::noise::BatchNoise;
use chrysalis::weights::{
    CardFacts, ContainerError, DataCard, Description, LAYOUT, Probe, ProbeError, StageDescription, Storage, Weights,
    WeightsError, decode, encode, model_card, rounded, rounded_clusters, rounded_components,
};
use proptest::prelude::*;

use crate::support::{small_model, strange_clusters, strange_components};

pub fn description(model: &Model) -> Description {
    let stages = model.stages.iter().map(|stage| StageDescription {
        shape: stage.shape.clone(),
        prediction: stage.preconditioning.prediction,
        images_seen: 12,
        seconds: 90.0,
        finishes_from: Vec::new(),
        finishing_noise: Vec::new(),
        components: stage.preconditioning.components.as_ref().map_or(0, Components::count),
        clusters: stage.preconditioning.components.as_ref().and_then(Components::clusters).map_or(0, Clusters::count),
        probe: pollster::block_on(Probe::measure(stage, &Device::flex())).unwrap(),
    });
    Description {
        layout: LAYOUT,
        name: "discs".into(),
        stages: stages.collect(),
        usual_steps: model.usual_steps,
        data: DataCard { name: "discs".into(), licence: "CC0-1.0".into(), pictures: 3 },
        quality: BTreeMap::from([
            ("KID × 1000 at 16 px".into(), 8.512),
            ("KID × 1000 at 16 px of real pictures, noise of σ = 0.10".into(), 110.49),
            ("FID at 8 px".into(), 169.02),
            ("recall at 16 px".into(), 0.0053),
            ("sharpness".into(), 3.0),
        ]),
        crate_version: "0.1.0".into(),
    }
}

fn file(storage: Storage) -> Vec<u8> {
    let model = small_model(&Device::flex());
    pollster::block_on(encode(&model, &description(&model), storage)).unwrap()
}

/// The file as a page hands it to its workers.
fn inflated(bytes: &[u8]) -> Result<Vec<u8>, ContainerError> {
    pollster::block_on(chrysalis::weights::inflated(bytes, async || {}))
}

fn fails(bytes: &[u8]) -> WeightsError {
    match decode(bytes, &Device::flex()) {
        Ok(_) => panic!("a wrong file was read"),
        Err(error) => error,
    }
}

/// The same file with another header.
fn with_header(bytes: &[u8], change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    change(&mut header);
    let header = serde_json::to_vec(&header).unwrap();
    [&(header.len() as u64).to_le_bytes(), header.as_slice(), &bytes[8 + length..]].concat()
}

/// The same file with another description.
fn with_description(bytes: &[u8], change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
    with_header(bytes, |header| {
        let text = header["__metadata__"]["chrysalis"].as_str().unwrap();
        let mut description: serde_json::Value = serde_json::from_str(text).unwrap();
        change(&mut description);
        header["__metadata__"]["chrysalis"] = description.to_string().into();
    })
}

fn denoised(model: &Model) -> Tensor<4> {
    let x = BatchNoise::new(&[4], [3, 16, 16], &Device::flex()).draw();
    model.stages[1].denoise(x.clone(), 0.7, Some(x))
}

#[test]
fn a_model_survives_the_file_in_every_storage() {
    let device = Device::flex();
    let model = small_model(&device);
    let wanted = description(&model);
    for (storage, most) in [(Storage::F32, 1e-6), (Storage::F16, 5e-3), (Storage::Int8, 0.12), (Storage::Compact, 0.5)]
    {
        let read = decode(&file(storage), &device).unwrap();
        assert_eq!(read.description, wanted);
        for (read, stage) in read.model.stages.iter().zip(&model.stages) {
            assert_eq!(read.preconditioning, stage.preconditioning, "bands are never rounded");
        }
        let off: f32 = (denoised(&read.model) - denoised(&model)).abs().max().into_scalar();
        assert!(off <= most, "{storage:?}: off by {off}");
        assert!(storage == Storage::F32 || off > 0.0, "{storage:?} rounds nothing");
    }
    let sizes = [Storage::F32, Storage::F16, Storage::Int8, Storage::Compact].map(|storage| file(storage).len() as f64);
    assert!((1.8..2.1).contains(&(sizes[0] / sizes[1])) && sizes[0] / sizes[2] > 3.0, "{sizes:?}");
    assert!(sizes[0] / sizes[3] > 4.5, "{sizes:?}");
}

/// A model that knows the principal components of its small pictures, as they come back from a file.
fn model_with_components() -> Model {
    let mut model = small_model(&Device::flex());
    let measured = &mut model.stages[0].preconditioning;
    measured.components = Some(rounded_components(&strange_components(8), measured.bands.scale()));
    model
}

#[test]
fn components_of_small_pictures_are_rounded_once_and_alike_in_every_storage() {
    let (exact, model) = (strange_components(8), model_with_components());
    let wanted = model.stages[0].preconditioning.components.clone().unwrap();
    let step = 0.105 * model.stages[0].preconditioning.bands.scale() as f32;
    let off = |a: &Components, b: &Components| {
        let both = a.loadings().iter().chain(a.mean()).zip(b.loadings().iter().chain(b.mean()));
        both.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    };
    // Steps of cosines, of which 64 make a pixel.
    assert!((1e-3..2.0 * step).contains(&off(&wanted, &exact)), "{} {step}", off(&wanted, &exact));
    for storage in [Storage::F32, Storage::F16, Storage::Int8, Storage::Compact] {
        let file = pollster::block_on(encode(&model, &description(&model), storage)).unwrap();
        let plain = inflated(&file).unwrap();
        for bytes in [&file, &plain] {
            let read = decode(bytes, &Device::flex()).unwrap();
            let found = read.model.stages[0].preconditioning.components.as_ref().unwrap();
            assert!(found.count() == 3 && off(found, &wanted) < 1e-4, "{storage:?}: {}", off(found, &wanted));
            assert!(read.model.stages[1].preconditioning.components.is_none());
        }
    }
}

/// The same with clusters.
fn model_with_clusters() -> Model {
    let mut model = model_with_components();
    let measured = &mut model.stages[0].preconditioning;
    let components = measured.components.take().unwrap();
    let clusters = strange_clusters(8).clusters().unwrap().clone();
    let rounded = rounded_clusters(&clusters, measured.bands.scale());
    measured.components = Some(components.with_clusters(rounded).unwrap());
    model
}

#[test]
fn clusters_of_small_pictures_are_rounded_once_and_alike_in_every_storage() {
    let (exact, model) = (strange_clusters(8), model_with_clusters());
    let exact = exact.clusters().unwrap();
    let wanted = model.stages[0].preconditioning.components.clone().unwrap();
    let wanted = wanted.clusters().unwrap();
    let scale = model.stages[0].preconditioning.bands.scale() as f32;
    for (rounded, exact) in wanted.centres().iter().zip(exact.centres()) {
        assert!((rounded - exact).abs() <= 0.26 * scale, "{rounded} {exact}");
    }
    for (rounded, exact) in wanted.deviations().iter().zip(exact.deviations()) {
        assert!((rounded / exact).ln().abs() <= 0.26, "{rounded} {exact}");
    }
    for (rounded, exact) in wanted.shares().iter().zip(exact.shares()) {
        assert!((rounded / exact).ln().abs() <= 0.51, "{rounded} {exact}");
    }
    for storage in [Storage::F32, Storage::F16, Storage::Int8, Storage::Compact] {
        let file = pollster::block_on(encode(&model, &description(&model), storage)).unwrap();
        for bytes in [&file, &inflated(&file).unwrap()] {
            let read = decode(bytes, &Device::flex()).unwrap();
            let found = read.model.stages[0].preconditioning.components.as_ref().unwrap().clusters().unwrap().clone();
            let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-5 * b.abs());
            assert_eq!(found.centres(), wanted.centres());
            assert!(near(found.deviations(), wanted.deviations()) && near(found.shares(), wanted.shares()));
        }
    }
}

#[test]
fn clusters_of_pictures_that_are_alike_come_back_too() {
    let mut model = small_model(&Device::flex());
    let measured = &mut model.stages[0].preconditioning;
    let loadings = (0..60 * 3 * 64).map(|i| (i as f32 * i as f32 * 0.37).sin()).collect();
    let components = Components::new(8, vec![0.0; 3 * 64], loadings).unwrap();
    let components = rounded_components(&components, measured.bands.scale());
    // Numbers that are all the same are coded in next to nothing.
    let count = 64 * components.axes().len();
    assert!(count > 2000, "enough of them");
    let alike = Clusters::new(vec![1.0; 64], vec![0.0; count], vec![1.0; count]).unwrap();
    measured.components = Some(components.with_clusters(alike.clone()).unwrap());
    let file = pollster::block_on(encode(&model, &description(&model), Storage::Compact)).unwrap();
    for bytes in [&file, &inflated(&file).unwrap()] {
        let read = decode(bytes, &Device::flex()).unwrap();
        assert_eq!(read.model.stages[0].preconditioning.components.as_ref().unwrap().clusters(), Some(&alike));
    }
}

#[test]
fn impossible_clusters_are_named() {
    let model = model_with_clusters();
    let whole = pollster::block_on(encode(&model, &description(&model), Storage::F32)).unwrap();
    let claiming = |count: u64| {
        fails(&with_description(&whole, |description| description["stages"][0]["clusters"] = count.into()))
    };
    assert!(matches!(claiming(1 << 40), WeightsError::ClusterCount { stage: 1, found: 0x100_0000_0000 }));
    assert!(claiming(65).to_string().contains("at most 64"), "{}", claiming(65));
    assert!(matches!(claiming(4), WeightsError::TensorShape { .. }));
    assert!(matches!(claiming(0), WeightsError::Unknown(name) if name.starts_with("0.clusters")));
    let along_nothing = with_description(&whole, |description| description["stages"][0]["components"] = 0.into());
    assert!(matches!(fails(&along_nothing), WeightsError::ClusterCount { stage: 1, found: 3 }));
    for gone in ["0.clusters.centres", "0.clusters.reaches"] {
        let missing = with_header(&whole, |header| {
            let tensor = header.as_object_mut().unwrap().remove(gone).unwrap();
            header["another"] = tensor;
        });
        assert!(matches!(fails(&missing), WeightsError::Missing(name) if name == gone));
    }
    // Steps of which the numbers reach further than any picture.
    let length = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&whole[8..8 + length]).unwrap();
    for scales in ["0.clusters.centres.scale", "0.clusters.reaches.scale"] {
        let at = 8 + length + header[scales]["data_offsets"][0].as_u64().unwrap() as usize;
        let mut damaged = whole.clone();
        damaged[at..at + 4].copy_from_slice(&1e6f32.to_le_bytes());
        assert!(matches!(fails(&damaged), WeightsError::Components { stage: 1, error: ComponentsError::Clusters }));
    }
}

#[test]
fn impossible_components_are_named() {
    let model = model_with_components();
    let whole = pollster::block_on(encode(&model, &description(&model), Storage::F32)).unwrap();
    let claiming = |stage: usize, count: u64| {
        fails(&with_description(&whole, |description| description["stages"][stage]["components"] = count.into()))
    };
    assert!(matches!(claiming(0, 1 << 40), WeightsError::ComponentCount { stage: 1, found: 0x100_0000_0000 }));
    assert!(claiming(0, 129).to_string().contains("at most 128"), "{}", claiming(0, 129));
    assert!(matches!(claiming(1, 3), WeightsError::ComponentCount { stage: 2, .. }));
    assert!(matches!(claiming(0, 4), WeightsError::TensorShape { .. }));
    assert!(matches!(claiming(0, 0), WeightsError::Unknown(name) if name.starts_with("0.components")));
    let missing = with_header(&whole, |header| {
        let tensor = header.as_object_mut().unwrap().remove("0.components").unwrap();
        header["another"] = tensor;
    });
    assert!(matches!(fails(&missing), WeightsError::Missing(name) if name == "0.components"));
}

#[test]
fn a_file_with_its_coding_undone_is_the_same_model() {
    let device = Device::flex();
    for storage in [Storage::F32, Storage::F16, Storage::Int8, Storage::Compact] {
        let file = file(storage);
        let plain = inflated(&file).unwrap();
        if storage == Storage::Compact {
            let largest = self::file(Storage::Int8).len();
            assert!(plain.len() > file.len() && plain.len() < largest + largest / 10, "{} bytes", plain.len());
        }
        let [read, again] = [&file, &plain].map(|bytes| decode(bytes, &device).unwrap());
        assert_eq!(read.description, again.description);
        assert_eq!(denoised(&read.model).into_data(), denoised(&again.model).into_data(), "{storage:?}");
        // Nothing is left to undo.
        assert_eq!(inflated(&plain).unwrap().len(), plain.len());
    }
    // What a page can say before it asks a device.
    let compact = file(Storage::Compact);
    assert!(matches!(inflated(&compact[..100]), Err(ContainerError::HeaderLength { .. })));
    assert!(matches!(inflated(&compact[..compact.len() - 1]), Err(ContainerError::Length(_))));
    let header = u64::from_le_bytes(compact[..8].try_into().unwrap()) as usize + 8;
    let mut garbled = compact;
    garbled[header..].iter_mut().for_each(|byte| *byte = byte.wrapping_mul(31).wrapping_add(7));
    let error = inflated(&garbled).unwrap_err().to_string();
    assert!(error.contains("cannot be decoded") && error.contains("fetch or export it again"), "{error}");
    // Kilobytes that stand for a gigabyte.
    let mut zeros = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut zeros, &[0; 1 << 20]).unwrap();
    let zeros = zeros.finish().unwrap();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::U8, vec![zeros.len()], &zeros).unwrap();
    let about = std::collections::HashMap::from([("chrysalis".to_string(), "{}".to_string())]);
    let bomb = safetensors::serialize([("0.stem.weight", view)], Some(about)).unwrap();
    assert!(matches!(inflated(&bomb), Err(ContainerError::Coding { .. })), "{} bytes", bomb.len());
    // Of many dimensions, but not those of the network.
    let other = with_header(&inflated(&file(Storage::Compact)).unwrap(), |header| {
        let tensors = header.as_object_mut().unwrap().values_mut();
        let shape = &mut tensors.into_iter().find(|tensor| tensor["dtype"] == "I8").unwrap()["shape"];
        *shape = serde_json::json!([1, shape[0]]);
    });
    assert!(matches!(fails(&other), WeightsError::TensorShape { .. }), "{}", fails(&other));
}

#[test]
fn training_rounds_weights_as_the_file_does() {
    let device = Device::flex();
    let model = small_model(&device);
    for storage in [Storage::Int8, Storage::Compact] {
        let read = decode(&file(storage), &device).unwrap().model;
        let mut rounded_too = model.clone();
        for stage in &mut rounded_too.stages {
            stage.unet = rounded(stage.unet.clone(), storage);
        }
        let off: f32 = (denoised(&read) - denoised(&rounded_too)).abs().max().into_scalar();
        assert!(off < 1e-4, "{storage:?}: off by {off}");
    }
    let kept = rounded(model.stages[0].unet.clone(), Storage::F32).trunk().stem.unit();
    assert_eq!(kept.into_data(), model.stages[0].unet.trunk().stem.unit().into_data());
}

#[test]
fn the_probe_passes_on_a_sound_model_and_fails_on_another() {
    let device = Device::flex();
    let read = decode(&file(Storage::F32), &device).unwrap();
    let sampling = read.model.for_sampling(&device);
    for (index, described) in read.description.stages.iter().enumerate() {
        let probe = &described.probe;
        pollster::block_on(probe.check(&sampling.stages()[index], &device)).unwrap();

        let mut other = read.model.clone();
        other.stages[index].unet = crate::support::with_gains(other.stages[index].unet.clone(), 0.5, 0.0);
        let other = other.for_sampling(&device);
        let error = pollster::block_on(probe.check(&other.stages()[index], &device)).unwrap_err();
        assert!(matches!(error, ProbeError::Wrong { off } if off > 0.02), "{error}");

        for expected in [vec![], vec![f32::NAN; probe.expected.len()]] {
            assert!(pollster::block_on(Probe { expected }.check(&sampling.stages()[index], &device)).is_err());
        }
    }
}

#[test]
fn cut_off_files_are_named_at_every_length() {
    let whole = file(Storage::F16);
    let header = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize + 8;
    for length in [0, 1, 7] {
        assert!(matches!(fails(&whole[..length]), WeightsError::Container(ContainerError::TooShort { .. })));
    }
    for length in [8, 100, header - 1] {
        assert!(matches!(fails(&whole[..length]), WeightsError::Container(ContainerError::HeaderLength { .. })));
    }
    for length in [header, header + 1, whole.len() - 1] {
        assert!(
            matches!(fails(&whole[..length]), WeightsError::Container(ContainerError::Length(_))),
            "{}",
            fails(&whole[..length])
        );
    }
    let longer = [whole.as_slice(), &[0; 16]].concat();
    assert!(matches!(fails(&longer), WeightsError::Container(ContainerError::Length(_))));
}

#[test]
fn hostile_header_lengths_allocate_nothing() {
    for claimed in [u64::MAX, u64::MAX / 2, 1 << 40, 1 << 31, (1 << 20) + 1] {
        let bytes = [&claimed.to_le_bytes(), [b' '; 64].as_slice()].concat();
        assert!(matches!(fails(&bytes), WeightsError::Container(ContainerError::HeaderLength { .. })));
    }
    // A header of the greatest allowed length that holds nothing.
    let long = [&(1u64 << 20).to_le_bytes(), vec![b' '; 1 << 20].as_slice()].concat();
    assert!(matches!(fails(&long), WeightsError::Container(ContainerError::Header(_))));
}

#[test]
fn foreign_and_later_files_are_named() {
    let whole = file(Storage::F16);
    let foreign = with_header(&whole, |header| {
        header.as_object_mut().unwrap().remove("__metadata__");
    });
    assert!(matches!(fails(&foreign), WeightsError::Container(ContainerError::Foreign)));
    let other = with_header(&whole, |header| header["__metadata__"] = serde_json::json!({"format": "pt"}));
    assert!(fails(&other).to_string().contains("comes from another program"));
    let later = with_description(&whole, |description| {
        description["layout"] = 99.into();
        description["a field of the future"] = 1.into();
    });
    assert!(matches!(fails(&later), WeightsError::Layout { found: 99 }));
    let strange = with_description(&whole, |description| description["colour"] = "blue".into());
    assert!(matches!(fails(&strange), WeightsError::Description(_)));
}

#[test]
fn impossible_descriptions_are_named_before_anything_is_built() {
    let whole = file(Storage::F16);
    let changed = |path: &str, value: serde_json::Value| {
        fails(&with_description(&whole, |description| *description.pointer_mut(path).unwrap() = value))
    };
    let shape = |field: &str| format!("/stages/0/shape/{field}");
    assert!(matches!(changed(&shape("layers/widths"), serde_json::json!([1_000_000_000, 8])), WeightsError::Shape(_)));
    assert!(matches!(changed(&shape("layers/depth"), 1_000_000.into()), WeightsError::Shape(_)));
    assert!(matches!(changed(&shape("image_size"), 17.into()), WeightsError::Shape(_)));
    assert!(matches!(changed(&shape("patch"), 0.into()), WeightsError::Shape(_)));
    assert!(matches!(changed(&shape("patch"), 1_000_000_000u64.into()), WeightsError::Shape(_)));
    assert!(matches!(changed("/stages", serde_json::json!([])), WeightsError::Shape(_)));
    let finishing = |levels: serde_json::Value| {
        with_description(&whole, |description| description["stages"][1]["finishes_from"] = levels)
    };
    for levels in [&[0.0][..], &[-1.0], &[1e9], &[0.5, 40.0], &[0.5, 0.5], &[5.0, 4.0, 3.0, 2.0, 1.0]] {
        let error = fails(&finishing(levels.into()));
        assert!(matches!(&error, WeightsError::NoiseLevels { found } if found == levels), "{error}");
    }
    let noise = |noise: serde_json::Value| {
        with_description(&finishing([40.0, 0.5].into()), |description| {
            description["stages"][1]["finishing_noise"] = noise;
        })
    };
    for share in [&[0.0][..], &[-1.0], &[1e9], &[1.0, 0.01], &[1.0, 1.0, 1.0]] {
        let error = fails(&noise(share.into()));
        assert!(matches!(&error, WeightsError::FinishingNoise { found } if found == share), "{error}");
    }
    let read = decode(&noise([1.1, 0.7].into()), &Device::flex()).unwrap();
    assert_eq!(read.model.stages[1].finishing_noise, [1.1, 0.7]);
    let usual = |steps: u64| with_description(&whole, |description| description["usual_steps"] = steps.into());
    for steps in [0, 65] {
        assert!(matches!(fails(&usual(steps)), WeightsError::UsualSteps { found } if found == steps as usize));
    }
    assert_eq!(decode(&usual(4), &Device::flex()).unwrap().model.for_sampling(&Device::flex()).usual().steps, 4);
    assert_eq!(decode(&whole, &Device::flex()).unwrap().model.for_sampling(&Device::flex()).usual().steps, 12);
    // What stood there at first was a number.
    for levels in [serde_json::json!(40.0), serde_json::json!([40.0])] {
        let read = decode(&finishing(levels), &Device::flex()).unwrap();
        assert_eq!(read.model.stages[1].finishes_from, [40.0]);
    }
    // A large but possible network: its tensors are looked for, and not made.
    let large = changed(&shape("layers/widths"), serde_json::json!([4096, 4096]));
    assert!(matches!(large, WeightsError::TensorShape { .. }), "{large}");
}

#[test]
fn wrong_tensors_are_named() {
    let whole = file(Storage::F32);
    let name = "0.stem.weight";
    let missing = with_header(&whole, |header| {
        let tensor = header.as_object_mut().unwrap().remove(name).unwrap();
        header["another"] = tensor;
    });
    assert!(matches!(fails(&missing), WeightsError::Missing(missing) if missing == name));
    let reshaped = with_header(&whole, |header| {
        let shape = header[name]["shape"].as_array_mut().unwrap();
        shape.reverse();
    });
    assert!(matches!(fails(&reshaped), WeightsError::TensorShape { name: found, .. } if found == name));
    let retyped = with_header(&whole, |header| header[name]["dtype"] = "I32".into());
    assert!(fails(&retyped).to_string().contains("'0.stem.weight' is stored as I32"));
    let halved = with_header(&whole, |header| header[name]["dtype"] = "F16".into());
    assert!(matches!(fails(&halved), WeightsError::Container(ContainerError::Length(_))));

    let extra = with_description(&file(Storage::F32), |description| {
        description["stages"][0]["shape"]["layers"]["head_width"] = 0.into()
    });
    assert!(fails(&extra).to_string().contains("attention"), "{}", fails(&extra));

    // A coded tensor that is cut off, and one that would fill memory with zeros.
    let coded = file(Storage::Compact);
    let claims_more = with_description(&coded, |description| {
        description["stages"][0]["shape"]["layers"]["widths"] = serde_json::json!([16, 4096])
    });
    assert!(matches!(
        fails(&claims_more),
        WeightsError::Container(ContainerError::Coding { .. }) | WeightsError::TensorShape { .. }
    ));
    let header = u64::from_le_bytes(coded[..8].try_into().unwrap()) as usize + 8;
    let mut garbled = coded.clone();
    garbled[header..].iter_mut().for_each(|byte| *byte = byte.wrapping_mul(31).wrapping_add(7));
    assert!(matches!(
        fails(&garbled),
        WeightsError::Container(ContainerError::Coding { .. })
            | WeightsError::NotFinite { .. }
            | WeightsError::Bands { .. }
    ));

    let mut poisoned = whole.clone();
    let last = poisoned.len() - 4;
    poisoned[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    assert!(matches!(fails(&poisoned), WeightsError::NotFinite { .. }));

    // Bands that are no rotation any more: one number of it is another.
    let length = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&whole[8..8 + length]).unwrap();
    let at = 8 + length + header["1.bands.rotation"]["data_offsets"][0].as_u64().unwrap() as usize;
    let mut sheared = whole;
    sheared[at..at + 4].copy_from_slice(&0.9f32.to_le_bytes());
    assert!(matches!(fails(&sheared), WeightsError::Bands { stage: 2, .. }));
}

#[test]
fn a_diverged_model_is_not_exported() {
    let model = small_model(&Device::flex());
    let about = description(&model);
    let mut broken = model;
    broken.stages[1].unet = crate::support::with_gains(broken.stages[1].unet.clone(), f64::NAN, 0.0);
    let error = pollster::block_on(encode(&broken, &about, Storage::F16)).unwrap_err().to_string();
    assert!(error.contains("head_gain") && error.contains("diverged"), "{error}");
}

#[test]
fn the_model_card_says_what_the_file_is() {
    let model = small_model(&Device::flex());
    let notes = "\n## Known faults\n\nDiscs are round.\n";
    let facts = CardFacts { storage: Storage::F16, parameters: 123_456, bytes: 250_000, notes };
    let mut described = description(&model);
    described.stages[0].finishes_from = vec![0.5];
    described.stages[1].finishes_from = vec![40.0, 1.25];
    described.stages[1].finishing_noise = vec![1.1, 0.7];
    described.stages[0].components = 3;
    let card = model_card(&described, facts);
    let quality = "| | | at 8 px | at 16 px |\n|---|---|---|---|\n\
                   | KID × 1000 | | | 8.5 |\n| KID × 1000 of real pictures, noise of σ = 0.10 | | | 110 |\n\
                   | FID | | 169 | |\n| recall | | | 0.005 |\n| sharpness | 3.0 | | |\n\n## Known faults\n\nDiscs are round.\n\n## Use\n";
    assert!(card.contains(quality), "{card}");
    for needed in [
        "# discs",
        "16 × 16",
        "f16, 0.12 million parameters, 0.25 MB",
        "CC0-1.0",
        "| usually sampled | in 12 step(s) of stage 1 |",
        "stage 1 | makes 8 × 8 pixels",
        "stage 2 | adds detail to pictures enlarged 2 times, to 16 × 16 pixels",
        "12 pictures seen (4 passes), 2 minutes; tuned against a discriminator to finish in one evaluation from σ = 0.5 times the data's scale (their root mean square about the mean); \
         3 principal components of whole pictures, from which `dpm` begins in few steps |",
        "in one evaluation from σ = 40 times the data's scale (their root mean square about the mean), and again from 1.25; the noise \
         there is, for each of these σ that it is told (S_noise): 1.1, 0.7 |",
    ] {
        assert!(card.contains(needed), "{needed} is missing in:\n{card}");
    }
}

#[test]
fn the_shipped_cards_are_those_of_their_files() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("weights");
    for name in ["butterflies-128", "heliconius-128"] {
        let read = |ending: &str| std::fs::read(folder.join(format!("{name}.{ending}"))).unwrap();
        let bytes = read("safetensors");
        let Weights { model, description } = decode(&bytes, &Device::flex()).unwrap();
        let parameters = model.stages.iter().map(|stage| stage.unet.num_params()).sum();
        let notes = String::from_utf8(read("notes.md")).unwrap();
        let facts = CardFacts { storage: Storage::Compact, parameters, bytes: bytes.len(), notes: &notes };
        let card = model_card(&description, facts);
        assert!(card.as_bytes() == read("md"), "weights/{name}.md is not what export writes, which is:\n{card}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever happens to a file, reading it ends in a model or an error, never in a panic.
    #[test]
    fn mutated_files_never_panic(
        storage in 0..3usize,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        in_header in any::<bool>(),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        thread_local! {
            static FILES: [Vec<u8>; 3] = [file(Storage::F16), file(Storage::Int8), file(Storage::Compact)];
        }
        let mut bytes = FILES.with(|files| files[storage].clone());
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize + 8;
        for (place, value) in edits {
            let range = if in_header { header } else { bytes.len() };
            let at = place.index(range);
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Err(error) = decode(&bytes, &Device::flex()) {
            prop_assert!(error.to_string().len() < 4000);
        }
    }
}
