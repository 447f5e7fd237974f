//! `cargo xtask testdata`: the synthetic field in `testdata/`, drawn by `dcr-sim`.
//!
//! | file | what |
//! |---|---|
//! | `field/warp_<visit>.fits` | ten visits in g, airmass 1 to 2 on both sides of the meridian, +y at 25°, East left |
//! | `heldout/warp_<visit>.fits` | two more, to be predicted |
//! | `truth.fits` | the noiseless sky in three and five subfilters, blue to red, at the visits' seeing |
//! | `catalogue.csv` | the sources: place, form, spectrum, flux in each of 2, 3 and 5 subfilters |
//! | `field.json` | the settings it was all drawn from |
//!
//! The files are the same, byte for byte, on every machine: `--check`, and a test, redraw and
//! compare.

mod cards;
mod catalogue;
mod fits;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use dcr_sim::{ArtefactSettings, Field, FieldConfig, SourceSettings, VisitPlan};

/// Subfilter counts in `truth.fits`. The sky in two subfilters is not included, but the catalogue
/// has the fluxes.
const TRUTH_COUNTS: [usize; 2] = [3, 5];

/// Settings of the field: the defaults of `dcr-sim`, slightly smaller, to stay below 5 MB.
fn config() -> FieldConfig {
    let sources = SourceSettings { stars: 38, galaxies: 7, ..SourceSettings::default() };
    FieldConfig { seed: 20, width: 144, height: 144, sources, ..FieldConfig::default() }
}

/// `testdata/` of this workspace.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata")
}

