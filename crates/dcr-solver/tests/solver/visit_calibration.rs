//! Visits that differ from their stated zero point, sky, WCS and PSF, and skies that change, in the
//! joint solver. Fields are those of [`crate::joint_field`].

use std::borrow::Cow;

use dcr_solver::calibration::PolynomialOrder;
use dcr_solver::joint::{
    JointConfig, JointInMemory, JointModel, JointProblem, JointSolution, JointVisits, Noise, PsfField,
    PsfStamp, TemplatePsf, TemplateWanted, joint_template, solve_joint,
};
use dcr_solver::kernel::{PixelShift, Region};
use dcr_solver::{Pixels, SourceError};
use ndarray::{Array2, s};

use crate::joint_field::*;

/// Tolerance of a fitted flux scale and of a sky level in σ: five stars and 9000 pixels, with the
/// prior's pull.
const FLUX: f64 = 4e-3;
const SKY: f64 = 0.05;
/// Tolerance of a fitted second moment, px²: 6 % of the error that is undone.
const MOMENT: f64 = 0.02;
/// Share of a transient's flux that may remain.
const REMAINDER: f64 = 0.03;

fn off() -> JointConfig {
    JointConfig {
        calibrate_background: PolynomialOrder::Off,
        calibrate_flux: PolynomialOrder::Off,
        calibrate_displacement: PolynomialOrder::Off,
        calibrate_psf: PolynomialOrder::Off,
        ..config()
    }
}

/// Share of the good pixels of all visits that were clipped.
fn clipped(solution: &JointSolution) -> f64 {
    let sum =
        |of: fn(&dcr_solver::joint::VisitReport) -> usize| solution.visits.iter().map(of).sum::<usize>();
    sum(|v| v.clipped) as f64 / sum(|v| v.good) as f64
}

fn assert_fluxes(solution: &JointSolution, tolerance: f64) {
    for star in stars().iter().filter(|s| s.flux > 1000.0) {
        let ratio = measure(solution, star).iter().sum::<f64>() / star.flux;
        assert!((ratio - 1.0).abs() < tolerance, "{star:?}: {ratio}");
    }
}

#[test]
fn joint_flux_scales_are_found_and_undone() {
    let factors = [1.03, 0.98, 1.0, 0.97, 1.02, 1.0];
    let mut visits = field(3);
    for (visit, factor) in visits.visits.iter_mut().zip(factors) {
        visit.image.mapv_inplace(|v| v * factor as f32);
    }
    let solution = solve(&visits, 3, &config());
    for (visit, factor) in solution.visits.iter().zip(factors) {
        let found = visit.calibration.as_ref().unwrap();
        let flux = found.middle.flux;
        assert!((flux - (factor - 1.0)).abs() < FLUX, "{factor}: {flux}");
        // The evidence is for a scale where there is one.
        assert_eq!(found.flux().is_some_and(|(_, error)| error < FLUX), factor != 1.0, "{found:?}");
        assert!(visit.chi2 < 1.05, "{visit:?}");
    }
    assert_fluxes(&solution, TOTAL_FLUX);
    let without = solve(&visits, 3, &off());
    assert!(without.visits[0].calibration.is_none() && without.visits[0].chi2 > 1.1);
}

/// Skies that differ by more than the clipping threshold of a whole visit.
#[test]
fn joint_skies_are_undone_before_clipping() {
    let levels = [0.0, 4.0, -1.0, 0.5, -3.0, -0.5];
    let mut visits = field(3);
    for (visit, level) in visits.visits.iter_mut().zip(levels) {
        for ((y, x), value) in visit.image.indexed_iter_mut() {
            let slope = level * 0.5 * (y as f64 - 47.5) / 48.0 - level * 0.3 * (x as f64 - 47.5) / 48.0;
            *value += (level + slope) as f32;
        }
    }
    let solution = solve(&visits, 3, &config());
    let found: Vec<_> = solution.visits.iter().map(|visit| visit.calibration.as_ref().unwrap()).collect();
    // What all have in common is the sky where it is faintest.
    let common = found.iter().map(|found| found.middle.background).sum::<f64>() / found.len() as f64;
    assert!(common.abs() < 3.0 * SKY, "{common}");
    for (found, level) in found.iter().zip(levels) {
        assert!((found.middle.background - common - level).abs() < SKY, "{level}: {found:?}");
        // The first corner is that of the first row and column.
        let corner = found.corners[0].background - common;
        assert!((corner - 0.8 * level).abs() < 3.0 * SKY, "{level}: {found:?}");
    }
    assert!(clipped(&solution) < 1e-3, "{}", clipped(&solution));
    assert_fluxes(&solution, TOTAL_FLUX);
    let without = solve(&visits, 3, &off());
    assert!(clipped(&without) > 0.05, "{}", clipped(&without));
}

