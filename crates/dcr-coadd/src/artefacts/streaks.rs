//! Streaks of satellites and aeroplanes: straight trails, found by sums along lines.
//!
//! A trail with a peak of 0.6 σ of a pixel is invisible in a pixel and in the area of a PSF, as are
//! the wings of a bright trail. Over 256 pixels it is found (0.5 σ is not). Each exposure's
//! departure from the standard coadd, in σ of its sky, is searched away from sources:
//!
//! 1. It is averaged over squares of the PSF's width, and slow variations are removed. Squares
//!    above 2.5 σ vote for straight lines ([`dcr_measure::streaks::hough`]; R. O. Duda & P. E.
//!    Hart, 1972, Comm. ACM 15, 11).
//! 2. Light is summed along the line of the highest score (a Radon transform near that line). This
//!    gives the sharpest direction, the ends, and whether the streak is significant, long and even
//!    enough ([`dcr_measure::streaks::band`]).
//! 3. The band in which the profile across is above noise is masked, sources under it included.
//! 4. The votes of the line are removed, and the next line is searched.
//!
//! Only excess light is searched for: a trail that remains in the standard coadd leaves negative
//! lines in all other exposures. Features that exposures share are no artefacts
//! ([`dcr_solver::Rarity`]): the spikes of a bright star stay. Spikes that turn with the field are
//! masked, but not the star: pixels with a streak in more than few exposures stay in all.
//!
//! No model of refraction is needed away from sources, so this search precedes either solver.

use dcr_solver::kernel::{Region, dilate_diamond};
use dcr_solver::{GOOD, Observations, PixelList};
use ndarray::{Array2, Axis, s};
use rayon::prelude::*;

use crate::config::ArtefactConfig;
use crate::error::CoaddError;
use crate::inputs::store::Store;
use crate::patch::state::PatchState;
use crate::run::run_log::RunLog;
use dcr_measure::statistics::{SIGMA_PER_MAD, median_of_pixels};
use dcr_measure::streaks::band::{Demands, Place, streak};
use dcr_measure::streaks::hough::{Line, Points};

/// Side of the squares in px, at least and at most.
const SIDES: (usize, usize) = (2, 8);
/// Minimum usable share of a square.
const USABLE: f32 = 0.5;
/// Minimum brightness of a voting square, in σ.
const VOTING_SIGMAS: f32 = 2.5;
/// Lines of a lower score are not looked at.
const LEAST_SCORE: f64 = 6.0;
/// Lines that are looked at in an exposure, at most.
const MOST_LINES: usize = 12;
/// Scale in squares above which variations count as sky.
const SKY_SQUARES: usize = 32;
/// Half the width of the band that is looked at, in FWHM.
const HALF_BAND: f64 = 6.0;
/// Side of the parts in which pixels beside a line are read.
const PART: usize = 128;

/// Streak pixels of each visit. The store comes with all pixels, and is left unchanged.
///
/// # Errors
///
/// [`CoaddError`] if pixels cannot be read, or the monitor asks to stop.
pub(super) fn find(
    state: &PatchState,
    store: &Store,
    settings: &ArtefactConfig,
    data_yx: &Array2<u16>,
    log: &RunLog<'_>,
) -> Result<Vec<PixelList>, CoaddError> {
    let grow = (0..store.visits()).map(|visit| state.fwhm_px(visit)).fold(0.0, f64::max) / 2.0;
    let mut closed_yx = dilate_diamond(state.sources.view(), grow.ceil() as usize);
    closed_yx.zip_mut_with(&state.template.image, |closed, light| *closed |= !light.is_finite());
    let of_visit = |visit: usize| -> Result<Vec<PixelList>, CoaddError> {
        log.go_on()?;
        let streaks = Residual { state, store, visit, closed_yx: &closed_yx }.streaks(settings)?;
        log.monitor.step(&state.survey.inputs.visits[visit].name());
        Ok(streaks)
    };
    let found: Vec<Result<Vec<PixelList>, CoaddError>> =
        (0..store.visits()).into_par_iter().map(of_visit).collect();
    let found: Vec<Vec<PixelList>> = found.into_iter().collect::<Result<_, _>>()?;
    let rarity = settings.rarity();
    Ok(rarity.pixels_of_few(&rarity.rare(&found, data_yx), data_yx))
}

