//! Settings merged from a preset, a file and the command line, and validated.
//!
//! Precedence: defaults < preset < `--config` < `--set`. Settings are applied one by one, so that
//! an error names the setting at fault and its source.

mod assignment;
mod file;
mod lists;
mod number;
mod show;

use anyhow::Context;
use dcr_coadd::config::{AssembleConfig, ConfigError, KEYS, check_key};
use dcr_coadd::regions::parse_regions;
use dcr_physics::Throughput;

use self::assignment::Assignment;
pub(crate) use self::assignment::SettingError;
pub(crate) use self::lists::visits;
pub(crate) use self::show::{as_markdown, as_toml, explained};
use crate::args::Settings;

/// Merges all sources of settings, validates the result, and reads the files it refers to.
pub(crate) fn gather(settings: &Settings) -> anyhow::Result<AssembleConfig> {
    let mut config = settings.preset.as_deref().and_then(AssembleConfig::preset).unwrap_or_default();
    let mut assignments = Vec::new();
    if let Some(path) = &settings.config {
        assignments.extend(file::assignments(path)?);
    }
    for (key, pattern) in [("input.weights", &settings.weights), ("input.masks", &settings.masks)] {
        let Some(pattern) = pattern else { continue };
        let place = format!("--{}", key.trim_start_matches("input."));
        let value = Some(toml::Value::String(pattern.clone()));
        assignments.push(Assignment { key: key.into(), value, place, bare: None });
    }
    for argument in &settings.set {
        assignments.push(from_argument(argument)?);
    }
    for assignment in &assignments {
        config = assigned(&config, assignment)?;
    }
    check(&config, &assignments)?;
    if let Some(path) = &config.band.throughput {
        let unreadable = || format!("{}: cannot read the throughput curve", path.display());
        let text = std::fs::read_to_string(path).with_context(unreadable)?;
        config.throughput = Some(Throughput::parse(&text).with_context(unreadable)?);
    }
    if let Some(path) = &config.coadd.bright_objects {
        let unreadable = || format!("{}: cannot read the regions of bright objects", path.display());
        let text = std::fs::read_to_string(path).with_context(unreadable)?;
        config.bright_objects = parse_regions(&text).with_context(unreadable)?;
    }
    if let Some(path) = &config.coadd.visit_weights {
        config.visit_weights = Some(lists::weights(path)?);
    }
    Ok(config)
}

/// Parses `KEY=VALUE`: the value as TOML, or else as a string.
fn from_argument(argument: &str) -> Result<Assignment, SettingError> {
    let (key, text) =
        argument.split_once('=').ok_or_else(|| SettingError::NoValue { argument: argument.into() })?;
    let text = text.trim();
    let value = match text {
        "" => None,
        text => Some(toml_value(text).unwrap_or_else(|| toml::Value::String(text.into()))),
    };
    Ok(Assignment { key: key.trim().into(), value, place: "--set".into(), bare: Some(text.into()) })
}

/// The configuration with one more setting applied.
fn assigned(config: &AssembleConfig, assignment: &Assignment) -> Result<AssembleConfig, SettingError> {
    let Assignment { key, value, place, bare } = assignment;
    let path: Vec<&str> = key.split('.').collect();
    let setting = path.iter().take(2).copied().collect::<Vec<_>>().join(".");
    let unknown = |source| SettingError::Config { place: place.clone(), source };
    check_key(&setting).map_err(unknown)?;
    if path.len() < 2 {
        let shown = value.as_ref().map_or_else(String::new, ToString::to_string);
        let reason = "this is a table of settings; set them one by one, as table.name".into();
        return Err(SettingError::Kind { place: place.clone(), key: key.clone(), value: shown, reason });
    }
    let kind = |reason: String| SettingError::Kind {
        place: place.clone(),
        key: key.clone(),
        value: value.as_ref().map_or_else(|| "nothing".into(), ToString::to_string),
        reason,
    };
    let with_example = |reason: String| match example(&setting) {
        Some(example) => format!("{reason}; example: {setting} = {example} (see `dcr config {setting}`)"),
        None => reason,
    };
    let tables = toml::Table::try_from(config).map_err(|error| kind(error.to_string()))?;
    let with = |value: Option<toml::Value>| {
        let mut tables = tables.clone();
        insert(&mut tables, &path, value);
        tables.try_into::<AssembleConfig>()
    };
    // A bare word can look like a number, e.g. a band name or an HDU.
    let as_word = || bare.clone().and_then(|word| with(Some(toml::Value::String(word))).ok());
    // Otherwise it may be a malformed number.
    let as_number = || {
        let number = number::as_toml(bare.as_deref()?)?;
        with(Some(toml_value(&number)?)).ok().map(|_| format!("not a TOML number; write {number}"))
    };
    with(value.clone()).or_else(|error| {
        let reason = || as_number().unwrap_or_else(|| with_example(in_words(error.message())));
        as_word().ok_or_else(|| kind(reason()))
    })
}

/// Parses a TOML value.
fn toml_value(text: &str) -> Option<toml::Value> {
    format!("value = {text}").parse::<toml::Table>().ok()?.remove("value")
}

/// A serde error in the user's terms, without names of Rust types.
fn in_words(message: &str) -> String {
    let line = message.lines().collect::<Vec<_>>().join(" ");
    [
        ("usize", "a non-negative integer"),
        ("f64", "a number"),
        ("a boolean", "true or false"),
        ("a sequence", "a list"),
    ]
    .iter()
    .find_map(|(theirs, ours)| {
        line.strip_suffix(&format!("expected {theirs}")).map(|rest| format!("{rest}expected {ours}"))
    })
    .unwrap_or(line)
}

