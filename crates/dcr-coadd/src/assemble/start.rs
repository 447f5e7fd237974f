//! What a solve starts from: the plain coadd, the template, the sources in it, the PSF.

use dcr_image::MaskPlanes;
use ndarray::Array2;

use super::gathered::Gathered;
use crate::config::{AssembleConfig, Method};
use crate::error::CoaddError;
use crate::joint::LOW_COVERAGE;
use crate::journal::Journal;
use crate::pixels::PixelReader;
use crate::plain_coadd::{PlainCoadd, plain_coadd};
use crate::psf_selection::{CoaddPsf, coadd_psf};
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
        let joint = config.solver.method == Method::Joint;
        if joint {
            // Where there is no bit left for it, it is not told.
            planes.insert(LOW_COVERAGE).ok();
        }
        let monitor = journal.monitor;
        let go_on = || !monitor.cancelled();
        let strip_bytes = gathered.memory.strip_bytes;
        let plain = plain_coadd(&inputs.visits, reader, weights, &planes, strip_bytes, &config.coadd, go_on)?;
        let mut template = match &gathered.template_file {
            Some(file) => given_template(file, &plain, &planes)?,
            None => made_template(&plain, &planes),
        };
        let sources = template.sources(&inputs.visits, &planes, config);
        let centre = inputs.bbox.centre();
        let psf =
            coadd_psf(&inputs.visits, weights, centre, template.psf.as_ref(), config.coadd.select_psfs)?;
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
