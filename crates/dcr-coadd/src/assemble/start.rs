//! What a solve starts from: the plain coadd, the template, the sources in it, the PSF.

use dcr_image::MaskPlanes;
use ndarray::{Array2, Zip};

use super::gathered::{BRIGHT_OBJECT, Gathered};
use crate::config::{AssembleConfig, Method};
use crate::error::CoaddError;
use crate::joint::LOW_COVERAGE;
use crate::journal::Journal;
use crate::pixels::PixelReader;
use crate::plain_coadd::{PlainCoadd, plain_coadd};
use crate::psf_selection::{CoaddPsf, PsfCells, PsfSource, coadd_psf};
use crate::template_coadd::{TemplateCoadd, given_template, made_template};

/// What the solve starts from.
pub(super) struct Start {
    pub(super) planes: MaskPlanes,
    pub(super) plain: PlainCoadd,
    pub(super) template: TemplateCoadd,
    pub(super) sources: Array2<bool>,
    pub(super) psf: CoaddPsf,
}

impl Start {
    pub(super) fn make(
        gathered: &Gathered,
        weights: &[f64],
        reader: &PixelReader<'_>,
        config: &AssembleConfig,
        journal: &mut Journal<'_>,
    ) -> Result<Self, CoaddError> {
        journal.stage("coadding", 1)?;
        let inputs = &gathered.inputs;
        let mut planes = inputs.planes(gathered.template_file.as_ref())?;
        let any_bright = gathered.bright.iter().any(|bright| *bright);
        if any_bright {
            planes.insert(BRIGHT_OBJECT).map_err(|source| CoaddError::Mask {
                path: inputs.visits[0].file.path().to_owned(),
                source,
            })?;
        }
        let joint = config.solver.method == Method::Joint;
        if joint {
            // Where there is no bit left for it, it is not told.
            planes.insert(LOW_COVERAGE).ok();
        }
        let monitor = journal.monitor;
        let go_on = || !monitor.cancelled();
        let strip_bytes = gathered.memory.strip_bytes;
        let mut plain =
            plain_coadd(&inputs.visits, reader, weights, &planes, strip_bytes, &config.coadd, go_on)?;
        let mut template = match &gathered.template_file {
            Some(file) => given_template(file, &plain, &planes)?,
            None => made_template(&plain, &planes),
        };
        let bright = planes.bits_of([BRIGHT_OBJECT]);
        for mask in [&mut plain.mask, &mut template.mask] {
            Zip::from(mask).and(&gathered.bright).for_each(|mask, is_bright| {
                if *is_bright {
                    *mask |= bright;
                }
            });
        }
        let sources = template.sources(&inputs.visits, &planes, config);
        let sources_of_psf: Vec<PsfSource<'_>> = inputs
            .visits
            .iter()
            .zip(weights)
            .zip(&gathered.coverage)
            .map(|((visit, weight), coverage)| PsfSource { psf: visit.file.psf(), weight: *weight, coverage })
            .collect();
        let cells = PsfCells { patch: inputs.bbox, cells: &gathered.psf_cells };
        let psf = coadd_psf(&sources_of_psf, &cells, template.psf.as_ref(), config.coadd.select_psfs)?;
        if psf.stamp.is_none() {
            journal.warn("PSF", "No visit has a PSF: the coadds have none either.");
        }
        if !sources.iter().any(|source| *source) {
            let text = match joint {
                true => {
                    "Nothing is detected in the coadd: colours will be the prior's, and no offsets are fitted."
                }
                false => "Nothing is detected in the template: all subfilters are its shares.",
            };
            journal.warn("sources", text);
        }
        journal.monitor.step("template");
        Ok(Self { planes, plain, template, sources, psf })
    }
}
