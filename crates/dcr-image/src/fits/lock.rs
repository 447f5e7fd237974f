//! Lock of an output folder.
//!
//! The lock is a hidden file, locked through the operating system (flock). The kernel releases it
//! when its process ends for any reason, on local disks and over NFS. A file left by a killed
//! process is therefore no obstacle, and a live process is never mistaken for a dead one.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::FitsError;
use super::cleanup::Unfinished;
use super::error::io_error;

/// Name of the lock file in the folder.
pub(super) const LOCK: &str = ".dcr-lock";
/// Waiting time for a process that holds the lock briefly.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Time between two attempts.
const PAUSE: Duration = Duration::from_millis(20);
/// Maximum number of bytes read from the lock file.
const LONGEST_OWNER: u64 = 200;

/// Kind of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// Exclusive lock: for results that belong together.
    Alone,
    /// Shared lock: for independent files.
    Shared,
}

/// A locked folder; released on drop.
#[derive(Debug)]
pub(super) struct FolderLock {
    /// The locked file, or `None` on file systems without locks.
    file: Option<File>,
    entry: Unfinished,
    alone: bool,
}

impl FolderLock {
    /// Locks a folder. A shared lock is exclusive while there is no other.
    ///
    /// # Errors
    ///
    /// [`FitsError::Busy`] with the process that holds the lock; [`FitsError::Io`] if the lock file
    /// cannot be created.
    pub(super) fn take(folder: &Path, hold: Hold) -> Result<Self, FitsError> {
        let path = folder.join(LOCK);
        let io = io_error(folder, "write to this folder");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let file = match open(&path) {
                // The process that created the folder may just have removed it.
                Err(error) if error.kind() == io::ErrorKind::NotFound && Instant::now() < deadline => {
                    fs::create_dir_all(folder).map_err(&io)?;
                    continue;
                }
                other => other.map_err(&io)?,
            };
            match attempt(&file, hold) {
                Ok(alone) if is_at(&file, &path) => return Ok(Self::held(file, path, alone)),
                // The owner has removed the file since it was opened.
                Ok(_) => (),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => {
                    return Err(FitsError::Busy { path: folder.to_owned(), owner: owner(&path) });
                }
                Err(TryLockError::Error(_)) => return Self::without_locks(folder, path),
            }
        }
    }

    fn held(mut file: File, path: PathBuf, alone: bool) -> Self {
        if alone {
            // Owner text for refused processes; the lock holds without it.
            let _ = file.set_len(0).and_then(|()| file.write_all(me().as_bytes()));
        }
        let entry = Unfinished::Lock(path);
        entry.note();
        Self { file: Some(file), entry, alone }
    }

    /// Rule for file systems without locks: the process named in the file holds the lock while it
    /// runs on this machine, or if it runs on another machine.
    fn without_locks(folder: &Path, path: PathBuf) -> Result<Self, FitsError> {
        let named = owner(&path);
        let dead = |text: &str| {
            let process = text.strip_prefix("process ")?.split_once(" on ")?;
            let id = rustix::process::Pid::from_raw(process.0.parse().ok()?)?;
            let gone = rustix::process::test_kill_process(id) == Err(rustix::io::Errno::SRCH);
            Some(process.1 == host() && (gone || id == rustix::process::getpid()))
        };
        if !named.is_empty() && dead(&named) != Some(true) {
            return Err(FitsError::Busy { path: folder.to_owned(), owner: named });
        }
        let io = io_error(folder, "write to this folder");
        fs::write(&path, me()).map_err(io)?;
        let entry = Unfinished::Lock(path);
        entry.note();
        Ok(Self { file: None, entry, alone: false })
    }

    /// Whether the lock is exclusive, so that unfinished files belong to dead processes.
    pub(super) const fn alone(&self) -> bool {
        self.alone
    }

    /// Downgrades the lock so that others can share the folder, if `hold` is shared.
    pub(super) fn settle_for(&mut self, hold: Hold) {
        if let (Hold::Shared, Some(file)) = (hold, &self.file) {
            // Another shared lock may intervene; an exclusive one cannot.
            self.alone = file.try_lock_shared().is_err() && self.alone;
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // The last holder removes the file.
        if self.file.as_ref().is_none_or(|file| file.try_lock().is_ok()) {
            self.entry.remove();
        }
        self.entry.forget();
    }
}

fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(false).open(path)
}

/// Whether the lock is exclusive.
fn attempt(file: &File, hold: Hold) -> Result<bool, TryLockError> {
    match (file.try_lock(), hold) {
        (Ok(()), _) => Ok(true),
        (Err(TryLockError::WouldBlock), Hold::Shared) => file.try_lock_shared().map(|()| false),
        (Err(error), _) => Err(error),
    }
}

/// Whether the open file still has this name.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    let same = |a: &fs::Metadata, b: &fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    matches!((file.metadata(), fs::symlink_metadata(path)), (Ok(a), Ok(b)) if same(&a, &b))
}

/// Text of the lock file that names its process, or empty.
fn owner(path: &Path) -> String {
    let mut bytes = Vec::new();
    // Without the text, the lock is still refused.
    let _ = File::open(path).and_then(|file| file.take(LONGEST_OWNER).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

fn me() -> String {
    format!("process {} on {}", std::process::id(), host())
}

fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_refuses_a_second_and_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let lock = FolderLock::take(folder.path(), Hold::Alone).unwrap();
        assert!(lock.alone());
        let error = FolderLock::take(folder.path(), Hold::Shared).unwrap_err().to_string();
        assert!(error.contains(&me()) && error.contains("wait"), "{error}");
        drop(lock);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn lock_shared_by_several_excludes_one_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = FolderLock::take(folder.path(), Hold::Shared).unwrap();
        assert!(first.alone());
        first.settle_for(Hold::Shared);
        let second = FolderLock::take(folder.path(), Hold::Shared).unwrap();
        assert!(!second.alone());
        assert!(FolderLock::take(folder.path(), Hold::Alone).is_err());
        drop(first);
        assert!(folder.path().join(LOCK).exists());
        drop(second);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn lock_file_of_a_dead_process_is_no_obstacle() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(LOCK), "process 1 on elsewhere").unwrap();
        assert!(FolderLock::take(folder.path(), Hold::Alone).unwrap().alone());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn lock_without_the_system_goes_by_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let take = |text: &str| {
            let path = folder.path().join(LOCK);
            fs::write(&path, text).unwrap();
            FolderLock::without_locks(folder.path(), path)
        };
        for living in [format!("process 1 on {}", host()), "process 999999999 on elsewhere".into()] {
            assert!(matches!(take(&living), Err(FitsError::Busy { owner, .. }) if owner == living));
        }
        assert!(!take(&format!("process 999999999 on {}", host())).unwrap().alone());
        drop(take("").unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
