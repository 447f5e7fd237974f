//! Sources that change: what is clipped in many visits is no artefact.
//!
//! A variable star departs from its mean in many visits, each of which clips it; the model would rest on the few that happen to agree, or on none. The same
//! befalls the visits that share a place with a bright cosmic ray: it draws the first model along, and all of them depart from that. So
//! after the last round of clipping, groups of clipped pixels that more than few visits have ([`Rarity`]) are looked at again. There the model is no judge. The
//! visits are: each is held against the median of what is left of all,
//!
//! ```text
//! |r_i − median r| > n √(v + g c) + ε c + |median r| max(1, (FWHM/FWHM_i)²)
//! ```
//!
//! with `c` the model and that median together; the last term is what the model's error may differ by from seeing to seeing. Where few visits exceed this, they
//! have artefacts there, which stay out. All else is given back: the model becomes the mean of what the visits saw.
//!
//! Near pixels that no visit has, as saturated cores, everything stays as it is.

use ndarray::Array2;
use rayon::prelude::*;
use rustfft::num_complex::Complex32;

use super::config::JointConfig;
use super::operator::{Tile, TileVisit};
use crate::kernel::dilate_diamond;
use crate::rarity::{PixelList, groups};

/// Gives back to the visits of a tile what they lost though it is no artefact, and adds to `out` what these pixels say about the model `y`.
/// `reach`: how far around a pixel that no visit has nothing is given back.
pub(crate) fn give_back_variables(
    tile: &mut Tile,
    y: &[Complex32],
    out: &mut [Complex32],
    reach: usize,
    config: &JointConfig,
) {
    let returned = wrongly_clipped(tile, y, reach, config);
    if returned.iter().all(Vec::is_empty) {
        return;
    }
    // What data say is a sum over the pixels used: that over these is what is missing.
    let these = |(visit, pixels): (&mut TileVisit, &PixelList)| {
        let mut used = vec![0; visit.used.len()];
        pixels.iter().for_each(|pixel| used[*pixel as usize] = 1);
        std::mem::replace(&mut visit.used, used)
    };
    let before: Vec<Vec<u8>> = tile.visits.iter_mut().zip(&returned).map(these).collect();
    tile.add_residual(Some(y), out);
    for (visit, before) in tile.visits.iter_mut().zip(before) {
        visit.used.iter_mut().zip(before).for_each(|(used, before)| *used |= before);
    }
}

/// For each visit the pixels that it lost though they are no artefact.
fn wrongly_clipped(tile: &mut Tile, y: &[Complex32], reach: usize, config: &JointConfig) -> Vec<PixelList> {
    let shape = tile.grid.shape;
    let data_yx = data(&tile.visits, shape);
    let mut clipped: Vec<Vec<PixelList>> =
        tile.visits.par_iter().map(|visit| clipped_groups(visit, shape.1)).collect();
    if config.rarity.frequent(&clipped, &data_yx).iter().all(Vec::is_empty) {
        return vec![];
    }
    let holes = dilate_diamond(data_yx.mapv(|visits| visits == 0).view(), reach);
    for groups in &mut clipped {
        groups
            .retain(|group| group.iter().all(|at| !holes[[*at as usize / shape.1, *at as usize % shape.1]]));
    }
    let frequent = config.rarity.frequent(&clipped, &data_yx);
    let mut places: PixelList = frequent.iter().flatten().copied().collect();
    places.sort_unstable();
    places.dedup();
    let mut seen: Vec<Vec<Seen>> = vec![];
    let look = |visit: &TileVisit, model: &[f32]| {
        places.iter().map(|at| Seen::new(visit, model, *at as usize)).collect()
    };
    tile.with_predictions(y, look, |of_visit| seen.push(of_visit));
    let outliers = against_median(&tile.visits, &seen, &places, config);
    let artefacts = places_of_few(&places, &outliers, &data_yx, config);
    let holds = |group: &PixelList, of: &PixelList| group.iter().any(|at| of.binary_search(at).is_ok());
    let of_visit = |((groups, frequent), artefacts): ((&Vec<PixelList>, &PixelList), &PixelList)| {
        let wrong = groups.iter().filter(|group| holds(group, frequent) && !holds(group, artefacts));
        wrong.flatten().copied().collect()
    };
    clipped.iter().zip(&frequent).zip(&artefacts).map(of_visit).collect()
}

