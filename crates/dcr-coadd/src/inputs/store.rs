//! The visits in the form the solver reads: pixels by region, displacements by cell.
//!
//! Pixels are kept in memory if they fit, else in a file on disk; the next rows are fetched while
//! the solver works on the previous ones.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use dcr_image::FitsError;
use dcr_image::fits::ScratchFile;
use dcr_solver::kernel::Region;
use dcr_solver::{AtHand, GOOD, Observations, Pixels, Rows, SourceError, SubfilterShift};
use ndarray::Array2;

/// Visits with their weights and displacements.
pub(crate) struct Store {
    pub(crate) weights: Vec<f64>,
    /// By visit, then cell, then subfilter.
    pub(crate) shifts: Vec<Vec<Vec<SubfilterShift>>>,
    pub(crate) pixels: StoredPixels,
}

impl Store {
    /// Masks pixels of each visit (`row × cols + col`, ascending, all good) and restores those
    /// masked by the previous call.
    pub(crate) fn leave_out(&mut self, pixels: Vec<Vec<u32>>) {
        let pixels = if pixels.is_empty() { vec![vec![]; self.weights.len()] } else { pixels };
        match &mut self.pixels {
            StoredPixels::InMemory { visits, left_out } => {
                for (((_, flags), before), now) in visits.iter_mut().zip(left_out.iter()).zip(&pixels) {
                    let mut flags = flags.view_mut();
                    let cols = flags.ncols();
                    let place = |pixel: u32| [pixel as usize / cols, pixel as usize % cols];
                    before.iter().for_each(|pixel| flags[place(*pixel)] |= GOOD);
                    now.iter().for_each(|pixel| flags[place(*pixel)] &= !GOOD);
                }
                *left_out = pixels;
            }
            StoredPixels::OnDisk(stream) => {
                stream.left_out = Arc::new(pixels);
                // Rows may have been fetched that know nothing of it.
                stream.ahead = Mutex::new(None);
            }
        }
    }
}

/// The pixels of the visits.
pub(crate) enum StoredPixels {
    /// In memory.
    InMemory {
        /// Image and flags of each visit.
        visits: Vec<(Array2<f32>, Array2<u8>)>,
        /// The pixels of each visit whose flags were changed ([`Store::leave_out`]).
        left_out: Vec<Vec<u32>>,
    },
    /// On disk.
    OnDisk(Stream),
}

/// Pixels that are on disk, and the rows of them that are being fetched.
pub(crate) struct Stream {
    pub(crate) file: Arc<ScratchFile>,
    /// Each visit's number in the file.
    pub(crate) slots: Vec<usize>,
    pub(crate) rows_at_a_time: usize,
    /// The pixels of each visit that are not to be used.
    left_out: Arc<Vec<Vec<u32>>>,
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
        let left_out = Arc::new(vec![vec![]; slots.len()]);
        Self { file, slots, rows_at_a_time, left_out, ahead: Mutex::new(None) }
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
            _ => Fetched::read(&self.file, &self.slots, &self.left_out, rows)?,
        };
        *ahead = next.map(|rows| {
            let (file, slots, wanted) = (Arc::clone(&self.file), self.slots.clone(), rows.clone());
            let left_out = Arc::clone(&self.left_out);
            Ahead {
                rows,
                thread: std::thread::spawn(move || Fetched::read(&file, &slots, &left_out, wanted)),
            }
        });
        Ok(here)
    }
}

impl Fetched {
    fn read(
        file: &ScratchFile,
        slots: &[usize],
        left_out: &[Vec<u32>],
        rows: Range<usize>,
    ) -> Result<Self, FitsError> {
        let visits = slots
            .iter()
            .zip(left_out)
            .map(|(slot, left_out)| read_rows(file, *slot, left_out, rows.clone()))
            .collect::<Result<_, _>>()?;
        Ok(Self { rows, visits })
    }
}

/// Rows of a visit, without the pixels that are left out.
fn read_rows(
    file: &ScratchFile,
    slot: usize,
    left_out: &[u32],
    rows: Range<usize>,
) -> Result<(Array2<f32>, Array2<u8>), FitsError> {
    let (image, mut flags) = file.read(slot, rows.clone())?;
    let cols = flags.ncols();
    let from = left_out.partition_point(|pixel| (*pixel as usize) < rows.start * cols);
    for pixel in
        left_out[from..].iter().map(|pixel| *pixel as usize).take_while(|pixel| *pixel < rows.end * cols)
    {
        flags[[pixel / cols - rows.start, pixel % cols]] &= !GOOD;
    }
    Ok((image, flags))
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
            StoredPixels::InMemory { visits, .. } => {
                let (image, flags) = &visits[visit];
                Ok(Pixels { image: region.of(&image.view()).into(), flags: region.of(&flags.view()).into() })
            }
            StoredPixels::OnDisk(stream) => {
                let (slot, left_out) = (stream.slots[visit], &stream.left_out[visit]);
                let (image, flags) = read_rows(&stream.file, slot, left_out, region.rows.clone())?;
                let cols = Region { rows: 0..region.rows.len(), cols: region.cols.clone() };
                let part = (cols.of(&image.view()).to_owned(), cols.of(&flags.view()).to_owned());
                Ok(Pixels { image: part.0.into(), flags: part.1.into() })
            }
        }
    }

    fn rows_at_a_time(&self) -> usize {
        match &self.pixels {
            StoredPixels::InMemory { .. } => usize::MAX,
            StoredPixels::OnDisk(stream) => stream.rows_at_a_time,
        }
    }

    fn rows(
        &self,
        rows: Range<usize>,
        next: Option<Range<usize>>,
    ) -> Result<Box<dyn Rows + '_>, SourceError> {
        match &self.pixels {
            StoredPixels::InMemory { .. } => Ok(Box::new(AtHand(self))),
            StoredPixels::OnDisk(stream) => Ok(Box::new(stream.fetch(rows, next)?)),
        }
    }
}
