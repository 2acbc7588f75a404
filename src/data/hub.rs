//! Datasets of the Hugging Face hub, fetched into its normal cache.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use hf_hub::api::Progress;
use hf_hub::api::sync::{Api, ApiBuilder};
use hf_hub::{Cache, Repo, RepoType};
use indicatif::{ProgressBar, ProgressStyle};

use super::folder::Listing;
use super::{DataError, Found, PICTURES};
use crate::files;

/// The branch to which the hub itself converts datasets that have no Parquet files of their own.
const CONVERTED: &str = "refs/convert/parquet";
/// A file in a snapshot's folder that names its files, a line each. Only what was fetched whole has it.
const MANIFEST: &str = ".chrysalis-files";

/// How long the hub may send nothing, unless [`TIMEOUT`] says another number of seconds.
const SILENCE: Duration = Duration::from_secs(60);
/// The variable by which the hub's own programs are told that.
const TIMEOUT: &str = "HF_HUB_DOWNLOAD_TIMEOUT";
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// The most bytes and files of a dataset: far more than a small model learns from.
const LARGEST_DATASET: u64 = 50 << 30;
const MOST_FILES: usize = 100_000;

/// Why a dataset could not be fetched.
enum Failure {
    /// The hub does not answer, or says no: what was fetched before may serve.
    Unreached(String),
    /// It broke off, or is not what can be used.
    Broken(String),
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

/// Brings a dataset's files to this machine; what is in the cache already is not fetched again. What was fetched whole
/// serves off line.
pub fn fetch(name: &str) -> Result<Found, DataError> {
    let failed = |reason: String| DataError::Hub { name: name.into(), reason };
    match watched(name) {
        Ok(found) => Ok(found),
        Err(Failure::Unreached(reason)) => from_cache(name).map_err(|half| failed(reason + &half)),
        Err(Failure::Broken(reason)) => Err(failed(reason)),
    }
}

/// Fetches on a thread of its own: the hub's library waits without end for a server that has fallen silent, and may
/// panic over what one says.
fn watched(name: &str) -> Result<Found, Failure> {
    let (send, receive) = channel();
    let watch = Watch::default();
    let patience = patience()?;
    let (name, seen) = (name.to_string(), watch.clone());
    std::thread::spawn(move || {
        let _ = send.send(from_hub(&name, &seen));
    });
    let mut last = (0, Instant::now());
    loop {
        match receive.recv_timeout(LOOK) {
            Ok(result) => return result,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::Broken("what it sent was not understood".into()));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        let signs = watch.signs.load(Ordering::Relaxed);
        if signs != last.0 {
            last = (signs, Instant::now());
        }
        if last.1.elapsed() > patience {
            let reason = format!("it sent nothing for {} seconds; {TIMEOUT} allows it more", patience.as_secs());
            return Err(if watch.began.load(Ordering::Relaxed) {
                Failure::Broken(reason)
            } else {
                Failure::Unreached(reason)
            });
        }
    }
}

/// How long to wait for a sign of life.
fn patience() -> Result<Duration, Failure> {
    let Ok(told) = std::env::var(TIMEOUT) else { return Ok(SILENCE) };
    match told.trim().parse() {
        Ok(seconds @ 1..) => Ok(Duration::from_secs(seconds)),
        _ => Err(Failure::Broken(format!("{TIMEOUT} is {told:?}, and not a number of seconds"))),
    }
}

fn from_hub(name: &str, watch: &Watch) -> Result<Found, Failure> {
    let api = ApiBuilder::from_env().build().map_err(|error| Failure::Unreached(error.to_string()))?;
    let main = Remote { api: api.clone(), repo: Repo::dataset(name.into()) };
    let files = main.listing()?;
    for (extensions, kind) in [(&["parquet"][..], Found::Parquet as fn(_) -> _), (&PICTURES[..], Found::Pictures)] {
        let wanted = with_extension(&files, extensions);
        if !wanted.is_empty() {
            return Ok(kind(main.get(&wanted, watch)?));
        }
    }
    let converted = Remote { api, repo: Repo::with_revision(name.into(), RepoType::Dataset, CONVERTED.into()) };
    let files = converted.listing()?;
    let parquet = with_extension(&files, &["parquet"]);
    if parquet.is_empty() {
        return Err(Failure::Broken("it holds neither Parquet files nor pictures".into()));
    }
    Ok(Found::Parquet(converted.get(&parquet, watch)?))
}

/// A dataset of the hub at some revision.
struct Remote {
    api: Api,
    repo: Repo,
}

impl Remote {
    fn listing(&self) -> Result<Vec<String>, Failure> {
        let info = self.api.repo(self.repo.clone()).info().map_err(|error| Failure::Unreached(error.to_string()))?;
        let files: Vec<String> = info.siblings.into_iter().map(|file| file.rfilename).collect();
        if files.len() > MOST_FILES {
            return Err(Failure::Broken(format!("it has {} files, more than {MOST_FILES}", files.len())));
        }
        // A file's name becomes a path in the cache, and must not lead out of it.
        match files.iter().find(|file| !stays_inside(file)) {
            Some(file) => {
                Err(Failure::Broken(format!("it names a file {file:?}, which is no place inside of a dataset")))
            }
            None => Ok(files),
        }
    }

