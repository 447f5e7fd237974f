//! Artefacts outside all masks: cosmic rays, satellite trails and other features of few exposures
//! (docs/algorithm.md §9).
//!
//! Each exposure is compared either with the prediction of a model with refraction ([`matched`])
//! or, at a common PSF, with the clipped mean of all ([`static_sky`]). Artefacts are left out of
//! the solve and flagged CLIPPED in the coadds. Features of many exposures are no artefacts
//! ([`dcr_solver::Rarity`]): variable stars stay.

pub(crate) mod given_warps;
mod matched;
mod one_psf;
mod psfs;
mod static_sky;
mod streaks;

use dcr_image::BBox;
use dcr_image::fits::{Column, ColumnValues, TableHdu};
use ndarray::Array2;

use crate::coadd::solver_choice::Solver;
use crate::coadd::template_coadd::UNKNOWN_FWHM_PX;
use crate::config::{AssembleConfig, FindArtefacts};
use crate::error::CoaddError;
use crate::inputs::Input;
use crate::inputs::store::Store;
use crate::patch::state::PatchState;
use crate::run::run_log::RunLog;

pub(crate) use dcr_solver::PixelList;

/// A visit that loses more than this share of its good pixels is reported.
const MUCH: f64 = 0.05;

/// Settings for given PSF-matched warps, whose only use is the comparison with the static sky.
///
/// # Errors
///
/// [`CoaddError::MatchedUnused`] if the search for artefacts is off.
pub(crate) fn matched_warps_config(
    config: &AssembleConfig,
    log: &mut RunLog<'_>,
) -> Result<AssembleConfig, CoaddError> {
    let mut settled = config.clone();
    match config.artefacts.find {
        FindArtefacts::StaticSky => {}
        FindArtefacts::Off => return Err(CoaddError::MatchedUnused),
        FindArtefacts::Matched => {
            settled.artefacts.find = FindArtefacts::StaticSky;
            let text = "PSF-matched warps are given, so artefacts are looked for against their clipped mean (artefacts.find = \
                        \"static_sky\"), beside which stars that refraction displaces look like artefacts. Leave them out to have \
                        exposures compared with a model's predictions alone.";
            log.warn("artefacts", text);
        }
    }
    Ok(settled)
}

/// Artefact pixels of each visit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Artefacts {
    /// Index `row × cols + col` in the patch, ascending.
    pub(crate) visits: Vec<PixelList>,
}

impl Artefacts {
    /// No artefacts in any of `visits` visits.
    pub(crate) fn none(visits: usize) -> Self {
        Self { visits: vec![vec![]; visits] }
    }

    /// Finds artefacts by the configured method; none where the joint solver finds them itself. The
    /// store is left without their pixels.
    ///
    /// # Errors
    ///
    /// [`CoaddError`] if pixels cannot be read, or the monitor asks to stop.
    pub(crate) fn find(
        state: &PatchState,
        store: &mut Store,
        log: &mut RunLog<'_>,
    ) -> Result<Self, CoaddError> {
        let config = &state.config;
        let visits = state.survey.inputs.visits.len();
        let none = Self::none(visits);
        let found = match (config.artefacts.find, state.solver) {
            (FindArtefacts::Off, _) | (FindArtefacts::Matched, Solver::Joint) => return Ok(none),
            (FindArtefacts::Matched, Solver::Iterative) => matched::find,
            (FindArtefacts::StaticSky, _) => static_sky::find,
        };
        if config.artefacts.rarity().few(visits as f64) == 0 {
            let plural = if visits == 1 { "" } else { "s" };
            let text = format!("No search for artefacts: {visits} visit{plural} cannot show which is wrong.");
            log.warn("artefacts", text);
            return Ok(none);
        }
        if config.artefacts.find == FindArtefacts::Matched && config.model.subfilters == 1 {
            let text = "No search for artefacts: with one subfilter they look like features displaced by refraction. \
                        Set artefacts.find = \"static_sky\" if refraction is small.";
            log.warn("artefacts", text);
            return Ok(none);
        }
        if state.survey.given.is_empty() {
            state.warn_of_unknown_psfs(log);
        }
        Ok(Self { visits: found(state, store, config, log)? })
    }

    /// The union with artefacts found later.
    pub(crate) fn and(mut self, later: &[PixelList]) -> Self {
        for (pixels, more) in self.visits.iter_mut().zip(later) {
            pixels.extend(more);
            pixels.sort_unstable();
            pixels.dedup();
        }
        self
    }

