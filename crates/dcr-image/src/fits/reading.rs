//! Reading the pixels of an exposure by box.

use std::ops::Range;

use ndarray::{Array2, Zip, s};

use super::constant::{Constant, candidates, fills_rows, is_noisy, sampled_rows};
use super::exposure::{ExposureFile, NO_DATA};
use super::findings::Findings;
use super::layout::{PlaneSource, UncertaintyKind};
use super::open::VarianceSource;
use super::reader::{FitsReader, HduKind, Pixel};
use super::{FitsError, no_data, noise};
use crate::header::{MaskCoding, UnknownValues};
use crate::{BBox, MaskedImage};

/// Rows read at a time in scans of the whole image.
const STRIP_ROWS: usize = 512;

impl ExposureFile {
    /// Reads the pixels of a box with mask and variance.
    ///
    /// # Errors
    ///
    /// [`FitsError::Outside`] if the box reaches beyond the image, or if the file cannot be read.
    pub fn read(&self, part: BBox) -> Result<MaskedImage, FitsError> {
        let mut pixels = self.read_own(part)?;
        self.add_parts(&mut pixels)?;
        Ok(pixels)
    }

    /// Reads the pixel values of a box; NaN for missing data.
    ///
    /// # Errors
    ///
    /// As [`ExposureFile::read`].
    pub fn read_image(&self, part: BBox) -> Result<Array2<f32>, FitsError> {
        if self.others.is_empty() { self.read_values(part, |_, _, _| ()) } else { Ok(self.read(part)?.image) }
    }

    /// Reads the mask of a box.
    ///
    /// # Errors
    ///
    /// As [`ExposureFile::read`].
    pub fn read_mask(&self, part: BBox) -> Result<Array2<i32>, FitsError> {
        // The flag NO_DATA depends on all planes.
        Ok(self.read(part)?.mask)
    }

    /// Reads the variance of a box; NaN for missing data.
    ///
    /// # Errors
    ///
    /// As [`ExposureFile::read`].
    pub fn read_variance(&self, part: BBox) -> Result<Array2<f32>, FitsError> {
        if self.others.is_empty() { self.read_variances(part) } else { Ok(self.read(part)?.variance) }
    }

    /// Findings in the rows read in full so far, each row counted once.
    #[must_use]
    pub fn findings(&self) -> Findings {
        let mut all = Findings::default();
        self.parts().for_each(|file| all.add(&file.seen.lock().findings));
        all
    }

    /// Constant values that fill borders and gaps, without reading all pixels; pixel counts are 0.
    ///
    /// # Errors
    ///
    /// [`FitsError`] if the file cannot be read.
    pub fn look(&self) -> Result<Findings, FitsError> {
        let mut found = Findings::default();
        for file in self.parts() {
            let constant = file.constant()?;
            let questionable = match file.variance {
                VarianceSource::Estimate(_) => &mut found.questionable,
                VarianceSource::Plane(..) => &mut found.weighted,
            };
            questionable.extend(constant.questionable.iter().map(|value| ((value + 0.0).to_bits(), 0)));
            found.no_data.extend(constant.values.iter().map(|value| ((value + 0.0).to_bits(), 0)));
        }
        Ok(found)
    }

    /// The pixels of the first part. Rows read in full for the first time are added to the
    /// findings.
    fn read_own(&self, part: BBox) -> Result<MaskedImage, FitsError> {
        let fresh = self.seen.lock().claim(part, &self.bbox);
        let mut found = Findings::default();
        let image = self.read_values(part, |row, value, pixels| {
            if fresh[row] {
                *found.no_data.entry(value.to_bits()).or_default() += pixels;
            }
        })?;
        let variance = self.read_variances(part)?;
        let mut mask = self.read_mask_values(part, &fresh, &mut found.unknown)?;
        let no_data = self.planes.bits_of([NO_DATA]);
        Zip::from(&mut mask).and(&image).and(&variance).for_each(|mask, value, variance| {
            if value.is_nan() || variance.is_nan() {
                *mask |= no_data;
            }
        });
        if fresh.contains(&true) {
            self.find_questionable(&image, &variance, &fresh, &mut found)?;
            self.seen.lock().findings.add(&found);
        }
        Ok(MaskedImage { bbox: part, image, mask, variance })
    }