/// A valid example value of a setting: its default, or else the example in its explanation.
fn example(setting: &str) -> Option<String> {
    let key = KEYS.iter().copied().flatten().find(|key| format!("{}.{}", key.table, key.name) == setting)?;
    let defaults = toml::Table::try_from(AssembleConfig::default()).ok()?;
    let default = defaults.get(key.table).and_then(|table| table.get(key.name));
    default.map(ToString::to_string).or_else(|| key.example.map(str::to_owned))
}

/// Sets or removes the value at a path of keys.
fn insert(table: &mut toml::Table, path: &[&str], value: Option<toml::Value>) {
    match (path, value) {
        ([], _) => {}
        ([name], None) => drop(table.remove(*name)),
        ([name], Some(value)) => drop(table.insert((*name).to_owned(), value)),
        ([name, rest @ ..], value) => {
            let inner = table.entry(*name).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            if let toml::Value::Table(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

/// Validates the configuration; an error names the source of the setting at fault.
fn check(config: &AssembleConfig, assignments: &[Assignment]) -> anyhow::Result<()> {
    let Err(error) = config.validate() else { return Ok(()) };
    let fault = match &error {
        ConfigError::Value { key, .. } => key.clone(),
        _ => return Err(error.into()),
    };
    let given = assignments
        .iter()
        .rev()
        .find(|given| fault == given.key || fault.starts_with(&format!("{}.", given.key)));
    match given {
        Some(given) => Err(SettingError::Config { place: given.place.clone(), source: error }.into()),
        None => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(arguments: &[&str]) -> Result<AssembleConfig, String> {
        let set = arguments.iter().map(|&argument| argument.to_owned()).collect();
        gather(&Settings { config: None, set, preset: None, weights: None, masks: None })
            .map_err(|error| error.to_string())
    }

    #[test]
    fn set_takes_toml_and_bare_words() {
        let config = set(&[
            "band.name=lsst-g",
            "band.effective_wavelength_nm = 478.5",
            "model.subfilters=5",
            "coadd.subregion_size=[128, 64]",
            "coadd.bad_mask_planes=[\"BAD\"]",
            "coadd.mask_propagation_thresholds.CR=0.2",
            "solver.order=fourier",
            "solver.max_iterations=7",
            "solver.accelerate_model=2",
            "coadd.memory_limit=2GiB",
        ])
        .unwrap();
        assert_eq!(config.band.name.as_deref(), Some("lsst-g"));
        assert_eq!(config.band.effective_wavelength_nm, Some(478.5));
        assert_eq!(config.coadd.subregion_size, [128, 64]);
        assert_eq!(config.coadd.mask_propagation_thresholds.len(), 2);
        assert_eq!(config.solver.iterative.max_iterations, Some(7));
        assert_eq!(config.solver.iterative.accelerate_model, 2.0);
        assert_eq!(config.coadd.memory_limit.unwrap().0, 2 << 30);
    }

    #[test]
    fn set_takes_numbers_for_words_where_words_are_wanted() {
        let config = set(&["input.image_hdu=2", "band.name=814"]).unwrap();
        assert_eq!(config.input.image_hdu.as_deref(), Some("2"));
        assert_eq!(config.band.name.as_deref(), Some("814"));
    }

    #[test]
    fn set_later_wins_and_nothing_unsets() {
        let config =
            set(&["band.name=a", "band.name=b", "solver.max_iterations=7", "solver.max_iterations="]);
        let config = config.unwrap();
        assert_eq!(config.band.name.as_deref(), Some("b"));
        assert_eq!(config.solver.iterative.max_iterations, None);
    }

    #[test]
    fn set_refuses_by_name_and_place() {
        for (argument, expected) in [
            ("model.subfilters", "expected KEY=VALUE"),
            ("model.subfilter=3", "did you mean model.subfilters?"),
            ("model.subfilters=three", "--set: model.subfilters = \"three\": "),
            ("model.subfilters=0", "--set: model.subfilters = 0: expected 1 to 20"),
            ("model=3", "table of settings"),
            ("input.site.latitude_deg=95", "-90 to 90"),
            ("input.site.latitude_deg=45", "longitude_deg"),
            ("input.pressure_hpa=74400", "300 to 1100 hPa"),
            ("input.unit=mag", "a unit of flux"),
            ("input.zero_point_of=minute", "unknown variant"),
            ("solver.order=2", "expected 1, 3, 5 or \"fourier\""),
            ("output.compression=zip", "unknown variant"),
            ("model.subfilters=3.5", "expected a non-negative integer; example: model.subfilters = 3"),
            ("subtract.match_psf=yes", "expected true or false"),
        ] {
            let message = set(&[argument]).unwrap_err();
            assert!(message.contains(expected), "{argument}: {message}");
        }
    }

    #[test]
    fn set_says_how_a_number_is_written() {
        let key = "solver.convergence_threshold";
        for (text, number) in
            [(".005", "0.005"), ("+.5", "0.5"), ("1,5", "1.5"), ("5.", "5"), ("1.e-3", "1e-3")]
        {
            let message = set(&[&format!("{key}={text}")]).unwrap_err();
            let expected = format!("{key} = \"{text}\": not a TOML number; write {number}");
            assert!(message.ends_with(&expected), "{message}");
        }
        assert_eq!(set(&[&format!("{key}=1e-3")]).unwrap().solver.iterative.convergence_threshold, 1e-3);
        // Nothing is proposed that the setting would not take either, and words stay words.
        for argument in ["model.subfilters=1,5", "coadd.subregion_size=128,64"] {
            let message = set(&[argument]).unwrap_err();
            assert!(!message.contains("write"), "{message}");
        }
        assert_eq!(set(&["band.name=.5"]).unwrap().band.name.as_deref(), Some(".5"));
    }
}
