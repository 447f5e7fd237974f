//! The input of the solvers: pixels with flags, weights and displacements, region by region.

use std::ops::Range;

use ndarray::{CowArray, Ix2};

use crate::kernel::{PixelShift, Region};

/// Pixel flag: the pixel may be used.
pub const GOOD: u8 = 1;
/// Pixel flag: the pixel belongs to a detected source in this visit.
pub const DETECTED: u8 = 2;

/// Displacement of one subfilter's light in one visit.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SubfilterShift {
    /// Displacement in the forward model.
    pub forward: ForwardShift,
    /// Mean displacement of the subfilter; residuals are displaced by its reverse.
    pub mean: PixelShift,
}

/// The displacement of a subfilter in the forward model.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum ForwardShift {
    /// One displacement for all light.
    Whole(PixelShift),
    /// One displacement for the blue half and one for the red half.
    Halves([PixelShift; 2]),
}

impl SubfilterShift {
    /// One displacement for all light of the subfilter.
    #[must_use]
    pub fn whole(shift: PixelShift) -> Self {
        Self { forward: ForwardShift::Whole(shift), mean: shift }
    }

    /// Displacements in the forward model.
    #[must_use]
    pub fn forward_shifts(&self) -> &[PixelShift] {
        match &self.forward {
            ForwardShift::Whole(shift) => std::slice::from_ref(shift),
            ForwardShift::Halves(shifts) => shifts,
        }
    }

    /// Largest displacement along an axis, forwards or back, px.
    #[must_use]
    pub fn reach(&self) -> f64 {
        self.forward_shifts().iter().map(|s| s.max_component()).fold(self.mean.max_component(), f64::max)
    }
}

/// A visit's pixels in a region.
pub struct Pixels<'a> {
    /// Image, in the patch's units. Values where [`GOOD`] is not set are ignored and may be NaN.
    pub image: CowArray<'a, f32, Ix2>,
    /// [`GOOD`] and [`DETECTED`].
    pub flags: CowArray<'a, u8, Ix2>,
}

/// Error of a caller's reader, passed through.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// The visits of a patch, read by region so that they need not be in memory at once.
///
/// The patch is divided into *cells*, in each of which a visit has one displacement per subfilter.
pub trait Observations: Sync {
    /// Number of visits.
    fn visits(&self) -> usize;
    /// The visit's weight: the inverse of its variance, or 1.
    fn weight(&self, visit: usize) -> f64;
    /// Displacements of all subfilters, blue to red, in a cell.
    fn shifts(&self, visit: usize, cell: usize) -> &[SubfilterShift];
    /// Pixels of a region of the patch.
    ///
    /// # Errors
    ///
    /// Errors of the source.
    fn pixels(&self, visit: usize, region: &Region) -> Result<Pixels<'_>, SourceError>;
    /// Maximum rows of all visits per request, as memory allows.
    fn rows_at_a_time(&self) -> usize {
        usize::MAX
    }
    /// Pixels of rows of all visits, which the solver processes together. A request for `next`
    /// follows, and may be fetched in the meantime.
    ///
    /// # Errors
    ///
    /// Errors of the source.
    fn rows(&self, rows: Range<usize>, next: Option<Range<usize>>)
    -> Result<Box<dyn Rows + '_>, SourceError>;
}

/// Rows of all visits.
pub trait Rows: Sync {
    /// Pixels of a region in these rows, in the patch's indices.
    ///
    /// # Errors
    ///
    /// Errors of the source.
    fn pixels(&self, visit: usize, region: &Region) -> Result<Pixels<'_>, SourceError>;
}

/// Rows of observations that are available at any time.
pub struct AtHand<'a>(pub &'a dyn Observations);

impl Rows for AtHand<'_> {
    fn pixels(&self, visit: usize, region: &Region) -> Result<Pixels<'_>, SourceError> {
        self.0.pixels(visit, region)
    }
}

/// Visits held in memory, with one cell.
#[derive(Clone, Debug, Default)]
pub struct InMemory {
    /// The visits, in order.
    pub visits: Vec<Visit>,
}

/// A visit held in memory.
#[derive(Clone, Debug)]
pub struct Visit {
    /// Image, `(rows, cols)` of the patch.
    pub image: ndarray::Array2<f32>,
    /// [`GOOD`] and [`DETECTED`], of the same shape as the image.
    pub flags: ndarray::Array2<u8>,
    /// Weight relative to other visits.
    pub weight: f64,
    /// Displacements of the subfilters.
    pub shifts: Vec<SubfilterShift>,
}

impl Observations for InMemory {
    fn visits(&self) -> usize {
        self.visits.len()
    }

    fn weight(&self, visit: usize) -> f64 {
        self.visits[visit].weight
    }

    fn shifts(&self, visit: usize, _cell: usize) -> &[SubfilterShift] {
        &self.visits[visit].shifts
    }

    fn pixels(&self, visit: usize, region: &Region) -> Result<Pixels<'_>, SourceError> {
        let visit = &self.visits[visit];
        Ok(Pixels {
            image: region.of(&visit.image.view()).into(),
            flags: region.of(&visit.flags.view()).into(),
        })
    }

    fn rows(&self, _: Range<usize>, _: Option<Range<usize>>) -> Result<Box<dyn Rows + '_>, SourceError> {
        Ok(Box::new(AtHand(self)))
    }
}
