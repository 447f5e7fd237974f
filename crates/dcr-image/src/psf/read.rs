//! Reading a PSF from a FITS file: an image, a grid of stamps, or a PSFEx table.

use std::path::Path;

use dcr_physics::Assumption;
use ndarray::Array2;

use super::centring::{Finding, stamp_from_file};
use super::owner::{PsfOwner, content};
use super::psfex_table::find_psfex;
use super::{Psf, Stamp, StampError, StampGrid};
use crate::BBox;
use crate::fits::{FitsError, FitsReader, Hdu, HduKind, inventory, survey};

/// Maximum number of values in a grid of stamps: one gigabyte.
const MOST_NUMBERS: usize = 1 << 27;

impl Psf {
    /// Opens a file that holds a PSF for the image `bbox`, as [`Psf::open_for`] for an exposure of
    /// unknown identity, without notes.
    ///
    /// # Errors
    ///
    /// As [`Psf::open_for`].
    pub fn open(path: &Path, bbox: &BBox) -> Result<Self, FitsError> {
        Self::open_for(path, &PsfOwner::of_box(bbox), &mut vec![])
    }

    /// Opens a file that holds the PSF of an exposure: a PSFEx model (a column PSF_MASK, in any
    /// case), a grid of stamps (the table PSF_GRID, or an image PSF of four axes), an HDU called
    /// PSF, or else the first image. Stamps are validated and centred on their middle pixel;
    /// changes and anomalies go into `notes`.
    ///
    /// # Errors
    ///
    /// [`FitsError`] with file and HDU for a missing, malformed or invalid PSF, and for several
    /// models without a criterion.
    pub fn open_for(
        path: &Path,
        owner: &PsfOwner<'_>,
        notes: &mut Vec<Assumption>,
    ) -> Result<Self, FitsError> {
        let mut reader = FitsReader::open(path)?;
        let hdus = survey(&mut reader)?;
        Self::among(&mut reader, &hdus, owner, notes)
    }

    /// Reads the PSF in some HDUs of a file, as [`Psf::open_for`].
    ///
    /// # Errors
    ///
    /// As [`Psf::open_for`].
    pub(crate) fn among(
        reader: &mut FitsReader,
        hdus: &[Hdu],
        owner: &PsfOwner<'_>,
        notes: &mut Vec<Assumption>,
    ) -> Result<Self, FitsError> {
        let mut findings = vec![];
        let psf = match Self::find(reader, hdus, owner, &mut findings)? {
            Some(psf) => psf,
            None => {
                let image = hdus.iter().find(|hdu| hdu.plane_shape().is_some());
                let image = image.ok_or_else(|| FitsError::Missing {
                    path: reader.path().to_owned(),
                    wanted: "PSF (an image, a table PSF_GRID of stamps, or one with the column PSF_MASK)"
                        .into(),
                    found: inventory(hdus),
                })?;
                read_stamp(reader, image, &mut findings).map(Self::Stamp)?
            }
        };
        notes.extend(findings.into_iter().map(Finding::note));
        Ok(psf)
    }

    /// The PSF in an exposure's own file: the PSFEx model, the grid of stamps, the image HDU called
    /// PSF, or a Gaussian of the width in the header, with a note.
    pub(crate) fn in_file(
        reader: &mut FitsReader,
        hdus: &[Hdu],
        owner: &PsfOwner<'_>,
        fwhm_px: Option<f64>,
        notes: &mut Vec<Assumption>,
    ) -> Result<Option<Self>, FitsError> {
        let mut findings = vec![];
        let found = Self::find(reader, hdus, owner, &mut findings)?;
        notes.extend(findings.into_iter().map(Finding::note));
        if found.is_some() {
            return Ok(found);
        }
        Ok(fwhm_px.map(|fwhm_px| {
            let text =
                format!("The file has no PSF; a Gaussian of the header's FWHM of {fwhm_px:.2} px is used.");
            notes.push(Finding { text, warning: false }.note());
            Self::Gaussian { fwhm_px }
        }))
    }

