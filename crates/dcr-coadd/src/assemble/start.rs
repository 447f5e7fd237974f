//! What a solve starts from: the plain coadd, the template, the sources in it, the PSF.

use dcr_image::MaskPlanes;
use ndarray::{Array2, Zip};

use super::gathered::{BRIGHT_OBJECT, Gathered};
use crate::artefacts::Artefacts;
use crate::coadd::plain::{Ingredients, PlainCoadd, plain_coadd};
use crate::coadd::psf_selection::{CoaddPsf, PsfCells, PsfSource, coadd_psf};
use crate::coadd::template_coadd::{TemplateCoadd, given_template, made_template};
use crate::config::{AssembleConfig, Method};
use crate::error::CoaddError;
use crate::inputs::pixels::PixelReader;
use crate::joint::LOW_COVERAGE;
use crate::run::journal::Journal;

/// What the solve starts from.
pub(super) struct Start {
    pub(super) planes: MaskPlanes,
    pub(super) plain: PlainCoadd,
    pub(super) template: TemplateCoadd,
    pub(super) sources: Array2<bool>,
    pub(super) psf: CoaddPsf,
    /// What was left out of the plain coadd since it was made.
    left_out: Artefacts,
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
        let ingredients = gathered.ingredients(weights, reader, &planes, config);
        let mut plain = plain_coadd(&ingredients, || !monitor.cancelled())?;
        let (template, sources) = gathered.template_of(&mut plain, &planes, config)?;
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
            journal.warn("PSF", "No visit has a PSF whose width can be told: the coadds have none either.");
        }
        let start =
            Self { planes, plain, template, sources, psf, left_out: Artefacts::none(inputs.visits.len()) };
        start.warn_without_sources(config, journal);
        journal.monitor.step("template");
        Ok(start)
    }

    /// Makes plain coadd, template and sources without these artefacts, among them all that were left out before: as if the visits' masks had told of
    /// them.
    ///
    /// # Errors
    ///
    /// [`CoaddError`] if a visit or the template cannot be read, or the caller wants to stop.
    pub(super) fn leave_out(
        &mut self,
        artefacts: &Artefacts,
        gathered: &Gathered,
        weights: &[f64],
        reader: &PixelReader<'_>,
        config: &AssembleConfig,
        journal: &mut Journal<'_>,
    ) -> Result<(), CoaddError> {
        if *artefacts == self.left_out {
            return Ok(());
        }
        let monitor = journal.monitor;
        let ingredients = gathered.ingredients(weights, reader, &self.planes, config);
        let before = &self.left_out.visits;
        self.plain.leave_out(&artefacts.visits, before, &ingredients, || !monitor.cancelled())?;
        self.left_out = artefacts.clone();
        let had_sources = self.any_source();
        (self.template, self.sources) = gathered.template_of(&mut self.plain, &self.planes, config)?;
        if had_sources {
            self.warn_without_sources(config, journal);
        }
        Ok(())
    }

    fn any_source(&self) -> bool {
        self.sources.iter().any(|source| *source)
    }

    fn warn_without_sources(&self, config: &AssembleConfig, journal: &mut Journal<'_>) {
        if self.any_source() {
            return;
        }
        let text = match config.solver.method {
            Method::Joint => {
                "Nothing is detected in the coadd: there is no light to tell colours or offsets by."
            }
            Method::Auto | Method::Iterative => {
                "Nothing is detected in the template: all subfilters are its shares."
            }
        };
        journal.warn("sources", text);
    }
}

impl Gathered {
    /// What the plain coadd is made of.
    fn ingredients<'a>(
        &'a self,
        weights: &'a [f64],
        reader: &'a PixelReader<'a>,
        planes: &'a MaskPlanes,
        config: &'a AssembleConfig,
    ) -> Ingredients<'a> {
        let (visits, strip_bytes) = (&self.inputs.visits[..], self.memory.strip_bytes);
        Ingredients { visits, reader, weights, planes, strip_bytes, config: &config.coadd }
    }

    /// The template that is given, or the plain coadd, with the sources in it. Both get the pixels of bright objects marked.
    fn template_of(
        &self,
        plain: &mut PlainCoadd,
        planes: &MaskPlanes,
        config: &AssembleConfig,
    ) -> Result<(TemplateCoadd, Array2<bool>), CoaddError> {
        let mut template = match &self.template_file {
            Some(file) => given_template(file, plain, planes)?,
            None => made_template(plain, planes),
        };
        let bright = planes.bits_of([BRIGHT_OBJECT]);
        for mask in [&mut plain.mask, &mut template.mask] {
            Zip::from(mask).and(&self.bright).for_each(|mask, is_bright| {
                if *is_bright {
                    *mask |= bright;
                }
            });
        }
        let sources = template.sources(&self.inputs.visits, planes, config);
        Ok((template, sources))
    }
}