    /// Pixel values with NaN for missing data. Runs of a constant value are reported with row,
    /// value and length.
    fn read_values(
        &self,
        part: BBox,
        mut constant: impl FnMut(usize, f32, usize),
    ) -> Result<Array2<f32>, FitsError> {
        let mut image = self.read_plane::<f32>(&self.image, part)?;
        image.mapv_inplace(|value| if no_data::is_datum(value) { value } else { f32::NAN });
        if let VarianceSource::Estimate(_) = self.variance
            && let Some((rows, columns)) = part.slice_in(&self.bbox)
        {
            self.constant()?.mark(rows, columns, |columns, row| {
                let mut pixels = image.slice_mut(s![row, columns]);
                if let Some(value) = pixels.first().filter(|value| value.is_finite()) {
                    // Maps −0 to 0.
                    constant(row, value + 0.0, pixels.len());
                }
                pixels.fill(f32::NAN);
            });
        }
        if let Some(asinh) = self.asinh {
            image.mapv_inplace(|value| asinh.flux(value));
        }
        Ok(image)
    }

    /// Variances of the first part.
    fn read_variances(&self, part: BBox) -> Result<Array2<f32>, FitsError> {
        match &self.variance {
            VarianceSource::Plane(source, kind) => {
                let mut plane = self.read_plane(source, part)?;
                let limit = match plane.iter().any(|value| no_data::may_be_huge(*kind, *value)) {
                    true => self.uncertainty_limit(source, *kind)?,
                    false => f64::INFINITY,
                };
                plane.mapv_inplace(|value| no_data::variance(*kind, value, limit));
                Ok(plane)
            }
            VarianceSource::Estimate(known) => {
                let variance = match known.get() {
                    Some(&variance) => variance,
                    None => {
                        let estimate = self.estimated_variance()?;
                        let variance = no_data::variance(UncertaintyKind::Variance, estimate, f64::INFINITY);
                        *known.get_or_init(|| variance)
                    }
                };
                Ok(Array2::from_elem(self.checked(part)?.shape(), variance))
            }
        }
    }

    /// Counts pixels of constant values that are used but may be missing data.
    fn find_questionable(
        &self,
        image: &Array2<f32>,
        variance: &Array2<f32>,
        fresh: &[bool],
        found: &mut Findings,
    ) -> Result<(), FitsError> {
        let constant = self.constant()?;
        let (counts, estimated) = match self.variance {
            VarianceSource::Estimate(_) => (&mut found.questionable, true),
            VarianceSource::Plane(..) => (&mut found.weighted, false),
        };
        for questionable in &constant.questionable {
            let mut count = 0;
            for ((image, variance), _) in
                image.rows().into_iter().zip(variance.rows()).zip(fresh).filter(|(_, fresh)| **fresh)
            {
                count += image
                    .iter()
                    .zip(variance)
                    .filter(|(value, v)| **value == *questionable && (estimated || !v.is_nan()))
                    .count();
            }
            if count > 0 {
                *counts.entry((questionable + 0.0).to_bits()).or_default() += count;
            }
        }
        Ok(())
    }

