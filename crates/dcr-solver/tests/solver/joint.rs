//! The joint solver through its public interface, on fields drawn in closed form.

use dcr_solver::PixelShift;
use dcr_solver::joint::{
    JointConfig, JointError, JointInMemory, JointModel, JointNoise, JointProblem, JointSolution,
    PsfIncludesDcr, PsfStamp, TemplatePsf, TemplateWanted, joint_template, solve_joint,
};
use dcr_solver::kernel::Region;
use ndarray::{Array2, Axis, s};

use crate::joint_field::*;

fn worst_over_peak(a: &JointSolution, b: &JointSolution) -> f64 {
    let peak = a.patch_planes().iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    let difference = &a.patch_planes() - &b.patch_planes();
    f64::from(difference.iter().fold(0.0_f32, |m, v| m.max(v.abs())) / peak)
}

#[test]
fn joint_recovers_fluxes_and_colours_at_every_seeing() {
    for n in [2, 3] {
        let solution = solve(&field(n), n, &config());
        assert_eq!(solution.fiducial_visit, Some(0));
        for star in stars().iter().filter(|s| s.flux > 1000.0) {
            let (got, expected) = (measure(&solution, star), fluxes(star, n));
            let ratio = got.iter().sum::<f64>() / star.flux;
            assert!((ratio - 1.0).abs() < TOTAL_FLUX, "n = {n}, {star:?}: {ratio}");
            let error = colour(&got) - colour(&expected);
            assert!(error.abs() < COLOUR, "n = {n}, {star:?}: {error} mag");
        }
        assert!(solution.identifiability.warning().is_none(), "{:?}", solution.identifiability.colour_error);
        for visit in &solution.visits {
            assert!(visit.chi2 > 0.6 && visit.chi2 < 1.05 && visit.clipped < 20, "{visit:?}");
            assert!(visit.offset.max_component() < OFFSET, "{visit:?}");
        }
    }
}

#[test]
fn joint_chromatic_seeing_changes_colours_little_and_no_total() {
    let with = solve(&field(3), 3, &JointConfig::default());
    for star in stars().iter().filter(|s| s.flux > 1000.0) {
        let got = measure(&with, star);
        assert!((got.iter().sum::<f64>() / star.flux - 1.0).abs() < 2.0 * TOTAL_FLUX);
        assert!((colour(&got) - colour(&fluxes(star, 3))).abs() < 2.0 * COLOUR);
    }
}

#[test]
fn joint_one_subfilter_is_the_matched_weighted_coadd() {
    // Visits of one seeing without refraction: the model is their weighted mean, except for the
    // highest frequencies and the floor of 1e-4.
    let sigmas = [1.0, 2.0, 0.5];
    let views = sigmas.map(|sigma| View { fwhm: 4.0, refraction: (0.0, 0.0), offset: (0.0, 0.0), sigma });
    let clean = draw(SHAPE, &stars(), &views[0]);
    let factors = [1.0, 1.02, 0.97];
    let visits = views
        .iter()
        .zip(factors)
        .map(|(view, factor)| {
            let mut visit = visit(SHAPE, &stars(), 1, view, 1);
            visit.image = clean.mapv(|v| (v * factor) as f32);
            visit
        })
        .collect();
    let config = JointConfig { clip_rounds: vec![], calibration_passes: 0, ..config() };
    let solution = solve(&JointInMemory { visits }, 1, &config);
    let weights: Vec<f64> = sigmas.iter().map(|s| 1.0 / (s * s)).collect();
    let mean = weights.iter().zip(factors).map(|(w, f)| w * f).sum::<f64>() / weights.iter().sum::<f64>();
    let peak = clean.iter().copied().fold(0.0, f64::max);
    for ((y, x), expected) in clean.indexed_iter() {
        let got = f64::from(solution.patch_planes()[[0, y, x]]);
        assert!((got - mean * expected).abs() < 3e-4 * peak, "{y} {x}: {got} {}", mean * expected);
    }
}

#[test]
fn joint_identical_geometry_leaves_colours_to_the_prior_and_says_so() {
    let view = View { fwhm: 3.5, refraction: (1.0, 0.5), offset: (0.0, 0.0), sigma: 1.0 };
    let visits = (1..=3).map(|seed| visit(SHAPE, &stars(), 3, &view, seed)).collect();
    let solution = solve(&JointInMemory { visits }, 3, &config());
    assert!(solution.planes_ayx.iter().all(|v| v.is_finite()));
    for star in stars() {
        let got = measure(&solution, &star);
        let total: f64 = got.iter().sum();
        assert!((total / star.flux - 1.0).abs() < TOTAL_FLUX.max(40.0 / star.flux), "{star:?}: {got:?}");
        assert!(got.iter().all(|f| (3.0 * f / total - 1.0).abs() < 0.01), "flat: {star:?}: {got:?}");
    }
    let warning = solution.identifiability.warning().unwrap();
    assert!(warning.contains("hardly tell colours apart"), "{warning}");
    assert!(solution.identifiability.colour_error > 0.5, "{}", solution.identifiability.colour_error);
}

