//! Removal of unfinished files and folders when a signal ends the process.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Unfinished files and folders of this process. The list is global, because a signal handler has
/// no other access to it.
static UNFINISHED: Mutex<BTreeSet<Unfinished>> = Mutex::new(BTreeSet::new());
/// Held while files are renamed to their final names.
static NAMING: Mutex<()> = Mutex::new(());
/// Number of attempts to remove a folder that other threads still write to.
const ATTEMPTS: usize = 20;

/// Entry of the list, in the order of removal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unfinished {
    /// A file under a temporary name.
    File(PathBuf),
    /// A folder of unfinished files.
    Folder(PathBuf),
    /// The lock file of an output folder.
    Lock(PathBuf),
    /// A folder created for results; removed if empty. `depth` counts from the deepest.
    Made { depth: usize, path: PathBuf },
}

impl Unfinished {
    /// Adds the entry to the list.
    pub(super) fn note(&self) {
        list().insert(self.clone());
    }

    /// Removes the entry from the list.
    pub(super) fn forget(&self) {
        list().remove(self);
    }

    /// Removes the file or folder; errors are ignored.
    pub(super) fn remove(&self) {
        match self {
            Self::File(path) | Self::Lock(path) => drop(fs::remove_file(path)),
            Self::Folder(path) => drop(remove_folder(path)),
            Self::Made { path, .. } => drop(fs::remove_dir(path)),
        }
    }
}

/// Removes all unfinished files and folders of this process, before a signal ends it.
///
/// Renames in progress are completed first. Afterwards no file of this process gets a final name: a
/// thread that tries blocks until the process ends.
pub fn remove_unfinished() {
    std::mem::forget(naming());
    for entry in std::mem::take(&mut *list()) {
        entry.remove();
    }
}

/// Permission to give files their final names; held until all files have them.
pub(super) fn naming() -> MutexGuard<'static, ()> {
    NAMING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes a folder and its content, even while another thread creates files in it.
pub(super) fn remove_folder(path: &Path) -> io::Result<()> {
    let mut outcome = Ok(());
    for _ in 0..ATTEMPTS {
        outcome = fs::remove_dir_all(path);
        match &outcome {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !path.exists() => return Ok(()),
            Err(_) => (),
            Ok(()) => return Ok(()),
        }
    }
    outcome
}

fn list() -> MutexGuard<'static, BTreeSet<Unfinished>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}
