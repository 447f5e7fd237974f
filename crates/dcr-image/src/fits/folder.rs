//! An output folder whose files appear together, when all are complete.
//!
//! Results are written to a hidden folder inside the output folder and renamed when all are
//! complete. Three rules hold at every moment, so that a kill is safe at any time:
//!
//! 1. While the seal (`summary.json`) exists, the files beside it are those of its run. The old
//!    seal is removed first, then the other files of the old run; the new seal comes last.
//! 2. Before the old seal is removed, a plan of the renames is safe on disk. The next process that
//!    opens the folder after a kill completes the plan. The folder then holds either the old run or
//!    the new one.
//! 3. All of this happens under the [lock](super::lock) of the folder. The sole holder of the lock
//!    knows that unfinished folders belong to dead processes, and removes them.

use std::ffi::OsString;
use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};

use super::atomic::temporary_of;
use super::cleanup::{Unfinished, naming, remove_folder};
use super::error::io_error;
use super::lock::{FolderLock, Hold, LOCK};
use super::plan::{PLAN, Plan};
use super::{FitsError, exists, is_dir};

/// Prefix of the hidden folder in which results are written.
const STAGE: &str = ".unfinished";

/// A folder to which results are being written.
///
/// Files are written to [`OutputFolder::staged`] and get their final names together, by
/// [`OutputFolder::publish`]. Dropping it earlier removes all files, and the folder if it is new.
#[derive(Debug)]
pub struct OutputFolder {
    folder: PathBuf,
    stage: PathBuf,
    lock: Option<FolderLock>,
    /// Whether the stage must be kept because renames are in progress.
    begun: bool,
    published: bool,
    /// Folders created for the output, the deepest first.
    made: Vec<PathBuf>,
}

impl OutputFolder {
    /// Prepares a folder for results that belong together; creates it if necessary. With
    /// `overwrite`, existing files may be replaced; without, the folder must be empty. Leftovers of
    /// a killed run are completed or removed.
    ///
    /// # Errors
    ///
    /// [`FitsError::Io`] if the path is a file, or cannot be created or read;
    /// [`FitsError::NotEmpty`]; [`FitsError::Busy`] if another process is writing there.
    pub fn create(folder: &Path, overwrite: bool) -> Result<Self, FitsError> {
        let out = Self::prepare(folder, Hold::Alone, overwrite)?;
        let list = io_error(folder, "list this folder");
        for entry in fs::read_dir(folder).map_err(&list)? {
            let name = entry.map_err(&list)?.file_name();
            if !overwrite && !is_trace(&name.to_string_lossy()) {
                let there = name.display().to_string();
                return Err(FitsError::NotEmpty { path: folder.to_owned(), there });
            }
        }
        Ok(out)
    }

    /// Prepares a folder for independent files, beside existing ones. Several processes may do so
    /// at the same time.
    ///
    /// # Errors
    ///
    /// As [`OutputFolder::create`].
    pub fn create_beside(folder: &Path) -> Result<Self, FitsError> {
        Self::prepare(folder, Hold::Shared, true)
    }