    /// All of the files, or an error: half a dataset is another dataset.
    fn get(&self, names: &[&str], watch: &Watch) -> Result<Vec<PathBuf>, Failure> {
        let (count, mut bytes) = (names.len(), 0);
        let mut paths = Vec::with_capacity(count);
        for (index, name) in names.iter().enumerate() {
            let path = self
                .get_one(name, &mut bytes, watch)
                .map_err(|reason| Failure::Broken(format!("{name}, file {} of {count}: {reason}", index + 1)))?;
            paths.push(path);
        }
        note_whole(&paths, names);
        Ok(paths)
    }

    fn get_one(&self, name: &str, bytes: &mut u64, watch: &Watch) -> Result<PathBuf, String> {
        watch.signs.fetch_add(1, Ordering::Relaxed);
        if let Some(path) = Cache::from_env().repo(self.repo.clone()).get(name) {
            return Ok(path);
        }
        let repo = self.api.repo(self.repo.clone());
        let metadata = self.api.metadata(&repo.url(name)).map_err(|error| error.to_string())?;
        // These become names of files, too.
        if [metadata.etag(), metadata.commit_hash()].iter().any(|part| !is_token(part)) {
            return Err("the hub gives it an impossible name".into());
        }
        *bytes += metadata.size() as u64;
        if *bytes > LARGEST_DATASET {
            return Err(format!("the dataset is larger than {} GB", LARGEST_DATASET >> 30));
        }
        watch.began.store(true, Ordering::Relaxed);
        let path = repo.download_with_progress(name, watch.bar(name)).map_err(|error| error.to_string())?;
        let found = std::fs::metadata(&path).map_err(|error| error.to_string())?.len();
        if found != metadata.size() as u64 {
            // The blob that the path leads to; what is left of it would pass for the file.
            let _ = std::fs::canonicalize(&path).map(std::fs::remove_file);
            let _ = std::fs::remove_file(&path);
            return Err(format!("it broke off after {found} of {} bytes", metadata.size()));
        }
        Ok(path)
    }
}

/// Whether a text is a word of letters and digits, as hashes are.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

/// Whether a name from elsewhere is a plain path downwards.
fn stays_inside(name: &str) -> bool {
    !name.is_empty()
        && !name.contains('\\')
        && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
}

fn with_extension<'a>(files: &'a [String], extensions: &[&str]) -> Vec<&'a str> {
    let matches =
        |file: &&str| file.rsplit_once('.').is_some_and(|(_, end)| extensions.contains(&end.to_lowercase().as_str()));
    files.iter().map(String::as_str).filter(matches).collect()
}

/// Notes what a snapshot consists of, for when the hub is out of reach. Without the note it will be fetched again,
/// which does no harm.
fn note_whole(paths: &[PathBuf], names: &[&str]) {
    let Some((path, name)) = paths.first().zip(names.first()) else { return };
    if let Some(snapshot) = path.ancestors().nth(Path::new(name).components().count()) {
        let _ = files::write(&snapshot.join(MANIFEST), names.join("\n").as_bytes());
    }
}

/// The newest snapshot in the cache that is there as a whole, for a machine that is off line; or what to add to the
/// reason why there is none.
fn from_cache(name: &str) -> Result<Found, String> {
    let folder = Cache::from_env().path().join(Repo::dataset(name.into()).folder_name()).join("snapshots");
    let snapshots: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
    let modified = |path: &PathBuf| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let newest = snapshots.iter().filter(|path| is_whole(path)).max_by_key(|path| modified(path));
    let Some(listing) = newest.and_then(|newest| Listing::of(newest).ok()) else {
        return Err(snapshots.first().map_or_else(String::new, |half| {
            format!(
                ". Some of its files are in {}, but perhaps not all: if they are, train on that folder with --data",
                half.display()
            )
        }));
    };
    let parquet = listing.with_extension(&["parquet"]);
    Ok(match parquet.is_empty() {
        true => Found::Pictures(listing.with_extension(&PICTURES)),
        false => Found::Parquet(parquet),
    })
}

fn is_whole(snapshot: &Path) -> bool {
    std::fs::read_to_string(snapshot.join(MANIFEST))
        .is_ok_and(|names| names.lines().all(|name| stays_inside(name) && snapshot.join(name).is_file()))
}

/// Signs of life of a download, for who waits for it.
#[derive(Clone, Default)]
struct Watch {
    signs: Arc<AtomicUsize>,
    /// Whether a file has been asked for.
    began: Arc<AtomicBool>,
}

impl Watch {
    fn bar(&self, name: &str) -> WatchedBar {
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("{msg}  {bar:32} {bytes} of {total_bytes}") {
            bar.set_style(style);
        }
        bar.set_message(name.to_string());
        WatchedBar { watch: self.clone(), bar }
    }
}

struct WatchedBar {
    watch: Watch,
    bar: ProgressBar,
}

impl Progress for WatchedBar {
    fn init(&mut self, size: usize, _: &str) {
        self.bar.set_length(size as u64);
    }

    fn update(&mut self, size: usize) {
        self.watch.signs.fetch_add(1, Ordering::Relaxed);
        self.bar.inc(size as u64);
    }

    fn finish(&mut self) {
        self.bar.finish_and_clear();
    }
}
