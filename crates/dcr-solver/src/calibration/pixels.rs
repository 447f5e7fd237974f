//! The pixels of a calibration fit, with weights against outliers.

use rayon::prelude::*;

use super::coefficients::{Calibration, Column, Coordinates, polynomials};
use super::derivatives::{Continued, Local};
use super::evidence::{Equations, choose};
use super::terms::{CalibrationData, CalibrationOrders, Priors, Term};
use crate::kernel::{Boundary, dilate_diamond, gaussian_filter};
use crate::rarity::groups;

/// Sources are fitted where the prediction, smoothed by 1 px, exceeds this many σ of the sky.
const BRIGHT: f64 = 8.0;
/// Pixels by which they are grown.
const GROW: usize = 2;
/// Relative error of the prediction, added to the noise.
const MODEL_ERROR: f32 = 0.01;
/// Residual in σ at which the weight of a pixel is halved.
const HALF_WEIGHT: f64 = 4.0;
/// Rounds of reweighting.
const ROUNDS: usize = 6;
/// Sources whose flux deviates by more than this many of its errors are left out.
const VARIABLE: f64 = 4.0;
/// Error of a relative flux below which a source counts no more than others: each of the brightest
/// could be a variable.
const FLUX_FLOOR: f64 = 0.05;
/// Scatter of the relative fluxes of constant sources: minimum and maximum.
const FLUX_SCATTER: [f64; 2] = [0.01, 0.03];
/// Quantile of absolute deviations that measures the scatter, and its value for a normal
/// distribution: below the median, since many sources can be variable.
const LOW_QUANTILE: (f64, f64) = (0.3, 0.385);
/// Minimum number of sources for each polynomial of a term.
const SOURCES_OF_A_POLYNOMIAL: usize = 2;
/// At most this many pixels of sources, and of the sky.
const MOST: usize = 60_000;
/// Pixels whose equations are summed at a time; fixed, so that sums do not depend on threads.
const CHUNK: usize = 1024;

/// Pixels of the fit.
struct Selection {
    /// Pixels of bright sources, source by source.
    sources: Vec<Vec<u32>>,
    /// Pixels without bright sources.
    sky: Vec<u32>,
}

/// Noise of a pixel of the sky; `None` without a usable pixel.
pub(crate) fn sky_sigma(data: &CalibrationData) -> Option<f64> {
    let usable = data.image.indexed_iter().filter(|(at, _)| is_usable(data, *at));
    let mut variances: Vec<f32> = usable.map(|(at, _)| data.variance[at]).collect();
    if variances.is_empty() {
        return None;
    }
    let middle = variances.len() / 2;
    Some(f64::from(*variances.select_nth_unstable_by(middle, f32::total_cmp).1).sqrt())
}

fn is_usable(data: &CalibrationData, at: (usize, usize)) -> bool {
    data.good[at]
        && data.image[at].is_finite()
        && data.variance[at].is_finite()
        && data.variance[at] > 0.0
        && data.prediction[at].is_finite()
}

impl Selection {
    fn new(data: &CalibrationData, sigma: f64) -> Self {
        let cols = data.image.ncols();
        let filled = data.prediction.mapv(|value| if value.is_finite() { value } else { 0.0 });
        let smooth = gaussian_filter(filled.view(), 1.0, Boundary::Reflect);
        let bright = smooth.mapv(|value| f64::from(value) > BRIGHT * sigma);
        let bright = dilate_diamond(bright.view(), GROW);
        let (mut of_sources, mut of_sky) = (vec![], vec![]);
        for ((y, x), bright) in bright.indexed_iter().filter(|(at, _)| is_usable(data, *at)) {
            let list = if *bright { &mut of_sources } else { &mut of_sky };
            list.push((y * cols + x) as u32);
        }
        Self { sources: thinned_groups(groups(&of_sources, cols)), sky: thinned(&of_sky) }
    }
}

/// At most [`MOST`] pixels, evenly.
fn thinned(pixels: &[u32]) -> Vec<u32> {
    let step = pixels.len().div_ceil(MOST).max(1);
    pixels.iter().copied().step_by(step).collect()
}

/// Groups of about [`MOST`] pixels together: every few pixels of each, since sources of a crowded
/// field can be one group.
fn thinned_groups(sources: Vec<Vec<u32>>) -> Vec<Vec<u32>> {
    let step = sources.iter().map(Vec::len).sum::<usize>().div_ceil(MOST).max(1);
    sources.into_iter().map(|pixels| pixels.into_iter().step_by(step).collect()).collect()
}

