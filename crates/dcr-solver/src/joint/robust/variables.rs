//! Variable sources: pixels clipped in many visits are not artefacts.
//!
//! A variable star deviates from its mean in many visits, each of which clips it; the model would
//! rest on the few that happen to agree, or on none. The same happens to all visits at a bright
//! cosmic ray: it biases the first model, and all others deviate from that. After the last round of
//! clipping, groups of pixels clipped in more visits than the epoch-count rule ([`Rarity`]) allows
//! are therefore tested again. Each visit is compared with the median residual of all, not with the
//! model:
//!
//! ```text
//! |r_i − median r| > n √(v + g c) + ε c + |median r| max(1, (FWHM/FWHM_i)²)
//! ```
//!
//! with `c` the sum of the model and that median. The last term allows for the dependence of the
//! model's error on seeing. Where few visits exceed the threshold they have artefacts, which stay
//! clipped. So do up to 40 % of the visits where they see more light than the others, and none sees
//! less: a new source, which the majority does not see. All other pixels are restored, and the
//! model becomes the mean of the visits.
//!
//! Near pixels without data in any visit, as saturated cores, the clipping stays as it is.

use ndarray::Array2;
use rayon::prelude::*;
use rustfft::num_complex::Complex32;

use crate::joint::config::JointConfig;
use crate::joint::operator::tile::{Tile, TileVisit};
use crate::joint::problem::visits::Noise;
use crate::kernel::dilate_diamond;
use crate::rarity::{PixelList, groups};

/// Largest share of the visits that can see a new source.
const MINORITY: f64 = 0.4;
/// Share of a place's pixels that may contradict: noise, and wings of a second source.
const NOISY: f64 = 0.2;
/// Share of a place's pixels that a visit with new light has at least; single pixels of a variable
/// star are noise.
const SUBSTANTIAL: f64 = 0.1;
/// Deviation of a visit below the others that makes a source a variable one: in units of its error,
/// and relative to the prediction.
const SURE: f64 = 4.0;
const LITTLE: f64 = 0.05;

/// Restores wrongly clipped pixels of the visits of a tile, and adds their residual of the model
/// `y` to `out`. Within `reach` of a pixel without data nothing is restored.
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
    // The residual is a sum over the used pixels: the sum over these completes it.
    let these = |(visit, pixels): (&mut TileVisit, &PixelList)| {
        let mut used = vec![0; visit.used.len()];
        pixels.iter().for_each(|pixel| used[*pixel as usize] = visit.good[*pixel as usize]);
        std::mem::replace(&mut visit.used, used)
    };
    let before: Vec<Vec<u8>> = tile.visits.iter_mut().zip(&returned).map(these).collect();
    tile.add_residual(Some(y), out);
    for (visit, before) in tile.visits.iter_mut().zip(before) {
        visit.used.iter_mut().zip(before).for_each(|(used, before)| *used |= before);
    }
}

/// Wrongly clipped pixels of each visit.
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
    let mut fits: Vec<Vec<PixelFit>> = vec![];
    let look = |_: usize, visit: &TileVisit, model: &[f32]| {
        places.iter().map(|at| PixelFit::new(visit, model, *at as usize)).collect()
    };
    tile.with_predictions(y, look, |of_visit| fits.push(of_visit));
    let outliers = against_median(&tile.visits, &fits, &places, config);
    let looks = Looks { places: &places, visits: &tile.visits, fits: &fits };
    let are_brighter = |place: &[u32], deviating: &[usize]| looks.are_brighter(place, deviating);
    let artefacts = places_of_few(&places, &outliers, are_brighter, &data_yx, config);
    let holds = |group: &PixelList, of: &PixelList| group.iter().any(|at| of.binary_search(at).is_ok());
    let of_visit = |((groups, frequent), artefacts): ((&Vec<PixelList>, &PixelList), &PixelList)| {
        let wrong = groups.iter().filter(|group| holds(group, frequent) && !holds(group, artefacts));
        wrong.flatten().copied().collect()
    };
    clipped.iter().zip(&frequent).zip(&artefacts).map(of_visit).collect()
}

