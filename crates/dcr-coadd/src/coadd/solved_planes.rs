//! Conversion of the solver's planes to output planes: masks, variances, counts, and filled pixels.

use dcr_solver::Observations;
use dcr_solver::iterative::{Edge, FrequencyClamp, Solution, SolveReport, weights::model_weights};
use dcr_solver::kernel::dilate_diamond;
use ndarray::{Array2, Array3, Axis, Zip, s};

use crate::coadd::variance::{LinearSolve, propagated};
use crate::config::OutputVariance;
use crate::inputs::store::Store;
use crate::patch::state::PatchState;
use dcr_measure::interpolate::fill_missing;

/// Mask planes that describe the visits, whatever the starting coadd.
const MARKS_OF_VISITS: [&str; 3] = ["REJECTED", "SENSOR_EDGE", "INEXACT_PSF"];

/// A solved plane, or the sum of all.
pub(crate) struct SolvedPlane {
    pub(crate) image: Array2<f32>,
    pub(crate) variance: Array2<f32>,
    pub(crate) n_image: Array2<u16>,
}

/// The planes of all subfilters and their sum, with one mask.
pub(crate) struct SolvedPlanes {
    pub(crate) subfilters: Vec<SolvedPlane>,
    pub(crate) sum: SolvedPlane,
    pub(crate) mask: Array2<i32>,
    pub(crate) reports: Vec<SolveReport>,
}

impl SolvedPlanes {
    /// The planes of the iterative solver. `clipped` are the pixels that a visit lost to an
    /// artefact.
    pub(crate) fn of_iteration(
        state: &PatchState,
        store: &Store,
        clipped: &Array2<bool>,
        solution: Solution,
    ) -> Self {
        let Solution { model_byx, n_image_byx, reports, .. } = solution;
        let unseen = n_image_byx.index_axis(Axis(0), 0).mapv(|count| count == 0);
        let mask = state.solved_mask(&unseen, clipped);
        let (variances, variance) = state.variances(store, &unseen, &reports);
        let missing = state.template.image.mapv(|value| !value.is_finite());
        let unfilled = Zip::from(&missing).and(&unseen).map_collect(|missing, unseen| *missing && *unseen);
        let subfilters: Vec<SolvedPlane> = model_byx
            .axis_iter(Axis(0))
            .zip(variances)
            .zip(n_image_byx.axis_iter(Axis(0)))
            .map(|((plane, variance), n_image)| {
                let mut image = plane.to_owned();
                if state.config.coadd.interpolate {
                    fill_missing(&mut image, unfilled.view());
                } else {
                    Zip::from(&mut image).and(&unfilled).for_each(|value, unfilled| {
                        if *unfilled {
                            *value = f32::NAN;
                        }
                    });
                }
                SolvedPlane { image, variance, n_image: n_image.to_owned() }
            })
            .collect();
        let mut sum =
            SolvedPlane { image: Array2::zeros(mask.dim()), variance, n_image: Array2::zeros(mask.dim()) };
        for subfilter in &subfilters {
            sum.image += &subfilter.image;
            sum.n_image.zip_mut_with(&subfilter.n_image, |sum, count| *sum = sum.saturating_add(*count));
        }
        Self { subfilters, sum, mask, reports }
    }
}

impl PatchState {
    /// The mask of the starting coadd, planes propagated from the visits, NO_DATA where no visit
    /// constrains the model, and CLIPPED where a visit was left out, which slightly changes the
    /// PSF.
    pub(crate) fn solved_mask(&self, unseen: &Array2<bool>, clipped: &Array2<bool>) -> Array2<i32> {
        let config = &self.config.coadd;
        let propagated = self.planes.bits_of(config.mask_propagation_thresholds.keys())
            | self.planes.bits_of(MARKS_OF_VISITS);
        let removed = self.planes.bits_of(&config.remove_mask_planes);
        let no_data = self.planes.bits_of(["NO_DATA"]);
        let clipped_bits = self.planes.bits_of(["CLIPPED", "INEXACT_PSF"]);
        Zip::from(&self.template.mask).and(&self.plain.mask).and(unseen).and(clipped).map_collect(
            |template, plain, unseen, clipped| {
                let empty = if *unseen { no_data } else { 0 };
                let lost = if *clipped { clipped_bits } else { 0 };
                (template | plain & propagated) & !removed | empty | lost
            },
        )
    }

