//! Identifiability of colours: Fisher information of the visits' refraction, PSFs and noise,
//! whatever the sky.
//!
//! Visit `i` observes a point source of flat spectrum and unknown position through the columns `G =
//! P (A_i1 … A_iN, −2πi k_y f·A_i, −2πi k_x f·A_i)`. All visits together have the information `F =
//! Σ_i w_i Σ_k Re G* Gᵀ`, scaled such that the summed flux has S/N 100. With `g` the derivative of
//! the colour between the bluest and the reddest subfilter, in magnitudes,
//!
//! ```text
//! colour error  = (g F⁻¹ g)^½                         from the data alone
//! data fraction = 1 − g (F + C⁻¹)⁻¹ g / g C g         against the spread C of spectra
//! ```
//!
//! Colours are constrained by the spread of the visits' refraction *vectors*, tan z towards the
//! zenith, not by that of the airmass.

use std::f64::consts::TAU;

use ndarray::{Array2, Array3, Axis};
use rustfft::num_complex::Complex64;

use crate::joint::config::JointConfig;
use crate::joint::error::JointError;
use crate::joint::fourier::frequencies::Frequencies;
use crate::joint::operator::transfer::{Fiducial, visit_transfer};
use crate::joint::problem::JointProblem;
use crate::joint::problem::psf::PsfStamp;
use crate::joint::problem::spectrum::SLOPE_SPREAD;
use crate::kernel::Region;
use crate::linalg::hermitian::Hermitian;

/// Side of the frequency grid.
const SIDE: usize = 65;
/// S/N of the source of the colour error.
const SNR: f64 = 100.0;
/// S/N of the fainter source of a second data fraction.
const FAINT_SNR: f64 = 30.0;
/// Magnitudes per relative flux.
const MAG: f64 = 1.085_736_2;
/// Colour error above which users are warned.
const POOR: f64 = 0.2;

/// Constraints on colours from the visits.
#[derive(Clone, Debug, PartialEq)]
pub struct Identifiability {
    /// Error of the colour between the outermost subfilters of a star of S/N 100, in magnitudes,
    /// from the data alone. Infinite without any constraint, 0 for one subfilter.
    pub colour_error: f64,
    /// Share of the data, against the prior, in the knowledge of that star's colour.
    pub data_fraction: f64,
    /// The data's share for a star of S/N 30.
    pub faint_data_fraction: f64,
    /// Side of the maps' blocks, px.
    pub block: usize,
    /// `colour_error` in each block of the patch, for the visits' coverage there, of a star that
    /// would have S/N 100 with full coverage.
    pub colour_error_map: Array2<f64>,
    /// `data_fraction` in each block of the patch.
    pub data_fraction_map: Array2<f64>,
}

impl Identifiability {
    /// A warning for users of the colours, if they are poorly constrained.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        (self.colour_error > POOR).then(|| {
            let error = match self.colour_error.is_finite() {
                true => format!("{:.2} mag", self.colour_error),
                false => "unbounded".into(),
            };
            let percent = |fraction: f64| (100.0 * fraction).round();
            format!(
                "the visits hardly tell colours apart: from the data alone the error of a colour at S/N 100 is {error}. Colours rest on the \
                 assumption that spectra are smooth and nearly flat; with it, {} % of a colour at S/N 100 and {} % at S/N 30 comes from the data. \
                 Visits at other airmasses or on the other side of the meridian would help, and so would fewer subfilters.",
                percent(self.data_fraction),
                percent(self.faint_data_fraction),
            )
        })
    }

    /// Figures of a patch, from the fraction of pixels that each visit has in every block of
    /// `block` pixels a side: `(visits, block rows, block columns)`.
    pub(crate) fn of_visits(
        problem: &JointProblem,
        config: &JointConfig,
        fiducial: &PsfStamp,
        cover: &Array3<f32>,
        block: usize,
    ) -> Result<Self, JointError> {
        let blocks = (cover.len_of(Axis(1)), cover.len_of(Axis(2)));
        if problem.spectrum.count() == 1 {
            return Ok(Self {
                colour_error: 0.0,
                data_fraction: 1.0,
                faint_data_fraction: 1.0,
                block,
                colour_error_map: Array2::zeros(blocks),
                data_fraction_map: Array2::ones(blocks),
            });
        }
        let information = visit_information(problem, config, fiducial)?;
        let (source, visits) = (PointSource::new(problem, config), problem.visits.visits());
        let all = vec![1.0; visits];
        let whole = source.sum(&information, &all);
        let scale = source.scale_to(&whole, SNR);
        let (colour_error, data_fraction) = source.judge(&whole, scale);
        let (_, faint_data_fraction) = source.judge(&whole, source.scale_to(&whole, FAINT_SNR));
        let mut maps = [Array2::zeros(blocks), Array2::zeros(blocks)];
        for y in 0..blocks.0 {
            for x in 0..blocks.1 {
                let here: Vec<f64> = (0..visits).map(|v| f64::from(cover[[v, y, x]])).collect();
                let (error, fraction) = source.judge(&source.sum(&information, &here), scale);
                (maps[0][[y, x]], maps[1][[y, x]]) = (error, fraction);
            }
        }
        let [colour_error_map, data_fraction_map] = maps;
        Ok(Self {
            colour_error,
            data_fraction,
            faint_data_fraction,
            block,
            colour_error_map,
            data_fraction_map,
        })
    }
}

