use dcr_image::Psf;
use dcr_image::header::Header;

use super::*;

/// FWHM of the tests' PSF in px.
const FWHM: f64 = 4.0;

struct Sky {
    image: Array2<f32>,
    variance: Array2<f32>,
    bad: Array2<bool>,
    sources: Array2<bool>,
    background: Background,
}

impl Sky {
    /// Noise of variance 4, nearly normal: a sum of twelve even numbers of a fixed sequence.
    fn noise(shape: (usize, usize), seed: u64) -> Self {
        let mut state = seed;
        let mut even = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 24) as f32
        };
        Self {
            image: Array2::from_shape_fn(shape, |_| 2.0 * ((0..12).map(|_| even()).sum::<f32>() - 6.0)),
            variance: Array2::from_elem(shape, 4.0),
            bad: Array2::from_elem(shape, false),
            sources: Array2::from_elem(shape, false),
            background: Background::Plane,
        }
    }

    fn add_star(&mut self, x: f64, y: f64, flux: f64) {
        let sigma2 = (FWHM / 2.354_82).powi(2) + 1.0 / 12.0;
        for ((row, col), value) in self.image.indexed_iter_mut() {
            let r2 = (col as f64 - x).powi(2) + (row as f64 - y).powi(2);
            *value += (flux * (-0.5 * r2 / sigma2).exp() / (std::f64::consts::TAU * sigma2)) as f32;
        }
    }

    fn search(&self) -> Detections {
        let mut header = Header::new();
        header.set("CTYPE1", "RA---TAN");
        header.set("CTYPE2", "DEC--TAN");
        for (keyword, value) in [("CRPIX1", 1.0), ("CRPIX2", 1.0), ("CRVAL1", 53.0), ("CRVAL2", -25.0)] {
            header.set(keyword, value);
        }
        header.set("CD1_1", -0.2 / 3600.0);
        header.set("CD2_2", 0.2 / 3600.0);
        let wcs = Wcs::from_header(&header, (0, 0)).unwrap();
        let psf = Psf::Gaussian { fwhm_px: FWHM }.stamp_at(0.0, 0.0).unwrap();
        let (height, width) = self.image.dim();
        let scene = Scene {
            background: self.background,
            bbox: BBox::new(100, 200, width, height),
            wcs: &wcs,
            image: self.image.view(),
            variance: self.variance.view(),
            bad: self.bad.view(),
            sources: self.sources.view(),
            psf: &psf,
            fwhm_px: FWHM,
        };
        scene.search(5.0)
    }
}

#[test]
fn noise_alone_has_no_residuals_whatever_its_variance_says() {
    for variance in [4.0, 0.1, 400.0] {
        let mut sky = Sky::noise((200, 220), 3);
        sky.image += 50.0;
        sky.variance.fill(variance);
        let found = sky.search();
        assert!(found.residuals.is_empty(), "{:?}", found.residuals);
        assert!(
            (found.noise_factor / (2.0 / f64::from(variance).sqrt()) - 1.0).abs() < 0.05,
            "{}",
            found.noise_factor
        );
    }
}

#[test]
fn star_is_found_where_it_is_with_its_flux() {
    let mut sky = Sky::noise((120, 130), 4);
    sky.add_star(50.3, 70.6, 400.0);
    sky.add_star(90.0, 30.0, -300.0);
    let found = sky.search();
    assert_eq!(found.counts(), ResidualCounts { positive: 1, negative: 1, dipoles: 0, detections: 2 });
    for (residual, (x, y, flux)) in found.residuals.iter().zip([(50.3, 70.6, 400.0), (90.0, 30.0, -300.0)]) {
        // The noise of a flux is σ √(4π) σ_PSF, that of a place FWHM / S/N.
        assert!((residual.x - 100.0 - x).hypot(residual.y - 200.0 - y) < FWHM / 10.0, "{residual:?}");
        assert!((residual.flux - flux).abs() < 4.0 * residual.flux_error, "{residual:?}");
        assert!((residual.flux.abs() / residual.flux_error / residual.significance - 1.0).abs() < 0.1);
        assert!((residual.flux_error / 12.3 - 1.0).abs() < 0.1, "{}", residual.flux_error);
        assert_eq!(residual.positive, flux > 0.0);
        assert!((residual.sky.unwrap().dec.degrees() + 25.0 - residual.y * 0.2 / 3600.0).abs() < 1e-6);
    }
    assert_eq!(found.footprints[[71, 50]], 1);
    assert_eq!(found.footprints[[30, 90]], -1);
}

#[test]
fn displaced_star_is_one_dipole() {
    for (dx, dy) in [(0.3, 0.0), (0.0, -0.6), (1.0, 1.0)] {
        let mut sky = Sky::noise((100, 100), 5);
        sky.add_star(50.0 + dx, 50.0 + dy, 6000.0);
        sky.add_star(50.0, 50.0, -6000.0);
        // Far enough to be another residual.
        sky.add_star(80.0, 20.0, 500.0);
        let found = sky.search();
        assert_eq!(
            found.counts(),
            ResidualCounts { positive: 2, negative: 1, dipoles: 1, detections: 2 },
            "({dx}, {dy})"
        );
        let lobe = found.residuals.iter().position(|residual| !residual.positive).unwrap();
        let partner = found.residuals[lobe].partner.unwrap();
        assert_eq!(found.residuals[partner].partner, Some(lobe));
    }
}

#[test]
fn residuals_at_bad_pixels_and_edges_are_not_believed() {
    let mut sky = Sky::noise((100, 100), 6);
    sky.add_star(30.0, 30.0, 1000.0);
    sky.add_star(70.0, -0.3, 1000.0);
    sky.add_star(60.0, 60.0, 1000.0);
    sky.bad[[31, 31]] = true;
    sky.image[[31, 31]] = f32::NAN;
    // The last star is bright, and its footprint reaches a bad pixel; its peak is far from it.
    sky.add_star(60.0, 60.0, 5000.0);
    sky.bad[[66, 60]] = true;
    let found = sky.search();
    assert_eq!(found.residuals.len(), 1);
    assert!((found.residuals[0].x - 160.0).abs() < 1.0);
}

#[test]
fn images_without_data_or_of_a_few_pixels_have_no_residuals() {
    for shape in [(1, 1), (3, 7), (40, 1)] {
        let mut sky = Sky::noise(shape, 7);
        assert!(sky.search().residuals.is_empty());
        sky.image.fill(f32::NAN);
        sky.bad.fill(true);
        let found = sky.search();
        assert!(found.residuals.is_empty() && found.noise_factor == 1.0);
    }
}

#[test]
fn noise_is_told_where_there_are_no_sources() {
    let mut sky = Sky::noise((120, 120), 8);
    for ((row, _), value) in sky.image.indexed_iter_mut() {
        if row < 60 {
            *value *= 10.0;
        }
    }
    sky.sources.slice_mut(s![..62, ..]).fill(true);
    let found = sky.search();
    assert!((found.noise_factor - 1.0).abs() < 0.06, "{}", found.noise_factor);
}
