use super::*;

const SIGMA: f32 = 2.0;
const FWHM_PX: f64 = 3.0;

/// Noise of standard deviation 2 about a level of 10, and two stars.
fn sky_with_stars(brightest: f32) -> Array2<f32> {
    let mut state = 11_u64;
    let mut even = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32
    };
    let mut image =
        Array2::from_shape_fn((70, 80), |_| 10.0 + SIGMA * ((0..12).map(|_| even()).sum::<f32>() - 6.0));
    add_star(&mut image, (30.0, 40.0), brightest, FWHM_PX);
    add_star(&mut image, (50.4, 20.5), 0.1 * brightest, FWHM_PX);
    image
}

fn add_star(image: &mut Array2<f32>, (row, col): (f64, f64), peak: f32, fwhm_px: f64) {
    let sigma = fwhm_px / 2.354_820_045;
    for ((y, x), value) in image.indexed_iter_mut() {
        let r2 = (y as f64 - row).powi(2) + (x as f64 - col).powi(2);
        *value += peak * (-r2 / (2.0 * sigma * sigma)).exp() as f32;
    }
}

fn found_with(image: &Array2<f32>, variance: f32, contrast: &Contrast) -> Vec<(usize, usize)> {
    let variance = Array2::from_elem(image.dim(), variance);
    let flags = Array2::from_elem(image.dim(), GOOD);
    glitches(image.view(), variance.view(), flags.view(), contrast).iter().map(|g| g.at).collect()
}

fn found(image: &Array2<f32>) -> Vec<(usize, usize)> {
    found_with(image, SIGMA * SIGMA, &contrast(FWHM_PX))
}

fn contrast(fwhm_px: f64) -> Contrast {
    Contrast::of(Some(&Psf::Gaussian { fwhm_px }), (0.0, 0.0), None)
}

#[test]
fn glitches_of_any_size_and_sign_are_found_wherever_they_are() {
    for value in [1e4, 3e5, 1e10, 1e30, -1e4, -3e5, -1e10, -1e30].map(|sigmas: f32| sigmas * SIGMA) {
        // In the sky, at the edges, and beside a star.
        for at in [(10, 12), (0, 0), (69, 33), (28, 44), (35, 40)] {
            let mut image = sky_with_stars(5e4);
            image[at] += value;
            assert_eq!(found(&image), [at], "{value:e}");
        }
        // A column, a row of two and a cluster.
        let mut image = sky_with_stars(5e4);
        let mut expected = vec![];
        for at in (0..70).map(|y| (y, 65)).chain([(10, 12), (10, 13)]) {
            image[at] += value;
            expected.push(at);
        }
        expected.sort_unstable();
        assert_eq!(found(&image), expected, "{value:e}");
        let mut image = sky_with_stars(5e4);
        let cluster: Vec<_> = (10..13).flat_map(|y| (12..15).map(move |x| (y, x))).collect();
        cluster.iter().for_each(|at| image[*at] += value);
        assert_eq!(found(&image), cluster, "{value:e}");
        // Columns side by side, in the middle and at the edge.
        for columns in [60..62, 0..1] {
            let mut image = sky_with_stars(5e4);
            let places: Vec<_> = (0..70).flat_map(|y| columns.clone().map(move |x| (y, x))).collect();
            places.iter().for_each(|at| image[*at] += value);
            assert_eq!(found(&image), places, "{value:e}");
        }
    }
}

#[test]
fn glitch_on_a_star_is_found_from_the_light_of_the_star_on() {
    let (peak, at) = (1e4 * SIGMA, (30, 40));
    for value in [peak, 30.0 * peak, 1e30, -2.0 * peak] {
        let mut image = sky_with_stars(peak);
        image[at] += value;
        assert_eq!(found(&image), [at], "{value:e}");
    }
}

#[test]
fn light_is_no_glitch_however_bright_and_somewhat_sharper_than_stated() {
    for peak in [1e3, 1e5, 1e7, 1e9] {
        assert!(found(&sky_with_stars(peak)).is_empty());
        for stated in [3.0, 3.3, 3.7] {
            assert!(found_with(&sky_with_stars(peak), 4.0, &contrast(stated)).is_empty(), "{stated} {peak}");
        }
        // No PSF is known.
        assert!(found_with(&sky_with_stars(peak), 4.0, &Contrast::of(None, (0.0, 0.0), None)).is_empty());
    }
    // A saturated star whose core is masked, or cut off.
    let image = sky_with_stars(1e7);
    let flags = image.mapv(|value| GOOD * u8::from(value < 1e6));
    let variance = Array2::from_elem(image.dim(), 4.0);
    assert!(glitches(image.view(), variance.view(), flags.view(), &contrast(3.0)).is_empty());
    assert!(found(&image.mapv(|value| value.min(2e6))).is_empty());
}

/// Its neighbours have less light beside them than the PSF leaves there.
#[test]
fn dead_pixel_in_a_star_does_not_make_its_neighbours_glitches() {
    for peak in [1e4, 1e6, 1e8] {
        for at in [(30, 40), (29, 40), (31, 41), (30, 43)] {
            let mut image = sky_with_stars(peak);
            image[at] = 10.0;
            assert!(found(&image).is_empty(), "{peak:e} {at:?}");
        }
    }
}

/// A ring, as mirrors out of focus make it.
#[test]
fn light_through_a_ring_is_no_glitch() {
    let ring = Array2::from_shape_fn((21, 21), |(y, x)| {
        let r = (y as f64 - 10.0).hypot(x as f64 - 10.0);
        (-(r - 6.0).powi(2) / 2.0).exp()
    });
    let contrast = Contrast::of_stamp(&Stamp::new(ring.clone()).unwrap());
    let mut image = sky_with_stars(0.0);
    for ((y, x), value) in ring.indexed_iter() {
        image[[25 + y, 30 + x]] += 1e6 * *value as f32;
    }
    assert!(found_with(&image, 4.0, &contrast).is_empty());
}

#[test]
fn noise_with_variances_on_a_wrong_scale_is_no_glitch() {
    for variance in [1e-12, 1.0, 1e12] {
        assert!(found_with(&sky_with_stars(100.0), variance, &contrast(3.0)).is_empty());
    }
}

#[test]
fn image_without_data_or_of_few_pixels_has_no_glitch() {
    for shape in [(0, 0), (1, 1), (3, 5)] {
        assert!(found(&Array2::from_elem(shape, 1e30)).is_empty());
    }
    let flags = Array2::zeros((20, 20));
    let image = Array2::from_elem((20, 20), f32::NAN);
    assert!(glitches(image.view(), image.view(), flags.view(), &contrast(3.0)).is_empty());
}

#[test]
fn warning_names_the_worst() {
    let mut count = GlitchCount::default();
    assert_eq!(count.warning(), None);
    count.add("visit 1", 0, None);
    count.add("visit 2", 3, Some((1.5e4, (7, 9))));
    count.add("visit 3", 1, Some((-2e5, (1, 2))));
    let text = count.warning().unwrap();
    assert!(text.starts_with("4 pixels of 2 exposures cannot be light"), "{text}");
    assert!(text.contains("-2.000e5 σ") && text.contains("at x 1, y 2 of visit 3"), "{text}");
}
