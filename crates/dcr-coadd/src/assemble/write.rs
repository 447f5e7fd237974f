//! The files of a run.

use dcr_image::fits::{OutputFolder, TableHdu, WriteOptions, write_exposure};
use dcr_image::header::Card;
use dcr_image::psf::StampGrid;
use dcr_measure::noise_correlation::NoiseCorrelation;
use dcr_measure::psf_measurement::PsfQuality;

use crate::artefacts::artefact_table;
use crate::config::OutputConfig;
use crate::error::CoaddError;
use crate::inputs::input_map::{INPUT_MAP, input_map};
use crate::inputs::transmission::transmission_table;
use crate::model::{Diagnostics, MODEL_FILE};
use crate::patch::{Coadd, Coadds};
use crate::run::metadata::{RunMetadata, subfilter_cards};
use crate::run::outputs::{OutputHdus, PLAIN_COADD, Planes, SUMMARY, visit_table, write_options};
use crate::run::run_log::RunLog;

/// The stacked coadd.
const COADD: &str = "coadd.fits";

impl Coadds {
    /// The names of the files, in the order in which they are reported.
    pub(super) fn file_names(&self) -> Vec<String> {
        let subfilters = (0..self.subfilters.len()).map(|a| format!("subfilter_{a}.fits"));
        let others = [MODEL_FILE, COADD, PLAIN_COADD, SUMMARY].map(str::to_owned);
        let map = self.input_map.iter().map(|_| INPUT_MAP.to_owned());
        subfilters.chain(others).chain(map).collect()
    }

    /// Writes all files but the summary into the stage of a folder.
    pub(super) fn write(
        &self,
        folder: &OutputFolder,
        output: &OutputConfig,
        log: &RunLog<'_>,
    ) -> Result<(), CoaddError> {
        let grid = self.metadata.band.wavelength_grid(self.subfilters.len())?;
        for (a, coadd) in self.subfilters.iter().enumerate() {
            let name = format!("subfilter_{a}.fits");
            self.write_coadd(&name, coadd, subfilter_cards(&grid, a), vec![], folder, output, log)?;
        }
        let numbers: Vec<u64> = self.summary.visits.iter().map(|visit| visit.visit).collect();
        let artefacts = artefact_table(&numbers, &self.artefacts, &self.bbox);
        self.write_coadd(COADD, &self.sum, vec![], vec![artefacts], folder, output, log)?;
        let diagnostics = self.summary.joint.as_ref().zip(self.identifiability.as_ref());
        let diagnostics =
            diagnostics.map(|(summary, identifiability)| Diagnostics { summary, identifiability });
        self.model.write(&folder.staged(MODEL_FILE), diagnostics.as_ref(), write_options(output, true))?;
        self.write_coadd(PLAIN_COADD, &self.plain, vec![], vec![], folder, output, log)?;
        if let Some(bits) = &self.input_map {
            let mut file = input_map(bits, &self.summary.visits, &self.wcs, &self.bbox);
            file.primary = self.metadata.cards();
            let options = WriteOptions { overwrite: true, compress: true };
            write_exposure(&folder.staged(INPUT_MAP), &file, options)?;
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "one file, its cards and tables, and where it goes")]
    fn write_coadd(
        &self,
        name: &str,
        coadd: &Coadd,
        mut cards: Vec<Card>,
        own_tables: Vec<TableHdu>,
        folder: &OutputFolder,
        output: &OutputConfig,
        log: &RunLog<'_>,
    ) -> Result<(), CoaddError> {
        let planes = Planes {
            image: coadd.image.view(),
            mask: coadd.mask.view(),
            variance: coadd.variance.view(),
            n_image: Some(coadd.n_image.view()),
        };
        let metadata = RunMetadata { psf_fwhm_px: coadd.psf.fwhm_px, ..self.metadata.clone() };
        let hdus = OutputHdus {
            bbox: self.bbox,
            wcs: &self.wcs,
            unit: &self.unit,
            planes: &self.planes,
            psf: coadd.psf.stamp.as_ref(),
            psf_cards: coadd.psf.quality.iter().flat_map(PsfQuality::cards).collect(),
            cards: metadata.cards(),
            options: write_options(output, true),
        };
        cards.extend(coadd.noise.iter().flat_map(NoiseCorrelation::cards));
        let transmission = transmission_table(&self.metadata.band, coadd.range.lo, coadd.range.hi);
        let tables = [visit_table(&self.summary.visits), transmission]
            .into_iter()
            .chain(coadd.psf.grid.as_ref().map(StampGrid::table))
            .chain(own_tables)
            .collect();
        hdus.write(&folder.staged(name), &planes, cards, tables)?;
        log.monitor.step(name);
        log.go_on()
    }
}
