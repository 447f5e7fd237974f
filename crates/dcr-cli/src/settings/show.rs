//! The configuration as commented TOML, in full or in part, and as a page of the book.

use std::fmt::Write;

use dcr_coadd::config::{AssembleConfig, KEYS, Key, check_key};
use dcr_physics::builtin_bands;

use super::SettingError;

/// Heading of each table of settings.
const TABLES: [(&str, &str); 11] = [
    ("band", "Band of the exposures."),
    ("model", "Subfilters, spectra and refraction."),
    ("solver", "Choice of solver, and parameters of the iterative solver."),
    ("joint", "Parameters of the joint solver (solver.method = \"joint\")."),
    ("coadd", "Weights, masks, the standard coadd, and the patch as a whole."),
    ("psf", "PSF of the coadds."),
    ("artefacts", "Detection of cosmic rays, trails and other artefacts in single exposures."),
    ("template", "Matched templates."),
    ("subtract", "Difference images and their residuals."),
    ("input", "Interpretation of input files and headers."),
    ("output", "Output files."),
];

/// `config` as TOML with an explanation of every setting. Unset settings are commented out, with an
/// example.
pub(crate) fn as_toml(config: &AssembleConfig) -> anyhow::Result<String> {
    let values = Values::of(config)?;
    let mut text = format!(
        "# Settings of dcr {}. Pass this file, or any part of it, to --config.\n",
        env!("CARGO_PKG_VERSION")
    );
    for keys in KEYS {
        text.push('\n');
        text.push_str(&values.table(keys));
    }
    Ok(text)
}

/// The tables and settings in `names`, as TOML.
pub(crate) fn explained(config: &AssembleConfig, names: &[String]) -> anyhow::Result<String> {
    let values = Values::of(config)?;
    let mut parts = Vec::new();
    for name in names {
        check_key(name).map_err(|source| SettingError::Config { place: "dcr config".into(), source })?;
        let of_table = KEYS.iter().find(|keys| keys.first().is_some_and(|key| key.table == name));
        let setting =
            KEYS.iter().copied().flatten().find(|key| name == &format!("{}.{}", key.table, key.name));
        parts.push(match (of_table, setting) {
            (Some(keys), _) => values.table(keys),
            (None, Some(key)) => values.setting(key, &format!("{}.", key.table)),
            (None, None) => continue,
        });
    }
    Ok(parts.join("\n"))
}

/// The settings page of the book, with the defaults of `config`.
pub(crate) fn as_markdown(config: &AssembleConfig) -> anyhow::Result<String> {
    let values = Values::of(config)?;
    let mut text = "\
# Settings

<!-- Written by `dcr config --markdown`; a test compares. -->

The defaults suit most fields. Settings come from four sources, in rising precedence: the defaults, `--preset`, the file
of `--config`, and `--set table.name=value`, which can be repeated. An unknown name is an error that suggests the nearest
known one.

`dcr config` prints all settings as a file for `--config`, `dcr config model` one table, and
`dcr config model.subfilters` one setting. This page lists the defaults. `--preset reference` reproduces LSST's
DcrAssembleCoaddTask, known faults included.
"
    .to_owned();
    for keys in KEYS {
        let Some(table) = keys.first().map(|key| key.table) else { continue };
        write!(text, "\n## `[{table}]`\n\n{}\n", intro(table))?;
        if table == "band" {
            text.push_str("\nBuilt-in bands, with their blue and red edges in nm:\n\n");
            for line in known_bands() {
                writeln!(text, "- {line}")?;
            }
        }
        for key in keys {
            let value = match (values.now(key), key.example) {
                (Some(value), _) => format!("Default: `{value}`."),
                (None, Some(example)) => format!("Not set by default; for example `{example}`."),
                (None, None) => "Not set by default.".to_owned(),
            };
            let about = key.about.lines().map(str::trim).collect::<Vec<_>>().join("\n");
            write!(text, "\n### `{table}.{}`\n\n{about}\n\n{value}\n", key.name)?;
        }
    }
    Ok(text)
}

/// Current and default values as TOML.
struct Values {
    now: toml::Table,
    default: toml::Table,
}

impl Values {
    fn of(config: &AssembleConfig) -> anyhow::Result<Self> {
        Ok(Self {
            now: toml::Table::try_from(config)?,
            default: toml::Table::try_from(AssembleConfig::default())?,
        })
    }

