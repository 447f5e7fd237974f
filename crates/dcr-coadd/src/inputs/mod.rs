//! The warps of a patch: opened, and checked to belong together.

pub mod background;
mod checks;
pub mod flux_factors;
pub mod input_map;
pub(crate) mod losses;
pub mod mask_settings;
pub mod parts;
pub mod pixels;
pub mod sky;
pub mod store;
pub mod transmission;
pub mod weights;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use dcr_image::header::StatedBand;
use dcr_image::header::unit;
use dcr_image::{BBox, Exposure, ExposureFile, MaskPlanes, Wcs};
use dcr_solver::PixelList;
use ndarray::Array2;
use rayon::prelude::*;

pub(crate) use self::checks::{check_filter, check_grid};
pub use self::checks::{grid_difference, may_be_the_same, unit_of};
use crate::config::{AssembleConfig, ZeroPoint};
use crate::error::{CoaddError, InputError};
use crate::inputs::parts::join_visits;
use crate::inputs::sky::Sky;

/// The zero point in AB mag of pixel values in nJy.
const NANOJANSKY_MAG: f64 = 31.4;

/// A warp, its pixels still on disk.
pub struct Input {
    /// The exposure.
    pub file: Arc<dyn Exposure>,
    /// Its zenith, air and header.
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
    /// The visits, in the order given; at least one.
    pub visits: Vec<Input>,
    /// Box of the patch in parent pixels.
    pub bbox: BBox,
    /// WCS of the parent pixels.
    pub wcs: Wcs,
    /// Unit of the scaled pixel values.
    pub unit: String,
    /// Common zero point in mag of the scaled visits, if known.
    pub zero_point_mag: Option<f64>,
    /// The band that the headers state.
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

/// Opens the files of the exposures in the order given; files that are CCDs of one visit are
/// joined.
///
/// # Errors
///
/// [`CoaddError`] for the first file, in that order, that cannot be opened, does not belong to
/// those before it, or has the visit number of another without being a CCD of the same exposure.
pub fn open_exposures(
    paths: &[PathBuf],
    config: &AssembleConfig,
) -> Result<Vec<Arc<dyn Exposure>>, CoaddError> {
    let open = |path: &PathBuf| ExposureFile::open(path, &config.input.open_options(path));
    let opened: Vec<Result<ExposureFile, _>> = paths.par_iter().map(open).collect();
    let files: Vec<ExposureFile> = opened.into_iter().collect::<Result<_, _>>()?;
    let files = selected(files, |file| file.visit().visit, config)?;
    let exposures: Vec<&dyn Exposure> = files.iter().map(|file| file as &dyn Exposure).collect();
    check_together(&exposures, config)?;
    let (scales, _) = flux_factors::factors(&exposures, config)?;
    let scaled = files.into_iter().zip(scales).collect();
    let joined = join_visits(scaled, &config.input, config.coadd.grid_tolerance_px)?;
    Ok(joined.into_iter().map(|file| Arc::new(file) as Arc<dyn Exposure>).collect())
}

/// The exposures whose visits are wanted (`input.visits`).
fn selected<T>(
    mut all: Vec<T>,
    visit: impl Fn(&T) -> u64,
    config: &AssembleConfig,
) -> Result<Vec<T>, CoaddError> {
    let given = all.len();
    if let Some(wanted) = &config.input.visits {
        all.retain(|one| wanted.contains(&visit(one)));
        if all.is_empty() && given > 0 {
            return Err(CoaddError::NotSelected { given, wanted: wanted.len() });
        }
    }
    Ok(all)
}

/// Refuses exposures of different grids, units or filters.
fn check_together(exposures: &[&dyn Exposure], config: &AssembleConfig) -> Result<(), InputError> {
    let Some(first) = exposures.first().copied() else { return Ok(()) };
    let unit = unit_of(first)?;
    let filter = |exposure: &dyn Exposure| exposure.visit().filter.clone();
    check_filter(first, config.band.name.as_deref(), "band.name is")?;
    for exposure in exposures.iter().copied() {
        check_grid(exposure, first, config.coadd.grid_tolerance_px)?;
        let own_unit = unit_of(exposure)?;
        if !unit::same(&own_unit, &unit) {
            return Err(InputError::Unit {
                path: exposure.path().to_owned(),
                unit: own_unit,
                first: first.path().to_owned(),
                expected: unit,
            });
        }
        let against = format!("{} has", first.path().display());
        check_filter(exposure, filter(first).as_deref(), &against)?;
    }
    Ok(())
}

impl Inputs {
    /// Checks that the exposures belong together, and works out sky, air and flux scale of each.
    ///
    /// # Errors
    ///
    /// [`CoaddError`] for the first exposure, in the order given, that cannot be used.
    pub fn new(exposures: Vec<Arc<dyn Exposure>>, config: &AssembleConfig) -> Result<Self, CoaddError> {
        let exposures = selected(exposures, |exposure| exposure.visit().visit, config)?;
        if exposures.is_empty() {
            return Err(CoaddError::NoInputs);
        }
        let all: Vec<&dyn Exposure> = exposures.iter().map(Arc::as_ref).collect();
        check_together(&all, config)?;
        check_numbers(&all)?;
        let skies: Vec<Result<Sky, InputError>> = all
            .par_iter()
            .map(|exposure| Sky::of(*exposure, &config.input, config.model.refraction))
            .collect();
        let mut skies: Vec<Sky> = skies.into_iter().collect::<Result<_, _>>()?;
        let (scales, zero_point_mag) = flux_factors::factors(&all, config)?;
        let warnings = flux_factors::warnings(&all, config);
        skies.iter_mut().for_each(|sky| sky.notes.extend_from_slice(&warnings));
        let unit = match (config.input.zero_point, zero_point_mag) {
            (ZeroPoint::Header, Some(NANOJANSKY_MAG)) => "nJy".to_owned(),
            _ => unit_of(all[0])?,
        };
        let (bbox, wcs, stated) = (all[0].bbox(), all[0].wcs().clone(), all[0].stated_band());
        let visits = exposures.into_iter().zip(skies).zip(scales);
        let visits = visits
            .map(|((file, sky), scale)| Input { file, sky, scale, excluded: None, glitches: vec![] })
            .collect();
        Ok(Self { visits, bbox, wcs, unit, zero_point_mag, stated })
    }