#[test]
fn joint_one_visit_is_finite_and_explains_it() {
    let visits = JointInMemory { visits: field(3).visits[..1].to_vec() };
    let solution = solve(&visits, 3, &config());
    assert!(solution.planes_ayx.iter().all(|v| v.is_finite()));
    assert!(solution.visits[0].offset.max_component() < 1e-9, "one visit's offset is the sky's");
    assert!(solution.visits[0].chi2 < 1.05);
}

#[test]
fn joint_everything_masked_is_an_error() {
    let mut visits = field(2);
    visits.visits.iter_mut().for_each(|v| v.flags.fill(0));
    let spectrum = band(2);
    let problem = JointProblem { visits: &visits, shape: SHAPE, spectrum: &spectrum, fiducial: None };
    assert!(matches!(solve_joint(&problem, &config(), &mut |_, _| true), Err(JointError::NoData)));
    let none = JointInMemory::default();
    let problem = JointProblem { visits: &none, shape: SHAPE, spectrum: &spectrum, fiducial: None };
    assert!(matches!(solve_joint(&problem, &config(), &mut |_, _| true), Err(JointError::NoData)));
}

#[test]
fn joint_hole_is_flagged_finite_and_stains_nothing() {
    let whole = field(3);
    let mut visits = whole.clone();
    for visit in &mut visits.visits {
        // A saturated core, with NaN and unflagged garbage.
        visit.flags.slice_mut(s![45..53, 44..51]).fill(0);
        visit.image.slice_mut(s![45..53, 44..51]).fill(f32::NAN);
    }
    let (solution, whole) = (solve(&visits, 3, &config()), solve(&whole, 3, &config()));
    assert!(solution.planes_ayx.iter().all(|v| v.is_finite()));
    assert_eq!(solution.covered_yx.iter().filter(|c| !**c).count(), 8 * 7);
    assert!(!solution.covered_yx[[48, 47]]);
    for star in stars().iter().filter(|s| s.flux > 1000.0 && s.flux < 10_000.0) {
        let (a, b) = (measure(&solution, star), measure(&whole, star));
        assert!((a.iter().sum::<f64>() / b.iter().sum::<f64>() - 1.0).abs() < TOTAL_FLUX);
    }
    for visit in &solution.visits {
        assert!(visit.offset.max_component() < OFFSET, "the hole moves no visit: {visit:?}");
    }
}

/// A star that is saturated in all visits, at the corner of four tiles.
#[test]
fn joint_star_in_a_hole_keeps_its_halo_and_is_the_same_in_tiles() {
    let star = Star { y: 48.7, x: 47.2, flux: 2e5, slope: 0.4 };
    let others = stars().into_iter().filter(|s| s.y < 40.0 || s.y > 60.0);
    let sources: Vec<Star> = others.chain([star]).collect();
    let mut visits: Vec<_> =
        views().iter().zip(1..).map(|(view, seed)| visit(SHAPE, &sources, 3, view, seed)).collect();
    for visit in &mut visits {
        visit.flags.zip_mut_with(&visit.image, |flags, light| *flags *= u8::from(*light < 1500.0));
    }
    let visits = JointInMemory { visits };
    let whole = solve(&visits, 3, &config());
    let tiled = solve(&visits, 3, &JointConfig { tile_size: 64, tile_overlap: 32, ..config() });
    assert_eq!((whole.report.tiles.len(), tiled.report.tiles.len()), (1, 4));
    assert!(!whole.covered_yx[[48, 47]]);
    // Unobserved light does not slow convergence: 40 passes and 12 to 16 to a thousandth, instead
    // of 96 and 30 without `joint::precondition::unobserved`.
    for tile in whole.report.tiles.iter().chain(&tiled.report.tiles) {
        let passes: usize = tile.first.iter().map(Vec::len).sum();
        let last = tile.last.iter().filter(|error| **error >= 1e-3).count();
        assert!(passes < 50 && last < 20, "{tile:?}");
    }
    for solution in [&whole, &tiled] {
        let lost: usize = solution.visits.iter().map(|visit| visit.clipped).sum();
        assert!(lost < 30, "{lost}");
        let got = measure(solution, &star);
        assert!((got.iter().sum::<f64>() / star.flux - 1.0).abs() < 2.0 * TOTAL_FLUX, "{got:?}");
        assert!((colour(&got) - colour(&fluxes(&star, 3))).abs() < COLOUR, "{got:?}");
    }
    let peak = whole.patch_planes().iter().fold(0.0_f32, |m, v| m.max(*v));
    let covered = whole.covered_yx.broadcast(whole.patch_planes().dim()).unwrap();
    let planes = whole.patch_planes();
    for ((a, b), _) in planes.iter().zip(tiled.patch_planes()).zip(covered).filter(|(_, c)| **c) {
        assert!(f64::from((a - b).abs() / peak) < TILED, "{a} {b}");
    }
}

