//! Matched templates: what a run's model predicts for other exposures (ALGORITHM §11).

use std::path::{Path, PathBuf};
use std::time::Instant;

use dcr_image::fits::{MissingVariance, OutputFolder};
use dcr_image::header::Card;
use dcr_image::{BBox, ExposureFile, FitsError, OpenOptions, Stamp};
use dcr_solver::{SpectralBasis, SubfilterShift};
use ndarray::{Array2, Axis, Zip};

use crate::basis::spectral_basis;
use crate::cells::{cells, region_in};
use crate::config::{TemplateConfig, TemplateVariance};
use crate::error::{CoaddError, GridDifference};
use crate::finished_run::{FinishedRun, ModelPlanes};
use crate::inputs::{grid_difference, may_be_the_same};
use crate::journal::Journal;
use crate::outputs::{Canvas, Planes, write_options};
use crate::prediction::{RESPONSE_REACH, predict_image, predict_mask, predict_variance, support};
use crate::progress::Monitor;
use crate::shifts::{ShiftPlan, Split};
use crate::sky::Sky;
use crate::summary::{MatchedTemplate, TemplateSummary};

/// The largest difference in px between the grids of coadd and exposure.
const GRID_TOLERANCE_PX: f64 = 0.01;

/// Which templates to make, and where to write them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateRequest {
    /// The folder that [`crate::assemble`] wrote.
    pub coadd: PathBuf,
    /// Exposures on the coadd's grid, or parts of it.
    pub exposures: Vec<PathBuf>,
    /// The folder for `template_<visit>.fits`; for one exposure also a file, ending in `.fits`.
    pub output: PathBuf,
    /// Whether templates that are there may be replaced.
    pub overwrite: bool,
}

