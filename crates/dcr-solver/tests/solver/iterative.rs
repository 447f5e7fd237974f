//! The iterative solver on stars of known colours, and on defective inputs.

use dcr_solver::iterative::{
    FrequencyClamp, Interpolation, IterativeConfig, Outcome, Problem, Solution, SolveError, forward_support,
    predict, rough_model, solve,
};
use dcr_solver::kernel::{Order, Region};
use dcr_solver::{GOOD, InMemory, SpectralBasis};
use ndarray::{Array2, Array3, Axis, s};

use crate::field::{SHAPE, STARS, exposure, shifts, template, truth, visits};

/// Flux of a bright star in a subfilter, relative to the truth: the method is stopped early and
/// regularised.
const FLUX: f64 = 0.04;
/// Tolerance of a matched template against the exposure, over the peak.
const TEMPLATE: f32 = 0.02;
/// Tolerance of one tiling against another, over the peak: the sums are the same.
const TILING: f32 = 1e-6;

struct Case {
    visits: InMemory,
    template: Array2<f32>,
    detected: Array2<bool>,
    bad: Array2<bool>,
    cells: Vec<Region>,
    fractions: Vec<f64>,
    basis: SpectralBasis,
    config: IterativeConfig,
}

impl Case {
    fn new() -> Self {
        let visits = visits();
        let (template, detected) = template(&visits);
        Self {
            visits,
            template,
            detected,
            bad: Array2::from_elem(SHAPE, false),
            cells: vec![Region::whole(SHAPE)],
            fractions: vec![1.0 / 3.0; 3],
            basis: SpectralBasis::constant(3),
            config: IterativeConfig {
                max_iterations: Some(40),
                convergence_threshold: 1e-4,
                ..IterativeConfig::default()
            },
        }
    }

    fn solve(&self) -> Solution {
        self.try_solve().unwrap()
    }

    fn try_solve(&self) -> Result<Solution, SolveError> {
        solve(&self.problem(), &self.config, &mut |_, _, _| true)
    }

    fn problem(&self) -> Problem<'_> {
        Problem {
            observations: &self.visits,
            cells: &self.cells,
            basis: &self.basis,
            fractions: &self.fractions,
            template: self.template.view(),
            detected: self.detected.view(),
            bad: self.bad.view(),
        }
    }
}

fn assert_finite(solution: &Solution) {
    assert!(solution.model_byx.iter().all(|v| v.is_finite()), "the model must be finite everywhere");
}

/// Flux within 5 px of a star in each plane.
fn fluxes(model: &Array3<f32>, y0: f64, x0: f64) -> Vec<f64> {
    model
        .axis_iter(Axis(0))
        .map(|plane| {
            plane
                .indexed_iter()
                .filter(|((y, x), _)| (*y as f64 - y0).hypot(*x as f64 - x0) < 5.0)
                .map(|(_, v)| f64::from(*v))
                .sum()
        })
        .collect()
}

fn worst(a: &Array3<f32>, b: &Array3<f32>) -> f32 {
    let peak = b.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    a.iter().zip(b).fold(0.0_f32, |m, (a, b)| m.max((a - b).abs())) / peak
}

#[test]
fn solve_recovers_the_fluxes_of_stars_in_subfilters() {
    let solution = Case::new().solve();
    for (y, x, expected) in STARS {
        for (got, expected) in fluxes(&solution.model_byx, y, x).iter().zip(expected) {
            // An aperture of 5 px holds all but 0.8 % of these stars.
            assert!((got / expected - 1.0).abs() < FLUX, "{got} instead of {expected}");
        }
    }
    let report = &solution.reports[0];
    assert!(report.final_metric < 0.2 * report.initial_metric, "{report:?}");
}