/// Information of each visit on a point source of unit flux: `(visits, N + 2, N + 2)`.
fn visit_information(
    problem: &JointProblem,
    config: &JointConfig,
    fiducial: &PsfStamp,
) -> Result<Array3<f64>, JointError> {
    let frequencies = Frequencies::new((SIDE, SIDE));
    let (whole, n) = (Region::whole(problem.shape), problem.spectrum.count());
    let fiducial = Fiducial::new(fiducial, &frequencies);
    let amplitude = fiducial.amplitude();
    let f = problem.spectrum.fractions();
    let mut out = Array3::zeros((problem.visits.visits(), n + 2, n + 2));
    let mut columns = vec![Complex64::default(); n + 2];
    for (visit, mut out) in out.axis_iter_mut(Axis(0)).enumerate() {
        let psf = problem.visits.psf(visit, &whole).map_err(JointError::Source)?;
        let displacements = problem.visits.displacements(visit, &whole);
        let transfer =
            visit_transfer(&frequencies, problem.spectrum, &fiducial, Some(&psf), &displacements, config);
        let weight = 1.0 / problem.visits.noise(visit).sky_variance;
        for (mode, p) in amplitude.iter().enumerate() {
            let (ix, iy) = (mode / SIDE, mode % SIDE);
            for a in 0..n {
                let value = transfer[(ix * n + a) * SIDE + iy];
                columns[a] = Complex64::new(f64::from(value.re), f64::from(value.im)) * f64::from(*p);
            }
            let flat: Complex64 = (0..n).map(|a| columns[a] * f[a]).sum();
            columns[n] = flat * Complex64::new(0.0, -TAU * frequencies.y[iy]);
            columns[n + 1] = flat * Complex64::new(0.0, -TAU * frequencies.x[ix]);
            for ((i, j), value) in out.indexed_iter_mut() {
                *value += weight * frequencies.multiplicity(ix) * (columns[i].conj() * columns[j]).re;
            }
        }
    }
    Ok(out)
}

/// A point source of flat spectrum.
struct PointSource {
    n: usize,
    /// Directions of the parameters: summed flux, components in units of the spread of spectra,
    /// position.
    basis: Array2<f64>,
    /// Derivative of the colour along each direction.
    gradient: Vec<f64>,
}

impl PointSource {
    fn new(problem: &JointProblem, config: &JointConfig) -> Self {
        let spectrum = problem.spectrum;
        let (n, f) = (spectrum.count(), spectrum.fractions());
        let components = spectrum.components(config.colour_damping);
        let basis = Array2::from_shape_fn((n + 2, n + 2), |(a, j)| match (a < n, j) {
            (true, 0) => f[a],
            (true, j) if j < n => SLOPE_SPREAD * components[[a, j - 1]],
            (false, j) if a == j => 1.0,
            _ => 0.0,
        });
        let gradient =
            (0..n + 2).map(|j| MAG * (basis[[n - 1, j]] / f[n - 1] - basis[[0, j]] / f[0])).collect();
        Self { n, basis, gradient }
    }

    /// Information of several visits with these weights, in the basis.
    fn sum(&self, information: &Array3<f64>, weights: &[f64]) -> Array2<f64> {
        let mut sum = Array2::zeros((self.n + 2, self.n + 2));
        for (of_visit, weight) in information.axis_iter(Axis(0)).zip(weights) {
            sum.scaled_add(*weight, &of_visit);
        }
        self.basis.t().dot(&sum).dot(&self.basis)
    }

    /// Square of the flux with which the summed flux has this S/N.
    fn scale_to(&self, information: &Array2<f64>, snr: f64) -> f64 {
        snr * snr / information[[0, 0]].max(f64::MIN_POSITIVE)
    }

    /// Colour error from the data alone, and the data's share against the spread of spectra.
    fn judge(&self, information: &Array2<f64>, scale: f64) -> (f64, f64) {
        let alone = self.colour_variance(information, scale, 0.0);
        let both = self.colour_variance(information, scale, 1.0);
        let before: f64 = self.gradient[1..self.n].iter().map(|g| g * g).sum();
        let error = if alone.is_finite() { alone.sqrt() } else { f64::INFINITY };
        (error, (1.0 - both / before).clamp(0.0, 1.0))
    }

    /// `g (F + prior)⁻¹ g`, infinite if the information does not determine the colour.
    fn colour_variance(&self, information: &Array2<f64>, scale: f64, held: f64) -> f64 {
        let order = self.n + 2;
        // Each direction in units of its own information, which makes pivots comparable.
        let diagonal =
            |i: usize| information[[i, i]] * scale + if (1..self.n).contains(&i) { held } else { 0.0 };
        if information[[0, 0]] <= 0.0 {
            // Without data, the prior alone.
            return if held > 0.0 {
                self.gradient[1..self.n].iter().map(|g| g * g).sum()
            } else {
                f64::INFINITY
            };
        }
        let unit: Vec<f64> = (0..order).map(|i| diagonal(i).max(f64::MIN_POSITIVE).sqrt().recip()).collect();
        let mut matrix = Hermitian::zeros(order);
        for i in 0..order {
            for j in i..order {
                let value = if i == j { diagonal(i) } else { information[[i, j]] * scale };
                matrix.add(i, j, Complex64::from(value * unit[i] * unit[j]));
            }
        }
        let inverse = matrix.inverse();
        let g: Vec<Complex64> = (0..order).map(|i| Complex64::from(self.gradient[i] * unit[i])).collect();
        let variance = inverse.form(&g);
        // A pivot that is rounding alone gives 1e12 and more in an unconstrained direction.
        let trace = (0..order).map(|i| inverse.at(i, i).re).fold(0.0, f64::max);
        if trace > 1e10 && variance > 1e6 { f64::INFINITY } else { variance }
    }
}
