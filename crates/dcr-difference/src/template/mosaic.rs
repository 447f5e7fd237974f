//! Mosaic of patches on the pixels of an exposure.
//!
//! An exposure that lies entirely on the pixels of one patch takes them unchanged. For any other,
//! each patch that it overlaps is warped to its pixels ([`dcr_image::resample`]). Where patches
//! overlap, they are averaged with weights
//!
//! ```text
//! w = t / v,   t = min(1, distance to the patch's edge / 48 px)
//! ```
//!
//! inverse variance, tapered towards the edges of patches to avoid seams. Patches share visits, so
//! their noise is treated as fully correlated: the variance is the weighted mean of theirs. The
//! mask is the union of theirs.

use crate::error::DifferenceError;
use dcr_image::resample::{PositionMap, Resampler, WarpKernel, warp_stamp};
use dcr_image::{BBox, Exposure, MaskedImage, Stamp, Wcs};
use ndarray::{Array2, s};
use rayon::prelude::*;

use dcr_coadd::coadd::psf_selection::average;
use dcr_coadd::inputs::grid_difference;

/// The largest difference in px between grids that count as one.
pub(crate) const GRID_TOLERANCE_PX: f64 = 0.01;
/// Width in px of the taper inside a patch's edge. Patches of surveys overlap by 50 to 200 px.
const TAPER_PX: f64 = 48.0;
/// Rows that are warped as one piece of work.
const STRIP_ROWS: usize = 16;

/// Box and WCS of a patch.
#[derive(Clone, Copy)]
pub(crate) struct PatchFootprint<'a> {
    pub(crate) bbox: BBox,
    pub(crate) wcs: &'a Wcs,
}

/// Where the pixels of an exposure come from.
pub(crate) enum Placement {
    /// They are pixels of the patch of this number.
    SamePixels(usize),
    /// They are made from these patches.
    Warped(Vec<Overlap>),
}

/// A patch under an exposure.
pub(crate) struct Overlap {
    /// The number of the patch.
    pub(crate) patch: usize,
    /// The pixels of it that are needed.
    pub(crate) needed: BBox,
    map: PositionMap,
    /// Steps along x and y in the exposure, in pixels of the patch, in the middle of `needed`.
    matrix: [[f64; 2]; 2],
    /// The area of a pixel of the exposure there, in pixels of the patch.
    area: f64,
}

impl Placement {
    /// Finds the patches under an exposure.
    ///
    /// # Errors
    ///
    /// [`DifferenceError::NothingOverlaps`] without any; `patches_named` is for the message.
    pub(crate) fn find(
        exposure: &dyn Exposure,
        footprints: &[PatchFootprint<'_>],
        kernel: WarpKernel,
        patches_named: impl FnOnce() -> String,
    ) -> Result<Self, DifferenceError> {
        let own = exposure.bbox();
        let same = |footprint: &PatchFootprint<'_>| {
            footprint.bbox.contains_box(&own)
                && grid_difference(footprint.wcs, exposure.wcs(), &own, GRID_TOLERANCE_PX).is_none()
        };
        if let Some(patch) = footprints.iter().position(same) {
            return Ok(Self::SamePixels(patch));
        }
        let overlaps: Vec<Overlap> = footprints
            .par_iter()
            .enumerate()
            .filter_map(|(patch, footprint)| Overlap::of(exposure, patch, footprint, kernel))
            .collect();
        if overlaps.is_empty() {
            let (x, y) = own.centre();
            return Err(DifferenceError::NothingOverlaps {
                path: exposure.path().to_owned(),
                place: exposure.wcs().pixel_to_sky(x, y).ok(),
                patches: patches_named(),
            });
        }
        Ok(Self::Warped(overlaps))
    }

    /// The patches, by number.
    pub(crate) fn patches(&self) -> Vec<usize> {
        match self {
            Self::SamePixels(patch) => vec![*patch],
            Self::Warped(overlaps) => overlaps.iter().map(|overlap| overlap.patch).collect(),
        }
    }