#[test]
fn solve_predicts_an_exposure_that_it_has_not_seen() {
    let case = Case::new();
    for order in
        [Interpolation::Spline(Order::CUBIC), Interpolation::Spline(Order::QUINTIC), Interpolation::Fourier]
    {
        let case = Case { config: IterativeConfig { order, ..case.config.clone() }, ..Case::new() };
        let model = case.solve().model_byx;
        let shifts = shifts(1.1, -2.0);
        let (predicted, expected) =
            (predict(model.view(), &case.basis, &shifts, Order::CUBIC), exposure(&shifts));
        let inside = forward_support(SHAPE, &shifts);
        let peak = expected.iter().fold(0.0_f32, |m, v| m.max(*v));
        let off = |(p, e): (&f32, &f32)| (p - e).abs() / peak;
        let worst =
            inside.of(&predicted.view()).iter().zip(inside.of(&expected.view())).map(off).fold(0.0, f32::max);
        assert!(worst < TEMPLATE, "{order:?}: {worst}");
    }
}

#[test]
fn solve_conserves_flux_in_the_stack() {
    let solution = Case::new().solve();
    let total: f64 = solution.model_byx.iter().map(|v| f64::from(*v)).sum();
    let expected: f64 = truth().sum();
    assert!((total / expected - 1.0).abs() < 3e-3, "{total} instead of {expected}");
}

#[test]
fn solve_does_not_depend_on_cells_or_threads() {
    let whole = Case::new();
    let reference = whole.solve().model_byx;
    let mut cells = vec![];
    for y in (0..SHAPE.0).step_by(17) {
        for x in (0..SHAPE.1).step_by(23) {
            cells.push(Region { rows: y..(y + 17).min(SHAPE.0), cols: x..(x + 23).min(SHAPE.1) });
        }
    }
    let divided = Case { cells, ..Case::new() };
    assert!(worst(&divided.solve().model_byx, &reference) < TILING);
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(
            pool.install(|| divided.solve().model_byx),
            divided.solve().model_byx,
            "{threads} threads"
        );
    }
}

#[test]
fn solve_with_one_subfilter_is_the_weighted_mean() {
    let mut case = Case::new();
    case.basis = SpectralBasis::constant(1);
    case.fractions = vec![1.0];
    for (i, visit) in case.visits.visits.iter_mut().enumerate() {
        visit.shifts = vec![dcr_solver::SubfilterShift::whole(dcr_solver::PixelShift::default())];
        visit.weight = 1.0 + i as f64;
    }
    case.template.fill(7.0);
    let model = case.solve().model_byx;
    let total: f64 = case.visits.visits.iter().map(|v| v.weight).sum();
    let mut mean = Array2::<f64>::zeros(SHAPE);
    for visit in &case.visits.visits {
        mean.scaled_add(visit.weight / total, &visit.image.mapv(f64::from));
    }
    let expected = mean.mapv(|v| v as f32).insert_axis(Axis(0));
    assert!(worst(&model, &expected) < 1e-5);
}

#[test]
fn solve_of_one_visit_stays_near_it() {
    let mut case = Case::new();
    case.visits.visits.truncate(1);
    case.template = case.visits.visits[0].image.clone();
    let solution = case.solve();
    assert_finite(&solution);
    let total: f64 = solution.model_byx.iter().map(|v| f64::from(*v)).sum();
    assert!((total / truth().sum() - 1.0).abs() < 0.01);
}

#[test]
fn solve_without_spread_in_displacement_keeps_colours_flat() {
    let mut case = Case::new();
    let same = shifts(0.0, 0.0);
    for visit in &mut case.visits.visits {
        visit.shifts.clone_from(&same);
        visit.image = exposure(&same);
    }
    (case.template, case.detected) = template(&case.visits);
    let solution = case.solve();
    assert_finite(&solution);
    for pair in solution.model_byx.axis_windows(Axis(0), 2) {
        let (a, b) = (pair.index_axis(Axis(0), 0), pair.index_axis(Axis(0), 1));
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-3), "nothing tells the subfilters apart");
    }
}

