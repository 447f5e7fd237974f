//! Files that belong to an image: its weights and its mask.

use std::path::{Path, PathBuf};

/// The weight file that lies beside an image, if one does: `x.weight.fits` for `x.fits` (SWarp), or
/// `…_oow_…` for `…_ooi_…` (Community Pipeline).
pub(crate) fn weights_beside(image: &Path) -> Option<PathBuf> {
    [replaced(image, "_ooi_", "_oow_"), with_suffix(image, "weight")]
        .into_iter()
        .flatten()
        .find(|p| p.is_file())
}

/// The mask file that lies beside an image, if one does: `x.mask.fits` for `x.fits`, or `…_ood_…` for
/// `…_ooi_…` (Community Pipeline).
pub(crate) fn mask_beside(image: &Path) -> Option<PathBuf> {
    [replaced(image, "_ooi_", "_ood_"), with_suffix(image, "mask")]
        .into_iter()
        .flatten()
        .find(|p| p.is_file())
}

fn replaced(image: &Path, from: &str, to: &str) -> Option<PathBuf> {
    let name = image.file_name()?.to_str()?;
    name.contains(from).then(|| image.with_file_name(name.replace(from, to)))
}

/// `x.weight.fits` of `x.fits`, also before `.fz` and `.gz`.
fn with_suffix(image: &Path, suffix: &str) -> Option<PathBuf> {
    let name = image.file_name()?.to_str()?;
    let at = [".fits", ".fit", ".fts", ".FITS"].iter().filter_map(|extension| name.rfind(extension)).max()?;
    let (stem, extension) = name.split_at(at);
    Some(image.with_file_name(format!("{stem}.{suffix}{extension}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn companions_are_named_after_the_image() {
        assert_eq!(
            with_suffix(Path::new("/d/sci.0001.resamp.fits"), "weight"),
            Some(PathBuf::from("/d/sci.0001.resamp.weight.fits"))
        );
        assert_eq!(with_suffix(Path::new("a.fits.fz"), "mask"), Some(PathBuf::from("a.mask.fits.fz")));
        assert_eq!(with_suffix(Path::new("a.dat"), "mask"), None);
        assert_eq!(
            replaced(Path::new("c4d_ooi_g.fits"), "_ooi_", "_oow_"),
            Some(PathBuf::from("c4d_oow_g.fits"))
        );
        assert_eq!(replaced(Path::new("x.fits"), "_ooi_", "_oow_"), None);
    }
}
