//! One step of the solver, from a given model, against the reference's (golden/step_order1,
//! golden/step_order3).

use std::path::Path;

use dcr_image::fits::{ExposureFile, OpenOptions};
use dcr_physics::{Angle, Band, RefractionModel, VisitInfo, Wavelength, subfilter_dispersion};
use dcr_solver::iterative::{Gain, Interpolation, IterativeConfig, Problem, solve_regions_from};
use dcr_solver::kernel::{Order, Region};
use dcr_solver::{DETECTED, GOOD, InMemory, SpectralBasis, SubfilterShift, Visit};
use ndarray::{Array2, Array3, Axis, s};
use ndarray_npy::NpzReader;

use crate::inputs::golden;

/// One iteration over the model's peak (by the golden files).
const STEP: f32 = 3e-6;

struct Warp {
    image: Array2<f32>,
    flags: Array2<u8>,
    bad: Array2<bool>,
    visit: VisitInfo,
}

fn read(path: &Path) -> Warp {
    let file = ExposureFile::open(path, &OpenOptions::default()).unwrap();
    let pixels = file.read(file.bbox()).unwrap();
    let planes = file.mask_planes();
    let (bad, detected) = (planes.bits_of(["BAD", "SAT", "NO_DATA"]), planes.bits_of(["DETECTED"]));
    let flag = |m: i32| (u8::from(m & bad == 0) * GOOD) | (u8::from(m & detected != 0) * DETECTED);
    let flags = pixels.mask.mapv(flag);
    Warp { image: pixels.image, flags, bad: pixels.mask.mapv(|m| m & bad != 0), visit: file.visit().clone() }
}

/// The reference's displacements in g, 405 to 552 nm, in three subfilters.
fn shifts(visit: &VisitInfo, band: &Band) -> Vec<SubfilterShift> {
    let site = visit.site.unwrap();
    let weather = visit.weather.complete(site.elevation_m).0;
    let air = RefractionModel::Reference.at(&site, &weather);
    let grid = band.wavelength_grid(3).unwrap();
    let dispersion =
        subfilter_dispersion(&grid, air.as_ref(), visit.altitude.unwrap(), band.effective()).unwrap();
    let (parallactic, rotator) = (visit.parallactic_angle.unwrap(), visit.rotator_angle.unwrap());
    let direction = Angle::from_radians(parallactic.radians() - rotator.radians());
    dcr_coadd::geometry::shifts::reference_shifts(
        &dispersion,
        direction,
        0.2,
        dcr_coadd::geometry::shifts::Split::From(0.1),
    )
}

#[test]
fn one_step_follows_the_reference() {
    let folder = golden();
    let band = Band::new("g", Wavelength::from_nm(476.31), 147.0).unwrap();
    for (name, order) in [("step_order1", Order::LINEAR), ("step_order3", Order::CUBIC)] {
        let mut golden =
            NpzReader::new(std::fs::File::open(folder.join(format!("{name}.npz"))).unwrap()).unwrap();
        let model: Array3<f32> = golden.by_name("model_in").unwrap();
        let artefact: Array2<bool> = golden.by_name("artifact").unwrap();
        let template = read(&folder.join("run_small/template.fits"));
        let visit = |i: usize| {
            let mut warp = read(&folder.join(format!("run_small/warp_{}.fits", 1000 + i)));
            // The fourth visit's artefact is NO_DATA; the third's is CLIPPED, which counts as data.
            if i == 3 {
                warp.flags.zip_mut_with(&artefact, |f, a| *f = if *a { *f & !GOOD } else { *f });
            }
            let shifts = shifts(&warp.visit, &band);
            Visit { image: warp.image, flags: warp.flags, weight: 1.0, shifts }
        };
        let observations = InMemory { visits: (0..8).map(visit).collect() };
        let detected = template.flags.mapv(|f| f & DETECTED != 0);
        let (cells, basis) = ([Region::whole(template.image.dim())], SpectralBasis::constant(3));
        let problem = Problem {
            observations: &observations,
            cells: &cells,
            basis: &basis,
            fractions: &[1.0 / 3.0; 3],
            template: template.image.view(),
            detected: detected.view(),
            bad: template.bad.view(),
        };
        // One iteration with gain 0.5: any improvement is too little to go on.
        let config = IterativeConfig {
            order: Interpolation::Spline(order),
            gain: Gain::Fixed,
            base_gain: Some(0.5),
            min_iterations: Some(0),
            convergence_threshold: 1e9,
            ..IterativeConfig::reference()
        };
        let region = (Region { rows: 40..80, cols: 0..96 }, Region { rows: 37..80, cols: 0..96 });
        let solution =
            solve_regions_from(&problem, &config, &[region], Some(model.view()), &mut |_, _, _| true)
                .unwrap();
        assert_eq!(solution.reports[0].iterations.len(), 1);

        let n_image: Array3<u16> = golden.by_name("nImage_art").unwrap();
        assert_eq!(solution.n_image_byx, n_image, "{name}: n_image");
        let weights: Array3<f32> = golden.by_name("weights_art").unwrap();
        let off =
            solution.inverse_weight_byx.iter().zip(&weights).fold(0.0_f32, |m, (a, b)| m.max((a - b).abs()));
        assert!(off < STEP, "{name}: weights off by {off:e}");

        // The written planes have their contrast amplified three times; undo it to compare.
        let mean = solution.model_byx.mean_axis(Axis(0)).unwrap();
        let got = (&solution.model_byx - &mean) / 3.0 + &mean;
        let expected: Array3<f32> = golden.by_name("model_out").unwrap();
        let (got, expected) = (got.slice(s![.., 40..80, ..]), expected.slice(s![.., 3.., ..]));
        let peak = expected.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
        let worst = got.iter().zip(expected).fold(0.0_f32, |m, (a, b)| m.max((a - b).abs())) / peak;
        assert!(worst < STEP, "{name}: model off by {worst:e} of the peak");
    }
}
