//! The warps of a patch: opened, and checked to belong together.

pub mod background;
pub mod flux_factors;
pub mod input_map;
pub mod losses;
pub mod mask_settings;
pub mod parts;
pub mod pixels;
pub mod sky;
pub mod store;
pub mod transmission;
pub mod weights;

use std::path::PathBuf;
use std::sync::Arc;

use dcr_image::header::unit::{self, UnitKind};
use dcr_image::{BBox, ExposureFile, MaskPlanes, Wcs};
use dcr_solver::PixelList;
use ndarray::Array2;
use rayon::prelude::*;

use crate::config::{AssembleConfig, StatedBand, ZeroPoint};
use crate::error::{CoaddError, GridDifference};
use crate::inputs::parts::{Opened, join_visits};
use crate::inputs::sky::Sky;

/// The zero point in AB mag of pixel values in nJy.
const NANOJANSKY_MAG: f64 = 31.4;

/// A warp, its pixels still on disk.
pub struct Input {
    pub file: ExposureFile,
    pub sky: Sky,
    /// Pixel values are multiplied by this.
    pub scale: f32,
    /// Pixels of the patch that no visit may use.
    pub excluded: Option<Arc<Array2<bool>>>,
    /// Pixels that cannot be light ([`dcr_measure::glitches`]): `row × cols + col` in the patch,
    /// ascending.
    pub glitches: PixelList,
}

/// Warps that belong together.
pub struct Inputs {
    /// In the order given; there is at least one.
    pub visits: Vec<Input>,
    pub bbox: BBox,
    pub wcs: Wcs,
    pub unit: String,
    /// Zero point in mag of the visits as they are scaled, if it is known and one.
    pub zero_point_mag: Option<f64>,
    /// What the headers say of the band.
    pub stated: StatedBand,
}

impl Input {
    /// The visit's number.
    pub fn number(&self) -> u64 {
        self.sky.visit.visit
    }

    /// The visit's number and file, for messages.
    pub fn name(&self) -> String {
        format!("visit {} ({})", self.number(), self.file.path().display())
    }

    /// FWHM of its PSF in px at a place, from the PSF or else from the header.
    pub fn fwhm_px(&self, (x, y): (f64, f64)) -> Option<f64> {
        let of_psf = self.file.psf().and_then(|psf| psf.fwhm_px(x, y).ok());
        of_psf.or(self.sky.visit.psf_fwhm_px).filter(|fwhm| *fwhm > 0.0)
    }
}

impl Inputs {
    /// Opens the warps, in the order given.
    ///
    /// # Errors
    ///
    /// [`CoaddError`] for the first file, in that order, that cannot be opened or does not belong to those before it.
    pub fn open(paths: &[PathBuf], config: &AssembleConfig) -> Result<Self, CoaddError> {
        let opened: Vec<Result<(ExposureFile, Sky), CoaddError>> = paths
            .par_iter()
            .map(|path| {
                let file = ExposureFile::open(path, &config.input.open_options(path))?;
                let sky = Sky::of(&file, &config.input, config.model.refraction)?;
                Ok((file, sky))
            })
            .collect();
        let mut opened: Vec<(ExposureFile, Sky)> = opened.into_iter().collect::<Result<_, _>>()?;
        if let Some(wanted) = &config.input.visits {
            let given = opened.len();
            opened.retain(|(_, sky)| wanted.contains(&sky.visit.visit));
            if opened.is_empty() {
                return Err(CoaddError::NotSelected { given, wanted: wanted.len() });
            }
        }
        let Some((first, first_sky)) = opened.first() else { return Err(CoaddError::NoInputs) };
        let unit = unit_of(first)?;
        let (bbox, wcs, stated) = (first.bbox(), first.wcs().clone(), StatedBand::of(first));
        check_filter(first, first_sky.visit.filter.as_deref(), config.band.name.as_deref(), "band.name is")?;

        for (file, sky) in &opened {
            check_grid(file, first, config.coadd.grid_tolerance_px)?;
            let own_unit = unit_of(file)?;
            if !unit::same(&own_unit, &unit) {
                return Err(CoaddError::Unit {
                    path: file.path().to_owned(),
                    unit: own_unit,
                    first: first.path().to_owned(),
                    expected: unit,
                });
            }
            let against = format!("{} has", first.path().display());
            check_filter(file, sky.visit.filter.as_deref(), first_sky.visit.filter.as_deref(), &against)?;
        }
        let (scales, zero_point_mag) = flux_factors::factors(&opened, config)?;
        let doubts = flux_factors::doubts(&opened, config);
        opened.iter_mut().for_each(|(_, sky)| sky.notes.extend_from_slice(&doubts));
        let unit = if config.input.zero_point == ZeroPoint::Header && zero_point_mag == Some(NANOJANSKY_MAG) {
            "nJy".to_owned()
        } else {
            unit
        };
        let opened = opened.into_iter().zip(scales).map(|((file, sky), scale)| Opened { file, sky, scale });
        let visits = join_visits(opened.collect(), &config.input, config.coadd.grid_tolerance_px)?
            .into_iter()
            .map(|Opened { file, sky, scale }| Input { file, sky, scale, excluded: None, glitches: vec![] })
            .collect();
        Ok(Self { visits, bbox, wcs, unit, zero_point_mag, stated })
    }

