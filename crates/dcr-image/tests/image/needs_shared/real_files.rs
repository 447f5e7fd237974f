//! Real and simulated files of ../shared. What is expected was read from them with astropy.

use dcr_image::header::Header;
use dcr_image::wcs::image_origin;
use dcr_image::{BBox, ExposureFile, OpenOptions, Psf};
use dcr_physics::{Angle, GeometrySource, SkyPosition, ZenithGeometry};

use crate::support::{open, shared};

/// Agreement with astropy's WCS; see `wcs_agrees_with_astropy` of the crate.
const PIXEL_TOLERANCE: f64 = 1e-6;
/// The direction to the zenith in an image, likewise.
const DIRECTION_TOLERANCE_DEG: f64 = 1e-4;
/// Our moments against the same formula in numpy.
const FWHM_TOLERANCE: f64 = 1e-8;
/// PSFEx measures its FWHM on stars, by another definition.
const PSFEX_FWHM_TOLERANCE: f64 = 0.12;
/// The zenith of `header` against that of `time`: of-date angles, start against middle.
const ALTITUDE_TOLERANCE_DEG: f64 = 0.5;

const DECAM: &str = "realdata/decam_cp_legacypipe";
const COMMUNITY_PIPELINE: [&str; 4] = [
    "realdata/decam_cp_legacypipe/testcase3/images/decam/CP/V4.8.2a/CP20150328/c4d_150329_083505_ooi_g_ls9.N11.fits",
    "realdata/decam_cp_legacypipe/testcase6/images/decam/CP/V4.8.2a/CP20181103/c4d_181104_072440_ooi_g_ls9.S4.fits",
    "realdata/mosaic_bok_cp_legacypipe/mzlsbass2/images/90prime/CP/V2.3/CP20170429/ksb_170430_055945_ooi_r_ls9.CCD4.fits",
    "realdata/mosaic_bok_cp_legacypipe/mzlsbass2/images/mosaic/CP/V4.3/CP20160318/k4m_160319_075112_ooi_zd_ls9.CCD3.fits",
];

fn names(file: &ExposureFile, value: i32) -> Vec<&str> {
    file.mask_planes().names_in(value).collect()
}

#[test]
#[ignore = "needs the real files of ../shared"]
fn afw_calexp_of_hsc() {
    let path = shared("realdata/afw/calexp_hsc_i.fits");
    let file = open(&path).unwrap();
    let read = file.read(file.bbox()).unwrap();
    assert_eq!(file.bbox(), BBox::new(0, 0, 64, 32));
    assert_eq!((file.mask_planes().len(), file.mask_planes().bit("UNMASKEDNAN")), (15, Some(14)));
    assert_eq!(read.mask.iter().filter(|&&value| value != 0).count(), 990);
    assert_eq!((read.image[[3, 4]], read.variance[[3, 4]]), (-9.069_398, 557.618_04));
    let visit = file.visit();
    assert!(visit.dispersion_corrector.is_some());
    assert!((visit.altitude.unwrap().degrees() - 65.012_027_05).abs() < 1e-9);
    assert_eq!(visit.weather.pressure_pa, Some(62_160.0));
}

#[test]
#[ignore = "needs the real files of ../shared"]
fn afw_old_coadd_has_its_origin_in_crval_a() {
    let path = shared("realdata/afw/testCoaddInputs_coadd_with_version_1_data.fits");
    assert_eq!(open(&path).unwrap().bbox(), BBox::new(100, 100, 10, 10));
}

#[test]
#[ignore = "needs the real files of ../shared"]
fn community_pipeline_triplets() {
    for path in COMMUNITY_PIPELINE {
        let path = shared(path);
        let file = open(&path).unwrap();
        let read = file.read(file.bbox()).unwrap();
        assert!(read.image.iter().all(|value| value.is_finite()));
        // A pixel has a variance just where it has no flaw: weights are 0 where codes are not.
        assert!(
            read.variance.iter().zip(&read.mask).all(|(variance, mask)| variance.is_finite() == (*mask == 0))
        );
        // West longitude, hPa, start of the exposure: all must be right for the geometry to agree.
        let visit = file.visit();
        assert!(visit.assumptions.iter().all(|note| !note.warning), "{:?}", visit.assumptions);
        let geometry = ZenithGeometry::resolve(visit, GeometrySource::Time).unwrap();
        let sky = geometry.at(visit.boresight.unwrap());
        let off = sky.altitude.degrees() - visit.altitude.unwrap().degrees();
        assert!(off.abs() < ALTITUDE_TOLERANCE_DEG, "{path:?}: altitude off by {off}°");
        assert!((sky.airmass - visit.airmass.unwrap()).abs() < 0.02);
    }
}

