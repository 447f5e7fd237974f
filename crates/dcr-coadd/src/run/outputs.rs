//! The files of a run.

use std::io::Write;
use std::path::Path;

use dcr_image::fits::{
    self, AtomicFile, Column, ColumnValues, ExposureToWrite, ImageHdu, OutputFolder, Pixels, Seal, TableHdu,
    WriteOptions, write_exposure,
};
use dcr_image::header::Card;
use dcr_image::{BBox, FitsError, MaskPlanes, Stamp, Wcs};
use ndarray::{Array2, ArrayView2};

use crate::config::{Compression, OutputConfig};
use crate::error::CoaddError;
use crate::run::summary::{Summary, VisitSummary};

/// The file that is written last and says that all others are there.
pub const SUMMARY: &str = "summary.json";
/// The standard coadd of a run: no model of refraction.
pub const PLAIN_COADD: &str = "plain.fits";
/// The report of a run, which belongs to this run alone.
pub const REPORT: &str = "report.html";

/// A command that writes a [`SUMMARY`], with a key that only its has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// `dcr assemble`.
    Assemble,
    /// `dcr subtract`.
    Subtract,
}

impl Writer {
    const ALL: [(Self, &'static str, &'static str); 2] =
        [(Self::Assemble, "coadds", "configuration"), (Self::Subtract, "difference images", "threshold")];

    /// Refuses a folder with the results of another command, whose summary would be overwritten.
    ///
    /// # Errors
    ///
    /// [`CoaddError::OtherResults`], or an error of reading the summary.
    pub fn check_folder(self, folder: &Path) -> Result<(), CoaddError> {
        // A file in its place is refused where the folder is prepared.
        if !fits::is_dir(folder)? {
            return Ok(());
        }
        let Some(seal) = Seal::read(folder, SUMMARY)? else { return Ok(()) };
        // A summary that cannot be parsed belongs to no command, and may be replaced.
        let summary: serde_json::Value = serde_json::from_str(seal.text()).unwrap_or_default();
        let of = Self::ALL.iter().find(|(_, _, key)| summary.get(key).is_some());
        match of {
            Some((writer, there, _)) if *writer != self => {
                Err(CoaddError::OtherResults { path: folder.to_owned(), there })
            }
            _ => Ok(()),
        }
    }
}

/// Grid, unit, PSF and cards shared by the output HDUs of a run.
pub struct OutputHdus<'a> {
    /// Box of the images in parent pixels.
    pub bbox: BBox,
    /// WCS of the parent pixels.
    pub wcs: &'a Wcs,
    /// Unit of the pixel values.
    pub unit: &'a str,
    /// Dictionary of the masks.
    pub planes: &'a MaskPlanes,
    /// PSF written as an HDU, if known.
    pub psf: Option<&'a Stamp>,
    /// Cards of the PSF's HDU.
    pub psf_cards: Vec<Card>,
    /// Cards of every primary HDU.
    pub cards: Vec<Card>,
    /// Overwriting and compression.
    pub options: WriteOptions,
}

/// The planes of a file.
pub struct Planes<'a> {
    /// Pixel values.
    pub image: ArrayView2<'a, f32>,
    /// Mask bits.
    pub mask: ArrayView2<'a, i32>,
    /// Variances.
    pub variance: ArrayView2<'a, f32>,
    /// Number of visits in each pixel.
    pub n_image: Option<ArrayView2<'a, u16>>,
}

/// How files are to be written.
pub fn write_options(config: &OutputConfig, overwrite: bool) -> WriteOptions {
    WriteOptions { overwrite, compress: config.compression == Compression::Gzip }
}