    /// Constant values that fill borders and gaps, determined once. With weights, the weights
    /// decide, and constant values with nonzero weight are questionable.
    fn constant(&self) -> Result<&Constant, FitsError> {
        if let Some(known) = self.constant.get() {
            return Ok(known);
        }
        let (height, width) = self.image.shape;
        let mut sample = self.read_rows(&self.image, &sampled_rows(height))?;
        sample.iter_mut().flatten().filter(|value| !no_data::is_datum(**value)).for_each(|v| *v = f32::NAN);
        let found = match &self.variance {
            VarianceSource::Estimate(_) => Constant::find(&sample, self.image.shape, STRIP_ROWS, |rows| {
                let part = BBox::new(self.bbox.x0, self.bbox.y0 + rows.start as i64, width, rows.len());
                self.read_plane(&self.image, part)
            })?,
            VarianceSource::Plane(..) if candidates(&sample).is_empty() => Constant::default(),
            VarianceSource::Plane(source, kind) => {
                let uncertainties = self.read_rows(source, &sampled_rows(height))?;
                let limit = no_data::limit(*kind, uncertainties.iter().flatten().copied());
                let without = |value: &f32| no_data::variance(*kind, *value, limit).is_nan();
                blank(&mut sample, &uncertainties, without);
                if let Some((mask, _)) = &self.mask {
                    let masked = self.read_rows::<f64>(mask, &sampled_rows(height))?;
                    blank(&mut sample, &masked, |value| *value != 0.0);
                }
                let mut questionable = candidates(&sample);
                let noisy = is_noisy(&sample, &questionable);
                questionable.retain(|value| noisy && fills_rows(&sample, *value));
                Constant::questionable(questionable)
            }
        };
        Ok(self.constant.get_or_init(|| found))
    }

    /// Noise of the image, from its centre, or from rows across the image if the centre has few
    /// data.
    fn estimated_variance(&self) -> Result<f32, FitsError> {
        let middle = self.read_values(noise::sample(&self.bbox), |_, _, _| ())?;
        if 4 * middle.iter().filter(|value| value.is_finite()).count() >= middle.len() {
            return Ok(noise::background_variance(&middle));
        }
        let (height, width) = self.image.shape;
        let rows = sampled_rows(height);
        let mut all = Array2::from_elem((rows.len(), width), f32::NAN);
        for (mut row, y) in all.rows_mut().into_iter().zip(rows) {
            let part = BBox::new(self.bbox.x0, self.bbox.y0 + y as i64, width, 1);
            row.assign(&self.read_values(part, |_, _, _| ())?.row(0));
        }
        Ok(noise::background_variance(&all))
    }

    /// Threshold for infinite uncertainties, from a sample of rows.
    fn uncertainty_limit(&self, source: &PlaneSource, kind: UncertaintyKind) -> Result<f64, FitsError> {
        if let Some(known) = self.uncertainty_limit.get() {
            return Ok(*known);
        }
        let rows: Vec<Vec<f32>> = self.read_rows(source, &sampled_rows(source.shape.0))?;
        let limit = no_data::limit(kind, rows.into_iter().flatten());
        Ok(*self.uncertainty_limit.get_or_init(|| limit))
    }

    /// The mask, decoded in the type of the file before any conversion.
    fn read_mask_values(
        &self,
        part: BBox,
        fresh: &[bool],
        unknown: &mut UnknownValues,
    ) -> Result<Array2<i32>, FitsError> {
        let Some((source, coding)) = &self.mask else {
            return Ok(Array2::zeros(self.checked(part)?.shape()));
        };
        let decoder = coding.decoder(&self.planes);
        let (mut reader, is_integer, [rows, columns]) = self.reader_at(source, part)?;
        if !is_integer {
            let values = reader.pixels::<f64>(rows, columns, &source.label)?;
            return Ok(decoded(part, &values, fresh, unknown, |value, unknown| decoder.real(value, unknown)));
        }
        // The sign bit is a mask bit.
        let own_bits = if (1..64).contains(&source.bitpix) { (1_i64 << source.bitpix) - 1 } else { -1 };
        let is_code = matches!(coding, MaskCoding::Codes(_));
        let decode = |value: i64, unknown: &mut UnknownValues| {
            let value = if value < 0 && !is_code { value & own_bits } else { value };
            decoder.integer(value, unknown)
        };
        if let Some(values) =
            unless_out_of_range(reader.pixels::<i32>(rows.clone(), columns.clone(), &source.label))?
        {
            return Ok(decoded(part, &values, fresh, unknown, |value, unknown| {
                decode(value.into(), unknown)
            }));
        }
        if let Some(values) =
            unless_out_of_range(reader.pixels::<i64>(rows.clone(), columns.clone(), &source.label))?
        {
            return Ok(decoded(part, &values, fresh, unknown, decode));
        }
        let values = reader.pixels::<u64>(rows, columns, &source.label)?;
        Ok(decoded(part, &values, fresh, unknown, |value, unknown| decode(value as i64, unknown)))
    }

