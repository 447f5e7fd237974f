//! Validation and centring of PSF stamps from files.
//!
//! # Definition of the centre
//!
//! The WCS gives the position of a star, and is fitted to centroids weighted with the core
//! (SExtractor's XWIN_IMAGE, similarly X_IMAGE and fitted positions). The centre of a PSF is
//! therefore the centre of its adaptive moments, for every stamp: noise at the edge and one-sided
//! wings do not affect it. A stamp centred more than [`CENTRED_PX`] off its middle is shifted by
//! Fourier interpolation, which conserves the sum. Stamps with even sides get odd ones.
//!
//! # Errors and warnings
//!
//! A stamp without a peak is an error: flat, pure noise, half negative, or with its light in a
//! corner. Shifts above [`WARN_PX`], negative light, and light on the border cause warnings.

use std::f64::consts::PI;

use ndarray::{Array2, ArrayView2, s};

use super::{Moments, Stamp, StampError};

/// Maximum offset in pixels of a stamp that is used unchanged: models of real exposures are this
/// close, and ten times as much does not change a coadd.
pub(super) const CENTRED_PX: f64 = 0.02;
/// Shift in pixels above which to warn.
const WARN_PX: f64 = 0.1;
/// Distance from the middle, as a share of the side, beyond which light is in a corner.
const FURTHEST: f64 = 0.25;
/// Share of negative light, in the sum of absolute values, above which to warn.
const MUCH_NEGATIVE: f64 = 0.1;
/// Share of negative light above which a stamp is noise; pure noise has one half.
const NOISE_NEGATIVE: f64 = 0.4;
/// Ratio of border to peak above which to warn.
const BRIGHT_BORDER: f64 = 0.05;
/// Ratio of border to peak above which a stamp is flat.
const FLAT_BORDER: f64 = 0.5;
/// Minimum height of the peak above the border, in standard deviations of the border. The highest
/// mean of 3 × 3 pixels of pure noise reaches 1.5 to 2.
const LEAST_PEAK: f64 = 5.0;
/// Minimum side for which the border represents the background.
const LEAST_SIDE: usize = 7;
/// Deviation of the sum from 1 that causes a note.
const OTHER_SUM: f64 = 0.05;
/// Standard deviation over median absolute difference of neighbours, for Gaussian noise.
const SIGMA_PER_DIFFERENCE: f64 = 1.482_602 / std::f64::consts::SQRT_2;
/// Maximum number of centring iterations.
const REPETITIONS: usize = 4;

/// A position relative to the middle pixel, in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Offset {
    pub(super) dx: f64,
    pub(super) dy: f64,
}

/// A note about a PSF.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Finding {
    pub(super) text: String,
    pub(super) warning: bool,
}

impl Offset {
    /// Position of the centre of light; `None` if it cannot be measured.
    pub(super) fn of(stamp: &Stamp) -> Option<Self> {
        let (rows, cols) = stamp.pixels().dim();
        let moments = stamp.moments().ok()?;
        Some(Self { dx: moments.x - (cols / 2) as f64, dy: moments.y - (rows / 2) as f64 })
    }

    pub(super) fn length(self) -> f64 {
        self.dx.hypot(self.dy)
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self { dx: self.dx + other.dx, dy: self.dy + other.dy }
    }

    /// The offset, unless it is in a corner of a stamp of this shape.
    ///
    /// # Errors
    ///
    /// [`StampError::OffMiddle`] for an offset in a corner.
    pub(super) fn checked(self, (rows, cols): (usize, usize)) -> Result<Self, StampError> {
        let far = |offset: f64, side: usize| offset.abs() > (FURTHEST * side as f64).max(1.0);
        if far(self.dx, cols) || far(self.dy, rows) {
            return Err(StampError::OffMiddle { dx: self.dx, dy: self.dy, width: cols, height: rows });
        }
        Ok(self)
    }

    /// Note on the offset, if it is large.
    pub(super) fn finding(self) -> Option<Finding> {
        (self.length() > CENTRED_PX).then(|| Finding {
            text: format!(
                "The PSF was centred ({:+.2}, {:+.2}) px off the middle of its stamp; it is shifted to the \
                 middle, the position of a star in the WCS.",
                self.dx, self.dy
            ),
            warning: self.length() > WARN_PX,
        })
    }
}

