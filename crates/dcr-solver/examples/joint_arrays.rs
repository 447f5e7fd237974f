//! A joint solve on arrays: fluxes of stars in three subfilters, against the truth.
//!
//! ```sh
//! cargo run --release -p dcr-solver --example joint_arrays
//! ```
//!
//! The example fails if a star's flux in a subfilter is more than 5 % off.
#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::error::Error;

use dcr_solver::joint::{
    JointConfig, JointInMemory, JointProblem, JointVisit, Noise, PsfStamp, Spectrum, solve_joint,
};
use dcr_solver::{GOOD, PixelShift};
use ndarray::Array2;

const SIDE: usize = 96;
/// Photons in twelve wavelengths from blue to red, four in each of three subfilters.
type Star = (f64, f64, [f64; 12]);

fn main() -> Result<(), Box<dyn Error>> {
    let wavelengths: Vec<f64> = (0..12).map(|l| 406.25 + 12.5 * f64::from(l)).collect();
    let subfilters: Vec<usize> = (0..12).map(|l| l / 4).collect();
    let spectrum = Spectrum::new(&wavelengths, &[1.0; 12], &subfilters, 475.0)?;
    // A blue, a red and a flat star: x, y, flux and slope of the spectrum.
    let stars: [Star; 3] = [(24.3, 25.1, 1e5, -0.8), (70.8, 40.6, 2e5, 0.7), (26.2, 71.4, 5e4, 0.0)].map(
        |(x, y, flux, slope): (f64, f64, f64, f64)| {
            let photons = |l: usize| flux / 12.0 * (1.0 + slope * (wavelengths[l] - 475.0) / 75.0);
            (x, y, std::array::from_fn(photons))
        },
    );

    // Eight visits on all sides of the zenith, each with its own seeing.
    let mut visits = JointInMemory::default();
    for i in (0..8).map(f64::from) {
        let (strength, angle, fwhm) = (0.2 + 0.3 * i, i, 3.6 + 0.1 * i);
        let refracted = |wavelength: &f64| {
            let lift = 2.0 * strength * ((475.0 / wavelength).powi(2) - 1.0);
            PixelShift { dy: lift * angle.sin(), dx: lift * angle.cos() }
        };
        let displacements: Vec<PixelShift> = wavelengths.iter().map(refracted).collect();
        visits.visits.push(JointVisit {
            image: drawn(&stars, &displacements, fwhm),
            flags: Array2::from_elem((SIDE, SIDE), GOOD),
            noise: Noise { sky_variance: 25.0, shot: 0.0 },
            psf: PsfStamp::gaussian(fwhm)?,
            displacements,
        });
    }

    let problem = JointProblem { visits: &visits, shape: (SIDE, SIDE), spectrum: &spectrum, fiducial: None };
    let solution = solve_joint(&problem, &JointConfig::default(), &mut |_, _| true)?;

    println!("{:?}\nstar at         subfilter    true   found      off", solution.report.outcome);
    let mut worst: f64 = 0.0;
    for (x, y, photons) in &stars {
        for (a, plane) in solution.patch_planes().outer_iter().enumerate() {
            let truth: f64 = photons[4 * a..4 * a + 4].iter().sum();
            let near = |row: usize, col: usize| (col as f64 - x).hypot(row as f64 - y) < 12.0;
            let light = plane.indexed_iter().filter(|((row, col), _)| near(*row, *col));
            let found: f64 = light.map(|(_, flux)| f64::from(*flux)).sum();
            let off = found / truth - 1.0;
            println!("({x:.1}, {y:.1}) {a:12} {truth:9.0} {found:7.0} {:+6.1} %", 100.0 * off);
            worst = worst.max(off.abs());
        }
    }
    if worst < 0.05 { Ok(()) } else { Err("a flux is more than 5 % off".into()) }
}

/// The stars in one visit: for each wavelength a displaced Gaussian.
fn drawn(stars: &[Star], displacements: &[PixelShift], fwhm: f64) -> Array2<f32> {
    let variance = (fwhm / 2.354_82).powi(2);
    Array2::from_shape_fn((SIDE, SIDE), |(row, col)| {
        let light = |(x, y, photons): &Star| -> f64 {
            let gaussian = |(photons, d): (&f64, &PixelShift)| {
                let r2 = (col as f64 - x - d.dx).powi(2) + (row as f64 - y - d.dy).powi(2);
                photons * (-0.5 * r2 / variance).exp() / (std::f64::consts::TAU * variance)
            };
            photons.iter().zip(displacements).map(gaussian).sum()
        };
        stars.iter().map(light).sum::<f64>() as f32
    })
}
