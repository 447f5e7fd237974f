//! The patches that templates are made of: models, checked to be of one kind.

use crate::error::{DifferenceError, Disagreement};
use dcr_coadd::{InputError, ModelError};
use std::path::{Path, PathBuf};

use dcr_coadd::model::Model;
use dcr_coadd::run::metadata::RunMetadata;
use dcr_coadd::run::outputs::SUMMARY;
use dcr_image::MaskPlanes;
use dcr_image::fits::{self, Seal};
use dcr_physics::Throughput;

use crate::model::finished_run::run_of;
use crate::template::scales::Calibration;

/// Models that share band and calibration; at least one.
pub(crate) struct Patches {
    pub(crate) models: Vec<Model>,
    /// The `summary.json` beside each model that was named by its folder.
    seals: Vec<Seal>,
    /// The planes of all models' masks.
    pub(crate) planes: MaskPlanes,
}

impl Patches {
    /// Opens models, each named by its file or by the folder of its run. A run that is named twice
    /// is taken once.
    ///
    /// # Errors
    ///
    /// [`DifferenceError`] if there is no model, or one that differs from the first in what all
    /// must share. A folder without `summary.json` holds an incomplete run, and one with the
    /// summary of another run holds files of several.
    pub(crate) fn open(paths: &[PathBuf]) -> Result<Self, DifferenceError> {
        let mut models: Vec<Model> = Vec::with_capacity(paths.len());
        let mut seals = vec![];
        let mut planes = MaskPlanes::canonical();
        for path in paths {
            // Reading the seal completes a run that was stopped while its files got their names.
            let seal = if fits::is_dir(path)? { Some(Seal::read(path, SUMMARY)?) } else { None };
            let model = Model::open(path)?;
            if let Some(seal) = seal {
                let seal = seal.ok_or_else(|| ModelError::NoSummary { path: path.join(SUMMARY) })?;
                check_run(seal.path(), &run_of(&seal)?, &model)?;
                seals.push(seal);
            }
            if models.iter().any(|known| known.metadata.run == model.metadata.run) {
                continue;
            }
            if let Some(first) = models.first() {
                check_agreement(first, &model)?;
            } else {
                planes = model.planes.clone();
            }
            planes
                .merge(&model.planes)
                .map_err(|source| InputError::Mask { path: model.path().to_owned(), source })?;
            models.push(model);
        }
        if models.is_empty() {
            return Err(DifferenceError::NoPatches);
        }
        Ok(Self { models, seals, planes })
    }

    /// Refuses runs that were replaced since they were opened.
    ///
    /// # Errors
    ///
    /// [`DifferenceError`] naming the run's `summary.json`, or the file of the model.
    pub(crate) fn check_unchanged(&self) -> Result<(), DifferenceError> {
        self.seals.iter().try_for_each(Seal::check)?;
        for model in &self.models {
            check_run(model.path(), &Model::open(model.path())?.metadata.run, model)?;
        }
        Ok(())
    }

    /// Refuses a file beside the first model that states another run.
    ///
    /// # Errors
    ///
    /// [`ModelError::MixedRuns`].
    pub(crate) fn check_run(&self, path: &Path, run: &str) -> Result<(), DifferenceError> {
        check_run(path, run, &self.models[0])
    }

    /// The metadata of the first model, shared by all.
    pub(crate) fn metadata(&self) -> &RunMetadata {
        &self.models[0].metadata
    }

    /// The unit of the pixel values.
    pub(crate) fn unit(&self) -> &str {
        &self.models[0].unit
    }

    /// The folders, for messages.
    pub(crate) fn names(&self) -> String {
        let names: Vec<String> =
            self.models.iter().map(|model| folder(model).display().to_string()).collect();
        names.join(", ")
    }
}

/// The folder of a model.
pub(crate) fn folder(model: &Model) -> &Path {
    model.path().parent().unwrap_or(Path::new("."))
}

/// Zero point and unit of the pixel values of a model.
pub(crate) fn calibration(model: &Model) -> Calibration {
    let unit = Some(model.unit.as_str()).filter(|unit| !unit.is_empty());
    Calibration::new(model.metadata.zero_point_mag, unit)
}

/// Refuses a file of another run than a model's.
pub(crate) fn check_run(path: &Path, run: &str, model: &Model) -> Result<(), DifferenceError> {
    if run == model.metadata.run {
        return Ok(());
    }
    Err(ModelError::MixedRuns {
        path: path.to_owned(),
        run: run.into(),
        beside: model.path().to_owned(),
        expected: model.metadata.run.clone(),
    }
    .into())
}

/// Something that all patches share.
struct Shared {
    what: &'static str,
    /// As a text, which differs where the thing does; `None` if the run does not say.
    of: fn(&Model) -> Option<String>,
    remedy: &'static str,
}

const ASSEMBLE_ALIKE: &str = "assemble both with the same settings";
const CALIBRATE_ALIKE: &str = "bring the warps of both to one calibration, and assemble again";

/// All that patches share.
const SHARED: [Shared; 8] = [
    Shared {
        what: "band",
        of: |model| Some(model.metadata.band.name().into()),
        remedy: "give patches of one band",
    },
    Shared {
        what: "band",
        of: |model| {
            let band = &model.metadata.band;
            Some(format!("{} ± {} nm", band.effective().nm(), band.bandwidth_nm() / 2.0))
        },
        remedy: ASSEMBLE_ALIKE,
    },
    Shared {
        what: "number of subfilters",
        of: |model| Some(model.metadata.subfilters.to_string()),
        remedy: "assemble both with the same model.subfilters",
    },
    Shared {
        what: "throughput",
        of: |model| Some(model.metadata.band.throughput().map_or_else(|| "even".into(), curve)),
        remedy: "assemble both with the same band.throughput",
    },
    Shared {
        what: "wavelength that stays in place",
        of: |model| Some(format!("{} nm", model.metadata.reference.nm())),
        remedy: ASSEMBLE_ALIKE,
    },
    Shared {
        what: "model of refraction and spectra",
        of: |model| {
            let RunMetadata { refraction, rule, spectrum, .. } = &model.metadata;
            Some(format!("{refraction:?}, {rule:?}, {spectrum:?}"))
        },
        remedy: ASSEMBLE_ALIKE,
    },
    Shared {
        what: "unit of the pixels (BUNIT)",
        of: |model| Some(if model.unit.is_empty() { "none".into() } else { model.unit.clone() }),
        remedy: CALIBRATE_ALIKE,
    },
    Shared {
        what: "zero point",
        of: |model| Some(format!("{:.4} mag", model.metadata.zero_point_mag?)),
        remedy: CALIBRATE_ALIKE,
    },
];

/// A throughput curve in a few words.
fn curve(throughput: &Throughput) -> String {
    let (mut count, mut sum, mut moment) = (0, 0.0, 0.0);
    for (nm, transmission) in throughput.points() {
        count += 1;
        sum += transmission;
        moment += nm * transmission;
    }
    format!("a curve of {count} points, mean {:.4} nm, sum {sum:.5}", moment / sum)
}

/// Refuses a run whose templates cannot be joined to those of the first.
fn check_agreement(first: &Model, model: &Model) -> Result<(), DifferenceError> {
    for Shared { what, of, remedy } in SHARED {
        if let (Some(expected), Some(got)) = (of(first), of(model))
            && expected != got
        {
            return Err(DifferenceError::PatchesDisagree(Box::new(Disagreement {
                path: model.path().to_owned(),
                first: first.path().to_owned(),
                what,
                got,
                expected,
                remedy,
            })));
        }
    }
    Ok(())
}