/// Outliers of each visit at places without a pixel that is an outlier in more than few visits, and
/// at places of new light in a minority.
fn places_of_few(
    places: &[u32],
    outliers: &[PixelList],
    are_brighter: impl Fn(&[u32], &[usize]) -> bool,
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
        let n = n / place.len() as f64;
        let seen = |at: &u32| of_visits.iter().filter(|v| v.binary_search(at).is_ok()).count();
        let seen: Vec<usize> = place.iter().map(seen).filter(|seen| *seen > 0).collect();
        let most = seen.iter().copied().max().unwrap_or(0);
        let share = |count: usize| count as f64 / seen.len().max(1) as f64;
        let over = seen.iter().filter(|seen| **seen as f64 > MINORITY * n).count();
        let largest = of_visits.iter().map(Vec::len).max().unwrap_or(0);
        let much = |i: &usize| of_visits[*i].len() as f64 >= NOISY * largest as f64;
        let deviating: Vec<usize> = (0..of_visits.len()).filter(much).collect();
        let is_new_light = share(over) <= NOISY
            && largest as f64 >= SUBSTANTIAL * place.len() as f64
            && are_brighter(&place, &deviating);
        if most <= config.rarity.few(n) || is_new_light {
            few.iter_mut().zip(of_visits).for_each(|(few, pixels)| few.extend(pixels));
        }
    }
    few.iter_mut().for_each(|pixels| pixels.sort_unstable());
    few
}

/// What the visits show at the places that are tested again.
struct Looks<'a> {
    places: &'a [u32],
    visits: &'a [TileVisit],
    fits: &'a [Vec<PixelFit>],
}

impl Looks<'_> {
    /// True if these visits have more light in a place than most, and no visit has less.
    ///
    /// Most are those that cannot have new light: the faintest ones but for a minority.
    fn are_brighter(&self, place: &[u32], deviating: &[usize]) -> bool {
        let fluxes: Vec<Option<(f64, f64)>> =
            (0..self.visits.len()).map(|visit| self.flux(visit, place)).collect();
        let mut sorted: Vec<f64> = fluxes.iter().flatten().map(|(flux, _)| *flux).collect();
        if sorted.is_empty() {
            return false;
        }
        let index = (0.5 * (1.0 - MINORITY) * sorted.len() as f64) as usize;
        let most = *sorted.select_nth_unstable_by(index, f64::total_cmp).1;
        let sure = |error: f64| (SURE * error).max(LITTLE);
        let fainter = |(flux, error): &(f64, f64)| flux - most < -sure(*error);
        let brighter = |visit: &usize| fluxes[*visit].is_some_and(|(flux, error)| flux - most > sure(error));
        !fluxes.iter().flatten().any(fainter) && deviating.iter().all(brighter)
    }

    /// Flux of a visit in a place relative to its own prediction, less 1, and its error. It does
    /// not depend on the visit's seeing.
    fn flux(&self, visit: usize, place: &[u32]) -> Option<(f64, f64)> {
        let Noise { sky_variance: sky, shot } = self.visits[visit].noise;
        let (mut product, mut power, mut noise) = (0.0, 0.0, 0.0);
        for i in place.iter().filter_map(|at| self.places.binary_search(at).ok()) {
            let PixelFit { residual: Some(residual), prediction } = self.fits[visit][i] else { continue };
            // Where the prediction is dark, light counts in units of the noise.
            let (r, m) = (f64::from(residual), f64::from(prediction).max(sky.sqrt()));
            product += r * m;
            power += m * m;
            noise += m * m * (sky + shot * m);
        }
        (power > 0.0).then(|| (product / power, noise.sqrt() / power))
    }
}

/// Number of visits with data in each pixel.
fn data(visits: &[TileVisit], shape: (usize, usize)) -> Array2<u16> {
    let mut count = Array2::<u16>::zeros(shape);
    for visit in visits {
        count.iter_mut().zip(&visit.good).for_each(|(count, good)| *count += u16::from(*good != 0));
    }
    count
}

/// Groups of clipped pixels of a visit.
fn clipped_groups(visit: &TileVisit, cols: usize) -> Vec<PixelList> {
    let lost = visit.good.iter().zip(&visit.used).enumerate();
    let lost = lost.filter(|(_, (good, used))| **good != 0 && **used == 0).map(|(index, _)| index as u32);
    groups(&lost.collect::<PixelList>(), cols)
}

