//! Colours of isolated sources in the subfilters.
//!
//! With the PSF `k` of sum 1, sources are the maxima of the summed coadd's significance `Σ k y /
//! √(Σ k² v)`, normalised to a scatter of 1, above [`THRESHOLD`]. A source is isolated if no other
//! maximum within [`ISOLATION_FWHM`] exceeds [`NEIGHBOUR_THRESHOLD`] and [`NEIGHBOUR_SHARE`] of its
//! significance. The flux in a subfilter is that of a point source in the nearest pixel, `Σ k y / Σ
//! k²` over pixels with data, with error `√(Σ k² v) / Σ k²`. For extended sources it is the flux of
//! the centre.

use dcr_image::{BBox, Stamp};
use ndarray::{Array2, ArrayView2, Axis, Zip};

use super::CoaddPlanes;
use dcr_measure::convolve::correlate;
use dcr_measure::residuals::significance_kernels;
use dcr_measure::statistics::median_and_scatter;

/// Significance of a source that is measured.
const THRESHOLD: f32 = 20.0;
/// Significance of a source that disturbs others.
const NEIGHBOUR_THRESHOLD: f32 = 7.0;
/// Minimum share of a source's significance for a neighbour: fainter maxima may be noise on its
/// wings.
const NEIGHBOUR_SHARE: f32 = 0.02;
/// The nearest other source, in FWHM of the PSF.
const ISOLATION_FWHM: f64 = 3.0;
/// Maximum number of stars returned.
const MOST: usize = 2000;

/// An isolated source.
#[derive(Clone, Debug, PartialEq)]
pub struct Star {
    /// Parent pixel coordinates.
    pub x: f64,
    /// Parent pixel coordinate along y.
    pub y: f64,
    /// Significance in the sum of the subfilters.
    pub significance: f64,
    /// Flux and its error in each subfilter, blue to red, in the unit of the coadds.
    pub fluxes: Vec<[f64; 2]>,
}

/// Isolated sources, most significant first.
pub(super) fn find(coadds: &CoaddPlanes, bbox: BBox, psf: &Stamp) -> Vec<Star> {
    let Ok(fwhm_px) = psf.fwhm_px() else { return vec![] };
    let peaks = maxima(&significance(coadds, psf.pixels()));
    let reach = ISOLATION_FWHM * fwhm_px;
    let alone = |own: &Peak| {
        let limit = NEIGHBOUR_THRESHOLD.max(NEIGHBOUR_SHARE * own.significance);
        // Peaks are in the order of their rows.
        let first = peaks.partition_point(|other| (other.row as f64) < own.row as f64 - reach);
        let near = peaks[first..].iter().take_while(|other| other.row as f64 <= own.row as f64 + reach);
        !near.into_iter().any(|other| {
            let distance = (other.row as f64 - own.row as f64).hypot(other.col as f64 - own.col as f64);
            distance > 0.0 && distance < reach && other.significance > limit
        })
    };
    let mut stars: Vec<&Peak> =
        peaks.iter().filter(|peak| peak.significance > THRESHOLD && alone(peak)).collect();
    stars.sort_by(|a, b| b.significance.total_cmp(&a.significance).then((a.row, a.col).cmp(&(b.row, b.col))));
    let star = |peak: &Peak| {
        let planes = coadds.image_byx.axis_iter(Axis(0)).zip(coadds.variance_byx.axis_iter(Axis(0)));
        let fluxes: Option<Vec<[f64; 2]>> =
            planes.map(|(image, variance)| flux(image, variance, psf.pixels(), peak)).collect();
        Some(Star {
            x: bbox.x0 as f64 + peak.col as f64,
            y: bbox.y0 as f64 + peak.row as f64,
            significance: f64::from(peak.significance),
            fluxes: fluxes?,
        })
    };
    stars.into_iter().take(MOST).filter_map(star).collect()
}

/// A maximum of the significance.
struct Peak {
    row: usize,
    col: usize,
    significance: f32,
}

/// Significance of a point source in each pixel; 0 where there are no data.
fn significance(coadds: &CoaddPlanes, kernel: &Array2<f64>) -> Array2<f32> {
    let finite = |plane: &Array2<f32>| plane.mapv(|value| if value.is_finite() { value } else { 0.0 });
    let variance = coadds.variance_byx.sum_axis(Axis(0));
    let [kernel, squares] = significance_kernels(kernel);
    let signal = correlate(finite(&coadds.sum).view(), kernel.view());
    let noise = correlate(finite(&variance).view(), squares.view());
    let mut significance = Zip::from(&signal)
        .and(&noise)
        .and(&coadds.sum)
        .map_collect(|s, v, value| if value.is_finite() && *v > 0.0 { s / v.sqrt() } else { f32::NAN });
    let known: Vec<f32> = significance.iter().copied().filter(|s| s.is_finite()).collect();
    let (centre, scatter) = median_and_scatter(known);
    let scale = if scatter > 0.0 { scatter as f32 } else { 1.0 };
    significance.mapv_inplace(|s| if s.is_finite() { (s - centre) / scale } else { 0.0 });
    significance
}

