//! The band of the joint solver: fine wavelengths, and smooth spectra from the subfilters' fluxes.

use ndarray::Array2;

use crate::spectrum::SmoothSpectrum;

/// Spread of spectra: rms slope over the band, relative to the flux. Further terms are damped as in
/// the prior.
pub(crate) const SLOPE_SPREAD: f64 = 0.4;

/// Fine wavelengths over a band in subfilters, with the smooth spectrum of unit flux in each
/// subfilter.
#[derive(Clone, Debug, PartialEq)]
pub struct Spectrum {
    wavelengths: Vec<f64>,
    shares: Vec<f64>,
    subfilters: Vec<usize>,
    fractions: Vec<f64>,
    centroids: Vec<f64>,
    stamp_wavelength: f64,
    weight_al: Array2<f64>,
}

/// Invalid wavelengths of a band.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SpectrumError {
    /// The lists differ in length.
    #[error(
        "{wavelengths} wavelengths, {shares} shares and {subfilters} subfilter numbers: expected as many of each"
    )]
    Lengths {
        /// Number of wavelengths.
        wavelengths: usize,
        /// Number of shares.
        shares: usize,
        /// Number of subfilter numbers.
        subfilters: usize,
    },
    /// No wavelength at all, or a subfilter without light.
    #[error("subfilter {subfilter} has no wavelength with a positive share of the light")]
    Dark {
        /// The subfilter, counted from 0 at the blue end.
        subfilter: usize,
    },
    /// Wavelengths are not ascending, or a number is negative or not finite.
    #[error(
        "point {point} of the band: expected ascending, finite wavelengths and shares that are not negative"
    )]
    Point {
        /// Index of the point.
        point: usize,
    },
}

impl Spectrum {
    /// A band of fine wavelengths, blue to red, in any one unit.
    ///
    /// `shares` are the wavelengths' shares of a flat photon spectrum (throughput times step;
    /// normalised here). `subfilters` are the subfilters of the wavelengths, from 0.
    /// `stamp_wavelength` is the wavelength of the PSF stamps. Eight wavelengths per subfilter, at
    /// most 6 nm apart, are fine enough.
    ///
    /// # Errors
    ///
    /// [`SpectrumError`] if the lists differ in length, a subfilter is dark, or a number is out of
    /// range.
    pub fn new(
        wavelengths: &[f64],
        shares: &[f64],
        subfilters: &[usize],
        stamp_wavelength: f64,
    ) -> Result<Self, SpectrumError> {
        let points = wavelengths.len();
        if shares.len() != points || subfilters.len() != points {
            return Err(SpectrumError::Lengths {
                wavelengths: points,
                shares: shares.len(),
                subfilters: subfilters.len(),
            });
        }
        let ascending = |l: usize| l == 0 || wavelengths[l] > wavelengths[l - 1];
        let sensible = |l: &usize| {
            wavelengths[*l].is_finite()
                && wavelengths[*l] > 0.0
                && ascending(*l)
                && shares[*l].is_finite()
                && shares[*l] >= 0.0
        };
        if let Some(point) = (0..points).find(|l| !sensible(l)) {
            return Err(SpectrumError::Point { point });
        }
        if !(stamp_wavelength.is_finite() && stamp_wavelength > 0.0) {
            return Err(SpectrumError::Point { point: points });
        }
        let n = subfilters.iter().max().map_or(1, |last| last + 1);
        let total: f64 = shares.iter().sum();
        let shares: Vec<f64> = shares.iter().map(|s| s / total).collect();
        let (mut fractions, mut centroids) = (vec![0.0; n], vec![0.0; n]);
        for l in 0..points {
            fractions[subfilters[l]] += shares[l];
            centroids[subfilters[l]] += shares[l] * wavelengths[l];
        }
        if let Some(subfilter) = fractions.iter().position(|f| f.is_nan() || *f <= 0.0) {
            return Err(SpectrumError::Dark { subfilter });
        }
        centroids.iter_mut().zip(&fractions).for_each(|(c, f)| *c /= f);
        let weight_al = SmoothSpectrum::new(wavelengths, &shares, subfilters, n).weight_al;
        Ok(Self {
            wavelengths: wavelengths.to_vec(),
            shares,
            subfilters: subfilters.to_vec(),
            fractions,
            centroids,
            stamp_wavelength,
            weight_al,
        })
    }

    /// Number of subfilters.
    #[must_use]
    pub fn count(&self) -> usize {
        self.fractions.len()
    }

    /// Fine wavelengths, at which displacements are evaluated.
    #[must_use]
    pub fn wavelengths(&self) -> &[f64] {
        &self.wavelengths
    }

    /// Share of each subfilter in a flat spectrum; they sum to 1.
    #[must_use]
    pub fn fractions(&self) -> &[f64] {
        &self.fractions
    }

