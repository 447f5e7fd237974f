//! The settings of templates and differences, as parts of all settings.

use super::{AssembleConfig, DifferenceConfig, InputConfig, MatchConfig, OutputConfig};

/// The settings of matched templates.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TemplateConfig {
    /// How templates are made.
    pub template: MatchConfig,
    /// How exposures are read.
    pub input: InputConfig,
    /// How templates are written.
    pub output: OutputConfig,
}

impl From<&AssembleConfig> for TemplateConfig {
    fn from(config: &AssembleConfig) -> Self {
        Self { template: config.template.clone(), input: config.input.clone(), output: config.output.clone() }
    }
}

/// The settings of difference images.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SubtractConfig {
    /// How differences are made.
    pub subtract: DifferenceConfig,
    /// How templates are made, exposures read and files written.
    pub template: TemplateConfig,
}

impl From<&AssembleConfig> for SubtractConfig {
    fn from(config: &AssembleConfig) -> Self {
        Self { subtract: config.subtract.clone(), template: config.into() }
    }
}