#[test]
#[ignore = "needs the real files of ../shared"]
fn decam_codes_and_weights() {
    let path = shared(COMMUNITY_PIPELINE[1]);
    let file = open(&path).unwrap();
    let read = file.read(file.bbox()).unwrap();
    assert_eq!(read.image[[10, 20]], 225.017_09);
    assert!((read.variance[[10, 20]] * 0.015_894_52 - 1.0).abs() < 1e-6);
    let count = |name: &str| read.mask.iter().filter(|&&value| names(&file, value).contains(&name)).count();
    assert_eq!((count("BAD"), count("SAT"), count("NO_DATA")), (1, 1760, 1761));
    let visit = file.visit();
    assert_eq!((visit.visit, visit.filter.as_deref()), (790_643, Some("g DECam SDSS c0001 4720.0 1520.0")));
    assert_eq!(visit.weather.pressure_pa, Some(77_800.0));
    assert!((visit.site.unwrap().longitude.degrees() + 70.815).abs() < 1e-3);
}

#[test]
#[ignore = "needs the real files of ../shared"]
fn lsst_images_files() {
    for (name, planes, unit) in [
        ("visit_image.fits", 11, "nJy"),
        ("cell_coadd.fits", 11, "nJy"),
        ("masked_image_nocompress.fits", 11, "nJy"),
        ("minimal_writer_output/min_afw_like.fits", 4, "nJy"),
        ("minimal_writer_output/rewritten.fits", 3, "nJy"),
    ] {
        let path = shared(&format!("realdata/lsst_images/{name}"));
        let file = open(&path).unwrap();
        assert_eq!(file.bbox(), BBox::new(2000, 3000, 80, 60), "{name}");
        assert_eq!((file.mask_planes().len(), file.unit()), (planes, Some(unit)), "{name}");
        let read = file.read(file.bbox()).unwrap();
        assert!(read.image.iter().filter(|value| value.is_nan()).count() <= 1, "{name}");
        assert!(read.variance.iter().all(|value| value.is_finite()), "{name}");
    }
    let path = shared("realdata/lsst_images/visit_image.fits");
    let visit = open(&path).unwrap().visit().clone();
    assert_eq!((visit.visit, visit.filter.as_deref()), (1234, Some("g_6")));
    assert_eq!(visit.boresight, Some(SkyPosition::from_degrees(150.1, 2.2)));
    assert!((visit.weather.temperature_c.unwrap() - 9.45).abs() < 1e-9);
    assert!((visit.site.unwrap().elevation_m - 2663.0).abs() < 1.0);
}

/// PSFs of cell coadds are images of four axes; a cell without a PSF has NaN.
#[test]
#[ignore = "needs the real files of ../shared"]
fn lsst_images_cells_have_their_psfs() {
    for (name, first, count, side) in [
        ("cell_coadd.fits", BBox::new(2000, 3000, 20, 20), 12, 15),
        ("cell_coadd_dp2_minified.fits", BBox::new(42, 48, 6, 6), 3, 5),
    ] {
        let path = shared(&format!("realdata/lsst_images/{name}"));
        let file = open(&path).unwrap();
        let Some(Psf::Grid(grid)) = file.psf() else { panic!("{name}: {:?}", file.psf()) };
        assert_eq!((grid.cells().len(), grid.cells()[0].0), (count, first), "{name}");
        assert!(grid.cells().iter().all(|(_, stamp)| stamp.pixels().dim() == (side, side)), "{name}");
    }
}

#[test]
#[ignore = "needs the real files of ../shared"]
fn psfex_models_of_all_kinds() {
    // Cards with PSF_MASK in capitals, the same in small letters, and the numbers in columns. All are
    // sampled by the pixel, so that the polynomial alone, evaluated in numpy, says what is right.
    const BOK: &str = "realdata/mosaic_bok_cp_legacypipe/mzlsbass2/calib";
    for (name, x, y, fwhm) in [
        ("realdata/psf/decam-520206-S16-psfex.fits".to_owned(), 999.0, 1999.0, 5.500_618_162_130_272),
        (
            "realdata/psf/c4d_140717_065122_ooi_i_ls11-S2-se.psf".to_owned(),
            999.0,
            1999.0,
            5.339_622_118_584_772_5,
        ),
        (
            format!(
                "{BOK}/psfex-single/90prime/CP/V2.3/CP20170429/ksb_170430_055945_ooi_r_ls9/\
                 ksb_170430_055945_ooi_r_ls9-CCD4-psfex.fits"
            ),
            49.0,
            59.0,
            3.453_854_456_680_601,
        ),
        (
            format!("{BOK}/psfex/90prime/CP/V2.3/CP20180312/ksb_180313_081856_ooi_g_ls9-psfex.fits"),
            49.0,
            59.0,
            3.140_072_044_606_257,
        ),
    ] {
        let path = shared(&name);
        let psf = Psf::open(&path, &BBox::new(0, 0, 2048, 4096)).unwrap();
        let got = psf.fwhm_px(x, y).unwrap();
        assert!((got / fwhm - 1.0).abs() < FWHM_TOLERANCE, "{name}: {got} is not {fwhm}");
    }
}

#[test]
#[ignore = "needs the real files of ../shared"]
fn psfex_model_sampled_finer_than_pixels() {
    let path = shared("realdata/psf/psfex_hatp32_050312.psf");
    let psf = Psf::open(&path, &BBox::new(0, 0, 650, 500)).unwrap();
    let stamp = psf.stamp_at(326.0, 252.0).unwrap();
    assert_eq!(stamp.pixels().dim(), (17, 17));
    let got = stamp.fwhm_px().unwrap();
    assert!((got / 2.219_603_78 - 1.0).abs() < PSFEX_FWHM_TOLERANCE, "{got}");
}

