//! Visits for measurements of speed: arbitrary pixels, and displacements as at airmass 1 to 2 in g.

use dcr_solver::{DETECTED, ForwardShift, GOOD, InMemory, PixelShift, SpectralBasis, SubfilterShift, Visit};
use ndarray::Array2;

/// Visits of `side × side` pixels in `subfilters` subfilters, displaced by up to 2 px.
pub(crate) fn visits(side: usize, count: usize, subfilters: usize) -> InMemory {
    let visits = (0..count)
        .map(|i| {
            let (strength, angle) = (0.1 + 1.5 * i as f64 / count as f64, 0.7 * i as f64);
            // From 1 for the bluest light to −1 for the reddest.
            let shift = |place: f64| PixelShift {
                dy: place * strength * angle.sin(),
                dx: place * strength * angle.cos(),
            };
            let width = 2.0 / subfilters as f64;
            let shifts = (0..subfilters)
                .map(|a| {
                    let mean = 1.0 - (a as f64 + 0.5) * width;
                    let half = 0.29 * width;
                    SubfilterShift {
                        forward: ForwardShift::Halves([shift(mean + half), shift(mean - half)]),
                        mean: shift(mean),
                    }
                })
                .collect();
            let image =
                Array2::from_shape_fn((side, side), |(y, x)| ((y * 31 + x * 17 + i * 7) % 101) as f32);
            Visit { image, flags: Array2::from_elem((side, side), GOOD | DETECTED), weight: 1.0, shifts }
        })
        .collect();
    InMemory { visits }
}

/// A smooth spectrum in a band of even throughput, as in real runs.
pub(crate) fn smooth_spectrum(subfilters: usize) -> SpectralBasis {
    let points = 6 * subfilters;
    let wavelength: Vec<f64> = (0..points).map(|i| i as f64).collect();
    let subfilter: Vec<usize> = (0..points).map(|i| i / 6).collect();
    SpectralBasis::smooth(&wavelength, &vec![1.0; points], &subfilter, subfilters)
}