    /// Fetches the pixels of the patches and brings them to those of the exposure.
    ///
    /// # Errors
    ///
    /// Errors of `fetch`, which takes the number of a patch and a box of it.
    pub(crate) fn pixels(
        &self,
        own: BBox,
        footprints: &[PatchFootprint<'_>],
        kernel: WarpKernel,
        no_data: i32,
        mut fetch: impl FnMut(usize, BBox) -> Result<MaskedImage, DifferenceError>,
    ) -> Result<MaskedImage, DifferenceError> {
        match self {
            Self::SamePixels(patch) => fetch(*patch, own),
            Self::Warped(overlaps) => {
                let sources = overlaps
                    .iter()
                    .map(|overlap| {
                        let pixels = fetch(overlap.patch, overlap.needed)?;
                        let source = Resampler::new(pixels, no_data, kernel, overlap.area);
                        Ok(Source { source, map: &overlap.map, patch: footprints[overlap.patch].bbox })
                    })
                    .collect::<Result<Vec<_>, DifferenceError>>()?;
                Ok(joined(own, &sources, no_data))
            }
        }
    }

    /// Mean of the patches' PSFs in the pixels of the exposure, each taken in the middle of its
    /// overlap and weighted by its number of pixels. `None` if no patch has one.
    ///
    /// # Errors
    ///
    /// [`CoaddError::Psf`] if a PSF cannot be resampled, and errors of `stamp_of`, which takes the
    /// number of a patch and a position in it.
    pub(crate) fn psf(
        &self,
        own: &BBox,
        kernel: WarpKernel,
        stamp_of: impl Fn(usize, (f64, f64)) -> Result<Option<Stamp>, DifferenceError>,
    ) -> Result<Option<Stamp>, DifferenceError> {
        let overlaps = match self {
            Self::SamePixels(patch) => return stamp_of(*patch, own.centre()),
            Self::Warped(overlaps) => overlaps,
        };
        let mut stamps: Vec<(Stamp, f64)> = Vec::new();
        for overlap in overlaps {
            let Some(stamp) = stamp_of(overlap.patch, overlap.needed.centre())? else { continue };
            stamps.push((warp_stamp(&stamp, overlap.matrix, kernel)?, overlap.needed.area() as f64));
        }
        if stamps.is_empty() {
            return Ok(None);
        }
        let stamps: Vec<(&Stamp, f64)> = stamps.iter().map(|(stamp, weight)| (stamp, *weight)).collect();
        Ok(Some(average(&stamps)?))
    }
}

impl Overlap {
    fn of(
        exposure: &dyn Exposure,
        patch: usize,
        footprint: &PatchFootprint<'_>,
        kernel: WarpKernel,
    ) -> Option<Self> {
        let own = exposure.bbox();
        if far_apart(exposure.wcs(), &own, footprint) {
            return None;
        }
        let map = PositionMap::new(exposure.wcs(), own, footprint.wcs, &footprint.bbox);
        let near = map.source_box(&footprint.bbox, 0)?;
        let (x, y) = near.centre();
        let (u, v) = exposure.wcs().sky_to_pixel(footprint.wcs.pixel_to_sky(x, y).ok()?).ok()?;
        let (from, to) = (exposure.wcs().jacobian(u, v).ok()?, footprint.wcs.jacobian(x, y).ok()?);
        let (xx, yx) = to.pixels_for(from.east_x, from.north_x)?;
        let (xy, yy) = to.pixels_for(from.east_y, from.north_y)?;
        let area = (xx * yy - xy * yx).abs();
        let needed = near.grown(Resampler::reach_px(kernel, area) + 1).clipped(&footprint.bbox);
        Some(Self { patch, needed, map, matrix: [[xx, xy], [yx, yy]], area })
    }
}

/// True if the circumscribed circles of two images on the sky are disjoint.
fn far_apart(wcs: &Wcs, bbox: &BBox, footprint: &PatchFootprint<'_>) -> bool {
    match (circle(wcs, bbox), circle(footprint.wcs, &footprint.bbox)) {
        (Some((a, r)), Some((b, s))) => angle(a, b) > r + s,
        // What cannot be told so is found out pixel by pixel.
        _ => false,
    }
}

/// A direction and an angle about it, in radians, within which a box lies.
fn circle(wcs: &Wcs, bbox: &BBox) -> Option<([f64; 3], f64)> {
    let direction = |x: f64, y: f64| {
        let sky = wcs.pixel_to_sky(x, y).ok()?;
        let ((sin_ra, cos_ra), (sin_dec, cos_dec)) =
            (sky.ra.radians().sin_cos(), sky.dec.radians().sin_cos());
        Some([cos_dec * cos_ra, cos_dec * sin_ra, sin_dec])
    };
    let (x, y) = bbox.centre();
    let centre = direction(x, y)?;
    let (left, right) = (bbox.x0 as f64 - 1.0, bbox.x1() as f64);
    let (bottom, top) = (bbox.y0 as f64 - 1.0, bbox.y1() as f64);
    let mut radius = 0.0_f64;
    for (x, y) in [(left, bottom), (right, bottom), (left, top), (right, top)] {
        radius = radius.max(angle(centre, direction(x, y)?));
    }
    // Distortions may bend the sides outwards.
    Some((centre, 1.1 * radius))
}

fn angle(a: [f64; 3], b: [f64; 3]) -> f64 {
    let chord = (0..3).map(|i| (a[i] - b[i]).powi(2)).sum::<f64>().sqrt();
    2.0 * (chord / 2.0).min(1.0).asin()
}

/// A patch's pixels, ready to be warped.
struct Source<'a> {
    source: Resampler,
    map: &'a PositionMap,
    /// All pixels of the patch.
    patch: BBox,
}

