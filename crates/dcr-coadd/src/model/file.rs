//! `model.fits`: a model as one FITS file that stands alone.
//!
//! The primary header holds the cards of the run ([`RunMetadata`]) and MODELFMT, the version of
//! this layout. For both solvers the file has the images MASK and PSF, with the table PSF_GRID
//! where the PSF varies. A model of the iterative solver adds PLANE_0, … and VARIANCE_0, …: flux
//! and variance of each subfilter, blue to red. A model of the joint solver adds PLANE_0, … (with a
//! border of BORDER px around the patch), COVERED, COVERAGE, FREEDOM (the prior scale),
//! SOURCE_NOISE, COVARIANCE and WIDTHS, FIDUCIAL (the PSF of the planes), and as diagnostics the
//! images COLOUR_ERROR and DATA_FRACTION and the table VISITS.

use std::path::Path;

use dcr_image::fits::{
    self, Column, ColumnValues, ExposureToWrite, ImageHdu, MissingVariance, Pixel, Pixels, PlaneFile,
    TableHdu, WriteOptions, write_exposure,
};
use dcr_image::header::Card;
use dcr_image::{BBox, ExposureFile, FitsError, OpenOptions, Psf};
use dcr_solver::calibration::CalibrationReport;
use dcr_solver::joint::{Covariance, Identifiability, PsfStamp};
use ndarray::{Array2, Array3};

use super::joint::{JointModel, JointSettings};
use super::plane::ModelPlane;
use super::{Model, ModelContent};
use crate::coadd::solver_choice::Solver;
use crate::error::{CoaddError, ModelError};
use crate::run::metadata::RunMetadata;
use crate::run::summary::{ChangingSourceSummary, JointSummary};

/// The name of a model's file in the folder of a run.
pub const MODEL_FILE: &str = "model.fits";
/// The version of the layout.
const LAYOUT: i64 = 1;

/// Diagnostics of a joint solution that are written beside its model.
pub(crate) struct Diagnostics<'a> {
    pub(crate) summary: &'a JointSummary,
    pub(crate) identifiability: &'a Identifiability,
}

impl Model {
    /// Writes a model whose planes are in memory.
    ///
    /// # Errors
    ///
    /// [`FitsError`] if it cannot be written.
    pub(crate) fn write(
        &self,
        path: &Path,
        diagnostics: Option<&Diagnostics<'_>>,
        options: WriteOptions,
    ) -> Result<(), FitsError> {
        let mut primary = self.metadata.cards();
        primary.push(Card::new("MODELFMT", LAYOUT).with_comment("version of the layout of this model"));
        let mut images = Images::new(self);
        let mut tables = vec![];
        let (stamp, grid) = match &self.psf {
            Some(Psf::Grid(grid)) => (None, Some(grid)),
            Some(Psf::Stamp(stamp)) => (Some(stamp.pixels().mapv(|v| v as f32)), None),
            _ => (None, None),
        };
        tables.extend(grid.map(|grid| grid.table()));
        images.on_patch("MASK", &self.mask, |hdu| hdu.with_planes(&self.planes));
        if let Some(stamp) = &stamp {
            images.list.push(ImageHdu::new("PSF", Pixels::F32(stamp.view())));
        }
        let joint = match &self.content {
            ModelContent::Subfilters { image, variance } => {
                let squared = format!("({})**2", self.unit);
                for (a, plane) in image.iter().enumerate() {
                    images.on_patch(&format!("PLANE_{a}"), plane, |hdu| hdu.with_unit(&self.unit));
                }
                for (a, plane) in variance.iter().enumerate() {
                    images.on_patch(&format!("VARIANCE_{a}"), plane, |hdu| hdu.with_unit(&squared));
                }
                None
            }
            ModelContent::Joint(joint) => Some(joint),
        };
        let Some(joint) = joint else {
            return write_exposure(path, &ExposureToWrite { primary, images: images.list, tables }, options);
        };
        primary.push(
            Card::new("BORDER", joint.border as i64).with_comment("[px] of the planes around the patch"),
        );
        let settings = serde_json::to_string(&joint.settings).unwrap_or_default();
        primary.push(Card::new("JOINTCFG", settings));
        for (a, plane) in joint.planes.iter().enumerate() {
            images.on(&self.bbox.grown(joint.border), &format!("PLANE_{a}"), plane, |hdu| {
                hdu.with_unit(&self.unit)
            });
        }
        images.on_patch("COVERED", &joint.covered, |hdu| hdu);
        images.on_patch("COVERAGE", &joint.coverage, |hdu| hdu);
        images.on_patch("FREEDOM", &joint.prior_scale, |hdu| hdu.with_unit(&self.unit));
        images.on_patch("SOURCE_NOISE", &joint.source_noise, |hdu| hdu);
        let (widths, pairs, modes) = joint.covariance.values.dim();
        let covariance = joint.covariance.values.to_shape((widths * pairs, modes));
        let covariance = covariance.map(|values| values.to_owned()).unwrap_or_default();
        let prior = Array2::from_shape_fn((1, widths), |(_, w)| joint.covariance.widths[w]);
        images.list.extend([
            ImageHdu::new("COVARIANCE", Pixels::F32(covariance.view())),
            ImageHdu::new("WIDTHS", Pixels::F64(prior.view())).with_unit(&self.unit),
            ImageHdu::new("FIDUCIAL", Pixels::F64(joint.fiducial.pixels().view())),
        ]);
        if let Some(Diagnostics { summary, identifiability }) = diagnostics {
            let block = Card::new("BLOCK", identifiability.block as i64)
                .with_comment("[px] side of what a pixel of this stands for");
            images.list.extend([
                ImageHdu::new("COLOUR_ERROR", Pixels::F64(identifiability.colour_error_map.view()))
                    .with_unit("mag")
                    .with_cards([block.clone()]),
                ImageHdu::new("DATA_FRACTION", Pixels::F64(identifiability.data_fraction_map.view()))
                    .with_cards([block]),
            ]);
            primary.extend(diagnostic_cards(summary));
            tables.push(visit_table(summary));
            tables.extend(variable_table(summary));
        }
        write_exposure(path, &ExposureToWrite { primary, images: images.list, tables }, options)
    }

