//! Files of one visit that cover different parts of one grid, read as one exposure.
//!
//! Each pixel is that of one part: of the one that has data; where several have, of one without
//! BAD, SAT or CR before others, then of the smallest variance, then of the first. Header and WCS
//! are the first part's, mask planes those of all, and the PSF of a place is that of the part that
//! covers it.

use std::path::PathBuf;

use dcr_physics::Assumption;
use ndarray::{Array2, ArrayView2, Zip, s};

use super::FitsError;
use super::exposure::{ExposureFile, NO_DATA, Part};
use crate::mask::Translation;
use crate::psf::{PART_CELL, Psf, PsfParts};
use crate::{BBox, MaskedImage};

/// The largest share of the smaller one's pixels with data that two parts may both have.
const MOST_OVERLAP: f64 = 0.1;
/// Rows of cells that are read at a time.
const STRIP_CELLS: usize = 32;
/// Planes of pixels that those of another part are taken instead of.
const FLAWED: [&str; 3] = ["BAD", "SAT", "CR"];

/// Files that are not parts of one exposure.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// Two of them have data in the same pixels.
    #[error("{}: it has data in {:.0} % of the pixels that {} has data in", second.display(), 100.0 * share, first.display())]
    Overlap {
        /// One file.
        first: PathBuf,
        /// Another.
        second: PathBuf,
        /// Share of the smaller one's pixels with data that the other has, too.
        share: f64,
    },
    /// One cannot be read, or has other pixels than the first.
    #[error(transparent)]
    Fits(#[from] FitsError),
}

impl ExposureFile {
    /// Joins files of one visit that lie on one pixel grid. Each comes with a factor for its pixel
    /// values; that of the first must be 1. All pixels are read once, to see where each has data.
    ///
    /// # Errors
    ///
    /// [`JoinError`] if two have data in more than a tenth of the smaller one's pixels, if one
    /// cannot be read, or if mask planes do not fit into one dictionary.
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

    /// The files that the exposure is read from: itself, and those joined to it.
    pub fn parts(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(self.others.iter().map(|part| &part.file))
    }

    /// Puts the pixels of the other parts into those of the first.
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

/// Where the parts of an exposure have data.
struct Coverage {
    /// The part that has the most data in each cell of the grid of [`PART_CELL`] px.
    cells: Array2<Option<u16>>,
    /// The box that holds all data of each part; without pixels if it has none.
    extents: Vec<BBox>,
}

impl Coverage {
    /// Reads all pixels of the parts, which must be on one grid.
    ///
    /// # Errors
    ///
    /// [`JoinError`] if two have data in the same pixels, or one cannot be read.
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
