//! Transfer functions of a visit, one per subfilter, from the fiducial PSF to the visit's own.
//!
//! ```text
//! A_b(k) = Σ_a K_a(k) Σ_{l in a} C_bl exp(−2πi k·d(l))
//! K_a(k) = (Q(k; λ_a) P*(k) + e²) / (|P(k)|² + e²),   |K| ≤ limit
//! ```
//!
//! with displacements `d`, the smooth spectrum's weights `C`, and the transfer functions `P` of the
//! fiducial PSF and `Q` of the visit's, the latter widened to each subfilter's centroid. The `e²`
//! in the numerator brings `K` to 1 where neither PSF passes anything; without it `K` would fall to
//! 0 there, and the model's noise at those modes would rise to its prior.
//!
//! # Window
//!
//! Transfer functions fade to 0 towards the Nyquist frequency. A fractional displacement is a sinc,
//! which draws stripes through the whole tile from every discontinuity at the edge of a mask.
//! Without the last eighth of frequencies it reaches only a few pixels, and a well sampled PSF
//! passes nothing there. The window begins where the fiducial PSF has fallen to 2 %, but not below
//! 0.42 cycles per pixel. The unmodelled part of a star, at its peak, is 0.05 % at a FWHM of 3 px,
//! 0.4 % from 2 to 2.5 px, and 0.8 % and 1.5 % at 1.8 and 1.6 px, where the window is narrow and
//! the data are undersampled.

use rustfft::num_complex::{Complex32, Complex64};

use crate::joint::config::JointConfig;
use crate::joint::fourier::frequencies::{Frequencies, phases};
use crate::joint::problem::psf::{PsfStamp, transform};
use crate::joint::problem::psf_field::PsfField;
use crate::joint::problem::spectrum::Spectrum;
use crate::kernel::{PixelShift, Region};

/// Lowest frequency at which the window begins, cycles per pixel.
const WINDOW_START: f64 = 0.42;
/// Transfer function of the fiducial PSF at which the window begins.
const WINDOW_LEVEL: f64 = 0.02;

/// Transfer function of the fiducial PSF on a grid, and its window.
pub(crate) struct Fiducial {
    transfer: Vec<Complex64>,
    /// Window along y and along x.
    window: [Vec<f64>; 2],
}

impl Fiducial {
    pub(crate) fn new(psf: &PsfStamp, frequencies: &Frequencies) -> Self {
        let start = psf.frequency_at(WINDOW_LEVEL).max(WINDOW_START);
        Self { transfer: psf.transfer(frequencies, 1.0), window: frequencies.windows(start) }
    }

    /// The window at every mode.
    pub(crate) fn window(&self) -> impl Iterator<Item = f64> {
        let [along_y, along_x] = &self.window;
        along_x.iter().flat_map(move |wx| along_y.iter().map(move |wy| wx * wy))
    }

    /// P at every mode.
    pub(crate) fn modes(&self) -> &[Complex64] {
        &self.transfer
    }

    /// |P| at every mode.
    pub(crate) fn amplitude(&self) -> Vec<f32> {
        self.transfer.iter().map(|p| p.norm() as f32).collect()
    }

    /// `K` for a visit's transfer function.
    fn ratio(&self, mut visit: Vec<Complex64>, config: &JointConfig) -> Vec<Complex64> {
        let floor = config.psf_floor * config.psf_floor;
        for (q, p) in visit.iter_mut().zip(&self.transfer) {
            let ratio = (*q * p.conj() + floor) / (p.norm_sqr() + floor);
            let excess = ratio.norm() / config.sharpening_limit;
            *q = if excess > 1.0 { ratio / excess } else { ratio };
        }
        visit
    }
}

/// Transfer functions of a visit at every mode, laid out `kx × subfilter × ky`.
///
/// `psf` is the visit's; `None` is the fiducial PSF itself at all wavelengths. `displacements` has
/// one element per wavelength of the spectrum.
pub(crate) fn visit_transfer(
    frequencies: &Frequencies,
    spectrum: &Spectrum,
    fiducial: &Fiducial,
    psf: Option<&PsfStamp>,
    displacements: &[PixelShift],
    config: &JointConfig,
) -> Vec<Complex32> {
    let (n, ky, kx) = (spectrum.count(), frequencies.y.len(), frequencies.x.len());
    let along_y: Vec<_> = displacements.iter().map(|d| phases(&frequencies.y, d.dy)).collect();
    let along_x: Vec<_> = displacements.iter().map(|d| phases(&frequencies.x, d.dx)).collect();
    let ratio = |psf: &PsfStamp, stretch: f64| fiducial.ratio(psf.transfer(frequencies, stretch), config);
    let ratios: Vec<Vec<Complex64>> = match psf {
        None => vec![vec![Complex64::ONE; kx * ky]],
        Some(psf) if config.seeing_exponent == 0.0 => vec![ratio(psf, 1.0)],
        Some(psf) => (0..n).map(|a| ratio(psf, spectrum.widening(a, config.seeing_exponent))).collect(),
    };
    let star = psf.is_some_and(|psf| config.psf_includes_dcr.holds_for(psf));
    let smearing = star.then(|| MeanStar::new(frequencies, spectrum, displacements));
    let [window_y, window_x] = &fiducial.window;
    let mut out = vec![Complex32::default(); kx * n * ky];
    let mut sums = vec![Complex64::default(); n * ky];
    let mut one_subfilter = vec![Complex64::default(); n * ky];
    for (ix, out) in out.chunks_exact_mut(n * ky).enumerate() {
        sums.fill(Complex64::default());
        for a in 0..n {
            one_subfilter.fill(Complex64::default());
            for l in (0..displacements.len()).filter(|l| spectrum.subfilters()[*l] == a) {
                for (b, sum) in one_subfilter.chunks_exact_mut(ky).enumerate() {
                    add_wave(sum, along_x[l][ix] * spectrum.weight_al()[[b, l]], &along_y[l]);
                }
            }
            let ratio = &ratios[if ratios.len() == 1 { 0 } else { a }][ix * ky..][..ky];
            for (sum, part) in sums.chunks_exact_mut(ky).zip(one_subfilter.chunks_exact(ky)) {
                sum.iter_mut().zip(part).zip(ratio).for_each(|((sum, part), ratio)| *sum += part * ratio);
            }
        }
        if let Some(star) = &smearing {
            let undone = star.undone(&along_x, ix, &along_y, config.psf_floor);
            for sum in sums.chunks_exact_mut(ky) {
                sum.iter_mut().zip(&undone).for_each(|(sum, undone)| *sum *= undone);
            }
        }
        for (out, sum) in out.chunks_exact_mut(ky).zip(sums.chunks_exact(ky)) {
            for ((out, sum), window) in out.iter_mut().zip(sum).zip(window_y) {
                let value = sum * (window * window_x[ix]);
                *out = Complex32::new(value.re as f32, value.im as f32);
            }
        }
    }
    out
}