    /// Opens a model: headers, PSF and noise are read, planes stay on disk.
    ///
    /// `path` is the file, or the folder of a run with a file called [`MODEL_FILE`].
    ///
    /// # Errors
    ///
    /// [`ModelError::NotARun`] if the file is missing or incomplete; [`CoaddError::Fits`] if it
    /// cannot be read.
    pub fn open(path: &Path) -> Result<Self, CoaddError> {
        let path = if fits::is_dir(path)? { path.join(MODEL_FILE) } else { path.to_owned() };
        let not_a_model = |reason: String| ModelError::NotARun { path: path.clone(), reason };
        if !fits::exists(&path)? {
            let earlier = path
                .parent()
                .is_some_and(|folder| fits::exists(&folder.join("subfilter_0.fits")).unwrap_or(false));
            return Err(not_a_model(match earlier {
                true => "there is no such file, so the coadds beside it are of an earlier version: assemble them again".into(),
                false => "there is no such file".into(),
            }).into());
        }
        let open = |hdu: &str| {
            let options = OpenOptions {
                image_hdu: Some(hdu.into()),
                missing_variance: MissingVariance::Estimate,
                find_companions: false,
                ..OpenOptions::of_run()
            };
            ExposureFile::open(&path, &options)
        };
        // The planes of the joint solver reach beyond the patch; this map does not.
        let on_patch = match PlaneFile::open(&path, "FREEDOM") {
            Ok(_) => "FREEDOM",
            Err(FitsError::Missing { .. }) => "PLANE_0",
            Err(error) => return Err(error.into()),
        };
        let first = open(on_patch)?;
        let metadata = RunMetadata::of(&first)?;
        if first.header().i64("MODELFMT") != Some(LAYOUT) {
            let reason = format!("its layout (card MODELFMT) is not version {LAYOUT}; assemble again");
            return Err(not_a_model(reason).into());
        }
        let bbox = first.bbox();
        let reader = Reader { path: &path, bbox };
        let n = metadata.subfilters;
        let content = match metadata.solver {
            Solver::Iterative => ModelContent::Subfilters {
                image: reader.planes("PLANE", n, bbox.shape())?,
                variance: reader.planes("VARIANCE", n, bbox.shape())?,
            },
            Solver::Joint => ModelContent::Joint(Box::new(reader.joint(&first, n)?)),
        };
        Ok(Self {
            metadata,
            bbox,
            wcs: first.wcs().clone(),
            unit: first.unit().unwrap_or_default().to_owned(),
            planes: first.mask_planes().clone(),
            psf: first.psf().filter(|psf| matches!(psf, Psf::Grid(_) | Psf::Stamp(_))).cloned(),
            mask: ModelPlane::File(reader.plane("MASK", bbox.shape())?),
            content,
            path: path.clone(),
        })
    }
}

