//! What a run writes and tells when everything is solved.

use dcr_image::fits::{OutputFolder, TableHdu, WriteOptions, peak_memory, write_exposure};
use dcr_image::psf::StampGrid;
use dcr_physics::SubfilterRange;
use dcr_solver::Observations;
use dcr_solver::joint::JointSolution;
use ndarray::{ArrayView2, Zip};

use super::AssembleRequest;
use super::gathered::Gathered;
use super::start::Start;
use crate::artefacts::Artefacts;
use crate::coadd::coadd_psfs::CoaddPsfs;
use crate::coadd::coadds::Coadds;
use crate::coadd::psf_selection::CoaddPsf;
use crate::config::AssembleConfig;
use crate::error::CoaddError;
use crate::geometry::division::Division;
use crate::inputs::Input;
use crate::inputs::input_map::{INPUT_MAP, input_bits, input_map};
use crate::inputs::losses::remark_on_loss;
use crate::inputs::store::Store;
use crate::inputs::transmission::transmission_table;
use crate::joint::JointRecord;
use crate::run::journal::Journal;
use crate::run::metadata::{RunMetadata, subfilter_cards};
use crate::run::outputs::{Canvas, PLAIN_COADD, Planes, visit_table, write_options};
use crate::run::remarks::remarks_on;
use crate::run::summary::{JointSummary, Outcome, RegionSummary, Summary, TemplateSource, VisitSummary};
use dcr_measure::noise_correlation::NoiseCorrelation;
use dcr_measure::psf_measurement::PsfQuality;

/// The Julian date at which modified Julian dates begin.
const MJD_ZERO: f64 = 2_400_000.5;

/// A run that has only to be written and told of.
pub(super) struct Finished<'a> {
    pub(super) request: &'a AssembleRequest,
    pub(super) config: &'a AssembleConfig,
    pub(super) run: String,
    pub(super) regions: Vec<RegionSummary>,
    pub(super) gathered: &'a Gathered,
    pub(super) division: &'a Division,
    pub(super) start: &'a Start,
    pub(super) store: &'a Store,
    pub(super) psfs: &'a CoaddPsfs,
    pub(super) coadds: &'a Coadds,
    /// Of each visit.
    pub(super) residual_rms: Vec<Option<f64>>,
    pub(super) artefacts: &'a Artefacts,
    pub(super) joint: Option<(Box<JointSolution>, JointSummary)>,
}

