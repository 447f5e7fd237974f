//! A PSF as stamps on a grid of cells, and its table in a file.
//!
//! The table PSF_GRID has one row per cell: `X0`, `Y0` (first pixel of the cell, 0-based in the
//! parent image), `WIDTH`, `HEIGHT`, `FWHM` (px, for information) and `STAMP`, a column of images
//! (`TDIM`) of one odd size, each of sum 1 and centred on its middle pixel.

use ndarray::{Array2, Array3, Axis, s};

use super::centring::{Finding, stamp_from_file};
use super::{Stamp, StampError};
use crate::BBox;
use crate::fits::{Column, ColumnValues, FitsError, FitsReader, Hdu, HduKind, TableHdu};
use crate::header::Header;

/// The name of the table.
pub(super) const TABLE: &str = "PSF_GRID";
/// The columns of the cells' boxes, in the order of [`BBox::new`].
const BOX_COLUMNS: [&str; 4] = ["X0", "Y0", "WIDTH", "HEIGHT"];

/// Stamps on a grid of cells.
#[derive(Clone, Debug, PartialEq)]
pub struct StampGrid {
    cells: Vec<(BBox, Stamp)>,
}

impl StampGrid {
    /// A grid of cells, each with its stamp.
    ///
    /// # Errors
    ///
    /// [`StampError::NoCells`] if there is none.
    pub fn new(cells: Vec<(BBox, Stamp)>) -> Result<Self, StampError> {
        if cells.is_empty() { Err(StampError::NoCells) } else { Ok(Self { cells }) }
    }

    /// The cells with their stamps.
    #[must_use]
    pub fn cells(&self) -> &[(BBox, Stamp)] {
        &self.cells
    }

    /// The stamp of the cell at `(x, y)`, or of the nearest cell.
    pub(super) fn nearest(&self, x: f64, y: f64) -> &Stamp {
        let distance = |bbox: &BBox| {
            let outside = |value: f64, first: i64, end: i64| {
                (first as f64 - 0.5 - value).max(value - (end as f64 - 0.5)).max(0.0)
            };
            outside(x, bbox.x0, bbox.x1()).hypot(outside(y, bbox.y0, bbox.y1()))
        };
        let mut best = &self.cells[0];
        for cell in &self.cells[1..] {
            if distance(&cell.0) < distance(&best.0) {
                best = cell;
            }
        }
        &best.1
    }

    /// The grid as a table for a file. Smaller stamps get a border of zeros.
    #[must_use]
    pub fn table(&self) -> TableHdu {
        let side =
            |axis: usize| self.cells.iter().map(|(_, stamp)| stamp.pixels().shape()[axis]).max().unwrap_or(1);
        let mut stamps = Array3::zeros((self.cells.len(), side(0), side(1)));
        for ((_, stamp), mut image) in self.cells.iter().zip(stamps.axis_iter_mut(Axis(0))) {
            let (rows, cols) = stamp.pixels().dim();
            let (top, left) = ((image.nrows() - rows) / 2, (image.ncols() - cols) / 2);
            image
                .slice_mut(s![top..top + rows, left..left + cols])
                .assign(&stamp.pixels().mapv(|value| value as f32));
        }
        let integers = |name: &str, of: fn(&BBox) -> i64| Column {
            name: name.into(),
            unit: "pixel".into(),
            values: ColumnValues::I64(self.cells.iter().map(|(bbox, _)| of(bbox)).collect()),
        };
        let widths = self.cells.iter().map(|(_, stamp)| stamp.fwhm_px().unwrap_or(f64::NAN)).collect();
        let [x0, y0, width, height] = BOX_COLUMNS;
        let columns = vec![
            integers(x0, |bbox| bbox.x0),
            integers(y0, |bbox| bbox.y0),
            integers(width, |bbox| bbox.width as i64),
            integers(height, |bbox| bbox.height as i64),
            Column { name: "FWHM".into(), unit: "pixel".into(), values: ColumnValues::F64(widths) },
            Column { name: "STAMP".into(), unit: String::new(), values: ColumnValues::Images(stamps) },
        ];
        TableHdu { name: TABLE.into(), columns, cards: vec![] }
    }

    /// Whether an HDU is such a table.
    pub(super) fn is_in(hdu: &Hdu) -> bool {
        hdu.kind == HduKind::Table && hdu.name.eq_ignore_ascii_case(TABLE)
    }