#[test]
#[ignore = "needs the simulated fields of ../shared"]
fn sim_warps_psf_and_circumstances() {
    for (name, fwhm, masked) in [
        ("g_constant/warp_1003", 4.020_933_842_036_1, 20_778),
        ("g_seeing/warp_1003", 3.967_786_947_195_626_6, 20_961),
        ("u_high/warp_1003", 4.279_939_834_208_79, 23_136),
    ] {
        let path = shared(&format!("sim/{name}.fits"));
        let file = open(&path).unwrap();
        let (x, y) = file.bbox().centre();
        let got = file.psf().unwrap().fwhm_px(x, y).unwrap();
        assert!((got / fwhm - 1.0).abs() < FWHM_TOLERANCE, "{name}: {got} is not {fwhm}");
        // The card has the FWHM of the atmosphere alone; a Kolmogorov profile in pixels is 7 % wider here.
        let card = file.visit().psf_fwhm_px.unwrap();
        assert!((1.05..1.09).contains(&(got / card)), "{name}: {}", got / card);
        let read = file.read(file.bbox()).unwrap();
        assert_eq!(read.mask.iter().filter(|&&value| value != 0).count(), masked, "{name}");
        assert_eq!(file.unit(), Some("electron"));
        let visit = file.visit();
        assert_eq!(visit.visit, 1003);
        assert!(visit.assumptions.iter().all(|note| !note.warning), "{:?}", visit.assumptions);
        let at = |source| ZenithGeometry::resolve(visit, source).unwrap().at(visit.boresight.unwrap());
        let (time, header) = (at(GeometrySource::Time), at(GeometrySource::Header));
        assert!((time.altitude.degrees() - header.altitude.degrees()).abs() < ALTITUDE_TOLERANCE_DEG);
    }
}

#[test]
#[ignore = "needs the real files of ../shared"]
fn swarp_weights_beside_the_image() {
    let path = shared("realdata/swarp_psfex/sci.0001.resamp.fits");
    let file = open(&path).unwrap();
    let read = file.read(file.bbox()).unwrap();
    assert_eq!(read.variance.iter().filter(|value| value.is_nan()).count(), 3730);
    let no_data = file.mask_planes().bits_of(["NO_DATA"]);
    assert!(read.mask.iter().zip(&read.variance).all(|(mask, v)| (mask & no_data != 0) == v.is_nan()));
    // Cards lost by SWarp are reported as missing.
    assert!(file.visit().assumptions.iter().any(|note| note.warning && note.text.contains("DATE-OBS")));
}

#[test]
#[ignore = "needs the real files of ../shared"]
fn unopenable_files_are_explained() {
    let path = shared("realdata/afw/visitSummary_1176.fits");
    let error = open(&path).unwrap_err().to_string();
    assert!(
        error.contains("found no two-dimensional image") && error.contains("HDU 2 (ARCHIVE_INDEX, table)"),
        "{error}"
    );
    let path = shared(DECAM);
    assert!(open(&path).unwrap_err().to_string().contains("it is a directory"));
    let path = shared("realdata/decam_cp_legacypipe/testcase3/survey-ccds-1.fits.gz");
    assert!(open(&path).unwrap_err().to_string().contains("HDU 1 (table)"), "a gzipped file is read");
}

#[test]
#[ignore = "needs the real files of ../shared"]
fn wcs_of_real_files_agrees_with_astropy() {
    let values: serde_json::Value = serde_json::from_str(include_str!("../../data/wcs_values.json")).unwrap();
    for case in values["real"].as_array().unwrap() {
        let path = shared(&format!("realdata/{}", case["name"].as_str().unwrap()));
        let options = OpenOptions {
            missing_variance: dcr_image::fits::MissingVariance::Estimate,
            ..OpenOptions::default()
        };
        let file = ExposureFile::open(&path, &options).unwrap();
        let header: &Header = file.header();
        let (x0, y0) = image_origin(header);
        for point in case["points"].as_array().unwrap() {
            let of = |key: &str| point[key].as_f64().unwrap();
            let (x, y) = (of("x") + x0 as f64, of("y") + y0 as f64);
            let (got_x, got_y) =
                file.wcs().sky_to_pixel(SkyPosition::from_degrees(of("ra"), of("dec"))).unwrap();
            assert!(
                (got_x - x).hypot(got_y - y) < PIXEL_TOLERANCE,
                "{path:?}: ({got_x}, {got_y}) is not ({x}, {y})"
            );
            let zenith = file.wcs().zenith_direction(x, y, Angle::from_degrees(of("q"))).unwrap();
            let turn = (zenith.dx * of("dy") - zenith.dy * of("dx")).asin().to_degrees();
            assert!(turn.abs() < DIRECTION_TOLERANCE_DEG, "{path:?}: off by {turn}°");
        }
    }
}
