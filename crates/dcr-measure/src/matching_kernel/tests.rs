use ndarray::Array2;

use super::*;

/// Residual of a noiseless match, relative to the brightest pixel. Measured: 5.7e-4.
const MATCHED: f64 = 1e-3;
/// The sum of the kernel, relative, without noise. Measured: 1.1e-4.
const SUM: f64 = 3e-4;
/// Tolerance of the flux ratio with stars of S/N 40 to 400. Measured: 1.0e-3.
const SUM_IN_NOISE: f64 = 3e-3;

/// Pixels of the edge that are not compared.
const EDGE: usize = 9;

/// A reproducible sequence of uniform numbers between 0 and 1.
struct Even(u64);

impl Even {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f64 / f64::from(1 << 24)
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.next()).sum::<f64>() - 6.0
    }
}

/// Elliptical Gaussian stars: σ along x and y by place.
fn stars(shape: (usize, usize), count: usize, sigma: impl Fn(f64, f64) -> (f64, f64)) -> Array2<f32> {
    let mut even = Even(3);
    let mut image = Array2::<f32>::zeros(shape);
    for _ in 0..count {
        let (x, y) = (even.next() * shape.1 as f64, even.next() * shape.0 as f64);
        let flux = 2000.0 * 10_f64.powf(even.next());
        let (sx, sy) = sigma(x / shape.1 as f64, y / shape.0 as f64);
        for ((row, col), value) in image.indexed_iter_mut() {
            let (u, v) = ((col as f64 - x) / sx, (row as f64 - y) / sy);
            if u * u + v * v < 60.0 {
                *value += (flux * (-0.5 * (u * u + v * v)).exp() / (std::f64::consts::TAU * sx * sy)) as f32;
            }
        }
    }
    image
}

struct Scene {
    image: Array2<f32>,
    variance: Array2<f32>,
    bad: Array2<bool>,
    fwhm_px: f64,
}

impl Scene {
    fn new(image: Array2<f32>, fwhm_px: f64) -> Self {
        let variance = Array2::ones(image.dim());
        let bad = Array2::from_elem(image.dim(), false);
        Self { image, variance, bad, fwhm_px }
    }

    fn with_noise(mut self, seed: u64) -> Self {
        let mut even = Even(seed);
        self.image.mapv_inplace(|value| value + even.normal() as f32);
        self
    }

    fn frame(&self) -> Frame<'_> {
        Frame { image: &self.image, variance: &self.variance, bad: &self.bad, fwhm_px: self.fwhm_px }
    }
}

fn largest(image: &Array2<f32>) -> f32 {
    image.iter().copied().fold(0.0, f32::max)
}

/// The largest difference in pixels that are not bad, of the peak.
fn difference(convolved: &Convolved, target: &Array2<f32>) -> f64 {
    let (rows, cols) = target.dim();
    let mut worst = 0.0_f32;
    for ((row, col), value) in convolved.image.indexed_iter() {
        // At the edge, light from beyond is missing.
        let inside = (EDGE..rows - EDGE).contains(&row) && (EDGE..cols - EDGE).contains(&col);
        if inside && !convolved.bad[[row, col]] {
            worst = worst.max((value - target[[row, col]]).abs());
        }
    }
    f64::from(worst / largest(target))
}

#[test]
fn known_kernel_is_recovered() {
    let shape = (150, 160);
    let sharp = Scene::new(stars(shape, 40, |_, _| (1.7, 1.7)), 4.0);
    let mut wide = Scene::new(stars(shape, 40, |_, _| (2.4, 2.1)), 5.3);
    // Another flux scale, and a background.
    wide.image.mapv_inplace(|value| 1.3 * value + 5.0);
    let kernel = fit(&sharp.frame(), &wide.frame(), 0, 0).unwrap();
    assert!((kernel.sum() / 1.3 - 1.0).abs() < SUM, "{}", kernel.sum());
    assert!((kernel.background(10, 10) - 5.0).abs() < 1e-2);
    let off = difference(&kernel.apply(&sharp.frame()), &wide.image);
    assert!(off < MATCHED, "{off:e}");
    // The Gaussian between the two.
    let (sx2, sy2) = (2.4_f64.powi(2) - 1.7_f64.powi(2), 2.1_f64.powi(2) - 1.7_f64.powi(2));
    let at = kernel.at(70.0, 70.0);
    let half = at.nrows() / 2;
    let moment = |power: fn(f64, f64) -> f64| {
        let moments = at
            .indexed_iter()
            .map(|((row, col), value)| power(col as f64 - half as f64, row as f64 - half as f64) * value);
        moments.sum::<f64>() / kernel.sum()
    };
    assert!((moment(|x, _| x * x) / sx2 - 1.0).abs() < 0.02, "{}", moment(|x, _| x * x));
    assert!((moment(|_, y| y * y) / sy2 - 1.0).abs() < 0.02, "{}", moment(|_, y| y * y));
    assert!(moment(|x, y| x * y).abs() < 0.02);
}

