//! The matched template: the model as an exposure would see it.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, ArrayView3, Axis, s};
use rustfft::num_complex::Complex32;

use super::config::JointConfig;
use super::covariance::{Covariance, NoiseMaps, coarse_transfer};
use super::fourier::Grid;
use super::offsets::{Derivatives, OffsetFit, fit, furthest, trusted_pixels};
use super::operator::{Slot, TileVisit, grow, predict, tile_plane};
use super::psf::PsfStamp;
use super::solve::{JointError, check_displacements};
use super::spectrum::Spectrum;
use super::tiles::{TileRegion, divide};
use super::transfer::{Fiducial, displace, visit_transfer};
use super::visits::JointVisits;
use crate::kernel::{PixelShift, Region};
use crate::observation::GOOD;

/// Rounds of fitting an exposure's offset: the second corrects what a large first one leaves.
const ROUNDS: usize = 2;

/// A solved model from which templates are made; all of it is in a finished run's files.
#[derive(Clone, Copy, Debug)]
pub struct JointModel<'a> {
    /// Fluxes of the subfilters at the fiducial PSF, `(subfilters, rows, cols)`, over the patch and `border` pixels around it.
    /// Pixels that are not finite count as 0.
    pub planes_ayx: ArrayView3<'a, f32>,
    /// By how many pixels the planes reach beyond the patch: light from there is seen inside it. With 0, stars at the edge are incomplete.
    pub border: usize,
    /// Pixels where the model rests on data.
    pub covered_yx: ArrayView2<'a, bool>,
    /// The spectrum that the fluxes stand for.
    pub spectrum: &'a Spectrum,
    /// The PSF that the planes have.
    pub fiducial: &'a PsfStamp,
    /// The noise of the planes, with which templates get a variance: see [`JointSolution`](super::JointSolution).
    pub noise: Option<JointNoise<'a>>,
}

/// What a template's variance follows from.
#[derive(Clone, Copy, Debug)]
pub struct JointNoise<'a> {
    /// Noise covariances of the subfilters.
    pub covariance: &'a Covariance,
    /// What it depends on from place to place.
    pub maps: NoiseMaps<'a>,
}

/// Which PSF a template has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplatePsf {
    /// The exposure's own.
    Exposure,
    /// The model's fiducial one, where the exposure's is not known.
    Fiducial,
}

/// A template for one exposure.
#[derive(Clone, Debug)]
pub struct JointTemplate {
    /// What the exposure should see of the model.
    pub image: Array2<f32>,
    /// Its variance, if the model came with its noise; infinite where nothing is known.
    pub variance: Option<Array2<f32>>,
    /// Pixels whose light comes from where the model rests on data: no pixel within the reach of the exposure's refraction and the
    /// PSF's FWHM is without.
    pub trusted_yx: Array2<bool>,
    /// The offset of the exposure that the template has, in pixels.
    pub offset: PixelShift,
    /// The exposure's flux over the template's, minus 1: reported, not applied. `None` if nothing was bright enough to tell, or registration was off.
    pub flux_excess: Option<f64>,
}

/// The template for exposure `index` of `exposures`, registered to it if `register` is set: displaced by the offset that fits it best.
///
/// # Errors
///
/// [`JointError::Source`] if pixels or PSF cannot be had, [`JointError::Config`] for settings that cannot be meant.
///
/// # Panics
///
/// If the model's planes, coverage and spectrum do not agree in shape.
pub fn joint_template(
    model: &JointModel,
    exposures: &dyn JointVisits,
    index: usize,
    psf: TemplatePsf,
    register: bool,
    config: &JointConfig,
) -> Result<JointTemplate, JointError> {
    config.validate()?;
    let (rows, cols) = model.covered_yx.dim();
    let bordered = (model.spectrum.count(), rows + 2 * model.border, cols + 2 * model.border);
    assert_eq!(
        model.planes_ayx.dim(),
        bordered,
        "one plane for each subfilter, over the patch and its border"
    );
    let tiles = divide((rows, cols), config);
    let trusted_yx = trusted(model, exposures, index);
    let mut offset = PixelShift::default();
    let mut flux_excess = None;
    for _ in 0..if register { ROUNDS } else { 0 } {
        let mut sum = OffsetFit::default();
        for region in &tiles {
            let mut view = View::open(model, exposures, index, psf, region, offset, config)?;
            sum.add(&view.fit(exposures, index, region, trusted_yx.view())?);
        }
        let Some([dy, dx, flux]) = sum.solve() else { break };
        offset = PixelShift { dy: offset.dy + dy, dx: offset.dx + dx };
        flux_excess = Some(flux);
    }
    let mut image = Array2::zeros((rows, cols));
    for region in &tiles {
        let mut view = View::open(model, exposures, index, psf, region, offset, config)?;
        region.blend(view.image().view(), image.view_mut(), 0);
    }
    let variance = match &model.noise {
        Some(noise) => Some(variance(model, noise, exposures, index, psf, config)?),
        None => None,
    };
    Ok(JointTemplate { image, variance, trusted_yx, offset, flux_excess })
}

/// The template's variance, with the PSF and displacements of the patch's middle: an offset does not change it.
fn variance(
    model: &JointModel,
    noise: &JointNoise,
    exposures: &dyn JointVisits,
    index: usize,
    psf: TemplatePsf,
    config: &JointConfig,
) -> Result<Array2<f32>, JointError> {
    let whole = Region::whole(model.covered_yx.dim());
    let own = match psf {
        TemplatePsf::Exposure => Some(exposures.psf(index, &whole).map_err(JointError::Source)?),
        TemplatePsf::Fiducial => None,
    };
    let displacements = exposures.displacements(index, &whole);
    let transfer = coarse_transfer(model.spectrum, model.fiducial, own.as_deref(), &displacements, config);
    Ok(noise.covariance.template_variance(&transfer, &noise.maps))
}