    /// The variance of each subfilter, and of their sum.
    fn variances(
        &self,
        store: &Store,
        unseen: &Array2<bool>,
        reports: &[SolveReport],
    ) -> (Vec<Array2<f32>>, Array2<f32>) {
        let fractions = &self.division.fractions;
        let n = fractions.len();
        let template = &self.template.variance;
        if self.config.coadd.variance == OutputVariance::Template {
            return (vec![template / n as f32; n], template.clone());
        }
        let free = self.freedom(store, unseen);
        let shape = template.dim();
        let mut subfilters: Array3<f32> = Array3::zeros((n, shape.0, shape.1));
        let mut sum = Array2::zeros(shape);
        // One report is of all cells, or there is one for each.
        for (cell, region) in self.division.cell_regions.iter().enumerate() {
            let Some(report) = reports.get(cell).or(reports.first()) else { continue };
            let gains: Vec<f64> = report.iterations.iter().map(|iteration| iteration.gain).collect();
            let factors = self.linear_solve(store, cell, &gains).noise_factors();
            let of = |plane: &Array2<f32>| region.of(&plane.view()).to_owned();
            let (plain, template, free) = (of(&self.plain.variance), of(template), of(&free));
            let smooth = factors.with_smooth_colours(fractions, self.pixels_of_a_colour());
            let at = s![region.rows.clone(), region.cols.clone()];
            for (b, factor) in smooth.into_iter().enumerate() {
                let variance = propagated(&plain, &template, &free, fractions[b], factor);
                subfilters.index_axis_mut(Axis(0), b).slice_mut(at).assign(&variance);
            }
            sum.slice_mut(at).assign(&propagated(&plain, &template, &free, 1.0, factors.sum));
        }
        (subfilters.axis_iter(Axis(0)).map(|plane| plane.to_owned()).collect(), sum)
    }

    /// Share of each pixel decided by the solve (docs/algorithm.md §5.5).
    fn freedom(&self, store: &Store, unseen: &Array2<bool>) -> Array2<f32> {
        let iterative = &self.config.solver.iterative;
        let mut free = if !iterative.use_model_weights {
            Array2::ones(unseen.dim())
        } else if iterative.edge == Edge::Zero {
            model_weights(self.sources.view(), iterative.model_weights_width)
        } else {
            let reach = store.shifts.iter().flatten().flatten().map(|s| s.mean.max_component());
            let reach = reach.fold(0.0, f64::max).ceil() as usize + 1;
            let grown = dilate_diamond(self.sources.view(), reach);
            model_weights(grown.view(), iterative.model_weights_width)
        };
        Zip::from(&mut free).and(unseen).for_each(|free, unseen| {
            if *unseen {
                *free = 0.0;
            }
        });
        free
    }

    fn linear_solve<'a>(&'a self, store: &'a Store, cell: usize, gains: &'a [f64]) -> LinearSolve<'a> {
        LinearSolve {
            shifts: (0..store.visits()).map(|visit| store.shifts(visit, cell)).collect(),
            weights: &store.weights,
            variances: &self.survey.variances,
            fractions: &self.division.fractions,
            contrast: self.config.solver.iterative.accelerate_model.max(1.0),
            gains,
        }
    }

    /// The number of pixels that a colour is averaged over.
    fn pixels_of_a_colour(&self) -> f64 {
        let iterative = &self.config.solver.iterative;
        let smooth = iterative.regularize_model_frequency > 0.0
            && iterative.frequency_clamp == FrequencyClamp::Conserving;
        let width = iterative.regularization_width.max(1) as f64;
        if smooth { 4.0 * std::f64::consts::PI * width * width } else { 1.0 }
    }
}
