//! Calibration of the visits against the sky that they have in common.
//!
//! Each visit is fitted by its own prediction with the terms of [`crate::calibration`]. Its mean
//! displacement becomes a phase of its transfer functions; all else corrects its data. What all
//! visits share is a property of the sky, and the data do not constrain it:
//!
//! * the mean over the visits of any coefficient,
//! * displacements proportional to the visits' refraction, a change of the reference wavelength,
//! * moments proportional to its square, a change of all spectra's curvature.
//!
//! These are projected out; they would drift from round to round and take the colours with them.
//!
//! The mean level of the sky is the exception where the visits' levels differ, by `s`: their mean
//! is then 0 to `s/√V` only, and all visits would share the error of few. The level of the model
//! where it is faintest is taken from it, with the weight of the two uncertainties.

use ndarray::{Array2, ArrayView2, CowArray};

use super::offsets::{project, project_out};
use crate::calibration::{
    Calibration, CalibrationData, CalibrationOrders, Coordinates, LocalTerms, Priors, RobustFit, Term,
    robust_equations,
};
use crate::joint::operator::predictions::Prediction;
use crate::joint::operator::tile::{FULL, TileVisit};
use crate::joint::problem::visits::Noise;
use crate::kernel::{FWHM_PER_SIGMA, PixelShift, Region};

/// Clipped pixels are fitted where their residual is less than this fraction of the prediction:
/// errors of the calibration are, cosmic rays are not.
const STILL_FITTED: f32 = 0.3;

/// Low quantiles of the light, each with its distance from the mean of a normal distribution in σ.
const LOW_QUANTILES: [(f64, f64); 3] = [(0.3, 0.5244), (0.1, 1.2816), (0.02, 2.0537)];
/// Minimum number of pixels of which they are taken.
const FEWEST_PIXELS: usize = 1000;
/// Error of the level so found, in σ of a visit's pixel: wings of stars and sources too faint to be
/// seen fill the sky of simulated fields to 0.04.
const CONFUSION: f64 = 0.05;
/// Further error in units of the difference between levels of higher and lower quantiles: crowded
/// fields and nebulae have no sky.
const ASYMMETRY: f64 = 3.0;

/// A visit in the calibration.
struct CalibratedVisit {
    priors: Priors,
    /// Displacement from the blue end of the band to the red.
    refraction: PixelShift,
    /// Displacement that its transfer functions contain.
    offset: PixelShift,
    /// All other terms.
    calibration: Option<Calibration>,
}

/// The calibration of the visits of a patch.
pub(crate) struct VisitCalibrations {
    coordinates: Coordinates,
    orders: CalibrationOrders,
    visits: Vec<CalibratedVisit>,
    /// Sky level that all visits have in common.
    level: f64,
}

impl VisitCalibrations {
    /// No calibration yet, of a patch of this shape.
    pub(crate) fn new(shape: (usize, usize), orders: CalibrationOrders) -> Self {
        Self { coordinates: Coordinates { shape }, orders, visits: vec![], level: 0.0 }
    }

    /// Adds the next visit.
    pub(crate) fn push(&mut self, noise: &Noise, fwhm_px: f64, refraction: PixelShift) {
        let priors = Priors { fwhm_px, sigma: noise.sky_variance.sqrt() };
        let offset = PixelShift::default();
        self.visits.push(CalibratedVisit { priors, refraction, offset, calibration: None });
    }

    /// The visit's displacement that its transfer functions are to contain.
    pub(crate) fn offset(&self, visit: usize) -> PixelShift {
        self.visits[visit].offset
    }

    /// All offsets.
    pub(crate) fn offsets(&self) -> Vec<PixelShift> {
        self.visits.iter().map(|visit| visit.offset).collect()
    }

    /// The visit's other terms, once they are fitted.
    pub(crate) fn calibration(&self, visit: usize) -> Option<&Calibration> {
        self.visits[visit].calibration.as_ref()
    }

    /// True if there is nothing to fit.
    pub(crate) fn is_off(&self) -> bool {
        self.orders == CalibrationOrders::NONE
    }

