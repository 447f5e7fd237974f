//! Small Hermitian matrices, one for each mode: Hessians and covariances of the subfilters.

use rustfft::num_complex::Complex64;

/// A Hermitian matrix of any small order, stored in full.
#[derive(Clone, Debug)]
pub(crate) struct Hermitian {
    order: usize,
    /// Elements, row by row.
    pub(crate) values: Vec<Complex64>,
}

impl Hermitian {
    pub(crate) fn zeros(order: usize) -> Self {
        Self { order, values: vec![Complex64::default(); order * order] }
    }

    pub(crate) fn at(&self, a: usize, b: usize) -> Complex64 {
        self.values[a * self.order + b]
    }

    /// Adds to an element of the upper triangle, and its conjugate to the lower.
    pub(crate) fn add(&mut self, a: usize, b: usize, value: Complex64) {
        self.values[a * self.order + b] += value;
        if a != b {
            self.values[b * self.order + a] += value.conj();
        }
    }

    /// Inverse of a positive definite matrix, through its Cholesky factor. A pivot made too small
    /// by rounding is replaced by 1e-14 of its diagonal element, so that the result is finite.
    pub(crate) fn inverse(&self) -> Self {
        let n = self.order;
        let mut lower = self.values.clone();
        for j in 0..n {
            for i in j..n {
                let mut sum = lower[i * n + j];
                for k in 0..j {
                    sum -= lower[i * n + k] * lower[j * n + k].conj();
                }
                lower[i * n + j] = if i == j {
                    Complex64::from(sum.re.max(1e-14 * self.at(j, j).re).max(f64::MIN_POSITIVE).sqrt())
                } else {
                    sum / lower[j * n + j].re
                };
            }
        }
        // The inverse of the factor, column by column, then its square.
        let mut inverse_lower = vec![Complex64::default(); n * n];
        for j in 0..n {
            for i in j..n {
                let mut sum = Complex64::from(f64::from(u8::from(i == j)));
                for k in j..i {
                    sum -= lower[i * n + k] * inverse_lower[k * n + j];
                }
                inverse_lower[i * n + j] = sum / lower[i * n + i].re;
            }
        }
        let mut out = Self::zeros(n);
        for a in 0..n {
            for b in 0..n {
                out.values[a * n + b] =
                    (a.max(b)..n).map(|k| inverse_lower[k * n + a].conj() * inverse_lower[k * n + b]).sum();
            }
        }
        out
    }

    /// `self · middle · self`.
    pub(crate) fn around(&self, middle: &Self) -> Self {
        self.times(&middle.times(self))
    }

    /// The matrix product, Hermitian or not.
    pub(crate) fn times(&self, other: &Self) -> Self {
        let n = self.order;
        let mut out = Self::zeros(n);
        for a in 0..n {
            for b in 0..n {
                out.values[a * n + b] = (0..n).map(|k| self.at(a, k) * other.at(k, b)).sum();
            }
        }
        out
    }

    /// `v* M v`, real for a Hermitian matrix.
    pub(crate) fn form(&self, v: &[Complex64]) -> f64 {
        let n = self.order;
        (0..n).map(|a| (v[a].conj() * (0..n).map(|b| self.at(a, b) * v[b]).sum::<Complex64>()).re).sum()
    }
}

/// Index pairs of the upper triangle, in the order in which packed matrices hold it.
pub(crate) fn upper(n: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n).flat_map(move |a| (a..n).map(move |b| (a, b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hermitian_times_its_inverse_is_one() {
        for n in 1..=6 {
            let mut matrix = Hermitian::zeros(n);
            for s in 0..n + 2 {
                let v: Vec<Complex64> = (0..n)
                    .map(|a| {
                        Complex64::new(((a * 7 + s * 3) % 5) as f64 - 2.0, ((a * s + 1) % 4) as f64 - 1.5)
                    })
                    .collect();
                upper(n).for_each(|(a, b)| matrix.add(a, b, v[a] * v[b].conj()));
            }
            (0..n).for_each(|a| matrix.add(a, a, Complex64::from(0.1)));
            let product = matrix.times(&matrix.inverse());
            for a in 0..n {
                for b in 0..n {
                    let expected = f64::from(u8::from(a == b));
                    assert!((product.at(a, b) - expected).norm() < 1e-11, "{n}: {:?}", product.at(a, b));
                }
            }
        }
    }
}
