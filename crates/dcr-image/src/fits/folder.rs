//! A folder of results that appear together, when all of them are complete.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{FitsError, ScratchFile};

/// The folder inside the results' own in which they are written; hidden, and on the same disk.
const STAGE: &str = ".unfinished";

/// A folder in which results are being written.
///
/// Files go to [`OutputFolder::staged`] and get their final names with [`OutputFolder::publish`], all at once. Dropped
/// before that, nothing is left behind, neither files nor a folder that was not there before.
#[derive(Debug)]
pub struct OutputFolder {
    folder: PathBuf,
    stage: PathBuf,
    /// The topmost folder that had to be made.
    made: Option<PathBuf>,
    published: bool,
}

impl OutputFolder {
    /// Prepares a folder, made if it is not there. With `overwrite`, files that are there may be replaced; without,
    /// the folder must be empty. What an earlier, killed run left unfinished does not count.
    ///
    /// # Errors
    ///
    /// [`FitsError::Io`] if it is a file, or cannot be made or read; [`FitsError::NotEmpty`].
    pub fn create(folder: &Path, overwrite: bool) -> Result<Self, FitsError> {
        let io = |action| move |source| FitsError::Io { path: folder.to_owned(), action, source };
        if folder.is_file() {
            return Err(io("write results to this folder")(io::Error::other("it is a file; name a folder")));
        }
        let made = folder.ancestors().take_while(|f| !f.as_os_str().is_empty() && !f.exists()).last();
        fs::create_dir_all(folder).map_err(io("make this folder"))?;
        let stage = folder.join(format!("{STAGE}-{}", std::process::id()));
        let out = Self { folder: folder.to_owned(), stage, made: made.map(Path::to_owned), published: false };
        for entry in fs::read_dir(folder).map_err(io("list this folder"))? {
            let name = entry.map_err(io("list this folder"))?.file_name();
            if !overwrite && !name.to_string_lossy().starts_with(STAGE) {
                let there = name.display().to_string();
                return Err(FitsError::NotEmpty { path: folder.to_owned(), there });
            }
        }
        fs::create_dir_all(&out.stage).map_err(io("write to this folder"))?;
        Ok(out)
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// A file on the same disk for pixels that memory has no room for.
    ///
    /// # Errors
    ///
    /// [`FitsError::Io`] if it cannot be made.
    pub fn scratch(&self, exposures: usize, shape: (usize, usize)) -> Result<ScratchFile, FitsError> {
        ScratchFile::create(&self.stage, exposures, shape)
    }

    /// Where to write the file that will be called `name`.
    #[must_use]
    pub fn staged(&self, name: &str) -> PathBuf {
        self.stage.join(name)
    }

    /// Gives all files their final names; returns these. Other files in the folder that are `stale` by their name, left by an earlier
    /// run, are removed.
    ///
    /// Files get their names one by one. The one called `seal`, if there is one, gets its name last, after one of that name that was
    /// there before was removed first of all: where it is, all files beside it belong together, whenever the process was killed.
    ///
    /// # Errors
    ///
    /// [`FitsError::Io`] if the operating system refuses a name.
    pub fn publish(
        mut self,
        seal: Option<&str>,
        stale: impl Fn(&str) -> bool,
    ) -> Result<Vec<PathBuf>, FitsError> {
        let io = |path: &Path, action| {
            let path = path.to_owned();
            move |source| FitsError::Io { path, action, source }
        };
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.stage).map_err(io(&self.stage, "list this folder"))? {
            names.push(entry.map_err(io(&self.stage, "list this folder"))?.file_name());
        }
        names.sort_by_key(|name| (seal.is_some_and(|seal| name == seal), name.clone()));
        if let Some(old) = seal.map(|seal| self.folder.join(seal)).filter(|old| old.exists()) {
            fs::remove_file(&old).map_err(io(&old, "remove what an earlier run left"))?;
        }
        let mut published = Vec::with_capacity(names.len());
        for name in names {
            let path = self.folder.join(&name);
            fs::rename(self.stage.join(&name), &path)
                .map_err(io(&path, "give the finished file this name"))?;
            published.push(path);
        }
        self.published = true;
        for entry in fs::read_dir(&self.folder).map_err(io(&self.folder, "list this folder"))? {
            let path = entry.map_err(io(&self.folder, "list this folder"))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if stale(&name) && !published.contains(&path) {
                fs::remove_file(&path).map_err(io(&path, "remove what an earlier run left"))?;
            }
        }
        Ok(published)
    }
}

impl Drop for OutputFolder {
    fn drop(&mut self) {
        // Nothing is left to do about a folder that cannot be removed.
        let _ = fs::remove_dir_all(&self.stage);
        if let (false, Some(made)) = (self.published, &self.made) {
            let _ = fs::remove_dir_all(made);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_dropped_leaves_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("a/b");
        let out = OutputFolder::create(&folder, false).unwrap();
        fs::write(out.staged("x"), "1").unwrap();
        drop(out);
        assert!(!parent.path().join("a").exists());
    }

    #[test]
    fn folder_published_has_all_files_and_no_other() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("run");
        let out = OutputFolder::create(&folder, false).unwrap();
        for name in ["y", "x"] {
            fs::write(out.staged(name), name).unwrap();
            assert!(!folder.join(name).exists());
        }
        assert_eq!(out.publish(None, |_| false).unwrap(), [folder.join("x"), folder.join("y")]);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
    }

    #[test]
    fn folder_has_its_seal_only_when_all_files_are_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let seal = folder.path().join("a");
        fs::write(&seal, "old").unwrap();
        // A file cannot take the name of this.
        fs::create_dir(folder.path().join("y")).unwrap();
        let write = || {
            let out = OutputFolder::create(folder.path(), true).unwrap();
            ["a", "x", "y"].iter().for_each(|name| fs::write(out.staged(name), name).unwrap());
            out.publish(Some("a"), |_| false)
        };
        assert!(write().is_err());
        assert!(folder.path().join("x").exists() && !seal.exists());
        fs::remove_dir(folder.path().join("y")).unwrap();
        assert_eq!(write().unwrap().last(), Some(&seal));
    }

    #[test]
    fn folder_with_files_is_refused_unless_they_may_be_replaced() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("x"), "old").unwrap();
        let error = OutputFolder::create(folder.path(), false).unwrap_err().to_string();
        assert!(error.contains("not empty (x is there)"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let out = OutputFolder::create(folder.path(), true).unwrap();
        fs::write(out.staged("x"), "new").unwrap();
        fs::write(folder.path().join("x1"), "older").unwrap();
        fs::write(folder.path().join("notes"), "mine").unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("x")).unwrap(), "old");
        out.publish(None, |name| name.starts_with('x')).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        assert_eq!(fs::read_to_string(folder.path().join("x")).unwrap(), "new");
        assert!(OutputFolder::create(&folder.path().join("x"), true).is_err());
    }
}
