//! The patches that templates are made of: finished runs, checked to be of one kind.

use std::path::PathBuf;

use dcr_image::MaskPlanes;
use dcr_physics::Throughput;

use crate::model::finished_run::FinishedRun;
use crate::template::scales::Calibration;
use dcr_coadd::run::metadata::RunMetadata;
use dcr_coadd::{CoaddError, Disagreement};

/// Finished runs of one band, with one model of it and one calibration; there is at least one.
pub(crate) struct Patches {
    pub(crate) runs: Vec<FinishedRun>,
    /// The planes of all runs' masks.
    pub(crate) planes: MaskPlanes,
}

impl Patches {
    /// Opens the folders. A run that is given twice is taken once.
    ///
    /// # Errors
    ///
    /// [`CoaddError`] if a folder holds no run, or one that differs from the first in what all must share.
    pub(crate) fn open(folders: &[PathBuf]) -> Result<Self, CoaddError> {
        let mut runs: Vec<FinishedRun> = Vec::with_capacity(folders.len());
        let mut planes = MaskPlanes::canonical();
        for folder in folders {
            let run = FinishedRun::open(folder)?;
            if runs.iter().any(|known| known.metadata.run == run.metadata.run) {
                continue;
            }
            if let Some(first) = runs.first() {
                check_agreement(first, &run)?;
            } else {
                planes = run.planes.clone();
            }
            planes
                .merge(&run.planes)
                .map_err(|source| CoaddError::Mask { path: run.files[0].path().to_owned(), source })?;
            runs.push(run);
        }
        if runs.is_empty() {
            return Err(CoaddError::NoPatches);
        }
        Ok(Self { runs, planes })
    }

    /// Refuses runs that were replaced since they were opened.
    ///
    /// # Errors
    ///
    /// [`CoaddError`] naming the run's `summary.json`.
    pub(crate) fn check_unchanged(&self) -> Result<(), CoaddError> {
        self.runs.iter().try_for_each(FinishedRun::check_unchanged)
    }

    /// What all runs share, as the first has it.
    pub(crate) fn metadata(&self) -> &RunMetadata {
        &self.runs[0].metadata
    }

    /// The unit of the pixel values.
    pub(crate) fn unit(&self) -> &str {
        self.runs[0].files[0].unit().unwrap_or_default()
    }

    /// Zero point and unit of the pixel values.
    pub(crate) fn calibration(&self) -> Calibration {
        Calibration::new(self.metadata().zero_point_mag, self.runs[0].files[0].unit())
    }

    /// NO_DATA as a mask value.
    pub(crate) fn no_data(&self) -> i32 {
        self.planes.bits_of(["NO_DATA"])
    }

    /// The folders, for messages.
    pub(crate) fn names(&self) -> String {
        let names: Vec<String> = self.runs.iter().map(|run| run.folder().display().to_string()).collect();
        names.join(", ")
    }
}

/// Something that all patches share.
struct Shared {
    what: &'static str,
    /// As a text, which differs where the thing does; `None` if the run does not say.
    of: fn(&FinishedRun) -> Option<String>,
    remedy: &'static str,
}

const ASSEMBLE_ALIKE: &str = "assemble both with the same settings";
const CALIBRATE_ALIKE: &str = "bring the warps of both to one calibration, and assemble again";

/// All that patches share.
const SHARED: [Shared; 8] = [
    Shared {
        what: "band",
        of: |run| Some(run.metadata.band.name().into()),
        remedy: "give patches of one band",
    },
    Shared {
        what: "band",
        of: |run| {
            let band = &run.metadata.band;
            Some(format!("{} ± {} nm", band.effective().nm(), band.bandwidth_nm() / 2.0))
        },
        remedy: ASSEMBLE_ALIKE,
    },
    Shared {
        what: "number of subfilters",
        of: |run| Some(run.metadata.subfilters.to_string()),
        remedy: "assemble both with the same model.subfilters",
    },
    Shared {
        what: "throughput",
        of: |run| Some(run.metadata.band.throughput().map_or_else(|| "even".into(), curve)),
        remedy: "assemble both with the same band.throughput",
    },
    Shared {
        what: "wavelength that stays in place",
        of: |run| Some(format!("{} nm", run.metadata.reference.nm())),
        remedy: ASSEMBLE_ALIKE,
    },
    Shared {
        what: "model of refraction and spectra",
        of: |run| {
            let RunMetadata { refraction, rule, spectrum, .. } = &run.metadata;
            Some(format!("{refraction:?}, {rule:?}, {spectrum:?}"))
        },
        remedy: ASSEMBLE_ALIKE,
    },
    Shared {
        what: "unit of the pixels (BUNIT)",
        of: |run| Some(run.files[0].unit().unwrap_or("none").into()),
        remedy: CALIBRATE_ALIKE,
    },
    Shared {
        what: "zero point",
        of: |run| Some(format!("{:.4} mag", run.metadata.zero_point_mag?)),
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
fn check_agreement(first: &FinishedRun, run: &FinishedRun) -> Result<(), CoaddError> {
    for Shared { what, of, remedy } in SHARED {
        if let (Some(expected), Some(got)) = (of(first), of(run))
            && expected != got
        {
            return Err(CoaddError::PatchesDisagree(Box::new(Disagreement {
                path: run.files[0].path().to_owned(),
                first: first.files[0].path().to_owned(),
                what,
                got,
                expected,
                remedy,
            })));
        }
    }
    Ok(())
}