#[test]
fn solve_with_every_pixel_masked_gives_the_template() {
    let mut case = Case::new();
    for visit in &mut case.visits.visits {
        visit.flags.fill(0);
        visit.image.fill(f32::NAN);
    }
    let solution = case.solve();
    assert_eq!(solution.reports[0].outcome, Outcome::NoData);
    assert_finite(&solution);
    for plane in solution.model_byx.outer_iter() {
        assert!(plane.iter().zip(&case.template).all(|(y, t)| (y - t / 3.0).abs() < 1e-5));
    }
    assert!(solution.n_image_byx.iter().all(|n| *n == 0));
}

#[test]
fn solve_with_nothing_detected_gives_the_template_and_with_everything_detected_a_model() {
    let mut case = Case::new();
    case.detected.fill(false);
    let solution = case.solve();
    assert_finite(&solution);
    assert_eq!(solution.reports[0].outcome, Outcome::NoData);
    case.detected.fill(true);
    let solution = case.solve();
    assert_finite(&solution);
    assert!(solution.reports[0].final_metric < solution.reports[0].initial_metric);
}

#[test]
fn solve_survives_nan_in_the_template_and_in_usable_pixels() {
    for clamp in [FrequencyClamp::Conserving, FrequencyClamp::Reference] {
        let mut case = Case::new();
        case.config.frequency_clamp = clamp;
        case.template[[15, 17]] = f32::NAN;
        case.visits.visits[2].image[[33, 38]] = f32::NAN;
        case.visits.visits[3].image[[20, 20]] = f32::INFINITY;
        let solution = case.solve();
        assert_finite(&solution);
        let far = fluxes(&solution.model_byx, 30.0, 12.0);
        let clean =
            fluxes(&Case { config: case.config.clone(), ..Case::new() }.solve().model_byx, 30.0, 12.0);
        for (far, clean) in far.iter().zip(clean) {
            assert!(
                (far / clean - 1.0).abs() < 0.02,
                "one NaN must not reach a star 16 px away: {far} {clean}"
            );
        }
    }
}

#[test]
fn solve_keeps_a_core_that_no_visit_saw_from_spoiling_its_surroundings() {
    let mut case = Case::new();
    let core = s![28..33, 10..15];
    for visit in &mut case.visits.visits {
        visit.image.slice_mut(core).fill(1e6);
        visit.flags.slice_mut(core).fill(0);
    }
    case.template.slice_mut(core).fill(1e6);
    let solution = case.solve();
    assert_finite(&solution);
    let (y, x, expected) = STARS[1];
    for (got, expected) in fluxes(&solution.model_byx, y, x).iter().zip(expected) {
        assert!((got / expected - 1.0).abs() < FLUX, "{got} instead of {expected}");
    }
    // Light beside the core is not fitted with light from it.
    let beside = solution.model_byx.slice(s![.., 20..26, 8..18]);
    assert!(beside.iter().all(|v| v.abs() < 100.0), "{beside}");
}

#[test]
fn solve_counts_pixels_near_the_edge_by_the_visits_that_reach_them() {
    let solution = Case::new().solve();
    let n = &solution.n_image_byx;
    assert_eq!(n[[1, 24, 28]], 8);
    assert!(n[[0, 0, 28]] < 8, "the top row is not reached by visits that are displaced away from it");
    // A flat sky stays flat up to the edge.
    let mut flat = Case::new();
    for visit in &mut flat.visits.visits {
        visit.image.fill(300.0);
    }
    flat.template.fill(300.0);
    let model = flat.solve().model_byx;
    assert!(model.iter().all(|v| (v - 100.0).abs() < 0.01), "a flat sky must stay flat");
}

#[test]
fn solve_stops_when_asked() {
    let case = Case::new();
    let mut calls = 0;
    let stopped = solve(&case.problem(), &case.config, &mut |iteration, most, _| {
        calls = iteration;
        assert_eq!(most, 40);
        iteration < 2
    });
    assert!(matches!(stopped, Err(SolveError::Cancelled)));
    assert_eq!(calls, 2);
}

