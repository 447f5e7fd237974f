//! A coadd in memory: exposures in, subfilters out, no files written.
//!
//! ```sh
//! cargo run --release -p dcr-coadd --example in_memory
//! ```
//!
//! The example fails if the flux of the brightest star is more than 5 % off the truth of the
//! simulated field.
#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use dcr_coadd::config::AssembleConfig;
use dcr_coadd::{Coadd, Exposures, Monitor, Warning, coadd};
use dcr_image::{Exposure, ExposureFile, ExposureInMemory, OpenOptions};

/// The brightest star of the field in the subfilters, from testdata/catalogue.csv: x, y, fluxes.
const STAR: (f64, f64, [f64; 3]) = (32.6, 116.4, [37_396.0, 55_611.0, 74_050.0]);

/// Prints the stages of the run, and its warnings.
struct Printer;

impl Monitor for Printer {
    fn stage(&self, name: &str, _steps: u64) {
        println!("… {name}");
    }

    fn warn(&self, warning: &Warning) {
        println!("warning about {}: {}", warning.subject, warning.text);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let field = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/field");
    let mut visits: Vec<Arc<dyn Exposure>> = vec![];
    for number in 1001..=1010 {
        let file = ExposureFile::open(&field.join(format!("warp_{number}.fits")), &OpenOptions::default())?;
        // A pipeline fills this struct from arrays of its own, or implements the trait `Exposure`.
        visits.push(Arc::new(ExposureInMemory::of(&file).map_err(|error| error.to_string())?));
    }
    let coadds = coadd(&Exposures::from(visits), &AssembleConfig::default(), &Printer)?;

    println!(
        "\n{:?} solver on {}, unit {}",
        coadds.summary.configuration.solver.method, coadds.bbox, coadds.unit
    );
    for visit in &coadds.summary.visits {
        let [dx, dy] = visit.shifts_px[0];
        println!(
            "visit {}: airmass {:.2}, blue light at ({dx:+.2}, {dy:+.2}) px",
            visit.visit, visit.airmass
        );
    }

    println!("\nsubfilter       star's flux      truth    median error");
    let mut worst: f64 = 0.0;
    for (coadd, truth) in coadds.subfilters.iter().zip(STAR.2) {
        let flux = star_flux(coadd);
        let mut errors: Vec<f32> =
            coadd.variance.iter().map(|v| v.sqrt()).filter(|v| v.is_finite()).collect();
        errors.sort_by(f32::total_cmp);
        let (lo, hi) = (coadd.range.lo.nm(), coadd.range.hi.nm());
        println!("{lo:.0} to {hi:.0} nm {flux:14.0} {truth:10.0} {:15.2}", errors[errors.len() / 2]);
        worst = worst.max((flux / truth - 1.0).abs());
    }
    let total: f64 = STAR.2.iter().sum();
    println!("sum           {:14.0} {total:10.0}", star_flux(&coadds.sum));
    println!("mean of visits{:14.0} {total:10.0}", star_flux(&coadds.plain));
    if worst < 0.05 { Ok(()) } else { Err("a flux of the star is more than 5 % off".into()) }
}

/// Flux of the star within 12 px.
fn star_flux(coadd: &Coadd) -> f64 {
    let near = |(y, x): (usize, usize)| (x as f64 - STAR.0).hypot(y as f64 - STAR.1) < 12.0;
    coadd.image.indexed_iter().filter(|(at, _)| near(*at)).map(|(_, flux)| f64::from(*flux)).sum()
}
