//! Files that appear under their name only when they are complete.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The temporary files that this process has not finished or removed yet. It is global because a
/// signal handler has nothing else to go by.
static TEMPORARIES: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
/// Tells temporary files of one process apart.
static COUNTER: AtomicU64 = AtomicU64::new(0);
/// Bytes gathered before the operating system is asked to write them.
const BUFFER: usize = 1 << 20;

/// Deletes the temporary files of all [`AtomicFile`]s in use. For the moment before the process
/// ends on a signal: files still being written then fail to appear.
pub fn remove_temporaries() {
    let paths = std::mem::take(&mut *TEMPORARIES.lock().unwrap_or_else(PoisonError::into_inner));
    for path in paths {
        // Nothing is left to do about a file that cannot be removed.
        let _ = fs::remove_file(path);
    }
}

/// A temporary name beside a file, registered, and removed when dropped.
#[derive(Debug)]
pub(super) struct Temporary {
    path: PathBuf,
}

impl Temporary {
    /// A name beside `path` that nothing else uses; no file is made.
    pub(super) fn beside(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or_else(|| io::Error::other("the path names no file"))?;
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}-{number}.part", std::process::id()));
        let temporary = path.with_file_name(hidden);
        register(|temporaries| temporaries.insert(temporary.clone()));
        Ok(Self { path: temporary })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // It may not have been made, or have its final name by now.
        let _ = fs::remove_file(&self.path);
        register(|temporaries| temporaries.remove(&self.path));
    }
}

/// A file that is written under a temporary name in its folder, and renamed when it is complete.
///
/// Dropped without [`AtomicFile::commit`], it leaves nothing behind.
///
/// ```
/// use std::io::Write;
/// use dcr_image::fits::AtomicFile;
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("summary.json");
/// let mut file = AtomicFile::create(&path)?;
/// file.write_all(b"{}")?;
/// assert!(!path.exists());
/// file.commit()?;
/// assert!(path.exists());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct AtomicFile {
    writer: BufWriter<File>,
    temporary: Temporary,
    path: PathBuf,
    /// Bytes until the disk is full; tests set it.
    room: u64,
}

impl AtomicFile {
    /// Starts a file that will appear at `path`, replacing what is there then.
    ///
    /// # Errors
    ///
    /// If the temporary file cannot be created, as in a folder that does not exist.
    pub fn create(path: &Path) -> io::Result<Self> {
        if path.is_dir() {
            return Err(io::Error::other("a folder of this name exists"));
        }
        let temporary = Temporary::beside(path)?;
        let file = File::options().write(true).create_new(true).open(temporary.path())?;
        let writer = BufWriter::with_capacity(BUFFER, file);
        Ok(Self { writer, temporary, path: path.to_owned(), room: u64::MAX })
    }

    /// Writes what is left, makes sure that it is on the disk, and gives the file its name.
    ///
    /// # Errors
    ///
    /// If any of that fails; the temporary file is removed then.
    pub fn commit(mut self) -> io::Result<()> {
        self.writer.flush()?;
        self.writer.get_ref().sync_all()?;
        fs::rename(self.temporary.path(), &self.path)?;
        // The name is safe on disk once its folder is. Not every file system can do that.
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Ok(folder) = File::open(folder.unwrap_or(Path::new("."))) {
            let _ = folder.sync_all();
        }
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn with_room(mut self, bytes: u64) -> Self {
        self.room = bytes;
        self
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.room = self
            .room
            .checked_sub(bytes.len() as u64)
            .ok_or_else(|| io::Error::from(io::ErrorKind::StorageFull))?;
        self.writer.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

fn register(change: impl FnOnce(&mut BTreeSet<PathBuf>) -> bool) {
    change(&mut TEMPORARIES.lock().unwrap_or_else(PoisonError::into_inner));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn commit_replaces_and_leaves_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        fs::write(&path, "old").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        file.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["a.json"]);
    }

    #[test]
    fn dropped_or_full_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        drop(AtomicFile::create(&path).unwrap());
        let mut file = AtomicFile::create(&path).unwrap().with_room(10);
        file.write_all(&[0; 10]).unwrap();
        assert_eq!(file.write_all(&[0]).unwrap_err().kind(), io::ErrorKind::StorageFull);
        drop(file);
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn folder_missing_or_in_the_way_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(AtomicFile::create(&folder.path().join("none/a")).is_err());
        assert!(AtomicFile::create(folder.path()).is_err());
        assert!(names(folder.path()).is_empty());
    }
}
