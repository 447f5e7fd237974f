//! The visits as the solver asks for them: pixels by region, displacements by cell.
//!
//! Pixels are kept in memory if they fit, else put aside in a file on disk, from which the rows that the solver works
//! on are fetched while it works on those before.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use dcr_image::FitsError;
use dcr_image::fits::ScratchFile;
use dcr_solver::kernel::Region;
use dcr_solver::{AtHand, Observations, Pixels, Rows, SourceError, SubfilterShift};
use ndarray::Array2;

/// Visits with their weights and displacements.
pub(crate) struct Store {
    pub(crate) weights: Vec<f64>,
    /// By visit, then cell, then subfilter.
    pub(crate) shifts: Vec<Vec<Vec<SubfilterShift>>>,
    pub(crate) pixels: StoredPixels,
}

/// The pixels of the visits.
pub(crate) enum StoredPixels {
    /// Image and flags of each visit.
    InMemory(Vec<(Array2<f32>, Array2<u8>)>),
    /// On disk.
    OnDisk(Stream),
}

/// Pixels that are on disk, and the rows of them that are being fetched.
pub(crate) struct Stream {
    pub(crate) file: Arc<ScratchFile>,
    /// Each visit's number in the file.
    pub(crate) slots: Vec<usize>,
    pub(crate) rows_at_a_time: usize,
    ahead: Mutex<Option<Ahead>>,
}

/// Rows that a thread is fetching.
struct Ahead {
    rows: Range<usize>,
    thread: JoinHandle<Result<Fetched, FitsError>>,
}

/// Rows of all visits.
struct Fetched {
    rows: Range<usize>,
    visits: Vec<(Array2<f32>, Array2<u8>)>,
}

impl Stream {
    pub(crate) fn new(file: Arc<ScratchFile>, slots: Vec<usize>, rows_at_a_time: usize) -> Self {
        Self { file, slots, rows_at_a_time, ahead: Mutex::new(None) }
    }

    /// Waits for rows that are being fetched, or fetches them; then begins to fetch the next.
    fn fetch(&self, rows: Range<usize>, next: Option<Range<usize>>) -> Result<Fetched, FitsError> {
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let here = match ahead.take() {
            Some(fetched) if fetched.rows == rows => match fetched.thread.join() {
                Ok(fetched) => fetched?,
                Err(panic) => std::panic::resume_unwind(panic),
            },
            // Another pass may have stopped half-way: what it began to fetch is not wanted.
            _ => Fetched::read(&self.file, &self.slots, rows)?,
        };
        *ahead = next.map(|rows| {
            let (file, slots, wanted) = (Arc::clone(&self.file), self.slots.clone(), rows.clone());
            Ahead { rows, thread: std::thread::spawn(move || Fetched::read(&file, &slots, wanted)) }
        });
        Ok(here)
    }
}

impl Fetched {
    fn read(file: &ScratchFile, slots: &[usize], rows: Range<usize>) -> Result<Self, FitsError> {
        let visits = slots.iter().map(|slot| file.read(*slot, rows.clone())).collect::<Result<_, _>>()?;
        Ok(Self { rows, visits })
    }
}

impl Rows for Fetched {
    fn pixels(&self, visit: usize, region: &Region) -> Result<Pixels<'_>, SourceError> {
        let (image, flags) = &self.visits[visit];
        let rows = region.rows.start - self.rows.start..region.rows.end - self.rows.start;
        let here = Region { rows, cols: region.cols.clone() };
        Ok(Pixels { image: here.of(&image.view()).into(), flags: here.of(&flags.view()).into() })
    }
}

impl Observations for Store {
    fn visits(&self) -> usize {
        self.weights.len()
    }

    fn weight(&self, visit: usize) -> f64 {
        self.weights[visit]
    }

    fn shifts(&self, visit: usize, cell: usize) -> &[SubfilterShift] {
        &self.shifts[visit][cell]
    }

    fn pixels(&self, visit: usize, region: &Region) -> Result<Pixels<'_>, SourceError> {
        match &self.pixels {
            StoredPixels::InMemory(visits) => {
                let (image, flags) = &visits[visit];
                Ok(Pixels { image: region.of(&image.view()).into(), flags: region.of(&flags.view()).into() })
            }
            StoredPixels::OnDisk(stream) => {
                let (image, flags) = stream.file.read(stream.slots[visit], region.rows.clone())?;
                let cols = Region { rows: 0..region.rows.len(), cols: region.cols.clone() };
                let part = (cols.of(&image.view()).to_owned(), cols.of(&flags.view()).to_owned());
                Ok(Pixels { image: part.0.into(), flags: part.1.into() })
            }
        }
    }

    fn rows_at_a_time(&self) -> usize {
        match &self.pixels {
            StoredPixels::InMemory(_) => usize::MAX,
            StoredPixels::OnDisk(stream) => stream.rows_at_a_time,
        }
    }

    fn rows(
        &self,
        rows: Range<usize>,
        next: Option<Range<usize>>,
    ) -> Result<Box<dyn Rows + '_>, SourceError> {
        match &self.pixels {
            StoredPixels::InMemory(_) => Ok(Box::new(AtHand(self))),
            StoredPixels::OnDisk(stream) => Ok(Box::new(stream.fetch(rows, next)?)),
        }
    }
}
