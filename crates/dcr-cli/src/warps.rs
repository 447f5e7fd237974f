//! Resolution of command-line paths to the files of exposures.
//!
//! Weights, masks, PSFs and maps of an exposure in the list are companions, not exposures. They are
//! recognised by name (`x.weight.fits` beside `x.fits`), or because a pattern in the settings names
//! them. A file with such a name but without its exposure counts as an exposure, unless it was
//! found in a directory together with others. Both cases are reported.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use dcr_coadd::config::InputConfig;
use dcr_image::fits::{self, CompanionKind, companion_by_name, is_fits_name, refuse_dangling};

use crate::console::Console;

/// Parts of names that only pipelines use, never for an exposure.
const CERTAIN: [&str; 5] = [".weight.", ".mask.", ".psf.", "_oow_", "_ood_"];
/// Maximum number of files listed in a warning.
const SHOWN: usize = 3;

/// A path from the command line, or from a directory on the command line.
#[derive(Clone, Debug)]
struct Given {
    path: PathBuf,
    /// Key for comparisons.
    key: OsString,
    in_folder: bool,
}

/// The exposures among the paths, and the files to report.
#[derive(Debug, Default)]
struct Sorted {
    exposures: Vec<PathBuf>,
    /// Number of companion files, by use.
    companions: BTreeMap<&'static str, usize>,
    /// Companion-like files without their exposure: skipped in a directory, or taken as exposures.
    left_out: Vec<PathBuf>,
    taken: Vec<PathBuf>,
}

/// The exposures that `paths` stand for. Directories stand for their FITS files, sorted by name.
/// Companions of other exposures in the list, by `input` or by name, are excluded.
///
/// # Errors
///
/// An error that names the path, if it does not exist, is a dangling link or cannot be listed.
pub(crate) fn expand(
    paths: &[PathBuf],
    input: &InputConfig,
    console: &Console,
) -> anyhow::Result<Vec<PathBuf>> {
    let sorted = sort(gather(paths)?, input);
    if let Some(text) = sorted.note() {
        console.note(&text);
    }
    for text in sorted.warnings() {
        console.warn(&text);
    }
    Ok(sorted.exposures)
}

/// All files that `paths` stand for.
fn gather(paths: &[PathBuf]) -> anyhow::Result<Vec<Given>> {
    let mut files = Vec::new();
    for path in paths {
        refuse_dangling(path)?;
        if fits::is_dir(path)? {
            files.extend(files_in(path)?.into_iter().map(|path| Given::new(path, true)));
        } else if fits::exists(path)? {
            files.push(Given::new(path.clone(), false));
        } else if path.to_string_lossy().contains(['*', '?', '[']) {
            bail!("{}: no file matches this pattern", path.display());
        } else {
            bail!("{}: no such file or directory", path.display());
        }
    }
    Ok(files)
}

/// The FITS files in a directory, sorted by name.
fn files_in(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let cannot = || format!("cannot list the directory {}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(cannot)? {
        let path = entry.with_context(cannot)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with('.') && is_fits_name(&name) {
            refuse_dangling(&path)?;
            if fits::is_file(&path)? {
                files.push(path);
            }
        }
    }
    if files.is_empty() {
        bail!("{}: no FITS file in this directory (*.fits, also with .fz or .gz)", folder.display());
    }
    files.sort();
    Ok(files)
}

/// Separates exposures from their companions.
fn sort(files: Vec<Given>, input: &InputConfig) -> Sorted {
    let keys: BTreeSet<&OsString> = files.iter().map(|file| &file.key).collect();
    let by_pattern = named_by_patterns(&files, input);
    let alike = |file: &Given| companion_by_name(&file.path);
    let others = files.iter().any(|file| alike(file).is_none() && !by_pattern.contains_key(&file.key));
    let mut sorted = Sorted::default();
    for file in &files {
        let by_name = alike(file);
        let its_exposure_is_there = by_name.as_ref().is_some_and(|(_, exposures)| {
            exposures
                .iter()
                .map(|path| key(path))
                .any(|exposure| exposure != file.key && keys.contains(&exposure))
        });
        let use_of_name = by_name.as_ref().filter(|_| its_exposure_is_there).map(|(kind, _)| use_of(*kind));
        if let Some(use_) = by_pattern.get(&file.key).copied().or(use_of_name) {
            *sorted.companions.entry(use_).or_default() += 1;
            continue;
        }
        if by_name.is_some() && others {
            let name = file.path.file_name().unwrap_or_default().to_string_lossy();
            let certain = CERTAIN.iter().any(|mark| name.contains(mark));
            if certain && file.in_folder {
                sorted.left_out.push(file.path.clone());
                continue;
            }
            sorted.taken.push(file.path.clone());
        }
        sorted.exposures.push(file.path.clone());
    }
    sorted
}

