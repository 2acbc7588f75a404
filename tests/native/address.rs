//! What the page's address asks for.

use std::sync::Arc;

use chrysalis::address::Address;
use chrysalis::diffusion::Sampler;
use chrysalis::edit::{Edit, EditTask};
use chrysalis::origin::Series;
use chrysalis::pool::DevicePreference;
use chrysalis::protocol::{Purpose, SampleRequest};
use proptest::prelude::*;

fn parse(pairs: &[(&str, &str)]) -> Address {
    Address::parse(|name| pairs.iter().find(|(there, _)| *there == name).map(|(_, value)| value.to_string()))
}

#[test]
fn an_address_without_parameters_asks_for_nothing() {
    let address = parse(&[("utm_source", "elsewhere")]);
    assert_eq!((address.hatch, address.fault, address.weights), (false, None, None));
    assert_eq!(address.device, DevicePreference::Best);
    assert_eq!((address.request.sampler, address.request.steps), (None, None), "what suits the model");
}

#[test]
fn an_address_is_a_butterfly() {
    let address = parse(&[
        ("seed", "18446744073709551615"),
        ("count", "9"),
        ("steps", "64"),
        ("sampler", "ddim:0.5"),
        ("series", "morph:3"),
    ]);
    let wanted = SampleRequest {
        seed: u64::MAX,
        count: 9,
        series: Series::Morph(3),
        steps: Some(64),
        sampler: Some(Sampler::Ddim { eta: 0.5 }),
        edit: None,
        purpose: Purpose::Specimen,
    };
    assert_eq!((address.request, address.hatch, address.fault), (wanted, true, None));
    let series = |pairs: &[(&str, &str)]| parse(&[&[("seed", "5"), ("series", "relatives")], pairs].concat()).request;
    assert_eq!(
        (series(&[]).count, series(&[]).series),
        (9, Series::Relatives),
        "a series is seen as the page makes it"
    );
    assert_eq!(series(&[("count", "4")]).count, 4);
    assert_eq!(series(&[("count", "1")]).series, Series::Seeds, "one picture alone is of no series");
    let between = parse(&[("seed", "5"), ("series", "between:9:40")]).request;
    assert_eq!(
        (between.count, between.series),
        (1, Series::Between { to: 9, percent: 40 }),
        "but may lie between two seeds"
    );
    assert!(parse(&[("seed", "5"), ("series", "between:9:101")]).fault.is_some());
    let address = parse(&[("device", "cpu"), ("weights", "weights/other.safetensors")]);
    assert_eq!(address.device, DevicePreference::Cpu);
    assert_eq!(address.weights.as_deref(), Some("weights/other.safetensors"));
}

#[test]
fn what_makes_no_sense_is_told_and_nothing_else_is_hatched() {
    for (name, value, sentence) in [
        ("steps", "0", "The address asks for '0' steps, and the page takes from 1 to 64."),
        ("steps", "65", "The address asks for '65' steps, and the page takes from 1 to 64."),
        ("count", "2", "The address asks for '2' butterflies, and the page hatches 1, 4, 9, 16 or 36."),
        ("seed", "-1", "The address asks for the seed '-1', which is no whole number."),
        (
            "seed",
            "18446744073709551616",
            "The address asks for the seed '18446744073709551616', which is no whole number.",
        ),
    ] {
        let address = parse(&[(name, value), ("seed", "5")]);
        assert_eq!((address.hatch, address.fault.as_deref()), (false, Some(sentence)));
    }
    let fault = parse(&[("seed", "5"), ("series", "soap")]).fault.unwrap();
    assert!(fault.starts_with("In the address, ") && fault.contains("'soap'"), "{fault}");
    let fault = parse(&[("seed", "5"), ("sampler", "magic")]).fault.unwrap();
    assert!(fault.starts_with("In the address, ") && fault.contains("magic") && fault.ends_with('.'), "{fault}");
}

#[test]
fn what_began_with_a_picture_has_no_address() {
    let edit = Edit::new(1, vec![255; 4], EditTask::Inpainting).unwrap();
    let request =
        SampleRequest { edit: Some(Arc::new(edit)), ..parse(&[("seed", "5"), ("series", "relatives")]).request };
    assert!(Address::parameters(&request).iter().all(|(_, value)| value.is_none()));
}

proptest! {
    #[test]
    fn the_address_of_a_butterfly_asks_for_it(
        seed in any::<u64>(), count in prop::sample::select(vec![1usize, 4, 9, 16, 36]), steps in prop::option::of(1..=64usize),
        sampler in prop::option::of(prop::sample::select(vec!["ddpm", "ddim", "ddim:0.25", "heun", "heun:0.1", "dpm", "dpm-sde"])),
        series in prop::sample::select(vec![
            Series::Seeds, Series::Relatives, Series::Morph(0), Series::Morph(u64::MAX), Series::Between { to: 3, percent: 70 },
        ]),
    ) {
        let alone = matches!(series, Series::Seeds | Series::Between { .. });
        let series = if count == 1 && !alone { Series::Seeds } else { series };
        let sampler = sampler.map(|name| name.parse().unwrap());
        let request = SampleRequest { seed, count, series, steps, sampler, edit: None, purpose: Purpose::Specimen };
        let parameters = Address::parameters(&request);
        let address = Address::parse(|name| parameters.iter().find(|(there, _)| *there == name)?.1.clone());
        prop_assert_eq!((address.request, address.hatch, address.fault), (request, true, None));
    }
}
