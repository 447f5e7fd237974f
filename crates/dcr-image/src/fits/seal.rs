//! The file that says that the results beside it are complete and of one run.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::FitsError;
use super::error::io_error;
use super::folder::finish_interrupted;

/// Bytes that such a file may have; a run of a thousand visits has some millions.
const LONGEST: u64 = 1 << 28;

/// The seal of results that are being read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    path: PathBuf,
    text: String,
}

impl Seal {
    /// Reads the seal called `name` of the results in a folder; `None` if the folder has none. What
    /// a killed process left half-named there is finished first.
    ///
    /// # Errors
    ///
    /// [`FitsError::Io`] if it cannot be read, is no text or longer than 256 MiB;
    /// [`FitsError::Busy`] if the results are being replaced.
    pub fn read(folder: &Path, name: &str) -> Result<Option<Self>, FitsError> {
        if super::is_dir(folder)? {
            finish_interrupted(folder)?;
        }
        let path = folder.join(name);
        match text_of(&path) {
            Ok(text) => Ok(Some(Self { path, text })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error(&path, "read it")(error)),
        }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its content.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Refuses results that were replaced since the seal was read.
    ///
    /// # Errors
    ///
    /// [`FitsError::Replaced`]; [`FitsError::Io`] if the seal cannot be read any more.
    pub fn check(&self) -> Result<(), FitsError> {
        match text_of(&self.path) {
            Ok(text) if text == self.text => Ok(()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(io_error(&self.path, "read it again")(error))
            }
            _ => Err(FitsError::Replaced { path: self.path.clone() }),
        }
    }
}

fn text_of(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LONGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(io::Error::other("it has more than 256 MiB, which no run writes"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seal_tells_whether_results_were_replaced() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Seal::read(folder.path(), "seal").unwrap(), None);
        std::fs::write(folder.path().join("seal"), "one").unwrap();
        let seal = Seal::read(folder.path(), "seal").unwrap().unwrap();
        assert_eq!(seal.text(), "one");
        seal.check().unwrap();
        std::fs::write(seal.path(), "two").unwrap();
        assert!(seal.check().unwrap_err().to_string().contains("replaced"));
        std::fs::remove_file(seal.path()).unwrap();
        assert!(matches!(seal.check(), Err(FitsError::Replaced { .. })));
    }
}
