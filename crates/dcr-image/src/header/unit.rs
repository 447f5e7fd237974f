//! Units of pixel values: synonymous spellings, and units that are not a flux.
//!
//! Spellings of one unit differ: `adu`, `ADU`, `DN`, `counts`; `electron/s`, `e-/s`, `e s-1`. Units
//! are compared by a canonical spelling; a coadd keeps the spelling of its first exposure. Case is
//! ignored, except for the prefix of Jy, where `mJy` and `MJy` differ.

/// Kind of a unit of pixel values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitKind {
    /// Counts or electrons of the whole exposure: they grow with the exposure time.
    Counts,
    /// Counts or electrons per second.
    CountRate,
    /// Flux per solid angle: proportional to flux for pixels of equal size.
    SurfaceBrightness,
    /// Magnitudes, logarithms and asinh: sums of such pixels are meaningless.
    NotFlux,
    /// A flux, or an unknown unit.
    Flux,
}

/// Words for scales that are not proportional to flux.
const NOT_FLUX: [&str; 17] = [
    "mag",
    "mags",
    "magnitude",
    "magnitudes",
    "abmag",
    "stmag",
    "vegamag",
    "log",
    "log10",
    "ln",
    "dex",
    "db",
    "asinh",
    "arcsinh",
    "luptitude",
    "luptitudes",
    "asinhmag",
];

/// Spellings of one unit, the canonical one first. "DN" and "counts" mean the "adu" of a detector.
const SYNONYMS: [&[&str]; 6] = [
    &["adu", "adus", "dn", "dns", "count", "counts", "ct", "cts", "cnts", "analogtodigitalunit"],
    &["electron", "electrons", "e-", "e", "el", "elec", "photoelectron", "photoelectrons"],
    &["njy", "nanojansky", "nanojanskys", "nanojanskies"],
    &["ujy", "µjy", "μjy", "microjy", "microjansky", "microjanskys"],
    &["nanomaggy", "nanomaggies", "nanomaggys", "nmgy", "nmaggy", "nanomgy"],
    &["jy", "jansky", "janskys"],
];

/// Spellings of "per second" at the end of a unit, longest first.
const PER_SECOND: [&str; 16] = [
    "/seconds",
    "/second",
    "*s**-1",
    "*s^-1",
    ".s**-1",
    ".s^-1",
    "s**-1",
    "s^(-1)",
    "s^-1",
    "s**(-1)",
    "*s-1",
    ".s-1",
    "/sec",
    "s-1",
    "/s",
    "persecond",
];

/// Whether two units are synonymous.
///
/// ```
/// use dcr_image::header::unit::same;
/// assert!(same("adu", "ADU") && same("e-/s", "electron s-1") && same("nJy", "nanojansky"));
/// assert!(!same("adu", "electron") && !same("adu", "adu/s") && !same("mJy", "MJy"));
/// ```
#[must_use]
pub fn same(a: &str, b: &str) -> bool {
    a == b || canonical(a) == canonical(b)
}

/// Kind of a unit of pixel values.
#[must_use]
pub fn kind(unit: &str) -> UnitKind {
    let lower = unit.to_lowercase();
    let mut words = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    if words.any(|word| NOT_FLUX.contains(&word)) {
        return UnitKind::NotFlux;
    }
    match canonical(unit).as_str() {
        "adu" | "electron" => UnitKind::Counts,
        "adu/s" | "electron/s" => UnitKind::CountRate,
        other if per_solid_angle(other) => UnitKind::SurfaceBrightness,
        _ => UnitKind::Flux,
    }
}

fn per_solid_angle(canonical: &str) -> bool {
    [
        "/sr",
        "sr-1",
        "sr^-1",
        "sr**-1",
        "/arcsec2",
        "/arcsec^2",
        "/arcsec**2",
        "arcsec-2",
        "arcsec^-2",
        "/sqarcsec",
    ]
    .iter()
    .any(|ending| canonical.ends_with(ending))
}

/// Canonical spelling: lower case, no blanks, synonyms replaced, `/s` for "per second".
fn canonical(unit: &str) -> String {
    let trimmed = unit.trim().trim_matches(['[', ']', '(', ')', '\'']);
    // The case of this prefix is a factor of 1e9.
    let mega = trimmed.starts_with("MJy");
    let compact: String = trimmed.to_lowercase().chars().filter(|c| !c.is_whitespace()).collect();
    if mega {
        return compact.replacen("mjy", "megajy", 1);
    }
    if compact == "cps" {
        return "adu/s".to_owned();
    }
    let ending = PER_SECOND.iter().find(|ending| compact.len() > ending.len() && compact.ends_with(**ending));
    let (base, per_second) = match ending {
        Some(ending) => (&compact[..compact.len() - ending.len()], "/s"),
        None => (compact.as_str(), ""),
    };
    let known = |base: &str| SYNONYMS.iter().find(|names| names.contains(&base)).map(|names| names[0]);
    // Some writers add the reference: "counts/pixel", "electron/pix".
    let bare = base.trim_end_matches("/pixel").trim_end_matches("/pix");
    match known(bare) {
        Some(name) => format!("{name}{per_second}"),
        // The s at the end of "counts" is not "per second".
        None => compact,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_unit_are_one() {
        for group in [
            &["adu", "ADU", "Adu", "ADUs", "DN", "dn", "count", "Counts", "COUNTS", "adu ", "counts/pixel"][..],
            &["electron", "electrons", "e-", "E-", "ELECTRONS"][..],
            &["electron/s", "e-/s", "electrons/s", "e-/sec", "electron s-1", "electron s**-1", "e/second"][..],
            &["adu/s", "DN/s", "counts/s", "cps", "ADU/sec", "count s^-1"][..],
            &["nJy", "NJY", "nanoJansky"][..],
            &["nanomaggy", "nanomaggies", "nmgy"][..],
            &["erg/s/cm2", "ERG/S/CM2"][..],
        ] {
            for unit in group {
                assert!(same(group[0], unit), "{} {unit}", group[0]);
            }
        }
        let different =
            ["adu", "electron", "adu/s", "electron/s", "nJy", "uJy", "mJy", "MJy", "Jy", "nanomaggy"];
        for (i, a) in different.iter().enumerate() {
            for b in &different[i + 1..] {
                assert!(!same(a, b), "{a} {b}");
            }
        }
    }

    #[test]
    fn kinds_of_units() {
        for unit in ["adu", "DN", "electrons", "counts"] {
            assert_eq!(kind(unit), UnitKind::Counts, "{unit}");
        }
        for unit in ["adu/s", "e-/s", "cps", "electron s-1"] {
            assert_eq!(kind(unit), UnitKind::CountRate, "{unit}");
        }
        for unit in
            ["mag", "MAG", "mag/arcsec2", "mag arcsec**-2", "log(Jy)", "log10(counts)", "dex", "asinh mag"]
        {
            assert_eq!(kind(unit), UnitKind::NotFlux, "{unit}");
        }
        for unit in ["MJy/sr", "nJy/arcsec2", "Jy sr-1"] {
            assert_eq!(kind(unit), UnitKind::SurfaceBrightness, "{unit}");
        }
        for unit in ["nJy", "nanomaggy", "maggies", "erg/s/cm2/A", ""] {
            assert_eq!(kind(unit), UnitKind::Flux, "{unit}");
        }
    }
}
