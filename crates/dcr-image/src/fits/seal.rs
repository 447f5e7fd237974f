//! The seal: a file whose presence means that the results beside it are complete and of one run.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::FitsError;
use super::error::io_error;
use super::folder::finish_interrupted;

/// Maximum size of the seal in bytes; a run of a thousand visits has a few million.
const LONGEST: u64 = 1 << 28;

/// The seal of results being read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    path: PathBuf,
    text: String,
}

impl Seal {
    /// Reads the seal `name` of the results in a folder; `None` if there is none. Renames
    /// interrupted by a kill are completed first.
    ///
    /// # Errors
    ///
    /// [`FitsError::Io`] if the seal cannot be read, is not text or exceeds 256 MiB;
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

    /// Path of the seal.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its content.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Verifies that the results were not replaced since the seal was read.
    ///
    /// # Errors
    ///
    /// [`FitsError::Replaced`]; [`FitsError::Io`] if the seal cannot be read again.
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
        return Err(io::Error::other("the file exceeds 256 MiB, more than any run writes"));
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