/// Makes and writes the template that matches each exposure.
///
/// Band, refraction, subfilters and rule of displacement are those of the run, from its headers.
///
/// # Errors
///
/// [`CoaddError`] if the run's files are not of one run, if an exposure lies on another grid or was taken through another
/// filter, or if its zenith cannot be told.
pub fn matched_templates(
    request: &TemplateRequest,
    config: &TemplateConfig,
    monitor: &dyn Monitor,
) -> Result<TemplateSummary, CoaddError> {
    let started = Instant::now();
    let mut journal = Journal::new(monitor);
    if request.exposures.is_empty() {
        return Err(CoaddError::NoInputs);
    }
    journal.stage("reading", request.exposures.len())?;
    let run = FinishedRun::open(&request.coadd)?;
    let exposures: Vec<Exposure> = request
        .exposures
        .iter()
        .map(|path| {
            let exposure = Exposure::open(path, &run, config)?;
            monitor.step(&path.display().to_string());
            Ok(exposure)
        })
        .collect::<Result<_, CoaddError>>()?;
    let (folder, names) = target(request, &exposures)?;
    journal.warn_of_assumptions(exposures.iter().map(|e| (e.sky.visit.visit, e.sky.notes.as_slice())));

    journal.stage("predicting", exposures.len())?;
    let matcher = Matcher::new(&run, config)?;
    let folder = OutputFolder::create(&folder, true)?;
    let mut templates = Vec::with_capacity(exposures.len());
    for (exposure, name) in exposures.iter().zip(&names) {
        journal.go_on()?;
        let predicted = matcher.predict(exposure)?;
        matcher.write(exposure, &predicted, &folder.staged(name))?;
        let covered = predicted.image.iter().filter(|value| value.is_finite()).count();
        templates.push(MatchedTemplate {
            visit: exposure.sky.visit.visit,
            exposure: exposure.file.path().to_owned(),
            file: folder.path().join(name),
            airmass: predicted.airmass,
            parallactic_angle_deg: predicted.parallactic_angle_deg,
            shifts_px: predicted.shifts.iter().map(|shift| [shift.mean.dx, shift.mean.dy]).collect(),
            covered: covered as f64 / exposure.file.bbox().area().max(1) as f64,
        });
        monitor.step(name);
    }
    journal.go_on()?;
    folder.publish(|_| false)?;
    Ok(TemplateSummary {
        run: run.metadata.run.clone(),
        band: run.metadata.band.name().into(),
        templates,
        warnings: journal.warnings,
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// An exposure on the coadd's grid.
struct Exposure {
    file: ExposureFile,
    sky: Sky,
}

impl Exposure {
    fn open(path: &Path, run: &FinishedRun, config: &TemplateConfig) -> Result<Self, CoaddError> {
        let options = OpenOptions {
            // Of its pixels nothing is used.
            missing_variance: MissingVariance::Estimate,
            ..config.input.open_options(path)
        };
        let file = ExposureFile::open(path, &options)?;
        let sky = Sky::of(&file, &config.input, run.metadata.refraction)?;
        let other_grid = |difference| CoaddError::OtherGrid { path: path.to_owned(), difference };
        let (own, patch) = (file.bbox(), run.bbox());
        if !patch.contains_box(&own) {
            return Err(other_grid(GridDifference::Box { got: own, expected: patch }));
        }
        if let Some(difference) = grid_difference(run.files[0].wcs(), file.wcs(), &own, GRID_TOLERANCE_PX) {
            return Err(other_grid(difference));
        }
        let band = run.metadata.band.name();
        match sky.visit.filter.as_deref() {
            Some(filter) if !may_be_the_same(filter, band) => Err(CoaddError::Filter {
                path: path.to_owned(),
                filter: filter.into(),
                against: format!("the coadd in {} has", run.files[0].path().display()),
                expected: band.into(),
            }),
            _ => Ok(Self { file, sky }),
        }
    }
}

/// The folder and the names of the templates.
///
/// # Errors
///
/// [`CoaddError`] if two have one name, or one is there and may not be replaced.
fn target(request: &TemplateRequest, exposures: &[Exposure]) -> Result<(PathBuf, Vec<String>), CoaddError> {
    let is_file = request.output.extension().is_some_and(|extension| extension == "fits")
        && exposures.len() == 1
        && !request.output.is_dir();
    let (folder, names) = match request.output.file_name() {
        Some(name) if is_file => {
            let parent = request.output.parent().filter(|parent| !parent.as_os_str().is_empty());
            let folder = parent.unwrap_or(Path::new(".")).to_owned();
            (folder, vec![name.to_string_lossy().into_owned()])
        }
        _ => {
            let name = |e: &Exposure| format!("template_{}.fits", e.sky.visit.visit);
            (request.output.clone(), exposures.iter().map(name).collect())
        }
    };
    for (i, name) in names.iter().enumerate() {
        if let Some(earlier) = names[..i].iter().position(|other| other == name) {
            return Err(CoaddError::SameVisit {
                visit: exposures[i].sky.visit.visit,
                first: exposures[earlier].file.path().to_owned(),
                second: exposures[i].file.path().to_owned(),
            });
        }
        let path = folder.join(name);
        if !request.overwrite && path.exists() {
            return Err(FitsError::Exists { path }.into());
        }
    }
    Ok((folder, names))
}

/// Makes templates of one run.
struct Matcher<'a> {
    run: &'a FinishedRun,
    config: &'a TemplateConfig,
    plan: ShiftPlan,
    basis: SpectralBasis,
    cells: Vec<BBox>,
    psf: Option<Stamp>,
}

/// A template before it is written.
struct Predicted {
    image: Array2<f32>,
    variance: Array2<f32>,
    mask: Array2<i32>,
    /// In the middle of the exposure, as the next two.
    shifts: Vec<SubfilterShift>,
    airmass: f64,
    parallactic_angle_deg: f64,
}

impl<'a> Matcher<'a> {
    fn new(run: &'a FinishedRun, config: &'a TemplateConfig) -> Result<Self, CoaddError> {
        let metadata = &run.metadata;
        let grid = metadata.band.wavelength_grid(metadata.subfilters)?;
        let basis = spectral_basis(&grid, metadata.spectrum);
        let split = if config.template.split_subfilters { Split::From(0.0) } else { Split::Never };
        let split = split.of_subfilters(metadata.subfilters);
        let (x, y) = run.bbox().centre();
        let psf = run.files[0].psf().map(|psf| psf.stamp_at(x, y)).transpose()?;
        let plan = ShiftPlan { grid, reference: metadata.reference, rule: metadata.rule, split };
        Ok(Self { run, config, plan, basis, cells: cells(&run.bbox(), metadata.cell), psf })
    }

    fn predict(&self, exposure: &Exposure) -> Result<Predicted, CoaddError> {
        let (file, sky) = (&exposure.file, &exposure.sky);
        let (own, patch, wcs) = (file.bbox(), self.run.bbox(), self.run.files[0].wcs());
        let shifts = |cell: &BBox| self.plan.shifts(file.path(), sky, wcs, &patch, cell);
        let (x, y) = own.centre();
        let place = wcs
            .pixel_to_sky(x, y)
            .map_err(|source| CoaddError::Wcs { path: file.path().to_owned(), source })?;
        let local = sky.at(place);
        let mut out = Predicted {
            image: Array2::from_elem(own.shape(), f32::NAN),
            variance: Array2::from_elem(own.shape(), f32::NAN),
            mask: Array2::from_elem(own.shape(), self.run.planes.bits_of(["NO_DATA"])),
            shifts: shifts(&own)?,
            airmass: local.airmass,
            parallactic_angle_deg: local.parallactic_angle.degrees(),
        };
        for cell in &self.cells {
            if let Some(part) = cell.intersection(&own) {
                self.predict_part(&part, &own, &shifts(cell)?, &mut out)?;
            }
        }
        Ok(out)
    }

    /// Fills in the part of a template that lies in one cell.
    fn predict_part(
        &self,
        part: &BBox,
        own: &BBox,
        shifts: &[SubfilterShift],
        out: &mut Predicted,
    ) -> Result<(), CoaddError> {
        let reach = shifts.iter().map(SubfilterShift::reach).fold(0.0, f64::max);
        let around = part.grown(reach.ceil() as usize + RESPONSE_REACH).clipped(&self.run.bbox());
        let ModelPlanes { image_byx, variance_byx, mask } = self.run.read(around)?;
        let order = self.config.template.order;
        let image = predict_image(image_byx.view(), &self.basis, shifts, order);
        let variance = match self.config.template.variance {
            TemplateVariance::Propagated => predict_variance(variance_byx.view(), &self.basis, shifts, order),
            // The reference leaves the variance where it is.
            TemplateVariance::Reference => &variance_byx.index_axis(Axis(0), 0) * shifts.len() as f32,
        };
        let mask = predict_mask(mask.view(), shifts, order);
        let supported = support(around.shape(), shifts).intersection(&region_in(part, &around));
        if supported.rows.is_empty() || supported.cols.is_empty() {
            return Ok(());
        }
        let place = BBox::new(
            around.x0 + supported.cols.start as i64,
            around.y0 + supported.rows.start as i64,
            supported.cols.len(),
            supported.rows.len(),
        );
        let target = region_in(&place, own);
        Zip::from(target.of_mut(out.image.view_mut()))
            .and(supported.of(&image.view()))
            .for_each(|o, v| *o = *v);
        Zip::from(target.of_mut(out.variance.view_mut()))
            .and(supported.of(&variance.view()))
            .for_each(|o, v| *o = *v);
        Zip::from(target.of_mut(out.mask.view_mut()))
            .and(supported.of(&mask.view()))
            .for_each(|o, v| *o = *v);
        Ok(())
    }

    fn write(&self, exposure: &Exposure, predicted: &Predicted, path: &Path) -> Result<(), CoaddError> {
        let unit = self.run.files[0].unit().unwrap_or_default();
        let canvas = Canvas {
            bbox: exposure.file.bbox(),
            wcs: exposure.file.wcs(),
            unit,
            planes: &self.run.planes,
            psf: self.psf.as_ref(),
            cards: self.run.metadata.cards(),
            options: write_options(&self.config.output, true),
        };
        let planes = Planes {
            image: predicted.image.view(),
            mask: predicted.mask.view(),
            variance: predicted.variance.view(),
            n_image: None,
        };
        let exposure_name = exposure.file.path().file_name().unwrap_or_default().to_string_lossy();
        let cards = vec![
            Card::new("VISIT", exposure.sky.visit.visit as i64)
                .with_comment("visit that this is the template of"),
            Card::new("MATCHES", exposure_name.as_ref()).with_comment("its file"),
            Card::new("AIRMASS", predicted.airmass).with_comment("in the middle of the exposure"),
        ];
        Ok(canvas.write(path, &planes, cards, vec![])?)
    }
}