    /// A PSF identified by the columns or name of its HDU.
    fn find(
        reader: &mut FitsReader,
        hdus: &[Hdu],
        owner: &PsfOwner<'_>,
        findings: &mut Vec<Finding>,
    ) -> Result<Option<Self>, FitsError> {
        if let Some(model) = find_psfex(reader, hdus.iter(), owner, findings)? {
            return Ok(Some(Self::PsfEx(model)));
        }
        if let Some(hdu) = hdus.iter().find(|hdu| StampGrid::is_in(hdu)) {
            return StampGrid::read(reader, hdu, findings).map(|grid| Some(Self::Grid(grid)));
        }
        if let Some((hdu, axes)) = hdus.iter().find_map(|hdu| Some((hdu, cell_axes(hdu)?))) {
            return read_cells(reader, hdu, axes, owner.bbox, findings).map(|grid| Some(Self::Grid(grid)));
        }
        let image = |hdu: &&Hdu| hdu.name.eq_ignore_ascii_case("PSF") && hdu.plane_shape().is_some();
        match hdus.iter().find(image) {
            Some(hdu) => read_stamp(reader, hdu, findings).map(|stamp| Some(Self::Stamp(stamp))),
            None => Ok(None),
        }
    }
}

impl Finding {
    fn note(self) -> Assumption {
        Assumption { quantity: "PSF".to_owned(), text: self.text, warning: self.warning }
    }

    /// Notes on the stamps of a grid, each once, with the number of cells. Figures are those of the
    /// first cell.
    pub(super) fn of_cells(cells: Vec<Vec<Self>>) -> Vec<Self> {
        let count = cells.len();
        let with = cells.iter().filter(|findings| findings.iter().any(|finding| finding.warning)).count();
        let first = |warning: bool| {
            let of_cell = |findings: &Vec<Self>| findings.iter().any(|finding| finding.warning) == warning;
            cells.iter().find(|findings| !findings.is_empty() && of_cell(findings))
        };
        let Some(findings) = first(true).or_else(|| first(false)) else { return vec![] };
        let cells =
            if with > 0 { format!("In {with} of {count} cells, as in this") } else { "In cells".into() };
        let told =
            |finding: &Self| Self { text: format!("{cells}: {}", finding.text), warning: finding.warning };
        findings.iter().map(told).collect()
    }
}

/// The axes of an image PSF of four axes: stamps on cells that divide the image evenly, as in
/// lsst-images.
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
    axes: [usize; 4],
    bbox: &BBox,
    findings: &mut Vec<Finding>,
) -> Result<StampGrid, FitsError> {
    let [cols, rows, across, up] = axes;
    let size = axes.iter().try_fold(1_usize, |size, axis| size.checked_mul(*axis));
    if !size.is_some_and(|size| (1..=MOST_NUMBERS).contains(&size)) {
        let reason = format!(
            "a grid of {across} × {up} PSF stamps of {cols} × {rows} pixels; expected 1 to {MOST_NUMBERS} pixels in all"
        );
        return Err(content(reader, hdu, reason));
    }
    reader.go_to(hdu.index)?;
    let pixels = reader.all_pixels::<f64>(&axes, &hdu.label())?;
    let (width, height) = (bbox.width.div_ceil(across), bbox.height.div_ceil(up));
    let (mut cells, mut found) = (vec![], vec![]);
    for (number, stamp) in pixels.chunks_exact(cols * rows).enumerate() {
        let (x, y) = ((number % across) * width, (number / across) * height);
        let cell = BBox::new(bbox.x0 + x as i64, bbox.y0 + y as i64, width, height);
        let stamp = Array2::from_shape_vec((rows, cols), stamp.to_vec()).map_err(|error| error.to_string());
        match stamp.map(stamp_from_file) {
            Ok(Ok((stamp, findings))) => {
                cells.push((cell, stamp));
                found.push(findings);
            }
            // Cells without a PSF have no finite or no positive values.
            Ok(Err(StampError::NotFinite { .. } | StampError::Sum { .. })) => {}
            Ok(Err(error)) => return Err(content(reader, hdu, format!("cell {}: {error}", number + 1))),
            Err(reason) => return Err(content(reader, hdu, reason)),
        }
    }
    findings.extend(Finding::of_cells(found));
    StampGrid::new(cells).map_err(|error| content(reader, hdu, error.to_string()))
}

fn read_stamp(reader: &mut FitsReader, hdu: &Hdu, findings: &mut Vec<Finding>) -> Result<Stamp, FitsError> {
    let source = hdu.source(reader.path())?;
    reader.go_to(hdu.index)?;
    let pixels = reader.pixels::<f64>(0..source.shape.0, 0..source.shape.1, &source.label)?;
    let stamp = Array2::from_shape_vec(source.shape, pixels).map_err(|error| error.to_string());
    let (stamp, found) = stamp
        .and_then(|pixels| stamp_from_file(pixels).map_err(|error| error.to_string()))
        .map_err(|reason| content(reader, hdu, reason))?;
    findings.extend(found);
    Ok(stamp)
}
