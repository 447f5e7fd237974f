//! Companion files of an exposure: weights, mask, PSF and others, found by name.
//!
//! `x.weight.fits` is a companion of `x.fits`. The mark before the extension, after a dot, an
//! underscore or a hyphen, states the content. The Community Pipeline and ZTF have their own names.
//! Either file can have the suffix `.fz` or `.gz`.

use std::path::{Path, PathBuf};

use self::CompanionKind::{Mask, Other, Psf, Weights};
use super::FitsError;
use super::UncertaintyKind::{self, InverseVariance, StandardDeviation, Variance};
use super::presence::{exists, is_file};

/// Content of a companion file, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompanionKind {
    /// Uncertainties of the given kind.
    Weights(UncertaintyKind),
    /// A mask.
    Mask,
    /// A PSF.
    Psf,
    /// A file that is not read: a background, a segmentation map, or weights of unknown kind.
    Other,
}

/// Marks before the extension, in order of precedence.
const MARKS: [(&str, CompanionKind); 29] = [
    ("weight", Weights(InverseVariance)),
    ("weights", Weights(InverseVariance)),
    ("wht", Weights(InverseVariance)),
    ("wgt", Weights(InverseVariance)),
    ("ivar", Weights(InverseVariance)),
    ("invvar", Weights(InverseVariance)),
    ("var", Weights(Variance)),
    ("variance", Weights(Variance)),
    ("rms", Weights(StandardDeviation)),
    ("sigma", Weights(StandardDeviation)),
    ("err", Weights(StandardDeviation)),
    ("error", Weights(StandardDeviation)),
    ("unc", Weights(StandardDeviation)),
    ("uncert", Weights(StandardDeviation)),
    ("mask", Mask),
    ("msk", Mask),
    ("flag", Mask),
    ("flags", Mask),
    ("bpm", Mask),
    ("dq", Mask),
    ("psf", Psf),
    ("psfex", Psf),
    ("bkg", Other),
    ("back", Other),
    ("background", Other),
    ("seg", Other),
    ("segm", Other),
    ("segmentation", Other),
    // Variances of Pan-STARRS, weights of others.
    ("wt", Other),
];

/// Parts of a name that differ between image and companion: Community Pipeline, ZTF.
const PARTS: [(&str, &str, CompanionKind); 3] =
    [("_ooi_", "_oow_", Weights(InverseVariance)), ("_ooi_", "_ood_", Mask), ("_sciimg", "_mskimg", Mask)];

/// Separators before a mark.
const SEPARATORS: [char; 3] = ['.', '_', '-'];
/// File extensions of FITS files, in lower case.
const EXTENSIONS: [&str; 3] = [".fits", ".fit", ".fts"];
/// Extensions of compressed files.
const COMPRESSED: [&str; 2] = [".fz", ".gz"];

/// A companion file and the HDU in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompanionFile {
    /// The file.
    pub path: PathBuf,
    /// HDU by name (`WGT`), name and EXTVER (`WGT,2`) or number; `None`: by the names of the HDUs.
    pub hdu: Option<String>,
}

impl From<PathBuf> for CompanionFile {
    fn from(path: PathBuf) -> Self {
        Self { path, hdu: None }
    }
}

impl CompanionFile {
    /// Splits a path into file and HDU; a file whose literal name has the brackets comes first.
    ///
    /// # Errors
    ///
    /// [`FitsError::Io`] if the operating system cannot look the path up.
    pub(super) fn resolved(&self) -> Result<Self, FitsError> {
        if let Some(hdu) = &self.hdu {
            let mut literal = self.path.clone().into_os_string();
            literal.push(format!("[{hdu}]"));
            let literal = PathBuf::from(literal);
            if is_file(&literal)? {
                return Ok(literal.into());
            }
        }
        Ok(self.clone())
    }
}

/// Content of a companion by its name, and possible names of its exposure.
///
/// `None` for other names.
#[must_use]
pub fn companion_by_name(path: &Path) -> Option<(CompanionKind, Vec<PathBuf>)> {
    let name = path.file_name()?.to_str()?;
    for (of_image, of_companion, kind) in PARTS {
        if name.contains(of_companion) {
            return Some((kind, variants(path, &name.replace(of_companion, of_image))));
        }
    }
    let (stem, extension) = split(name)?;
    let (before, mark) = stem.rsplit_once(SEPARATORS)?;
    let kind = kind_of(mark).filter(|_| !before.is_empty())?;
    Some((kind, variants(path, &format!("{before}{extension}"))))
}

