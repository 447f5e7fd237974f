//! Prediction of the model for an exposure, block by block.
//!
//! Displacements and the components of the PSF are constant in a tile, so the transfer functions of
//! a small grid serve every block of it. A block is transformed with [`OVERLAP`] pixels of the
//! model around it, and those are dropped from the result (overlap-save). Blocks are independent of
//! each other, small enough for the cache, and their number grows with the wanted part of the
//! patch, not with the patch.
//!
//! # Accuracy
//!
//! The model fades over the outermost pixels of the overlap. A star at a sharp cut would ring into
//! the block (6·10⁻⁴ of the peak, where the PSF is undersampled). The remaining difference from
//! transforms of whole tiles is ringing of the PSF ratio and of the window beyond the overlap:
//! 1·10⁻⁶ of the brightest pixel, and 2·10⁻⁵ at a FWHM of 2.2 px or for sharpening from 4.0 to 2.5
//! px.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;
use rustfft::num_complex::Complex32;

use super::model::{JointModel, TemplatePsf};
use crate::joint::config::JointConfig;
use crate::joint::error::JointError;
use crate::joint::fourier::grid::{Grid, Way};
use crate::joint::fourier::modes::{add_product, multiply};
use crate::joint::operator::tile::Buffer;
use crate::joint::operator::transfer::{Fiducial, variation_ratios, visit_transfer};
use crate::joint::patch::division::{TileRegion, divide};
use crate::joint::problem::psf_field::PsfField;
use crate::joint::problem::visits::{JointVisits, check_displacements};
use crate::kernel::{PixelShift, Region};

/// Width of the model around a block that is transformed with it, px.
pub(crate) const OVERLAP: usize = 48;
/// Width of the outermost part of the overlap over which the model fades to 0, px.
const TAPER: usize = 16;
/// Longest side of a block, px. With its overlaps, the length suits transforms, and planes stay in
/// the cache.
const LONGEST: usize = 416;

/// The wanted part of a patch, in blocks.
pub(crate) struct Blocks<'a, 'm> {
    model: &'a JointModel<'m>,
    /// The wanted part of the patch.
    region: Region,
    grid: Grid,
    tiles: Vec<Tile>,
    pub(crate) blocks: Vec<Block>,
}

/// A tile of the patch with the exposure's transfer functions on the blocks' grid, `kx × subfilter
/// × ky`.
struct Tile {
    region: TileRegion,
    transfer: Vec<Complex32>,
    /// The exposure's PSF over the tile, and the transfer functions of its components relative to
    /// the mean's. `None` for a template with the PSF of the model.
    psf: Option<PsfField>,
    ratios: Vec<Vec<Complex32>>,
}

/// A part of a tile.
pub(crate) struct Block {
    tile: usize,
    /// Pixels of the block in the patch. Blocks of neighbouring tiles overlap, as the tiles do.
    region: Region,
}

/// Prediction of a block and its overlaps, as modes.
pub(crate) struct BlockModes(Vec<Complex32>);

impl<'a, 'm> Blocks<'a, 'm> {
    /// Divides `region`, and computes the transfer functions.
    pub(crate) fn new(
        model: &'a JointModel<'m>,
        exposures: &dyn JointVisits,
        index: usize,
        psf: TemplatePsf,
        region: &Region,
        config: &JointConfig,
    ) -> Result<Self, JointError> {
        let tiles: Vec<(TileRegion, Region)> = divide(model.patch, config)
            .into_iter()
            .map(|tile| (tile.reach().intersection(region), tile))
            .filter(|(part, _)| !part.rows.is_empty() && !part.cols.is_empty())
            .map(|(part, tile)| (tile, part))
            .collect();
        let mut blocks = vec![];
        for (tile, (_, part)) in tiles.iter().enumerate() {
            for rows in pieces(&part.rows) {
                let row = pieces(&part.cols).map(|cols| Region { rows: rows.clone(), cols });
                blocks.extend(row.map(|region| Block { tile, region }));
            }
        }
        let longest = |of: fn(&Region) -> usize| blocks.iter().map(|b| of(&b.region)).max().unwrap_or(0);
        let grid = Grid::new((longest(|r| r.rows.len()), longest(|r| r.cols.len())), OVERLAP);
        let frequencies = grid.frequencies();
        let fiducial = Fiducial::new(model.fiducial, &frequencies);
        let tiles = tiles.into_par_iter().map(|(region, _)| {
            let own = match psf {
                TemplatePsf::Exposure => {
                    Some(exposures.psf_field(index, &region.grown).map_err(JointError::Source)?)
                }
                TemplatePsf::Fiducial => None,
            };
            let displacements = exposures.displacements(index, &region.grown);
            check_displacements(index, &displacements, model.spectrum)?;
            let psf = own.as_ref().map(PsfField::mean);
            let transfer =
                visit_transfer(&frequencies, model.spectrum, &fiducial, psf, &displacements, config);
            let ratios = own.as_ref().map(|psf| variation_ratios(&frequencies, &fiducial, psf, config));
            Ok(Tile { region, transfer, psf: own, ratios: ratios.unwrap_or_default() })
        });
        let tiles = tiles.collect::<Result<_, JointError>>()?;
        Ok(Self { model, region: region.clone(), grid, tiles, blocks })
    }