#[test]
fn joint_cosmic_rays_are_clipped_and_listed() {
    let mut visits = field(3);
    let hits = [(0_usize, 10_usize, 50_usize), (2, 60, 40), (5, 33, 60)];
    for (v, y, x) in hits {
        visits.visits[v].image[[y, x]] += 400.0;
    }
    let solution = solve(&visits, 3, &config());
    for (v, y, x) in hits {
        assert!(solution.clipped[v].binary_search(&((y * SHAPE.1 + x) as u32)).is_ok(), "{v} {y} {x}");
    }
    // They leave no more trace than flagged pixels would.
    let mut flagged = field(3);
    for (visit, clipped) in flagged.visits.iter_mut().zip(&solution.clipped) {
        for pixel in clipped {
            visit.flags[[*pixel as usize / SHAPE.1, *pixel as usize % SHAPE.1]] = 0;
        }
        assert!(clipped.len() < 120, "{}", clipped.len());
    }
    let worst = worst_over_peak(&solve(&flagged, 3, &config()), &solution);
    assert!(worst < 5e-3, "{worst}");
}

#[test]
fn joint_offsets_are_found() {
    let jitter = [(0.15, -0.1), (-0.2, 0.05), (0.05, 0.2), (0.1, 0.1), (-0.15, -0.2), (0.05, -0.05)];
    let moved = |offsets: &[(f64, f64)]| {
        let visits = views().into_iter().zip(offsets).enumerate();
        let of = |(i, (view, offset)): (usize, (View, &(f64, f64)))| {
            visit(SHAPE, &stars(), 3, &View { offset: *offset, ..view }, i as u64 + 1)
        };
        JointInMemory { visits: visits.map(of).collect() }
    };
    let solution = solve(&moved(&jitter), 3, &config());
    // A second fit to the corrected visits finds nothing.
    let left: Vec<(f64, f64)> =
        jitter.iter().zip(&solution.visits).map(|(j, v)| (j.0 - v.offset.dy, j.1 - v.offset.dx)).collect();
    let again = solve(&moved(&left), 3, &config());
    for visit in &again.visits {
        assert!(visit.offset.max_component() < OFFSET, "{visit:?}");
    }
    let sum = solution.visits.iter().fold((0.0, 0.0), |s, v| (s.0 + v.offset.dy, s.1 + v.offset.dx));
    assert!(f64::hypot(sum.0, sum.1) < 1e-9, "the mean is the sky's");
}

#[test]
fn joint_threads_do_not_change_a_bit() {
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| solve(&field(3), 3, &config()))
    };
    let (one, three) = (with(1), with(3));
    assert!(one.planes_ayx.iter().zip(&three.planes_ayx).all(|(a, b)| a.to_bits() == b.to_bits()));
    assert_eq!(one.visits, three.visits);
    assert_eq!(one.covariance, three.covariance);
    assert_eq!(one.report, three.report);
}

#[test]
fn joint_unit_of_flux_does_not_change_a_digit() {
    let mut visits = field(3);
    let plain = solve(&visits, 3, &config());
    // A unit like Jy, in which the fourth power of pixels exceeds single precision.
    let unit = (-44.0_f32).exp2();
    for visit in &mut visits.visits {
        visit.image *= unit;
        visit.noise.sky_variance *= f64::from(unit).powi(2);
        visit.noise.shot *= f64::from(unit);
    }
    let tiny = solve(&visits, 3, &config());
    assert_eq!(tiny.planes_ayx, &plain.planes_ayx * unit);
    assert_eq!(tiny.plane_variance(1), plain.plane_variance(1) * unit * unit);
    assert_eq!(tiny.flux_variance(), plain.flux_variance() * unit * unit);
    assert_eq!((tiny.visits, tiny.report), (plain.visits, plain.report));
}

#[test]
fn joint_tiles_agree_with_the_whole() {
    let shape = (150, 120);
    let stars: Vec<Star> = stars()
        .iter()
        .flat_map(|s| [*s, Star { y: s.y + 60.0, x: s.x + 25.0, ..*s }])
        .filter(|s| s.x < 110.0)
        .collect();
    let visits = views().iter().enumerate().map(|(i, v)| visit(shape, &stars, 3, v, i as u64)).collect();
    let visits = JointInMemory { visits };
    // Fully converged, because tiling changes less than the default tolerance.
    let ended = JointConfig {
        uniform_tolerance: 1e-5,
        uniform_iterations: 60,
        source_tolerance: 1e-5,
        source_iterations: 60,
        calibration_passes: 1,
        ..config()
    };
    let whole = solve(&visits, 3, &ended);
    let tiled = solve(&visits, 3, &JointConfig { tile_size: 80, tile_overlap: 32, ..ended });
    assert_eq!((whole.report.tiles.len(), tiled.report.tiles.len()), (1, 4));
    let worst = worst_over_peak(&whole, &tiled);
    assert!(worst < TILED, "{worst:e}");
    let worst = (&whole.coverage_yx - &tiled.coverage_yx).iter().fold(0.0_f32, |m, d| m.max(d.abs()));
    assert!(worst < 1e-3, "{worst}");
}

