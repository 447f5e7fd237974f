//! Choice of an exposure's mask and variance: HDUs of its own file, files given, files beside it.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use dcr_physics::Assumption;

use super::cfitsio::FitsReader;
use super::companions::{mask_beside, weights_beside};
use super::exposure::VarianceSource;
use super::layout::{Hdu, Layout, PlaneSource, inventory, survey};
use super::{FitsError, MissingVariance, OpenOptions};
use crate::header::{Header, MaskCoding};

/// The mask with its coding, and the variance, both of the image's size.
pub(super) type ChosenPlanes = (Option<(PlaneSource, MaskCoding)>, VarianceSource);

/// Chooses mask and variance for the image of `layout`, and notes what is missing.
///
/// # Errors
///
/// [`FitsError`] if a file cannot be read, a mask cannot be decoded, planes differ in size, or there
/// is no variance and none may be estimated.
pub(super) fn choose_planes(
    path: &Path,
    options: &OpenOptions,
    hdus: &[Hdu],
    layout: &Layout<'_>,
    image: &PlaneSource,
    notes: &mut Vec<Assumption>,
) -> Result<ChosenPlanes, FitsError> {
    let (mask_source, mask_header) =
        match companion(&options.mask, options, layout.mask.is_none(), path, mask_beside) {
            Some(file) => {
                let (source, header) = companion_plane(&file, &layout.image.name)?;
                (Some(source), header)
            }
            None => match layout.mask {
                Some(hdu) => (Some(hdu.source(path)?), Header::merged(&hdus[0].header, &hdu.header)),
                None => (None, Header::new()),
            },
        };
    let coding = MaskCoding::of(&mask_header).map_err(|source| FitsError::Mask {
        path: mask_source.as_ref().map_or(path, |source| &source.path).to_owned(),
        hdu: mask_source.as_ref().map_or_else(String::new, |source| source.label.clone()),
        source,
    })?;
    let mask = mask_source.map(|source| (source, coding));
    if mask.is_none() {
        notes.push(note(
            "mask",
            "There is no mask; only pixels without a number or weight count as bad.".into(),
            true,
        ));
    }

    let variance =
        match companion(&options.weights, options, layout.variance.is_none(), path, weights_beside) {
            Some(file) => {
                let (source, _) = companion_plane(&file, &layout.image.name)?;
                VarianceSource::Plane(source, options.weights_hold)
            }
            None => match (layout.variance, options.missing_variance) {
                (Some((hdu, kind)), _) => VarianceSource::Plane(hdu.source(path)?, kind),
                (None, MissingVariance::Estimate) => {
                    notes.push(note(
                        "variance",
                        "There is no variance; the noise of the image is taken for it.".into(),
                        true,
                    ));
                    VarianceSource::Estimate(OnceLock::new())
                }
                (None, MissingVariance::Refuse) => {
                    return Err(FitsError::NoVariance { path: path.to_owned(), found: inventory(hdus) });
                }
            },
        };
    if let Some((source, _)) = &mask {
        same_size(source, image)?;
    }
    if let VarianceSource::Plane(source, _) = &variance {
        same_size(source, image)?;
    }
    Ok((mask, variance))
}

fn same_size(plane: &PlaneSource, image: &PlaneSource) -> Result<(), FitsError> {
    if plane.shape == image.shape {
        return Ok(());
    }
    let (path, hdu) = (plane.path.clone(), plane.label.clone());
    Err(FitsError::Shape { path, hdu, got: plane.shape, expected: image.shape })
}

fn note(quantity: &str, text: String, warning: bool) -> Assumption {
    Assumption { quantity: quantity.to_owned(), text, warning }
}

/// The companion file to use: the one given, or one beside the image if the image needs it.
fn companion(
    given: &Option<PathBuf>,
    options: &OpenOptions,
    needed: bool,
    image: &Path,
    beside: fn(&Path) -> Option<PathBuf>,
) -> Option<PathBuf> {
    given.clone().or_else(|| if needed && options.find_companions { beside(image) } else { None })
}

/// The plane of a companion file: the HDU with the image's name, or the first image.
fn companion_plane(path: &Path, image_name: &str) -> Result<(PlaneSource, Header), FitsError> {
    let mut reader = FitsReader::open(path)?;
    let hdus = survey(&mut reader)?;
    let named = hdus
        .iter()
        .find(|hdu| !image_name.is_empty() && hdu.name == image_name && hdu.plane_shape().is_some());
    let hdu = named.or_else(|| hdus.iter().find(|hdu| hdu.plane_shape().is_some())).ok_or_else(|| {
        FitsError::Missing {
            path: path.to_owned(),
            wanted: "two-dimensional image".into(),
            found: inventory(&hdus),
        }
    })?;
    Ok((hdu.source(path)?, Header::merged(&hdus[0].header, &hdu.header)))
}