/// For each visit those of its outliers that lie in places of which no pixel is an outlier in more than few visits.
fn places_of_few(
    places: &[u32],
    outliers: &[PixelList],
    data_yx: &Array2<u16>,
    config: &JointConfig,
) -> Vec<PixelList> {
    let cols = data_yx.ncols();
    let mut few = vec![vec![]; outliers.len()];
    for place in groups(places, cols) {
        let n: f64 =
            place.iter().map(|at| f64::from(data_yx[[*at as usize / cols, *at as usize % cols]])).sum();
        let inside = |pixels: &PixelList| -> PixelList {
            pixels.iter().filter(|at| place.binary_search(at).is_ok()).copied().collect()
        };
        let of_visits: Vec<PixelList> = outliers.iter().map(inside).collect();
        let most =
            place.iter().map(|at| of_visits.iter().filter(|v| v.binary_search(at).is_ok()).count()).max();
        if most.unwrap_or(0) <= config.rarity.few(n / place.len() as f64) {
            few.iter_mut().zip(of_visits).for_each(|(few, pixels)| few.extend(pixels));
        }
    }
    few.iter_mut().for_each(|pixels| pixels.sort_unstable());
    few
}

/// How many visits have data in each pixel.
fn data(visits: &[TileVisit], shape: (usize, usize)) -> Array2<u16> {
    let mut count = Array2::<u16>::zeros(shape);
    for visit in visits {
        count.iter_mut().zip(&visit.good).for_each(|(count, good)| *count += u16::from(*good));
    }
    count
}

/// Groups of pixels that a visit has lost.
fn clipped_groups(visit: &TileVisit, cols: usize) -> Vec<PixelList> {
    let lost = visit.good.iter().zip(&visit.used).enumerate();
    let lost = lost.filter(|(_, (good, used))| **good != 0 && **used == 0).map(|(index, _)| index as u32);
    groups(&lost.collect::<PixelList>(), cols)
}

/// A pixel of a visit.
#[derive(Clone, Copy)]
struct Seen {
    /// What the model leaves; `None` without data.
    residual: Option<f32>,
    prediction: f32,
}

impl Seen {
    fn new(visit: &TileVisit, model: &[f32], at: usize) -> Self {
        let residual = (visit.good[at] != 0).then(|| visit.image[at] - model[at]);
        Self { residual, prediction: model[at] }
    }
}

/// For each visit those of the `places` in which it departs from the median of all.
fn against_median(
    visits: &[TileVisit],
    seen: &[Vec<Seen>],
    places: &[u32],
    config: &JointConfig,
) -> Vec<PixelList> {
    let fwhm = median(&mut visits.iter().map(|visit| visit.fwhm_px as f32).collect::<Vec<_>>());
    let mut out = vec![vec![]; visits.len()];
    let mut values = vec![];
    for (i, at) in places.iter().enumerate() {
        values.clear();
        values.extend(seen.iter().filter_map(|of_visit| of_visit[i].residual));
        let common = median(&mut values);
        for ((visit, of_visit), out) in visits.iter().zip(seen).zip(&mut out) {
            let Seen { residual: Some(residual), prediction } = of_visit[i] else { continue };
            let light = (prediction + common).max(0.0);
            let noise = (visit.noise.sky_variance as f32 + visit.noise.shot as f32 * light).sqrt();
            let sharper = (fwhm / visit.fwhm_px as f32).powi(2).max(1.0);
            let limit = config.clip_sigmas as f32 * noise
                + config.clip_fraction as f32 * light
                + common.abs() * sharper;
            if (residual - common).abs() > limit {
                out.push(*at);
            }
        }
    }
    out
}

/// The middle value, the mean of two; 0 of nothing.
fn median(values: &mut [f32]) -> f32 {
    values.sort_unstable_by(f32::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[middle],
        _ => f32::midpoint(values[middle - 1], values[middle]),
    }
}