/// A pixel of the fit, in units of its error.
struct FitPixel {
    values: Vec<f64>,
    residual: f64,
    /// The prediction.
    light: f64,
}

/// Normal equations with robust weights; those of several parts of an image add.
#[derive(Clone, Debug)]
pub(crate) struct RobustFit {
    equations: Equations,
    /// Number of sources in them.
    sources: usize,
    /// Number of sources that are measured well, and of those among them that agree with the common
    /// flux scale.
    measured: usize,
    agreeing: usize,
}

impl RobustFit {
    pub(crate) fn add(&mut self, other: &Self) {
        self.equations.add(&other.equations);
        self.sources += other.sources;
        self.measured += other.measured;
        self.agreeing += other.agreeing;
    }

    /// The calibration of the highest evidence.
    pub(crate) fn calibration(
        &self,
        coordinates: Coordinates,
        orders: &CalibrationOrders,
        priors: &Priors,
    ) -> Calibration {
        // Sources that contradict each other give no flux scale.
        let flux = orders.flux.filter(|_| 2 * self.agreeing >= self.measured);
        // Of few sources, a polynomial would follow colours and positions of each.
        let limited = |order: Option<u8>| {
            let enough = |order: &u8| self.sources >= SOURCES_OF_A_POLYNOMIAL * polynomials(*order);
            order.and_then(|highest| (0..=highest).rev().find(enough))
        };
        let limits = CalibrationOrders {
            background: orders.background,
            flux: limited(flux),
            displacement: limited(orders.displacement),
            moments: limited(orders.moments),
        };
        let (orders, solution) = choose(&self.equations, &limits, priors);
        Calibration::new(coordinates, orders, (self.equations.columns.clone(), solution), self.sources)
    }
}

/// Fits all columns of the orders; `None` without pixels. `coordinates` are those of the image, of
/// which the data begin at row and column `origin`.
pub(crate) fn robust_equations(
    data: &CalibrationData,
    origin: (usize, usize),
    coordinates: &Coordinates,
    orders: &CalibrationOrders,
    priors: &Priors,
) -> Option<RobustFit> {
    let selection = Selection::new(data, priors.sigma);
    let columns = Column::all(orders);
    let of_sky = columns.iter().take_while(|column| column.term == Term::Background).count();
    let cols = data.image.ncols();
    let prediction = Continued::new(&data.prediction);
    let pixel = |at: u32, source: bool| {
        let (y, x) = (at as usize / cols, at as usize % cols);
        let (local, columns) = match source {
            true => (prediction.at(y, x)?, &columns[..]),
            // Without light all other columns are 0.
            false => (Local::default(), &columns[..of_sky]),
        };
        let model = data.prediction[[y, x]];
        let error = (data.variance[[y, x]] + (MODEL_ERROR * model.max(0.0)).powi(2)).sqrt();
        let polynomials = coordinates.polynomials((y + origin.0) as f64, (x + origin.1) as f64);
        let value = |c: &Column| f64::from(c.image_at(&local) / error) * polynomials[c.polynomial];
        Some(FitPixel {
            values: columns.iter().map(value).collect(),
            residual: f64::from((data.image[[y, x]] - model) / error),
            light: f64::from(model / error),
        })
    };
    let sources: Vec<Vec<FitPixel>> = selection
        .sources
        .par_iter()
        .map(|pixels| pixels.iter().filter_map(|at| pixel(*at, true)).collect())
        .collect();
    // With no background to fit, the sky says nothing.
    let sky: Vec<FitPixel> = match orders.background {
        Some(_) => selection.sky.par_iter().filter_map(|at| pixel(*at, false)).collect(),
        None => vec![],
    };
    if sky.is_empty() && sources.iter().all(Vec::is_empty) {
        return None;
    }
    // Variable sources can be as bright as all others together, so the flux scale starts as a median.
    let mut solution = vec![0.0; columns.len()];
    let flux = columns.iter().position(|c| c.term == Term::Flux && c.polynomial == 0);
    if let Some(flux) = flux {
        solution[flux] = median_excess(&excesses(&sources, &solution));
    }
    let mut excess = excesses(&sources, &solution);
    let mut kept = constant_sources(&excess);
    let mut equations = Equations::new(&columns);
    for _ in 0..ROUNDS {
        equations = Equations::new(&columns);
        let used = sources.iter().zip(&kept).filter(|(_, kept)| **kept).flat_map(|(pixels, _)| pixels);
        sum(&mut equations, &used.collect::<Vec<_>>(), &solution);
        sum(&mut equations, &sky.iter().collect::<Vec<_>>(), &solution);
        solution = equations.solution(priors);
        excess = excesses(&sources, &solution);
        kept = constant_sources(&excess);
    }
    let count = kept.iter().filter(|kept| **kept).count();
    let [_, most] = FLUX_SCATTER;
    let measured = || excess.iter().zip(&kept).filter(|((_, error), _)| *error < most);
    let agreeing = measured().filter(|(_, kept)| **kept).count();
    Some(RobustFit { equations, sources: count, measured: measured().count(), agreeing })
}