    /// Equations of a visit on a tile, given its prediction. Pixels outside `within` are not
    /// fitted.
    pub(crate) fn fit(
        &self,
        index: usize,
        visit: &TileVisit,
        prediction: &Prediction<'_>,
        (region, within): (&Region, &Array2<bool>),
    ) -> Option<RobustFit> {
        let shape = region.shape();
        let plane = |values: &[f32]| {
            ArrayView2::from_shape(shape, values).expect("planes have the tile's shape").to_owned()
        };
        let (image, linear) = (plane(&visit.observed), prediction.with_mean_psf);
        let prediction = plane(prediction.with_local_psf);
        let good = Array2::from_shape_fn(shape, |at| {
            let i = at.0 * shape.1 + at.1;
            let close = || (visit.image[i] - linear[i]).abs() < STILL_FITTED * linear[i];
            within[at] && (visit.used[i] != 0 || (visit.good[i] != 0 && close()))
        });
        let sky = visit.noise.sky_variance as f32;
        let variance = Array2::from_shape_fn(shape, |at| {
            let i = at.0 * shape.1 + at.1;
            sky * f32::from(FULL) / f32::from(visit.good[i].max(1)) + visit.noise_of_light(i, prediction[at])
        });
        let priors = &self.visits[index].priors;
        let data = CalibrationData {
            image: image.view(),
            variance: variance.view(),
            prediction: prediction.view(),
            good: good.view(),
            fwhm_px: priors.fwhm_px,
        };
        robust_equations(
            &data,
            (region.rows.start, region.cols.start),
            &self.coordinates,
            &self.orders,
            priors,
        )
    }

    /// Takes the fits of all visits, and a sample of the model's light. Returns the largest change
    /// of a visit's calibration, as a displacement in pixels that has the same effect on a star.
    pub(crate) fn update(&mut self, fits: &[Option<RobustFit>], light: Vec<f32>) -> f64 {
        let before: Vec<_> = self.visits.iter().map(CalibratedVisit::corners).collect();
        for (visit, fit) in self.visits.iter_mut().zip(fits) {
            visit.calibration = fit.as_ref().map(|fit| {
                let mut found = fit.calibration(self.coordinates, &self.orders, &visit.priors);
                let PixelShift { dy, dx } = found.take_mean_displacement();
                visit.offset = PixelShift { dy: visit.offset.dy + dy, dx: visit.offset.dx + dx };
                found
            });
        }
        self.project();
        self.take_common_level(light);
        let after = self.visits.iter().map(CalibratedVisit::corners);
        let changes = before.iter().zip(after).zip(&self.visits).flat_map(|((before, after), visit)| {
            let width = visit.priors.fwhm_px / FWHM_PER_SIGMA;
            before.iter().zip(after).map(move |(a, b)| a.effect_of_change(&b, width)).collect::<Vec<_>>()
        });
        changes.fold(0.0, f64::max)
    }

    /// Moves the sky level that the model has, as far as the visits' levels leave it open, from the
    /// model to the visits.
    fn take_common_level(&mut self, light: Vec<f32>) {
        let sigma = self.visits.iter().map(|visit| visit.priors.sigma.powi(-2)).sum::<f64>();
        let sigma = (sigma / self.visits.len().max(1) as f64).powf(-0.5);
        let levels: Vec<f64> = self.visits.iter().filter_map(CalibratedVisit::sky_level).collect();
        if let Some((level, asymmetry)) = sky_level(light) {
            let count = levels.len().max(1) as f64;
            let open = levels.iter().map(|level| level * level).sum::<f64>() / (count * count);
            let error = CONFUSION * sigma + ASYMMETRY * asymmetry;
            self.level = (self.level + level) * open / (open + error * error);
        }
        for calibration in self.visits.iter_mut().filter_map(|visit| visit.calibration.as_mut()) {
            let of_level = calibration.coefficients_mut();
            let mut of_level =
                of_level.filter(|(column, _)| column.term == Term::Background && column.polynomial == 0);
            of_level.by_ref().for_each(|(_, value)| *value += self.level);
        }
    }

    /// Projects out what the visits share.
    fn project(&mut self) {
        let refraction: Vec<PixelShift> = self.visits.iter().map(|visit| visit.refraction).collect();
        let mut offsets = self.offsets();
        project(&mut offsets, &refraction);
        self.visits.iter_mut().zip(offsets).for_each(|(visit, offset)| visit.offset = offset);
        for (term, images) in Term::ALL {
            for polynomial in 0..6 {
                self.project_term(term, images, polynomial);
            }
        }
    }