    /// Lets no visit use these pixels of the patch.
    pub fn exclude(&mut self, pixels: Array2<bool>) {
        let pixels = Arc::new(pixels);
        self.visits.iter_mut().for_each(|visit| visit.excluded = Some(Arc::clone(&pixels)));
    }

    /// One dictionary with the mask planes of all warps and of `others`; ours where bits are free.
    ///
    /// # Errors
    ///
    /// [`CoaddError::Mask`] if there are more than 31.
    pub fn planes(&self, others: Option<&ExposureFile>) -> Result<MaskPlanes, CoaddError> {
        let mut planes = MaskPlanes::canonical();
        for file in self.visits.iter().map(|visit| &visit.file).chain(others) {
            planes
                .merge(file.mask_planes())
                .map_err(|source| CoaddError::Mask { path: file.path().to_owned(), source })?;
        }
        Ok(planes)
    }
}

/// Refuses a file that does not cover the pixels of `first`, or covers other places with them.
pub fn check_grid(file: &ExposureFile, first: &ExposureFile, allowed_px: f64) -> Result<(), CoaddError> {
    let difference = if file.bbox() == first.bbox() {
        grid_difference(first.wcs(), file.wcs(), &first.bbox(), allowed_px)
    } else {
        Some(GridDifference::Box { got: file.bbox(), expected: first.bbox() })
    };
    match difference {
        None => Ok(()),
        Some(difference) => {
            Err(CoaddError::Grid { path: file.path().to_owned(), first: first.path().to_owned(), difference })
        }
    }
}

/// How two WCS differ over a box, if by more than what is allowed.
pub fn grid_difference(expected: &Wcs, got: &Wcs, bbox: &BBox, allowed_px: f64) -> Option<GridDifference> {
    match expected.difference_px(got, bbox) {
        Ok(px) if px <= allowed_px => None,
        Ok(px) => Some(GridDifference::Place { px, allowed_px }),
        Err(error) => Some(GridDifference::Apart(error)),
    }
}

/// The unit of a file's pixel values, from the settings or its header.
///
/// # Errors
///
/// [`CoaddError::NoUnit`] without one, [`CoaddError::NotFlux`] for magnitudes and logarithms.
pub fn unit_of(file: &ExposureFile) -> Result<String, CoaddError> {
    let unit = file.unit().ok_or_else(|| CoaddError::NoUnit { path: file.path().to_owned() })?;
    if unit::kind(unit) == UnitKind::NotFlux {
        return Err(CoaddError::NotFlux { path: file.path().to_owned(), unit: unit.to_owned() });
    }
    Ok(unit.to_owned())
}

/// Refuses a filter that is another than `expected`, if both are known.
pub fn check_filter(
    file: &ExposureFile,
    filter: Option<&str>,
    expected: Option<&str>,
    against: &str,
) -> Result<(), CoaddError> {
    let (Some(filter), Some(expected)) = (filter, expected) else { return Ok(()) };
    if may_be_the_same(filter, expected) {
        return Ok(());
    }
    Err(CoaddError::Filter {
        path: file.path().to_owned(),
        filter: filter.into(),
        against: against.into(),
        expected: expected.into(),
    })
}

/// Whether two names may stand for one filter: they are alike, or have the same band letter, or have none.
///
/// A name without a letter of its own, as a user may call a band, says nothing against any other.
pub fn may_be_the_same(a: &str, b: &str) -> bool {
    match (band_letter(a), band_letter(b)) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    }
}

/// The band in a filter's name: `g` of "g", "HSC-G", "g_6", "lsst-g" and "g DECam SDSS c0001 4720.0 1520.0".
fn band_letter(name: &str) -> Option<char> {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words
        .filter_map(|word| {
            let mut letters = word.chars();
            let letter = letters.next()?.to_ascii_lowercase();
            let rest_is_number = letters.all(|c| c.is_ascii_digit());
            (rest_is_number && "ugrizy".contains(letter)).then_some(letter)
        })
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_compared_by_their_band() {
        for (a, b) in [
            ("g", "G"),
            ("g", "g DECam SDSS c0001 4720.0 1520.0"),
            ("HSC-I2", "i"),
            ("lsst-g", "g_6"),
            ("mine", "g"),
            ("VR DECam c0007 6300.0 2600.0", "mine"),
        ] {
            assert!(may_be_the_same(a, b), "{a} {b}");
        }
        for (a, b) in [("g", "r"), ("HSC-G", "HSC-R"), ("decam-u", "lsst-y")] {
            assert!(!may_be_the_same(a, b), "{a} {b}");
        }
    }
}