/// Files that a pattern in the settings names as companions of others, with their use.
fn named_by_patterns(files: &[Given], input: &InputConfig) -> BTreeMap<OsString, &'static str> {
    let mut named = BTreeMap::new();
    let mut by_length: Vec<&Given> = files.iter().collect();
    by_length.sort_by_key(|file| file.key.len());
    for file in by_length {
        // A companion has no companions of its own.
        if named.contains_key(&file.key) {
            continue;
        }
        for (use_, path) in input.named_companions(&file.path) {
            let companion = key(&path);
            if companion != file.key {
                named.insert(companion, use_);
            }
        }
    }
    named
}

const fn use_of(kind: CompanionKind) -> &'static str {
    match kind {
        CompanionKind::Weights(_) => "weight",
        CompanionKind::Mask => "mask",
        CompanionKind::Psf => "PSF",
        CompanionKind::Other => "other",
    }
}

/// Key of a path for comparisons: canonical folder, literal name.
fn key(path: &Path) -> OsString {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    folder.join(path.file_name().unwrap_or_default()).into_os_string()
}

impl Given {
    fn new(path: PathBuf, in_folder: bool) -> Self {
        Self { key: key(&path), path, in_folder }
    }
}

impl Sorted {
    /// A note on the number of companion files.
    fn note(&self) -> Option<String> {
        let parts: Vec<String> = self
            .companions
            .iter()
            .map(|(use_, count)| match (*use_, *count) {
                ("mask", 1) => "1 mask".to_owned(),
                ("mask", count) => format!("{count} masks"),
                (use_, 1) => format!("1 {use_} file"),
                (use_, count) => format!("{count} {use_} files"),
            })
            .collect();
        let one = self.companions.values().sum::<usize>() == 1;
        let (last, first) = parts.split_last()?;
        let list = if first.is_empty() { last.clone() } else { format!("{} and {last}", first.join(", ")) };
        let (belong, exposures) =
            if one { ("belongs", "is not an exposure") } else { ("belong", "are not exposures") };
        Some(format!("{list} among the paths {belong} to exposures and {exposures}"))
    }

    fn warnings(&self) -> Vec<String> {
        let about = |files: &[PathBuf], then: &str| {
            let shown: Vec<String> =
                files.iter().take(SHOWN).map(|path| path.display().to_string()).collect();
            let more = files.len().saturating_sub(SHOWN);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            (!files.is_empty()).then(|| {
                format!(
                    "{}{more}: the name is that of a weight, mask, PSF or map file whose exposure is not among the \
                     paths; {then}",
                    shown.join(", ")
                )
            })
        };
        let left_out = about(&self.left_out, "skipped; give the file itself to use it as an exposure");
        let taken = about(&self.taken, "used as an exposure");
        left_out.into_iter().chain(taken).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        folder
    }

    fn sorted(paths: &[PathBuf], input: &InputConfig) -> (Vec<String>, Option<String>, Vec<String>) {
        let sorted = sort(gather(paths).unwrap(), input);
        let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        (sorted.exposures.iter().map(name).collect(), sorted.note(), sorted.warnings())
    }

    fn in_folder(names: &[&str], input: &InputConfig) -> (Vec<String>, Option<String>, Vec<String>) {
        sorted(&[folder(names).path().to_owned()], input)
    }

    /// As a shell expands `*.fits`.
    fn by_glob(names: &[&str], input: &InputConfig) -> (Vec<String>, Option<String>, Vec<String>) {
        let folder = folder(names);
        let paths: Vec<PathBuf> = names.iter().map(|name| folder.path().join(name)).collect();
        sorted(&paths, input)
    }

    #[test]
    fn directory_stands_for_its_exposures_in_order() {
        let (exposures, note, warnings) = in_folder(
            &[
                "b.fits",
                "a.FITS",
                "c.fits.fz",
                "a.weight.fits",
                "a.psf.fits",
                "x_oow_g.fits",
                "notes.txt",
                ".hidden.fits",
            ],
            &InputConfig::default(),
        );
        assert_eq!(exposures, ["a.FITS", "b.fits", "c.fits.fz"]);
        assert_eq!(note, None);
        assert!(warnings[0].contains("a.weight.fits") && warnings[0].contains("skipped"), "{warnings:?}");
    }

