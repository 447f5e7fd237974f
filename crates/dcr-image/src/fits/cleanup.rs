//! Files and folders that a process must not leave behind when a signal ends it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Unfinished files and folders of this process. The list is global because a signal handler has
/// nothing else to go by.
static UNFINISHED: Mutex<BTreeSet<Unfinished>> = Mutex::new(BTreeSet::new());
/// Held while files get their final names.
static NAMING: Mutex<()> = Mutex::new(());
/// Attempts to remove a folder into which other threads still write.
const ATTEMPTS: usize = 20;

/// One entry of the list. The order is the order of removal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unfinished {
    /// A file under a temporary name.
    File(PathBuf),
    /// A folder of unfinished files.
    Folder(PathBuf),
    /// The lock file of an output folder.
    Lock(PathBuf),
    /// A folder made for results; removed if empty. `depth` counts from the deepest.
    Made { depth: usize, path: PathBuf },
}

impl Unfinished {
    /// Puts the entry on the list.
    pub(super) fn note(&self) {
        list().insert(self.clone());
    }

    /// Takes the entry off the list.
    pub(super) fn forget(&self) {
        list().remove(self);
    }

    /// Removes the file or folder; there is nothing left to do where that fails.
    pub(super) fn remove(&self) {
        match self {
            Self::File(path) | Self::Lock(path) => drop(fs::remove_file(path)),
            Self::Folder(path) => drop(remove_folder(path)),
            Self::Made { path, .. } => drop(fs::remove_dir(path)),
        }
    }
}

/// Removes all unfinished files and folders of this process, for the moment before it ends on a
/// signal.
///
/// Files that are getting their final names get all of them first. Afterwards no file of this
/// process gets a final name any more: a thread that tries waits for the end of the process.
pub fn remove_unfinished() {
    std::mem::forget(naming());
    for entry in std::mem::take(&mut *list()) {
        entry.remove();
    }
}

/// Permission to give files their final names; held until all of them have theirs.
pub(super) fn naming() -> MutexGuard<'static, ()> {
    NAMING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes a folder with all that is in it, also while another thread makes files there.
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
