//! Files that appear under their name only when they are complete.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::cleanup::{Unfinished, naming};

/// Tells temporary files of one process apart.
static COUNTER: AtomicU64 = AtomicU64::new(0);
/// Bytes gathered before the operating system is asked to write them.
const BUFFER: usize = 1 << 20;
/// End of the name of a temporary file.
const SUFFIX: &str = ".part";

/// A temporary name beside a file, noted for removal, and removed when dropped.
#[derive(Debug)]
pub(super) struct Temporary {
    path: PathBuf,
    entry: Unfinished,
    /// Keeps the file locked, which tells others that its process lives.
    held: Option<File>,
}

impl Temporary {
    /// A name beside `path` that nothing else uses; no file is made. Files that dead processes left
    /// under such names are removed.
    pub(super) fn beside(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or_else(|| io::Error::other("the path names no file"))?;
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

    /// Makes the file and locks it.
    fn make(path: &Path) -> io::Result<(Self, File)> {
        loop {
            let temporary = Self::beside(path)?;
            let file = File::options().write(true).create_new(true).open(&temporary.path)?;
            // Where there are no locks, nobody takes the file for one of a dead process either.
            let _ = file.lock();
            // Between the two, another process may have removed it.
            if file.metadata()?.nlink() > 0 {
                return Ok((temporary, file));
            }
        }
    }

    /// Locks the file that another library has made under the name.
    pub(super) fn hold(&mut self) -> io::Result<()> {
        let file = File::open(&self.path)?;
        let _ = file.lock_shared();
        self.held = Some(file);
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // It may not have been made, or have its final name by now.
        self.entry.remove();
        self.entry.forget();
    }
}

/// Removes what dead processes left of a file: temporary files that nobody holds locked.
fn remove_dead(path: &Path, name: &str) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Leftovers that cannot be listed, read or removed are in nobody's way.
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

/// The file that a temporary file is of, and the process, by its name; `None` for other files.
pub(super) fn temporary_of(name: &str) -> Option<(&str, u32)> {
    let (of, numbers) = name.strip_prefix('.')?.strip_suffix(SUFFIX)?.rsplit_once('.')?;
    let (process, number) = numbers.split_once('-')?;
    number.parse::<u64>().ok()?;
    Some((of, process.parse().ok()?))
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
        let (temporary, file) = Temporary::make(path)?;
        let writer = BufWriter::with_capacity(BUFFER, file);
        Ok(Self { writer, temporary, path: path.to_owned(), room: u64::MAX })
    }

    /// Writes what is left, makes sure that it is on the disk, and gives the file its name.
    ///
    /// # Errors
    ///
    /// If any of that fails; the temporary file is removed then.
    pub fn commit(mut self) -> io::Result<()> {
        self.write_out()?;
        let naming = naming();
        self.name()?;
        drop(naming);
        self.sync_name();
        Ok(())
    }

    /// [`AtomicFile::commit`] for a caller that may name files already.
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

/// Makes names in a folder safe on disk. Not every file system can do that.
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
