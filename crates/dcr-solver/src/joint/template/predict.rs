//! The matched template: the prediction of the model for an exposure.

use ndarray::{Array2, ArrayView2};

use super::blocks::{Block, BlockModes, Blocks, OVERLAP};
use super::model::{JointModel, JointNoise, TemplatePsf};
use crate::joint::config::JointConfig;
use crate::joint::error::JointError;
use crate::joint::noise::coarse::coarse_transfer;
use crate::joint::noise::covariance::NoiseMaps;
use crate::joint::operator::tile::Buffer;
use crate::joint::operator::transfer::support_radius;
use crate::joint::problem::psf::PsfStamp;
use crate::joint::problem::visits::JointVisits;
use crate::joint::robust::offsets::{FitPixel, fit_pixel, fit_pixels, furthest, is_bright, trusted_pixels};
use crate::kernel::{PixelShift, Region};
use crate::observation::GOOD;

/// Rounds of fitting an exposure's offset: the second corrects the remainder of a large first one.
const ROUNDS: usize = 2;
/// Weights of central differences of sixth order, for the pixels at 1, 2 and 3 px. The slope of a
/// well sampled star is good to 1 %, as is the offset after a round.
const SLOPE: [f32; 3] = [45.0 / 60.0, -9.0 / 60.0, 1.0 / 60.0];

/// Request for a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateWanted {
    /// The part of the patch that the template covers.
    pub region: Region,
    /// PSF of the template.
    pub psf: TemplatePsf,
    /// Registration to the exposure: displacement by the offset that fits its pixels best.
    pub register: bool,
}

/// A template for one exposure, over the region of its request.
#[derive(Clone, Debug)]
pub struct JointTemplate {
    /// Prediction of the exposure.
    pub image: Array2<f32>,
    /// Variance, if the model has noise; infinite without data.
    pub variance: Option<Array2<f32>>,
    /// Pixels whose light comes from covered pixels only: all within the exposure's refraction and
    /// the PSF's FWHM are covered.
    pub trusted_yx: Array2<bool>,
    /// Offset of the exposure, applied to the template, px.
    pub offset: PixelShift,
    /// Flux of the exposure relative to the template, less 1: reported, not applied. `None` without
    /// bright pixels or without registration.
    pub flux_excess: Option<f64>,
}

/// Distance in pixels by which the model must extend beyond the template, for these displacements
/// of the exposure's light.
#[must_use]
pub fn template_reach(fiducial: &PsfStamp, displacements: &[PixelShift]) -> usize {
    OVERLAP.max(support_radius(furthest(displacements), fiducial.seeing_px()))
}