#[test]
fn solve_makes_as_many_iterations_as_named() {
    for (use_convergence, max, min) in [(false, 5, 1), (true, 3, 1), (true, 0, 0)] {
        let mut case = Case::new();
        case.config.use_convergence = use_convergence;
        case.config.max_iterations = Some(max);
        case.config.min_iterations = Some(min);
        case.config.convergence_threshold = 0.0;
        let report = &case.solve().reports[0];
        assert_eq!(report.iterations.len(), max, "{report:?}");
        let expected = if use_convergence { Outcome::IterationLimit } else { Outcome::NotMeasured };
        assert_eq!(report.outcome, expected);
    }
}

#[test]
fn rough_model_is_that_of_as_many_iterations() {
    let mut case = Case::new();
    // A saturated core, so that some pixels are filled.
    for visit in &mut case.visits.visits {
        visit.flags.slice_mut(s![14..17, 17..20]).fill(0);
    }
    for iterations in [0, 1, 3] {
        (case.config.max_iterations, case.config.min_iterations) = (Some(iterations), Some(iterations));
        let rough = rough_model(&case.problem(), &case.config, iterations, &|| true).unwrap();
        assert_eq!(rough, case.solve().model_byx, "{iterations} iterations");
    }
}

/// A base gain at which the metric grows without bounds.
#[test]
fn rough_model_stops_where_it_gets_worse() {
    let mut case = Case::new();
    (case.config.base_gain, case.config.accelerate_model) = (Some(1e3), 40.0);
    case.config.regularize_model_iterations = 0.0;
    case.config.max_iterations = Some(6);
    let solved = case.solve();
    let metrics: Vec<f64> = solved.reports[0].iterations.iter().map(|i| i.metric).collect();
    assert_eq!(solved.reports[0].outcome, Outcome::Diverged, "{metrics:?}");
    assert_eq!(rough_model(&case.problem(), &case.config, 6, &|| true).unwrap(), solved.model_byx);
}

#[test]
fn rough_model_stops_on_request() {
    let case = Case::new();
    let stopped = rough_model(&case.problem(), &case.config, 3, &|| false);
    assert!(matches!(stopped, Err(SolveError::Cancelled)));
}

#[test]
fn config_refuses_what_cannot_be_meant() {
    for (text, expected) in [
        (
            r#"{"regularize_model_frequency": 0.5}"#,
            "regularize_model_frequency = 0.5: expected above 1, or 0 for off",
        ),
        (r#"{"base_gain": 0.0}"#, "base_gain = 0: expected above 0"),
        (r#"{"accelerate_model": -1.0}"#, "accelerate_model = -1: expected above 0"),
        (r#"{"min_coverage": 0.0}"#, "min_coverage = 0: expected above 0"),
    ] {
        let config: IterativeConfig = serde_json::from_str(text).unwrap();
        assert_eq!(config.validate().unwrap_err().to_string(), expected);
    }
    let order: Result<IterativeConfig, _> = serde_json::from_str(r#"{"order": 2}"#);
    assert!(order.unwrap_err().to_string().contains("order = 2: expected 1, 3, 5 or \"fourier\""));
    assert!(serde_json::from_str::<IterativeConfig>(r#"{"orders": 3}"#).is_err());
}

#[test]
fn pixels_flagged_good_are_what_counts() {
    // A masked cosmic ray leaves no trace.
    let mut case = Case::new();
    let clean = case.solve().model_byx;
    case.visits.visits[4].image[[15, 18]] = 1e5;
    case.visits.visits[4].flags[[15, 18]] &= !GOOD;
    let masked = case.solve().model_byx;
    assert!(worst(&masked, &clean) < 0.01, "{}", worst(&masked, &clean));
}

#[test]
fn solve_report_of_three_stars() {
    let mut case = Case::new();
    case.config = IterativeConfig::default();
    let solution = case.solve();
    insta::assert_yaml_snapshot!(solution.reports, {
        "[].initial_metric" => insta::rounded_redaction(4),
        "[].final_metric" => insta::rounded_redaction(4),
        "[].iterations[].metric" => insta::rounded_redaction(4),
        "[].iterations[].gain" => insta::rounded_redaction(3),
        "[].visit_metrics[]" => insta::rounded_redaction(3),
    });
}
