//! Files of one visit with different parts of one grid, joined into one exposure.
//!
//! Each pixel comes from a part with data. Where several parts have data, parts without BAD, SAT or
//! CR come first, then the smallest variance, then the order. Header and WCS are those of the first
//! part, mask planes those of all, and the PSF at a position is that of the part that covers it.

use std::path::PathBuf;

use dcr_physics::Assumption;
use ndarray::{Array2, ArrayView2, Zip, s};

use super::FitsError;
use super::exposure::{ExposureFile, NO_DATA, Part};
use crate::mask::Translation;
use crate::psf::{PART_CELL, Psf, PsfParts};
use crate::{BBox, MaskedImage};

/// Maximum overlap of two parts, as a share of the smaller one's pixels with data.
const MOST_OVERLAP: f64 = 0.1;
/// Rows of cells read at a time.
const STRIP_CELLS: usize = 32;
/// Mask planes that make pixels of another part preferable.
const FLAWED: [&str; 3] = ["BAD", "SAT", "CR"];

/// Files that do not form one exposure.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// Two files have data in the same pixels.
    #[error("{}: it overlaps {:.0} % of the pixels with data in {}", second.display(), 100.0 * share, first.display())]
    Overlap {
        /// One file.
        first: PathBuf,
        /// Another.
        second: PathBuf,
        /// Overlap, as a share of the smaller one's pixels with data.
        share: f64,
    },
    /// A file cannot be read, or is on another pixel grid than the first.
    #[error(transparent)]
    Fits(#[from] FitsError),
}

impl ExposureFile {
    /// Joins files of one visit on one pixel grid. Each file has a factor for its pixel values;
    /// that of the first is 1. All pixels are read once to find the area of each part.
    ///
    /// # Errors
    ///
    /// [`JoinError`] if two parts overlap in more than a tenth of the smaller one's pixels, if a
    /// file cannot be read, or if the mask planes exceed one dictionary.
    pub fn join(mut self, others: Vec<(Self, f32)>) -> Result<Self, JoinError> {
        let mut files = vec![&self];
        files.extend(others.iter().map(|(file, _)| file));
        let Coverage { cells, extents } = Coverage::of(&files)?;
        let psfs: Vec<Option<Psf>> = files.iter().map(|file| file.psf().cloned()).collect();
        if let Some(without) = psfs.iter().position(Option::is_none)
            && psfs.iter().any(Option::is_some)
        {
            let name = files[without].path().display().to_string();
            let text = format!("{name} has no PSF: that of the nearest part is used.");
            self.visit.assumptions.push(Assumption { quantity: "psf".into(), text, warning: true });
        }
        self.psf = PsfParts::new(self.bbox, &cells, psfs).map(Psf::Parts);
        for ((file, scale), extent) in others.into_iter().zip(extents.into_iter().skip(1)) {
            let mask_error = |source| FitsError::Mask {
                path: file.path().to_owned(),
                hdu: file.image.label.clone(),
                source,
            };
            self.planes.merge(&file.planes).map_err(mask_error)?;
            let planes = Translation::new(&file.planes, &self.planes).map_err(mask_error)?;
            for note in &file.visit().assumptions {
                if !self.visit.assumptions.contains(note) {
                    self.visit.assumptions.push(note.clone());
                }
            }
            self.others.push(Part { file, extent, scale, planes });
        }
        let names: Vec<String> = self.parts().map(|file| file.path().display().to_string()).collect();
        let text = format!("The exposure is joined from {} files: {}.", names.len(), names.join(", "));
        self.visit.assumptions.push(Assumption { quantity: "parts".into(), text, warning: false });
        Ok(self)
    }

    /// All files of the exposure: its own, and those joined to it.
    pub fn parts(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(self.others.iter().map(|part| &part.file))
    }

