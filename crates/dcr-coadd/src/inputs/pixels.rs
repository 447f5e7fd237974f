//! The pixels of a warp as the coadd sees them: which may be used, which are of sources.

use dcr_image::{BBox, Exposure, MaskPlanes, MaskedImage, ReadError};
use dcr_solver::{DETECTED, GOOD};
use ndarray::{Array2, Zip, s};

use crate::config::CoaddConfig;
use crate::inputs::Input;

/// A flag of pixels that are left out as artefacts, beside the solver's.
pub(crate) const ARTEFACT: u8 = 1 << 7;

/// Turns the flags of a pixel into those of an artefact.
pub fn leave_out(flags: &mut u8) {
    *flags = *flags & !GOOD | ARTEFACT;
}

/// Reads warps with the mask planes of the configuration.
pub struct PixelReader<'a> {
    bad: &'a [String],
    sources: &'a [String],
}

/// The pixels of a box of a warp, in the patch's unit.
pub struct VisitPixels {
    /// Scaled image, variance and mask.
    pub masked: MaskedImage,
    /// [`GOOD`] and [`DETECTED`].
    pub flags: Array2<u8>,
}

/// A row's image, variance, mask and flags.
pub type VisitRow<'a> = (&'a [f32], &'a [f32], &'a [i32], &'a [u8]);

impl VisitPixels {
    /// A row's image, variance, mask and flags.
    pub fn row(&self, y: usize) -> VisitRow<'_> {
        let MaskedImage { image, variance, mask, .. } = &self.masked;
        let parts = (
            image.row(y).to_slice(),
            variance.row(y).to_slice(),
            mask.row(y).to_slice(),
            self.flags.row(y).to_slice(),
        );
        let (Some(image), Some(variance), Some(mask), Some(flags)) = parts else {
            unreachable!("pixels that were read are contiguous")
        };
        (image, variance, mask, flags)
    }
}

impl<'a> PixelReader<'a> {
    /// A reader with the mask planes of these settings.
    pub fn new(config: &'a CoaddConfig) -> Self {
        Self { bad: &config.bad_mask_planes, sources: &config.convergence_mask_planes }
    }

    /// The mask planes whose pixels carry no data.
    pub(crate) fn bad_planes(&self) -> &'a [String] {
        self.bad
    }

    /// Reads a box. The mask keeps the file's own dictionary; glitches are flagged `ARTEFACT` and
    /// not good.
    pub fn read(&self, visit: &Input, part: BBox) -> Result<VisitPixels, ReadError> {
        let mut pixels = self.read_file(visit.file.as_ref(), visit.scale, visit.excluded.as_deref(), part)?;
        if let Some((rows, cols)) = part.slice_in(&visit.file.bbox()) {
            let width = visit.file.bbox().width;
            for (row, col) in visit.glitches.iter().map(|at| (*at as usize / width, *at as usize % width)) {
                if rows.contains(&row) && cols.contains(&col) {
                    leave_out(&mut pixels.flags[[row - rows.start, col - cols.start]]);
                }
            }
        }
        Ok(pixels)
    }

    /// Reads a box of a file, multiplied by `scale`, without the pixels that are `excluded`.
    pub(crate) fn read_file(
        &self,
        file: &dyn Exposure,
        scale: f32,
        excluded: Option<&Array2<bool>>,
        part: BBox,
    ) -> Result<VisitPixels, ReadError> {
        let mut masked = file.read(part)?;
        if scale != 1.0 {
            masked.image *= scale;
            masked.variance *= scale * scale;
        }
        let mut flags = self.flags(&masked, file.mask_planes());
        if let Some(excluded) = excluded
            && let Some((rows, cols)) = part.slice_in(&file.bbox())
        {
            Zip::from(&mut flags).and(excluded.slice(s![rows, cols])).for_each(|flags, excluded| {
                if *excluded {
                    *flags &= !GOOD;
                }
            });
        }
        Ok(VisitPixels { masked, flags })
    }

    /// Flags of the pixels. A pixel is good if no bad plane is set, image and variance are finite,
    /// and the variance is positive (docs/algorithm.md §5.1).
    pub fn flags(&self, masked: &MaskedImage, planes: &MaskPlanes) -> Array2<u8> {
        let (bad, sources) = (planes.bits_of(self.bad), planes.bits_of(self.sources));
        Zip::from(&masked.image).and(&masked.mask).and(&masked.variance).map_collect(
            |value, mask, variance| {
                let good = mask & bad == 0 && value.is_finite() && *variance > 0.0 && variance.is_finite();
                (GOOD * u8::from(good)) | (DETECTED * u8::from(mask & sources != 0))
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn flags_tell_good_from_bad_in_the_files_own_dictionary() {
        let mut planes = MaskPlanes::new();
        for (name, bit) in [("SAT", 7), ("CLIPPED", 0), ("DETECTED", 2)] {
            planes.insert_at(name, bit).unwrap();
        }
        let masked = MaskedImage {
            bbox: BBox::new(0, 0, 4, 2),
            image: array![[1.0, 1.0, f32::NAN, 1.0], [1.0, 1.0, f32::INFINITY, 1.0]],
            mask: array![[1, 1 << 7, 0, 4], [0, 0, 0, 4 | 1 << 7]],
            variance: array![[1.0, 1.0, 1.0, 1.0], [0.0, f32::NAN, 1.0, -1.0]],
        };
        let config = CoaddConfig::default();
        let flags = PixelReader::new(&config).flags(&masked, &planes);
        assert_eq!(flags, array![[GOOD, 0, 0, GOOD | DETECTED], [0, 0, 0, DETECTED]]);
    }
}