    /// Results of `of` for every block, in the order of the blocks, which are processed side by
    /// side.
    pub(crate) fn map<T: Send>(&self, of: impl Fn(usize, &Block, &mut Buffer) -> T + Sync) -> Vec<T> {
        let each = |buffer: &mut Buffer, (i, block)| of(i, block, buffer);
        self.blocks.par_iter().enumerate().map_init(|| Buffer::new(&self.grid), each).collect()
    }

    /// Prediction of a block.
    pub(crate) fn predict(&self, block: &Block, buffer: &mut Buffer) -> BlockModes {
        let (grid, held, border) = (&self.grid, &self.model.held, self.model.border);
        let (n, ky) = (self.model.planes_ayx.len_of(Axis(0)), grid.ky());
        let rows = Lines::new(&block.region.rows, &held.rows, border, grid.tile_rows());
        let cols = Lines::new(&block.region.cols, &held.cols, border, grid.tile_cols());
        let mut predicted = vec![Complex32::default(); grid.modes()];
        let transfer = &self.tiles[block.tile].transfer;
        for (a, plane) in self.model.planes_ayx.axis_iter(Axis(0)).enumerate() {
            grid.write_rows(&mut buffer.spectrum, rows.to.clone(), &mut buffer.scratch, |row, line| {
                let (from, fade) = rows.source(row);
                line.fill(0.0);
                let source = plane.row(from);
                let source = source.iter().skip(cols.from).zip(&cols.fade);
                for (pixel, (value, along_x)) in line[cols.to.clone()].iter_mut().zip(source) {
                    *pixel = if value.is_finite() { *value * fade * along_x } else { 0.0 };
                }
            });
            for (ix, (modes, out)) in
                buffer.spectrum.chunks_exact_mut(ky).zip(predicted.chunks_exact_mut(ky)).enumerate()
            {
                grid.columns(modes, Way::Forward, &mut buffer.scratch);
                add_product(out, &transfer[(ix * n + a) * ky..][..ky], modes);
            }
        }
        BlockModes(predicted)
    }

    /// Pixels of a block and of `margin` pixels around it, displaced by a further `offset`, with
    /// the PSF of the place.
    pub(crate) fn draw(
        &self,
        block: &Block,
        predicted: &BlockModes,
        offset: PixelShift,
        margin: usize,
        buffer: &mut Buffer,
    ) -> Array2<f32> {
        let Tile { psf, ratios, .. } = &self.tiles[block.tile];
        let mut out = self.draw_component(block, predicted, (offset, None), margin, buffer);
        let Some(psf) = psf else { return out };
        let (rows, cols) = (&block.region.rows, &block.region.cols);
        for (component, ratio) in ratios.iter().enumerate() {
            let part = self.draw_component(block, predicted, (offset, Some(ratio)), margin, buffer);
            let weights = psf.weights(component, &block.region);
            let weights = ArrayView2::from_shape((rows.len(), cols.len()), &weights);
            let weights = weights.expect("one weight for each pixel of the block");
            let inside = |i: usize, n: usize| i.saturating_sub(margin).min(n - 1);
            for (at, value) in part.indexed_iter() {
                out[at] += value * weights[[inside(at.0, rows.len()), inside(at.1, cols.len())]];
            }
        }
        out
    }