    /// Adds streaks along straight lines, if they are searched for. `n_image` counts the visits of
    /// each pixel. The store is left without all artefacts.
    ///
    /// # Errors
    ///
    /// [`CoaddError`] if pixels cannot be read, or the monitor asks to stop.
    pub(crate) fn with_streaks(
        self,
        state: &PatchState,
        store: &mut Store,
        log: &mut RunLog<'_>,
    ) -> Result<Self, CoaddError> {
        let settings = &state.config.artefacts;
        let few = settings.rarity().few(self.visits.len() as f64);
        if settings.find == FindArtefacts::Off || !settings.streaks || few == 0 {
            return Ok(self);
        }
        log.stage("finding streaks", self.visits.len())?;
        // Of a streak that is left out already the wings may be left.
        store.leave_out(vec![]);
        let all = self.and(&streaks::find(state, store, settings, &state.plain.n_image, log)?);
        store.leave_out(all.visits.clone());
        Ok(all)
    }

    /// Artefacts that few visits share. (The joint solver clips variable stars as well, which
    /// belong to the sky.) `n_image` counts the visits of each pixel.
    pub(crate) fn rare(&self, n_image: &Array2<u16>, config: &AssembleConfig) -> Self {
        let groups: Vec<_> =
            self.visits.iter().map(|pixels| dcr_solver::groups(pixels, n_image.ncols())).collect();
        Self { visits: config.artefacts.rarity().rare(&groups, n_image) }
    }

    /// Warns of visits that lost many of their `good` pixels.
    pub(crate) fn warn_of_losses(&self, visits: &[Input], good: &[usize], log: &mut RunLog<'_>) {
        for ((pixels, visit), good) in self.visits.iter().zip(visits).zip(good) {
            let share = pixels.len() as f64 / (*good).max(1) as f64;
            if share > MUCH {
                let text = format!(
                    "{:.1} % of its good pixels contradict the other visits and were left out. Unless they are trails, its PSF, \
                     zero point or WCS may be wrong.",
                    100.0 * share
                );
                log.warn(visit.name(), text);
            }
        }
    }

    /// The pixels that some visit lost.
    pub(crate) fn anywhere(&self, (rows, cols): (usize, usize)) -> Array2<bool> {
        let mut out = Array2::from_elem((rows, cols), false);
        for pixel in self.visits.iter().flatten() {
            out[[*pixel as usize / cols, *pixel as usize % cols]] = true;
        }
        out
    }
}

impl PatchState {
    /// Warns of the widths assumed where PSFs are unknown.
    fn warn_of_unknown_psfs(&self, log: &mut RunLog<'_>) {
        let place = self.survey.inputs.bbox.centre();
        let unknown: Vec<u64> = (self.survey.inputs.visits.iter())
            .filter(|visit| psfs::stamp_at(visit, place).is_none())
            .map(Input::number)
            .collect();
        let subject = match unknown[..] {
            [] => return,
            [visit] => format!("visit {visit}"),
            [first, .., last] => format!("{} visits, {first} to {last}", unknown.len()),
        };
        log.warn(
            subject,
            format!(
                "The PSF is unknown, and so is its width: the search for artefacts assumes the mean PSF of the other visits, or a FWHM of {UNKNOWN_FWHM_PX} px. \
                 Where seeing differs, bright stars may be taken for artefacts; state PSF-FWHM in the header, or set artefacts.find = \"off\"."
            ),
        );
    }
}

/// The table ARTEFACTS of visits with these numbers: pixels in parent coordinates.
pub(crate) fn artefact_table(numbers: &[u64], visits: &[PixelList], bbox: &BBox) -> TableHdu {
    let cols = bbox.width.max(1);
    let visits: Vec<(u64, &PixelList)> = numbers.iter().copied().zip(visits).collect();
    let pixels =
        || visits.iter().flat_map(|(number, pixels)| pixels.iter().map(|pixel| (*number, *pixel as usize)));
    let column = |name: &str, values: Vec<i64>| Column {
        name: name.into(),
        unit: String::new(),
        values: ColumnValues::I64(values),
    };
    let columns = vec![
        column("VISIT", pixels().map(|(number, _)| number as i64).collect()),
        column("X", pixels().map(|(_, pixel)| bbox.x0 + (pixel % cols) as i64).collect()),
        column("Y", pixels().map(|(_, pixel)| bbox.y0 + (pixel / cols) as i64).collect()),
    ];
    TableHdu { name: "ARTEFACTS".into(), columns, cards: vec![] }
}
