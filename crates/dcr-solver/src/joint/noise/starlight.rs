//! Shot noise of sources in subfilters, in addition to the noise of the sky.
//!
//! With the solution in a disc of [`super::stars`], a pixel of a plane is `Σ_i Σ_q R_i(q) s_i(q)`
//! of the visits' pixels, with
//!
//! ```text
//! R_i(q) = f_a k_i(p − q) + Σ_j Σ_p' x_j(p') τ(p') g_ij(p' − q),    x = K⁻¹ w
//! ```
//!
//! and its variance is `Σ_i Σ_q R_i(q)² (sky + light)`. A smooth average of the light around the
//! pixel would be wrong: the middle subfilter has two thirds of it at the core of a bright star,
//! and a tenth more on the flanks. Visits are summed over representatives
//! ([`super::coarse::Representative`]).

use ndarray::{Array2, ArrayView2, s};

use super::kernels::{MARGIN, NoiseKernels, VisitKernels};
use crate::kernel::Region;

/// Pixels of planes processed together.
pub(crate) const TOGETHER: usize = 16;
/// Neighbouring pixels processed together.
const NEIGHBOURS: usize = MARGIN as usize + 1;

/// The visits' pixels around a disc.
pub(crate) struct StarLight<'a> {
    kernels: &'a NoiseKernels,
    region: Region,
    /// Variance of the light, visit by visit.
    light: Vec<ArrayView2<'a, f32>>,
    runs: Vec<Run>,
    /// Pixels of the disc.
    pixels: usize,
}

/// Adjacent pixels of a disc in a row.
struct Run {
    y: isize,
    x: isize,
    /// Index of the first pixel in the disc.
    first: usize,
    length: usize,
}

impl<'a> StarLight<'a> {
    /// Pixels around `places` (ordered by row) in a patch; the light is that of
    /// [`NoiseKernels::light`].
    pub(crate) fn around(
        kernels: &'a NoiseKernels,
        places: &[(isize, isize)],
        light_yx: &'a [Array2<f32>],
    ) -> Self {
        let (rows, cols) = light_yx.first().map_or((0, 0), Array2::dim);
        let around = |of: fn(&(isize, isize)) -> isize, n: usize| {
            let least = places.iter().map(of).min().unwrap_or(0) - kernels.reach;
            let most = places.iter().map(of).max().unwrap_or(-1) + kernels.reach;
            least.max(0) as usize..n.min((most + 1).max(0) as usize)
        };
        let region = Region { rows: around(|p| p.0, rows), cols: around(|p| p.1, cols) };
        let light =
            light_yx.iter().map(|light| light.slice(s![region.rows.clone(), region.cols.clone()])).collect();
        Self { kernels, region, light, runs: runs(places), pixels: places.len() }
    }

    /// Variance of pixels of planes relative to that from the sky alone, less 1.
    ///
    /// `asked` has each pixel with its plane's fraction, and `x` its `τ x`, component by component.
    pub(crate) fn excess(&self, asked: &[((isize, isize), f64)], x: &[[f32; TOGETHER]]) -> [f64; TOGETHER] {
        let (mut of_light, mut of_sky) = ([0.0_f64; TOGETHER], [0.0_f64; TOGETHER]);
        for (visit, light) in self.kernels.of_visits.iter().zip(&self.light) {
            for (y, light) in self.region.rows.clone().zip(light.outer_iter()) {
                let squares = self.squares(visit, y as isize, asked, x, light.to_slice().unwrap_or(&[]));
                for lane in 0..TOGETHER {
                    of_light[lane] += f64::from(squares[0][lane]);
                    of_sky[lane] += f64::from(squares[1][lane] * visit.sky);
                }
            }
        }
        std::array::from_fn(|lane| if of_sky[lane] > 0.0 { of_light[lane] / of_sky[lane] } else { 0.0 })
    }

    /// Sums of `R²`, with and without the light, over a row of a visit.
    fn squares(
        &self,
        visit: &VisitKernels,
        y: isize,
        asked: &[((isize, isize), f64)],
        x: &[[f32; TOGETHER]],
        light: &[f32],
    ) -> [[f32; TOGETHER]; 2] {
        let reach = self.kernels.reach;
        let runs = self.runs.iter().filter(|run| (run.y - y).abs() <= reach);
        let of_components: Vec<Piece> = visit
            .components
            .iter()
            .zip(x.chunks_exact(self.pixels))
            .flat_map(|(kernel, x)| runs.clone().map(move |run| Piece::new(kernel, reach, run, y, x)))
            .collect();
        let direct: Vec<(&[f32], isize, f32)> = asked
            .iter()
            .map(|((py, px), fraction)| {
                let far = (py - y).abs() > reach;
                (if far { &[] } else { row(&visit.flux, reach, py - y) }, *px, *fraction as f32)
            })
            .collect();
        squares_of_row(self.region.cols.start as isize, reach, &of_components, &direct, light)
    }