/// Largest difference of tiles from the whole over the peak: at least ten pixels from the patch's
/// edge, and next to it.
fn seams(visits: &JointInMemory, config: &JointConfig) -> [f64; 2] {
    let whole = solve(visits, 3, config);
    let tiled = solve(visits, 3, &JointConfig { tile_size: 128, tile_overlap: 48, ..config.clone() });
    assert_eq!((whole.report.tiles.len(), tiled.report.tiles.len()), (1, 4));
    let peak = whole.patch_planes().iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    let mut worst = [0.0_f64; 2];
    for ((_, y, x), difference) in (&whole.patch_planes() - &tiled.patch_planes()).indexed_iter() {
        let next_to_edge = y.min(x).min(255 - y).min(255 - x) < 10;
        let worst = &mut worst[usize::from(next_to_edge)];
        *worst = worst.max(f64::from(difference.abs() / peak));
    }
    worst
}

#[test]
fn joint_tiles_have_no_seams() {
    // Bright stars on the seams, some cut by the patch's edge.
    let bright = [(2.3, 120.4), (7.8, 135.0), (131.2, 4.4), (120.5, 251.2), (253.6, 131.0), (126.0, 127.3)];
    let bright = bright.map(|(y, x)| Star { y, x, flux: 14_000.0, slope: 0.02 * (x - 128.0) / 5.0 });
    let others = stars().into_iter().flat_map(|s| {
        [(0.0, 0.0), (0.0, 140.0), (140.0, 20.0), (110.0, 130.0)].map(|(y, x)| Star {
            y: s.y + y,
            x: s.x + x,
            ..s
        })
    });
    let stars: Vec<Star> = bright.into_iter().chain(others).collect();
    let visits = views().iter().enumerate().map(|(i, v)| visit((256, 256), &stars, 3, v, i as u64)).collect();
    let visits = JointInMemory { visits };
    let [inside, next_to_edge] = seams(&visits, &config());
    assert!(inside < SEAM && next_to_edge < SEAM, "{inside:e} {next_to_edge:e}");
    // Fully converged, with padding against light around the periodic grid, also next to the edge.
    let ended = JointConfig {
        uniform_tolerance: 1e-5,
        uniform_iterations: 100,
        padding: 48,
        source_tolerance: 1e-5,
        source_iterations: 100,
        ..config()
    };
    let [inside, next_to_edge] = seams(&visits, &ended);
    assert!(inside < SEAM && next_to_edge < SEAM, "{inside:e} {next_to_edge:e}");
}

/// Bright stars with their cores on the patch's edge and just beyond.
#[test]
fn joint_stars_that_the_edge_cuts_are_nearly_solved() {
    let cut = [(-1.2, 30.0, 0.4), (95.4, 60.7, -0.3), (40.3, 97.5, 0.2), (60.1, 0.2, -0.2)];
    let cut = cut.map(|(y, x, slope)| Star { y, x, flux: 30_000.0, slope });
    let stars: Vec<Star> = cut.into_iter().chain(stars()).collect();
    let visits = views().iter().enumerate().map(|(i, v)| visit(SHAPE, &stars, 3, v, i as u64)).collect();
    let visits = JointInMemory { visits };
    let solved = solve(&visits, 3, &config());
    let passes = solved.report.tiles[0].last.len();
    let ended =
        solve(&visits, 3, &JointConfig { source_iterations: 200, source_tolerance: 1e-6, ..config() });
    let worst = (&solved.patch_planes() - &ended.patch_planes()).iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    let worst = f64::from(worst) / solved.sigma;
    // Without the corrections it is 19.
    assert!(worst < 0.5, "{worst} σ after {passes} passes");
}

#[test]
fn joint_tile_without_data_is_uncovered_and_zero() {
    let shape = (64, 140);
    let visits = views().into_iter().take(3).enumerate().map(|(i, view)| {
        let mut visit = visit(shape, &stars(), 2, &view, i as u64);
        visit.flags.slice_mut(s![.., 50..]).fill(0);
        visit
    });
    let visits = JointInMemory { visits: visits.collect() };
    let solution = solve(&visits, 2, &JointConfig { tile_size: 70, tile_overlap: 10, ..config() });
    assert!(solution.planes_ayx.iter().all(|v| v.is_finite()));
    assert!(solution.covered_yx.slice(s![.., 50..]).iter().all(|c| !c));
    assert!(solution.covered_yx[[10, 10]]);
    let variance = solution.plane_variance(0);
    assert!(variance[[30, 120]].is_infinite() && variance[[30, 20]].is_finite());
}

fn wanted(psf: TemplatePsf, register: bool) -> TemplateWanted {
    TemplateWanted { region: Region::whole(SHAPE), psf, register }
}

fn model<'a>(solution: &'a JointSolution, spectrum: &'a dcr_solver::joint::Spectrum) -> JointModel<'a> {
    JointModel {
        patch: solution.covered_yx.dim(),
        held: Region::whole(solution.covered_yx.dim()),
        planes_ayx: solution.planes_ayx.view(),
        border: solution.border,
        covered_yx: solution.covered_yx.view(),
        spectrum,
        fiducial: &solution.fiducial,
        noise: Some(JointNoise { covariance: &solution.covariance, maps: solution.noise_maps() }),
    }
}

