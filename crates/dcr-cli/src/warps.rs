//! From the paths on the command line to files.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// The files that `paths` stand for: files as they are, directories as the exposures in them, sorted by name.
pub(crate) fn expand(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            files.extend(exposures_in(path)?);
        } else if path.exists() {
            files.push(path.clone());
        } else if path.to_string_lossy().contains(['*', '?', '[']) {
            bail!("{}: no file matches this pattern, so the shell left it as it is", path.display());
        } else {
            bail!("{}: there is no such file or directory", path.display());
        }
    }
    Ok(files)
}

fn exposures_in(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let cannot = || format!("cannot list the directory {}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(cannot)? {
        let path = entry.with_context(cannot)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if is_fits(&name) && !is_companion(&name) && path.is_file() {
            files.push(path);
        }
    }
    if files.is_empty() {
        bail!("{}: no FITS file in this directory (*.fits, also with .fz or .gz)", folder.display());
    }
    files.sort();
    Ok(files)
}

fn is_fits(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let name = name.strip_suffix(".fz").or(name.strip_suffix(".gz")).unwrap_or(&name);
    !name.starts_with('.') && [".fits", ".fit", ".fts"].iter().any(|extension| name.ends_with(extension))
}

/// Weights and masks by the names that SWarp and the Community Pipeline give them, and PSFs named likewise.
fn is_companion(name: &str) -> bool {
    [".weight.", ".mask.", ".psf.", "_oow_", "_ood_"].iter().any(|mark| name.contains(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_stands_for_its_exposures_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "b.fits",
            "a.FITS",
            "c.fits.fz",
            "a.weight.fits",
            "a.psf.fits",
            "x_oow_g.fits",
            "notes.txt",
            ".hidden.fits",
        ] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let files = expand(&[folder.path().to_owned()]).unwrap();
        let names: Vec<_> = files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a.FITS", "b.fits", "c.fits.fz"]);
    }

    #[test]
    fn paths_that_are_nothing_say_so() {
        let message = |path: &str| expand(&[path.into()]).unwrap_err().to_string();
        assert!(message("nowhere/*.fits").contains("no file matches"));
        assert!(message("nowhere.fits").contains("no such file"));
        let empty = tempfile::tempdir().unwrap();
        assert!(message(empty.path().to_str().unwrap()).contains("no FITS file in this directory"));
    }
}
