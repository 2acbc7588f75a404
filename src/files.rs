//! Files that are whole or not there: written aside, then renamed.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A file or folder that could not be read or written.
#[derive(Debug, Error)]
#[error("{path}: {doing} failed: {source}", path = .path.display())]
pub struct FileError {
    /// Which file or folder.
    pub path: PathBuf,
    /// What was being done.
    pub doing: &'static str,
    /// What the system said.
    pub source: std::io::Error,
}

impl FileError {
    /// For `map_err`: an error about `path`.
    pub fn at<'a>(path: &'a Path, doing: &'static str) -> impl FnOnce(std::io::Error) -> Self + 'a {
        move |source| Self { path: path.to_path_buf(), doing, source }
    }
}

/// Writes a file so that it is either as it was or whole, and makes its folder.
///
/// # Errors
/// When the folder cannot be made, or the file not be written or renamed.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let folder = folder_of(path);
    std::fs::create_dir_all(folder).map_err(FileError::at(folder, "making the folder"))?;
    let mut aside = tempfile::Builder::new()
        .prefix(ASIDE)
        .tempfile_in(folder)
        .map_err(FileError::at(folder, "making a temporary file in this folder"))?;
    aside.write_all(bytes).map_err(FileError::at(path, "writing"))?;
    aside.as_file().sync_all().map_err(FileError::at(path, "writing to the disk"))?;
    allow_reading(aside.path()).map_err(FileError::at(path, "setting permissions"))?;
    aside.persist(path).map_err(|error| FileError { path: path.into(), doing: "renaming", source: error.error })?;
    Ok(())
}

/// What the names of files and folders begin with that are being written.
pub const ASIDE: &str = ".aside-";

/// Removes what was left half-written below a folder. What cannot be removed stays, and is in nobody's way.
pub fn sweep(folder: &Path) {
    let all = walkdir::WalkDir::new(folder).into_iter().filter_map(Result::ok);
    let aside: Vec<PathBuf> = all
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(ASIDE))
        .map(walkdir::DirEntry::into_path)
        .collect();
    for path in aside {
        let _ = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
    }
}

/// Reads a whole file.
///
/// # Errors
/// When it cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    std::fs::read(path).map_err(FileError::at(path, "reading"))
}

/// Reads a file of at most `most` bytes.
///
/// # Errors
/// When it cannot be read, or is larger.
pub fn read_at_most(path: &Path, most: u64) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(FileError::at(path, "opening"))?;
    file.take(most + 1).read_to_end(&mut bytes).map_err(FileError::at(path, "reading"))?;
    if bytes.len() as u64 > most {
        let source = std::io::Error::other(format!("it is larger than {} MB", most >> 20));
        return Err(FileError { path: path.into(), doing: "reading", source });
    }
    Ok(bytes)
}

/// The folder that a path lies in.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Temporary files are made for their owner alone; what they become is for everyone to read.
#[cfg(unix)]
fn allow_reading(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn allow_reading(_: &Path) -> std::io::Result<()> {
    Ok(())
}
