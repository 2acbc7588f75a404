//! The files of a folder.

use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::Skipped;
use crate::files::FileError;

/// What was found below a path.
#[derive(Debug, Default)]
pub struct Listing {
    /// All files, sorted; those that are hidden or lie in hidden folders are passed over.
    files: Vec<PathBuf>,
    /// Entries that could not be looked at: dangling links, an editor's lock file, closed folders.
    pub unreadable: Vec<Skipped>,
}

impl Listing {
    /// Looks below `path`, or at `path` itself if it is a file.
    ///
    /// # Errors
    /// When `path` itself cannot be looked at.
    pub fn of(path: &Path) -> Result<Self, FileError> {
        let mut listing = Self::default();
        let visible =
            |entry: &walkdir::DirEntry| entry.depth() == 0 || !entry.file_name().to_string_lossy().starts_with('.');
        for entry in WalkDir::new(path).follow_links(true).sort_by_file_name().into_iter().filter_entry(visible) {
            match entry {
                Ok(entry) if entry.file_type().is_file() => listing.files.push(entry.into_path()),
                Ok(_) => {}
                Err(error) if error.depth() > 0 => {
                    let name = error.path().unwrap_or(path);
                    if !is_hidden(name) {
                        let reason = error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
                        listing.unreadable.push(Skipped { name: name.display().to_string(), reason });
                    }
                }
                Err(error) => {
                    return Err(FileError { path: path.into(), doing: "listing the folder", source: error.into() });
                }
            }
        }
        Ok(listing)
    }

    /// The files with one of the extensions, in any case.
    pub fn with_extension(&self, extensions: &[&str]) -> Vec<PathBuf> {
        let fits = |path: &&PathBuf| {
            let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
            extension.is_some_and(|extension| extensions.contains(&extension.as_str()))
        };
        self.files.iter().filter(fits).cloned().collect()
    }
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}
