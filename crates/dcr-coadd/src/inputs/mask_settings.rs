//! Comparison of the mask planes in the settings with those of the files.
//!
//! A misspelt name would pass unnoticed, for a mask without that plane has no such pixels: SATT
//! would make every saturated pixel good. An unknown name that no file has is refused; a known name
//! that no file has is reported; the names in the defaults and the planes of this program pass.

use dcr_image::MaskPlanes;
use dcr_image::mask::{known_planes, same_plane};

use crate::config::{AssembleConfig, ConfigError, DifferenceConfig, edit_distance};
use crate::error::CoaddError;
use crate::run::run_log::RunLog;

/// Letters in which a name may differ from the one that is proposed for it, of its length.
const MISSPELT: f64 = 0.5;

/// A setting that names mask planes.
struct Named<'a> {
    key: &'static str,
    planes: Vec<&'a str>,
    by_default: Vec<String>,
}

/// Checks the mask planes in the settings of `dcr assemble` against the dictionaries of the files.
///
/// # Errors
///
/// [`ConfigError::Plane`] for an unknown name that no dictionary has.
pub(crate) fn check_assembling<'a>(
    config: &AssembleConfig,
    files: impl Iterator<Item = &'a MaskPlanes> + Clone,
    log: &mut RunLog<'_>,
) -> Result<(), CoaddError> {
    let ours = AssembleConfig::default();
    let named = [
        named("coadd.bad_mask_planes", &config.coadd.bad_mask_planes, &ours.coadd.bad_mask_planes),
        named("coadd.remove_mask_planes", &config.coadd.remove_mask_planes, &ours.coadd.remove_mask_planes),
        named(
            "coadd.convergence_mask_planes",
            &config.coadd.convergence_mask_planes,
            &ours.coadd.convergence_mask_planes,
        ),
        named(
            "coadd.mask_propagation_thresholds",
            config.coadd.mask_propagation_thresholds.keys(),
            ours.coadd.mask_propagation_thresholds.keys(),
        ),
        named(
            "artefacts.prefilter_mask_planes",
            &config.artefacts.prefilter_mask_planes,
            &ours.artefacts.prefilter_mask_planes,
        ),
    ];
    let made = if config.bright_objects.is_empty() { None } else { Some("BRIGHT_OBJECT") };
    check(&named, files, made, log)
}

/// Checks the mask planes that settings of `dcr subtract` name, as for `dcr assemble`.
///
/// # Errors
///
/// [`ConfigError::Plane`] for a name that no dictionary has and that is not known.
pub fn check_subtracting<'a>(
    config: &DifferenceConfig,
    files: impl Iterator<Item = &'a MaskPlanes> + Clone,
    log: &mut RunLog<'_>,
) -> Result<(), CoaddError> {
    let ours = DifferenceConfig::default();
    let bad = named("subtract.bad_mask_planes", &config.bad_mask_planes, &ours.bad_mask_planes);
    check(&[bad], files, None, log)
}

fn named<'a>(
    key: &'static str,
    planes: impl IntoIterator<Item = &'a String>,
    by_default: impl IntoIterator<Item = &'a String>,
) -> Named<'a> {
    Named {
        key,
        planes: planes.into_iter().map(String::as_str).collect(),
        by_default: by_default.into_iter().cloned().collect(),
    }
}

fn check<'a>(
    settings: &[Named<'_>],
    files: impl Iterator<Item = &'a MaskPlanes> + Clone,
    made: Option<&str>,
    log: &mut RunLog<'_>,
) -> Result<(), CoaddError> {
    let ours = MaskPlanes::canonical();
    for Named { key, planes, by_default } in settings {
        for plane in planes {
            let is_there = ours.bit(plane).is_some() || files.clone().any(|own| own.bit(plane).is_some());
            let mut expected = by_default.iter().map(String::as_str).chain(made);
            if is_there || expected.any(|known| same_plane(known, plane)) {
                continue;
            }
            if known_planes().any(|known| same_plane(known, plane)) {
                let text = format!("{key} names {plane}, and no file's mask has that plane.");
                log.warn("mask planes", text);
                continue;
            }
            let mut there: Vec<&str> =
                files.clone().flat_map(|own| own.iter().map(|(name, _)| name)).collect();
            there.sort_unstable();
            there.dedup();
            let mut names = there.clone();
            known_planes().for_each(|known| names.push(known));
            let nearest = nearest(plane, &names);
            return Err(ConfigError::Plane {
                key: (*key).to_owned(),
                plane: (*plane).to_owned(),
                nearest: nearest.map(str::to_owned),
                there: there.join(", "),
            }
            .into());
        }
    }
    Ok(())
}