    /// Each wavelength's share of a flat spectrum; they sum to 1.
    pub(crate) fn shares(&self) -> &[f64] {
        &self.shares
    }

    /// The subfilter of each wavelength.
    pub(crate) fn subfilters(&self) -> &[usize] {
        &self.subfilters
    }

    /// `C[a, l]`: flux at wavelength `l` for unit flux in subfilter `a`.
    pub(crate) fn weight_al(&self) -> &Array2<f64> {
        &self.weight_al
    }

    /// Width of the PSF in a subfilter over that of its stamp, for a width ∝ wavelength to the
    /// power `exponent`.
    pub(crate) fn widening(&self, subfilter: usize, exponent: f64) -> f64 {
        (self.centroids[subfilter] / self.stamp_wavelength).powf(exponent)
    }

    /// Spectral components: deviations from the flat spectrum, as columns of subfilter fluxes,
    /// shape `(subfilters, subfilters − 1)`.
    ///
    /// Column `j` is `f_a q_j(λ_a) dampingʲ`, with `q` the polynomials in the subfilters' centroids
    /// that are orthonormal under the weight `f` (slope, curvature, …) without the constant: the
    /// flux of every column is 0.
    pub(crate) fn components(&self, damping: f64) -> Array2<f64> {
        let n = self.count();
        let f = &self.fractions;
        let inner = |p: &[f64], q: &[f64]| (0..n).map(|a| f[a] * p[a] * q[a]).sum::<f64>();
        let (blue, red) = (self.centroids[0], self.centroids[n - 1]);
        let x: Vec<f64> = self
            .centroids
            .iter()
            .map(|c| (2.0 * c - blue - red) / (red - blue).max(f64::MIN_POSITIVE))
            .collect();
        let mut polynomials: Vec<Vec<f64>> = vec![vec![1.0; n]];
        for degree in 1..n {
            let mut p: Vec<f64> = x.iter().map(|x| x.powi(degree as i32)).collect();
            // Twice, against rounding.
            for q in polynomials.iter().chain(&polynomials) {
                let along = inner(&p, q);
                p.iter_mut().zip(q).for_each(|(p, q)| *p -= along * q);
            }
            let norm = inner(&p, &p).sqrt();
            p.iter_mut().for_each(|p| *p /= norm);
            polynomials.push(p);
        }
        Array2::from_shape_fn((n, n.saturating_sub(1)), |(a, j)| {
            f[a] * polynomials[j + 1][a] * damping.powi(j as i32)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn band(n: usize) -> Spectrum {
        let wavelengths: Vec<f64> =
            (0..8 * n).map(|l| 400.0 + 150.0 * (l as f64 + 0.5) / (8 * n) as f64).collect();
        let shares: Vec<f64> = wavelengths.iter().map(|w| 1.0 + (w / 40.0).sin() / 3.0).collect();
        let subfilters: Vec<usize> = (0..8 * n).map(|l| l / 8).collect();
        Spectrum::new(&wavelengths, &shares, &subfilters, 475.0).unwrap()
    }

    #[test]
    fn spectral_components_carry_no_flux_and_are_orthonormal() {
        for n in 2..=6 {
            let spectrum = band(n);
            let f = spectrum.fractions();
            assert!((f.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            let e = spectrum.components(1.0);
            for j in 0..n - 1 {
                assert!(e.column(j).sum().abs() < 1e-12);
                for k in 0..n - 1 {
                    let product: f64 = (0..n).map(|a| e[[a, j]] * e[[a, k]] / f[a]).sum();
                    assert!((product - f64::from(u8::from(j == k))).abs() < 1e-10, "{n} {j} {k}: {product}");
                }
            }
        }
    }

    #[test]
    fn spectrum_of_one_subfilter_has_no_components() {
        assert_eq!(band(1).components(0.25).dim(), (1, 0));
    }

    #[test]
    fn spectrum_that_makes_no_sense_is_refused() {
        let of = |w: &[f64], s: &[f64], b: &[usize]| Spectrum::new(w, s, b, 450.0);
        assert_eq!(of(&[], &[], &[]), Err(SpectrumError::Dark { subfilter: 0 }));
        assert!(matches!(of(&[400.0], &[], &[0]), Err(SpectrumError::Lengths { .. })));
        assert_eq!(of(&[400.0, 390.0], &[1.0; 2], &[0, 0]), Err(SpectrumError::Point { point: 1 }));
        assert_eq!(of(&[400.0, 410.0], &[1.0, f64::NAN], &[0, 0]), Err(SpectrumError::Point { point: 1 }));
        assert_eq!(of(&[400.0, 410.0], &[1.0; 2], &[0, 2]), Err(SpectrumError::Dark { subfilter: 1 }));
    }
}