/// Rms of exposure minus template in units of the stated noise, over trusted pixels.
fn residual(
    exposures: &JointInMemory,
    solution: &JointSolution,
    register: bool,
) -> (f64, PixelShift, Option<f64>) {
    let spectrum = band(3);
    let template = joint_template(
        &model(solution, &spectrum),
        exposures,
        0,
        &wanted(TemplatePsf::Exposure, register),
        &config(),
    )
    .unwrap();
    let exposure = &exposures.visits[0];
    let variance = template.variance.unwrap();
    let mut squares = 0.0;
    let mut count = 0.0;
    for ((p, trusted), s) in template.trusted_yx.indexed_iter().zip(&exposure.image) {
        if *trusted {
            let noise = exposure.noise.sky_variance + f64::from(variance[p]);
            squares += f64::from(s - template.image[p]).powi(2) / noise;
            count += 1.0;
        }
    }
    ((squares / f64::from(count as u32)).sqrt(), template.offset, template.flux_excess)
}

#[test]
fn joint_template_leaves_the_noise_of_an_unseen_exposure() {
    let solution = solve(&field(3), 3, &config());
    // The last is sharper than every visit: its core is extrapolated, and bright stars show it.
    for (fwhm, refraction, flux_error, rms_error) in [
        (3.5, (2.0, -1.0), TOTAL_FLUX, RESIDUAL),
        (5.0, (-3.0, 0.5), TOTAL_FLUX, RESIDUAL),
        (2.9, (0.0, 0.0), 0.04, 0.25),
    ] {
        let view = View { fwhm, refraction, offset: (0.12, -0.2), sigma: 1.0 };
        let exposures = JointInMemory { visits: vec![visit(SHAPE, &stars(), 3, &view, 99)] };
        let (rms, offset, flux) = residual(&exposures, &solution, true);
        assert!((rms - 1.0).abs() < rms_error, "{fwhm}: {rms}");
        assert!((offset.dy - 0.12).abs() < OFFSET && (offset.dx + 0.2).abs() < OFFSET, "{offset:?}");
        assert!(flux.unwrap().abs() < flux_error, "{flux:?}");
        let (unregistered, offset, flux) = residual(&exposures, &solution, false);
        assert!(unregistered > 2.0 && offset == PixelShift::default() && flux.is_none(), "{unregistered}");
    }
}

/// Several blocks, and registration summed over them.
#[test]
fn joint_template_threads_do_not_change_a_bit() {
    let (solution, spectrum) = (solve(&field(3), 3, &config()), band(3));
    let view = View { fwhm: 3.5, refraction: (2.0, -1.0), offset: (0.12, -0.2), sigma: 1.0 };
    let exposures = JointInMemory { visits: vec![visit(SHAPE, &stars(), 3, &view, 99)] };
    let tiled = JointConfig { tile_size: 64, tile_overlap: 16, ..config() };
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let wanted = wanted(TemplatePsf::Exposure, true);
        pool.install(|| joint_template(&model(&solution, &spectrum), &exposures, 0, &wanted, &tiled)).unwrap()
    };
    let (one, three) = (with(1), with(3));
    assert!(one.image.iter().zip(&three.image).all(|(a, b)| a.to_bits() == b.to_bits()));
    assert_eq!((one.offset, one.flux_excess), (three.offset, three.flux_excess));
    assert_eq!(one.variance, three.variance);
}

#[test]
fn joint_template_at_the_fiducial_psf_needs_none_of_the_exposures() {
    let solution = solve(&field(3), 3, &config());
    let view = View { fwhm: 3.0, refraction: (0.0, 0.0), offset: (0.0, 0.0), sigma: 1.0 };
    let exposures = JointInMemory { visits: vec![visit(SHAPE, &stars(), 3, &view, 99)] };
    let spectrum = band(3);
    let template = joint_template(
        &model(&solution, &spectrum),
        &exposures,
        0,
        &wanted(TemplatePsf::Fiducial, false),
        &config(),
    )
    .unwrap();
    // Without refraction, at the model's own PSF: the sum of the planes, without the noise of the
    // highest frequencies.
    let total = solution.patch_planes().sum_axis(Axis(0));
    let peak = total.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    let worst = (&template.image - &total).iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    assert!(worst < 5e-3 * peak, "{worst} of {peak}");
}

#[test]
fn joint_psf_errors_are_felt_but_not_amplified() {
    // A given PSF, sharp or blurred, noisy or truncated, changes total fluxes by no more than its
    // own error.
    type Spoil = fn(&PsfStamp) -> Array2<f64>;
    let cut: Spoil = |p| centre(p, 5);
    let wide: Spoil = |p| stretched(p, 1.05);
    for (what, spoil, allowed) in [
        ("noise of 0.3 % of the peak", noisy as Spoil, 0.03),
        ("cut at 5 px", cut, 0.03),
        ("5 % too wide", wide, 0.08),
    ] {
        let mut visits = field(3);
        for visit in visits.visits.iter_mut().step_by(2) {
            visit.psf = PsfStamp::new(spoil(&visit.psf)).unwrap();
        }
        let solution = solve(&visits, 3, &config());
        for star in stars().iter().filter(|s| s.flux > 1000.0) {
            let ratio = measure(&solution, star).iter().sum::<f64>() / star.flux;
            assert!((ratio - 1.0).abs() < allowed, "{what}, {star:?}: {ratio}");
        }
    }
}

