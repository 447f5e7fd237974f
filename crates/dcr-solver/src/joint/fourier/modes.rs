//! Products and sums over rows of modes: the solver's largest cost after the transforms.

use multiversion::multiversion;
use rustfft::num_complex::Complex32;

use crate::linalg::hermitian::upper;

/// Partial sums, which make additions independent of each other; they are added in order.
const LANES: usize = 8;

/// `out = a·b`.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub(crate) fn multiply(out: &mut [Complex32], a: &[Complex32], b: &[Complex32]) {
    let n = out.len();
    let (a, b) = (&a[..n], &b[..n]);
    for i in 0..n {
        out[i] = Complex32::new(a[i].re * b[i].re - a[i].im * b[i].im, a[i].re * b[i].im + a[i].im * b[i].re);
    }
}

/// `out += a·b`.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub(crate) fn add_product(out: &mut [Complex32], a: &[Complex32], b: &[Complex32]) {
    let n = out.len();
    let (a, b) = (&a[..n], &b[..n]);
    for i in 0..n {
        out[i].re += a[i].re * b[i].re - a[i].im * b[i].im;
        out[i].im += a[i].re * b[i].im + a[i].im * b[i].re;
    }
}

/// `out += a*·b`.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub(crate) fn add_conjugate_product(out: &mut [Complex32], a: &[Complex32], b: &[Complex32]) {
    let n = out.len();
    let (a, b) = (&a[..n], &b[..n]);
    for i in 0..n {
        out[i].re += a[i].re * b[i].re + a[i].im * b[i].im;
        out[i].im += a[i].re * b[i].im - a[i].im * b[i].re;
    }
}

/// `out = M r`, row by row of modes, with a Hermitian `M` at each mode: the rows of its upper
/// triangle.
pub(crate) fn apply_packed(upper_rows: &[Complex32], r: &[Complex32], out: &mut [&mut [Complex32]]) {
    let (n, ky) = (out.len(), r.len() / out.len().max(1));
    out.iter_mut().for_each(|row| row.fill(Complex32::default()));
    for ((a, b), m) in upper(n).zip(upper_rows.chunks_exact(ky)) {
        add_product(out[a], m, &r[b * ky..][..ky]);
        if a != b {
            add_conjugate_product(out[b], m, &r[a * ky..][..ky]);
        }
    }
}

/// `out += weight·a`, with one weight for all modes.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub(crate) fn add_scaled(out: &mut [Complex32], weight: f32, a: &[Complex32]) {
    let n = out.len();
    let a = &a[..n];
    for i in 0..n {
        out[i].re += weight * a[i].re;
        out[i].im += weight * a[i].im;
    }
}

/// `out += weight·w·a`, with a real factor `w` for each mode.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub(crate) fn add_weighted(out: &mut [Complex32], weight: f32, w: &[f32], a: &[Complex32]) {
    let n = out.len();
    let (w, a) = (&w[..n], &a[..n]);
    for i in 0..n {
        let factor = weight * w[i];
        out[i].re += factor * a[i].re;
        out[i].im += factor * a[i].im;
    }
}

/// `out = z + factor·out`: the next direction of conjugate gradients.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub(crate) fn next_direction(out: &mut [Complex32], factor: f32, z: &[Complex32]) {
    let n = out.len();
    let z = &z[..n];
    for i in 0..n {
        out[i].re = z[i].re + factor * out[i].re;
        out[i].im = z[i].im + factor * out[i].im;
    }
}

/// `Σ Re(a*·b)`, in double precision.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub(crate) fn inner(a: &[Complex32], b: &[Complex32]) -> f64 {
    let mut sums = [0.0_f64; LANES];
    let (a, b) = (&a[..a.len()], &b[..a.len()]);
    let (a_parts, a_rest) = a.as_chunks::<LANES>();
    let (b_parts, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_parts.iter().zip(b_parts) {
        for lane in 0..LANES {
            sums[lane] +=
                f64::from(a[lane].re) * f64::from(b[lane].re) + f64::from(a[lane].im) * f64::from(b[lane].im);
        }
    }
    for (lane, (a, b)) in a_rest.iter().zip(b_rest).enumerate() {
        sums[lane] += f64::from(a.re) * f64::from(b.re) + f64::from(a.im) * f64::from(b.im);
    }
    sums.iter().sum()
}

/// `Σ a·b` of real values, in double precision.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub(crate) fn inner_real(a: &[f32], b: &[f32]) -> f64 {
    let mut sums = [0.0_f64; LANES];
    let (a, b) = (&a[..a.len()], &b[..a.len()]);
    let (a_parts, a_rest) = a.as_chunks::<LANES>();
    let (b_parts, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_parts.iter().zip(b_parts) {
        for lane in 0..LANES {
            sums[lane] += f64::from(a[lane]) * f64::from(b[lane]);
        }
    }
    for (lane, (a, b)) in a_rest.iter().zip(b_rest).enumerate() {
        sums[lane] += f64::from(*a) * f64::from(*b);
    }
    sums.iter().sum()
}