    /// Inserts the pixels of the other parts into those of the first.
    pub(super) fn add_parts(&self, pixels: &mut MaskedImage) -> Result<(), FitsError> {
        let (flawed, no_data) = (self.planes.bits_of(FLAWED), self.planes.bits_of([NO_DATA]));
        for Part { file, extent, scale, planes } in &self.others {
            if extent.intersection(&pixels.bbox).is_none() {
                continue;
            }
            let theirs = file.read(pixels.bbox)?;
            let theirs = Zip::from(&theirs.image).and(&theirs.variance).and(&theirs.mask).map_collect(
                |value, variance, mask| (value * scale, variance * scale * scale, planes.of(*mask)),
            );
            let MaskedImage { image, variance, mask, .. } = &mut *pixels;
            Zip::from(image).and(variance).and(mask).and(&theirs).for_each(
                |value, variance, mask, theirs| {
                    let rank = |value: f32, variance: f32, mask: i32| {
                        has_data(value, variance, mask & no_data).then_some((mask & flawed == 0, -variance))
                    };
                    let own = rank(*value, *variance, *mask);
                    let other = rank(theirs.0, theirs.1, theirs.2);
                    if other > own {
                        (*value, *variance, *mask) = *theirs;
                    } else if own.is_none() {
                        *mask |= theirs.2;
                    }
                },
            );
        }
        Ok(())
    }
}

fn has_data(value: f32, variance: f32, no_data: i32) -> bool {
    no_data == 0 && value.is_finite() && variance > 0.0
}

/// Coverage of the parts of an exposure.
struct Coverage {
    /// The part with the most data in each grid cell of [`PART_CELL`] px.
    cells: Array2<Option<u16>>,
    /// The box that holds all data of each part; empty if it has none.
    extents: Vec<BBox>,
}

impl Coverage {
    /// Reads all pixels of the parts, which must be on one grid.
    ///
    /// # Errors
    ///
    /// [`JoinError`] if two parts have data in the same pixels, or a part cannot be read.
    fn of(files: &[&ExposureFile]) -> Result<Self, JoinError> {
        let bbox = files[0].bbox();
        let (rows, columns) = (bbox.height.div_ceil(PART_CELL), bbox.width.div_ceil(PART_CELL));
        let mut cells = Array2::from_elem((rows, columns), None);
        let mut extents = vec![BBox::new(bbox.x0, bbox.y0, 0, 0); files.len()];
        let mut pixels = vec![0_usize; files.len()];
        let mut both = Array2::<usize>::zeros((files.len(), files.len()));
        for strip in bbox.tiles((bbox.width, STRIP_CELLS * PART_CELL)) {
            let data = files.iter().map(|file| data_of(file, strip)).collect::<Result<Vec<_>, _>>()?;
            for (i, own) in data.iter().enumerate() {
                pixels[i] += count(own.view());
                for (j, other) in data[..i].iter().enumerate() {
                    both[[i, j]] += own.iter().zip(other).filter(|(a, b)| **a && **b).count();
                }
            }
            let top = ((strip.y0 - bbox.y0) as usize) / PART_CELL;
            for cell in strip.tiles((PART_CELL, PART_CELL)) {
                let Some((rows, columns)) = cell.slice_in(&strip) else { continue };
                let at = [top + rows.start / PART_CELL, columns.start / PART_CELL];
                let mut most = 0;
                for (part, data) in data.iter().enumerate() {
                    let own = count(data.slice(s![rows.clone(), columns.clone()]));
                    if own > 0 {
                        extents[part] = extents[part].union(&cell);
                    }
                    if own > most {
                        most = own;
                        cells[at] = Some(part as u16);
                    }
                }
            }
        }
        for ((i, j), both) in both.indexed_iter().filter(|(_, both)| **both > 0) {
            let share = *both as f64 / pixels[i].min(pixels[j]) as f64;
            if share > MOST_OVERLAP {
                let [first, second] = [j, i].map(|part| files[part].path().to_owned());
                return Err(JoinError::Overlap { first, second, share });
            }
        }
        Ok(Self { cells, extents })
    }
}

fn count(data: ArrayView2<'_, bool>) -> usize {
    data.iter().filter(|has| **has).count()
}

/// Which pixels of a box have data.
fn data_of(file: &ExposureFile, part: BBox) -> Result<Array2<bool>, FitsError> {
    let pixels = file.read(part)?;
    let no_data = file.planes.bits_of([NO_DATA]);
    Ok(Zip::from(&pixels.image)
        .and(&pixels.variance)
        .and(&pixels.mask)
        .map_collect(|value, variance, mask| has_data(*value, *variance, mask & no_data)))
}