fn noisy(psf: &PsfStamp) -> Array2<f64> {
    let mut random = Random(5);
    let peak = psf.pixels().iter().copied().fold(0.0, f64::max);
    psf.pixels().mapv(|v| v + 0.003 * peak * random.normal())
}

fn centre(psf: &PsfStamp, radius: usize) -> Array2<f64> {
    let (y, x) = (psf.pixels().nrows() / 2, psf.pixels().ncols() / 2);
    psf.pixels().slice(s![y - radius..=y + radius, x - radius..=x + radius]).to_owned()
}

fn stretched(stamp: &PsfStamp, factor: f64) -> Array2<f64> {
    psf(factor * sigma(stamp) * 2.354_82).pixels().clone()
}

#[test]
fn joint_visit_sharper_than_the_fiducial_psf_is_used() {
    let (visits, spectrum, blurred) = (field(3), band(3), psf(3.5));
    let problem =
        JointProblem { visits: &visits, shape: SHAPE, spectrum: &spectrum, fiducial: Some(&blurred) };
    let solution = solve_joint(&problem, &config(), &mut |_, _| true).unwrap();
    assert_eq!(solution.fiducial_visit, None);
    let sky = solution.patch_planes().sum_axis(Axis(0)).slice(s![..12, ..12]).to_owned();
    let rms = sky.iter().map(|v| f64::from(v * v)).sum::<f64>().sqrt() / 12.0;
    assert!(rms < 1.0, "noise is not amplified: {rms}");
    for visit in &solution.visits {
        assert!(visit.chi2 < 1.05, "{visit:?}");
    }
}

#[test]
fn joint_stamps_that_contain_refraction_need_the_switch() {
    // Stamps measured on flat stars: smeared along the visit's refraction.
    let mut visits = field(3);
    for (visit, view) in visits.visits.iter_mut().zip(views()) {
        let star = [Star { y: 20.0, x: 20.0, flux: 1.0, slope: 0.0 }];
        visit.psf = PsfStamp::new(draw((41, 41), &star, &view)).unwrap();
    }
    let error = |psf_includes_dcr: PsfIncludesDcr| {
        let solution = solve(&visits, 3, &JointConfig { psf_includes_dcr, ..config() });
        let bright = stars().into_iter().filter(|s| s.flux > 1000.0);
        bright.map(|s| (colour(&measure(&solution, &s)) - colour(&fluxes(&s, 3))).abs()).fold(0.0, f64::max)
    };
    let (with, without) = (error(PsfIncludesDcr::Always), error(PsfIncludesDcr::Never));
    assert!(with < 2.0 * COLOUR && without > 2.0 * with, "{with} with the switch, {without} without");
}

#[test]
fn joint_critically_sampled_stars_are_modelled_and_not_clipped() {
    let views: Vec<View> = views().into_iter().map(|v| View { fwhm: 2.0, ..v }).collect();
    let of = |(i, view): (usize, &View)| visit(SHAPE, &stars(), 3, view, i as u64 + 1);
    let visits = JointInMemory { visits: views.iter().enumerate().map(of).collect() };
    let solution = solve(&visits, 3, &config());
    for visit in &solution.visits {
        assert!(visit.clipped < 20 && visit.chi2 < 1.1, "{visit:?}");
    }
}

#[test]
fn joint_damping_keeps_many_subfilters_from_noise() {
    let spread = |colour_damping: f64| {
        let solution = solve(&field(5), 5, &JointConfig { colour_damping, ..config() });
        let star = stars()[2];
        let got = measure(&solution, &star);
        got.iter().map(|f| (5.0 * f / star.flux - 1.0).powi(2)).sum::<f64>().sqrt()
    };
    let (damped, free) = (spread(0.25), spread(1.0));
    assert!(damped < 0.15 && damped < free, "{damped} {free}");
}

#[test]
fn joint_faint_colours_are_the_priors() {
    let solution = solve(&field(3), 3, &config());
    let faint = Star { slope: 0.0, ..stars()[6] };
    let got = measure(&solution, &faint);
    assert!(got.iter().all(|f| (3.0 * f / faint.flux - 1.0).abs() < 0.35), "{got:?}");
}

