//! Configuration: every setting with its default, and the preset that repeats LSST's
//! DcrAssembleCoaddTask.
//!
//! Settings stand in tables, as in the file that `dcr config` prints. Each is documented once, at
//! its field; [`KEYS`] repeats these texts for that file. [`AssembleConfig::validate`] is called
//! once, after all sources of settings are merged; later code relies on it.
//!
//! Defaults correct the known faults of DcrAssembleCoaddTask (docs/algorithm.md §12);
//! [`AssembleConfig::reference`] reproduces it, faults included.

mod artefacts;
mod band;
mod bytes;
mod coadd;
mod error;
mod input;
mod joint;
mod model;
mod output;
mod psf;
mod selections;
mod solver;
mod subtract;
mod table;
mod template;

use std::collections::BTreeMap;

use dcr_physics::{GeometrySource, RefractionModel, Throughput};
use dcr_solver::iterative::IterativeConfig;
pub use dcr_solver::joint::JointConfig;
use serde::{Deserialize, Serialize};

pub use artefacts::{ArtefactConfig, FindArtefacts};
pub use band::{BandConfig, ResolvedBand};
pub use bytes::ByteSize;
pub use coadd::{CoaddConfig, OutputVariance, PixelsIn, Statistic};
pub use error::ConfigError;
pub(crate) use error::edit_distance;
use error::refuse;
pub use input::{
    Distortion, InputConfig, OnDisagreement, SiteConfig, WeightsHold, WithoutVariance, ZeroPoint, ZeroPointOf,
};
pub use model::{ModelConfig, ShiftRule, Spectrum};
pub use output::{Compression, OutputConfig};
pub use psf::PsfConfig;
pub use selections::{SubtractConfig, TemplateConfig};
pub use solver::{Method, SolverConfig};
pub use subtract::{Background, DifferenceConfig, TableFormat};
pub use table::Key;

use crate::regions::SkyRegion;
pub use dcr_solver::calibration::PolynomialOrder;
pub use template::{MatchConfig, TemplateVariance};

/// All settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AssembleConfig {
    /// The band of the warps.
    pub band: BandConfig,
    /// The subfilters and how the air displaces them.
    pub model: ModelConfig,
    /// The method of solving.
    pub solver: SolverConfig,
    /// The joint method.
    pub joint: JointConfig,
    /// Weights, masks and the patch as a whole.
    pub coadd: CoaddConfig,
    /// The PSF of the coadds.
    pub psf: PsfConfig,
    /// Artefacts of single exposures.
    pub artefacts: ArtefactConfig,
    /// Matched templates.
    pub template: MatchConfig,
    /// Differences and their residuals.
    pub subtract: DifferenceConfig,
    /// Interpretation of files and headers.
    pub input: InputConfig,
    /// How results are written.
    pub output: OutputConfig,
    /// The curve in the file that `band.throughput` names, read by the caller.
    #[serde(skip)]
    pub throughput: Option<Throughput>,
    /// The regions in the file that `coadd.bright_objects` names, read by the caller.
    #[serde(skip)]
    pub bright_objects: Vec<SkyRegion>,
    /// The weights in the file that `coadd.visit_weights` names, by visit, read by the caller.
    #[serde(skip)]
    pub visit_weights: Option<BTreeMap<u64, f64>>,
}

/// Every setting, by table, in the order of the configuration file.
pub const KEYS: [&[Key]; 11] = [
    BandConfig::KEYS,
    ModelConfig::KEYS,
    SolverConfig::KEYS,
    joint::KEYS,
    CoaddConfig::KEYS,
    PsfConfig::KEYS,
    ArtefactConfig::KEYS,
    MatchConfig::KEYS,
    DifferenceConfig::KEYS,
    InputConfig::KEYS,
    OutputConfig::KEYS,
];

/// The names of the presets.
pub const PRESETS: [&str; 2] = ["default", "reference"];

impl AssembleConfig {
    /// Settings of LSST's DcrAssembleCoaddTask, faults included, to reproduce its numbers.
    #[must_use]
    pub fn reference() -> Self {
        let ours = Self::default();
        Self {
            model: ModelConfig {
                spectrum: Spectrum::Constant,
                shift_rule: ShiftRule::Reference,
                refraction: RefractionModel::Reference,
                ..ours.model
            },
            solver: SolverConfig { method: Method::Iterative, iterative: IterativeConfig::reference() },
            coadd: CoaddConfig {
                subregion_size: [2000, 2000],
                weight_visits: false,
                variance: OutputVariance::Template,
                ..ours.coadd
            },
            psf: PsfConfig { seeing_exponent: 0.0, ..ours.psf },
            artefacts: ArtefactConfig { find: FindArtefacts::Off, ..ours.artefacts },
            template: MatchConfig { variance: TemplateVariance::Reference, ..ours.template },
            input: InputConfig {
                geometry: GeometrySource::Header,
                on_disagreement: OnDisagreement::Warn,
                ..ours.input
            },
            ..ours
        }
    }

    /// The preset of the given name ([`PRESETS`]).
    #[must_use]
    pub fn preset(name: &str) -> Option<Self> {
        match name {
            "default" => Some(Self::default()),
            "reference" => Some(Self::reference()),
            _ => None,
        }
    }