    /// A part of a plane; numbers out of range of the type are NaN.
    fn read_plane<T: Pixel>(&self, source: &PlaneSource, part: BBox) -> Result<Array2<T>, FitsError> {
        let (mut reader, _, [rows, columns]) = self.reader_at(source, part)?;
        let pixels = reader.pixels(rows, columns, &source.label)?;
        Array2::from_shape_vec(part.shape(), pixels).map_err(|_| self.outside(source, part))
    }

    /// Some whole rows of a plane.
    fn read_rows<T: Pixel>(&self, source: &PlaneSource, rows: &[usize]) -> Result<Vec<Vec<T>>, FitsError> {
        let mut reader = FitsReader::open(&source.path)?;
        reader.go_to(source.index)?;
        rows.iter().map(|y| reader.pixels(*y..*y + 1, 0..source.shape.1, &source.label)).collect()
    }

    /// A reader positioned at a plane, whether its values are integers, and the ranges of a part.
    fn reader_at(
        &self,
        source: &PlaneSource,
        part: BBox,
    ) -> Result<(FitsReader, bool, [Range<usize>; 2]), FitsError> {
        let (rows, columns) = part.slice_in(&self.bbox).ok_or_else(|| self.outside(source, part))?;
        let mut reader = FitsReader::open(&source.path)?;
        let kind = reader.go_to(source.index)?;
        Ok((reader, matches!(kind, HduKind::Image { integer: true, .. }), [rows, columns]))
    }

    fn checked(&self, part: BBox) -> Result<BBox, FitsError> {
        if self.bbox.contains_box(&part) { Ok(part) } else { Err(self.outside(&self.image, part)) }
    }

    fn outside(&self, source: &PlaneSource, wanted: BBox) -> FitsError {
        FitsError::Outside { path: source.path.clone(), wanted, bbox: self.bbox }
    }
}

/// The mask of a box from its values; unknown values of new rows are counted.
fn decoded<T: Copy>(
    part: BBox,
    values: &[T],
    fresh: &[bool],
    unknown: &mut UnknownValues,
    decode: impl Fn(T, &mut UnknownValues) -> i32,
) -> Array2<i32> {
    let mut counted_before = UnknownValues::default();
    let mut mask = Array2::zeros(part.shape());
    for ((mut mask, values), fresh) in
        mask.rows_mut().into_iter().zip(values.chunks(part.width.max(1))).zip(fresh)
    {
        let unknown = if *fresh { &mut *unknown } else { &mut counted_before };
        mask.iter_mut().zip(values).for_each(|(mask, value)| *mask = decode(*value, unknown));
    }
    mask
}

/// Pixels, or `None` if they exceed the type they were read as.
fn unless_out_of_range<T>(pixels: Result<Vec<T>, FitsError>) -> Result<Option<Vec<T>>, FitsError> {
    match pixels {
        Ok(pixels) => Ok(Some(pixels)),
        Err(FitsError::OutOfRange { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sets values to NaN for missing data.
fn blank<T>(values: &mut [Vec<f32>], plane: &[Vec<T>], without: impl Fn(&T) -> bool) {
    let pixels = values.iter_mut().flatten().zip(plane.iter().flatten());
    pixels.filter(|(_, other)| without(other)).for_each(|(value, _)| *value = f32::NAN);
}
