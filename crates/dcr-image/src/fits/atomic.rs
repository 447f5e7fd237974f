//! Atomic file writing: a file gets its name when it is complete.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::cleanup::{Unfinished, naming};

/// Counter that makes temporary names unique within the process.
static COUNTER: AtomicU64 = AtomicU64::new(0);
/// Size of the write buffer in bytes.
const BUFFER: usize = 1 << 20;
/// Suffix of temporary file names.
const SUFFIX: &str = ".part";

/// A temporary file name, registered for removal and removed on drop.
#[derive(Debug)]
pub(super) struct Temporary {
    path: PathBuf,
    entry: Unfinished,
    /// Open lock on the file; it shows other processes that this process is alive.
    held: Option<File>,
}

impl Temporary {
    /// An unused name beside `path`; no file is created. Temporary files of dead processes with
    /// such names are removed.
    pub(super) fn beside(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or_else(|| io::Error::other("the path has no file name"))?;
        remove_dead(path, &name.to_string_lossy());
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}-{number}{SUFFIX}", std::process::id()));
        let temporary = path.with_file_name(hidden);
        let entry = Unfinished::File(temporary.clone());
        entry.note();
        Ok(Self { path: temporary, entry, held: None })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Creates and locks the file.
    fn make(path: &Path) -> io::Result<(Self, File)> {
        loop {
            let temporary = Self::beside(path)?;
            let file = File::options().write(true).create_new(true).open(&temporary.path)?;
            // Without file locks, no process can mistake the file for a leftover either.
            let _ = file.lock();
            // Another process may have removed the file between creation and lock.
            if file.metadata()?.nlink() > 0 {
                return Ok((temporary, file));
            }
        }
    }

    /// Locks a file that another library has created under the name.
    pub(super) fn hold(&mut self) -> io::Result<()> {
        let file = File::open(&self.path)?;
        let _ = file.lock_shared();
        self.held = Some(file);
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // The file may not exist yet, or may already have its final name.
        self.entry.remove();
        self.entry.forget();
    }
}

/// Removes temporary files of dead processes, i.e. those that are not locked.
fn remove_dead(path: &Path, name: &str) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Errors in listing, reading or removing leftovers are harmless.
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let there = entry.file_name();
        let of_process = there.to_str().and_then(temporary_of).filter(|(of, _)| *of == name);
        if of_process.is_some_and(|(_, process)| process != std::process::id())
            && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok())
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Target file and process id of a temporary file name; `None` for other files.
pub(super) fn temporary_of(name: &str) -> Option<(&str, u32)> {
    let (of, numbers) = name.strip_prefix('.')?.strip_suffix(SUFFIX)?.rsplit_once('.')?;
    let (process, number) = numbers.split_once('-')?;
    number.parse::<u64>().ok()?;
    Some((of, process.parse().ok()?))
}

/// A file written under a temporary name in its folder, and renamed when complete.
///
/// Dropping it without [`AtomicFile::commit`] removes it.
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
    /// Number of bytes until a simulated disk-full error; set by tests.
    room: u64,
}

impl AtomicFile {
    /// Starts a file that will replace `path` on commit.
    ///
    /// # Errors
    ///
    /// The operating system's error if the temporary file cannot be created.
    pub fn create(path: &Path) -> io::Result<Self> {
        if path.is_dir() {
            return Err(io::Error::other("a folder of this name exists"));
        }
        let (temporary, file) = Temporary::make(path)?;
        let writer = BufWriter::with_capacity(BUFFER, file);
        Ok(Self { writer, temporary, path: path.to_owned(), room: u64::MAX })
    }

    /// Writes the remaining bytes, syncs the file and renames it.
    ///
    /// # Errors
    ///
    /// The operating system's error; the temporary file is then removed.
    pub fn commit(mut self) -> io::Result<()> {
        self.write_out()?;
        let naming = naming();
        self.name()?;
        drop(naming);
        self.sync_name();
        Ok(())
    }

    /// [`AtomicFile::commit`] for callers that hold the permission of [`naming`].
    pub(super) fn commit_named(mut self) -> io::Result<()> {
        self.write_out()?;
        self.name()?;
        self.sync_name();
        Ok(())
    }

    fn write_out(&mut self) -> io::Result<()> {
        self.writer.flush()?;
        self.writer.get_ref().sync_all()
    }

    fn name(&self) -> io::Result<()> {
        fs::rename(self.temporary.path(), &self.path)
    }

    fn sync_name(&self) {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        sync_folder(folder.unwrap_or(Path::new(".")));
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

/// Syncs the names in a folder to disk, on file systems that support it.
pub(super) fn sync_folder(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
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

    #[test]
    fn temporary_files_of_dead_processes_are_removed_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let living = File::create(folder.path().join(".a.json.1-7.part")).unwrap();
        living.lock().unwrap();
        for name in [".a.json.1-8.part", ".b.json.1-8.part", ".a.json.part", ".a.json.x-1.part", "notes"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        AtomicFile::create(&path).unwrap().commit().unwrap();
        let mut left = names(folder.path());
        left.sort();
        let kept = [".a.json.1-7.part", ".a.json.part", ".a.json.x-1.part", ".b.json.1-8.part"];
        assert_eq!(left, [&kept[..], &["a.json", "notes"]].concat());
    }
}