/// Adds pixels, with weights by their residuals of a solution.
fn sum(equations: &mut Equations, pixels: &[&FitPixel], solution: &[f64]) {
    let parts: Vec<Equations> = pixels
        .par_chunks(CHUNK)
        .map(|pixels| {
            let mut part = Equations::new(&equations.columns);
            for pixel in pixels {
                let weight = 1.0 / (1.0 + (remainder(pixel, solution) / HALF_WEIGHT).powi(2));
                part.add_pixel(&pixel.values, pixel.residual, weight);
            }
            part
        })
        .collect();
    parts.iter().for_each(|part| equations.add(part));
}

/// Residual of a solution.
fn remainder(pixel: &FitPixel, solution: &[f64]) -> f64 {
    pixel.residual - pixel.values.iter().zip(solution).map(|(v, s)| v * s).sum::<f64>()
}

/// Relative flux of a source beyond a solution, with its error.
type Excess = (f64, f64);

/// Each source's excess over a solution.
fn excesses(sources: &[Vec<FitPixel>], solution: &[f64]) -> Vec<Excess> {
    let of_source = |pixels: &Vec<FitPixel>| {
        let light: f64 = pixels.iter().map(|p| p.light * p.light).sum();
        let product: f64 = pixels.iter().map(|p| p.light * remainder(p, solution)).sum();
        if light > 0.0 { (product / light, light.sqrt().recip()) } else { (0.0, f64::INFINITY) }
    };
    sources.par_iter().map(of_source).collect()
}

/// Weighted median of the excesses; 0 without sources.
fn median_excess(excesses: &[Excess]) -> f64 {
    let weight = |(_, error): &Excess| error.hypot(FLUX_FLOOR).powi(-2);
    let mut sorted = excesses.to_vec();
    sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let half = 0.5 * sorted.iter().map(weight).sum::<f64>();
    let mut below = 0.0;
    for excess in &sorted {
        below += weight(excess);
        if below >= half {
            return excess.0;
        }
    }
    0.0
}

/// Sources whose flux agrees with the solution: variable stars would bias it.
fn constant_sources(excesses: &[Excess]) -> Vec<bool> {
    // The scatter of those that are measured well enough to show it.
    let [least, most] = FLUX_SCATTER;
    let measured = excesses.iter().filter(|(_, error)| *error < most);
    let mut sizes: Vec<f64> = measured.map(|(excess, _)| excess.abs()).collect();
    let (quantile, normal) = LOW_QUANTILE;
    let index = (quantile * sizes.len() as f64) as usize;
    let scatter = match sizes.is_empty() {
        true => least,
        false => (*sizes.select_nth_unstable_by(index, f64::total_cmp).1 / normal).clamp(least, most),
    };
    let agrees = |(excess, error): &Excess| excess.abs() <= VARIABLE * error.hypot(scatter);
    excesses.iter().map(agrees).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sources of a crowded field are one group; the fit must not hold all of its pixels.
    #[test]
    fn calibration_of_a_crowded_field_takes_every_few_pixels_of_each_group() {
        let crowd: Vec<u32> = (0..900_000).collect();
        let star: Vec<u32> = (1_000_000..1_000_030).collect();
        let thinned = thinned_groups(vec![crowd.clone(), star.clone()]);
        assert!(thinned.len() == 2 && thinned.iter().map(Vec::len).sum::<usize>() <= MOST + 2);
        assert!(thinned[0].len() > MOST / 2 && thinned[1].len() == 2, "{}", thinned[1].len());
        assert_eq!(thinned_groups(vec![star.clone()]), [star]);
    }
}