    /// Projects out what the visits share in one polynomial of a term.
    fn project_term(&mut self, term: Term, images: usize, polynomial: usize) {
        let fitted =
            self.visits.iter_mut().filter_map(|visit| Some((visit.refraction, visit.calibration.as_mut()?)));
        let (refraction, mut calibrations): (Vec<PixelShift>, Vec<&mut Calibration>) = fitted.unzip();
        let mut values = vec![];
        for calibration in &mut calibrations {
            let of_term = calibration.coefficients_mut();
            let of_term =
                of_term.filter(|(column, _)| column.term == term && column.polynomial == polynomial);
            values.extend(of_term.map(|(_, value)| *value));
        }
        if values.len() != images * calibrations.len() {
            return;
        }
        let mean =
            |image: usize| (0..values.len()).map(|i| f64::from(u8::from(i % images == image))).collect();
        let mut shared: Vec<Vec<f64>> = (0..images).map(mean).collect();
        match term {
            Term::Background | Term::Flux => (),
            Term::Displacement => shared.push(refraction.iter().flat_map(|d| [d.dy, d.dx]).collect()),
            Term::Moments => {
                let square = |d: &PixelShift| {
                    let (yy, xx) = (d.dy * d.dy, d.dx * d.dx);
                    [0.5 * (xx + yy), 0.5 * (xx - yy), d.dx * d.dy]
                };
                shared.push(refraction.iter().flat_map(square).collect());
            }
        }
        project_out(&mut values, shared);
        let mut values = values.into_iter();
        for calibration in calibrations {
            let of_term = calibration.coefficients_mut();
            let of_term =
                of_term.filter(|(column, _)| column.term == term && column.polynomial == polynomial);
            of_term.zip(&mut values).for_each(|((_, old), new)| *old = new);
        }
    }
}

/// Level of the sky in a sample of light, that of the Gaussian with the sample's lowest quantiles,
/// where sources contribute least, and by how much higher quantiles exceed it. `None` of few
/// pixels.
fn sky_level(mut light: Vec<f32>) -> Option<(f64, f64)> {
    if light.len() < FEWEST_PIXELS {
        return None;
    }
    let last = (light.len() - 1) as f64;
    let mut quantile = |share: f64| {
        let index = (share * last).round() as usize;
        f64::from(*light.select_nth_unstable_by(index, f32::total_cmp).1)
    };
    let [higher, low, lowest] = LOW_QUANTILES.map(|(share, distance)| (quantile(share), distance));
    let level = |(a, near): (f64, f64), (b, far): (f64, f64)| a + near * (a - b) / (far - near);
    let found = level(low, lowest);
    Some((found, (level(higher, low) - found).abs()))
}

impl CalibratedVisit {
    /// Level of its sky relative to all visits.
    fn sky_level(&self) -> Option<f64> {
        self.calibration.as_ref().map(|found| found.report().middle.background)
    }

    /// All terms in the middle and the corners of the patch.
    fn corners(&self) -> [LocalTerms; 5] {
        let found = self.calibration.as_ref().map(Calibration::report);
        let mut out = found.map_or_else(Default::default, |found| {
            let [a, b, c, d] = found.corners;
            [found.middle, a, b, c, d]
        });
        for terms in &mut out {
            terms.displacement.dy += self.offset.dy;
            terms.displacement.dx += self.offset.dx;
        }
        out
    }
}

/// The image that a visit's transfer functions predict, given its prediction: the observed one less
/// what calibration and the PSF of the place add.
pub(crate) fn effective_image(
    visit: &TileVisit,
    calibration: Option<&Calibration>,
    prediction: &Prediction<'_>,
    region: &Region,
) -> Vec<f32> {
    let local = ArrayView2::from_shape(region.shape(), prediction.with_local_psf);
    let local = local.expect("planes have the tile's shape");
    let exact = match calibration {
        Some(found) => found.apply_to_part(local, (region.rows.start, region.cols.start)).into(),
        None => CowArray::from(local),
    };
    let pixels = visit.observed.iter().zip(&visit.good).zip(prediction.with_mean_psf.iter().zip(&exact));
    let value = |((observed, good), (linear, exact)): ((&f32, &u8), (&f32, &f32))| {
        if *good != 0 { observed - (exact - linear) } else { 0.0 }
    };
    pixels.map(value).collect()
}
