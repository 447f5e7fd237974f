//! Gaussian stars of known colours in a few visits, drawn from the formula, not with the solver's
//! kernels.

use dcr_solver::kernel::dilate_diamond;
use dcr_solver::{DETECTED, ForwardShift, GOOD, InMemory, PixelShift, SubfilterShift, Visit};
use ndarray::{Array2, Array3};

/// Shape of every test field.
pub(crate) const SHAPE: (usize, usize) = (48, 56);
/// PSF σ in px.
const SIGMA: f64 = 1.6;
/// Stars as y, x, and flux in each of three subfilters.
pub(crate) const STARS: [(f64, f64, [f64; 3]); 3] = [
    (15.0, 17.3, [900.0, 1000.0, 1100.0]),
    (33.4, 38.0, [1500.0, 1000.0, 500.0]),
    (30.0, 12.0, [500.0, 1000.0, 1500.0]),
];

/// Displacement of each subfilter, for refraction of `strength` px along a direction.
pub(crate) fn shifts(strength: f64, angle: f64) -> Vec<SubfilterShift> {
    (0..3)
        .map(|a| {
            let at = |r: f64| PixelShift { dy: r * strength * angle.sin(), dx: r * strength * angle.cos() };
            let mean = 1.0 - a as f64;
            SubfilterShift {
                forward: ForwardShift::Halves([at(mean + 0.29), at(mean - 0.29)]),
                mean: at(mean),
            }
        })
        .collect()
}

fn star(y0: f64, x0: f64, flux: f64) -> Array2<f64> {
    let norm = flux / (std::f64::consts::TAU * SIGMA * SIGMA);
    Array2::from_shape_fn(SHAPE, |(y, x)| {
        norm * (-0.5 * ((y as f64 - y0).powi(2) + (x as f64 - x0).powi(2)) / (SIGMA * SIGMA)).exp()
    })
}

/// The true planes.
pub(crate) fn truth() -> Array3<f64> {
    let mut planes = Array3::zeros((3, SHAPE.0, SHAPE.1));
    for (y, x, flux) in STARS {
        for (mut plane, flux) in planes.outer_iter_mut().zip(flux) {
            plane += &star(y, x, flux);
        }
    }
    planes
}

/// A visit without noise.
pub(crate) fn exposure(shifts: &[SubfilterShift]) -> Array2<f32> {
    let mut image = Array2::<f64>::zeros(SHAPE);
    for (y, x, flux) in STARS {
        for (shift, flux) in shifts.iter().zip(flux) {
            let parts = shift.forward_shifts();
            for part in parts {
                image += &star(y + part.dy, x + part.dx, flux / parts.len() as f64);
            }
        }
    }
    image.mapv(|v| v as f32)
}

/// Eight visits in different directions.
pub(crate) fn visits() -> InMemory {
    let visits = (0..8)
        .map(|i| {
            let shifts = shifts(0.2 + 0.2 * f64::from(i), 0.9 * f64::from(i));
            let image = exposure(&shifts);
            Visit { flags: Array2::from_elem(SHAPE, GOOD | DETECTED), image, weight: 1.0, shifts }
        })
        .collect();
    InMemory { visits }
}

/// The mean of the visits, and its detected pixels, grown by the displacement of light: a sharp
/// core within the template's smeared wings would have too much flux.
pub(crate) fn template(visits: &InMemory) -> (Array2<f32>, Array2<bool>) {
    let mut mean = Array2::<f32>::zeros(SHAPE);
    for visit in &visits.visits {
        mean.scaled_add(1.0 / visits.visits.len() as f32, &visit.image);
    }
    let detected = mean.mapv(|v| v > 0.5);
    (mean, dilate_diamond(detected.view(), 4))
}