/// The template for exposure `index` of `exposures`.
///
/// Tiles are those of the patch: a part of a template equals the same part of the whole to 3·10⁻⁵
/// of the brightest pixel and, with registration, to the difference of the offset from fewer stars.
/// The result does not depend on the number of threads.
///
/// ```
/// use dcr_solver::joint::{
///     JointConfig, JointInMemory, JointModel, JointProblem, JointVisit, Noise, PsfStamp, Spectrum,
///     TemplatePsf, TemplateWanted, joint_template, solve_joint,
/// };
/// use dcr_solver::kernel::Region;
/// use dcr_solver::{GOOD, PixelShift};
/// use ndarray::Array2;
///
/// // A star in exposures of different seeing, the last of which is to be predicted.
/// let spectrum = Spectrum::new(&[410.0, 450.0, 490.0, 530.0], &[1.0; 4], &[0, 0, 1, 1], 470.0)?;
/// let visit = |fwhm: f64| -> Result<JointVisit, Box<dyn std::error::Error>> {
///     let variance = (fwhm / 2.354_82).powi(2);
///     let image = Array2::from_shape_fn((32, 32), |(y, x)| {
///         let r2 = (y as f64 - 16.0).powi(2) + (x as f64 - 15.0).powi(2);
///         (1e4 * (-0.5 * r2 / variance).exp() / variance) as f32
///     });
///     let (flags, psf) = (Array2::from_elem((32, 32), GOOD), PsfStamp::gaussian(fwhm)?);
///     let noise = Noise { sky_variance: 1.0, shot: 0.0 };
///     Ok(JointVisit { image, flags, noise, psf, displacements: vec![PixelShift::default(); 4] })
/// };
/// let visits = JointInMemory { visits: vec![visit(4.0)?, visit(4.3)?] };
/// let problem =
///     JointProblem { visits: &visits, shape: (32, 32), spectrum: &spectrum, fiducial: None };
/// let config = JointConfig::default();
/// let solution = solve_joint(&problem, &config, &mut |_, _| true)?;
///
/// let model = JointModel {
///     patch: (32, 32),
///     held: Region::whole((32, 32)),
///     planes_ayx: solution.planes_ayx.view(),
///     border: solution.border,
///     covered_yx: solution.covered_yx.view(),
///     spectrum: &spectrum,
///     fiducial: &solution.fiducial,
///     noise: None,
/// };
/// let exposures = JointInMemory { visits: vec![visit(5.0)?] };
/// let wanted = TemplateWanted {
///     region: Region::whole((32, 32)),
///     psf: TemplatePsf::Exposure,
///     register: false,
/// };
/// let template = joint_template(&model, &exposures, 0, &wanted, &config)?;
/// let peak = exposures.visits[0].image[[16, 15]];
/// assert!((template.image[[16, 15]] / peak - 1.0).abs() < 0.02);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`JointError::Source`] if pixels or PSF cannot be read, [`JointError::Config`] for a setting
/// outside its range.
///
/// # Panics
///
/// If the model's planes, coverage and spectrum differ in shape, or do not cover the wanted region.
pub fn joint_template(
    model: &JointModel,
    exposures: &dyn JointVisits,
    index: usize,
    wanted: &TemplateWanted,
    config: &JointConfig,
) -> Result<JointTemplate, JointError> {
    config.validate()?;
    let (rows, cols) = model.held.shape();
    let bordered = (model.spectrum.count(), rows + 2 * model.border, cols + 2 * model.border);
    assert_eq!(
        model.planes_ayx.dim(),
        bordered,
        "one plane for each subfilter, over what is held and its border"
    );
    assert_eq!(model.covered_yx.dim(), model.held.shape(), "the coverage of what is held");
    assert_eq!(wanted.region, wanted.region.intersection(&model.held), "what is wanted is held");
    let region = &wanted.region;
    let trusted_yx = trusted(model, exposures, index, region);
    let blocks = Blocks::new(model, exposures, index, wanted.psf, region, config)?;
    let (mut offset, mut flux_excess) = (PixelShift::default(), None);
    let planes = if wanted.register {
        let modes = blocks.map(|_, block, buffer| blocks.predict(block, buffer));
        for _ in 0..ROUNDS {
            let scene =
                Scene { blocks: &blocks, exposures, index, offset, region, trusted_yx: trusted_yx.view() };
            let pixels = blocks.map(|i, block, buffer| scene.bright_pixels(block, &modes[i], buffer));
            let pixels: Vec<Vec<FitPixel>> = pixels.into_iter().collect::<Result<_, _>>()?;
            let Some([dy, dx, flux]) = fit_pixels(&pixels.concat()).solve() else { break };
            offset = PixelShift { dy: offset.dy + dy, dx: offset.dx + dx };
            flux_excess = Some(flux);
        }
        blocks.map(|i, block, buffer| blocks.draw(block, &modes[i], offset, 0, buffer))
    } else {
        blocks.map(|_, block, buffer| {
            let modes = blocks.predict(block, buffer);
            blocks.draw(block, &modes, offset, 0, buffer)
        })
    };
    let variance = match &model.noise {
        Some(noise) => Some(variance(model, noise, exposures, index, wanted, config)?),
        None => None,
    };
    Ok(JointTemplate { image: blocks.join(&planes), variance, trusted_yx, offset, flux_excess })
}

