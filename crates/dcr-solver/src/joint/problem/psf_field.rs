//! The PSF of a visit as a function of place.
//!
//! ```text
//! Q(x) = Q₀ + Σ_r w_r(x) B_r
//! ```
//!
//! with the mean stamp `Q₀`, orthonormal stamps `B_r` and weights that are linear in each cell of a
//! region. The stamps are the differences of cells from the mean that are farthest from those
//! before (pivoted Gram–Schmidt), until all cells are within [`TOLERANCE`]. Weights follow the
//! neighbouring cells with the smaller of the slopes on either side (the minmod limiter of van
//! Leer 1979, J. Comp. Phys. 32, 101): smooth where PSFs vary smoothly, with a step where two
//! detectors meet.

use ndarray::{Array2, s};

use super::psf::PsfStamp;
use crate::kernel::Region;

/// Norm of what remains of a cell's difference from the mean, relative to the mean's norm, that is
/// neglected: a fifth of the noise at the peak of a star of S/N 400.
const TOLERANCE: f64 = 1e-3;
/// A slope this many times as large as that on the other side is a step.
const STEP: f64 = 4.0;
/// Maximum number of components: size, two of ellipticity, and two for all else.
const MOST: usize = 5;

/// PSF of a visit over a region.
#[derive(Clone, Debug, PartialEq)]
pub struct PsfField {
    mean: PsfStamp,
    components: Vec<Array2<f64>>,
    cells: Vec<Cell>,
}

/// A part of the region, with weights of the components.
#[derive(Clone, Debug, PartialEq)]
struct Cell {
    region: Region,
    /// Weights in the middle, and their slopes along y and x.
    weights: Vec<f64>,
    slopes: [Vec<f64>; 2],
}

impl PsfField {
    /// The same PSF everywhere.
    #[must_use]
    pub fn constant(psf: PsfStamp) -> Self {
        Self { mean: psf, components: vec![], cells: vec![] }
    }

    /// The PSFs of cells, each for the middle of its cell, in pixels of the patch. Pixels outside
    /// all cells have the mean. `None` without a cell.
    ///
    /// ```
    /// use dcr_solver::joint::{PsfField, PsfStamp};
    /// use dcr_solver::kernel::Region;
    ///
    /// // Two detectors side by side.
    /// let left = (Region { rows: 0..64, cols: 0..32 }, PsfStamp::gaussian(4.0)?);
    /// let right = (Region { rows: 0..64, cols: 32..64 }, PsfStamp::gaussian(4.2)?);
    /// let field = PsfField::of_cells(vec![left, right]).unwrap();
    /// assert_eq!(field.components(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn of_cells(cells: Vec<(Region, PsfStamp)>) -> Option<Self> {
        let first = &cells.first()?.1;
        if cells.iter().all(|(_, stamp)| stamp == first) {
            return Some(Self::constant(first.clone()));
        }
        let longest = |axis: usize| cells.iter().map(|(_, s)| s.pixels().shape()[axis]).max().unwrap_or(1);
        let shape = (longest(0) | 1, longest(1) | 1);
        let stamps: Vec<Array2<f64>> = cells.iter().map(|(_, stamp)| centred(stamp, shape)).collect();
        let area = |region: &Region| (region.rows.len() * region.cols.len()) as f64;
        let total: f64 = cells.iter().map(|(region, _)| area(region)).sum();
        let mut mean = Array2::zeros(shape);
        for ((region, _), stamp) in cells.iter().zip(&stamps) {
            mean.scaled_add(area(region) / total, stamp);
        }
        let (components, weights) = components(&mean, stamps);
        let mut mean = PsfStamp::new(mean).ok()?;
        if first.includes_refraction() {
            mean = mean.with_refraction();
        }
        let regions = cells.into_iter().map(|(region, _)| region);
        let cell = |(region, weights)| Cell { region, weights, slopes: [vec![], vec![]] };
        let mut cells: Vec<Cell> = regions.zip(weights).map(cell).collect();
        set_slopes(&mut cells);
        Some(Self { mean, components, cells })
    }

    /// The mean PSF.
    #[must_use]
    pub fn mean(&self) -> &PsfStamp {
        &self.mean
    }

    /// Number of components beside the mean.
    #[must_use]
    pub fn components(&self) -> usize {
        self.components.len()
    }

    /// The components, centred on the middle pixel.
    pub(crate) fn stamps(&self) -> &[Array2<f64>] {
        &self.components
    }

    /// Weight of a component at every pixel of a region, row by row.
    pub(crate) fn weights(&self, component: usize, region: &Region) -> Vec<f32> {
        let cols = region.cols.len();
        let mut out = vec![0.0; region.rows.len() * cols];
        for cell in &self.cells {
            let part = cell.region.intersection(region);
            let [y0, x0] = cell.middle();
            let (weight, slopes) = (cell.weights[component], cell.slopes.each_ref().map(|s| s[component]));
            for y in part.rows.clone() {
                let start = weight + slopes[0] * (y as f64 - y0);
                let line = &mut out[(y - region.rows.start) * cols..][..cols];
                for x in part.cols.clone() {
                    line[x - region.cols.start] = (start + slopes[1] * (x as f64 - x0)) as f32;
                }
            }
        }
        out
    }
}

