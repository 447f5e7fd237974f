//! `input_map.fits`: the visits with good data in each pixel.
//!
//! Images `BITS_0`, `BITS_1`, … of 32-bit integers: bit `j` of `BITS_k` is set where the visit
//! numbered `32 k + j` in the table INPUTS has a good pixel (bit 31 makes the integer negative).
//! Compression is lossless and effective, for visits cover most pixels alike. An index of the
//! combinations that occur is smaller only until each of more than 32 visits has its own cosmic
//! rays; then there are as many combinations as pixels.

use dcr_image::fits::{Column, ColumnValues, ExposureToWrite, ImageHdu, Pixels, TableHdu};
use dcr_image::{BBox, Wcs};
use dcr_solver::kernel::Region;
use dcr_solver::{GOOD, Observations};
use ndarray::{Array2, Zip};

use crate::error::CoaddError;
use crate::inputs::store::Store;
use crate::run::summary::VisitSummary;

/// The name of the file.
pub(crate) const INPUT_MAP: &str = "input_map.fits";
/// Visits in an image.
const BITS: usize = 32;
/// Rows of a visit that are looked at together.
const STRIP_ROWS: usize = 512;

/// The bits of all visits, 32 in a plane.
///
/// # Errors
///
/// [`CoaddError`] if pixels cannot be read.
pub(crate) fn input_bits(store: &Store, shape: (usize, usize)) -> Result<Vec<Array2<i32>>, CoaddError> {
    let (rows, cols) = shape;
    let mut planes = vec![Array2::<i32>::zeros(shape); store.visits().div_ceil(BITS)];
    for visit in 0..store.visits() {
        let bit = 1_i32.wrapping_shl((visit % BITS) as u32);
        let plane = &mut planes[visit / BITS];
        for start in (0..rows).step_by(STRIP_ROWS) {
            let region = Region { rows: start..rows.min(start + STRIP_ROWS), cols: 0..cols };
            let pixels = store.pixels(visit, &region)?;
            Zip::from(region.of_mut(plane.view_mut())).and(&pixels.flags.view()).for_each(|bits, flags| {
                if flags & GOOD != 0 {
                    *bits |= bit;
                }
            });
        }
    }
    Ok(planes)
}

/// The file, but for the cards of the run.
pub(crate) fn input_map<'a>(
    planes: &'a [Array2<i32>],
    visits: &[VisitSummary],
    wcs: &Wcs,
    bbox: &BBox,
) -> ExposureToWrite<'a> {
    let integers = |name: &str, of: &dyn Fn(usize) -> i64| Column {
        name: name.into(),
        unit: String::new(),
        values: ColumnValues::I64((0..visits.len()).map(of).collect()),
    };
    let columns = vec![
        integers("VISIT", &|i| visits[i].visit as i64),
        integers("IMAGE", &|i| (i / BITS) as i64),
        integers("BIT", &|i| (i % BITS) as i64),
        Column {
            name: "FILE".into(),
            unit: String::new(),
            values: ColumnValues::Text(visits.iter().map(VisitSummary::file_names).collect()),
        },
        Column {
            name: "WEIGHT".into(),
            unit: String::new(),
            values: ColumnValues::F64(visits.iter().map(|visit| visit.weight).collect()),
        },
    ];
    let images = planes
        .iter()
        .enumerate()
        .map(|(k, plane)| ImageHdu::new(&format!("BITS_{k}"), Pixels::I32(plane.view())).on_grid(wcs, bbox));
    ExposureToWrite {
        primary: vec![],
        images: images.collect(),
        tables: vec![TableHdu { name: "INPUTS".into(), columns, cards: vec![] }],
    }
}