/// Draws all files and writes them to `folder`.
pub(crate) fn write(folder: &Path) -> Result<()> {
    for (name, bytes) in draw()? {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        }
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Draws a large field visit by visit into `folder`, to measure speed and memory, with the source
/// density of `testdata/`. Two held-out visits without artefacts are in `folder/heldout`.
pub(crate) fn write_large(folder: &Path, side: usize, visits: usize, troubled: bool) -> Result<()> {
    let mut config = config();
    let denser = (side * side) as f64 / (config.width * config.height) as f64;
    config.sources.stars = (config.sources.stars as f64 * denser).round() as usize;
    config.sources.galaxies = (config.sources.galaxies as f64 * denser).round() as usize;
    (config.width, config.height) = (side, side);
    config.visits.count = visits;
    if troubled {
        (config.visits.seeing_arcsec, config.visits.seeing_exponent) = ([0.6, 1.3], -0.2);
    }
    let clean = Field::draw(&config)?;
    let artefacts = ArtefactSettings { saturated_flux_electrons: 0.0, ..ArtefactSettings::default() };
    let field = Field::draw(&FieldConfig { artefacts: troubled.then_some(artefacts), ..config })?;
    let held_out = folder.join("heldout");
    fs::create_dir_all(&held_out).with_context(|| format!("cannot make {}", held_out.display()))?;
    for (field, folder, plans) in [(&field, folder, field.visits()), (&clean, &*held_out, clean.held_out())] {
        for plan in plans {
            let path = folder.join(format!("warp_{}.fits", plan.info.visit));
            fs::write(&path, exposure_file(field, plan)?)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(())
}

/// Draws all files and compares them with those in `folder`.
///
/// # Errors
///
/// Names the files that differ, are missing or are superfluous, and for a FITS file the first card
/// or pixel that differs.
pub(crate) fn check(folder: &Path) -> Result<()> {
    let drawn = draw()?;
    let mut problems = Vec::new();
    for (name, bytes) in &drawn {
        let path = folder.join(name);
        match fs::read(&path) {
            Err(error) => problems.push(format!("{}: {error}", path.display())),
            Ok(there) if there == *bytes => {}
            Ok(there) => {
                problems.push(format!("{}: {}", path.display(), fits::first_difference(&there, bytes)))
            }
        }
    }
    for stray in ["field", "heldout"].into_iter().flat_map(|part| fits_files(folder, part)) {
        if !drawn.contains_key(&stray) {
            problems.push(format!("{}: not one of the files drawn", folder.join(stray).display()));
        }
    }
    if !problems.is_empty() {
        bail!("`cargo xtask testdata` would change\n  {}", problems.join("\n  "));
    }
    Ok(())
}

/// FITS files in `folder/part`, relative to `folder`; empty if unreadable.
fn fits_files(folder: &Path, part: &str) -> Vec<String> {
    let entries = fs::read_dir(folder.join(part)).into_iter().flatten().flatten();
    let names = entries.map(|entry| format!("{part}/{}", entry.file_name().to_string_lossy()));
    names.filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "fits")).collect()
}

/// All files, by name.
fn draw() -> Result<BTreeMap<String, Vec<u8>>> {
    let config = config();
    let field = Field::draw(&config)?;
    let mut files = BTreeMap::new();
    for (part, plans) in [("field", field.visits()), ("heldout", field.held_out())] {
        for plan in plans {
            let name = format!("{part}/warp_{}.fits", plan.info.visit);
            files.insert(name, exposure_file(&field, plan)?);
        }
    }
    files.insert("truth.fits".to_owned(), truth_file(&field));
    files.insert("catalogue.csv".to_owned(), catalogue::table(&field).into_bytes());
    files.insert("field.json".to_owned(), (serde_json::to_string_pretty(&config)? + "\n").into_bytes());
    Ok(files)
}

/// An exposure as a FITS file: IMAGE, MASK, VARIANCE and PSF.
fn exposure_file(field: &Field, plan: &VisitPlan) -> Result<Vec<u8>> {
    let visit = field.expose(plan)?;
    let wcs = cards::wcs(field);
    let image_cards = [wcs.clone(), cards::unit()].concat();
    let mask_cards = [wcs.clone(), cards::mask_planes(&visit.planes)].concat();
    let mut file = fits::File::new(&cards::visit(field, plan));
    let exposure = &visit.exposure;
    file.image("IMAGE", &image_cards, exposure.image.shape(), fits::floats(&exposure.image));
    file.mask("MASK", &mask_cards, exposure.mask.shape(), fits::integers(&exposure.mask));
    file.image("VARIANCE", &wcs, exposure.variance.shape(), fits::floats(&exposure.variance));
    file.image("PSF", &[], visit.psf.shape(), fits::floats(&visit.psf));
    Ok(file.into_bytes())
}

/// The noiseless sky as cubes SUBFILTERS3 and SUBFILTERS5.
fn truth_file(field: &Field) -> Vec<u8> {
    let config = field.config();
    let fwhm = config.visits.seeing_arcsec[0];
    let mut file = fits::File::new(&cards::truth(field, fwhm));
    for n in TRUTH_COUNTS {
        let planes = field.truth_subfilters(n, fwhm);
        let data = planes.iter().flat_map(|plane| fits::floats(&plane.mapv(|v| v as f32))).collect();
        let header = [cards::wcs(field), cards::unit()].concat();
        file.image(&format!("SUBFILTERS{n}"), &header, &[n, config.height, config.width], data);
    }
    file.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn testdata_is_what_is_drawn() {
        check(&folder()).unwrap();
    }

    #[test]
    fn testdata_stays_small() {
        let bytes: usize = draw().unwrap().values().map(Vec::len).sum();
        assert!(bytes < 5_000_000, "{bytes}");
    }

    #[test]
    fn check_names_what_differs() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path()).unwrap();
        check(folder.path()).unwrap();
        let warp = folder.path().join("field/warp_1003.fits");
        let mut bytes = fs::read(&warp).unwrap();
        // Behind two headers of one block each: the second pixel of the fourth row of the image.
        let pixel = 2 * 2880 + 4 * (3 * config().width + 1);
        bytes[pixel] ^= 1;
        fs::write(&warp, bytes).unwrap();
        fs::write(folder.path().join("field/warp_9.fits"), b"").unwrap();
        fs::remove_file(folder.path().join("truth.fits")).unwrap();
        let message = check(folder.path()).unwrap_err().to_string();
        for part in ["warp_1003.fits: IMAGE, pixel (1, 3) differs", "warp_9.fits: not one", "truth.fits"] {
            assert!(message.contains(part), "{message}");
        }
    }
}