/// The weight file beside an image, if there is one, with its kind of uncertainty.
///
/// # Errors
///
/// [`FitsError::Io`] if the operating system cannot look the file up.
pub(super) fn weights_beside(image: &Path) -> Result<Option<(PathBuf, UncertaintyKind)>, FitsError> {
    beside(image, |kind| if let Weights(kind) = kind { Some(kind) } else { None })
}

/// The mask file beside an image, if there is one.
///
/// # Errors
///
/// [`FitsError::Io`] if the operating system cannot look the file up.
pub(super) fn mask_beside(image: &Path) -> Result<Option<PathBuf>, FitsError> {
    Ok(beside(image, |kind| (kind == Mask).then_some(()))?.map(|(path, ())| path))
}

/// Kind of uncertainty of a weight file, by its name.
pub(super) fn weights_by_name(path: &Path) -> Option<UncertaintyKind> {
    match companion_by_name(path)? {
        (Weights(kind), _) => Some(kind),
        _ => None,
    }
}

/// Whether two paths lead to the same file, through symbolic or hard links as well.
pub(super) fn is_same_file(a: &Path, b: &Path) -> bool {
    same_file::is_same_file(a, b).unwrap_or(false)
}

/// Refuses a dangling symbolic link; the error names link and target.
///
/// # Errors
///
/// [`FitsError::DanglingLink`].
pub fn refuse_dangling(path: &Path) -> Result<(), FitsError> {
    match std::fs::read_link(path) {
        Ok(target) if !exists(path)? => Err(FitsError::DanglingLink { path: path.to_owned(), target }),
        _ => Ok(()),
    }
}

/// The first companion file beside an image whose content `wanted` accepts.
///
/// A dangling link counts as a file: opening it reports the error.
fn beside<T>(
    image: &Path,
    wanted: impl Fn(CompanionKind) -> Option<T>,
) -> Result<Option<(PathBuf, T)>, FitsError> {
    let Some(name) = image.file_name().and_then(|name| name.to_str()) else { return Ok(None) };
    for (of_image, of_companion, kind) in PARTS {
        if let Some(kind) = wanted(kind).filter(|_| name.contains(of_image))
            && let Some(path) = first_there(variants(image, &name.replace(of_image, of_companion)))?
        {
            return Ok(Some((path, kind)));
        }
    }
    let Some((stem, extension)) = split(name) else { return Ok(None) };
    for separator in SEPARATORS {
        for (mark, kind) in MARKS {
            let Some(kind) = wanted(kind) else { continue };
            if let Some(path) = first_there(variants(image, &format!("{stem}{separator}{mark}{extension}")))?
            {
                return Ok(Some((path, kind)));
            }
        }
    }
    Ok(None)
}

