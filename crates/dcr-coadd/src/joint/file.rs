//! `joint.fits`: what templates of a joint run are made from.

use std::ops::Range;
use std::path::Path;

use dcr_image::fits::{self, MissingVariance};
use dcr_image::fits::{
    Column, ColumnValues, ExposureToWrite, ImageHdu, Pixels, PlaneFile, TableHdu, WriteOptions,
    write_exposure,
};
use dcr_image::header::Card;
use dcr_image::{BBox, ExposureFile, FitsError, OpenOptions, Psf, Wcs};
use dcr_solver::joint::{Covariance, JointConfig, JointSolution, PsfStamp};
use dcr_solver::kernel::Region;
use ndarray::{Array2, Array3, ArrayView2, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::solver_stamp;
use crate::cells::region_in;
use crate::config::CoaddConfig;
use crate::error::CoaddError;
use crate::finished_run::FinishedRun;
use crate::metadata::RunMetadata;
use crate::summary::JointSummary;

/// The file's name.
pub(crate) const NAME: &str = "joint.fits";

/// The settings that a template needs, as the card JOINTCFG has them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) joint: JointConfig,
    /// Mask planes of pixels that are not used.
    pub(crate) bad: Vec<String>,
    /// Mask planes of sources.
    pub(crate) sources: Vec<String>,
}

/// What is written.
pub(crate) struct JointRecord<'a> {
    pub(crate) solution: &'a JointSolution,
    pub(crate) summary: &'a JointSummary,
    pub(crate) config: &'a JointConfig,
    pub(crate) coadd: &'a CoaddConfig,
    pub(crate) metadata: &'a RunMetadata,
    pub(crate) bbox: BBox,
    pub(crate) wcs: &'a Wcs,
    pub(crate) unit: &'a str,
}

/// What is read: all but the planes, which stay on disk.
pub(crate) struct JointRun {
    pub(crate) settings: Settings,
    pub(crate) border: usize,
    pub(crate) covariance: Covariance,
    pub(crate) fiducial: PsfStamp,
    /// The pixels of the patch.
    bbox: BBox,
    /// The subfilters' planes, with the border, …
    subfilters: Vec<PlaneFile>,
    /// … and the maps of the patch, as [`MAPS`] names them.
    maps: Vec<PlaneFile>,
}

/// Names of the maps of the patch.
const MAPS: [&str; 4] = ["COVERED", "COVERAGE", "FREEDOM", "SOURCE_NOISE"];

/// The planes over a part of the patch.
pub(crate) struct JointPlanes {
    pub(crate) held: BBox,
    /// With the border around what is held.
    pub(crate) planes_ayx: Array3<f32>,
    pub(crate) covered_yx: Array2<bool>,
    pub(crate) coverage_yx: Array2<f32>,
    pub(crate) freedom_yx: Array2<f32>,
    pub(crate) source_noise_yx: Array2<f32>,
}