/// A pixel of a visit.
#[derive(Clone, Copy)]
struct PixelFit {
    /// Residual of the model; `None` without data.
    residual: Option<f32>,
    prediction: f32,
}

impl PixelFit {
    fn new(visit: &TileVisit, model: &[f32], at: usize) -> Self {
        let residual = (visit.good[at] != 0).then(|| visit.image[at] - model[at]);
        Self { residual, prediction: model[at] }
    }
}

/// Of the `places`, those where each visit deviates from the median of all.
fn against_median(
    visits: &[TileVisit],
    fits: &[Vec<PixelFit>],
    places: &[u32],
    config: &JointConfig,
) -> Vec<PixelList> {
    let fwhm = median(&mut visits.iter().map(|visit| visit.seeing_px as f32).collect::<Vec<_>>());
    let mut out = vec![vec![]; visits.len()];
    let mut values = vec![];
    for (i, at) in places.iter().enumerate() {
        values.clear();
        values.extend(fits.iter().filter_map(|of_visit| of_visit[i].residual));
        let common = median(&mut values);
        for ((visit, of_visit), out) in visits.iter().zip(fits).zip(&mut out) {
            let PixelFit { residual: Some(residual), prediction } = of_visit[i] else { continue };
            let light = (prediction + common).max(0.0);
            let noise = (visit.noise.sky_variance as f32 + visit.noise.shot as f32 * light).sqrt();
            let sharper = (fwhm / visit.seeing_px as f32).powi(2).max(1.0);
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

/// The median, for an even number the mean of two; 0 for an empty slice.
fn median(values: &mut [f32]) -> f32 {
    values.sort_unstable_by(f32::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[middle],
        _ => f32::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::joint::fourier::grid::Grid;
    use crate::joint::operator::tile::FULL;

    const SIDE: usize = 16;
    /// Index of the tested pixel.
    const AT: usize = 7 * SIDE + 9;
    /// Distance from holes within which nothing is restored.
    const REACH: usize = 2;

    /// Visits without light where the model has none, with one pixel of given value that is clipped
    /// or not.
    fn tile(fits: &[(f32, bool)]) -> Tile {
        let grid = Grid::new((SIDE, SIDE), 4);
        let visit = |(light, clipped): &(f32, bool)| {
            let transfer = vec![Complex32::new(1.0, 0.0); grid.modes()];
            let noise = Noise { sky_variance: 4.0, shot: 0.0 };
            let (dark, good) = (vec![0.0; SIDE * SIDE], vec![FULL; SIDE * SIDE]);
            let mut visit = TileVisit::new(transfer, dark, good, noise, 3.0);
            (visit.image[AT], visit.used[AT]) = (*light, FULL * u8::from(!clipped));
            visit
        };
        let visits = fits.iter().map(visit).collect();
        Tile::new(grid, 1, visits, 1.0)
    }

    /// Use of the pixel by each visit.
    fn used_after(tile: &mut Tile) -> Vec<bool> {
        let dark = vec![Complex32::default(); tile.unknowns()];
        let mut out = dark.clone();
        give_back_variables(tile, &dark, &mut out, REACH, &JointConfig::default());
        tile.visits.iter().map(|visit| visit.used[AT] == FULL).collect()
    }

    #[test]
    fn variables_that_many_visits_lose_are_given_back() {
        let pulsating: Vec<_> = (0..10).map(|i| ([50.0, -50.0, 3.0][i % 3], i % 3 != 2)).collect();
        assert_eq!(used_after(&mut tile(&pulsating)), [true; 10]);
        // Many that are fainter, and brighter ones of which others are fainter.
        let eclipsed: Vec<_> = (0..12).map(|i| (if i < 3 { -80.0 } else { 0.0 }, i < 3)).collect();
        assert_eq!(used_after(&mut tile(&eclipsed)), [true; 12]);
        let both: Vec<_> = (0..12)
            .map(|i| ([80.0, 80.0, 80.0, -80.0][i.min(3)] * f32::from(u8::from(i < 4)), i < 4))
            .collect();
        assert_eq!(used_after(&mut tile(&both)), [true; 12]);
        let half: Vec<_> = (0..12).map(|i| (if i < 5 { 80.0 } else { 0.0 }, i < 5)).collect();
        assert_eq!(used_after(&mut tile(&half)), [true; 12]);
    }

    #[test]
    fn variables_are_not_new_light_in_a_minority_of_visits() {
        for minority in [3, 4] {
            // The model has part of the new light, and the others are clipped for it.
            let fits: Vec<_> = (0..12).map(|i| (if i < minority { 80.0 } else { -25.0 }, true)).collect();
            let expected: Vec<bool> = (0..12).map(|i| i >= minority).collect();
            assert_eq!(used_after(&mut tile(&fits)), expected);
        }
    }

    #[test]
    fn variables_are_not_what_few_visits_lose() {
        for few in [1, 2] {
            let fits: Vec<_> = (0..12).map(|i| (if i < few { 80.0 } else { 0.0 }, i < few)).collect();
            let expected: Vec<bool> = (0..12).map(|i| i >= few).collect();
            assert_eq!(used_after(&mut tile(&fits)), expected);
        }
        // Two exposures cannot decide which is wrong.
        assert_eq!(used_after(&mut tile(&[(80.0, true), (-80.0, true)])), [false; 2]);
    }

    /// A cosmic ray biases the model: all visits deviate from it, but only one from the median.
    #[test]
    fn variables_are_separated_from_a_cosmic_ray_that_all_visits_depart_from() {
        let fits: Vec<_> = (0..10).map(|i| (if i == 4 { 900.0 } else { -100.0 }, true)).collect();
        let expected: Vec<bool> = (0..10).map(|i| i != 4).collect();
        assert_eq!(used_after(&mut tile(&fits)), expected);
    }

    /// A sharper exposure may deviate from the median by more of it.
    #[test]
    fn variables_may_depart_by_what_the_seeing_makes_of_the_models_error() {
        let fits: Vec<_> = (0..10).map(|i| (if i == 4 { 330.0 } else { 100.0 }, true)).collect();
        let mut alike = tile(&fits);
        assert!(!used_after(&mut alike)[4]);
        let mut sharp = tile(&fits);
        sharp.visits[4].seeing_px = 1.5;
        assert_eq!(used_after(&mut sharp), [true; 10]);
    }

    #[test]
    fn variables_beside_pixels_that_no_visit_has_stay_out() {
        let fits = [(50.0, true), (-50.0, true)].repeat(5);
        for (away, expected) in [(REACH, false), (REACH + 1, true)] {
            let mut tile = tile(&fits);
            for visit in &mut tile.visits {
                (visit.good[AT + away], visit.used[AT + away]) = (0, 0);
            }
            assert_eq!(used_after(&mut tile), [expected; 10]);
            assert!(tile.visits.iter().all(|visit| visit.used[AT + away] == 0));
        }
    }

    /// The residual is afterwards that of the pixels used then.
    #[test]
    fn variables_given_back_count_in_what_the_data_say() {
        let fits: Vec<_> = (0..10).map(|i| ([50.0, -50.0, 3.0][i % 3], i % 3 != 2)).collect();
        let mut tile = tile(&fits);
        let model: Vec<_> =
            (0..tile.unknowns()).map(|i| Complex32::new(0.0, if i % 5 == 1 { 0.4 } else { 0.0 })).collect();
        let mut out = vec![Complex32::default(); tile.unknowns()];
        tile.add_residual(Some(&model), &mut out);
        let before = out.clone();
        give_back_variables(&mut tile, &model, &mut out, REACH, &JointConfig::default());
        let mut expected = vec![Complex32::default(); tile.unknowns()];
        tile.add_residual(Some(&model), &mut expected);
        let apart =
            |a: &[Complex32]| a.iter().zip(&expected).map(|(a, b)| (a - b).norm()).fold(0.0, f32::max);
        assert!(apart(&before) > 1.0 && apart(&out) < 1e-3, "{} {}", apart(&before), apart(&out));
    }

    #[test]
    fn median_of_even_odd_and_none() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 8.0]), 3.0);
        assert_eq!(median(&mut []), 0.0);
    }
}