    #[test]
    fn files_that_belong_to_exposures_are_none() {
        let names = [
            "a.fits",
            "a.mask.fits",
            "a.rms.fits",
            "b.fits.fz",
            "b.weight.fits",
            "b.bkg.fits",
            "c_ooi_g.fits",
            "c_oow_g.fits",
            "c_ood_g.fits",
            "d.fits",
            "d_wht.fits",
        ];
        let expected = ["a.fits", "b.fits.fz", "c_ooi_g.fits", "d.fits"];
        let note = "2 masks, 1 other file and 4 weight files among the paths belong to exposures and are not exposures";
        for of in [in_folder, by_glob] {
            let (exposures, said, warnings) = of(&names, &InputConfig::default());
            assert_eq!(exposures, expected);
            assert_eq!((said.as_deref(), warnings), (Some(note), vec![]));
        }
        let (exposures, said, _) = by_glob(&["a.fits", "a.weight.fits"], &InputConfig::default());
        assert_eq!(exposures, ["a.fits"]);
        assert_eq!(
            said.unwrap(),
            "1 weight file among the paths belongs to exposures and is not an exposure"
        );
    }

    #[test]
    fn files_that_a_pattern_names_for_others_are_no_exposures() {
        let input = InputConfig {
            weights: Some("{dir}/{stem}.noise.fits".into()),
            masks: Some("{dir}/m_{stem}.fits[2]".into()),
            psfs: Some("{dir}/{stem}.fits[PSF]".into()),
            ..InputConfig::default()
        };
        let names = ["a.fits", "a.noise.fits", "b.fits", "b.noise.fits", "m_a.fits", "m_b.fits"];
        for of in [in_folder, by_glob] {
            let (exposures, said, warnings) = of(&names, &input);
            assert_eq!(
                exposures,
                ["a.fits", "b.fits"],
                "an HDU of its own file makes no exposure a companion"
            );
            assert_eq!(
                said.unwrap(),
                "2 masks and 2 weight files among the paths belong to exposures and are not exposures"
            );
            assert!(warnings.is_empty());
        }
        // Without the settings nothing is known of these names.
        assert_eq!(by_glob(&names, &InputConfig::default()).0.len(), 6);
    }

    #[test]
    fn companions_without_their_exposures_are_taken_literally() {
        let none = InputConfig::default();
        for names in [&["x.weight.fits"][..], &["x.weight.fits", "y.weight.fits", "x.rms.fits"]] {
            for of in [in_folder, by_glob] {
                let (exposures, note, warnings) = of(names, &none);
                assert_eq!((exposures.len(), note, warnings), (names.len(), None, vec![]));
            }
        }
        let (exposures, _, warnings) = by_glob(&["a.fits", "x.weight.fits"], &none);
        assert_eq!(exposures, ["a.fits", "x.weight.fits"]);
        assert!(
            warnings[0].contains("x.weight.fits: the name is that of a weight")
                && warnings[0].contains("used as an exposure")
        );
        let (exposures, _, warnings) = in_folder(&["a.fits", "rr_lyr.var.fits"], &none);
        assert_eq!((exposures.len(), warnings.len()), (2, 1));
    }

    #[test]
    fn paths_that_are_nothing_say_so() {
        let message = |path: &str| gather(&[path.into()]).unwrap_err().to_string();
        assert!(message("nowhere/*.fits").contains("no file matches"));
        assert!(message("nowhere.fits").contains("no such file"));
        let empty = tempfile::tempdir().unwrap();
        assert!(message(empty.path().to_str().unwrap()).contains("no FITS file in this directory"));
    }

    #[cfg(unix)]
    #[test]
    fn links_to_nowhere_are_refused_in_directories_too() {
        let folder = folder(&["a.fits"]);
        let link = folder.path().join("b.fits");
        std::os::unix::fs::symlink("gone/b.fits", &link).unwrap();
        for path in [folder.path().to_owned(), link] {
            let message = gather(&[path]).unwrap_err().to_string();
            assert!(
                message.contains("b.fits: this link points to gone/b.fits, which does not exist"),
                "{message}"
            );
        }
    }
}