impl JointRecord<'_> {
    /// # Errors
    ///
    /// [`FitsError`] if it cannot be written.
    pub(crate) fn write(&self, path: &Path, options: WriteOptions) -> Result<(), FitsError> {
        let solution = self.solution;
        let around = self.bbox.grown(solution.border);
        let on_patch = |name: &str, pixels| ImageHdu::new(name, pixels).on_grid(self.wcs, &self.bbox);
        let planes: Vec<ArrayView2<f32>> = solution.planes_ayx.axis_iter(Axis(0)).collect();
        let mut images: Vec<ImageHdu<'_>> = planes
            .iter()
            .enumerate()
            .map(|(a, plane)| {
                let image = ImageHdu::new(&format!("PLANE_{a}"), Pixels::F32(plane.view()));
                image.on_grid(self.wcs, &around).with_unit(self.unit)
            })
            .collect();
        let covered = solution.covered_yx.mapv(u16::from);
        let (widths, pairs, modes) = solution.covariance.values.dim();
        let covariance = solution.covariance.values.to_shape((widths * pairs, modes));
        let covariance = covariance.map(|values| values.to_owned()).unwrap_or_default();
        let prior = Array2::from_shape_fn((1, widths), |(_, w)| solution.covariance.widths[w]);
        let identifiability = &solution.identifiability;
        images.extend([
            on_patch("COVERED", Pixels::U16(covered.view())),
            on_patch("COVERAGE", Pixels::F32(solution.coverage_yx.view())),
            on_patch("FREEDOM", Pixels::F32(solution.prior_scale_yx.view())).with_unit(self.unit),
            on_patch("SOURCE_NOISE", Pixels::F32(solution.source_noise_yx.view())),
            ImageHdu::new("COVARIANCE", Pixels::F32(covariance.view())),
            ImageHdu::new("WIDTHS", Pixels::F64(prior.view())).with_unit(self.unit),
            ImageHdu::new("PSF", Pixels::F64(solution.fiducial.pixels().view())),
            ImageHdu::new("COLOUR_ERROR", Pixels::F64(identifiability.colour_error_map.view()))
                .with_unit("mag")
                .with_cards([block_card(identifiability.block)]),
            ImageHdu::new("DATA_FRACTION", Pixels::F64(identifiability.data_fraction_map.view()))
                .with_cards([block_card(identifiability.block)]),
        ]);
        let tables = vec![self.visits()];
        write_exposure(path, &ExposureToWrite { primary: self.cards(), images, tables }, options)
    }

    fn cards(&self) -> Vec<Card> {
        let settings = Settings {
            joint: self.config.clone(),
            bad: self.coadd.bad_mask_planes.clone(),
            sources: self.coadd.convergence_mask_planes.clone(),
        };
        let mut cards = self.metadata.cards();
        cards.extend([
            Card::new("BORDER", self.solution.border as i64)
                .with_comment("[px] of the planes around the patch"),
            Card::new("JOINTCFG", serde_json::to_string(&settings).unwrap_or_default()),
            Card::new("NOISEPX", self.solution.sigma).with_comment("noise per pixel of the weighted coadd"),
            Card::new("DATAFRAC", self.summary.data_fraction)
                .with_comment("share of the data in a colour at S/N 100"),
        ]);
        if self.summary.colour_error_mag.is_finite() {
            let card = Card::new("COLERR", self.summary.colour_error_mag);
            cards.push(card.with_comment("[mag] error of that colour from data alone"));
        }
        cards
    }

    fn visits(&self) -> TableHdu {
        let visits = &self.summary.visits;
        let column = |name: &str, unit: &str, of: &dyn Fn(usize) -> f64| Column {
            name: name.into(),
            unit: unit.into(),
            values: ColumnValues::F64((0..visits.len()).map(of).collect()),
        };
        let columns = vec![
            Column {
                name: "VISIT".into(),
                unit: String::new(),
                values: ColumnValues::I64(visits.iter().map(|visit| visit.visit as i64).collect()),
            },
            column("OFFSET_X", "pixel", &|i| visits[i].offset_px[0]),
            column("OFFSET_Y", "pixel", &|i| visits[i].offset_px[1]),
            column("FLUX_EXCESS", "", &|i| visits[i].flux_excess.unwrap_or(f64::NAN)),
            column("FLUX_ERROR", "", &|i| visits[i].flux_error.unwrap_or(f64::NAN)),
            column("FWHM", "pixel", &|i| visits[i].fwhm_px.unwrap_or(f64::NAN)),
            column("CLIPPED", "", &|i| visits[i].clipped),
            column("CHI2", "", &|i| visits[i].chi2),
        ];
        TableHdu { name: "VISITS".into(), columns, cards: vec![] }
    }
}

fn block_card(block: usize) -> Card {
    Card::new("BLOCK", block as i64).with_comment("[px] side of what a pixel of this stands for")
}

