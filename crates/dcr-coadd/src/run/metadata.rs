//! Metadata of a run in the headers of its files, from which `dcr template` takes its settings.

use std::path::Path;

use dcr_image::ExposureFile;
use dcr_image::header::{Card, Header};
use dcr_physics::{Band, RefractionModel, Throughput, Wavelength, WavelengthGrid};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::coadd::solver_choice::Solver;
use crate::config::{ShiftRule, Spectrum};
use crate::error::{CoaddError, ModelError};

/// Metadata shared by all files of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunMetadata {
    /// Identifies the run.
    pub run: String,
    /// The software's version.
    pub version: String,
    /// The band.
    pub band: Band,
    /// The wavelength that stays in place.
    pub reference: Wavelength,
    /// Number of subfilters.
    pub subfilters: usize,
    /// How the subfilters were solved for.
    pub solver: Solver,
    /// Model of refraction.
    pub refraction: RefractionModel,
    /// Rule of displacement.
    pub rule: ShiftRule,
    /// Form of spectra inside a subfilter.
    pub spectrum: Spectrum,
    /// Width and height of the cells.
    pub cell: [usize; 2],
    /// FWHM of the coadd's PSF in px.
    pub psf_fwhm_px: Option<f64>,
    /// The magnitude zero point that the warps were scaled to, if they were.
    pub zero_point_mag: Option<f64>,
    /// All settings as JSON, for the record.
    pub configuration: String,
}

impl RunMetadata {
    /// The cards of the primary HDU of every file.
    pub fn cards(&self) -> Vec<Card> {
        let mut cards = vec![
            Card::new("DCRRUN", self.run.as_str()).with_comment("the run that made this file"),
            Card::new("DCRVERS", self.version.as_str()).with_comment("version of dcr"),
            Card::new("FILTER", self.band.name()).with_comment("band"),
            Card::new("EFFWAVE", self.band.effective().nm()).with_comment("[nm] middle of the band"),
            Card::new("BANDWID", self.band.bandwidth_nm()).with_comment("[nm] full width of the band"),
            Card::new("REFWAVE", self.reference.nm()).with_comment("[nm] not displaced"),
            Card::new("NSUBFILT", self.subfilters as i64).with_comment("number of subfilters"),
            Card::new("METHOD", word(&self.solver)).with_comment("of solving for the subfilters"),
            Card::new("REFRMOD", word(&self.refraction)).with_comment("refraction model"),
            Card::new("SHIFTRUL", word(&self.rule)).with_comment("rule of displacements"),
            Card::new("SPECTRUM", word(&self.spectrum)).with_comment("inside subfilters"),
            Card::new("CELLX", self.cell[0] as i64).with_comment("[px] width of cells of one displacement"),
            Card::new("CELLY", self.cell[1] as i64).with_comment("[px] height of the same"),
        ];
        if let Some(fwhm) = self.psf_fwhm_px {
            cards.push(Card::new("PSF-FWHM", fwhm).with_comment("[px]"));
        }
        if let Some(zero_point) = self.zero_point_mag {
            cards.push(Card::new("MAGZERO", zero_point).with_comment("[mag] of one unit of the pixels"));
        }
        if let Some(curve) = self.band.throughput() {
            cards.push(Card::new("THRUCURV", curve_text(curve)));
        }
        cards.push(Card::new("DCRCONF", self.configuration.as_str()));
        cards
    }

