//! An image with mask and variance, over one bounding box.

use ndarray::{Array2, ArrayView2, s};

use crate::BBox;

/// Pixel values, mask and variance.
///
/// All three planes have the shape of `bbox`, as [`MaskedImage::new`] verifies. Pixels without data
/// are NaN in the image or the variance, or have a mask plane, or both; see
/// [`ExposureFile`](crate::fits::ExposureFile) for the conventions of readers.
#[derive(Clone, Debug, PartialEq)]
pub struct MaskedImage {
    /// Bounding box of the pixels.
    pub bbox: BBox,
    /// The pixel values, in the unit of the file.
    pub image: Array2<f32>,
    /// Bits with the meaning of the file's [`MaskPlanes`](crate::MaskPlanes).
    pub mask: Array2<i32>,
    /// The variance of each pixel, in that unit squared.
    pub variance: Array2<f32>,
}

/// Errors of mismatched planes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MaskedImageError {
    /// The shape of a plane differs from that of the box.
    #[error("the {plane} plane is {got_height} × {got_width} pixels (rows × columns); its box is {bbox}")]
    Shape {
        /// Name of the plane.
        plane: &'static str,
        /// Its rows.
        got_height: usize,
        /// Its columns.
        got_width: usize,
        /// The required box.
        bbox: BBox,
    },
    /// The requested part exceeds the image.
    #[error("{wanted} exceeds the image {bbox}")]
    Outside {
        /// The requested part.
        wanted: BBox,
        /// Box of the image.
        bbox: BBox,
    },
}

impl MaskedImage {
    /// Combines three planes over `bbox`.
    ///
    /// # Errors
    ///
    /// [`MaskedImageError::Shape`] if a plane has another shape.
    pub fn new(
        bbox: BBox,
        image: Array2<f32>,
        mask: Array2<i32>,
        variance: Array2<f32>,
    ) -> Result<Self, MaskedImageError> {
        for (plane, dim) in [("image", image.dim()), ("mask", mask.dim()), ("variance", variance.dim())] {
            if dim != bbox.shape() {
                return Err(MaskedImageError::Shape { plane, got_height: dim.0, got_width: dim.1, bbox });
            }
        }
        Ok(Self { bbox, image, mask, variance })
    }

    /// An image of zeros with empty mask and zero variance.
    #[must_use]
    pub fn zeros(bbox: BBox) -> Self {
        Self {
            bbox,
            image: Array2::zeros(bbox.shape()),
            mask: Array2::zeros(bbox.shape()),
            variance: Array2::zeros(bbox.shape()),
        }
    }

    /// A copy of the part `part`.
    ///
    /// # Errors
    ///
    /// [`MaskedImageError::Outside`] if `part` exceeds the image.
    pub fn sub_image(&self, part: BBox) -> Result<Self, MaskedImageError> {
        let outside = || MaskedImageError::Outside { wanted: part, bbox: self.bbox };
        let (rows, columns) = part.slice_in(&self.bbox).ok_or_else(outside)?;
        Ok(Self {
            bbox: part,
            image: cut(self.image.view(), &rows, &columns),
            mask: cut(self.mask.view(), &rows, &columns),
            variance: cut(self.variance.view(), &rows, &columns),
        })
    }
}

fn cut<T: Clone>(
    plane: ArrayView2<'_, T>,
    rows: &std::ops::Range<usize>,
    columns: &std::ops::Range<usize>,
) -> Array2<T> {
    plane.slice_move(s![rows.clone(), columns.clone()]).to_owned()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn three_by_two() -> MaskedImage {
        MaskedImage::new(
            BBox::new(10, 20, 3, 2),
            array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]],
            array![[0, 0, 1], [0, 2, 0]],
            Array2::from_elem((2, 3), 0.5),
        )
        .unwrap()
    }

    #[test]
    fn shape_of_each_plane_is_checked() {
        let error = MaskedImage::new(
            BBox::new(0, 0, 3, 2),
            Array2::zeros((2, 3)),
            Array2::zeros((3, 2)),
            Array2::zeros((2, 3)),
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "the mask plane is 3 × 2 pixels (rows × columns); its box is [0:3, 0:2]"
        );
    }

    #[test]
    fn sub_image_is_the_part_in_parent_coordinates() {
        let part = three_by_two().sub_image(BBox::new(11, 21, 2, 1)).unwrap();
        assert_eq!((part.image, part.mask), (array![[5.0, 6.0]], array![[2, 0]]));
    }

    #[test]
    fn sub_image_outside_is_refused() {
        let error = three_by_two().sub_image(BBox::new(12, 20, 2, 1)).unwrap_err();
        assert_eq!(error.to_string(), "[12:14, 20:21] exceeds the image [10:13, 20:22]");
    }
}
