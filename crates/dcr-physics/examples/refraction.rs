//! Refraction of a star: by wavelength, altitude and weather, in mas; and dispersion across g.
//!
//! ```sh
//! cargo run -p dcr-physics --example refraction
//! ```
//!
//! The example fails if the dispersion is more than 1 mas off the refraction integral through a
//! model atmosphere, which shares only the refractive index of the air with the formula.
#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::error::Error;

use dcr_physics::{
    Angle, Band, RayIntegral, Refraction, RefractionModel, Site, StoneOwens, Wavelength, Weather,
    subfilter_dispersion,
};

const NIGHTS: [(&str, Weather); 3] = [
    ("mild", Weather { temperature_c: 10.0, pressure_pa: 74_300.0, humidity_percent: 30.0 }),
    ("cold and dry", Weather { temperature_c: -5.0, pressure_pa: 74_300.0, humidity_percent: 5.0 }),
    ("humid", Weather { temperature_c: 10.0, pressure_pa: 74_300.0, humidity_percent: 90.0 }),
];

fn main() -> Result<(), Box<dyn Error>> {
    let site = Site {
        latitude: Angle::from_degrees(-30.24),
        longitude: Angle::from_degrees(-70.75),
        elevation_m: 2663.0,
    };
    let g = Band::builtin("lsst-g").ok_or("there is no such band")?;
    let (blue, red) = (g.range().lo, g.range().hi);
    let mut worst_mas: f64 = 0.0;
    for (night, weather) in NIGHTS {
        let air = RefractionModel::StoneOwens.at(&site, &weather);
        let integral = RayIntegral::new(StoneOwens::new(), &site, &weather);
        println!("A {night} night on Cerro Pachón: refraction in mas");
        println!("altitude    400 nm    475 nm    550 nm   across g   integral");
        for altitude_deg in [75.0, 60.0, 45.0, 30.0] {
            let altitude = Angle::from_degrees(altitude_deg);
            print!("{altitude_deg:7.0}°");
            for nm in [400.0, 475.0, 550.0] {
                print!("{:10.0}", mas(air.refraction(Wavelength::from_nm(nm), altitude)?));
            }
            let across = mas(air.differential(blue, red, altitude)?);
            let expected = mas(integral.differential(blue, red, altitude)?);
            println!("{across:11.1}{expected:11.1}");
            worst_mas = worst_mas.max((across - expected).abs());
        }
        println!();
    }

    println!(
        "Subfilters of g at 45° on the mild night, towards the zenith from {:.0} nm:",
        g.effective().nm()
    );
    let air = RefractionModel::StoneOwens.at(&site, &NIGHTS[0].1);
    let grid = g.wavelength_grid(3)?;
    let subfilters = subfilter_dispersion(&grid, air.as_ref(), Angle::from_degrees(45.0), g.effective())?;
    for (range, dispersion) in grid.subfilters().iter().zip(&subfilters) {
        let (lo, hi) = (range.lo.nm(), range.hi.nm());
        println!("{lo:5.0} to {hi:.0} nm: {:+6.1} ± {:.1} mas", mas(dispersion.mean), mas(dispersion.spread));
    }

    println!("\nLargest difference from the refraction integral: {worst_mas:.2} mas");
    if worst_mas < 1.0 { Ok(()) } else { Err("the dispersion is more than 1 mas off the integral".into()) }
}

fn mas(angle: Angle) -> f64 {
    1000.0 * angle.arcsec()
}