    /// Reads the table.
    pub(super) fn read(
        reader: &mut FitsReader,
        hdu: &Hdu,
        findings: &mut Vec<Finding>,
    ) -> Result<Self, FitsError> {
        reader.go_to(hdu.index)?;
        let path = reader.path().to_owned();
        let content = |reason: String| FitsError::Content { path: path.clone(), hdu: hdu.label(), reason };
        let mut column = |name: &str| {
            reader.column(name).ok_or_else(|| content(format!("the grid of PSF stamps has no column {name}")))
        };
        let [x0, y0, width, height] = BOX_COLUMNS;
        let numbers = [column(x0)?, column(y0)?, column(width)?, column(height)?];
        let stamp_column = column("STAMP")?;
        let (cols, rows) = image_shape(&hdu.header, stamp_column)
            .ok_or_else(|| content(format!("column STAMP has no TDIM{stamp_column} of two axes")))?;
        let count = hdu.header.i64("NAXIS2").and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
        // Not `with_capacity`: the count comes from an untrusted file.
        let (mut cells, mut found) = (vec![], vec![]);
        for row in 0..count {
            let mut number = |column: i32| -> Result<i64, FitsError> {
                let first = reader.cell::<i64>(column, row)?.first().copied();
                first.ok_or_else(|| content(format!("row {row} has an empty cell")))
            };
            let [x0, y0, width, height] = numbers;
            let (x0, y0) = (number(x0)?, number(y0)?);
            let (width, height) = (number(width)?, number(height)?);
            let sides = usize::try_from(width).ok().zip(usize::try_from(height).ok());
            let (width, height) =
                sides.ok_or_else(|| content(format!("row {row} has a cell of {width} × {height} pixels")))?;
            let pixels = reader.cell::<f64>(stamp_column, row)?;
            let (stamp, about_stamp) = Array2::from_shape_vec((rows, cols), pixels)
                .map_err(|error| error.to_string())
                .and_then(|pixels| stamp_from_file(pixels).map_err(|error| error.to_string()))
                .map_err(|reason| content(format!("row {row}: {reason}")))?;
            cells.push((BBox::new(x0, y0, width, height), stamp));
            found.push(about_stamp);
        }
        findings.extend(Finding::of_cells(found));
        Self::new(cells).map_err(|error| content(error.to_string()))
    }
}

/// The first two axes of a column's TDIM.
pub(super) fn image_shape(header: &Header, column: i32) -> Option<(usize, usize)> {
    let text = header.text(&format!("TDIM{column}"))?;
    let mut axes = text.trim_matches(['(', ')']).split(',').map(|axis| axis.trim().parse().ok());
    Some((axes.next()??, axes.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fits::{ExposureToWrite, WriteOptions, write_exposure};
    use crate::psf::Psf;

    /// Stamps are written as `f32`.
    const ROUNDING: f64 = 1e-7;

    fn stamp(fwhm_px: f64) -> Stamp {
        Psf::Gaussian { fwhm_px }.stamp_at(0.0, 0.0).unwrap()
    }

    fn written(table: TableHdu) -> Result<Psf, FitsError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("psf.fits");
        let file = ExposureToWrite { tables: vec![table], ..ExposureToWrite::default() };
        write_exposure(&path, &file, WriteOptions::default()).unwrap();
        Psf::open(&path, &BBox::new(0, 0, 20, 20))
    }

    #[test]
    fn grid_takes_the_cell_or_the_nearest() {
        let cells = vec![(BBox::new(0, 0, 10, 10), stamp(3.0)), (BBox::new(10, 0, 10, 10), stamp(5.0))];
        let psf = Psf::Grid(StampGrid::new(cells).unwrap());
        assert!(psf.fwhm_px(9.4, 5.0).unwrap() < 4.0);
        assert!(psf.fwhm_px(9.6, 5.0).unwrap() > 4.0);
        assert!(psf.fwhm_px(-100.0, 50.0).unwrap() < 4.0);
        assert_eq!(StampGrid::new(Vec::new()), Err(StampError::NoCells));
    }

    #[test]
    fn grid_comes_back_from_its_table() {
        let cells = vec![(BBox::new(-7, 3, 10, 12), stamp(3.0)), (BBox::new(3, 3, 9, 12), stamp(5.0))];
        let Psf::Grid(back) = written(StampGrid::new(cells.clone()).unwrap().table()).unwrap() else {
            panic!("a grid comes back as a grid")
        };
        for ((bbox, stamp), (own_box, own)) in back.cells().iter().zip(&cells) {
            assert_eq!(bbox, own_box);
            let (rows, cols) = own.pixels().dim();
            let (top, left) = ((stamp.pixels().nrows() - rows) / 2, (stamp.pixels().ncols() - cols) / 2);
            let middle = stamp.pixels().slice(s![top..top + rows, left..left + cols]);
            assert!((&middle - own.pixels()).iter().all(|difference| difference.abs() < ROUNDING));
        }
    }

    #[test]
    fn grid_table_that_is_malformed_is_refused_with_the_reason() {
        let good = StampGrid::new(vec![(BBox::new(0, 0, 10, 10), stamp(3.0))]).unwrap().table();
        let without = |name: &str| {
            let mut table = good.clone();
            table.columns.retain(|column| column.name != name);
            written(table).unwrap_err().to_string()
        };
        assert!(without("STAMP").contains("no column STAMP"));
        assert!(without("Y0").contains("no column Y0"));
        let mut empty = good.clone();
        empty.columns[5].values = ColumnValues::Images(Array3::zeros((1, 5, 5)));
        assert!(written(empty).unwrap_err().to_string().contains("add up to 0"));
        let mut negative = good;
        negative.columns[2].values = ColumnValues::I64(vec![-1]);
        assert!(written(negative).unwrap_err().to_string().contains("-1 × 10"));
    }
}