/// The image HDUs of a model in the order of the file.
struct Images<'a> {
    model: &'a Model,
    list: Vec<ImageHdu<'a>>,
}

impl<'a> Images<'a> {
    const fn new(model: &'a Model) -> Self {
        Self { model, list: Vec::new() }
    }

    /// Adds a plane on the box of the patch.
    fn on_patch<T>(
        &mut self,
        name: &str,
        plane: &'a ModelPlane<T>,
        finish: impl FnOnce(ImageHdu<'a>) -> ImageHdu<'a>,
    ) where
        &'a Array2<T>: Into<Pixels<'a>>,
    {
        self.on(&self.model.bbox, name, plane, finish);
    }

    fn on<T>(
        &mut self,
        bbox: &BBox,
        name: &str,
        plane: &'a ModelPlane<T>,
        finish: impl FnOnce(ImageHdu<'a>) -> ImageHdu<'a>,
    ) where
        &'a Array2<T>: Into<Pixels<'a>>,
    {
        // A model that was read is on disk already.
        let ModelPlane::Memory(plane) = plane else { return };
        self.list.push(finish(ImageHdu::new(name, plane.into()).on_grid(&self.model.wcs, bbox)));
    }
}

/// A model's file.
struct Reader<'a> {
    path: &'a Path,
    bbox: BBox,
}

impl Reader<'_> {
    fn error(&self, reason: impl Into<String>) -> CoaddError {
        ModelError::NotARun { path: self.path.to_owned(), reason: reason.into() }.into()
    }

    fn plane(&self, name: &str, shape: (usize, usize)) -> Result<PlaneFile, CoaddError> {
        match PlaneFile::open(self.path, name)? {
            plane if plane.shape() == shape => Ok(plane),
            plane => {
                Err(self.error(format!("{name} has {:?} rows and columns, not {shape:?}", plane.shape())))
            }
        }
    }

    fn planes<T>(
        &self,
        name: &str,
        n: usize,
        shape: (usize, usize),
    ) -> Result<Vec<ModelPlane<T>>, CoaddError> {
        (0..n).map(|a| Ok(ModelPlane::File(self.plane(&format!("{name}_{a}"), shape)?))).collect()
    }

    fn whole<T: Pixel>(&self, name: &str) -> Result<Array2<T>, CoaddError> {
        let plane = PlaneFile::open(self.path, name)?;
        let (rows, cols) = plane.shape();
        Ok(plane.read_as(0..rows, 0..cols)?)
    }

    fn joint(&self, first: &ExposureFile, n: usize) -> Result<JointModel, CoaddError> {
        let settings = first.header().text("JOINTCFG");
        let settings = settings.and_then(|text| serde_json::from_str::<JointSettings>(text).ok());
        let settings = settings.ok_or_else(|| self.error("card JOINTCFG is missing or broken"))?;
        let border = first.header().i64("BORDER").and_then(|border| usize::try_from(border).ok());
        let border = border.ok_or_else(|| self.error("card BORDER is missing"))?;
        let widths: Vec<f64> = self.whole::<f64>("WIDTHS")?.into_iter().collect();
        let values = self.whole::<f32>("COVARIANCE")?;
        let shape = (widths.len(), n * (n + 1) / 2, values.ncols());
        let values = Array3::from_shape_vec(shape, values.into_iter().collect())
            .map_err(|_| self.error("COVARIANCE has another shape"))?;
        let covariance = Covariance { widths, values };
        if !covariance.is_consistent(n) {
            return Err(self.error("COVARIANCE and WIDTHS make no noise"));
        }
        let fiducial = PsfStamp::new(self.whole("FIDUCIAL")?)
            .map_err(|error| self.error(format!("FIDUCIAL is no PSF ({error})")))?;
        let map = |name| Ok::<_, CoaddError>(ModelPlane::File(self.plane(name, self.bbox.shape())?));
        Ok(JointModel {
            settings,
            border,
            covariance,
            fiducial,
            planes: self.planes("PLANE", n, self.bbox.grown(border).shape())?,
            covered: map("COVERED")?,
            coverage: map("COVERAGE")?,
            prior_scale: map("FREEDOM")?,
            source_noise: map("SOURCE_NOISE")?,
        })
    }
}

