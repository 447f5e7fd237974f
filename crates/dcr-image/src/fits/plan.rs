//! The plan of renames that publishes finished files, written to disk before the first one.
//!
//! A process killed between two renames leaves the plan behind. Executing it again resumes the
//! renames.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::FitsError;
use super::atomic::{AtomicFile, sync_folder};
use super::error::io_error;

/// Name of the plan in the stage.
pub(super) const PLAN: &str = ".plan";

/// Files to remove, and the file to rename last; all others are in the stage.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Plan {
    /// The seal: the file whose presence means that all others are complete.
    pub(super) seal: Option<String>,
    /// Files of the earlier run that the new one does not have.
    pub(super) remove: Vec<String>,
}

impl Plan {
    /// Writes the plan to the stage and syncs it.
    pub(super) fn write(&self, stage: &Path) -> Result<(), FitsError> {
        let path = stage.join(PLAN);
        let io = io_error(&path, "write it");
        let text = serde_json::to_vec(self).map_err(|error| io(error.into()))?;
        // The caller already holds the naming permission that AtomicFile::commit would wait for.
        let mut file = AtomicFile::create(&path).map_err(&io)?;
        file.write_all(&text).map_err(&io)?;
        file.commit_named().map_err(&io)
    }

    /// The plan of a stage, if its process got that far.
    pub(super) fn read(stage: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(stage.join(PLAN)).ok()?).ok()
    }

    /// Moves the files `names` from the stage to the folder, and returns their paths there, the
    /// seal last.
    ///
    /// Order: the old seal is removed, then stale files; then files are renamed, the seal last.
    pub(super) fn carry_out(
        &self,
        stage: &Path,
        mut names: Vec<OsString>,
        folder: &Path,
    ) -> Result<Vec<PathBuf>, FitsError> {
        let is_seal = |name: &OsString| self.seal.as_ref().is_some_and(|seal| name == seal.as_str());
        names.sort_by_key(|name| (is_seal(name), name.clone()));
        // Without the new seal in the stage, the plan is complete.
        if self.seal.is_some() && !names.iter().any(is_seal) {
            return Ok(vec![]);
        }
        for name in self.seal.iter().chain(&self.remove) {
            let path = folder.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(io_error(&path, "remove files of an earlier run")(error));
                }
                _ => (),
            }
            if self.seal.as_ref() == Some(name) {
                sync_folder(folder);
            }
        }
        let mut published = Vec::with_capacity(names.len());
        for name in &names {
            let path = folder.join(name);
            if is_seal(name) {
                sync_folder(folder);
            }
            fs::rename(stage.join(name), &path)
                .map_err(io_error(&path, "give the finished file this name"))?;
            published.push(path);
        }
        sync_folder(folder);
        Ok(published)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plan_carried_out_from_any_point_ends_the_same() {
        let names = || ["a", "b", "seal"].map(OsString::from).to_vec();
        for done in 0..=6 {
            let (folder, stage) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let (folder, stage) = (folder.path(), stage.path());
            for name in ["a", "seal", "stale", "notes"] {
                fs::write(folder.join(name), "old").unwrap();
            }
            names().iter().for_each(|name| fs::write(stage.join(name), "new").unwrap());
            let plan = Plan { seal: Some("seal".into()), remove: vec!["stale".into()] };
            plan.write(stage).unwrap();
            // The first of the steps, as a killed process had taken them.
            let rename = |name: &str| fs::rename(stage.join(name), folder.join(name)).unwrap();
            let steps: [&dyn Fn(); 5] = [
                &|| fs::remove_file(folder.join("seal")).unwrap(),
                &|| fs::remove_file(folder.join("stale")).unwrap(),
                &|| rename("a"),
                &|| rename("b"),
                &|| rename("seal"),
            ];
            steps.iter().take(done).for_each(|step| step());
            let left = names().into_iter().filter(|name| stage.join(name).exists()).collect();
            assert_eq!(Plan::read(stage).as_ref(), Some(&plan));
            plan.carry_out(stage, left, folder).unwrap();
            for name in ["a", "b", "seal"] {
                assert_eq!(fs::read_to_string(folder.join(name)).unwrap(), "new", "{name} after {done}");
            }
            assert_eq!(fs::read_to_string(folder.join("notes")).unwrap(), "old");
            assert!(!folder.join("stale").exists());
        }
    }

    #[test]
    fn plan_removes_the_seal_and_stale_files_before_it_names_any() {
        let (folder, stage) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (folder, stage) = (folder.path(), stage.path());
        fs::write(folder.join("seal"), "old").unwrap();
        // It cannot be removed as a file is: what comes after it must not happen.
        fs::create_dir(folder.join("stale")).unwrap();
        let names = || ["a", "seal"].map(OsString::from).to_vec();
        names().iter().for_each(|name| fs::write(stage.join(name), "new").unwrap());
        let plan = Plan { seal: Some("seal".into()), remove: vec!["stale".into()] };
        let error = plan.carry_out(stage, names(), folder).unwrap_err().to_string();
        assert!(error.contains("stale: cannot remove files of an earlier run"), "{error}");
        assert!(!folder.join("seal").exists() && !folder.join("a").exists());
        fs::remove_dir(folder.join("stale")).unwrap();
        assert_eq!(plan.carry_out(stage, names(), folder).unwrap(), [folder.join("a"), folder.join("seal")]);
    }
}