/// PSFs that are stated too narrow and too wide.
#[test]
fn joint_psf_widths_are_found_and_undone() {
    let errors = [0.03, -0.03, 0.0, 0.03, -0.03, 0.0];
    let mut visits = field(3);
    for ((visit, view), error) in visits.visits.iter_mut().zip(views()).zip(errors) {
        visit.psf = psf(view.fwhm * (1.0 + error));
    }
    // The sky follows the sharpest visits, whose errors come out round by round.
    let settled = JointConfig { calibration_passes: 12, ..config() };
    let solution = solve(&visits, 3, &settled);
    let expected =
        |view: &View, error: f64| -> f64 { (view.fwhm / 2.354_82).powi(2) * (1.0 - (1.0 + error).powi(2)) };
    let all: Vec<f64> = views().iter().zip(errors).map(|(view, error)| expected(view, error)).collect();
    let mean = all.iter().sum::<f64>() / all.len() as f64;
    for (visit, expected) in solution.visits.iter().zip(all) {
        let [size, e1, e2] = visit.calibration.as_ref().unwrap().middle.moments;
        assert!((size - (expected - mean)).abs() < 2.0 * MOMENT, "{size} {}", expected - mean);
        assert!(e1.abs() < 2.0 * MOMENT && e2.abs() < 2.0 * MOMENT, "{e1} {e2}");
        assert!(visit.chi2 < 1.1, "{visit:?}");
    }
    let worst =
        |config: &JointConfig| solve(&visits, 3, config).visits.iter().map(|v| v.chi2).fold(0.0, f64::max);
    assert!(worst(&config()) < 1.1 && worst(&off()) > 1.5, "{} {}", worst(&config()), worst(&off()));
}

/// What all visits share is the sky's: it is not taken for calibration.
#[test]
fn joint_common_errors_are_not_calibrated() {
    let mut visits = field(3);
    visits.visits.iter_mut().for_each(|visit| visit.image.mapv_inplace(|v| 1.04 * v + 0.7));
    let solution = solve(&visits, 3, &config());
    for visit in &solution.visits {
        let middle = visit.calibration.as_ref().unwrap().middle;
        assert!(middle.flux.abs() < FLUX && middle.background.abs() < SKY, "{middle:?}");
    }
}

#[test]
fn joint_calibration_threads_and_tiles_do_not_matter() {
    let mut visits = field(3);
    for (i, visit) in visits.visits.iter_mut().enumerate() {
        visit.image.mapv_inplace(|v| v * (1.0 + 0.01 * i as f32) + 0.3 * i as f32);
    }
    let results: Vec<JointSolution> = [1, 3]
        .into_iter()
        .map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| solve(&visits, 3, &config()))
        })
        .collect();
    assert_eq!(results[0].planes_ayx, results[1].planes_ayx);
    assert_eq!(results[0].visits, results[1].visits);
    let tiled = solve(&visits, 3, &JointConfig { tile_size: 64, tile_overlap: 32, ..config() });
    assert!(tiled.report.tiles.len() > 1);
    for (whole, tiled) in results[0].visits.iter().zip(&tiled.visits) {
        let [whole, tiled] = [whole, tiled].map(|visit| visit.calibration.as_ref().unwrap().middle);
        assert!((whole.flux - tiled.flux).abs() < FLUX, "{whole:?} {tiled:?}");
        assert!((whole.background - tiled.background).abs() < SKY, "{whole:?} {tiled:?}");
    }
}

/// New light in two of six visits is left out there, of a star that all see as of one that none
/// else sees; a star that varies both ways keeps all visits, and both are listed.
#[test]
fn joint_new_light_in_a_minority_leaves_nothing() {
    let transients = [(33.4, 58.2, 2500.0), (72.9, 25.3, 2500.0)];
    let mut visits = field(3);
    for (i, view) in [(1, views()[1]), (4, views()[4])] {
        let new = transients.map(|(y, x, flux)| Star { y, x, flux, slope: 0.0 });
        visits.visits[i].image += &draw(SHAPE, &new, &view).mapv(|v| v as f32);
    }
    let solution = solve(&visits, 3, &config());
    let (y, x, flux) = transients[0];
    let remains = measure(&solution, &Star { y, x, flux, slope: 0.0 }).iter().sum::<f64>() / flux;
    assert!(remains.abs() < REMAINDER, "{remains}");
    assert_fluxes(&solution, REMAINDER);
}

#[test]
fn joint_variable_stars_keep_their_visits_and_are_listed() {
    let factors = [1.3, 0.8, 1.1, 0.7, 1.2, 0.9];
    let variable = stars()[1];
    let mut visits = field(3);
    for ((visit, view), factor) in visits.visits.iter_mut().zip(views()).zip(factors) {
        let change = Star { flux: variable.flux * (factor - 1.0), ..variable };
        visit.image += &draw(SHAPE, &[change], &view).mapv(|v| v as f32);
    }
    let solution = solve(&visits, 3, &config());
    let [found] = &solution.changing[..] else { panic!("{:?}", solution.changing) };
    let apart = (found.y as f64 - variable.y).hypot(found.x as f64 - variable.x);
    assert!(apart < 1.5 && found.scatter > 0.15 && found.significance > 10.0, "{found:?}");
    // Relative to the median, 1.1. The model follows the sharpest visit, the first.
    for (excess, factor) in found.excesses.iter().zip(factors) {
        assert!((excess.unwrap() - (factor / 1.1 - 1.0)).abs() < 0.15, "{factor}: {found:?}");
    }
    let ratio = measure(&solution, &variable).iter().sum::<f64>() / variable.flux;
    assert!((ratio - 1.0).abs() < 0.08, "the mean of the visits, not of few: {ratio}");
    // It moves no zero point.
    for visit in &solution.visits {
        assert!(visit.calibration.as_ref().unwrap().middle.flux.abs() < FLUX, "{visit:?}");
    }
    assert!(solve(&field(3), 3, &config()).changing.is_empty());
}

