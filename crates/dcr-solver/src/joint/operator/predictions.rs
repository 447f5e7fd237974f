//! Predictions of a tile's visits, pixel by pixel, and with the PSF of the place.
//!
//! The transfer functions of a visit have its mean PSF. What the components of a PSF that varies
//! ([`PsfVariation`]) add is the mean's prediction times their relative transfer functions,
//! weighted pixel by pixel.

use std::borrow::Cow;

use rayon::prelude::*;
use rustfft::num_complex::Complex32;

use super::tile::{Buffer, Tile, TileVisit, predict, tile_plane};
use super::transfer::PsfVariation;
use crate::joint::fourier::grid::Grid;

/// A visit's prediction on a tile, row by row.
pub(crate) struct Prediction<'a> {
    /// With the mean PSF: what the transfer functions give.
    pub(crate) with_mean_psf: &'a [f32],
    /// With the PSF of the place.
    pub(crate) with_local_psf: &'a [f32],
}

impl Tile {
    /// Passes the results of `each`, for every visit (with its index in the tile) and its
    /// prediction, row by row over the tile, to `take` in order.
    pub(crate) fn with_predictions<T: Send>(
        &mut self,
        y: &[Complex32],
        each: impl Fn(usize, &TileVisit, &[f32]) -> T + Sync,
        mut take: impl FnMut(T),
    ) {
        let y = self.with_fixed_sources(y);
        let (grid, buffers, n) = (&self.grid, &mut self.buffers, self.n);
        let size = buffers.len().max(1);
        for (number, batch) in self.visits.chunks(size).enumerate() {
            let of_one = |(i, (visit, buffer)): (usize, (&TileVisit, &mut Buffer))| {
                visit.predict(grid, n, &y, buffer);
                let plane = tile_plane(grid, &buffer.spectrum, &mut buffer.scratch);
                each(number * size + i, visit, &plane)
            };
            let batch: Vec<T> =
                batch.par_iter().zip(buffers.par_iter_mut()).enumerate().map(of_one).collect();
            batch.into_iter().for_each(&mut take);
        }
    }

    /// As [`Tile::with_predictions`], with the PSF of the place too.
    pub(crate) fn with_local_predictions<T: Send>(
        &mut self,
        y: &[Complex32],
        each: impl Fn(usize, &TileVisit, Prediction<'_>) -> T + Sync,
        mut take: impl FnMut(T),
    ) {
        let y = self.with_fixed_sources(y);
        let (grid, buffers, n) = (&self.grid, &mut self.buffers, self.n);
        let size = buffers.len().max(1);
        for (number, batch) in self.visits.chunks(size).enumerate() {
            let of_one = |(i, (visit, buffer)): (usize, (&TileVisit, &mut Buffer))| {
                visit.predict(grid, n, &y, buffer);
                let mean = tile_plane(grid, &buffer.spectrum, &mut buffer.scratch);
                let local = visit.add_variation(grid, n, &y, &mean, buffer);
                let prediction = Prediction { with_mean_psf: &mean, with_local_psf: &local };
                each(number * size + i, visit, prediction)
            };
            let batch: Vec<T> =
                batch.par_iter().zip(buffers.par_iter_mut()).enumerate().map(of_one).collect();
            batch.into_iter().for_each(&mut take);
        }
    }
}

impl TileVisit {
    /// The prediction with the PSF of the place, given that with the mean PSF.
    fn add_variation<'a>(
        &self,
        grid: &Grid,
        n: usize,
        y: &[Complex32],
        mean: &'a [f32],
        buffer: &mut Buffer,
    ) -> Cow<'a, [f32]> {
        let mut out = Cow::Borrowed(mean);
        let PsfVariation { ratios, place: Some((psf, region)) } = &self.variation else { return out };
        let ky = grid.ky();
        for (i, ratio) in ratios.iter().enumerate() {
            let times_ratio = |ix: usize, modes: &mut [Complex32]| {
                modes.iter_mut().zip(&ratio[ix * ky..]).for_each(|(mode, ratio)| *mode *= ratio);
            };
            predict(grid, n, &self.transfer, y, &mut buffer.spectrum, &mut buffer.scratch, times_ratio);
            let component = tile_plane(grid, &buffer.spectrum, &mut buffer.scratch);
            let pixels = out.to_mut().iter_mut().zip(&component).zip(psf.weights(i, region));
            pixels.for_each(|((out, value), weight)| *out += weight * value);
        }
        out
    }
}