/// An exposure's excess over the standard coadd.
struct Residual<'a> {
    state: &'a PatchState,
    store: &'a Store,
    visit: usize,
    /// Sources, and pixels without light.
    closed_yx: &'a Array2<bool>,
}

/// Means over squares.
struct Squares {
    side: usize,
    /// In σ of their own; NaN where too few pixels can be used.
    sigmas: Array2<f32>,
    /// The sky in σ of a pixel, block by block.
    sky: Array2<f32>,
}

impl Residual<'_> {
    fn streaks(&self, settings: &ArtefactConfig) -> Result<Vec<PixelList>, CoaddError> {
        let fwhm = self.state.fwhm_px(self.visit);
        let squares = self.squares((fwhm.round() as usize).clamp(SIDES.0, SIDES.1))?;
        let mut points = squares.points();
        let demands = Demands {
            significance: settings.streak_significance,
            length: settings.streak_min_length,
            fwhm,
            off: 2.0 * squares.side as f64,
        };
        let mut found: Vec<PixelList> = vec![];
        for _ in 0..MOST_LINES {
            let Some((in_squares, score)) = points.best_line() else { break };
            if score < LEAST_SCORE {
                break;
            }
            let line = squares.in_pixels(in_squares, self.closed_yx.dim());
            let half_band = HALF_BAND * fwhm + demands.off;
            if let Some(mut pixels) = streak(&self.beside(&line, half_band, &squares)?, line, &demands) {
                tracing::debug!(visit = self.visit, score, pixels = pixels.len(), ?line, "streak");
                // A broad one is found again along its sides.
                pixels.retain(|pixel| found.iter().all(|earlier| earlier.binary_search(pixel).is_err()));
                pixels.sort_unstable();
                found.extend((!pixels.is_empty()).then_some(pixels));
            }
            points.remove_near(&in_squares, 2.0);
        }
        Ok(found)
    }

    /// Departures from the standard coadd in σ of the sky; NaN on sources and without data.
    fn departures(&self, region: &Region) -> Result<(Array2<f32>, Array2<bool>), CoaddError> {
        let pixels = self.store.pixels(self.visit, region)?;
        let sigma = self.state.survey.noise[self.visit].sky_variance.sqrt() as f32;
        let good = pixels.flags.mapv(|flags| flags & GOOD != 0);
        let template = self.state.template.image.view();
        let (light, closed) = (region.of(&template), self.closed_yx.view());
        let mut out = Array2::from_elem(region.shape(), f32::NAN);
        ndarray::Zip::from(&mut out)
            .and(&pixels.image)
            .and(&good)
            .and(&light)
            .and(&region.of(&closed))
            .for_each(|out, value, good, light, closed| {
                if *good && !closed {
                    *out = (value - light) / sigma;
                }
            });
        Ok((out, good))
    }

    fn squares(&self, side: usize) -> Result<Squares, CoaddError> {
        let (rows, cols) = self.closed_yx.dim();
        let shape = (rows.div_ceil(side), cols.div_ceil(side));
        let (mut means, mut counts) = (Array2::<f32>::zeros(shape), Array2::<f32>::zeros(shape));
        let strip = side * PART;
        for start in (0..rows).step_by(strip) {
            let region = Region { rows: start..(start + strip).min(rows), cols: 0..cols };
            let (departures, _) = self.departures(&region)?;
            for (y, row) in departures.outer_iter().enumerate() {
                let at = (start + y) / side;
                let squares = means.row_mut(at).into_iter().zip(counts.row_mut(at));
                for ((sum, count), values) in squares.zip(row.axis_chunks_iter(Axis(0), side)) {
                    for value in values.iter().filter(|value| value.is_finite()) {
                        *sum += value;
                        *count += 1.0;
                    }
                }
            }
        }
        let fewest = USABLE * (side * side) as f32;
        means.zip_mut_with(&counts, |mean, count| {
            *mean = if *count >= fewest { *mean / count } else { f32::NAN };
        });
        let blocks = (shape.0.div_ceil(SKY_SQUARES), shape.1.div_ceil(SKY_SQUARES));
        let sky = Array2::from_shape_fn(blocks, |(by, bx)| {
            let part = |block: usize, n: usize| block * SKY_SQUARES..((block + 1) * SKY_SQUARES).min(n);
            let block = means.slice(s![part(by, shape.0), part(bx, shape.1)]);
            median_of_pixels(block.iter().copied().filter(|mean| mean.is_finite()).collect())
        });
        let mut sigmas = means;
        for ((y, x), value) in sigmas.indexed_iter_mut() {
            *value = (*value - sky[[y / SKY_SQUARES, x / SKY_SQUARES]]) * counts[[y, x]].sqrt();
        }
        let scatter = SIGMA_PER_MAD as f32
            * median_of_pixels(sigmas.iter().filter(|s| s.is_finite()).map(|s| s.abs()).collect());
        if scatter > 0.0 {
            sigmas /= scatter;
        }
        Ok(Squares { side, sigmas, sky })
    }

    /// The pixels within `half_band` px of a line.
    fn beside(&self, line: &Line, half_band: f64, squares: &Squares) -> Result<Vec<Place>, CoaddError> {
        let (rows, cols) = self.closed_yx.dim();
        let from_middle = |i: usize, n: usize| i as f64 - (n as f64 - 1.0) / 2.0;
        let axes = line.axes();
        let mut places = vec![];
        for part in dcr_image::BBox::new(0, 0, cols, rows).tiles((PART, PART)) {
            let (y0, x0) = (part.y0 as usize, part.x0 as usize);
            let middle = (
                from_middle(x0, cols) + part.width as f64 / 2.0,
                from_middle(y0, rows) + part.height as f64 / 2.0,
            );
            if axes.across(middle).abs() > half_band + PART as f64 {
                continue;
            }
            let region = Region { rows: y0..y0 + part.height, cols: x0..x0 + part.width };
            let (departures, good) = self.departures(&region)?;
            for ((y, x), value) in departures.indexed_iter().filter(|(at, _)| good[*at]) {
                let (row, col) = (y0 + y, x0 + x);
                let (dx, dy) = (from_middle(col, cols), from_middle(row, rows));
                if axes.across((dx, dy)).abs() <= half_band {
                    let block = squares.side * SKY_SQUARES;
                    let sigmas = value.is_finite().then(|| value - squares.sky[[row / block, col / block]]);
                    places.push(Place { x: dx, y: dy, sigmas, pixel: (row * cols + col) as u32 });
                }
            }
        }
        Ok(places)
    }
}

impl Squares {
    /// The bright ones.
    fn points(&self) -> Points {
        let (rows, cols) = self.sigmas.dim();
        let from_middle = |i: usize, n: usize| i as f64 - (n as f64 - 1.0) / 2.0;
        let bright = self.sigmas.indexed_iter().filter(|(_, sigmas)| **sigmas > VOTING_SIGMAS);
        Points {
            shape: (rows, cols),
            places: bright.map(|((y, x), _)| (from_middle(x, cols), from_middle(y, rows))).collect(),
            possible: self.sigmas.iter().filter(|sigmas| sigmas.is_finite()).count(),
        }
    }

    /// Converts a line through squares to pixels of the patch. The centres of both grids differ
    /// where squares extend beyond the patch.
    fn in_pixels(&self, line: Line, patch: (usize, usize)) -> Line {
        let side = self.side as f64;
        let offset = |squares: usize, pixels: usize| (side * squares as f64 - pixels as f64) / 2.0;
        let (rows, cols) = self.sigmas.dim();
        let (sin, cos) = line.theta.sin_cos();
        let (dx, dy) = (offset(cols, patch.1), offset(rows, patch.0));
        Line { theta: line.theta, rho: side * line.rho + dx * cos + dy * sin }
    }
}