/// Pixels that none of their eight neighbours exceeds, beyond the threshold of neighbours.
fn maxima(significance: &Array2<f32>) -> Vec<Peak> {
    let (rows, cols) = significance.dim();
    let mut out = Vec::new();
    for row in 1..rows.saturating_sub(1) {
        for col in 1..cols.saturating_sub(1) {
            let own = significance[[row, col]];
            if own <= NEIGHBOUR_THRESHOLD {
                continue;
            }
            // Of equal pixels side by side the first counts.
            let is_maximum = (0..9).filter(|i| *i != 4).all(|i| {
                let other = significance[[row + i / 3 - 1, col + i % 3 - 1]];
                if i < 4 { own > other } else { own >= other }
            });
            if is_maximum {
                out.push(Peak { row, col, significance: own });
            }
        }
    }
    out
}

/// The flux of a point source in a pixel, and its error.
fn flux(
    image: ArrayView2<f32>,
    variance: ArrayView2<f32>,
    kernel: &Array2<f64>,
    peak: &Peak,
) -> Option<[f64; 2]> {
    let (rows, cols) = image.dim();
    let (half_y, half_x) = (kernel.nrows() as i64 / 2, kernel.ncols() as i64 / 2);
    let (row, col) = (peak.row as i64, peak.col as i64);
    let (mut signal, mut noise, mut energy) = (0.0, 0.0, 0.0);
    for ((i, j), weight) in kernel.indexed_iter() {
        let at = |n: i64, limit: usize| usize::try_from(n).ok().filter(|n| *n < limit);
        let Some((r, c)) = at(row + i as i64 - half_y, rows).zip(at(col + j as i64 - half_x, cols)) else {
            continue;
        };
        let (value, variance) = (f64::from(image[[r, c]]), f64::from(variance[[r, c]]));
        if value.is_finite() && variance.is_finite() {
            signal += weight * value;
            noise += weight * weight * variance;
            energy += weight * weight;
        }
    }
    (energy > 0.0).then(|| [signal / energy, noise.max(0.0).sqrt() / energy])
}

#[cfg(test)]
mod tests {
    use dcr_image::Psf;
    use ndarray::{Array3, s};

    use super::*;

    /// Fluxes of stars that lie on pixels: noise of 0.3 % of the faintest.
    const FLUX: f64 = 0.02;

    /// Three subfilters with stars at these places and fluxes, and a checkerboard for noise.
    fn coadds(stars: &[((usize, usize), [f32; 3])]) -> (CoaddPlanes, Stamp) {
        let psf = Psf::Gaussian { fwhm_px: 3.0 }.stamp_at(0.0, 0.0).unwrap();
        let shape = (80, 90);
        let noise = |y: usize, x: usize| if (y * 7 + x * 13) % 5 < 2 { 0.6 } else { -0.4 };
        let mut image_byx = Array3::from_shape_fn((3, shape.0, shape.1), |(_, y, x)| noise(y, x));
        let stamp = psf.pixels().mapv(|value| value as f32);
        let half = stamp.nrows() / 2;
        for ((y, x), fluxes) in stars {
            for (b, flux) in fluxes.iter().enumerate() {
                let mut around = image_byx.slice_mut(s![b, y - half..y + half + 1, x - half..x + half + 1]);
                around.scaled_add(*flux, &stamp);
            }
        }
        let planes = CoaddPlanes {
            sum: image_byx.sum_axis(Axis(0)),
            variance_byx: Array3::from_elem(image_byx.dim(), 0.24),
            image_byx,
            n_image: None,
            sources: Array2::from_elem(shape, false),
        };
        (planes, psf)
    }

    #[test]
    fn stars_have_the_fluxes_of_their_subfilters() {
        let (planes, psf) = coadds(&[((30, 40), [300.0, 200.0, 100.0]), ((60, 20), [150.0, 160.0, 400.0])]);
        let found = find(&planes, BBox::new(1000, 500, 90, 80), &psf);
        assert_eq!(found.len(), 2);
        let blue = found.iter().find(|star| (star.x - 1040.0).abs() < 0.5).unwrap();
        assert!((blue.y - 530.0).abs() < 0.5);
        for (flux, truth) in blue.fluxes.iter().zip([300.0, 200.0, 100.0]) {
            assert!((flux[0] / truth - 1.0).abs() < FLUX, "{flux:?} {truth}");
            assert!(flux[1] > 0.0 && flux[1] < 0.05 * truth, "{flux:?}");
        }
    }

    #[test]
    fn stars_near_others_or_without_data_are_left_out() {
        let (planes, psf) = coadds(&[((30, 40), [300.0; 3]), ((30, 47), [300.0; 3])]);
        assert_eq!(find(&planes, BBox::new(0, 0, 90, 80), &psf), []);
        let (mut planes, psf) = coadds(&[]);
        assert_eq!(find(&planes, BBox::new(0, 0, 90, 80), &psf), []);
        planes.sum.fill(f32::NAN);
        planes.image_byx.fill(f32::NAN);
        assert_eq!(find(&planes, BBox::new(0, 0, 90, 80), &psf), []);
    }
}