    /// Reads them back.
    ///
    /// # Errors
    ///
    /// [`ModelError::NotARun`] for a file that lacks one of them.
    pub fn of(file: &ExposureFile) -> Result<Self, CoaddError> {
        let (header, path) = (file.header(), file.path());
        let text =
            |keyword: &str| header.text(keyword).map(str::to_owned).ok_or_else(|| lacks(path, keyword));
        let number = |keyword: &str| header.f64(keyword).ok_or_else(|| lacks(path, keyword));
        let count = |keyword: &str| {
            let value = header.i64(keyword).and_then(|value| usize::try_from(value).ok());
            value.filter(|value| *value > 0).ok_or_else(|| lacks(path, keyword))
        };
        let mut band =
            Band::new(text("FILTER")?, Wavelength::from_nm(number("EFFWAVE")?), number("BANDWID")?)?;
        if let Some(points) = header.text("THRUCURV") {
            band = band
                .with_throughput(Throughput::parse(&points.replace(';', "\n")).map_err(ModelError::from)?)?;
        }
        Ok(Self {
            run: text("DCRRUN")?,
            version: text("DCRVERS")?,
            band,
            reference: Wavelength::from_nm(number("REFWAVE")?),
            subfilters: count("NSUBFILT")?,
            // Runs of versions with one method do not say which.
            solver: header.text("METHOD").map_or(Ok(Solver::Iterative), |_| named(header, path, "METHOD"))?,
            refraction: named(header, path, "REFRMOD")?,
            rule: named(header, path, "SHIFTRUL")?,
            spectrum: named(header, path, "SPECTRUM")?,
            cell: [count("CELLX")?, count("CELLY")?],
            psf_fwhm_px: header.f64("PSF-FWHM"),
            zero_point_mag: header.f64("MAGZERO"),
            configuration: header.text("DCRCONF").unwrap_or_default().to_owned(),
        })
    }
}

/// A curve in one text, without the zeros between zeros: curves come with thousands of them.
fn curve_text(curve: &Throughput) -> String {
    let points: Vec<(f64, f64)> = curve.points().collect();
    let lit = |i: usize| points.get(i).is_some_and(|(_, transmission)| *transmission > 0.0);
    let telling = (0..points.len()).filter(|&i| lit(i) || lit(i + 1) || (i > 0 && lit(i - 1)));
    let texts: Vec<String> = telling.map(|i| format!("{} {}", points[i].0, points[i].1)).collect();
    texts.join(";")
}

/// The cards of one subfilter's file.
pub(crate) fn subfilter_cards(grid: &WavelengthGrid, subfilter: usize) -> Vec<Card> {
    let range = grid.subfilters()[subfilter];
    vec![
        Card::new("SUBFILT", subfilter as i64).with_comment("subfilter, 0 is the bluest"),
        Card::new("SUBBLUE", range.lo.nm()).with_comment("[nm] its blue edge"),
        Card::new("SUBRED", range.hi.nm()).with_comment("[nm] its red edge"),
        Card::new("SUBFRAC", grid.fractions()[subfilter]).with_comment("its share of a flat spectrum"),
    ]
}

/// The subfilter that a file is of.
pub fn subfilter_of(file: &ExposureFile) -> Result<usize, ModelError> {
    let value = file.header().i64("SUBFILT").and_then(|value| usize::try_from(value).ok());
    value.ok_or_else(|| lacks(file.path(), "SUBFILT"))
}

fn lacks(path: &Path, keyword: &str) -> ModelError {
    ModelError::NotARun {
        path: path.to_owned(),
        reason: format!("card {keyword} is missing or has no usable value"),
    }
}

/// The name by which configurations call a choice.
fn word(choice: &impl Serialize) -> String {
    match serde_json::to_value(choice) {
        Ok(serde_json::Value::String(word)) => word,
        other => unreachable!("choices are words in configurations: {other:?}"),
    }
}

fn named<T: DeserializeOwned>(header: &Header, path: &Path, keyword: &str) -> Result<T, ModelError> {
    let word = header.text(keyword).ok_or_else(|| lacks(path, keyword))?;
    serde_json::from_value(word.into()).map_err(|_| lacks(path, keyword))
}

/// Identifier of a run: FNV-1a hash of `parts`, as 16 hexadecimal digits.
pub(crate) fn run_name<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for byte in part.iter().chain(&[0xff]) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_name_tells_runs_apart() {
        let name = |parts: &[&str]| run_name(parts.iter().map(|part| part.as_bytes()));
        assert_eq!(name(&["a", "b"]), name(&["a", "b"]));
        assert_ne!(name(&["a", "b"]), name(&["ab"]));
        assert_eq!(name(&[]), "cbf29ce484222325");
    }

    #[test]
    fn choices_are_written_as_in_configurations() {
        assert_eq!(word(&RefractionModel::StoneOwens), "stone_owens");
        assert_eq!(word(&ShiftRule::Integrated), "integrated");
        assert_eq!(word(&Spectrum::Smooth), "smooth");
    }
}