    fn prepare(folder: &Path, hold: Hold, overwrite: bool) -> Result<Self, FitsError> {
        if folder.is_file() {
            let error = io::Error::other("the path is a file; give a folder");
            return Err(io_error(folder, "write results to this folder")(error));
        }
        let made: Vec<PathBuf> = folder
            .ancestors()
            .take_while(|f| !f.as_os_str().is_empty() && !f.exists())
            .map(Path::to_owned)
            .collect();
        for (depth, path) in made.iter().enumerate() {
            Unfinished::Made { depth, path: path.clone() }.note();
        }
        let stage = PathBuf::new();
        let mut out =
            Self { folder: folder.to_owned(), stage, lock: None, begun: false, published: false, made };
        fs::create_dir_all(folder).map_err(io_error(folder, "create this folder"))?;
        let mut lock = FolderLock::take(folder, hold)?;
        let outcome = if lock.alone() { settle(folder, overwrite) } else { Ok(()) };
        lock.settle_for(hold);
        out.lock = Some(lock);
        outcome?;
        out.stage = make_stage(folder).map_err(io_error(folder, "write to this folder"))?;
        Ok(out)
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// The hidden folder, on the same disk, that holds the files until they are published.
    #[must_use]
    pub fn stage(&self) -> &Path {
        &self.stage
    }

    /// Path for writing the file that will be called `name`.
    #[must_use]
    pub fn staged(&self, name: &str) -> PathBuf {
        self.stage.join(name)
    }

    /// Gives all files their final names and returns these, the `seal` last. Files of earlier runs
    /// whose name is `stale` are removed before.
    ///
    /// # Errors
    ///
    /// [`FitsError::Io`] if a folder has one of the names: then nothing has changed. Also if the
    /// operating system refuses a rename: complete files then stay in the hidden folder, and the
    /// next run into the folder completes the work.
    pub fn publish(
        mut self,
        seal: Option<&str>,
        stale: impl Fn(&str) -> bool,
    ) -> Result<Vec<PathBuf>, FitsError> {
        let naming = naming();
        let names = results(&self.stage)?;
        for name in &names {
            let path = self.folder.join(name);
            if path.is_dir() {
                let error = io::Error::other("a folder of this name exists; remove it");
                return Err(io_error(&path, "give the finished file this name")(error));
            }
        }
        let mut remove = Vec::new();
        let list = io_error(&self.folder, "list this folder");
        for entry in fs::read_dir(&self.folder).map_err(&list)? {
            let entry = entry.map_err(&list)?;
            let name = entry.file_name();
            let Some(text) = name.to_str().filter(|_| !entry.path().is_dir()) else { continue };
            // Includes an unfinished file of that name.
            let of = temporary_of(text).map_or(text, |(of, _)| of);
            if stale(of) && !names.contains(&name) {
                remove.push(text.to_owned());
            }
        }
        let plan = Plan { seal: seal.map(str::to_owned), remove };
        // A single file is renamed atomically.
        if names.len() + plan.remove.len() > 1 {
            plan.write(&self.stage)?;
            self.begun = true;
            Unfinished::Folder(self.stage.clone()).forget();
        }
        let published = plan.carry_out(&self.stage, names, &self.folder)?;
        (self.published, self.begun) = (true, false);
        drop(naming);
        Ok(published)
    }
}

impl Drop for OutputFolder {
    fn drop(&mut self) {
        let stage = Unfinished::Folder(self.stage.clone());
        if !self.begun && !self.stage.as_os_str().is_empty() {
            stage.remove();
        }
        stage.forget();
        // The lock file is in the folder.
        self.lock = None;
        for (depth, path) in self.made.iter().enumerate() {
            let made = Unfinished::Made { depth, path: path.clone() };
            // A folder with content is kept.
            if !self.published {
                made.remove();
            }
            made.forget();
        }
    }
}

/// A folder of finished results, locked against replacement while a file is added.
#[derive(Debug)]
pub struct FolderInUse {
    _lock: FolderLock,
}

impl FolderInUse {
    /// Locks an existing folder. Leftovers of a killed run are completed or removed.
    ///
    /// # Errors
    ///
    /// [`FitsError::Busy`] if a run is replacing the results; [`FitsError::Io`] if the folder is
    /// not writable.
    pub fn take(folder: &Path) -> Result<Self, FitsError> {
        let mut lock = FolderLock::take(folder, Hold::Shared)?;
        if lock.alone() {
            settle(folder, false)?;
        }
        lock.settle_for(Hold::Shared);
        Ok(Self { _lock: lock })
    }
}

/// Completes the renames of a killed process, in a folder about to be read.
///
/// # Errors
///
/// [`FitsError::Busy`] if that process is alive; [`FitsError::Io`] if the folder is not writable.
pub(super) fn finish_interrupted(folder: &Path) -> Result<(), FitsError> {
    let mut any_plan = false;
    for stage in stages(folder)? {
        any_plan |= exists(&stage.path().join(PLAN))?;
    }
    if !any_plan {
        return Ok(());
    }
    let lock = FolderLock::take(folder, Hold::Alone)?;
    if lock.alone() { settle(folder, false) } else { Ok(()) }
}

/// Completes or removes leftovers of dead processes; the caller is the sole holder of the lock.
/// With `discard`, incomplete leftovers are removed too.
fn settle(folder: &Path, discard: bool) -> Result<(), FitsError> {
    for stage in stages(folder)? {
        let stage = stage.path();
        if let Some(plan) = Plan::read(&stage) {
            let finished = results(&stage).and_then(|names| plan.carry_out(&stage, names, folder));
            match finished {
                Ok(_) => tracing::warn!("{}: completed the output of an interrupted run", folder.display()),
                Err(_) if discard => (),
                Err(error) => return Err(error),
            }
        }
        remove_folder(&stage).map_err(io_error(&stage, "remove the leftovers of an interrupted run"))?;
    }
    Ok(())
}

/// Hidden folders of unfinished results in a folder.
fn stages(folder: &Path) -> Result<Vec<DirEntry>, FitsError> {
    let list = io_error(folder, "list this folder");
    let mut out = Vec::new();
    for entry in fs::read_dir(folder).map_err(&list)? {
        let entry = entry.map_err(&list)?;
        if entry.file_name().to_string_lossy().starts_with(STAGE) && is_dir(&entry.path())? {
            out.push(entry);
        }
    }
    Ok(out)
}

/// Creates a hidden folder for unfinished results with a unique name.
fn make_stage(folder: &Path) -> io::Result<PathBuf> {
    for number in 0.. {
        let stage = folder.join(format!("{STAGE}-{}-{number}", std::process::id()));
        let entry = Unfinished::Folder(stage.clone());
        entry.note();
        match fs::create_dir(&stage) {
            Ok(()) => return Ok(stage),
            Err(error) => {
                entry.forget();
                if error.kind() != io::ErrorKind::AlreadyExists {
                    return Err(error);
                }
            }
        }
    }
    unreachable!("the numbers do not end")
}

/// Names of the finished files in a stage, sorted.
fn results(stage: &Path) -> Result<Vec<OsString>, FitsError> {
    let list = io_error(stage, "list this folder");
    let mut names = Vec::new();
    for entry in fs::read_dir(stage).map_err(&list)? {
        let name = entry.map_err(&list)?.file_name();
        let text = name.to_string_lossy();
        if text != PLAN && temporary_of(&text).is_none() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Whether a name is that of a lock file or a hidden folder of dcr.
fn is_trace(name: &str) -> bool {
    name == LOCK || name.starts_with(STAGE) || temporary_of(name).is_some()
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
        assert_eq!(fs::read_to_string(&seal).unwrap(), "old", "nothing has changed");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        fs::remove_dir(folder.path().join("y")).unwrap();
        assert_eq!(write().unwrap().last(), Some(&seal));
    }

    #[test]
    fn folder_with_files_is_refused_unless_they_may_be_replaced() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("x"), "old").unwrap();
        let error = OutputFolder::create(folder.path(), false).unwrap_err().to_string();
        assert!(error.contains("not empty (it contains x)"), "{error}");
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

    /// What a process leaves that is killed after it removed the old seal and named the first file.
    fn killed_while_naming(folder: &Path) {
        let stage = folder.join(".unfinished-1-0");
        fs::create_dir(&stage).unwrap();
        let remove = vec!["x9".to_owned()];
        Plan { seal: Some("seal".into()), remove }.write(&stage).unwrap();
        for (name, at) in [("x0", folder), ("x1", &stage), ("seal", &stage)] {
            fs::write(at.join(name), "new").unwrap();
        }
        fs::write(folder.join("x9"), "old").unwrap();
        fs::write(folder.join(LOCK), "process 1 on elsewhere").unwrap();
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn folder_left_half_named_is_finished_by_whoever_comes_next() {
        let parent = tempfile::tempdir().unwrap();
        type Visitor<'a> = (&'a str, &'a dyn Fn(&Path));
        let come: [Visitor<'_>; 4] = [
            ("a reader", &|folder| drop(crate::fits::Seal::read(folder, "seal").unwrap().unwrap())),
            ("a page", &|folder| drop(FolderInUse::take(folder).unwrap())),
            ("a run", &|folder| drop(OutputFolder::create(folder, true).unwrap())),
            ("files beside", &|folder| drop(OutputFolder::create_beside(folder).unwrap())),
        ];
        for (who, come) in come {
            let folder = parent.path().join(who);
            fs::create_dir(&folder).unwrap();
            killed_while_naming(&folder);
            come(&folder);
            assert_eq!(names(&folder), ["seal", "x0", "x1"], "{who}");
        }
    }

    #[test]
    fn folder_of_a_dead_process_without_a_plan_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        for stage in [".unfinished-1-0", ".unfinished-77"] {
            fs::create_dir(folder.path().join(stage)).unwrap();
            fs::write(folder.path().join(stage).join("x"), "half").unwrap();
        }
        fs::write(folder.path().join(".report.html.1-0.part"), "half").unwrap();
        let out = OutputFolder::create(folder.path(), false).unwrap();
        fs::write(out.staged("x"), "1").unwrap();
        out.publish(Some("x"), |name| name == "report.html").unwrap();
        assert_eq!(names(folder.path()), ["x"]);
    }

    #[test]
    fn folder_has_one_run_at_a_time_or_several_of_files_that_stand_for_themselves() {
        let folder = tempfile::tempdir().unwrap();
        let out = OutputFolder::create(folder.path(), true).unwrap();
        for other in [OutputFolder::create(folder.path(), true), OutputFolder::create_beside(folder.path())] {
            let error = other.unwrap_err().to_string();
            let process = format!("process {} on ", std::process::id());
            assert!(error.contains("another run of dcr is writing to this folder"), "{error}");
            assert!(error.contains(&process), "{error}");
        }
        assert!(FolderInUse::take(folder.path()).is_err());
        drop(out);
        let beside = OutputFolder::create_beside(folder.path()).unwrap();
        let other = OutputFolder::create_beside(folder.path()).unwrap();
        assert_ne!(beside.staged("x"), other.staged("x"));
        assert!(OutputFolder::create(folder.path(), true).is_err());
        for (out, name) in [(beside, "x"), (other, "y")] {
            fs::write(out.staged(name), name).unwrap();
            out.publish(None, |_| false).unwrap();
        }
        assert_eq!(names(folder.path()), ["x", "y"]);
    }
}