impl Cell {
    fn middle(&self) -> [f64; 2] {
        let middle = |range: &std::ops::Range<usize>| 0.5 * (range.start + range.end) as f64 - 0.5;
        [middle(&self.region.rows), middle(&self.region.cols)]
    }

    /// True if `other` follows along the axis, with lines in common across it.
    fn is_before(&self, other: &Self, axis: usize) -> bool {
        let of = |cell: &Self| {
            let Region { rows, cols } = cell.region.clone();
            if axis == 0 { (rows, cols) } else { (cols, rows) }
        };
        let ((along, across), (next, next_across)) = (of(self), of(other));
        along.end == next.start && across.start < next_across.end && next_across.start < across.end
    }
}

/// A stamp's pixels on a larger stamp, both centred on their middle pixels.
fn centred(stamp: &PsfStamp, (rows, cols): (usize, usize)) -> Array2<f64> {
    let pixels = stamp.pixels();
    let (top, left) = (rows / 2 - pixels.nrows() / 2, cols / 2 - pixels.ncols() / 2);
    let mut out = Array2::zeros((rows, cols));
    out.slice_mut(s![top..top + pixels.nrows(), left..left + pixels.ncols()]).assign(pixels);
    out
}

/// Orthonormal components of the stamps' differences from the mean, and each stamp's weights.
fn components(mean: &Array2<f64>, stamps: Vec<Array2<f64>>) -> (Vec<Array2<f64>>, Vec<Vec<f64>>) {
    let norm = |plane: &Array2<f64>| plane.iter().map(|v| v * v).sum::<f64>().sqrt();
    let mut rests: Vec<Array2<f64>> = stamps.into_iter().map(|stamp| stamp - mean).collect();
    let (mut components, mut weights) = (vec![], vec![vec![]; rests.len()]);
    let limit = TOLERANCE * norm(mean);
    while components.len() < MOST {
        let Some(farthest) = rests.iter().max_by(|a, b| norm(a).total_cmp(&norm(b))) else { break };
        let length = norm(farthest);
        if length <= limit {
            break;
        }
        let component = farthest / length;
        for (rest, weights) in rests.iter_mut().zip(&mut weights) {
            let weight = (&*rest * &component).sum();
            rest.scaled_add(-weight, &component);
            weights.push(weight);
        }
        components.push(component);
    }
    (components, weights)
}

/// Slopes of the weights from those of the neighbouring cells.
fn set_slopes(cells: &mut [Cell]) {
    for axis in 0..2 {
        let neighbours = |i: usize, before: bool| -> Vec<usize> {
            let is_next = |other: &usize| match before {
                true => cells[*other].is_before(&cells[i], axis),
                false => cells[i].is_before(&cells[*other], axis),
            };
            (0..cells.len()).filter(is_next).collect()
        };
        // Mean slope towards the neighbours on one side.
        let towards = |i: usize, others: &[usize], component: usize| {
            let slope = |other: &usize| {
                let rise = cells[*other].weights[component] - cells[i].weights[component];
                rise / (cells[*other].middle()[axis] - cells[i].middle()[axis])
            };
            let count = others.len() as f64;
            (!others.is_empty()).then(|| others.iter().map(slope).sum::<f64>() / count)
        };
        let sides: Vec<[Vec<usize>; 2]> =
            (0..cells.len()).map(|i| [neighbours(i, true), neighbours(i, false)]).collect();
        let components = cells.first().map_or(0, |cell| cell.weights.len());
        let inner = |i: usize, component: usize| {
            let [before, after] = sides[i].each_ref().map(|others| towards(i, others, component));
            Some(minmod(before?, after?))
        };
        let slopes: Vec<Vec<f64>> = (0..cells.len())
            .map(|i| {
                let of = |component: usize| {
                    inner(i, component).or_else(|| {
                        // On the edge of the region: no steeper than in the next cell.
                        let others = sides[i].iter().find(|others| !others.is_empty())?;
                        Some(minmod(towards(i, others, component)?, inner(others[0], component)?))
                    })
                };
                (0..components).map(|component| of(component).unwrap_or(0.0)).collect()
            })
            .collect();
        cells.iter_mut().zip(slopes).for_each(|(cell, slopes)| cell.slopes[axis] = slopes);
    }
}