    /// Variance of a pixel of the summed flux relative to that from the sky alone, less 1.
    pub(crate) fn of_flux(&self, (py, px): (isize, isize)) -> f32 {
        let (reach, start) = (self.kernels.reach, self.region.cols.start as isize);
        let (mut of_light, mut of_sky) = (0.0_f64, 0.0_f64);
        for (visit, light) in self.kernels.of_visits.iter().zip(&self.light) {
            for (y, light) in self.region.rows.clone().zip(light.outer_iter()) {
                let dy = py - y as isize;
                if dy.abs() > reach {
                    continue;
                }
                // Backwards along the kernel: lag px − x at column x.
                let first = start.max(px - reach);
                let kernel =
                    row(&visit.flux, reach, dy)[..(px - first + reach + MARGIN + 1) as usize].iter().rev();
                for (k, light) in kernel.zip(light.iter().skip((first - start) as usize)) {
                    of_light += f64::from(k * k * light);
                    of_sky += f64::from(k * k * visit.sky);
                }
            }
        }
        if of_sky > 0.0 { (of_light / of_sky) as f32 } else { 0.0 }
    }
}

/// A run of the disc's pixels, and the row of a component's kernel between it and a visit's row.
struct Piece<'a> {
    /// Lags from `−reach − MARGIN` to `reach + MARGIN`.
    kernel: &'a [f32],
    first: isize,
    x: &'a [[f32; TOGETHER]],
}

impl<'a> Piece<'a> {
    fn new(kernel: &'a Array2<f32>, reach: isize, run: &Run, y: isize, x: &'a [[f32; TOGETHER]]) -> Self {
        Self { kernel: row(kernel, reach, run.y - y), first: run.x, x: &x[run.first..][..run.length] }
    }
}

/// A row of a visit's kernel.
fn row(kernel: &Array2<f32>, reach: isize, dy: isize) -> &[f32] {
    let side = kernel.ncols();
    &kernel.as_slice().unwrap_or(&[])[(dy + reach + MARGIN) as usize * side..][..side]
}

/// Adds the responses of neighbours to a run of pixels. Local sums at fixed places stay in
/// registers.
#[inline(always)]
fn with_run(
    response: [[f32; TOGETHER]; NEIGHBOURS],
    kernel: &[f32],
    x: &[[f32; TOGETHER]],
) -> [[f32; TOGETHER]; NEIGHBOURS] {
    let mut sums = response;
    let kernel = &kernel[..x.len() + NEIGHBOURS - 1];
    for (i, x) in x.iter().enumerate() {
        for neighbour in 0..NEIGHBOURS {
            let weight = kernel[i + NEIGHBOURS - 1 - neighbour];
            for lane in 0..TOGETHER {
                sums[neighbour][lane] += weight * x[lane];
            }
        }
    }
    sums
}

/// Sums of `R²`, with and without the light, over a visit's row that begins at `start`.
///
/// `direct` has the rows of the flux's kernel, each with its pixel and its plane's fraction.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
fn squares_of_row(
    start: isize,
    reach: isize,
    of_components: &[Piece],
    direct: &[(&[f32], isize, f32)],
    light: &[f32],
) -> [[f32; TOGETHER]; 2] {
    let mut sums = [[0.0; TOGETHER]; 2];
    for (i, light) in light.chunks(NEIGHBOURS).enumerate() {
        let first = start + (i * NEIGHBOURS) as isize;
        let mut response = [[0.0; TOGETHER]; NEIGHBOURS];
        for piece in of_components {
            let from = piece.first.max(first - reach);
            let to = (piece.first + piece.x.len() as isize).min(first + MARGIN + reach + 1);
            if from >= to {
                continue;
            }
            // The lag to the last neighbour is the smallest.
            let kernel =
                &piece.kernel[(from - first + reach) as usize..][..(to - from) as usize + NEIGHBOURS - 1];
            let x = &piece.x[(from - piece.first) as usize..][..(to - from) as usize];
            response = with_run(response, kernel, x);
        }
        for (lane, (kernel, px, fraction)) in direct.iter().enumerate() {
            let lag = px - first + reach;
            if (0..=2 * reach + MARGIN).contains(&lag) && !kernel.is_empty() {
                for neighbour in 0..NEIGHBOURS {
                    response[neighbour][lane] += fraction * kernel[lag as usize + NEIGHBOURS - 1 - neighbour];
                }
            }
        }
        for (response, light) in response.iter().zip(light) {
            for lane in 0..TOGETHER {
                let squared = response[lane] * response[lane];
                sums[0][lane] += squared * light;
                sums[1][lane] += squared;
            }
        }
    }
    sums
}