impl Finished<'_> {
    pub(super) fn visits(&self) -> Vec<VisitSummary> {
        let middle = self.division.bbox.centre();
        let central = self.division.central_cell();
        let summary = |(i, input): (usize, &Input)| {
            let sky = self.division.sky(input);
            let metrics: Vec<f64> = self
                .regions
                .iter()
                .filter_map(|region| region.report.visit_metrics.get(i).copied())
                .collect();
            VisitSummary {
                visit: input.number(),
                file: input.file.path().to_owned(),
                other_files: input.file.parts().skip(1).map(|part| part.path().to_owned()).collect(),
                airmass: sky.map_or(f64::NAN, |sky| sky.airmass),
                altitude_deg: sky.map_or(f64::NAN, |sky| sky.altitude.degrees()),
                parallactic_angle_deg: sky.map_or(f64::NAN, |sky| sky.parallactic_angle.degrees()),
                zenith_from: input.sky.geometry.origin(),
                weather: input.sky.weather,
                psf_fwhm_px: input.fwhm_px(middle),
                mjd_tai: input.sky.visit.mid_time.map(|time| time.jd1 - MJD_ZERO + time.jd2),
                exposure_s: input.sky.visit.exposure_s,
                scale: f64::from(input.scale),
                psf_selected: self.psfs.coadd.selected[i],
                variance: self.gathered.variances[i],
                weight: self.store.weight(i),
                usable: self.gathered.usable[i],
                artefact_pixels: self.artefacts.visits[i].len(),
                shifts_px: self.store.shifts(i, central).iter().map(|s| [s.mean.dx, s.mean.dy]).collect(),
                metric: (!metrics.is_empty()).then(|| metrics.iter().sum::<f64>() / metrics.len() as f64),
                residual_rms: self.residual_rms.get(i).copied().flatten(),
                assumptions: input.sky.notes.clone(),
            }
        };
        self.gathered.inputs.visits.iter().enumerate().map(summary).collect()
    }

    /// What the headers of files with such a PSF say.
    fn metadata(&self, psf: &CoaddPsf) -> RunMetadata {
        let zero_point_mag = self.gathered.inputs.zero_point_mag;
        self.division.metadata(&self.run, psf.fwhm_px, zero_point_mag, self.config)
    }

    pub(super) fn write_coadds(
        &self,
        folder: &OutputFolder,
        visits: &[VisitSummary],
        journal: &Journal<'_>,
    ) -> Result<(), CoaddError> {
        let (inputs, coadds) = (&self.gathered.inputs, self.coadds);
        let files = coadds
            .subfilters
            .iter()
            .zip(&self.psfs.subfilters)
            .enumerate()
            .map(|(a, (coadd, psf))| {
                let cards = subfilter_cards(self.division.grid(), a);
                (format!("subfilter_{a}.fits"), coadd, psf, cards, self.division.grid().subfilters()[a])
            })
            .chain([(
                "coadd.fits".to_owned(),
                &coadds.sum,
                &self.psfs.coadd,
                vec![],
                self.division.band.band.range(),
            )]);
        for (name, coadd, psf, mut cards, range) in files {
            let planes = Planes {
                image: coadd.image.view(),
                mask: coadds.mask.view(),
                variance: coadd.variance.view(),
                n_image: Some(coadd.n_image.view()),
            };
            cards.extend(
                self.noise(coadd.image.view(), coadd.variance.view())
                    .iter()
                    .flat_map(NoiseCorrelation::cards),
            );
            let mut tables = self.tables(visits, psf, range);
            if name == "coadd.fits" {
                let numbers: Vec<u64> = visits.iter().map(|visit| visit.visit).collect();
                tables.push(self.artefacts.table(&numbers, &inputs.bbox));
            }
            self.canvas(psf).write(&folder.staged(&name), &planes, cards, tables)?;
            journal.monitor.step(&name);
            journal.go_on()?;
        }
        if let Some((solution, summary)) = &self.joint {
            let record = JointRecord {
                solution,
                summary,
                config: &self.config.joint,
                coadd: &self.config.coadd,
                metadata: &self.metadata(&self.psfs.coadd),
                bbox: inputs.bbox,
                wcs: &inputs.wcs,
                unit: &inputs.unit,
            };
            record.write(&folder.staged("joint.fits"), write_options(&self.config.output, true))?;
        }
        // What a pipeline without a model of refraction would have: to be compared with.
        let plain = &self.start.plain;
        let planes = Planes {
            image: plain.image.view(),
            mask: plain.mask.view(),
            variance: plain.variance.view(),
            n_image: Some(plain.n_image.view()),
        };
        // It has not the PSF of a joint model.
        let psf = &self.start.psf;
        let noise = self.noise(plain.image.view(), plain.variance.view());
        let cards = noise.iter().flat_map(NoiseCorrelation::cards).collect();
        let tables = self.tables(visits, psf, self.division.band.band.range());
        self.canvas(psf).write(&folder.staged(PLAIN_COADD), &planes, cards, tables)?;
        journal.monitor.step(PLAIN_COADD);
        if self.config.output.input_map {
            let bits = input_bits(self.store, inputs.bbox.shape())?;
            let mut file = input_map(&bits, visits, &inputs.wcs, &inputs.bbox);
            file.primary = self.metadata(&self.psfs.coadd).cards();
            write_exposure(
                &folder.staged(INPUT_MAP),
                &file,
                WriteOptions { overwrite: true, compress: true },
            )?;
        }
        Ok(())
    }

    /// A file with this PSF.
    fn canvas<'b>(&'b self, psf: &'b CoaddPsf) -> Canvas<'b> {
        let inputs = &self.gathered.inputs;
        Canvas {
            bbox: inputs.bbox,
            wcs: &inputs.wcs,
            unit: &inputs.unit,
            planes: &self.start.planes,
            psf: psf.stamp.as_ref(),
            psf_cards: psf.quality.iter().flat_map(PsfQuality::cards).collect(),
            cards: self.metadata(psf).cards(),
            options: write_options(&self.config.output, true),
        }
    }

    /// The tables of a file with this PSF and these edges of its band.
    fn tables(&self, visits: &[VisitSummary], psf: &CoaddPsf, range: SubfilterRange) -> Vec<TableHdu> {
        let transmission = transmission_table(&self.division.band.band, range.lo, range.hi);
        [visit_table(visits), transmission]
            .into_iter()
            .chain(psf.grid.as_ref().map(StampGrid::table))
            .collect()
    }

    /// How the noise away from sources is correlated.
    fn noise(&self, image: ArrayView2<'_, f32>, variance: ArrayView2<'_, f32>) -> Option<NoiseCorrelation> {
        let no_data = self.start.planes.bits_of(["NO_DATA"]);
        let excluded = Zip::from(&self.start.sources)
            .and(&self.coadds.mask)
            .map_collect(|s, mask| *s || mask & no_data != 0);
        NoiseCorrelation::measure(image, variance, excluded.view())
    }

    /// The visits of which most was thrown away.
    fn remarks_on_losses(&self) -> Vec<String> {
        let good = self.gathered.good_pixels();
        let visits = self.gathered.inputs.visits.iter().enumerate();
        let remark = |(i, input): (usize, &Input)| {
            let (with_data, left_out) = (self.gathered.with_data[i], &self.artefacts.visits[i]);
            // Glitches were never good.
            let clipped = left_out.len().saturating_sub(input.glitches.len());
            remark_on_loss(&input.name(), with_data, good[i], clipped)
        };
        visits.filter_map(remark).collect()
    }

    pub(super) fn summary(&self, visits: Vec<VisitSummary>, journal: &mut Journal<'_>) -> Summary {
        let (inputs, dropped) = (&self.gathered.inputs, &self.gathered.dropped);
        let (mut remarks, doubts) =
            remarks_on(&self.regions, &self.start.sources, &inputs.bbox, dropped, self.config);
        remarks.extend(self.remarks_on_losses());
        doubts.into_iter().for_each(|text| journal.warn("solver", text));
        // Without regions, as with the joint method, there is no metric.
        let mean = |of: &dyn Fn(&RegionSummary) -> f64| {
            self.regions.iter().map(of).sum::<f64>() / self.regions.len() as f64
        };
        let subfilters = (0..self.coadds.subfilters.len()).map(|a| format!("subfilter_{a}.fits"));
        let joint = self.joint.iter().map(|_| "joint.fits".to_owned());
        let others = ["coadd.fits", PLAIN_COADD, "summary.json"].map(str::to_owned);
        let map = self.config.output.input_map.then(|| INPUT_MAP.to_owned());
        let names = subfilters.chain(joint).chain(others).chain(map);
        let (cx, cy) = inputs.bbox.centre();
        let (stages, seconds) = journal.times();
        Summary {
            version: env!("CARGO_PKG_VERSION").into(),
            run: self.run.clone(),
            outcome: if remarks.is_empty() { Outcome::Done } else { Outcome::DoneWithRemarks },
            remarks,
            band: self.division.band_summary(),
            bbox: inputs.bbox,
            unit: inputs.unit.clone(),
            arcsec_per_px: inputs.wcs.pixel_scale(cx, cy).unwrap_or(f64::NAN),
            template: self.request.template.clone().map_or(TemplateSource::Made, TemplateSource::File),
            visits,
            dropped: dropped.clone(),
            initial_metric: mean(&|region| region.report.initial_metric),
            final_metric: mean(&|region| region.report.final_metric),
            regions: self.regions.clone(),
            joint: self.joint.as_ref().map(|(_, summary)| summary.clone()),
            psf_fwhm_px: self.psfs.coadd.fwhm_px,
            psf: self.psfs.summary.clone(),
            noise_correlation: self.noise(self.coadds.sum.image.view(), self.coadds.sum.variance.view()),
            warnings: journal.warnings.clone(),
            files: names.map(|name| self.request.output.join(name)).collect(),
            stages,
            seconds,
            peak_memory_bytes: peak_memory(),
            in_memory: self.gathered.memory.in_memory,
            configuration: self.config.clone(),
        }
    }
}
