//! The visits as the solver asks for them: pixels by region, displacements by cell.

use dcr_image::fits::free_memory;
use dcr_image::{BBox, FitsError};
use dcr_solver::kernel::Region;
use dcr_solver::{Observations, Pixels, SourceError, SubfilterShift};
use ndarray::Array2;

use crate::config::CoaddConfig;
use crate::inputs::Input;
use crate::pixels::PixelReader;

/// Bytes of a pixel that is kept: `f32` and a byte of flags.
const BYTES_PER_PIXEL: u64 = 5;

/// Visits with their weights and displacements.
pub(crate) struct Store<'a> {
    pub(crate) visits: &'a [Input],
    pub(crate) reader: &'a PixelReader<'a>,
    pub(crate) bbox: BBox,
    pub(crate) weights: Vec<f64>,
    /// By visit, then cell, then subfilter.
    pub(crate) shifts: Vec<Vec<Vec<SubfilterShift>>>,
    /// Images and flags of the visits; `None` if they are read from their files each time.
    pub(crate) planes: Option<Vec<(Array2<f32>, Array2<u8>)>>,
}

/// Whether the pixels of so many visits may be kept in memory.
pub(crate) fn fits_in_memory(visits: usize, bbox: &BBox, config: &CoaddConfig) -> bool {
    let wanted = (visits as u64).saturating_mul(bbox.area() as u64).saturating_mul(BYTES_PER_PIXEL);
    let limit = config.memory_limit.map(|size| size.0).or_else(|| free_memory().map(|free| free / 2));
    limit.is_none_or(|limit| wanted <= limit)
}

impl Store<'_> {
    /// A region of the patch's arrays as a box of pixels.
    fn bbox_of(&self, region: &Region) -> BBox {
        BBox::new(
            self.bbox.x0 + region.cols.start as i64,
            self.bbox.y0 + region.rows.start as i64,
            region.cols.len(),
            region.rows.len(),
        )
    }

    /// Image and flags of a visit, read from its file.
    fn read(&self, visit: usize, region: &Region) -> Result<(Array2<f32>, Array2<u8>), FitsError> {
        let pixels = self.reader.read(&self.visits[visit], self.bbox_of(region))?;
        Ok((pixels.masked.image, pixels.flags))
    }
}

impl Observations for Store<'_> {
    fn visits(&self) -> usize {
        self.visits.len()
    }

    fn weight(&self, visit: usize) -> f64 {
        self.weights[visit]
    }

    fn shifts(&self, visit: usize, cell: usize) -> &[SubfilterShift] {
        &self.shifts[visit][cell]
    }

    fn pixels(&self, visit: usize, region: &Region) -> Result<Pixels<'_>, SourceError> {
        match &self.planes {
            Some(planes) => {
                let (image, flags) = &planes[visit];
                Ok(Pixels { image: region.of(&image.view()).into(), flags: region.of(&flags.view()).into() })
            }
            None => {
                let (image, flags) = self.read(visit, region)?;
                Ok(Pixels { image: image.into(), flags: flags.into() })
            }
        }
    }
}
