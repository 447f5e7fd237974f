//! Reading a PSF from a FITS file: an image, a grid of stamps, or a PSFEx table.

use std::path::Path;

use dcr_physics::Assumption;
use ndarray::{Array2, Array3};

use super::grid::image_shape;
use super::psfex::Polynomial;
use super::{Psf, PsfEx, Stamp, StampError, StampGrid};
use crate::BBox;
use crate::fits::{FitsError, FitsReader, Hdu, HduKind, inventory, survey};

impl Psf {
    /// Opens a file that holds a PSF for the image `bbox`: a PSFEx model (a column PSF_MASK, in any case), a grid of
    /// stamps (the table PSF_GRID, or an image PSF of four axes), an HDU called PSF, or else the first image.
    ///
    /// # Errors
    ///
    /// [`FitsError`], which names the file and HDU, if there is none or it is malformed.
    pub fn open(path: &Path, bbox: &BBox) -> Result<Self, FitsError> {
        let mut reader = FitsReader::open(path)?;
        let hdus = survey(&mut reader)?;
        for hdu in hdus.iter().filter(|hdu| hdu.kind == HduKind::Table) {
            reader.go_to(hdu.index)?;
            if let Some(column) = reader.column("PSF_MASK") {
                return read_psfex(&mut reader, hdu, column, bbox).map(Self::PsfEx);
            }
        }
        if let Some(hdu) = hdus.iter().find(|hdu| StampGrid::is_in(hdu)) {
            return StampGrid::read(&mut reader, hdu).map(Self::Grid);
        }
        if let Some((hdu, axes)) = hdus.iter().find_map(|hdu| Some((hdu, cell_axes(hdu)?))) {
            return read_cells(&mut reader, hdu, axes, bbox).map(Self::Grid);
        }
        let hdu = hdus
            .iter()
            .find(|hdu| hdu.name.eq_ignore_ascii_case("PSF"))
            .or_else(|| hdus.iter().find(|hdu| hdu.plane_shape().is_some()))
            .ok_or_else(|| FitsError::Missing {
                path: path.to_owned(),
                wanted: "PSF (an image, a table PSF_GRID of stamps, or one with the column PSF_MASK)".into(),
                found: inventory(&hdus),
            })?;
        read_stamp(&mut reader, hdu).map(Self::Stamp)
    }

    /// The PSF in an exposure's own file: the grid of stamps, the image HDU called PSF, or a Gaussian of the width
    /// that the header gives, which is noted.
    pub(crate) fn in_file(
        reader: &mut FitsReader,
        hdus: &[Hdu],
        bbox: &BBox,
        fwhm_px: Option<f64>,
        notes: &mut Vec<Assumption>,
    ) -> Result<Option<Self>, FitsError> {
        if let Some(hdu) = hdus.iter().find(|hdu| StampGrid::is_in(hdu)) {
            return StampGrid::read(reader, hdu).map(|grid| Some(Self::Grid(grid)));
        }
        if let Some((hdu, axes)) = hdus.iter().find_map(|hdu| Some((hdu, cell_axes(hdu)?))) {
            return read_cells(reader, hdu, axes, bbox).map(|grid| Some(Self::Grid(grid)));
        }
        let image = |hdu: &&Hdu| hdu.name.eq_ignore_ascii_case("PSF") && hdu.plane_shape().is_some();
        if let Some(hdu) = hdus.iter().find(image) {
            return read_stamp(reader, hdu).map(|stamp| Some(Self::Stamp(stamp)));
        }
        Ok(fwhm_px.map(|fwhm_px| {
            notes.push(Assumption {
                quantity: "PSF".to_owned(),
                text: format!(
                    "The file has no PSF; a Gaussian of the header's FWHM of {fwhm_px:.2} px is used."
                ),
                warning: false,
            });
            Self::Gaussian { fwhm_px }
        }))
    }
}

/// The axes of an image PSF of four axes: stamps on cells that divide the image evenly, as in files of lsst-images.
fn cell_axes(hdu: &Hdu) -> Option<[usize; 4]> {
    match &hdu.kind {
        HduKind::Image { axes, .. } if hdu.name.eq_ignore_ascii_case("PSF") => {
            axes.as_slice().try_into().ok()
        }
        _ => None,
    }
}