/// Scatter over stated noise, from noise realisations of a field with sky noise only: for the
/// planes and their sum, in the sky and on pixels above 10 and 100 σ of the sum.
fn scatter_over_stated(stars: &[Star], draws: u64) -> [[f64; 3]; 4] {
    let quiet = JointConfig { clip_rounds: vec![], calibration_passes: 0, ..config() };
    let zeros = ndarray::Array3::<f64>::zeros((4, SHAPE.0, SHAPE.1));
    let (mut sum, mut squares, mut stated) = (zeros.clone(), zeros.clone(), zeros);
    for draw in 0..draws {
        let seed = |i: usize| 100 + draw * 10 + i as u64;
        let visits = views().iter().enumerate().map(|(i, v)| visit(SHAPE, stars, 3, v, seed(i))).collect();
        let solution = solve(&JointInMemory { visits }, 3, &quiet);
        let total = solution.flux_variance();
        let planes = solution.patch_planes();
        for a in 0..4 {
            let (plane, variance) = match a {
                3 => (planes.sum_axis(Axis(0)), total.clone()),
                _ => (planes.index_axis(Axis(0), a).to_owned(), solution.plane_variance(a)),
            };
            let plane = plane.mapv(f64::from);
            sum.index_axis_mut(Axis(0), a).scaled_add(1.0, &plane);
            squares.index_axis_mut(Axis(0), a).scaled_add(1.0, &(&plane * &plane));
            stated.index_axis_mut(Axis(0), a).scaled_add(1.0 / draws as f64, &variance.mapv(f64::from));
        }
    }
    let n = draws as f64;
    let inside = |y: usize, x: usize| (8..SHAPE.0 - 8).contains(&y) && (8..SHAPE.1 - 8).contains(&x);
    let mut ratios = [[(0.0, 0.0); 3]; 4];
    for ((a, y, x), squares) in squares.indexed_iter().filter(|((_, y, x), _)| inside(*y, *x)) {
        let signal = sum[[3, y, x]] / n / stated[[3, y, x]].sqrt();
        let class = [10.0, 100.0].iter().filter(|limit| signal > **limit).count();
        let scatter = (squares - sum[[a, y, x]].powi(2) / n) / (n - 1.0);
        let (total, count) = &mut ratios[a][class];
        (*total, *count) = (*total + scatter / stated[[a, y, x]], *count + 1.0);
    }
    ratios.map(|plane| plane.map(|(total, count)| total / count))
}

#[test]
fn joint_variance_agrees_with_monte_carlo() {
    for (plane, [sky, ..]) in scatter_over_stated(&[], 16).into_iter().enumerate() {
        assert!((sky - 1.0).abs() < VARIANCE, "plane {plane}: {sky}");
    }
}

#[test]
fn joint_variance_on_stars_agrees_with_monte_carlo() {
    for (plane, ratios) in scatter_over_stated(&stars(), 24).into_iter().enumerate() {
        for (ratio, allowed) in ratios.into_iter().zip([VARIANCE, VARIANCE_ON_STARS, VARIANCE_ON_STARS]) {
            assert!((ratio - 1.0).abs() < allowed, "plane {plane}: {ratios:.3?}");
        }
    }
}