/// Runs of pixels ordered by row.
fn runs(places: &[(isize, isize)]) -> Vec<Run> {
    let mut out: Vec<Run> = vec![];
    for (first, (y, x)) in places.iter().enumerate() {
        match out.last_mut() {
            Some(run) if run.y == *y && run.x + run.length as isize == *x => run.length += 1,
            _ => out.push(Run { y: *y, x: *x, first, length: 1 }),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::joint::JointConfig;
    use crate::joint::fixtures::fine_band;
    use crate::joint::noise::coarse::tests::{coarse, visits};

    /// Pixels of a disc in the middle of a patch of 64 × 64.
    fn places() -> Vec<(isize, isize)> {
        let all = (28..=36).flat_map(|y| (28..=36).map(move |x| (y, x)));
        all.filter(|(y, x): &(isize, isize)| (y - 32).pow(2) + (x - 32).pow(2) <= 16).collect()
    }

    fn kernels() -> NoiseKernels {
        let visits = visits(&[(2.0, 1.0), (-1.5, 2.0), (0.3, 1.0)]);
        NoiseKernels::new(&coarse(&visits, (64, 64)), &fine_band(), 0.6, &JointConfig::default())
    }

    /// Test values of `τ x`.
    fn weights(pixels: usize) -> Vec<[f32; TOGETHER]> {
        (0..2 * pixels)
            .map(|i| std::array::from_fn(|lane| ((i * 31 + lane * 17) % 23) as f32 - 11.0))
            .collect()
    }

    #[test]
    fn light_that_is_the_same_everywhere_adds_its_share_to_all() {
        let kernels = kernels();
        // Half of the light adds to each of the sky variances 1, 2 and 1.
        let flux_yx = Array2::from_elem((64, 64), 4.0_f32);
        let places = places();
        let light_yx = kernels.light(flux_yx.view());
        let light = StarLight::around(&kernels, &places, &light_yx);
        let least = 2.0 / 2.0 * 0.97;
        for excess in light.excess(&[((32, 32), 0.33), ((30, 31), 0.0)], &weights(places.len())) {
            assert!(excess > least && excess < 2.0 * 1.03, "{excess}");
        }
        assert_eq!(light.of_flux((32, 32)), light.of_flux((33, 31)));
    }

    #[test]
    fn light_counts_as_each_response_sees_it() {
        let kernels = kernels();
        let flux_yx = Array2::from_shape_fn((64, 64), |(y, x)| {
            200.0 * (-0.2 * ((y as f32 - 31.0).powi(2) + (x as f32 - 33.0).powi(2))).exp()
        });
        let (places, reach) = (places(), kernels.reach);
        let light_yx = kernels.light(flux_yx.view());
        let light = StarLight::around(&kernels, &places, &light_yx);
        let x = weights(places.len());
        let asked = [((32, 32), 0.33), ((29, 33), 0.4)];
        let found = light.excess(&asked, &x);
        let lag = |kernel: &Array2<f32>, dy: isize, dx: isize| match dy.abs().max(dx.abs()) <= reach {
            true => f64::from(kernel[[(dy + reach + MARGIN) as usize, (dx + reach + MARGIN) as usize]]),
            false => 0.0,
        };
        for lane in 0..TOGETHER {
            let (mut of_light, mut of_sky) = (0.0, 0.0);
            for (visit, light) in kernels.of_visits.iter().zip(&light.light) {
                for ((y, col), light) in light.indexed_iter() {
                    let (qy, qx) = (y as isize + 28 - reach, col as isize + 28 - reach);
                    let mut response = 0.0;
                    for (j, kernel) in visit.components.iter().enumerate() {
                        for (p, (py, px)) in places.iter().enumerate() {
                            response +=
                                lag(kernel, py - qy, px - qx) * f64::from(x[j * places.len() + p][lane]);
                        }
                    }
                    if let Some(((py, px), fraction)) = asked.get(lane) {
                        response += fraction * lag(&visit.flux, py - qy, px - qx);
                    }
                    of_light += response * response * f64::from(*light);
                    of_sky += response * response * f64::from(visit.sky);
                }
            }
            let expected = of_light / of_sky;
            assert!((found[lane] / expected - 1.0).abs() < 1e-4, "{lane}: {} {expected}", found[lane]);
        }
        // No light is lost.
        let seen: f32 = kernels.of_visits[1].observed.sum();
        assert!((seen - 1.0).abs() < 1e-3, "{seen}");
    }
}
