//! How a run keeps within the memory that it may use.

use dcr_image::fits::free_memory;
use dcr_image::{BBox, Psf};

use crate::coadd::solver_choice::Solver;
use crate::config::{AssembleConfig, PixelsIn};
use crate::error::CoaddError;
use crate::inputs::Inputs;

/// Bytes of a visit's pixel that is kept: `f32` and a byte of flags.
const BYTES_OF_A_VISIT: u64 = 5;
/// Bytes per pixel of the patch in every run, with a further term per subfilter: planes of the
/// starting coadd, solver and results. Measured, and rounded up.
const BYTES_OF_THE_PATCH: u64 = 90;
const BYTES_OF_A_SUBFILTER: u64 = 36;
/// Minimum rows of all visits in memory, twice: the next rows are fetched during the work.
const FEWEST_ROWS: u64 = 96;
/// More rows at a time bring nothing.
const MOST_ROWS: u64 = 1024;
/// Bytes for the pixels of all visits that are combined at a time, at most.
const MOST_STRIP: u64 = 256 << 20;
/// Bytes of the joint solver per pixel of a tile for a visit whose PSF varies.
const BYTES_OF_VARIATION: u64 = 20;
/// Fixed memory of the program in bytes.
const BASE: u64 = 64 << 20;

/// Division of the available memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemoryPlan {
    /// True if the pixels of all visits are kept in memory.
    pub(crate) in_memory: bool,
    /// If not: how many rows of them are, at a time.
    pub(crate) rows_at_a_time: usize,
    /// Bytes for the pixels of all visits that are read and combined at a time.
    pub(crate) strip_bytes: usize,
}

impl MemoryPlan {
    /// Chooses memory or disk for the pixels of the visits.
    ///
    /// # Errors
    ///
    /// [`CoaddError::Memory`] if the patch's own planes do not fit.
    pub(crate) fn new(inputs: &Inputs, solver: Solver, config: &AssembleConfig) -> Result<Self, CoaddError> {
        let (visits, bbox) = (inputs.visits.len(), &inputs.bbox);
        let varying = inputs.visits.iter().filter(|visit| visit.file.psf().is_some_and(Psf::varies)).count();
        let given = config.coadd.memory_limit.map(|size| size.0);
        let solver = match solver {
            Solver::Iterative => 0,
            Solver::Joint => bytes_of_a_tile([visits, varying], bbox, config),
        };
        let limit = given.or_else(|| free_memory().map(|free| free / 2)).unwrap_or(u64::MAX);
        Self::within(limit, config.coadd.pixels_in, visits, bbox, config.model.subfilters, solver)
    }

    fn within(
        limit: u64,
        place: PixelsIn,
        visits: usize,
        bbox: &BBox,
        subfilters: usize,
        solver: u64,
    ) -> Result<Self, CoaddError> {
        let (area, visits) = (bbox.area() as u64, visits as u64);
        let planes = BASE + solver + area * (BYTES_OF_THE_PATCH + BYTES_OF_A_SUBFILTER * subfilters as u64);
        let all_visits = area * visits * BYTES_OF_A_VISIT;
        // One row of all visits, that being worked on and that being fetched.
        let row = 2 * (bbox.width as u64 * visits * BYTES_OF_A_VISIT).max(1);
        let in_memory = match place {
            PixelsIn::Auto => planes.saturating_add(all_visits) <= limit,
            PixelsIn::Memory => true,
            PixelsIn::Disk => false,
        };
        let least = planes + if in_memory { all_visits } else { FEWEST_ROWS.min(bbox.height as u64) * row };
        if least > limit {
            return Err(CoaddError::Memory { needed: least, limit });
        }
        let left = limit - planes - if in_memory { all_visits } else { 0 };
        Ok(Self {
            in_memory,
            rows_at_a_time: (left / row).clamp(FEWEST_ROWS, MOST_ROWS) as usize,
            strip_bytes: left.clamp(MOST_STRIP / 8, MOST_STRIP) as usize,
        })
    }
}

/// Bytes of the joint solver for a tile (`JointConfig::tile_size`), with that many visits, and that
/// many whose PSF varies.
fn bytes_of_a_tile([visits, varying]: [usize; 2], bbox: &BBox, config: &AssembleConfig) -> u64 {
    let joint = &config.joint;
    let side =
        |length: usize| (length.min(joint.tile_size) + 2 * (joint.tile_overlap + joint.padding)) as u64;
    let of_a_pixel =
        visits as u64 * (4 * config.model.subfilters as u64 + 10) + varying as u64 * BYTES_OF_VARIATION + 400;
    side(bbox.width).saturating_mul(side(bbox.height)).saturating_mul(of_a_pixel)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(limit: u64) -> Result<MemoryPlan, CoaddError> {
        MemoryPlan::within(limit, PixelsIn::Auto, 80, &BBox::new(0, 0, 4100, 4100), 3, 0)
    }

    #[test]
    fn plan_keeps_pixels_if_they_fit_and_else_puts_them_aside() {
        assert!(plan(12 << 30).is_ok_and(|plan| plan.in_memory));
        let streamed = plan(6 << 30).unwrap();
        assert!(!streamed.in_memory && streamed.rows_at_a_time >= 96);
    }

    #[test]
    fn plan_refuses_what_cannot_fit() {
        let error = plan(1 << 30).unwrap_err().to_string();
        assert!(error.contains("1.0 GiB") && error.contains("coadd.memory_limit"), "{error}");
    }

    #[test]
    fn plan_does_as_it_is_told() {
        let on = |place| MemoryPlan::within(u64::MAX, place, 2, &BBox::new(0, 0, 10, 10), 1, 0).unwrap();
        assert!(on(PixelsIn::Memory).in_memory && on(PixelsIn::Auto).in_memory);
        assert!(!on(PixelsIn::Disk).in_memory);
    }
}