/// A stamp from a file: validated, odd-sided, centred on its middle pixel and of sum 1.
///
/// # Errors
///
/// [`StampError`] for an empty stamp, pixels that are not finite, a nonpositive sum, a missing
/// peak, or light in a corner.
pub(super) fn stamp_from_file(pixels: Array2<f64>) -> Result<(Stamp, Vec<Finding>), StampError> {
    let sum = checked_sum(pixels.view())?;
    let mut findings = peak_findings(pixels.view())?;
    if (sum - 1.0).abs() > OTHER_SUM {
        let text = format!("The pixels of the PSF stamp add up to {sum:.4}; they are normalised to 1.");
        findings.push(Finding { text, warning: false });
    }
    let (rows, cols) = pixels.dim();
    let place = centre(pixels.view());
    if rows % 2 == 1 && cols % 2 == 1 {
        let off = Offset { dx: place.dx - (cols / 2) as f64, dy: place.dy - (rows / 2) as f64 };
        off.checked((rows, cols))?;
        if off.length() <= CENTRED_PX {
            return Ok((Stamp::new(pixels)?, findings));
        }
        findings.extend(off.finding());
    } else {
        // For an even side two conventions exist: the boundary between the two middle pixels, and
        // the second of these.
        let nearest = |at: f64, side: usize| match side % 2 {
            1 => at - (side / 2) as f64,
            _ if at > (side / 2) as f64 - 0.25 => at - (side / 2) as f64,
            _ => at - (side / 2) as f64 + 0.5,
        };
        let off = Offset { dx: nearest(place.dx, cols), dy: nearest(place.dy, rows) };
        off.checked((rows, cols))?;
        findings.extend(off.finding());
        findings.push(Finding {
            text: format!(
                "The PSF stamp is {cols} × {rows} pixels; it is resampled to odd sides about its centre."
            ),
            warning: false,
        });
    }
    Ok((centred(&pixels, place)?, findings))
}

/// The sum of the pixels, if they can be a PSF.
fn checked_sum(pixels: ArrayView2<'_, f64>) -> Result<f64, StampError> {
    let (height, width) = pixels.dim();
    if pixels.is_empty() {
        return Err(StampError::Size { width, height });
    }
    let count = pixels.iter().filter(|value| !value.is_finite()).count();
    if count > 0 {
        return Err(StampError::NotFinite { count });
    }
    let sum = pixels.sum();
    if sum > 0.0 && sum.is_finite() { Ok(sum) } else { Err(StampError::Sum { sum }) }
}

/// Verifies that a stamp of positive sum has a peak, and notes anomalies.
pub(super) fn peak_findings(pixels: ArrayView2<'_, f64>) -> Result<Vec<Finding>, StampError> {
    let mut findings = vec![];
    let mut told = |text: String| findings.push(Finding { text, warning: true });
    let absolute: f64 = pixels.iter().map(|value| value.abs()).sum();
    let negative = pixels.iter().filter(|value| **value < 0.0).map(|value| -value).sum::<f64>() / absolute;
    if negative > NOISE_NEGATIVE {
        return Err(StampError::NoPeak {
            reason: format!("{:.0} % of its light, in absolute value, is negative", 100.0 * negative),
        });
    }
    if negative > MUCH_NEGATIVE {
        told(format!(
            "The PSF stamp has {:.0} % negative light (in absolute value): its background may be \
             wrong.",
            100.0 * negative
        ));
    }
    let (rows, cols) = pixels.dim();
    if rows.min(cols) < LEAST_SIDE {
        let first = pixels.iter().next().copied().unwrap_or(0.0);
        if rows.max(cols) > 1 && pixels.iter().all(|value| *value == first) {
            return Err(StampError::NoPeak { reason: "all of its pixels are equal".to_owned() });
        }
        return Ok(findings);
    }
    let mut border = border(pixels);
    let mut steps: Vec<f64> = border.windows(2).map(|pair| (pair[1] - pair[0]).abs()).collect();
    let (level, noise) = (median(&mut border), SIGMA_PER_DIFFERENCE * median(&mut steps));
    let peak = pixels.windows((3, 3)).into_iter().map(|window| window.mean().unwrap_or(0.0));
    let peak = peak.fold(f64::NEG_INFINITY, f64::max);
    if level >= FLAT_BORDER * peak {
        return Err(StampError::NoPeak {
            reason: format!("its border is at {:.0} % of its brightest 3 × 3 pixels", 100.0 * level / peak),
        });
    }
    if peak - level < LEAST_PEAK * noise {
        return Err(StampError::NoPeak {
            reason: format!(
                "its brightest 3 × 3 pixels are {:.1} standard deviations of the noise above its border, and \
                 {LEAST_PEAK} are needed",
                (peak - level) / noise
            ),
        });
    }
    if level > BRIGHT_BORDER * peak {
        told(format!(
            "The border of the PSF stamp is at {:.0} % of its peak: the stamp is too small, or has a background.",
            100.0 * level / peak
        ));
    }
    Ok(findings)
}