    /// As [`Self::draw`], with the mean PSF, or of one component of unit weight.
    fn draw_component(
        &self,
        block: &Block,
        predicted: &BlockModes,
        (offset, ratio): (PixelShift, Option<&Vec<Complex32>>),
        margin: usize,
        buffer: &mut Buffer,
    ) -> Array2<f32> {
        let grid = &self.grid;
        let ky = grid.ky();
        let [along_y, along_x] = grid.frequencies().phases(offset.dy, offset.dx);
        let displaced = offset != PixelShift::default();
        let mut phases = vec![Complex32::default(); ky];
        let columns = buffer.spectrum.chunks_exact_mut(ky).zip(predicted.0.chunks_exact(ky));
        for (ix, ((modes, predicted), px)) in columns.zip(&along_x).enumerate() {
            if displaced {
                for (phase, py) in phases.iter_mut().zip(&along_y) {
                    let factor = px * py;
                    *phase = Complex32::new(factor.re as f32, factor.im as f32);
                }
                multiply(modes, predicted, &phases);
            } else {
                modes.copy_from_slice(predicted);
            }
            if let Some(ratio) = ratio {
                modes.iter_mut().zip(&ratio[ix * ky..]).for_each(|(mode, ratio)| *mode *= ratio);
            }
            grid.columns(modes, Way::Inverse, &mut buffer.scratch);
        }
        let within = |start: usize, length: usize| start - margin..start + length + margin;
        let rows = within(grid.tile_rows().start, block.region.rows.len());
        let cols = within(grid.tile_cols().start, block.region.cols.len());
        let (shape, scale) = ((rows.len(), cols.len()), grid.scale());
        let mut pixels = Vec::with_capacity(shape.0 * shape.1);
        grid.read_rows(&buffer.spectrum, rows, &mut buffer.scratch, |_, line| {
            pixels.extend(line[cols.clone()].iter().map(|v| v * scale));
        });
        Array2::from_shape_vec(shape, pixels).expect("as many pixels as rows and columns make")
    }

    /// The wanted part, joined from the planes of all blocks.
    pub(crate) fn join(&self, planes: &[Array2<f32>]) -> Array2<f32> {
        let mut out = Array2::zeros(self.region.shape());
        for (block, plane) in self.blocks.iter().zip(planes) {
            let target = block.region.within(&self.region);
            self.tiles[block.tile].region.add_share(
                &block.region,
                0,
                plane.view(),
                target.of_mut(out.view_mut()),
            );
        }
        out
    }

    /// Pixels of a block in the core of its tile.
    pub(crate) fn own(&self, block: &Block) -> Region {
        block.region.intersection(&self.tiles[block.tile].region.core)
    }
}

impl Block {
    /// The pixel `(y, x)` of the patch in a plane of the block and of `margin` pixels around it.
    pub(crate) fn at(&self, (y, x): (usize, usize), margin: usize) -> (usize, usize) {
        (y + margin - self.region.rows.start, x + margin - self.region.cols.start)
    }
}

/// A range in pieces of nearly equal length, none longer than [`LONGEST`].
fn pieces(range: &Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let (start, n) = (range.start, range.len());
    let count = n.div_ceil(LONGEST);
    (0..count).map(move |i| start + i * n / count..start + (i + 1) * n / count)
}

/// Lines of the model that are transformed with a block, along one axis.
struct Lines {
    /// First line, as an index of the model's planes.
    from: usize,
    /// Lines of the grid.
    to: Range<usize>,
    /// Factor on each line.
    fade: Vec<f32>,
}

impl Lines {
    /// Lines of `block` and of [`OVERLAP`] on either side, within the planes, which cover `held`
    /// and `border` on either side. The block begins at `inside` in the grid.
    fn new(block: &Range<usize>, held: &Range<usize>, border: usize, inside: Range<usize>) -> Self {
        let lines = held.len() + 2 * border;
        // In the planes, whose first line is `border` before that of `held`.
        let begins = block.start - held.start + border;
        let from = begins.saturating_sub(OVERLAP);
        let end = (begins + block.len() + OVERLAP).min(lines);
        let to = inside.start + from - begins;
        // A smooth end: a star at a sharp one would ring into the block.
        let taper = |i: usize| {
            let away = begins.saturating_sub(i).max((i + 1).saturating_sub(begins + block.len()));
            rise((OVERLAP - away) as f64 + 0.5, TAPER)
        };
        let fade = (from..end).map(|i| fade(i, lines, border) * taper(i)).collect();
        Self { from, to: to..to + end - from, fade }
    }

    /// Line of the planes for a line of the grid, and its factor.
    fn source(&self, line: usize) -> (usize, f32) {
        (self.from + line - self.to.start, self.fade[line - self.to.start])
    }
}