impl Source<'_> {
    /// The taper at a pixel of the exposure.
    fn taper(&self, x: i64, y: i64) -> f64 {
        let place = self.map.at(x, y);
        let from_edge = |at: f64, first: i64, end: i64| (at - first as f64).min(end as f64 - 1.0 - at) + 1.0;
        let distance = from_edge(place.x, self.patch.x0, self.patch.x1()).min(from_edge(
            place.y,
            self.patch.y0,
            self.patch.y1(),
        ));
        (distance / TAPER_PX).clamp(1e-3, 1.0)
    }
}

/// All sources in the pixels of the exposure.
fn joined(own: BBox, sources: &[Source<'_>], no_data: i32) -> MaskedImage {
    let strips: Vec<BBox> = own.tiles((own.width, STRIP_ROWS)).collect();
    let done: Vec<MaskedImage> =
        strips.par_iter().map(|strip| joined_strip(*strip, sources, no_data)).collect();
    let mut out = MaskedImage::zeros(own);
    for strip in done {
        let first = (strip.bbox.y0 - own.y0) as usize;
        let rows = s![first..first + strip.bbox.height, ..];
        out.image.slice_mut(rows).assign(&strip.image);
        out.mask.slice_mut(rows).assign(&strip.mask);
        out.variance.slice_mut(rows).assign(&strip.variance);
    }
    out
}

fn joined_strip(strip: BBox, sources: &[Source<'_>], no_data: i32) -> MaskedImage {
    let mut warped: Vec<MaskedImage> =
        sources.iter().map(|source| source.source.resample(source.map, strip)).collect();
    if let [_] = warped[..] {
        return warped.remove(0);
    }
    let mut out = MaskedImage {
        bbox: strip,
        image: Array2::from_elem(strip.shape(), f32::NAN),
        mask: Array2::from_elem(strip.shape(), no_data),
        variance: Array2::from_elem(strip.shape(), f32::NAN),
    };
    for row in 0..strip.height {
        for col in 0..strip.width {
            let at = [row, col];
            let (mut weights, mut value, mut variance, mut mask) = (0.0, 0.0, 0.0, 0);
            for (image, source) in warped.iter().zip(sources) {
                if image.mask[at] & no_data != 0 {
                    continue;
                }
                let own_variance = f64::from(image.variance[at]);
                let taper = source.taper(strip.x0 + col as i64, strip.y0 + row as i64);
                // Without a variance that can weigh, the taper alone does.
                let weight = if own_variance > 0.0 { taper / own_variance } else { taper };
                weights += weight;
                value += weight * f64::from(image.image[at]);
                variance += weight * own_variance;
                mask |= image.mask[at];
            }
            if weights > 0.0 {
                out.image[at] = (value / weights) as f32;
                out.variance[at] = (variance / weights) as f32;
                out.mask[at] = mask;
            }
        }
    }
    out
}
