//! Existence of files and folders, with lookup failures as errors.

use std::fs;
use std::io;
use std::path::Path;

use super::FitsError;

/// Whether a path exists.
///
/// # Errors
///
/// [`FitsError::Io`] if the operating system cannot look the path up, e.g. without permission or on
/// a failing disk.
pub fn exists(path: &Path) -> Result<bool, FitsError> {
    Ok(metadata(path)?.is_some())
}

/// Whether a path is a file.
///
/// # Errors
///
/// As [`exists`].
pub fn is_file(path: &Path) -> Result<bool, FitsError> {
    Ok(metadata(path)?.is_some_and(|metadata| metadata.is_file()))
}

/// Whether a path is a directory.
///
/// # Errors
///
/// As [`exists`].
pub fn is_dir(path: &Path) -> Result<bool, FitsError> {
    Ok(metadata(path)?.is_some_and(|metadata| metadata.is_dir()))
}

fn metadata(path: &Path) -> Result<Option<fs::Metadata>, FitsError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(source) => Err(FitsError::Io { path: path.to_owned(), action: "look it up", source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_folders_are_told_from_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        fs::write(&file, "").unwrap();
        assert_eq!(
            (exists(&file).unwrap(), is_file(&file).unwrap(), is_dir(&file).unwrap()),
            (true, true, false)
        );
        assert!(is_dir(folder.path()).unwrap() && !is_file(folder.path()).unwrap());
        assert!(!exists(&folder.path().join("b")).unwrap() && !exists(&file.join("below a file")).unwrap());
    }

    #[test]
    fn path_that_nobody_can_tell_of_is_an_error() {
        // A name longer than any file system has.
        let error = exists(Path::new(&"x".repeat(5000))).unwrap_err().to_string();
        assert!(error.contains("cannot look it up"), "{error}");
    }
}