/// The outermost pixels, in order around the stamp.
fn border(pixels: ArrayView2<'_, f64>) -> Vec<f64> {
    let (rows, cols) = pixels.dim();
    let top = pixels.row(0).iter().copied().collect::<Vec<_>>().into_iter();
    let right = pixels.slice(s![1.., cols - 1]).to_vec().into_iter();
    let bottom = pixels.slice(s![rows - 1, ..cols - 1]).to_vec().into_iter().rev();
    let left = pixels.slice(s![1..rows - 1, 0]).to_vec().into_iter().rev();
    top.chain(right).chain(bottom).chain(left).collect()
}

fn median(values: &mut [f64]) -> f64 {
    let middle = values.len() / 2;
    if values.is_empty() { 0.0 } else { *values.select_nth_unstable_by(middle, f64::total_cmp).1 }
}

/// Position of the light from the first pixel: centre of the adaptive moments about the brightest
/// pixel, or that pixel.
fn centre(pixels: ArrayView2<'_, f64>) -> Offset {
    let brightest = pixels.indexed_iter().max_by(|a, b| a.1.total_cmp(b.1)).map_or((0, 0), |(at, _)| at);
    let start = (brightest.1 as f64, brightest.0 as f64);
    match Moments::of(pixels, start) {
        Ok(moments) => Offset { dx: moments.x, dy: moments.y },
        Err(_) => Offset { dx: start.0, dy: start.1 },
    }
}

/// The stamp with odd sides about the position of its light, given from the first pixel.
fn centred(pixels: &Array2<f64>, place: Offset) -> Result<Stamp, StampError> {
    let (rows, cols) = pixels.dim();
    let (middle_x, middle_y) = (place.dx.round(), place.dy.round());
    let half = |middle: f64, side: usize| (middle as usize).max(side - 1 - (middle as usize).min(side - 1));
    let (half_x, half_y) = (half(middle_x, cols), half(middle_y, rows));
    let mut canvas = Array2::zeros((2 * half_y + 1, 2 * half_x + 1));
    let (left, top) = (half_x - middle_x as usize, half_y - middle_y as usize);
    canvas.slice_mut(s![top..top + rows, left..left + cols]).assign(pixels);
    let mut back = Offset { dx: middle_x - place.dx, dy: middle_y - place.dy };
    let mut stamp = Stamp::new(displaced(&canvas, back))?;
    for _ in 0..REPETITIONS {
        let Some(off) = Offset::of(&stamp).filter(|off| off.length() > CENTRED_PX / 10.0) else { break };
        back = Offset { dx: back.dx - off.dx, dy: back.dy - off.dy };
        stamp = Stamp::new(displaced(&canvas, back))?;
    }
    Ok(stamp)
}

/// An image of odd sides shifted by Fourier interpolation: exact for well-sampled images, and
/// conserving the sum.
fn displaced(image: &Array2<f64>, by: Offset) -> Array2<f64> {
    let (rows, cols) = image.dim();
    shift_matrix(rows, by.dy).dot(image).dot(&shift_matrix(cols, by.dx).t())
}

