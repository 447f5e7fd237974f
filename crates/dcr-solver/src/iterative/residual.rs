//! Data minus prediction, row by row, and its part of the metric.

use multiversion::multiversion;

use crate::observation::GOOD;

/// Partial sums, which make additions independent of each other; they are added in order.
const LANES: usize = 16;

/// Pixels summed in `f32` before they are added in `f64`: at most 16 values of one sign in each
/// partial sum.
const RUN: usize = 16 * LANES;

/// A row of a visit.
pub(crate) struct Row<'a> {
    /// The visit's pixels.
    pub(crate) image: &'a [f32],
    /// Flags of the pixels.
    pub(crate) flags: &'a [u8],
    /// Weight of each pixel in the metric.
    pub(crate) weight: &'a [f32],
    /// Flags, in addition to [`GOOD`], of a pixel that counts in the metric.
    pub(crate) counted: u8,
}

/// Turns a row of the prediction `t` into the residual `s − t`, 0 where the pixel is not usable or
/// the result not finite. Returns `Σ |s − t|·w` and `Σ |s + t|·w/2`, the parts of the metric
/// (docs/algorithm.md §7.2).
pub(crate) fn compare(row: &Row, template: &mut [f32]) -> [f64; 2] {
    let n = template.len();
    assert!(row.image.len() == n && row.flags.len() == n && row.weight.len() == n, "rows of one length");
    compare_lanes(row.image, row.flags, row.weight, GOOD | row.counted, template)
}

#[multiversion(targets("x86_64+avx2"))]
fn compare_lanes(image: &[f32], flags: &[u8], weight: &[f32], counted: u8, template: &mut [f32]) -> [f64; 2] {
    let mut total = [0.0_f64; 2];
    let runs = image.chunks(RUN).zip(flags.chunks(RUN)).zip(weight.chunks(RUN));
    for (template, ((image, flags), weight)) in template.chunks_mut(RUN).zip(runs) {
        let mut differences = [0.0_f32; LANES];
        let mut sums = [0.0_f32; LANES];
        let chunks = template.chunks_exact_mut(LANES);
        let whole = chunks.len() * LANES;
        let others = image.chunks_exact(LANES).zip(flags.chunks_exact(LANES)).zip(weight.chunks_exact(LANES));
        for (t, ((s, f), w)) in chunks.zip(others) {
            for lane in 0..LANES {
                let (residual, difference, sum) = one(s[lane], f[lane], w[lane], counted, t[lane]);
                t[lane] = residual;
                differences[lane] += difference;
                sums[lane] += sum;
            }
        }
        for (lane, i) in (whole..template.len()).enumerate() {
            let (residual, difference, sum) = one(image[i], flags[i], weight[i], counted, template[i]);
            template[i] = residual;
            differences[lane] += difference;
            sums[lane] += sum;
        }
        total[0] += differences.iter().map(|d| f64::from(*d)).sum::<f64>();
        total[1] += sums.iter().map(|s| f64::from(*s)).sum::<f64>();
    }
    total
}

/// Residual and parts of the metric of a pixel, without branches, for whole vectors of pixels.
#[inline(always)]
fn one(s: f32, flags: u8, w: f32, counted: u8, t: f32) -> (f32, f32, f32) {
    let residual = s - t;
    let usable = (flags & GOOD != 0) & (residual.abs() < f32::INFINITY);
    let residual = if usable { residual } else { 0.0 };
    let sum = if usable { (s + t).abs() } else { 0.0 };
    let w = if flags & counted == counted { w } else { 0.0 };
    (residual, residual.abs() * w, sum * w * 0.5)
}

/// Turns a row of the prediction into the residual, without the metric.
#[multiversion(targets("x86_64+avx2"))]
pub(crate) fn subtract(image: &[f32], flags: &[u8], template: &mut [f32]) {
    for ((t, s), f) in template.iter_mut().zip(image).zip(flags) {
        let residual = s - *t;
        let usable = (f & GOOD != 0) & (residual.abs() < f32::INFINITY);
        *t = if usable { residual } else { 0.0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compare_takes_usable_pixels_only() {
        for n in [1, 7, 8, 19] {
            let mut image = vec![5.0; n];
            let mut flags = vec![GOOD; n];
            let mut template = vec![2.0; n];
            flags[0] = 0;
            if n > 3 {
                image[1] = f32::NAN;
                template[2] = f32::INFINITY;
            }
            let row = Row { image: &image, flags: &flags, weight: &vec![2.0; n], counted: 0 };
            let sums = compare(&row, &mut template);
            let used = (n - if n > 3 { 3 } else { 1 }) as f64;
            assert_eq!(sums, [used * 6.0, used * 7.0]);
            assert_eq!(template.iter().filter(|r| **r == 3.0).count() as f64, used);
            assert!(template.iter().all(|r| *r == 3.0 || *r == 0.0));
        }
    }

    #[test]
    fn compare_counts_pixels_with_the_flags_asked_for() {
        let flags = [GOOD, GOOD | 2, 2, GOOD | 2];
        let row = Row { image: &[1.0; 4], flags: &flags, weight: &[1.0; 4], counted: 2 };
        let mut template = [0.0; 4];
        assert_eq!(compare(&row, &mut template), [2.0, 1.0]);
        assert_eq!(template, [1.0, 1.0, 0.0, 1.0]);
    }
}
