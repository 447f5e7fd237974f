//! Reads a survey image: band, time, zenith, PSF and mask planes.
//!
//! ```sh
//! cargo run -p dcr-image --example read_exposure [FILE]
//! ```
//!
//! The example fails if fewer than half of the pixels can be used.
#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::error::Error;
use std::path::{Path, PathBuf};

use dcr_image::{ExposureFile, OpenOptions};
use dcr_physics::{GeometrySource, ZenithGeometry};

fn main() -> Result<(), Box<dyn Error>> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/field/warp_1001.fits");
    let path = std::env::args_os().nth(1).map_or_else(default, PathBuf::from);
    // Headers are read now, pixels when they are asked for.
    let exposure = ExposureFile::open(&path, &OpenOptions::default())?;
    let (visit, bbox) = (exposure.visit(), exposure.bbox());
    let (x, y) = bbox.centre();
    let unknown = || "unknown".to_owned();

    println!("visit      {} on {bbox}", visit.visit);
    println!("instrument {}", visit.instrument.clone().unwrap_or_else(unknown));
    println!("band       {}", visit.filter.clone().unwrap_or_else(unknown));
    let time = visit.mid_time.and_then(|time| time.utc());
    println!("time       {} UTC, {:?} s", time.unwrap_or_else(unknown), visit.exposure_s);

    let place = exposure.wcs().pixel_to_sky(x, y)?;
    let sky = ZenithGeometry::resolve(visit, GeometrySource::Auto)?.at(place);
    let zenith = exposure.wcs().zenith_direction(x, y, sky.parallactic_angle)?;
    println!("centre     RA {:.4}°, Dec {:.4}°", place.ra.degrees(), place.dec.degrees());
    println!("altitude   {:.2}°, airmass {:.3}", sky.altitude.degrees(), sky.airmass);
    println!(
        "zenith     along ({:+.3}, {:+.3}) in (x, y), {:.3}″ per pixel",
        zenith.dx, zenith.dy, zenith.arcsec_per_px
    );
    match exposure.psf() {
        Some(psf) => println!("PSF        {:.2} px FWHM", psf.fwhm_px(x, y)?),
        None => println!("PSF        {:?} px FWHM, by the header", visit.psf_fwhm_px),
    }
    for assumption in &visit.assumptions {
        println!("assumed    {}: {}", assumption.quantity, assumption.text);
    }

    let pixels = exposure.read(bbox)?;
    for (name, bit) in exposure.mask_planes().iter() {
        let count = pixels.mask.iter().filter(|mask| *mask >> bit & 1 == 1).count();
        if count > 0 {
            println!("mask       {name}: {count} pixels");
        }
    }
    let unusable = exposure.mask_planes().bits_of(["NO_DATA", "BAD", "SAT"]);
    let usable = pixels.image.iter().zip(&pixels.variance).zip(&pixels.mask);
    let usable = usable.filter(|((i, v), m)| i.is_finite() && **v > 0.0 && *m & unusable == 0).count();
    println!("usable     {:.1} % of the pixels", 100.0 * usable as f64 / bbox.area() as f64);
    if 2 * usable > bbox.area() { Ok(()) } else { Err("fewer than half of the pixels can be used".into()) }
}