    /// Refuses values out of range.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with the key, the value and the allowed range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.band.validate()?;
        self.model.validate()?;
        self.solver.validate()?;
        joint::validate(&self.joint, self.solver.method, &self.model)?;
        self.coadd.validate()?;
        self.psf.validate()?;
        self.artefacts.validate()?;
        self.subtract.validate()?;
        self.input.validate()
    }
}

/// Accepts an existing table or setting `key`, given as `table` or `table.name`.
///
/// # Errors
///
/// [`ConfigError::Unknown`] with the closest existing name.
pub fn check_key(key: &str) -> Result<(), ConfigError> {
    let tables = KEYS.iter().filter_map(|keys| keys.first()).map(|key| key.table.to_owned());
    let settings = KEYS.iter().copied().flatten().map(|key| format!("{}.{}", key.table, key.name));
    let known: Vec<String> =
        if key.contains('.') { settings.collect() } else { tables.chain(settings).collect() };
    if known.iter().any(|name| name == key) {
        return Ok(());
    }
    Err(ConfigError::Unknown { key: key.into(), nearest: nearest(key, &known) })
}

/// The name closest to `key`: one with the same last part in another table, else by edit distance.
fn nearest(key: &str, known: &[String]) -> Option<String> {
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    if let Some(elsewhere) = known.iter().find(|name| last(name) == last(key)) {
        return Some(elsewhere.clone());
    }
    let by_distance = |name: &&String| {
        edit_distance(key, name).min(edit_distance(&last(key), &last(name)).saturating_add(1))
    };
    let best = known.iter().min_by_key(by_distance)?;
    // Further off than half its letters, nothing is a misspelling.
    (by_distance(&best) <= last(key).chars().count().div_ceil(2)).then(|| best.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names in the tables are those of serde, in the same order; settings without a default
    /// have an example.
    #[test]
    fn keys_are_those_of_the_structs() {
        let json = serde_json::to_value(AssembleConfig::default()).unwrap();
        let tables = json.as_object().unwrap();
        assert_eq!(tables.len(), KEYS.len());
        for (keys, (table, settings)) in KEYS.iter().zip(tables) {
            assert!(keys.iter().all(|key| key.table == table));
            let documented: Vec<&str> = keys.iter().map(|key| key.name).collect();
            let known: Vec<&String> = settings.as_object().unwrap().keys().collect();
            assert_eq!(documented, known);
            for key in *keys {
                assert_eq!(settings[key.name].is_null(), key.example.is_some(), "{}.{}", table, key.name);
                assert!(!key.about.trim().is_empty());
            }
        }
    }

    #[test]
    fn key_that_is_unknown_comes_with_the_nearest() {
        let suggestion = |key| match check_key(key) {
            Err(ConfigError::Unknown { nearest, .. }) => nearest,
            other => panic!("{key}: {other:?}"),
        };
        assert_eq!(suggestion("model.subfilter").as_deref(), Some("model.subfilters"));
        assert_eq!(suggestion("solver.subfilters").as_deref(), Some("model.subfilters"));
        assert_eq!(suggestion("max_iterations").as_deref(), Some("solver.max_iterations"));
        assert_eq!(suggestion("modle").as_deref(), Some("model"));
        assert_eq!(suggestion("solver.max_itertions").as_deref(), Some("solver.max_iterations"));
        assert_eq!(suggestion("coadd.zebra"), None);
        assert_eq!(check_key("coadd.subregion_size"), Ok(()));
        assert_eq!(check_key("output"), Ok(()));
    }

    #[test]
    fn presets_are_valid_and_differ() {
        for name in PRESETS {
            assert_eq!(AssembleConfig::preset(name).unwrap().validate(), Ok(()));
        }
        assert_ne!(AssembleConfig::preset("default"), AssembleConfig::preset("reference"));
        assert_eq!(AssembleConfig::preset("other"), None);
    }

    #[test]
    fn values_that_cannot_be_meant_are_refused_by_name() {
        fn message(change: impl FnOnce(&mut AssembleConfig)) -> String {
            let mut config = AssembleConfig::default();
            change(&mut config);
            config.validate().unwrap_err().to_string()
        }
        assert_eq!(message(|c| c.model.subfilters = 0), "model.subfilters = 0: expected 1 to 20");
        assert_eq!(
            message(|c| c.solver.iterative.base_gain = Some(f64::NAN)),
            "solver.base_gain = NaN: expected above 0"
        );
        assert_eq!(message(|c| c.joint.psf_floor = 0.0), "joint.psf_floor = 0: expected above 0 and below 1");
        let joint = |c: &mut AssembleConfig| {
            c.solver.method = Method::Joint;
            c.model.shift_rule = ShiftRule::Reference;
        };
        assert!(message(joint).starts_with("model.shift_rule = \"reference\": expected"));
        assert!(
            message(|c| c.coadd.subregion_size = [512, 0]).starts_with("coadd.subregion_size = [512, 0]")
        );
        assert!(message(|c| c.band.bandwidth_nm = Some(-1.0)).starts_with("band.bandwidth_nm = -1"));
        assert!(message(|c| c.input.weights = Some("w.fits".into())).contains("{stem}"));
        assert!(
            message(|c| c.coadd.mask_propagation_thresholds.extend([("CR".into(), 2.0)]))
                .starts_with("coadd.mask_propagation_thresholds.CR = 2")
        );
        assert!(
            message(|c| c.coadd.mask_propagation_thresholds.extend([("SATURATED".into(), 0.2)]))
                .starts_with("coadd.mask_propagation_thresholds.SATURATED = 0.2: expected no second value")
        );
    }
}