/// Factor on line `i` of `n`: 1 inside, with a smooth fall to 0 from the middle of the border to
/// its end. A displaced plane with a step would draw stripes far into it.
fn fade(i: usize, n: usize, border: usize) -> f32 {
    rise(i.min(n - 1 - i) as f64 + 0.5, border / 2)
}

/// Smooth rise from 0 to 1 over a `length`.
fn rise(at: f64, length: usize) -> f32 {
    let share = at / length as f64;
    if share < 1.0 { (0.5 * std::f64::consts::PI * share).sin().powi(2) as f32 } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, ArrayView2};

    use super::*;
    use crate::joint::fixtures::fine_band;
    use crate::joint::operator::tile::{grow, predict, tile_plane};
    use crate::joint::problem::psf::PsfStamp;
    use crate::joint::problem::visits::{JointInMemory, JointVisit, Noise};
    use crate::joint::template::predict::{TemplateWanted, joint_template, template_reach};

    /// Truncation by the overlap, in units of the brightest pixel (measured: 1.2e-6).
    const CUT_OFF: f32 = 3e-6;
    /// Ringing with a PSF sharpened to the limit (measured: 8.5e-6) or undersampled (1.8e-5).
    const RINGING: f32 = 3e-5;

    const BORDER: usize = 16;

    /// Stars of three colours over a patch, some on seams of tiles and blocks, some over its edge.
    fn planes((rows, cols): (usize, usize), fwhm: f64) -> Array3<f32> {
        let sigma = fwhm / 2.354_820_045;
        let mut planes = Array3::zeros((3, rows + 2 * BORDER, cols + 2 * BORDER));
        for i in 0..90 {
            let (y, x) = (rows as f64 * (0.618 * f64::from(i)).fract(), cols as f64 * f64::from(i) / 89.0);
            let fluxes = [1.0, 0.3 + 0.1 * f64::from(i % 11), 0.2 * f64::from(i % 7)];
            for (mut plane, flux) in planes.axis_iter_mut(Axis(0)).zip(fluxes) {
                let near = |at: f64, n: usize| (at - 14.0).max(0.0) as usize..((at + 14.0) as usize).min(n);
                for row in near(y + BORDER as f64, rows + 2 * BORDER) {
                    for col in near(x + BORDER as f64, cols + 2 * BORDER) {
                        let r2 = (row as f64 - BORDER as f64 - y).powi(2)
                            + (col as f64 - BORDER as f64 - x).powi(2);
                        plane[[row, col]] += (1e3 * flux * (-0.5 * r2 / (sigma * sigma)).exp()) as f32;
                    }
                }
            }
        }
        planes
    }

    /// An exposure with that PSF and refraction.
    fn exposure(psf: PsfStamp, (dy, dx): (f64, f64)) -> JointInMemory {
        let displacement = |w: &f64| {
            let share = (475.0 - w) / 144.0;
            PixelShift { dy: dy * share, dx: dx * share }
        };
        let displacements = fine_band().wavelengths().iter().map(displacement).collect();
        let noise = Noise { sky_variance: 1.0, shot: 0.0 };
        let (image, flags) = (Array2::zeros((0, 0)), Array2::zeros((0, 0)));
        JointInMemory { visits: vec![JointVisit { image, flags, noise, psf, displacements }] }
    }

    /// A profile with atmospheric wings.
    fn moffat(fwhm: f64, stretch: f64) -> PsfStamp {
        let alpha = fwhm / (2.0 * (2.0_f64.powf(1.0 / 3.0) - 1.0).sqrt());
        PsfStamp::new(Array2::from_shape_fn((41, 41), |(y, x)| {
            let r2 = (y as f64 - 20.0).powi(2) + ((x as f64 - 20.0) / stretch).powi(2);
            (1.0 + r2 / (alpha * alpha)).powi(-3)
        }))
        .unwrap()
    }

    /// The prediction by one padded transform per tile, without blocks.
    fn by_whole_tiles(model: &JointModel, exposure: &JointInMemory, config: &JointConfig) -> Array2<f32> {
        let mut out = Array2::zeros(model.patch);
        for region in divide(model.patch, config) {
            let grid = Grid::new(region.grown.shape(), config.padding);
            let (frequencies, n, ky) = (grid.frequencies(), model.spectrum.count(), grid.ky());
            let fiducial = Fiducial::new(model.fiducial, &frequencies);
            let visit = &exposure.visits[0];
            let transfer = visit_transfer(
                &frequencies,
                model.spectrum,
                &fiducial,
                Some(&visit.psf),
                &visit.displacements,
                config,
            );
            let mut buffer = Buffer::new(&grid);
            let mut modes = vec![Complex32::default(); n * grid.modes()];
            let (rows, cols) = (grow(grid.tile_rows(), BORDER), grow(grid.tile_cols(), BORDER));
            let bordered = |r: &Range<usize>| r.start..r.end + 2 * BORDER;
            let part = Region { rows: bordered(&region.grown.rows), cols: bordered(&region.grown.cols) };
            for (a, plane) in model.planes_ayx.axis_iter(Axis(0)).enumerate() {
                let plane: ArrayView2<f32> = part.of(&plane);
                grid.forward(&mut buffer.spectrum, rows.clone(), &mut buffer.scratch, |row, line| {
                    let y = row - rows.start;
                    line.fill(0.0);
                    for (x, (pixel, value)) in line[cols.clone()].iter_mut().zip(plane.row(y)).enumerate() {
                        *pixel = value * fade(y, rows.len(), BORDER) * fade(x, cols.len(), BORDER);
                    }
                });
                for (out, modes) in modes.chunks_exact_mut(n * ky).zip(buffer.spectrum.chunks_exact(ky)) {
                    out[a * ky..][..ky].copy_from_slice(modes);
                }
            }
            let (spectrum, scratch) = (&mut buffer.spectrum, &mut buffer.scratch);
            predict(&grid, n, &transfer, &modes, spectrum, scratch, |_, _| {});
            let pixels = tile_plane(&grid, spectrum, scratch);
            let plane = Array2::from_shape_vec(grid.shape, pixels).unwrap();
            region.blend(plane.view(), out.view_mut(), 0);
        }
        out
    }

    fn largest(plane: &Array2<f32>) -> f32 {
        plane.iter().fold(0.0, |m, v| m.max(v.abs()))
    }

    #[test]
    fn joint_template_of_a_part_is_that_of_the_whole() {
        let (patch, spectrum) = ((700, 560), fine_band());
        let covered = Array2::from_elem(patch, true);
        let gaussian = |fwhm: f64| PsfStamp::gaussian(fwhm).unwrap();
        for (fiducial, own, refraction, cut_off) in [
            (gaussian(3.0), gaussian(4.5), (2.5, -1.0), CUT_OFF),
            (moffat(3.5, 1.0), moffat(3.0, 1.15), (-3.0, 2.0), CUT_OFF),
            (moffat(4.0, 1.0), moffat(2.5, 1.0), (0.3, 5.0), RINGING),
            (moffat(2.2, 1.0), moffat(2.0, 0.9), (1.3, 0.0), RINGING),
            (moffat(5.0, 1.0), moffat(10.0, 1.1), (4.0, -3.0), CUT_OFF),
        ] {
            let planes = planes(patch, 1.1 * fiducial.seeing_px());
            let exposure = exposure(own, refraction);
            for config in [JointConfig::default(), JointConfig { tile_size: 400, ..JointConfig::default() }] {
                let whole = JointModel {
                    patch,
                    held: Region::whole(patch),
                    planes_ayx: planes.view(),
                    border: BORDER,
                    covered_yx: covered.view(),
                    spectrum: &spectrum,
                    fiducial: &fiducial,
                    noise: None,
                };
                let expected = by_whole_tiles(&whole, &exposure, &config);
                let peak = largest(&expected);
                for region in [Region::whole(patch), Region { rows: 0..300, cols: 211..530 }] {
                    let reach = template_reach(&fiducial, &exposure.visits[0].displacements);
                    let held = region.grown(reach, &Region::whole(patch));
                    let bordered = |r: &Range<usize>| r.start..r.end + 2 * BORDER;
                    let model = JointModel {
                        held: held.clone(),
                        planes_ayx: planes.slice(ndarray::s![.., bordered(&held.rows), bordered(&held.cols)]),
                        covered_yx: held.of(&covered.view()),
                        ..whole.clone()
                    };
                    let wanted = TemplateWanted {
                        region: region.clone(),
                        psf: TemplatePsf::Exposure,
                        register: false,
                    };
                    let got = joint_template(&model, &exposure, 0, &wanted, &config).unwrap().image;
                    let worst = largest(&(&got - &region.of(&expected.view()))) / peak;
                    assert!(worst < cut_off, "{} {region:?} {worst:e}", fiducial.seeing_px());
                }
            }
        }
    }
}
