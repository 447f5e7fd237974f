//! The configuration as commented TOML.

use std::fmt::Write;

use dcr_coadd::config::{AssembleConfig, KEYS};
use dcr_physics::builtin_bands;

/// `config` as TOML with every setting explained. Settings that are not set are commented out, with an example.
pub(crate) fn as_toml(config: &AssembleConfig) -> anyhow::Result<String> {
    let values = toml::Table::try_from(config)?;
    let mut text = format!(
        "# Settings of dcr {}. Give this file, or any part of it, to --config.\n",
        env!("CARGO_PKG_VERSION")
    );
    for keys in KEYS {
        let Some(table) = keys.first().map(|key| key.table) else { continue };
        write!(text, "\n[{table}]\n")?;
        if table == "band" {
            text.push_str(&known_bands());
        }
        for (i, key) in keys.iter().enumerate() {
            if i > 0 {
                text.push('\n');
            }
            for line in key.about.lines() {
                writeln!(text, "# {}", line.trim())?;
            }
            match values.get(table).and_then(|table| table.get(key.name)) {
                Some(value) => writeln!(text, "{} = {value}", key.name)?,
                None => writeln!(text, "#{} = {}", key.name, key.example.unwrap_or_default())?,
            }
        }
    }
    Ok(text)
}

/// The names of the built-in bands with their wavelengths.
fn known_bands() -> String {
    let mut text = String::from("# Built-in bands, blue to red edge in nm:\n");
    for bands in builtin_bands().chunks(4) {
        let bands: Vec<String> = bands
            .iter()
            .map(|band| {
                let half = band.bandwidth_nm / 2.0;
                format!("{} {:.0}–{:.0}", band.name, band.effective_nm - half, band.effective_nm + half)
            })
            .collect();
        text.push_str(&format!("#   {}\n", bands.join(", ")));
    }
    text
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

    /// The examples of settings that are not set are TOML of the right kind.
    #[test]
    fn examples_are_valid() {
        let examples: String = as_toml(&AssembleConfig::default())
            .unwrap()
            .lines()
            .filter(|line| !line.contains("throughput ="))
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
