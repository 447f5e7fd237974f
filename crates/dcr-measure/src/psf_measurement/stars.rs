//! Bright isolated sources, and those among them that are stars.

use dcr_image::psf::{FWHM_PER_SIGMA, Moments};
use ndarray::{Array2, ArrayView2, s};

use super::{StarField, StarSelection};
use crate::detection::Detection;
use crate::statistics::{SIGMA_PER_MAD, median};

/// Peaks beyond this significance are sources whose light disturbs a neighbour's.
const NEIGHBOUR_SIGNIFICANCE: f32 = 5.0;
/// Peaks of less than this share of a source's are ripples on its wings, if they are near it.
const RIPPLE: f32 = 0.02;
/// Radius in FWHM within which a star needs all pixels and no neighbour.
const CLEAR_FWHM: f64 = 1.5;
/// Radius in FWHM that a neighbour as bright as the star hides; one FWHM more or less for a factor
/// of 100 in brightness.
const NEIGHBOUR_FWHM: f64 = 2.2;
/// Sizes that differ from the expected by a larger factor are no stars'.
const SIZE_RANGE: f64 = 2.0;
/// Half-width of the stellar locus in size (logarithm) and ellipticity, in standard deviations.
const LOCUS_SIGMA: f64 = 3.0;
/// The least standard deviations: a few stars are alike by chance.
const LEAST_SIZE_SIGMA: f64 = 0.01;
const LEAST_SHAPE_SIGMA: f64 = 0.01;
/// Passes of the selection.
const PASSES: usize = 3;

/// A source with the pixels about it.
#[derive(Clone, Debug)]
pub(super) struct Star {
    /// The pixels, odd-sided; each unusable pixel holds its mirror image.
    pub(super) pixels: Array2<f64>,
    pub(super) variance: Array2<f64>,
    /// Which pixels are to be used.
    pub(super) clear: Array2<bool>,
    /// In these pixels.
    pub(super) moments: Moments,
    /// Row and column of its middle in the coadd.
    pub(super) place: (f64, f64),
}

/// The bright isolated sources with `reach` px to every side, in the order of their first pixels.
pub(super) fn find(field: &StarField<'_>, reach: usize, selection: &StarSelection) -> Vec<Star> {
    let sigma = field.fwhm_px / FWHM_PER_SIGMA;
    let detection = Detection::new(sigma, selection.threshold, selection.min_pixels);
    let significance = detection.significance(field.image, field.variance);
    let peaks = peaks(&significance);
    let brightest = |group: &Vec<(usize, usize)>| {
        group.iter().copied().max_by(|a, b| significance[*a].total_cmp(&significance[*b]))
    };
    let groups = detection.groups(&significance);
    groups
        .iter()
        .filter_map(brightest)
        .filter_map(|at| star_at(field, &significance, &peaks, at, reach))
        .collect()
}

/// The pixels that are more significant than all around them, and than noise.
fn peaks(significance: &Array2<f32>) -> Vec<(usize, usize)> {
    let is_peak = |window: ArrayView2<'_, f32>| {
        let middle = window[[1, 1]];
        middle > NEIGHBOUR_SIGNIFICANCE && window.iter().filter(|value| **value >= middle).count() == 1
    };
    let (rows, cols) = significance.dim();
    if rows < 3 || cols < 3 {
        return vec![];
    }
    let windows = significance.windows((3, 3));
    let at = |index: usize| (index / (cols - 2) + 1, index % (cols - 2) + 1);
    windows.into_iter().enumerate().filter(|(_, window)| is_peak(*window)).map(|(i, _)| at(i)).collect()
}

/// The source at a pixel, if it can be measured.
fn star_at(
    field: &StarField<'_>,
    significance: &Array2<f32>,
    peaks: &[(usize, usize)],
    (y, x): (usize, usize),
    reach: usize,
) -> Option<Star> {
    let (rows, cols) = field.image.dim();
    if y < reach || x < reach || y + reach >= rows || x + reach >= cols {
        return None;
    }
    let at = s![y - reach..=y + reach, x - reach..=x + reach];
    let mut pixels = field.image.slice(at).mapv(f64::from);
    let variance = field.variance.slice(at).mapv(f64::from);
    let usable = |((row, col), bad): ((usize, usize), &bool)| {
        !bad && pixels[[row, col]].is_finite()
            && variance[[row, col]].is_finite()
            && variance[[row, col]] > 0.0
    };
    let usable: Vec<bool> = field.bad.slice(at).indexed_iter().map(usable).collect();
    let mut clear = Array2::from_shape_vec(pixels.dim(), usable).ok()?;
    let own = significance[[y, x]];
    for &(py, px) in peaks {
        let (dy, dx) = (py as f64 - y as f64, px as f64 - x as f64);
        let (distance, ratio) = (dy.hypot(dx), significance[[py, px]] / own);
        let ripple = ratio < RIPPLE && distance < reach as f64 / 2.0;
        if distance == 0.0 || ripple || distance > 3.0 * reach as f64 {
            continue;
        }
        let hidden = field.fwhm_px * (NEIGHBOUR_FWHM + f64::from(ratio).log10() / 2.0).max(1.0);
        for ((row, col), clear) in clear.indexed_iter_mut() {
            let to = (row as f64 - reach as f64 - dy).hypot(col as f64 - reach as f64 - dx);
            *clear &= to > hidden;
        }
    }
    let middle = |row: usize, col: usize| (row as f64 - reach as f64).hypot(col as f64 - reach as f64);
    let disturbed = |((row, col), clear): ((usize, usize), &bool)| {
        !clear && middle(row, col) <= CLEAR_FWHM * field.fwhm_px
    };
    if clear.indexed_iter().any(disturbed) {
        return None;
    }
    mirror(&mut pixels, &clear);
    let moments = Moments::of(pixels.view(), (reach as f64, reach as f64)).ok()?;
    let size = moments.fwhm_px() / field.fwhm_px;
    let plausible = (SIZE_RANGE.recip()..SIZE_RANGE).contains(&size)
        && (moments.x - reach as f64).hypot(moments.y - reach as f64) < field.fwhm_px / 2.0
        && moments.flux > 0.0;
    let place = (moments.y + (y - reach) as f64, moments.x + (x - reach) as f64);
    plausible.then_some(Star { pixels, variance, clear, moments, place })
}

