//! Datasets of the Hugging Face hub, fetched into its normal cache.

use std::path::PathBuf;

use hf_hub::api::sync::{Api, ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};

use super::{DataError, folder};

/// The branch to which the hub itself converts datasets that have no Parquet files of their own.
const CONVERTED: &str = "refs/convert/parquet";
const PICTURES: [&str; 4] = ["png", "jpg", "jpeg", "webp"];

/// What a dataset turned out to hold.
pub enum Fetched {
    /// Parquet files.
    Parquet(Vec<PathBuf>),
    /// Loose pictures.
    Pictures(Vec<PathBuf>),
}

/// Whether a text has the form OWNER/NAME.
pub fn is_name(source: &str) -> bool {
    let part = |text: &str| {
        !text.is_empty()
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
            && !text.starts_with('.')
    };
    source.split_once('/').is_some_and(|(owner, name)| part(owner) && part(name))
}

/// Brings a dataset's files to this machine; what is in the cache already is not fetched again, and serves off line.
pub fn fetch(name: &str) -> Result<Fetched, DataError> {
    let failed = |error: ApiError| DataError::Hub { name: name.into(), reason: error.to_string() };
    let api = ApiBuilder::from_env().build().map_err(failed)?;
    match from_hub(&api, name) {
        Ok(Some(fetched)) => Ok(fetched),
        Ok(None) => {
            Err(DataError::Hub { name: name.into(), reason: "it holds neither Parquet files nor pictures".into() })
        }
        Err(error) => from_cache(name).ok_or_else(|| failed(error)),
    }
}

fn from_hub(api: &Api, name: &str) -> Result<Option<Fetched>, ApiError> {
    let main = api.dataset(name.into());
    let files = listing(&main)?;
    let parquet = with_extension(&files, &["parquet"]);
    if !parquet.is_empty() {
        return Ok(Some(Fetched::Parquet(get(&main, &parquet)?)));
    }
    let pictures = with_extension(&files, &PICTURES);
    if !pictures.is_empty() {
        return Ok(Some(Fetched::Pictures(get(&main, &pictures)?)));
    }
    let converted = api.repo(Repo::with_revision(name.into(), RepoType::Dataset, CONVERTED.into()));
    let files = listing(&converted)?;
    let parquet = with_extension(&files, &["parquet"]);
    Ok(if parquet.is_empty() { None } else { Some(Fetched::Parquet(get(&converted, &parquet)?)) })
}

fn listing(repo: &ApiRepo) -> Result<Vec<String>, ApiError> {
    Ok(repo.info()?.siblings.into_iter().map(|file| file.rfilename).collect())
}

fn with_extension<'a>(files: &'a [String], extensions: &[&str]) -> Vec<&'a str> {
    let matches =
        |file: &&str| file.rsplit_once('.').is_some_and(|(_, end)| extensions.contains(&end.to_lowercase().as_str()));
    files.iter().map(String::as_str).filter(matches).collect()
}

fn get(repo: &ApiRepo, files: &[&str]) -> Result<Vec<PathBuf>, ApiError> {
    files.iter().map(|file| repo.get(file)).collect()
}

/// The newest snapshot in the cache, for a machine that is off line.
fn from_cache(name: &str) -> Option<Fetched> {
    let snapshots = Cache::from_env().path().join(Repo::dataset(name.into()).folder_name()).join("snapshots");
    let newest = std::fs::read_dir(snapshots)
        .ok()?
        .filter_map(Result::ok)
        .max_by_key(|entry| entry.metadata().and_then(|metadata| metadata.modified()).ok())?
        .path();
    let parquet = folder::files(&newest, &["parquet"]).ok()?;
    if !parquet.is_empty() {
        return Some(Fetched::Parquet(parquet));
    }
    let pictures = folder::files(&newest, &PICTURES).ok()?;
    (!pictures.is_empty()).then_some(Fetched::Pictures(pictures))
}
