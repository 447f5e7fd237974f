//! Artefacts that no mask tells of: cosmic rays, trails of satellites, and whatever else is in few exposures only (ALGORITHM §9).
//!
//! Either each exposure is held against what a model of the sky's refraction predicts for it ([`matched`]), or all at a common PSF against their
//! clipped mean ([`static_sky`]). What is found is left out of the solve and flagged CLIPPED in the coadds. What is seen in many exposures is
//! no artefact ([`dcr_solver::Rarity`]): variable stars stay.

mod matched;
mod psf_kernel;
mod psfs;
mod static_sky;

use dcr_image::BBox;
use dcr_image::MaskPlanes;
use dcr_image::fits::{Column, ColumnValues, TableHdu};
use dcr_solver::joint::Noise;
use ndarray::{Array2, Zip};

use crate::config::{AssembleConfig, FindArtefacts, Method};
use crate::division::Division;
use crate::error::CoaddError;
use crate::inputs::Inputs;
use crate::journal::Journal;
use crate::store::Store;
use crate::template_coadd::{TemplateCoadd, UNKNOWN_FWHM_PX};

pub(crate) use dcr_solver::PixelList;

/// A visit that loses more than this share of its pixels is talked of.
const MUCH: f64 = 0.05;

/// What artefacts are looked for in.
pub(crate) struct Search<'a> {
    pub(crate) inputs: &'a Inputs,
    /// How each visit's noise follows signal.
    pub(crate) noise: &'a [Noise],
    pub(crate) division: &'a Division,
    pub(crate) template: &'a TemplateCoadd,
    pub(crate) sources: &'a Array2<bool>,
    pub(crate) planes: &'a MaskPlanes,
    /// Bytes for the pixels of all visits that are combined at a time.
    pub(crate) strip_bytes: usize,
}

/// For each visit the pixels that show what is not in the sky.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Artefacts {
    /// Index `row × cols + col` in the patch, ascending.
    pub(crate) visits: Vec<PixelList>,
}

impl Artefacts {
    /// Those of the visits, by the way that is set, or those that the joint solver is going to find itself: none yet. The store ends without them.
    ///
    /// # Errors
    ///
    /// [`CoaddError`] if pixels cannot be read, or the caller wants to stop.
    pub(crate) fn find(
        search: &Search<'_>,
        store: &mut Store,
        config: &AssembleConfig,
        journal: &mut Journal<'_>,
    ) -> Result<Self, CoaddError> {
        let visits = search.inputs.visits.len();
        let none = Self { visits: vec![vec![]; visits] };
        let found = match (config.artefacts.find, config.solver.method) {
            (FindArtefacts::Off, _) | (FindArtefacts::Matched, Method::Joint) => return Ok(none),
            (FindArtefacts::Matched, Method::Auto | Method::Iterative) => matched::find,
            (FindArtefacts::StaticSky, _) => static_sky::find,
        };
        if config.artefacts.rarity().few(visits as f64) == 0 {
            let plural = if visits == 1 { "" } else { "s" };
            let text = format!(
                "Artefacts were not looked for: of {visits} visit{plural} nobody can say which is wrong."
            );
            journal.warn("artefacts", text);
            return Ok(none);
        }
        if config.artefacts.find == FindArtefacts::Matched && config.model.subfilters == 1 {
            let text = "Artefacts were not looked for: one subfilter does not tell them from what refraction displaces. \
                        Set artefacts.find = \"static_sky\", if there is little of it.";
            journal.warn("artefacts", text);
            return Ok(none);
        }
        search.warn_of_unknown_psfs(journal);
        Ok(Self { visits: found(search, store, config, journal)? })
    }

    /// With what was found later, in other pixels.
    pub(crate) fn and(mut self, later: &[PixelList]) -> Self {
        for (pixels, more) in self.visits.iter_mut().zip(later) {
            pixels.extend(more);
            pixels.sort_unstable();
        }
        self
    }

    /// Warns of visits that lost much.
    pub(crate) fn warn_of_losses(&self, inputs: &Inputs, journal: &mut Journal<'_>) {
        for (pixels, visit) in self.visits.iter().zip(&inputs.visits) {
            let share = pixels.len() as f64 / inputs.bbox.area().max(1) as f64;
            if share > MUCH {
                let text = format!(
                    "{:.1} % of its pixels do not agree with the other visits and were left out. If they are no trails, its PSF, \
                     zero point or WCS may be wrong.",
                    100.0 * share
                );
                journal.warn(visit.name(), text);
            }
        }
    }

    /// As a table, for visits of these numbers: the pixels in the parent's coordinates.
    pub(crate) fn table(&self, numbers: &[u64], bbox: &BBox) -> TableHdu {
        let cols = bbox.width.max(1);
        let visits: Vec<(u64, &PixelList)> = numbers.iter().copied().zip(&self.visits).collect();
        let pixels = || {
            visits.iter().flat_map(|(number, pixels)| pixels.iter().map(|pixel| (*number, *pixel as usize)))
        };
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

    /// The pixels that some visit lost.
    pub(crate) fn anywhere(&self, (rows, cols): (usize, usize)) -> Array2<bool> {
        let mut out = Array2::from_elem((rows, cols), false);
        for pixel in self.visits.iter().flatten() {
            out[[*pixel as usize / cols, *pixel as usize % cols]] = true;
        }
        out
    }
}

impl Search<'_> {
    /// Where the template has no light, or is bad.
    fn open(&self, config: &AssembleConfig) -> Array2<bool> {
        let bad = self.planes.bits_of(&config.coadd.bad_mask_planes);
        Zip::from(&self.template.image)
            .and(&self.template.mask)
            .map_collect(|value, mask| !value.is_finite() || mask & bad != 0)
    }

    /// FWHM of a visit's PSF in the middle of the patch in px, or what it is taken for.
    fn fwhm_px(&self, visit: usize) -> f64 {
        self.inputs.visits[visit].fwhm_px(self.inputs.bbox.centre()).unwrap_or(UNKNOWN_FWHM_PX)
    }

    /// Says what is done where it is not known how wide PSFs are.
    fn warn_of_unknown_psfs(&self, journal: &mut Journal<'_>) {
        let place = self.inputs.bbox.centre();
        let unknown: Vec<u64> = (self.inputs.visits.iter())
            .filter(|visit| psfs::stamp_at(visit, place).is_none())
            .map(crate::inputs::Input::number)
            .collect();
        let subject = match unknown[..] {
            [] => return,
            [visit] => format!("visit {visit}"),
            [first, .., last] => format!("{} visits, {first} to {last}", unknown.len()),
        };
        journal.warn(
            subject,
            format!(
                "Neither PSF nor its width is known: artefacts were looked for as if it were the others' mean, and {UNKNOWN_FWHM_PX} px wide. \
                 Where seeing differs, bright stars may be taken for artefacts; state PSF-FWHM in the header, or set artefacts.find = \"off\"."
            ),
        );
    }
}