#[test]
fn kernel_between_like_images_is_a_point() {
    let scene = Scene::new(stars((120, 120), 20, |_, _| (1.8, 1.8)), 4.2);
    let kernel = fit(&scene.frame(), &scene.frame(), 0, 0).unwrap();
    let off = difference(&kernel.apply(&scene.frame()), &scene.image);
    assert!(off < MATCHED && (kernel.sum() - 1.0).abs() < SUM, "{off:e}");
}

#[test]
fn kernel_in_noise_keeps_flux_and_passes_over_what_changed() {
    let shape = (200, 200);
    let sharp = Scene::new(stars(shape, 60, |_, _| (1.7, 1.7)), 4.0).with_noise(7);
    let mut wide = Scene::new(stars(shape, 60, |_, _| (2.3, 2.3)), 5.4).with_noise(8);
    // A transient, and a cosmic ray on a star.
    for ((row, col), value) in wide.image.indexed_iter_mut() {
        let r2 = (row as f32 - 90.0).powi(2) + (col as f32 - 60.0).powi(2);
        *value += 3000.0 * (-r2 / (2.0 * 2.3 * 2.3)).exp();
    }
    let kernel = fit(&sharp.frame(), &wide.frame(), 0, 1).unwrap();
    assert!((kernel.sum() - 1.0).abs() < SUM_IN_NOISE, "{}", kernel.sum());
    assert!(kernel.quality.rejected >= 1 && kernel.quality.chi2 < 2.0, "{:?}", kernel.quality);
    let convolved = kernel.apply(&sharp.frame());
    let (mut sum, mut count) = (0.0, 0.0);
    for ((row, col), value) in convolved.image.indexed_iter() {
        let near = (row as f32 - 90.0).hypot(col as f32 - 60.0) < 25.0;
        if !near && !convolved.bad[[row, col]] {
            let noise = wide.variance[[row, col]] + convolved.variance[[row, col]];
            sum += f64::from((wide.image[[row, col]] - value).powi(2) / noise);
            count += 1.0;
        }
    }
    assert!((0.9..1.15).contains(&(sum / count)), "{}", sum / count);
}

#[test]
fn kernel_that_varies_over_the_field_is_followed() {
    let shape = (260, 250);
    let sharp = Scene::new(stars(shape, 140, |_, _| (1.7, 1.7)), 4.0);
    let wide = Scene::new(stars(shape, 140, |x, y| (2.1 + 0.4 * x, 2.3 - 0.3 * y)), 5.4);
    let off = |order| {
        let kernel = fit(&sharp.frame(), &wide.frame(), order, 0).unwrap();
        assert!((kernel.sum() - 1.0).abs() < 5e-3, "{}", kernel.sum());
        difference(&kernel.apply(&sharp.frame()), &wide.image)
    };
    let (constant, linear, quadratic) = (off(0), off(1), off(2));
    assert!(linear < constant / 5.0 && quadratic < constant / 10.0, "{constant} {linear} {quadratic}");
}

#[test]
fn bad_pixels_of_the_convolved_image_spread_by_their_weight() {
    let mut sharp = Scene::new(stars((120, 120), 25, |_, _| (1.7, 1.7)), 4.0);
    let wide = Scene::new(stars((120, 120), 25, |_, _| (2.3, 2.3)), 5.4);
    let clean = fit(&sharp.frame(), &wide.frame(), 0, 0).unwrap().apply(&sharp.frame());
    sharp.bad[[60, 61]] = true;
    sharp.image[[60, 61]] = f32::NAN;
    let done = fit(&sharp.frame(), &wide.frame(), 0, 0).unwrap().apply(&sharp.frame());
    let mut spread = 0;
    for ((row, col), bad) in done.bad.indexed_iter() {
        let at = [row, col];
        if !clean.bad[at] && *bad {
            spread += 1;
            assert!((row as f64 - 60.0).hypot(col as f64 - 61.0) < 5.0);
        }
        assert!(*bad || done.image[at].is_finite() && done.variance[at] > 0.0);
    }
    assert!(spread > 5, "{spread}");
}

#[test]
fn images_without_stars_are_refused() {
    let empty = Scene::new(Array2::zeros((80, 80)), 4.0).with_noise(5);
    let found = |scene: &Scene| fit(&scene.frame(), &scene.frame(), 0, 0).unwrap_err();
    assert_eq!(found(&empty), MatchError::TooFewSources { found: 0, needed: 3 });
    for side in [0, 1, 5] {
        assert!(matches!(
            found(&Scene::new(Array2::zeros((side, side)), 4.0)),
            MatchError::TooFewSources { found: 0, .. }
        ));
    }
    let mut bad = Scene::new(stars((80, 80), 20, |_, _| (1.7, 1.7)), 4.0);
    bad.bad.fill(true);
    bad.image.fill(f32::NAN);
    assert!(matches!(found(&bad), MatchError::TooFewSources { found: 0, .. }));
}
