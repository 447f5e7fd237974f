//! What the solver is given: pixels with flags, weights and displacements, region by region.

use std::ops::Range;

use ndarray::{CowArray, Ix2};

use crate::kernel::{PixelShift, Region};

/// Pixel flag: the pixel may be used.
pub const GOOD: u8 = 1;
/// Pixel flag: the pixel belongs to a detected source in this visit.
pub const DETECTED: u8 = 2;

/// Where the light of one subfilter goes in one visit.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SubfilterShift {
    /// For the forward model.
    pub forward: ForwardShift,
    /// The subfilter's mean displacement; residuals come back by its reverse.
    pub mean: PixelShift,
}

/// The displacement of a subfilter in the forward model.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum ForwardShift {
    /// All of its light goes one way.
    Whole(PixelShift),
    /// Its blue half goes one way and its red half another.
    Halves([PixelShift; 2]),
}

impl SubfilterShift {
    /// All light of the subfilter displaced alike.
    #[must_use]
    pub fn whole(shift: PixelShift) -> Self {
        Self { forward: ForwardShift::Whole(shift), mean: shift }
    }

    /// Its displacements in the forward model.
    #[must_use]
    pub fn forward_shifts(&self) -> &[PixelShift] {
        match &self.forward {
            ForwardShift::Whole(shift) => std::slice::from_ref(shift),
            ForwardShift::Halves(shifts) => shifts,
        }
    }

    /// The largest displacement along an axis, forwards or back, in pixels.
    #[must_use]
    pub fn reach(&self) -> f64 {
        self.forward_shifts().iter().map(|s| s.max_component()).fold(self.mean.max_component(), f64::max)
    }
}

/// A visit's pixels in a region.
pub struct Pixels<'a> {
    /// Image, in the patch's units. Values where [`GOOD`] is not set mean nothing; they may be NaN.
    pub image: CowArray<'a, f32, Ix2>,
    /// [`GOOD`] and [`DETECTED`].
    pub flags: CowArray<'a, u8, Ix2>,
}

/// Why pixels could not be had; the caller's own error, passed through.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// The visits of a patch, read by region so that they need not be in memory at once.
///
/// The patch is divided into *cells*, in each of which a visit has one displacement per subfilter.
pub trait Observations: Sync {
    /// Number of visits.
    fn visits(&self) -> usize;
    /// The visit's weight: the inverse of its variance, or 1.
    fn weight(&self, visit: usize) -> f64;
    /// The displacements of all subfilters, blue to red, in a cell.
    fn shifts(&self, visit: usize, cell: usize) -> &[SubfilterShift];
    /// The pixels of a region of the patch.
    ///
    /// # Errors
    ///
    /// Whatever reading them may cause.
    fn pixels(&self, visit: usize, region: &Region) -> Result<Pixels<'_>, SourceError>;
    /// How many rows of all visits may be asked for at a time, as far as memory goes.
    fn rows_at_a_time(&self) -> usize {
        usize::MAX
    }
    /// The pixels of some rows of all visits, which the solver works on together. Those of `next` will be asked for after
    /// them, and may be fetched in the meantime.
    ///
    /// # Errors
    ///
    /// Whatever reading them may cause.
    fn rows(&self, rows: Range<usize>, next: Option<Range<usize>>)
    -> Result<Box<dyn Rows + '_>, SourceError>;
}

/// Rows of all visits.
pub trait Rows: Sync {
    /// The pixels of a region in these rows, in the patch's indices.
    ///
    /// # Errors
    ///
    /// Whatever reading them may cause.
    fn pixels(&self, visit: usize, region: &Region) -> Result<Pixels<'_>, SourceError>;
}

/// Rows of observations that give any pixels at any time.
pub struct AtHand<'a>(pub &'a dyn Observations);

impl Rows for AtHand<'_> {
    fn pixels(&self, visit: usize, region: &Region) -> Result<Pixels<'_>, SourceError> {
        self.0.pixels(visit, region)
    }
}

/// Visits held in memory, with one cell.
#[derive(Clone, Debug, Default)]
pub struct InMemory {
    /// One element for each visit.
    pub visits: Vec<Visit>,
}

/// A visit held in memory.
#[derive(Clone, Debug)]
pub struct Visit {
    /// Image, `(rows, cols)` of the patch.
    pub image: ndarray::Array2<f32>,
    /// [`GOOD`] and [`DETECTED`], same shape.
    pub flags: ndarray::Array2<u8>,
    /// Weight among visits.
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