/// Visits of two detectors, side by side, with PSFs of different width.
struct TwoDetectors {
    visits: JointInMemory,
    /// Width of the second detector's PSF relative to the stated one.
    wider: f64,
}

/// First column of the second detector.
const SECOND: usize = 50;

impl TwoDetectors {
    fn new(wider: f64) -> Self {
        let mut visits = field(3);
        for (visit, view) in visits.visits.iter_mut().zip(views()) {
            // The noise stays.
            let second = View { fwhm: view.fwhm * wider, ..view };
            let change = draw(SHAPE, &stars(), &second) - draw(SHAPE, &stars(), &view);
            let mut right = visit.image.slice_mut(s![.., SECOND..]);
            right += &change.mapv(|v| v as f32).slice(s![.., SECOND..]);
        }
        Self { visits, wider }
    }

    fn solve(&self, config: &JointConfig) -> JointSolution {
        let spectrum = band(3);
        let problem = JointProblem { visits: self, shape: SHAPE, spectrum: &spectrum, fiducial: None };
        solve_joint(&problem, config, &mut |_, _| true).unwrap()
    }
}

impl JointVisits for TwoDetectors {
    fn visits(&self) -> usize {
        self.visits.visits()
    }

    fn noise(&self, visit: usize) -> Noise {
        self.visits.noise(visit)
    }

    fn psf(&self, visit: usize, region: &Region) -> Result<Cow<'_, PsfStamp>, SourceError> {
        self.visits.psf(visit, region)
    }

    fn psf_field(&self, visit: usize, region: &Region) -> Result<PsfField, SourceError> {
        let part = |cols: std::ops::Range<usize>| Region { rows: 0..SHAPE.0, cols }.intersection(region);
        let fwhm = views()[visit].fwhm;
        let cells = vec![(part(0..SECOND), psf(fwhm)), (part(SECOND..SHAPE.1), psf(fwhm * self.wider))];
        Ok(PsfField::of_cells(cells).unwrap())
    }

    fn displacements(&self, visit: usize, region: &Region) -> Cow<'_, [PixelShift]> {
        self.visits.displacements(visit, region)
    }

    fn pixels(&self, visit: usize, region: &Region) -> Result<Pixels<'_>, SourceError> {
        self.visits.pixels(visit, region)
    }
}

/// Rms residual of an exposure over both detectors in units of its noise.
fn rms(image: &Array2<f32>, template: &Array2<f32>) -> f64 {
    let inside = s![8..88, 8..88];
    let residual = image - template;
    let squares = residual.slice(inside).iter().map(|r| f64::from(r * r)).sum::<f64>();
    (squares / (80.0 * 80.0)).sqrt()
}

#[test]
fn joint_psf_of_the_place_is_used_in_the_solve_and_in_templates() {
    let both = TwoDetectors::new(1.06);
    // Without calibration, so that it cannot help.
    let solution = both.solve(&off());
    for visit in &solution.visits {
        assert!(visit.chi2 < 1.06, "{visit:?}");
    }
    assert_fluxes(&solution, TOTAL_FLUX);
    let constant = solve(&both.visits, 3, &off());
    let worst = |solution: &JointSolution| solution.visits.iter().map(|v| v.chi2).fold(0.0, f64::max);
    assert!(worst(&constant) > worst(&solution) + 0.1, "{} {}", worst(&constant), worst(&solution));

    let spectrum = band(3);
    let model = JointModel {
        patch: SHAPE,
        held: Region::whole(SHAPE),
        planes_ayx: solution.planes_ayx.view(),
        border: solution.border,
        covered_yx: solution.covered_yx.view(),
        spectrum: &spectrum,
        fiducial: &solution.fiducial,
        noise: None,
    };
    let wanted = TemplateWanted { region: Region::whole(SHAPE), psf: TemplatePsf::Exposure, register: false };
    for visit in [1, 3] {
        let image = &both.visits.visits[visit].image;
        let local = joint_template(&model, &both, visit, &wanted, &off()).unwrap();
        let constant = joint_template(&model, &both.visits, visit, &wanted, &off()).unwrap();
        let (local, constant) = (rms(image, &local.image), rms(image, &constant.image));
        assert!(local < 1.0 + RESIDUAL && constant > local + 0.1, "{visit}: {local} {constant}");
    }
}