fn read_cells(
    reader: &mut FitsReader,
    hdu: &Hdu,
    [cols, rows, across, up]: [usize; 4],
    bbox: &BBox,
) -> Result<StampGrid, FitsError> {
    if [cols, rows, across, up].contains(&0) {
        let axes = [cols, rows, across, up];
        return Err(content(reader, hdu, format!("the PSF has the axes {axes:?}, of which none may be 0")));
    }
    reader.go_to(hdu.index)?;
    let pixels = reader.all_pixels::<f64>(&[cols, rows, across, up], &hdu.label())?;
    let (width, height) = (bbox.width.div_ceil(across.max(1)), bbox.height.div_ceil(up.max(1)));
    let mut cells = Vec::with_capacity(across * up);
    for (number, stamp) in pixels.chunks_exact((cols * rows).max(1)).enumerate() {
        let (x, y) = ((number % across) * width, (number / across) * height);
        let cell = BBox::new(bbox.x0 + x as i64, bbox.y0 + y as i64, width, height);
        let stamp = Array2::from_shape_vec((rows, cols), stamp.to_vec()).map_err(|error| error.to_string());
        match stamp.map(Stamp::new) {
            Ok(Ok(stamp)) => cells.push((cell, stamp)),
            // Cells without a PSF hold no numbers, or none above 0.
            Ok(Err(StampError::NotFinite { .. } | StampError::Sum { .. })) => {}
            Ok(Err(error)) => return Err(content(reader, hdu, error.to_string())),
            Err(reason) => return Err(content(reader, hdu, reason)),
        }
    }
    StampGrid::new(cells).map_err(|error| content(reader, hdu, error.to_string()))
}

fn read_stamp(reader: &mut FitsReader, hdu: &Hdu) -> Result<Stamp, FitsError> {
    let source = hdu.source(reader.path())?;
    reader.go_to(hdu.index)?;
    let pixels = reader.pixels::<f64>(0..source.shape.0, 0..source.shape.1, &source.label)?;
    let stamp = Array2::from_shape_vec(source.shape, pixels).map_err(|error| error.to_string());
    stamp
        .and_then(|pixels| Stamp::new(pixels).map_err(|error| error.to_string()))
        .map_err(|reason| content(reader, hdu, reason))
}

fn read_psfex(reader: &mut FitsReader, hdu: &Hdu, column: i32, bbox: &BBox) -> Result<PsfEx, FitsError> {
    let rows = hdu.header.i64("NAXIS2").unwrap_or(0);
    if rows != 1 {
        return Err(content(reader, hdu, format!("it holds {rows} PSF models; a file with one is needed")));
    }
    let values: Vec<f64> = reader.cell(column, 0)?;
    // PSFEx has the numbers in cards; files merged from several have them in columns.
    let mut number = |name: &str| -> Result<f64, FitsError> {
        if let Some(value) = hdu.header.f64(name) {
            return Ok(value);
        }
        let value = match reader.column(name) {
            Some(column) => reader.cell::<f64>(column, 0)?.first().copied().filter(|value| value.is_finite()),
            None => None,
        };
        value.ok_or_else(|| content(reader, hdu, format!("the PSFEx model has no {name}, as card or column")))
    };
    let polynomial = Polynomial {
        degree: number("POLDEG1")?.clamp(0.0, 20.0) as usize,
        zero: [number("POLZERO1")?, number("POLZERO2")?],
        scale: [number("POLSCAL1")?, number("POLSCAL2")?],
        step: number("PSF_SAMP")?,
    };
    let from_cards = image_shape(&hdu.header, column);
    let (width, height) = match from_cards {
        Some(shape) => shape,
        None => (number("PSFAXIS1")?.max(0.0) as usize, number("PSFAXIS2")?.max(0.0) as usize),
    };
    let count = values.len().checked_div(width.saturating_mul(height)).unwrap_or(0);
    let kept = values.into_iter().take(count * width * height).collect();
    let terms = Array3::from_shape_vec((count, height, width), kept)
        .map_err(|error| content(reader, hdu, format!("the PSFEx model has no shape: {error}")))?;
    if terms.iter().any(|value| !value.is_finite()) {
        return Err(content(reader, hdu, "the PSFEx model has pixels that are not finite".into()));
    }
    PsfEx::new(terms, polynomial, (bbox.x0, bbox.y0))
        .map_err(|error: StampError| content(reader, hdu, error.to_string()))
}

fn content(reader: &FitsReader, hdu: &Hdu, reason: String) -> FitsError {
    FitsError::Content { path: reader.path().to_owned(), hdu: hdu.label(), reason }
}