impl OutputHdus<'_> {
    /// Writes a file with the HDUs IMAGE, MASK, VARIANCE, optionally N_IMAGE and PSF, and tables.
    pub fn write(
        &self,
        path: &Path,
        planes: &Planes<'_>,
        own_cards: Vec<Card>,
        tables: Vec<TableHdu>,
    ) -> Result<(), FitsError> {
        let on_grid = |name, pixels| ImageHdu::new(name, pixels).on_grid(self.wcs, &self.bbox);
        let mut images = vec![
            on_grid("IMAGE", Pixels::F32(planes.image)).with_unit(self.unit),
            on_grid("MASK", Pixels::I32(planes.mask)).with_planes(self.planes),
            on_grid("VARIANCE", Pixels::F32(planes.variance)).with_unit(&format!("({})**2", self.unit)),
        ];
        if let Some(n_image) = planes.n_image {
            images.push(on_grid("N_IMAGE", Pixels::U16(n_image)));
        }
        let stamp: Option<Array2<f32>> = self.psf.map(|stamp| stamp.pixels().mapv(|v| v as f32));
        if let Some(stamp) = &stamp {
            let psf = ImageHdu::new("PSF", Pixels::F32(stamp.view()));
            images.push(psf.with_cards(self.psf_cards.iter().cloned()));
        }
        let primary = self.cards.iter().cloned().chain(own_cards).collect();
        write_exposure(path, &ExposureToWrite { primary, images, tables }, self.options)
    }
}

/// The visits as a table.
pub(crate) fn visit_table(visits: &[VisitSummary]) -> TableHdu {
    let numbers = |name: &str, unit: &str, of: &dyn Fn(&VisitSummary) -> f64| Column {
        name: name.into(),
        unit: unit.into(),
        values: ColumnValues::F64(visits.iter().map(of).collect()),
    };
    let mut columns = vec![
        Column {
            name: "VISIT".into(),
            unit: String::new(),
            values: ColumnValues::I64(visits.iter().map(|visit| visit.visit as i64).collect()),
        },
        Column {
            name: "FILE".into(),
            unit: String::new(),
            values: ColumnValues::Text(visits.iter().map(VisitSummary::file_names).collect()),
        },
        numbers("MJD_TAI", "d", &|visit| visit.mjd_tai.unwrap_or(f64::NAN)),
        numbers("EXPTIME", "s", &|visit| visit.exposure_s.unwrap_or(f64::NAN)),
        numbers("AIRMASS", "", &|visit| visit.airmass),
        numbers("ALTITUDE", "deg", &|visit| visit.altitude_deg),
        numbers("PARANGLE", "deg", &|visit| visit.parallactic_angle_deg),
        numbers("PSF_FWHM", "pixel", &|visit| visit.psf_fwhm_px.unwrap_or(f64::NAN)),
        numbers("VARIANCE", "", &|visit| visit.variance),
        numbers("WEIGHT", "", &|visit| visit.weight),
        Column {
            name: "PSF_USED".into(),
            unit: String::new(),
            values: ColumnValues::I64(visits.iter().map(|visit| i64::from(visit.psf_selected)).collect()),
        },
        numbers("SCALE", "", &|visit| visit.scale),
        numbers("USABLE", "", &|visit| visit.usable),
        numbers("METRIC", "", &|visit| visit.metric.unwrap_or(f64::NAN)),
        numbers("RMS", "", &|visit| visit.residual_rms.unwrap_or(f64::NAN)),
    ];
    let subfilters = visits.first().map_or(0, |visit| visit.shifts_px.len());
    for subfilter in 0..subfilters {
        columns.push(numbers(&format!("DX_{subfilter}"), "pixel", &|visit| visit.shifts_px[subfilter][0]));
        columns.push(numbers(&format!("DY_{subfilter}"), "pixel", &|visit| visit.shifts_px[subfilter][1]));
    }
    TableHdu { name: "VISITS".into(), columns, cards: vec![] }
}

/// Writes `summary.json`.
pub(crate) fn write_summary(folder: &OutputFolder, summary: &Summary) -> Result<(), FitsError> {
    let path = folder.staged(SUMMARY);
    let io = |source| FitsError::Io { path: path.clone(), action: "write it", source };
    let mut file = AtomicFile::create(&path).map_err(io)?;
    serde_json::to_writer_pretty(&mut file, summary).map_err(|error| io(error.into()))?;
    file.write_all(b"\n").map_err(io)?;
    file.commit().map_err(io)
}