/// Pixels with no uncovered one within reach.
fn trusted(model: &JointModel, exposures: &dyn JointVisits, index: usize) -> Array2<bool> {
    let whole = Region::whole(model.covered_yx.dim());
    let displacements = exposures.displacements(index, &whole);
    trusted_pixels(model.covered_yx, furthest(&displacements), model.fiducial.fwhm_px())
}

/// A tile of the model with an exposure's transfer functions.
struct View {
    grid: Grid,
    n: usize,
    transfer: Vec<Complex32>,
    model: Vec<Complex32>,
    slot: Slot,
}

impl View {
    fn open(
        model: &JointModel,
        exposures: &dyn JointVisits,
        index: usize,
        psf: TemplatePsf,
        region: &TileRegion,
        offset: PixelShift,
        config: &JointConfig,
    ) -> Result<Self, JointError> {
        let grid = Grid::new(region.grown.shape(), config.padding);
        let frequencies = grid.frequencies();
        let fiducial = Fiducial::new(model.fiducial, &frequencies);
        let own = match psf {
            TemplatePsf::Exposure => Some(exposures.psf(index, &region.grown).map_err(JointError::Source)?),
            TemplatePsf::Fiducial => None,
        };
        let displacements = exposures.displacements(index, &region.grown);
        check_displacements(index, &displacements, model.spectrum)?;
        let n = model.spectrum.count();
        let mut transfer =
            visit_transfer(&frequencies, model.spectrum, &fiducial, own.as_deref(), &displacements, config);
        displace(&mut transfer, &frequencies, n, offset);
        let mut slot = Slot::new(&grid);
        let bordered = |r: &Range<usize>| r.start..r.end + 2 * model.border;
        let part = s![.., bordered(&region.grown.rows), bordered(&region.grown.cols)];
        let model = to_modes(&grid, model.planes_ayx.slice(part), model.border, &mut slot);
        Ok(Self { grid, n, transfer, model, slot })
    }

    fn image(&mut self) -> Array2<f32> {
        let slot = &mut self.slot;
        predict(
            &self.grid,
            self.n,
            &self.transfer,
            &self.model,
            &mut slot.spectrum,
            &mut slot.scratch,
            |_, _| {},
        );
        let pixels = tile_plane(&self.grid, &slot.spectrum, &mut slot.scratch);
        Array2::from_shape_vec(self.grid.shape, pixels).expect("a plane has the tile's shape")
    }

    /// Normal equations over the tile's own pixels.
    fn fit(
        &mut self,
        exposures: &dyn JointVisits,
        index: usize,
        region: &TileRegion,
        trusted_yx: ArrayView2<bool>,
    ) -> Result<OffsetFit, JointError> {
        let pixels = exposures.pixels(index, &region.grown).map_err(JointError::Source)?;
        let good: Vec<u8> = pixels
            .image
            .iter()
            .zip(pixels.flags.iter())
            .map(|(s, flags)| u8::from(flags & GOOD != 0 && s.is_finite()))
            .collect();
        let visit = TileVisit {
            transfer: vec![],
            image: pixels.image.iter().copied().collect(),
            used: good.clone(),
            good,
            noise: exposures.noise(index),
            fwhm_px: 0.0,
        };
        let mut within = region.own_pixels();
        within.iter_mut().zip(region.grown.of(&trusted_yx)).for_each(|(w, trusted)| *w &= trusted);
        let prediction = Derivatives::new(&self.grid, self.n, &self.transfer, &self.model, &mut self.slot);
        Ok(fit(&visit, &prediction, Some(&within)))
    }
}

/// The transforms of planes of the tile's shape and `border` pixels around it, laid out `kx × plane × ky`.
fn to_modes(grid: &Grid, planes: ArrayView3<f32>, border: usize, slot: &mut Slot) -> Vec<Complex32> {
    let (n, ky) = (planes.len_of(Axis(0)), grid.ky());
    let mut out = vec![Complex32::default(); n * grid.modes()];
    for (a, plane) in planes.axis_iter(Axis(0)).enumerate() {
        let (rows, cols) = (grow(grid.tile_rows(), border), grow(grid.tile_cols(), border));
        let (along_y, along_x) = (fade(rows.len(), border), fade(cols.len(), border));
        grid.forward(&mut slot.spectrum, rows.clone(), &mut slot.scratch, |row, line| {
            let y = row - rows.start;
            line.fill(0.0);
            for ((pixel, value), x) in line[cols.clone()].iter_mut().zip(plane.row(y)).zip(&along_x) {
                *pixel = if value.is_finite() { *value * along_y[y] * x } else { 0.0 };
            }
        });
        for (out, modes) in out.chunks_exact_mut(n * ky).zip(slot.spectrum.chunks_exact(ky)) {
            out[a * ky..][..ky].copy_from_slice(modes);
        }
    }
    out
}

/// 1 inside, and from the middle of the border to its end smoothly to 0: displacing a plane that ends in a step
/// would draw stripes far into it.
fn fade(n: usize, border: usize) -> Vec<f32> {
    let half = (border / 2) as f64;
    (0..n)
        .map(|i| {
            let from_end = i.min(n - 1 - i) as f64 + 0.5;
            if from_end < half {
                (0.5 * std::f64::consts::PI * from_end / half).sin().powi(2) as f32
            } else {
                1.0
            }
        })
        .collect()
}