    fn now(&self, key: &Key) -> Option<&toml::Value> {
        self.now.get(key.table)?.get(key.name)
    }

    fn default(&self, key: &Key) -> Option<&toml::Value> {
        self.default.get(key.table)?.get(key.name)
    }

    /// One table with all its settings.
    fn table(&self, keys: &[Key]) -> String {
        let Some(table) = keys.first().map(|key| key.table) else { return String::new() };
        let mut text = format!("# {}\n[{table}]\n", intro(table));
        if table == "band" {
            text.push_str("# Built-in bands, blue to red edge in nm:\n");
            known_bands().iter().for_each(|line| text.push_str(&format!("#   {line}\n")));
        }
        let settings: Vec<String> = keys.iter().map(|key| self.setting(key, "")).collect();
        text.push_str(&settings.join("\n"));
        text
    }

    /// One setting: explanation, value, and the default if it differs.
    fn setting(&self, key: &Key, prefix: &str) -> String {
        let mut text = String::new();
        for line in key.about.lines() {
            text.push_str(&format!("# {}\n", line.trim()));
        }
        let name = format!("{prefix}{}", key.name);
        let (now, default) = (self.now(key), self.default(key));
        match now {
            Some(value) => text.push_str(&format!("{name} = {value}")),
            None => text.push_str(&format!("#{name} = {}", key.example.unwrap_or_default())),
        }
        match default {
            default if default == now => {}
            Some(default) => text.push_str(&format!("  # default: {default}")),
            None => text.push_str("  # default: not set"),
        }
        text.push('\n');
        text
    }
}

fn intro(table: &str) -> &'static str {
    TABLES.iter().find(|(name, _)| *name == table).map_or("", |(_, about)| about)
}

/// Names and wavelengths of the built-in bands, four per line.
fn known_bands() -> Vec<String> {
    let shown = |bands: &[dcr_physics::BuiltinBand]| {
        let bands: Vec<String> = bands
            .iter()
            .map(|band| {
                let half = band.bandwidth_nm / 2.0;
                format!("{} {:.0}–{:.0}", band.name, band.effective_nm - half, band.effective_nm + half)
            })
            .collect();
        bands.join(", ")
    };
    builtin_bands().chunks(4).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use dcr_coadd::config::PRESETS;

    use super::*;
    use crate::args::Settings;
    use crate::settings::gather;

    fn read_back(text: &str) -> AssembleConfig {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let settings = Settings {
            config: Some(file.path().to_owned()),
            set: Vec::new(),
            preset: None,
            weights: None,
            masks: None,
        };
        gather(&settings).unwrap()
    }

    #[test]
    fn configuration_is_read_back_as_it_was() {
        for preset in PRESETS {
            let config = AssembleConfig::preset(preset).unwrap();
            assert_eq!(read_back(&as_toml(&config).unwrap()), config, "{preset}");
        }
    }

    #[test]
    fn every_table_is_introduced() {
        for (keys, (table, _)) in KEYS.iter().zip(TABLES) {
            assert_eq!(keys[0].table, table);
        }
    }

    #[test]
    fn settings_are_explained_one_by_one_or_by_table() {
        let explained = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            explained(&AssembleConfig::reference(), &names).map_err(|error| error.to_string())
        };
        let one = explained(&["coadd.weight_visits", "band.name"]).unwrap();
        assert!(one.contains("\ncoadd.weight_visits = false  # default: true\n\n# Name"), "{one}");
        assert!(one.contains("\n#band.name = "), "{one}");
        assert!(explained(&["output"]).unwrap().contains("[output]\n#"));
        assert!(explained(&["subfilters"]).unwrap_err().contains("did you mean model.subfilters?"));
    }

    /// The examples of settings that are not set are TOML of the right kind.
    #[test]
    fn examples_are_valid() {
        let examples: String = as_toml(&AssembleConfig::default())
            .unwrap()
            .lines()
            // Files that examples name are not there.
            .filter(|line| {
                !["throughput =", "visit_weights =", "bright_objects ="].iter().any(|key| line.contains(key))
            })
            .map(|line| {
                let setting = line.strip_prefix('#').filter(|rest| !rest.starts_with(' '));
                format!("{}\n", setting.unwrap_or(line))
            })
            .collect();
        let config = read_back(&examples);
        assert_eq!(config.band.name.as_deref(), Some("lsst-g"));
        assert!(config.input.site.is_some() && config.solver.iterative.base_gain.is_some());
    }
}