impl JointRun {
    /// Opens the file beside a run's coadds.
    ///
    /// # Errors
    ///
    /// [`CoaddError`] if it is missing, of another run, or what is in it does not fit together.
    pub(crate) fn open(run: &FinishedRun) -> Result<Self, CoaddError> {
        let path = run.folder().join(NAME);
        let not_a_run = |reason: &str| CoaddError::NotARun { path: path.clone(), reason: reason.into() };
        if !fits::exists(&path)? {
            return Err(not_a_run("there is no such file, but the coadds beside it are of the joint method"));
        }
        let options = OpenOptions {
            image_hdu: Some("PLANE_0".into()),
            missing_variance: MissingVariance::Estimate,
            find_companions: false,
            ..OpenOptions::of_run()
        };
        let first = ExposureFile::open(&path, &options)?;
        if RunMetadata::of(&first)? != run.metadata {
            return Err(not_a_run("it is of another run than the coadds beside it"));
        }
        let header = first.header();
        let settings = header.text("JOINTCFG").and_then(|text| serde_json::from_str::<Settings>(text).ok());
        let settings = settings.ok_or_else(|| not_a_run("card JOINTCFG is missing or broken"))?;
        let border = header.i64("BORDER").and_then(|border| usize::try_from(border).ok());
        let border = border.ok_or_else(|| not_a_run("card BORDER is missing"))?;
        let (n, bbox) = (run.metadata.subfilters, run.bbox());
        let planes = |names: Vec<String>, shape: (usize, usize)| -> Result<Vec<PlaneFile>, CoaddError> {
            let open = |name: String| match PlaneFile::open(&path, &name)? {
                plane if plane.shape() == shape => Ok(plane),
                _ => Err(not_a_run(&format!("{name} has another shape"))),
            };
            names.into_iter().map(open).collect()
        };
        let widths = PlaneFile::open(&path, "WIDTHS")?.read_all()?;
        let widths: Vec<f64> = widths.iter().map(|width| f64::from(*width)).collect();
        let values = PlaneFile::open(&path, "COVARIANCE")?.read_all()?;
        let shape = (widths.len(), n * (n + 1) / 2, values.ncols());
        let values = Array3::from_shape_vec(shape, values.into_iter().collect())
            .map_err(|_| not_a_run("COVARIANCE has another shape"))?;
        let covariance = Covariance { widths, values };
        if !covariance.is_consistent(n) {
            return Err(not_a_run("COVARIANCE and WIDTHS make no noise"));
        }
        let (x, y) = bbox.centre();
        let fiducial = Psf::open(&path, &bbox)?;
        let fiducial = solver_stamp(&fiducial.stamp_at(x, y)?, &fiducial);
        Ok(Self {
            settings,
            border,
            covariance,
            fiducial: fiducial.map_err(|error| not_a_run(&error.to_string()))?,
            subfilters: planes((0..n).map(|a| format!("PLANE_{a}")).collect(), bbox.grown(border).shape())?,
            maps: planes(MAPS.map(String::from).to_vec(), bbox.shape())?,
            bbox,
        })
    }

    /// Reads the planes over a box of the patch, and as far around it as the border is wide.
    ///
    /// # Errors
    ///
    /// [`CoaddError`] if the file cannot be read.
    pub(crate) fn read(&self, held: BBox) -> Result<JointPlanes, CoaddError> {
        let Region { rows, cols } = region_in(&held, &self.bbox);
        let bordered = |range: &Range<usize>| range.start..range.end + 2 * self.border;
        let subfilters = self.subfilters.par_iter().map(|plane| plane.read(bordered(&rows), bordered(&cols)));
        let maps = self.maps.par_iter().map(|map| map.read(rows.clone(), cols.clone()));
        let mut subfilters: Vec<Array2<f32>> = subfilters.chain(maps).collect::<Result<_, _>>()?;
        let maps = subfilters.split_off(self.subfilters.len());
        let (height, width) = held.grown(self.border).shape();
        let mut planes_ayx = Array3::zeros((subfilters.len(), height, width));
        for (mut target, plane) in planes_ayx.axis_iter_mut(Axis(0)).zip(subfilters) {
            target.assign(&plane);
        }
        let Ok::<[_; MAPS.len()], _>([covered, coverage_yx, freedom_yx, source_noise_yx]) = maps.try_into()
        else {
            unreachable!("each of the maps was read")
        };
        Ok(JointPlanes {
            held,
            planes_ayx,
            covered_yx: covered.mapv(|covered| covered > 0.0),
            coverage_yx,
            freedom_yx,
            source_noise_yx,
        })
    }
}
