//! Sources that change: what is clipped in many visits is no artefact.
//!
//! A variable star departs from its mean in many visits, each of which clips it. What is left of them would be the few that happen to agree, or none. So
//! after the last round of clipping a group of clipped pixels that more than few visits have ([`Rarity`]) is given back to all of them: the model
//! becomes the mean of what the visits saw. Not before: early models are drawn along by what is to be clipped, and a bright cosmic
//! ray makes all visits depart from the first.

use ndarray::Array2;
use rayon::prelude::*;
use rustfft::num_complex::Complex32;

use super::operator::{Tile, TileVisit};
use crate::rarity::{PixelList, Rarity, groups};

/// Gives back to the visits of a tile the clipped pixels that too many of them have lost, and adds to `out` what these say about the model `y`.
pub(crate) fn give_back_variables(tile: &mut Tile, y: &[Complex32], out: &mut [Complex32], rarity: &Rarity) {
    let returned = frequently_clipped(&tile.visits, tile.grid.shape, rarity);
    if returned.iter().all(Vec::is_empty) {
        return;
    }
    // What data say is a sum over the pixels used: that over these is what is missing.
    let mut used = vec![];
    for (visit, pixels) in tile.visits.iter_mut().zip(&returned) {
        let mut these = vec![0; visit.used.len()];
        pixels.iter().for_each(|pixel| these[*pixel as usize] = 1);
        used.push(std::mem::replace(&mut visit.used, these));
    }
    tile.add_residual(Some(y), out);
    for (visit, before) in tile.visits.iter_mut().zip(used) {
        visit.used.iter_mut().zip(before).for_each(|(used, before)| *used |= before);
    }
}

/// For each visit the pixels of those of its clipped groups that more than few visits have lost.
fn frequently_clipped(visits: &[TileVisit], shape: (usize, usize), rarity: &Rarity) -> Vec<PixelList> {
    let clipped = |visit: &TileVisit| {
        let flags = visit.good.iter().zip(&visit.used).enumerate();
        let pixels: PixelList = flags
            .filter(|(_, (good, used))| **good != 0 && **used == 0)
            .map(|(index, _)| index as u32)
            .collect();
        groups(&pixels, shape.1)
    };
    let clipped: Vec<Vec<PixelList>> = visits.par_iter().map(clipped).collect();
    let mut data_yx = Array2::<u16>::zeros(shape);
    for visit in visits {
        data_yx.iter_mut().zip(&visit.good).for_each(|(count, good)| *count += u16::from(*good));
    }
    rarity.frequent(&clipped, &data_yx)
}
