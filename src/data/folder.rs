//! The files of a folder.

use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::files::FileError;

/// All files below `path` with one of the extensions, in any case, sorted; `path` itself if it is such a file. Hidden files and
/// folders are passed over.
pub fn files(path: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>, FileError> {
    let mut found = Vec::new();
    let visible =
        |entry: &walkdir::DirEntry| entry.depth() == 0 || !entry.file_name().to_string_lossy().starts_with('.');
    for entry in WalkDir::new(path).follow_links(true).sort_by_file_name().into_iter().filter_entry(visible) {
        let entry = match entry {
            Ok(entry) => entry,
            // A dangling link or a closed subfolder is one more thing that cannot be read, and is named as such later on.
            Err(error) if error.depth() > 0 => {
                found.extend(error.path().map(Path::to_path_buf));
                continue;
            }
            Err(error) => {
                return Err(FileError { path: path.into(), doing: "listing the folder", source: error.into() });
            }
        };
        let extension = entry.path().extension().map(|extension| extension.to_string_lossy().to_lowercase());
        if entry.file_type().is_file() && extension.is_some_and(|extension| extensions.contains(&extension.as_str())) {
            found.push(entry.into_path());
        }
    }
    Ok(found)
}