/// Replaces each pixel that is not clear by its mirror image about the middle, or 0 if that is not
/// clear either.
fn mirror(pixels: &mut Array2<f64>, clear: &Array2<bool>) {
    let (rows, cols) = pixels.dim();
    for ((row, col), _) in clear.indexed_iter().filter(|(_, clear)| !**clear) {
        let opposite = [rows - 1 - row, cols - 1 - col];
        pixels[[row, col]] = if clear[opposite] { pixels[opposite] } else { 0.0 };
    }
}

/// Stars of the most frequent size and of one ellipticity.
pub(super) fn of_one_size_and_shape(mut stars: Vec<Star>) -> Vec<Star> {
    let size = |star: &Star| star.moments.fwhm_px().ln();
    let mut sizes: Vec<f64> = stars.iter().map(size).collect();
    let Some(mut centre) = mode(&mut sizes) else { return vec![] };
    for pass in 0..PASSES {
        // First from near the mode, then from what was kept.
        let near = |value: &f64| pass > 0 || (value - centre).abs() < 10.0 * LEAST_SIZE_SIGMA;
        let values: Vec<f64> = stars.iter().map(size).filter(near).collect();
        let Some(sigma) = deviation(&values, centre) else { break };
        stars.retain(|star| (size(star) - centre).abs() <= LOCUS_SIGMA * sigma.max(LEAST_SIZE_SIGMA));
        if let Some(middle) = median(stars.iter().map(size).collect()) {
            centre = middle;
        }
        for component in [0, 1] {
            let shape = |star: &Star| star.moments.ellipticity()[component];
            let values: Vec<f64> = stars.iter().map(shape).collect();
            let Some(centre) = median(values.clone()) else { break };
            let Some(sigma) = deviation(&values, centre) else { break };
            stars.retain(|star| (shape(star) - centre).abs() <= LOCUS_SIGMA * sigma.max(LEAST_SHAPE_SIGMA));
        }
    }
    stars
}

/// The standard deviation about a centre, by the median absolute deviation.
fn deviation(values: &[f64], centre: f64) -> Option<f64> {
    median(values.iter().map(|value| (value - centre).abs()).collect()).map(|mad| SIGMA_PER_MAD * mad)
}

/// Half-sample mode: the shortest interval with half of the values, then with half of those, and so
/// on (Bickel and Frühwirth 2006, Comp. Stat. Data Anal. 50, 3500). Sorts the values.
fn mode(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let mut values = &*values;
    while values.len() > 2 {
        let half = values.len().div_ceil(2);
        let length = |start: usize| values[start + half - 1] - values[start];
        let best = (0..=values.len() - half).min_by(|a, b| length(*a).total_cmp(&length(*b)))?;
        values = &values[best..best + half];
        if half == 2 {
            break;
        }
    }
    median(values.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mode_is_where_values_are_densest() {
        assert_eq!(mode(&mut []), None);
        assert_eq!(mode(&mut [4.0]), Some(4.0));
        assert_eq!(mode(&mut [4.0, 5.0]), Some(4.5));
        let found = mode(&mut [9.0, 1.0, 1.02, 0.99, 1.01, 3.0, 5.0, 7.0, 8.0]).unwrap();
        assert!((found - 1.0).abs() < 0.03, "{found}");
    }

    #[test]
    fn mirror_takes_the_opposite_or_nothing() {
        let mut pixels = ndarray::array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]];
        let mut clear = Array2::from_elem((3, 3), true);
        (clear[[0, 0]], clear[[1, 0]], clear[[1, 2]]) = (false, false, false);
        mirror(&mut pixels, &clear);
        assert_eq!(pixels, ndarray::array![[9.0, 2.0, 3.0], [0.0, 5.0, 0.0], [7.0, 8.0, 9.0]]);
    }
}