    /// Lets no visit use these pixels of the patch.
    pub(crate) fn exclude(&mut self, pixels: Array2<bool>) {
        let pixels = Arc::new(pixels);
        self.visits.iter_mut().for_each(|visit| visit.excluded = Some(Arc::clone(&pixels)));
    }

    /// Dictionary of the mask planes of all warps and of `template`; the planes of this program
    /// fill free bits.
    ///
    /// # Errors
    ///
    /// [`InputError::Mask`] for more than 31 planes.
    pub fn planes(&self, template: Option<&dyn Exposure>) -> Result<MaskPlanes, CoaddError> {
        let mut planes = MaskPlanes::canonical();
        for file in self.visits.iter().map(|visit| visit.file.as_ref()).chain(template) {
            planes
                .merge(file.mask_planes())
                .map_err(|source| InputError::Mask { path: file.path().to_owned(), source })?;
        }
        Ok(planes)
    }
}

/// Refuses two exposures of one visit.
fn check_numbers(exposures: &[&dyn Exposure]) -> Result<(), InputError> {
    let mut first_of: BTreeMap<u64, &dyn Exposure> = BTreeMap::new();
    for exposure in exposures.iter().copied() {
        if let Some(first) = first_of.insert(exposure.visit().visit, exposure) {
            return Err(InputError::SameVisit {
                visit: exposure.visit().visit,
                first: first.path().to_owned(),
                second: exposure.path().to_owned(),
            });
        }
    }
    Ok(())
}