/// Scatter over stated noise of each subfilter by distance from the star, from many realisations of
/// sixteen equal stars with ten times the noise of the sky at the peak.
#[test]
fn joint_variance_holds_from_the_core_to_the_flanks_of_a_star() {
    const DRAWS: u64 = 24;
    /// Upper limits of distance in pixels, and tolerances within.
    const DISTANCES: [(f64, f64); 4] = [
        (1.5, VARIANCE_OF_STARLIGHT),
        (3.2, VARIANCE_OF_STARLIGHT),
        (4.5, VARIANCE_OF_STARLIGHT),
        (6.5, VARIANCE_AROUND_STARS),
    ];
    let middles = [15.0, 37.0, 59.0, 81.0];
    let star = |y| middles.map(|x| Star { y, x, flux: 14_000.0, slope: 0.0 });
    let stars: Vec<Star> = middles.into_iter().flat_map(star).collect();
    let quiet = JointConfig { clip_rounds: vec![], calibration_passes: 0, ..config() };
    let zeros = ndarray::Array3::<f64>::zeros((3, SHAPE.0, SHAPE.1));
    let (mut sum, mut squares, mut stated) = (zeros.clone(), zeros.clone(), zeros);
    for draw in 0..DRAWS {
        let taken = |(i, view): (usize, &View)| {
            let mut visit = visit(SHAPE, &stars, 3, view, 1000 + draw * 10 + i as u64);
            visit.noise.shot = 0.01;
            let mut random = Random((77 + draw * 10 + i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
            let light = crate::joint_field::draw(SHAPE, &stars, view)
                .mapv(|light| (0.01 * light).sqrt() * random.normal());
            visit.image.zip_mut_with(&light, |pixel, noise| *pixel += *noise as f32);
            visit
        };
        let visits = views().iter().enumerate().map(taken).collect();
        let solution = solve(&JointInMemory { visits }, 3, &quiet);
        let planes = solution.patch_planes().mapv(f64::from);
        (sum, squares) = (sum + &planes, squares + &planes * &planes);
        for (a, mut stated) in stated.outer_iter_mut().enumerate() {
            stated.scaled_add(1.0 / DRAWS as f64, &solution.plane_variance(a).mapv(f64::from));
        }
    }
    let n = DRAWS as f64;
    let nearest = |v: usize| middles.map(|m| (v as f64 - m).abs()).into_iter().fold(f64::MAX, f64::min);
    let mut ratios = [[(0.0, 0.0); 4]; 3];
    for ((a, y, x), squares) in squares.indexed_iter() {
        let distance = nearest(y).hypot(nearest(x));
        if let Some(class) = DISTANCES.iter().position(|(limit, _)| distance < *limit) {
            let scatter = (squares - sum[[a, y, x]].powi(2) / n) / (n - 1.0);
            let (total, count) = &mut ratios[a][class];
            (*total, *count) = (*total + scatter / stated[[a, y, x]], *count + 1.0);
        }
    }
    let ratios = ratios.map(|plane| plane.map(|(total, count)| total / count));
    for (ratio, (_, allowed)) in ratios.iter().flat_map(|plane| plane.iter().zip(DISTANCES)) {
        assert!((ratio - 1.0).abs() < allowed, "{ratios:.3?}");
    }
}

/// Visits with a wrong reference wavelength: every visit's light is displaced by the same share of
/// its refraction.
fn misreferenced(visits: &mut JointInMemory, views: &[View], share: f64) {
    for (visit, view) in visits.visits.iter_mut().zip(views) {
        for displacement in &mut visit.displacements {
            displacement.dy += share * view.refraction.0;
            displacement.dx += share * view.refraction.1;
        }
    }
}

#[test]
fn joint_reference_wavelength_moves_colours_and_no_template() {
    // A thirtieth of the band: 5 of 150 nm.
    let mut visits = field(3);
    misreferenced(&mut visits, &views(), 1.0 / 30.0);
    let (right, wrong) = (solve(&field(3), 3, &config()), solve(&visits, 3, &config()));
    let bright: Vec<Star> = stars().into_iter().filter(|s| s.flux > 1000.0).collect();
    let moved = |star: &Star| colour(&measure(&wrong, star)) - colour(&measure(&right, star));
    let mean = bright.iter().map(moved).sum::<f64>() / bright.len() as f64;
    // The data cannot distinguish it from redder or bluer stars.
    assert!(mean.abs() > 0.2 && bright.iter().all(|s| (moved(s) - mean).abs() < COLOUR), "{mean}");
    for visit in &wrong.visits {
        assert!(visit.chi2 < 1.05 && visit.offset.max_component() < OFFSET, "{visit:?}");
    }
    // The predictions are equally good.
    let view = View { fwhm: 3.8, refraction: (2.0, -1.0), offset: (0.0, 0.0), sigma: 1.0 };
    let mut exposures = JointInMemory { visits: vec![visit(SHAPE, &stars(), 3, &view, 99)] };
    misreferenced(&mut exposures, &[view], 1.0 / 30.0);
    let (rms, ..) = residual(&exposures, &wrong, true);
    assert!((rms - 1.0).abs() < RESIDUAL, "{rms}");
}

#[test]
fn joint_weights_do_not_follow_sources() {
    // Without clipping and offsets, which depend on shot noise, it changes nothing: bright stars
    // would be biased.
    let plain = JointConfig { clip_rounds: vec![], calibration_passes: 0, ..config() };
    let mut visits = field(3);
    let without = solve(&visits, 3, &plain);
    visits.visits.iter_mut().for_each(|visit| visit.noise.shot = 1.0);
    let with = solve(&visits, 3, &plain);
    assert_eq!(without.planes_ayx, with.planes_ayx);
    // The variance contains it.
    let variance = |solution: &JointSolution| solution.flux_variance()[[49, 47]];
    assert!(variance(&with) > 20.0 * variance(&without), "{} {}", variance(&with), variance(&without));
}

#[test]
fn joint_planes_have_the_stamps_response_of_pixels() {
    // Stamps include the pixel response, and so do planes: a star is its flux times the stamp.
    let star = Star { y: 48.0, x: 48.0, flux: 20_000.0, slope: 0.0 };
    let views = views();
    let of = |(i, view): (usize, &View)| visit(SHAPE, &[star], 3, view, i as u64 + 1);
    let solution = solve(&JointInMemory { visits: views.iter().enumerate().map(of).collect() }, 3, &config());
    let total = solution.patch_planes().sum_axis(Axis(0));
    let stamp = solution.fiducial.pixels();
    let (y, x) = (stamp.nrows() / 2, stamp.ncols() / 2);
    for (dy, dx) in [(0, 0), (1, 0), (0, 2), (2, 2)] {
        let (seen, expected) = (f64::from(total[[48 + dy, 48 + dx]]), star.flux * stamp[[y + dy, x + dx]]);
        assert!((seen / expected - 1.0).abs() < 5.0 * TOTAL_FLUX, "{dy} {dx}: {seen} {expected}");
    }
}

#[test]
fn joint_bad_input_is_named() {
    let spectrum = band(2);
    let message = |change: fn(&mut JointInMemory)| {
        let mut visits = field(2);
        change(&mut visits);
        let problem = JointProblem { visits: &visits, shape: SHAPE, spectrum: &spectrum, fiducial: None };
        solve_joint(&problem, &config(), &mut |_, _| true).unwrap_err().to_string()
    };
    insta::assert_snapshot!(message(|v| v.visits[1].noise.sky_variance = f64::NAN));
    insta::assert_snapshot!(message(|v| v.visits[2].noise.shot = -1.0));
    insta::assert_snapshot!(message(|v| v.visits[3].displacements.truncate(7)));
    insta::assert_snapshot!(message(|v| v.visits[3].displacements[4].dy = f64::NAN));
    let bad = JointConfig { psf_floor: 2.0, ..config() };
    let visits = field(2);
    let problem = JointProblem { visits: &visits, shape: SHAPE, spectrum: &spectrum, fiducial: None };
    assert!(matches!(solve_joint(&problem, &bad, &mut |_, _| true), Err(JointError::Config(_))));
    assert!(matches!(solve_joint(&problem, &config(), &mut |_, _| false), Err(JointError::Cancelled)));
}