fn diagnostic_cards(summary: &JointSummary) -> Vec<Card> {
    let mut cards = vec![
        Card::new("NOISEPX", summary.noise_per_pixel).with_comment("noise per pixel of the weighted coadd"),
        Card::new("DATAFRAC", summary.data_fraction).with_comment("share of the data in a colour at S/N 100"),
    ];
    if summary.colour_error_mag.is_finite() {
        let card = Card::new("COLERR", summary.colour_error_mag);
        cards.push(card.with_comment("[mag] error of that colour from data alone"));
    }
    cards
}

/// The table of sources whose flux differs between the visits, if there are any.
fn variable_table(summary: &JointSummary) -> Option<TableHdu> {
    let sources = &summary.changing_sources;
    if sources.is_empty() {
        return None;
    }
    let column = |name: &str, unit: &str, of: &dyn Fn(&ChangingSourceSummary) -> f64| Column {
        name: name.into(),
        unit: unit.into(),
        values: ColumnValues::F64(sources.iter().map(of).collect()),
    };
    let sky = |source: &ChangingSourceSummary, axis: usize| source.sky_deg.map_or(f64::NAN, |sky| sky[axis]);
    let visits = summary.visits.len();
    let excess = Array3::from_shape_fn((sources.len(), 1, visits), |(i, _, visit)| {
        sources[i].excesses.get(visit).copied().flatten().map_or(f32::NAN, |excess| excess as f32)
    });
    let columns = vec![
        column("X", "pixel", &|source| source.place_px[0] as f64),
        column("Y", "pixel", &|source| source.place_px[1] as f64),
        column("RA", "deg", &|source| sky(source, 0)),
        column("DEC", "deg", &|source| sky(source, 1)),
        column("SCATTER", "", &|source| source.scatter),
        column("SIGNIFICANCE", "", &|source| source.significance),
        Column { name: "EXCESS".into(), unit: String::new(), values: ColumnValues::Images(excess) },
    ];
    Some(TableHdu { name: "VARIABLES".into(), columns, cards: vec![] })
}

fn visit_table(summary: &JointSummary) -> TableHdu {
    let visits = &summary.visits;
    let column = |name: &str, unit: &str, of: &dyn Fn(usize) -> f64| Column {
        name: name.into(),
        unit: unit.into(),
        values: ColumnValues::F64((0..visits.len()).map(of).collect()),
    };
    let of = |i: usize, value: &dyn Fn(&CalibrationReport) -> f64| {
        visits[i].calibration.as_ref().map_or(f64::NAN, value)
    };
    let columns = vec![
        Column {
            name: "VISIT".into(),
            unit: String::new(),
            values: ColumnValues::I64(visits.iter().map(|visit| visit.visit as i64).collect()),
        },
        column("OFFSET_X", "pixel", &|i| visits[i].offset_px[0]),
        column("OFFSET_Y", "pixel", &|i| visits[i].offset_px[1]),
        column("FLUX_EXCESS", "", &|i| of(i, &|c| c.middle.flux)),
        column("FLUX_ERROR", "", &|i| of(i, &|c| c.errors.flux)),
        column("BACKGROUND", "", &|i| of(i, &|c| c.middle.background)),
        column("BACKGROUND_ERROR", "", &|i| of(i, &|c| c.errors.background)),
        column("PSF_SIZE", "pixel2", &|i| of(i, &|c| c.middle.moments[0])),
        column("PSF_SIZE_ERROR", "pixel2", &|i| of(i, &|c| c.errors.moments[0])),
        column("PSF_E1", "pixel2", &|i| of(i, &|c| c.middle.moments[1])),
        column("PSF_E2", "pixel2", &|i| of(i, &|c| c.middle.moments[2])),
        column("DISPLACEMENT_RMS", "pixel", &|i| of(i, &|c| c.displacement_rms())),
        column("SOURCES", "", &|i| of(i, &|c| c.sources as f64)),
        column("FWHM", "pixel", &|i| visits[i].fwhm_px.unwrap_or(f64::NAN)),
        column("CLIPPED", "", &|i| visits[i].clipped),
        column("CHI2", "", &|i| visits[i].chi2),
    ];
    TableHdu { name: "VISITS".into(), columns, cards: vec![] }
}
