//! PSFs of the output files of a run.
//!
//! The stacked coadd has the PSF of the joint solution, the PSF measured from its stars
//! (`psf.measure`), or the mean PSF of the selected visits. With the iterative method the PSF of a
//! subfilter is scaled to its wavelengths: seeing is better in the red. With the joint method all
//! planes share one PSF.

use dcr_image::psf::StampGrid;
use dcr_physics::WavelengthGrid;
use ndarray::Zip;

use crate::coadd::psf_selection::{CoaddPsf, PsfCells};
use crate::coadd::solved_planes::SolvedPlanes;
use crate::config::{AssembleConfig, PsfConfig};
use crate::error::CoaddError;
use crate::run::run_log::RunLog;
use crate::run::summary::{PsfOrigin, PsfSummary};
use dcr_measure::psf_measurement::{MeasuredPsf, StarField, StarSelection, measure_psf};

/// The width in px of the stars that are sought where no PSF is known.
const UNKNOWN_FWHM_PX: f64 = 3.5;

/// A measured width that is off from the expected by a larger factor is doubted.
const DOUBTFUL_WIDTH: f64 = 1.2;

/// The PSFs of all files of a run.
pub(crate) struct CoaddPsfs {
    pub(crate) coadd: CoaddPsf,
    /// Blue to red.
    pub(crate) subfilters: Vec<CoaddPsf>,
    pub(crate) summary: PsfSummary,
}

impl CoaddPsfs {
    /// All planes get the PSF of the joint solution, or the PSF measured in their sum on request.
    pub(crate) fn of_solution(
        solution: &CoaddPsf,
        coadds: &SolvedPlanes,
        bad: i32,
        cells: &PsfCells<'_>,
        config: &AssembleConfig,
        log: &mut RunLog<'_>,
    ) -> Self {
        let (psf, origin) = match measured(solution, coadds, bad, cells, &config.psf, log) {
            Some(psf) => (psf, PsfOrigin::Measured),
            None => (solution.clone(), PsfOrigin::Solution),
        };
        Self::new(psf.clone(), vec![psf; config.model.subfilters], origin)
    }

    /// Measures the PSF on request, else takes the mean of the selected visits, and scales it to
    /// each subfilter.
    ///
    /// # Errors
    ///
    /// [`CoaddError::Psf`] if a PSF cannot be scaled.
    pub(crate) fn of_coadds(
        selected: &CoaddPsf,
        coadds: &SolvedPlanes,
        bad: i32,
        cells: &PsfCells<'_>,
        grid: &WavelengthGrid,
        config: &AssembleConfig,
        log: &mut RunLog<'_>,
    ) -> Result<Self, CoaddError> {
        let (coadd, origin) = match measured(selected, coadds, bad, cells, &config.psf, log) {
            Some(psf) => (psf, PsfOrigin::Measured),
            None if selected.stamp.is_some() => (selected.clone(), PsfOrigin::Selected),
            None => (selected.clone(), PsfOrigin::Unknown),
        };
        let middle = grid.mean_wavelength().nm();
        let subfilters = grid
            .centroids()
            .iter()
            .map(|centre| coadd.widened((centre.nm() / middle).powf(config.psf.seeing_exponent)))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self::new(coadd, subfilters, origin))
    }

    fn new(coadd: CoaddPsf, subfilters: Vec<CoaddPsf>, origin: PsfOrigin) -> Self {
        let summary = PsfSummary {
            origin,
            fwhm_px: coadd.fwhm_px,
            subfilter_fwhm_px: subfilters.iter().map(|psf| psf.fwhm_px).collect(),
            cells: coadd.grid.as_ref().map_or(0, |grid| grid.cells().len()),
            measured: coadd.quality.clone(),
        };
        Self { coadd, subfilters, summary }
    }
}

/// PSF of the stars in the stacked coadd; `None` if not requested, and after a warning if the
/// measurement fails.
fn measured(
    selected: &CoaddPsf,
    coadds: &SolvedPlanes,
    bad: i32,
    cells: &PsfCells<'_>,
    config: &PsfConfig,
    log: &mut RunLog<'_>,
) -> Option<CoaddPsf> {
    if !config.measure {
        return None;
    }
    let bad = Zip::from(&coadds.mask).map_collect(|mask| mask & bad != 0);
    let field = StarField {
        image: coadds.sum.image.view(),
        variance: coadds.sum.variance.view(),
        bad: bad.view(),
        fwhm_px: selected.fwhm_px.unwrap_or(UNKNOWN_FWHM_PX),
        bbox: cells.patch,
        cells: cells.cells,
    };
    let selection = StarSelection {
        threshold: config.threshold,
        min_pixels: config.min_pixels,
        min_stars: config.min_stars,
    };
    match measure_psf(&field, &selection) {
        Ok(MeasuredPsf { stamp, cells, quality }) => {
            let mut psf = CoaddPsf::everywhere(stamp, vec![false; selected.selected.len()]);
            psf.grid = StampGrid::new(cells).ok();
            psf.quality = Some(quality);
            if let (Some(measured), Some(expected)) = (psf.fwhm_px, selected.fwhm_px)
                && !(DOUBTFUL_WIDTH.recip()..DOUBTFUL_WIDTH).contains(&(measured / expected))
            {
                let text = format!(
                    "The PSF measured in the coadd has a FWHM of {measured:.2} px, that of the selected visits {expected:.2} px: galaxies \
                     may have been taken for stars (raise psf.min_stars), or the visits' PSFs are wrong."
                );
                log.warn("PSF", text);
            }
            Some(psf)
        }
        Err(few) => {
            let stays = match selected.stamp {
                Some(_) => "that of the selected visits stays",
                None => "the coadds have none",
            };
            log.warn("PSF", format!("{few}; {stays}."));
            None
        }
    }
}