/// Variation of a visit's PSF over a tile.
#[derive(Default)]
pub(crate) struct PsfVariation {
    /// Transfer functions of the components relative to the mean's
    /// ([`variation_ratios`]).
    pub(crate) ratios: Vec<Vec<Complex32>>,
    /// The PSF, with the weights of its components, and the tile's pixels in the patch.
    pub(crate) place: Option<(PsfField, Region)>,
}

/// Transfer functions of a PSF's components relative to that of its mean, laid out `kx × ky` each:
///
/// ```text
/// R_r(k) = B_r(k) P*(k) / (Q(k) P*(k) + e²)
/// ```
pub(crate) fn variation_ratios(
    frequencies: &Frequencies,
    fiducial: &Fiducial,
    psf: &PsfField,
    config: &JointConfig,
) -> Vec<Vec<Complex32>> {
    if psf.components() == 0 {
        return vec![];
    }
    let (floor, mean) = (config.psf_floor * config.psf_floor, psf.mean().transfer(frequencies, 1.0));
    let ratios = psf.stamps().iter().map(|stamp| {
        let centre = ((stamp.nrows() / 2) as f64, (stamp.ncols() / 2) as f64);
        let component = transform(stamp, centre, frequencies, 1.0);
        let modes = component.iter().zip(&mean).zip(&fiducial.transfer);
        let ratio = |((b, q), p): ((&Complex64, &Complex64), &Complex64)| {
            let value = b * p.conj() / (q * p.conj() + floor);
            Complex32::new(value.re as f32, value.im as f32)
        };
        modes.map(ratio).collect()
    });
    ratios.collect()
}

/// Support radius of one model pixel in any visit, px, for the largest displacement along an axis
/// and the FWHM of the PSF.
pub(crate) fn support_radius(furthest: f64, fwhm_px: f64) -> usize {
    (furthest + 2.0 * fwhm_px).ceil() as usize
}

/// Displaces a visit's prediction by a further `offset`: one more phase for every subfilter.
pub(crate) fn displace(transfer: &mut [Complex32], frequencies: &Frequencies, n: usize, offset: PixelShift) {
    let [along_y, along_x] = frequencies.phases(offset.dy, offset.dx);
    let ky = along_y.len();
    for (px, rows) in along_x.iter().zip(transfer.chunks_exact_mut(n * ky)) {
        for row in rows.chunks_exact_mut(ky) {
            for (value, py) in row.iter_mut().zip(&along_y) {
                let factor = px * py;
                *value *= Complex32::new(factor.re as f32, factor.im as f32);
            }
        }
    }
}

/// Smearing by refraction of a star of flat spectrum about its centroid: part of a stamp that was
/// measured on such stars.
struct MeanStar<'a> {
    shares: &'a [f64],
    centroid: [Vec<Complex64>; 2],
}

impl<'a> MeanStar<'a> {
    fn new(frequencies: &Frequencies, spectrum: &'a Spectrum, displacements: &[PixelShift]) -> Self {
        let shares = spectrum.shares();
        let mean = |of: fn(&PixelShift) -> f64| {
            displacements.iter().zip(shares).map(|(d, s)| of(d) * s).sum::<f64>()
        };
        Self { shares, centroid: frequencies.phases(mean(|d| d.dy), mean(|d| d.dx)) }
    }

    /// Inverse of the smearing, for all `ky` of one `kx`.
    fn undone(
        &self,
        along_x: &[Vec<Complex64>],
        ix: usize,
        along_y: &[Vec<Complex64>],
        floor: f64,
    ) -> Vec<Complex64> {
        let mut smearing = vec![Complex64::default(); self.centroid[0].len()];
        for ((share, along_x), along_y) in self.shares.iter().zip(along_x).zip(along_y) {
            add_wave(&mut smearing, along_x[ix] * *share, along_y);
        }
        smearing
            .iter()
            .zip(&self.centroid[0])
            .map(|(s, cy)| (s * (cy * self.centroid[1][ix]).conj()).conj() / (s.norm_sqr() + floor * floor))
            .collect()
    }
}

/// `sum += factor·wave`.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
fn add_wave(sum: &mut [Complex64], factor: Complex64, wave: &[Complex64]) {
    let n = sum.len();
    let wave = &wave[..n];
    for k in 0..n {
        sum[k].re += factor.re * wave[k].re - factor.im * wave[k].im;
        sum[k].im += factor.re * wave[k].im + factor.im * wave[k].re;
    }
}