/// The first path that is a file or a link.
fn first_there(paths: Vec<PathBuf>) -> Result<Option<PathBuf>, FitsError> {
    for path in paths {
        if is_file(&path)? || path.is_symlink() {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn kind_of(mark: &str) -> Option<CompanionKind> {
    MARKS.iter().find(|(known, _)| known.eq_ignore_ascii_case(mark)).map(|&(_, kind)| kind)
}

/// Whether a file name has a FITS extension: `.fits`, `.fit` or `.fts` in any case, optionally with
/// `.fz` or `.gz`.
///
/// ```
/// use dcr_image::fits::is_fits_name;
/// assert!(is_fits_name("a.FITS.fz") && !is_fits_name("a.fits.bz2"));
/// ```
#[must_use]
pub fn is_fits_name(name: &str) -> bool {
    split(name).is_some()
}

/// Stem and extension of a FITS file's name: `x.y` and `.fits.fz`.
fn split(name: &str) -> Option<(&str, &str)> {
    let lower = name.to_ascii_lowercase();
    let plain = COMPRESSED.iter().find_map(|ending| lower.strip_suffix(ending)).unwrap_or(&lower);
    let stem = EXTENSIONS.iter().find_map(|ending| plain.strip_suffix(ending))?;
    name.split_at_checked(stem.len())
}

/// Paths beside `path` with file name `name`, uncompressed and compressed.
fn variants(path: &Path, name: &str) -> Vec<PathBuf> {
    let plain = COMPRESSED.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name);
    let mut names = vec![name.to_owned()];
    for ending in ["", ".fz", ".gz"] {
        let other = format!("{plain}{ending}");
        if other != name {
            names.push(other);
        }
    }
    names.into_iter().map(|name| path.with_file_name(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(folder: &Path, names: &[&str]) {
        for name in names {
            std::fs::write(folder.join(name), "").unwrap();
        }
    }

    #[test]
    fn companions_are_known_by_their_names() {
        let of = |name: &str| {
            companion_by_name(Path::new(name)).map(|(kind, images)| (kind, images[0].display().to_string()))
        };
        for (name, kind, image) in [
            ("/d/sci.1.resamp.weight.fits", Weights(InverseVariance), "/d/sci.1.resamp.fits"),
            ("x.rms.fits.fz", Weights(StandardDeviation), "x.fits.fz"),
            ("x_MASK.FITS", Mask, "x.FITS"),
            ("x-var.fit", Weights(Variance), "x.fit"),
            ("c4d_oow_g.fits", Weights(InverseVariance), "c4d_ooi_g.fits"),
            ("c4d_ood_g.fits.fz", Mask, "c4d_ooi_g.fits.fz"),
            ("ztf_1_mskimg.fits", Mask, "ztf_1_sciimg.fits"),
            ("x.bkg.fits", Other, "x.fits"),
        ] {
            assert_eq!(of(name), Some((kind, image.to_owned())), "{name}");
        }
        for name in
            ["x.fits", "weight.fits", ".weight.fits", "x.weight.dat", "x.weights2.fits", "x_ooi_.fits"]
        {
            assert_eq!(of(name), None, "{name}");
        }
        let (_, images) = companion_by_name(Path::new("x.weight.fits.fz")).unwrap();
        assert!(images.contains(&PathBuf::from("x.fits")) && images.contains(&PathBuf::from("x.fits.gz")));
    }

    #[test]
    fn companions_beside_an_image_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("x.fits");
        assert_eq!((weights_beside(&image).unwrap(), mask_beside(&image).unwrap()), (None, None));
        touch(folder.path(), &["x.rms.fits", "x.flag.fits.fz", "x.psf.fits", "x.wt.fits", "y.weight.fits"]);
        let rms = folder.path().join("x.rms.fits");
        assert_eq!(weights_beside(&image).unwrap(), Some((rms, StandardDeviation)));
        assert_eq!(mask_beside(&image).unwrap(), Some(folder.path().join("x.flag.fits.fz")));
        // Weights by the usual name come first, whatever else is there.
        touch(folder.path(), &["x.weight.fits"]);
        let weights = folder.path().join("x.weight.fits");
        assert_eq!(weights_beside(&image).unwrap(), Some((weights, InverseVariance)));
        assert_eq!(weights_beside(&folder.path().join("x.dat")).unwrap(), None);
    }

    #[test]
    fn brackets_name_an_hdu_unless_a_file_is_called_so() {
        let folder = tempfile::tempdir().unwrap();
        let file = CompanionFile { path: folder.path().join("x.fits"), hdu: Some("WGT,2".into()) };
        assert_eq!(file.resolved().unwrap(), file);
        touch(folder.path(), &["x.fits[WGT,2]"]);
        assert_eq!(file.resolved().unwrap(), CompanionFile::from(folder.path().join("x.fits[WGT,2]")));
    }

    #[cfg(unix)]
    #[test]
    fn files_are_the_same_through_links() {
        let folder = tempfile::tempdir().unwrap();
        touch(folder.path(), &["x.fits", "y.fits"]);
        let at = |name: &str| folder.path().join(name);
        std::os::unix::fs::symlink(at("x.fits"), at("soft.fits")).unwrap();
        std::fs::hard_link(at("x.fits"), at("hard.fits")).unwrap();
        std::os::unix::fs::symlink("nowhere.fits", at("dangling.fits")).unwrap();
        assert!(
            is_same_file(&at("x.fits"), &at("soft.fits")) && is_same_file(&at("hard.fits"), &at("x.fits"))
        );
        assert!(!is_same_file(&at("x.fits"), &at("y.fits")) && !is_same_file(&at("x.fits"), &at("no")));
        assert!(refuse_dangling(&at("soft.fits")).is_ok() && refuse_dangling(&at("no")).is_ok());
        let message = refuse_dangling(&at("dangling.fits")).unwrap_err().to_string();
        assert!(message.contains("dangling.fits: this link points to nowhere.fits"), "{message}");
    }
}
