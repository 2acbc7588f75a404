//! Where bytes of strangers come in: each fuzz target calls one of these, and an ordinary test replays the corpus
//! through the same. Whatever the bytes are, none of them panics.

use std::path::Path;

use burn::tensor::Device;
use chrysalis::address::Address;
use chrysalis::data::{Dataset, Squaring};
use chrysalis::train::TrainConfig;
use chrysalis::weights::decode;

/// A weight file, as the page and `sample` read it.
pub fn weights(bytes: &[u8]) {
    said(decode(bytes, &Device::flex()).err());
}

/// A loose picture.
pub fn pictures(bytes: &[u8]) {
    as_file(bytes, "picture.png", |path| said(load(path).err()));
}

/// A Parquet file of pictures.
pub fn parquet(bytes: &[u8]) {
    as_file(bytes, "pictures.parquet", |path| said(load(path).err()));
}

/// The settings of a run. Those that are read can be written, and read again.
pub fn config(bytes: &[u8]) {
    as_file(bytes, "config.toml", |path| match TrainConfig::read(path) {
        Ok(config) => {
            let again = config.to_toml().map(|text| {
                std::fs::write(path, text).expect("a temporary file can be written");
                TrainConfig::read(path).expect("what was written can be read")
            });
            assert!(again.is_ok_and(|again| again == config), "{config:?} is another when it is read again");
        }
        Err(error) => said(Some(error)),
    });
}

/// What follows the question mark of an address, without its escapes. A butterfly that it asks for has an address of
/// its own, which asks for the same.
pub fn address(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let pairs: Vec<(&str, &str)> = text.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let value = |name: &str| pairs.iter().find(|(there, _)| *there == name).map(|(_, value)| value.to_string());
    let address = Address::parse(value);
    assert!(!(address.hatch && address.fault.is_some()), "{address:?} hatches something else than it was asked for");
    let parameters = Address::parameters(&address.request);
    let again = Address::parse(|name| parameters.iter().find(|(there, _)| *there == name)?.1.clone());
    assert_eq!((again.request, again.fault), (address.request, None));
}

fn load(path: &Path) -> Result<Dataset, chrysalis::data::DataError> {
    Dataset::load(&path.to_string_lossy(), 16, Squaring::Pad)
}

/// Every error can be told.
fn said(error: Option<impl std::error::Error>) {
    assert!(error.is_none_or(|error| !error.to_string().is_empty()));
}

fn as_file(bytes: &[u8], name: &str, read: impl FnOnce(&Path)) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("a temporary file can be written");
    read(&path);
}