/// The smaller of two slopes. If their signs differ it is 0, unless one is a step.
fn minmod(a: f64, b: f64) -> f64 {
    let (smaller, larger) = if a.abs() < b.abs() { (a, b) } else { (b, a) };
    if a * b > 0.0 || larger.abs() > STEP * smaller.abs() { smaller } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cells of 16 px over 64 × 64 px, with PSFs by place.
    fn field(fwhm: impl Fn(f64, f64) -> f64) -> PsfField {
        let cell = |i: usize| {
            let (y, x) = (i / 4 * 16, i % 4 * 16);
            let stamp = PsfStamp::gaussian(fwhm(y as f64 + 7.5, x as f64 + 7.5)).unwrap();
            (Region { rows: y..y + 16, cols: x..x + 16 }, stamp)
        };
        PsfField::of_cells((0..16).map(cell).collect()).unwrap()
    }

    /// Largest error of the PSF at a place, relative to its peak.
    fn error(field: &PsfField, (y, x): (usize, usize), fwhm: f64) -> f64 {
        let at = Region { rows: y..y + 1, cols: x..x + 1 };
        let mut psf = field.mean().pixels().clone();
        for (component, stamp) in field.stamps().iter().enumerate() {
            psf.scaled_add(f64::from(field.weights(component, &at)[0]), stamp);
        }
        let expected = centred(&PsfStamp::gaussian(fwhm).unwrap(), psf.dim());
        let peak = expected.iter().copied().fold(0.0, f64::max);
        (psf - expected).iter().fold(0.0_f64, |largest, v| largest.max(v.abs())) / peak
    }

    #[test]
    fn psf_field_of_equal_cells_is_constant() {
        let field = field(|_, _| 4.0);
        assert_eq!((field.components(), field.mean()), (0, &PsfStamp::gaussian(4.0).unwrap()));
        assert_eq!(PsfField::of_cells(vec![]), None);
    }

    #[test]
    fn psf_field_is_smooth_between_cells() {
        let fwhm = |y: f64, x: f64| 4.0 + 0.004 * y - 0.002 * x;
        let smooth = field(fwhm);
        assert!(smooth.components() >= 1 && smooth.components() <= 3);
        for (y, x) in [(0, 0), (15, 16), (31, 40), (63, 63)] {
            let error = error(&smooth, (y, x), fwhm(y as f64, x as f64));
            assert!(error < 3e-3, "{y} {x}: {error}");
        }
    }

    #[test]
    fn psf_field_has_a_step_between_detectors() {
        let fwhm = |x: usize| if x < 32 { 4.0 } else { 4.4 };
        let stepped = field(|_, x| fwhm(x as usize));
        for x in [0, 31, 32, 63] {
            let error = error(&stepped, (20, x), fwhm(x));
            assert!(error < 2e-3, "{x}: {error}");
        }
    }

    /// A variation beside a step keeps its slope on either side.
    #[test]
    fn psf_field_is_smooth_on_either_side_of_a_step() {
        let fwhm = |x: f64| if x < 31.5 { 4.0 + 0.003 * x } else { 4.4 - 0.003 * x };
        let both = field(|_, x| fwhm(x));
        for x in [0, 20, 31, 32, 50] {
            let error = error(&both, (20, x), fwhm(x as f64));
            assert!(error < 6e-3, "{x}: {error}");
        }
    }
}
