//! Kernel between two known PSFs.
//!
//! With the transforms `P` of the given PSF and `Q` of the desired one,
//!
//! ```text
//! K = Q P* / (|P|² + e²)        |K| ≤ 5
//! ```
//!
//! where `e` is the relative amplitude below which a PSF carries no information; such frequencies
//! are suppressed. (The joint solver keeps them unchanged for its own model; here that would leave
//! 2 % of the peak where a PSF is widened.) The kernel sums to 1 but for the truncated outskirts: 1
//! % of its absolute weight, ripples at frequencies that the PSF hardly passes.

use std::f64::consts::TAU;

use dcr_image::Stamp;
use ndarray::{Array2, s};

/// `e`, the amplitude floor relative to frequency 0.
const FLOOR: f64 = 0.003;
/// Largest amplification of a frequency.
const MOST: f64 = 5.0;
/// Half the side of the grid of frequencies at most, in px: stamps are cut to it.
const HALF_SIDE: usize = 32;
/// Share of the absolute weight that may be cut off.
const CUT: f64 = 0.01;

/// PSFs whose transforms differ by no more are one.
const ALIKE: f64 = 1e-3;

/// Kernel from one PSF to another, odd-sided, centred on its middle pixel; a single pixel for equal
/// PSFs.
pub fn kernel_between(from: &Stamp, to: &Stamp) -> Array2<f64> {
    let half = [from, to].map(|stamp| stamp.pixels().nrows().max(stamp.pixels().ncols()) / 2);
    let grid = Frequencies::new(half[0].max(half[1]).min(HALF_SIDE));
    let ((p_re, p_im), (q_re, q_im)) = (grid.transform(from.pixels()), grid.transform(to.pixels()));
    let apart = |p: &Array2<f64>, q: &Array2<f64>| p.iter().zip(q).any(|(p, q)| (p - q).abs() > ALIKE);
    if !apart(&p_re, &q_re) && !apart(&p_im, &q_im) {
        return Array2::ones((1, 1));
    }
    let (mut re, mut im) = (p_re.clone(), p_im.clone());
    for (((re, im), (p_re, p_im)), (q_re, q_im)) in
        re.iter_mut().zip(&mut im).zip(p_re.iter().zip(&p_im)).zip(q_re.iter().zip(&q_im))
    {
        let power = p_re * p_re + p_im * p_im + FLOOR * FLOOR;
        (*re, *im) = ((q_re * p_re + q_im * p_im) / power, (q_im * p_re - q_re * p_im) / power);
        let excess = re.hypot(*im) / MOST;
        if excess > 1.0 {
            (*re, *im) = (*re / excess, *im / excess);
        }
    }
    cut(&grid.back(&re, &im))
}

/// A kernel without its outskirts.
fn cut(kernel: &Array2<f64>) -> Array2<f64> {
    let middle = kernel.nrows() / 2;
    let inner = |half: usize| kernel.slice(s![middle - half..=middle + half, middle - half..=middle + half]);
    let weight = |half: usize| inner(half).iter().map(|w| w.abs()).sum::<f64>();
    let enough = (1.0 - CUT) * weight(middle);
    let half = (0..=middle).find(|half| weight(*half) >= enough).unwrap_or(middle);
    inner(half).to_owned()
}

/// Frequencies of a square of `2 half + 1` px, with tables of cosines and sines, `[frequency,
/// place]`.
struct Frequencies {
    half: usize,
    cos: Array2<f64>,
    sin: Array2<f64>,
}

impl Frequencies {
    fn new(half: usize) -> Self {
        let side = 2 * half + 1;
        let centred = |i: usize| i as f64 - half as f64;
        let angle = |(u, y): (usize, usize)| TAU * centred(u) * centred(y) / side as f64;
        let table = |of: fn(f64) -> f64| Array2::from_shape_fn((side, side), |at| of(angle(at)));
        Self { half, cos: table(f64::cos), sin: table(f64::sin) }
    }

    /// Real and imaginary part of the transform of a stamp about its middle, cropped to the square.
    fn transform(&self, stamp: &Array2<f64>) -> (Array2<f64>, Array2<f64>) {
        let side = 2 * self.half + 1;
        let mut square = Array2::zeros((side, side));
        let (rows, cols) = (stamp.nrows() / 2, stamp.ncols() / 2);
        let (y, x) = (rows.min(self.half), cols.min(self.half));
        square
            .slice_mut(s![self.half - y..=self.half + y, self.half - x..=self.half + x])
            .assign(&stamp.slice(s![rows - y..=rows + y, cols - x..=cols + x]));
        let (c, s) = (self.cos.dot(&square), self.sin.dot(&square));
        (c.dot(&self.cos.t()) - s.dot(&self.sin.t()), -(c.dot(&self.sin.t()) + s.dot(&self.cos.t())))
    }

    /// The image of a transform.
    fn back(&self, re: &Array2<f64>, im: &Array2<f64>) -> Array2<f64> {
        let (c, s) = (self.cos.t(), self.sin.t());
        let (along, across) = (c.dot(re) - s.dot(im), c.dot(im) + s.dot(re));
        (along.dot(&self.cos) - across.dot(&self.sin)) / re.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use dcr_image::Psf;

    use super::*;
    use crate::convolve::correlate;

    fn moffat(fwhm_px: f64) -> Stamp {
        Psf::Moffat { fwhm_px, beta: 4.765 }.stamp_at(0.0, 0.0).unwrap()
    }

    /// Tolerances in units of the peak: 0.002 for a blurring kernel, 0.035 for sharpening by a
    /// fifth.
    #[test]
    fn kernel_makes_one_psf_of_the_other() {
        for (from, to, tolerance) in [(3.2, 5.0, 2e-3), (3.5, 3.5, 2e-3), (4.0, 3.2, 0.035)] {
            let (from, to) = (moffat(from), moffat(to));
            let kernel = kernel_between(&from, &to);
            assert!((kernel.sum() - 1.0).abs() < 4.0 * CUT && kernel.nrows() % 2 == 1, "{}", kernel.sum());
            let mut plane = Array2::<f32>::zeros((81, 81));
            let half = from.pixels().nrows() / 2;
            plane
                .slice_mut(s![40 - half..=40 + half, 40 - half..=40 + half])
                .assign(&from.pixels().mapv(|v| v as f32));
            let got = correlate(plane.view(), kernel.view());
            let middle = to.pixels().nrows() / 2;
            let peak = to.pixels()[[middle, middle]];
            for dy in -12_isize..=12 {
                for dx in -12_isize..=12 {
                    let at = |n: usize, d: isize| n.checked_add_signed(d).unwrap();
                    let difference = f64::from(got[[at(40, dy), at(40, dx)]])
                        - to.pixels()[[at(middle, dy), at(middle, dx)]];
                    assert!(difference.abs() < tolerance * peak, "{dy} {dx} {}", difference / peak);
                }
            }
        }
    }

    #[test]
    fn kernel_between_equal_psfs_is_a_point() {
        let kernel = kernel_between(&moffat(4.0), &moffat(4.0));
        assert_eq!(kernel.dim(), (1, 1));
    }

    #[test]
    fn kernel_from_a_psf_of_one_pixel_is_the_other() {
        let one = Stamp::new(Array2::ones((1, 1))).unwrap();
        let kernel = kernel_between(&one, &moffat(3.0));
        let (k, m) = (kernel.nrows() / 2, moffat(3.0).pixels().nrows() / 2);
        assert!((kernel[[k, k]] / moffat(3.0).pixels()[[m, m]] - 1.0).abs() < 3.0 * CUT);
    }
}