/// Variance of the template, with the PSF and displacements in the middle of the patch: an offset
/// does not change it.
fn variance(
    model: &JointModel,
    noise: &JointNoise,
    exposures: &dyn JointVisits,
    index: usize,
    wanted: &TemplateWanted,
    config: &JointConfig,
) -> Result<Array2<f32>, JointError> {
    let whole = Region::whole(model.patch);
    let own = match wanted.psf {
        TemplatePsf::Exposure => Some(exposures.psf(index, &whole).map_err(JointError::Source)?),
        TemplatePsf::Fiducial => None,
    };
    let displacements = exposures.displacements(index, &whole);
    let transfer = coarse_transfer(model.spectrum, model.fiducial, own.as_deref(), &displacements, config);
    let inside = wanted.region.within(&model.held);
    let maps = NoiseMaps {
        coverage_yx: inside.of(&noise.maps.coverage_yx),
        prior_scale_yx: inside.of(&noise.maps.prior_scale_yx),
        source_noise_yx: inside.of(&noise.maps.source_noise_yx),
    };
    Ok(noise.covariance.template_variance(&transfer, &maps))
}

/// Pixels without an uncovered one within reach.
fn trusted(model: &JointModel, exposures: &dyn JointVisits, index: usize, region: &Region) -> Array2<bool> {
    let displacements = exposures.displacements(index, &Region::whole(model.patch));
    let (furthest, fwhm_px) = (furthest(&displacements), model.fiducial.seeing_px());
    let around = region.grown(support_radius(furthest, fwhm_px), &model.held);
    let covered = around.within(&model.held).of(&model.covered_yx);
    let trusted = trusted_pixels(covered, furthest, fwhm_px);
    region.within(&around).of(&trusted.view()).to_owned()
}

/// An exposure and its prediction at an offset.
struct Scene<'a, 'm> {
    blocks: &'a Blocks<'a, 'm>,
    exposures: &'a dyn JointVisits,
    index: usize,
    offset: PixelShift,
    region: &'a Region,
    /// Trusted pixels of the region.
    trusted_yx: ArrayView2<'a, bool>,
}

impl Scene<'_, '_> {
    /// Pixels of a block that constrain the offset, each in one block only.
    fn bright_pixels(
        &self,
        block: &Block,
        modes: &BlockModes,
        buffer: &mut Buffer,
    ) -> Result<Vec<FitPixel>, JointError> {
        let own = self.blocks.own(block);
        if own.rows.is_empty() || own.cols.is_empty() {
            return Ok(vec![]);
        }
        let margin = SLOPE.len();
        let model = self.blocks.draw(block, modes, self.offset, margin, buffer);
        let noise = self.exposures.noise(self.index);
        let pixels = self.exposures.pixels(self.index, &own).map_err(JointError::Source)?;
        let trusted = own.within(self.region).of(&self.trusted_yx);
        let mut out = vec![];
        for ((row, col), image) in pixels.image.indexed_iter() {
            let (y, x) = block.at((own.rows.start + row, own.cols.start + col), margin);
            let good = pixels.flags[[row, col]] & GOOD != 0 && image.is_finite() && trusted[[row, col]];
            if good && is_bright(model[[y, x]], &noise) {
                let along = |at: &dyn Fn(usize) -> f32| {
                    // Light displaced onwards is less where it becomes fainter.
                    let pairs = SLOPE.iter().enumerate().map(|(i, weight)| (i + 1, weight));
                    pairs.map(|(d, weight)| weight * (at(margin - d) - at(margin + d))).sum()
                };
                let by_dy = along(&|i| model[[y + i - margin, x]]);
                let by_dx = along(&|i| model[[y, x + i - margin]]);
                out.push(fit_pixel([by_dy, by_dx], model[[y, x]], *image, &noise));
            }
        }
        Ok(out)
    }
}