/// The name closest to `plane`, if one is similar.
fn nearest<'a>(plane: &str, names: &[&'a str]) -> Option<&'a str> {
    let plane = plane.to_ascii_uppercase();
    let distance = |name: &&str| edit_distance(&plane, &name.to_ascii_uppercase());
    let allowed = (plane.chars().count() as f64 * MISSPELT).ceil() as usize;
    names.iter().copied().min_by_key(distance).filter(|name| distance(name) < allowed.max(2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::progress::Unmonitored;

    fn file(planes: &[&str]) -> MaskPlanes {
        let mut own = MaskPlanes::new();
        for name in planes {
            own.insert(name).unwrap();
        }
        own
    }

    fn checked(change: impl FnOnce(&mut AssembleConfig), planes: &[&str]) -> Result<Vec<String>, String> {
        let mut config = AssembleConfig::default();
        change(&mut config);
        let mut log = RunLog::new(&Unmonitored);
        let files = [file(&["NO_DATA"]), file(planes)];
        check_assembling(&config, files.iter(), &mut log).map_err(|error| error.to_string())?;
        Ok(log.warnings.iter().map(|warning| warning.text.clone()).collect())
    }

    #[test]
    fn planes_of_files_synonyms_and_defaults_pass() {
        assert_eq!(checked(|_| (), &[]), Ok(vec![]), "defaults pass, whatever the files have");
        let with = |planes: &'static [&str]| {
            move |config: &mut AssembleConfig| {
                config.coadd.bad_mask_planes.extend(planes.iter().map(|plane| (*plane).to_owned()));
            }
        };
        assert_eq!(checked(with(&["SATURATED", "cosmic_ray", "CR", "INTRP"]), &[]), Ok(vec![]));
        assert_eq!(checked(with(&["MY_PLANE", "CROSSTALK"]), &["MY_PLANE", "CROSSTALK"]), Ok(vec![]));
    }

    #[test]
    fn misspelt_planes_are_refused_with_the_nearest() {
        let message = |plane: &str| {
            checked(|config| config.coadd.bad_mask_planes.push(plane.to_owned()), &["MY_PLANE"]).unwrap_err()
        };
        let text = message("SATT");
        assert!(
            text.starts_with("coadd.bad_mask_planes names SATT") && text.contains("did you mean SAT?"),
            "{text}"
        );
        assert!(text.contains("MY_PLANE, NO_DATA"), "{text}");
        assert!(message("MYPLANE").contains("did you mean MY_PLANE?"));
        assert!(!message("ZEBRA").contains("did you mean"));
        let of_others: [fn(&mut AssembleConfig); 4] = [
            |config| config.coadd.remove_mask_planes.push("EDG".into()),
            |config| config.coadd.convergence_mask_planes.push("DETECTD".into()),
            |config| {
                config.coadd.mask_propagation_thresholds.insert("SATT".into(), 0.1);
            },
            |config| config.artefacts.prefilter_mask_planes.push("SUSPCT".into()),
        ];
        for change in of_others {
            assert!(checked(change, &[]).unwrap_err().contains("did you mean"));
        }
    }

    #[test]
    fn known_planes_that_no_file_has_are_reported() {
        let warnings = checked(|config| config.coadd.bad_mask_planes.push("CROSSTALK".into()), &[]).unwrap();
        assert_eq!(warnings, ["coadd.bad_mask_planes names CROSSTALK, and no file's mask has that plane."]);
    }

    #[test]
    fn planes_of_differences_are_checked_likewise() {
        let mut config = DifferenceConfig::default();
        let mut log = RunLog::new(&Unmonitored);
        let files = [file(&[])];
        assert!(check_subtracting(&config, files.iter(), &mut log).is_ok());
        config.bad_mask_planes.push("SUSPCT".into());
        let error = check_subtracting(&config, files.iter(), &mut log).unwrap_err().to_string();
        assert!(error.contains("subtract.bad_mask_planes names SUSPCT"), "{error}");
    }
}