/// The matrix that shifts `side` samples, an odd number, by a fraction: the Dirichlet kernel.
fn shift_matrix(side: usize, by: f64) -> Array2<f64> {
    let n = side as f64;
    Array2::from_shape_fn((side, side), |(to, from)| {
        let t = to as f64 - from as f64 - by;
        let denominator = n * (PI * t / n).sin();
        if denominator.abs() < 1e-12 { 1.0 } else { (PI * t).sin() / denominator }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::psf::{FWHM_PER_SIGMA, Psf};

    /// What is left of a displacement in pixels, and of a width relative to it.
    const LEFT_PX: f64 = 2e-3;
    const WIDTH: f64 = 2e-3;
    /// A displaced Moffat profile against one drawn there, of the peak: its wings end at the
    /// stamp's edge. Measured: 5e-4.
    const SHAPE: f64 = 1e-3;

    fn moffat((rows, cols): (usize, usize), (x, y): (f64, f64), fwhm: f64) -> Array2<f64> {
        let alpha = fwhm / (2.0 * (2.0_f64.powf(1.0 / 3.5) - 1.0).sqrt());
        let steps: Vec<f64> = (0..5).map(|i| (f64::from(i) - 2.0) / 5.0).collect();
        Array2::from_shape_fn((rows, cols), |(row, col)| {
            let at = |dy: f64, dx: f64| {
                let r2 = (col as f64 + dx - x).powi(2) + (row as f64 + dy - y).powi(2);
                (1.0 + r2 / (alpha * alpha)).powf(-3.5)
            };
            steps.iter().flat_map(|dy| steps.iter().map(move |dx| at(*dy, *dx))).sum::<f64>() / 25.0
        })
    }

    /// Noise that is the same everywhere, of standard deviation 1.
    fn noise(shape: (usize, usize), seed: u64) -> Array2<f64> {
        let mut state = seed;
        let mut uniform = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        Array2::from_shape_fn(shape, |_| (0..12).map(|_| uniform()).sum::<f64>() - 6.0)
    }

    fn off_middle(stamp: &Stamp) -> f64 {
        Offset::of(stamp).unwrap().length()
    }

    #[test]
    fn stamp_in_the_middle_stays_as_it_is() {
        let pixels = moffat((25, 25), (12.0, 12.0), 3.7);
        let (stamp, findings) = stamp_from_file(&pixels / pixels.sum()).unwrap();
        assert_eq!(stamp, Stamp::new(&pixels / pixels.sum()).unwrap());
        assert_eq!(findings, []);
    }

    #[test]
    fn stamp_off_the_middle_is_centred_and_told_of() {
        let there = Stamp::new(moffat((25, 25), (12.0, 12.0), 3.7)).unwrap();
        let peak = there.pixels()[[12, 12]];
        for (dx, dy, warned) in [(0.5, 0.5, true), (-0.3, 0.0, true), (0.05, -0.04, false), (0.0, 2.0, true)]
        {
            let pixels = moffat((25, 25), (12.0 + dx, 12.0 + dy), 3.7);
            let (stamp, findings) = stamp_from_file(&pixels / pixels.sum()).unwrap();
            assert!(off_middle(&stamp) < LEFT_PX);
            let (h, w) = stamp.pixels().dim();
            let same = stamp.pixels().slice(s![h / 2 - 12..=h / 2 + 12, w / 2 - 12..=w / 2 + 12]);
            let worst = (&same - there.pixels()).iter().fold(0.0_f64, |worst, d| worst.max(d.abs()));
            assert!(worst < SHAPE * peak, "({dx}, {dy}): {:e} of the peak", worst / peak);
            assert_eq!(findings.len(), 1, "{findings:?}");
            assert_eq!(findings[0].warning, warned);
            assert!(findings[0].text.contains(&format!("({dx:+.2}, {dy:+.2}) px")), "{}", findings[0].text);
        }
    }

    #[test]
    fn even_stamps_get_odd_sides_about_their_light() {
        for (x, y, warned) in
            [(15.5, 15.5, false), (16.0, 16.0, false), (16.0, 15.5, false), (16.3, 16.0, true)]
        {
            let pixels = moffat((32, 32), (x, y), 4.0);
            let (stamp, findings) = stamp_from_file(&pixels / pixels.sum()).unwrap();
            assert!(stamp.pixels().dim().0 % 2 == 1 && stamp.pixels().dim().1 % 2 == 1);
            assert!(off_middle(&stamp) < LEFT_PX);
            assert_eq!(findings.iter().any(|finding| finding.warning), warned, "{findings:?}");
            assert!(findings.iter().any(|finding| finding.text.contains("32 × 32")));
        }
    }

    #[test]
    fn asymmetric_and_elongated_stamps_keep_their_core_in_the_middle() {
        // A coma of a tenth of the light to one side: the core is what positions are measured by.
        let mut pixels = moffat((41, 41), (20.0, 20.0), 4.0);
        pixels = &pixels + &(moffat((41, 41), (23.5, 20.0), 5.0) * 0.06);
        let (stamp, _) = stamp_from_file(pixels.clone()).unwrap();
        assert!(off_middle(&stamp) < CENTRED_PX);
        let brightest = stamp.pixels().indexed_iter().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
        let (h, w) = stamp.pixels().dim();
        assert_eq!(brightest, (h / 2, w / 2));
        // Noise of 1 % of the peak moves the centre by less than a twentieth of a pixel.
        let noisy = &pixels + &(noise((41, 41), 3) * (0.01 * pixels[[20, 20]]));
        let before = centre(pixels.view());
        let after = centre(noisy.view());
        assert!((before.dx - after.dx).hypot(before.dy - after.dy) < 0.05);
    }

    #[test]
    fn stamps_without_a_peak_are_refused() {
        let reason = |pixels: Array2<f64>| stamp_from_file(pixels).unwrap_err().to_string();
        assert!(reason(Array2::ones((25, 25))).contains("border is at 100 %"));
        assert!(reason(Array2::ones((24, 25)) + noise((24, 25), 1) * 0.01).contains("border is at"));
        for seed in 1..6 {
            let noise_alone = noise((31, 31), seed);
            // Of positive sum, as any second one is.
            let noise_alone = if noise_alone.sum() > 0.0 { noise_alone } else { -noise_alone };
            assert!(reason(noise_alone.clone()).contains("is negative"));
            assert!(stamp_from_file(&noise_alone + 2.0).is_err());
            assert!(stamp_from_file(noise_alone.mapv(|v| (v * v).min(4.0))).is_err());
        }
        let corner = reason(moffat((25, 25), (2.0, 3.0), 3.7));
        assert!(corner.contains("(-9.9, -9.0) px off its middle"), "{corner}");
        assert!(reason(Array2::zeros((0, 5))).contains("5 × 0 pixels"));
        assert!(reason(Array2::zeros((5, 5))).contains("add up to 0"));
        let mut holed = moffat((25, 25), (12.0, 12.0), 3.7);
        holed[[0, 0]] = f64::NAN;
        assert!(reason(holed).contains("1 pixels of the PSF stamp are not finite"));
    }

    #[test]
    fn odd_things_about_a_stamp_are_told() {
        let texts = |pixels: Array2<f64>| -> Vec<(bool, String)> {
            let findings = stamp_from_file(pixels).unwrap().1;
            findings.into_iter().map(|finding| (finding.warning, finding.text)).collect()
        };
        let star = moffat((25, 25), (12.0, 12.0), 3.7);
        let told = texts(&star - 0.01);
        assert!(told.iter().any(|(warning, text)| *warning && text.contains("% negative light")), "{told:?}");
        let told = texts(&star + 0.1);
        assert!(told.iter().any(|(warning, text)| *warning && text.contains("too small")), "{told:?}");
        let told = texts(&star * 1000.0 / star.sum());
        assert_eq!(told.len(), 1);
        assert!(!told[0].0 && told[0].1.contains("add up to 1000.0"), "{told:?}");
    }

    #[test]
    fn stamps_of_few_pixels_and_narrow_ones_are_centred() {
        let (stamp, _) = stamp_from_file(moffat((5, 5), (2.2, 2.0), 2.0)).unwrap();
        assert!(off_middle(&stamp) < CENTRED_PX);
        let mut one = Array2::zeros((9, 9));
        one[[4, 4]] = 2.0;
        assert_eq!(stamp_from_file(one).unwrap().0.pixels()[[4, 4]], 1.0);
        let round = Psf::Gaussian { fwhm_px: 3.0 }.stamp_at(0.0, 0.0).unwrap();
        let moved = displaced(round.pixels(), Offset { dx: 0.3, dy: -0.2 });
        assert!((moved.sum() - 1.0).abs() < 1e-12);
        let width = Stamp::new(moved).unwrap().fwhm_px().unwrap();
        let expected = FWHM_PER_SIGMA * ((3.0 / FWHM_PER_SIGMA).powi(2) + 1.0 / 12.0).sqrt();
        assert!((width / expected - 1.0).abs() < WIDTH);
    }
}
