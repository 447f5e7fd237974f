//! Templates for exposures that the coadd has not seen, and what they leave of these.
//!
//! ```sh
//! cargo run --release -p dcr-difference --example template [RUN]
//! ```
//!
//! RUN is the folder of a run of `dcr assemble` on testdata/field; without one the field is
//! coadded in memory. The example fails if a template leaves more than 1.1 times the noise.
#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dcr_coadd::config::{AssembleConfig, TemplateConfig};
use dcr_coadd::model::Model;
use dcr_coadd::{Unmonitored, coadd};
use dcr_difference::template;
use dcr_image::{Exposure, ExposureFile, MaskedImage, OpenOptions};
use ndarray::Array2;

fn main() -> Result<(), Box<dyn Error>> {
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata");
    let (model, standard) = match std::env::args_os().nth(1).map(PathBuf::from) {
        Some(run) => {
            let plain = ExposureFile::open(&run.join("plain.fits"), &OpenOptions::of_run())?;
            (Model::open(&run)?, plain.read(plain.bbox())?.image)
        }
        None => {
            let numbers = 1001..=1010;
            let visits: Result<Vec<_>, _> =
                numbers.map(|visit| open(&testdata.join(format!("field/warp_{visit}.fits")))).collect();
            let coadds = coadd(&visits?.into(), &AssembleConfig::default(), &Unmonitored)?;
            (coadds.model, coadds.plain.image)
        }
    };

    println!("rms of exposure minus template on sources, in σ of the exposure");
    println!("visit   airmass   no template   standard coadd   matched template");
    let mut worst: f64 = 0.0;
    for visit in [5001, 5002] {
        let exposure = open(&testdata.join(format!("heldout/warp_{visit}.fits")))?;
        let matched = template(&model, &exposure, &TemplateConfig::default())?;
        let pixels = exposure.read(exposure.bbox()).map_err(|error| error.to_string())?;
        let sources = exposure.mask_planes().bits_of(["DETECTED"]);
        let nothing = Array2::zeros(pixels.image.dim());
        let [none, plain, matched_rms] = [&nothing, &standard, &matched.pixels.image]
            .map(|subtracted| residual_rms(&pixels, sources, subtracted));
        println!("{visit} {:9.2} {none:13.1} {plain:16.2} {matched_rms:18.2}", matched.airmass);
        worst = worst.max(matched_rms);
    }
    if worst < 1.1 { Ok(()) } else { Err("a template leaves more than 1.1 times the noise".into()) }
}

fn open(path: &Path) -> Result<Arc<dyn Exposure>, Box<dyn Error>> {
    Ok(Arc::new(ExposureFile::open(path, &OpenOptions::default())?))
}

/// Rms of the difference over its noise, on the pixels with one of the mask bits `sources`.
fn residual_rms(exposure: &MaskedImage, sources: i32, subtracted: &Array2<f32>) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for ((at, value), variance) in exposure.image.indexed_iter().zip(&exposure.variance) {
        let squared = (f64::from(value - subtracted[at])).powi(2) / f64::from(*variance);
        if exposure.mask[at] & sources != 0 && squared.is_finite() {
            sum += squared;
            count += 1.0;
        }
    }
    f64::sqrt(sum / count)
}
