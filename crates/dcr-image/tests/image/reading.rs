//! Layouts, pixel types and companions; and files that are damaged or no exposures at all.

use std::path::{Path, PathBuf};

use dcr_image::fits::{
    ExposureToWrite, ImageHdu, MissingVariance, Pixels, PlaneFile, UncertaintyKind, WriteOptions,
    write_exposure,
};
use dcr_image::header::Card;
use dcr_image::{BBox, ExposureFile, FitsError, OpenOptions, Psf};
use ndarray::Array2;

use crate::support::{Small, open, same_bits, tan, tan_cards};

/// One HDU as bytes: cards, then data, both padded to blocks.
fn hdu(cards: &[&str], data: &[u8]) -> Vec<u8> {
    let wcs = [
        "CTYPE1  = 'RA---TAN'",
        "CTYPE2  = 'DEC--TAN'",
        "CRVAL1  = 53.0",
        "CRVAL2  = -28.0",
        "CRPIX1  = 1.0",
        "CRPIX2  = 1.0",
        "CD1_1   = -5E-5",
        "CD2_2   = 5E-5",
    ];
    let mut bytes: Vec<u8> = cards
        .iter()
        .chain(&wcs)
        .chain(&["END"])
        .flat_map(|card| format!("{card:<80}").into_bytes())
        .collect();
    bytes.resize(bytes.len().next_multiple_of(2880), b' ');
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().next_multiple_of(2880), 0);
    bytes
}

pub(crate) fn primary(bitpix: i32, axes: &[usize], more: &[&str], data: &[u8]) -> Vec<u8> {
    let mut cards =
        vec!["SIMPLE  = T".to_owned(), format!("BITPIX  = {bitpix}"), format!("NAXIS   = {}", axes.len())];
    cards.extend(axes.iter().enumerate().map(|(i, length)| format!("NAXIS{:<3}= {length}", i + 1)));
    cards.extend(more.iter().map(|card| (*card).to_owned()));
    hdu(&cards.iter().map(String::as_str).collect::<Vec<_>>(), data)
}

pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

pub(crate) const ESTIMATE: fn() -> OpenOptions =
    || OpenOptions { missing_variance: MissingVariance::Estimate, ..OpenOptions::default() };

pub(crate) fn estimated(path: &Path) -> Result<ExposureFile, FitsError> {
    ExposureFile::open(path, &ESTIMATE())
}

#[test]
fn bitpix_of_every_kind_is_read() {
    let folder = Folder::new();
    let read = |name: &str, bitpix, more: &[&str], data: &[u8]| {
        let path = folder.file(name, &primary(bitpix, &[2, 1], more, data));
        let file = estimated(&path).unwrap();
        file.read_image(file.bbox()).unwrap().into_raw_vec_and_offset().0
    };
    assert_eq!(read("u8", 8, &[], &[3, 255]), [3.0, 255.0]);
    assert_eq!(read("i16", 16, &[], &[0xff, 0xfe, 0, 7]), [-2.0, 7.0]);
    assert_eq!(read("u16", 16, &["BZERO   = 32768"], &[0x80, 0, 0x7f, 0xff]), [0.0, 65_535.0]);
    assert_eq!(read("scaled", 16, &["BSCALE  = 0.5", "BZERO   = 10.0"], &[0, 4, 0, 1]), [12.0, 10.5]);
    assert_eq!(
        read("f64", -64, &[], &[1.5_f64.to_be_bytes(), (-2.0_f64).to_be_bytes()].concat()),
        [1.5, -2.0]
    );
    let blank = read("blank", 16, &["BLANK   = -32768"], &[0x80, 0, 0, 7]);
    assert!(blank[0].is_nan() && blank[1] == 7.0);
    let nan = read("nan", -32, &[], &[f32::NAN.to_be_bytes(), f32::INFINITY.to_be_bytes()].concat());
    assert!(nan[0].is_nan());
}

#[test]
fn compressed_with_loss_keeps_nan() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/rice_quantised.fits");
    let file = open(&path).unwrap();
    let read = file.read(file.bbox()).unwrap();
    assert_eq!(read.image.dim(), (24, 32));
    for ((y, x), &value) in read.image.indexed_iter() {
        if (y, x) == (3, 5) || (y, x) == (20, 31) {
            assert!(value.is_nan());
        } else {
            let (x, y) = (x as f32, y as f32);
            let expected = 100.0 + x - 0.5 * y + 3.0 * (x * y).sin();
            assert!((value - expected).abs() < 0.1, "({x}, {y}): {value} is not {expected}");
        }
    }
    assert_eq!(read.mask[[3, 5]], 1 << 8);
    assert!(read.variance.iter().all(|&variance| variance == 4.0));
    // A part that crosses tiles, and starts inside one.
    let part = file.read(BBox::new(4, 3, 5, 2)).unwrap();
    assert!(same_bits(&part.image, &read.sub_image(BBox::new(4, 3, 5, 2)).unwrap().image));
}

#[test]
fn directory_text_and_empty_files_are_no_fits() {
    let folder = Folder::new();
    let message = |path: &Path| {
        let error = open(path).unwrap_err();
        assert_eq!(error.path(), path);
        error.to_string()
    };
    assert!(message(folder.0.path()).contains("it is a directory"));
    assert!(message(&folder.0.path().join("missing.fits")).contains("cannot open it for reading"));
    for (name, bytes) in
        [("empty.fits", &b""[..]), ("text.fits", b"This is no FITS file.\n"), ("zeros.fits", &[0; 5760])]
    {
        let text = message(&folder.file(name, bytes));
        assert!(text.contains("not a FITS file: it "), "{text}");
    }
}

#[test]
fn image_by_name_or_number() {
    let folder = Folder::new();
    let path = folder.0.path().join("a.fits");
    let (a, b) = (Array2::from_elem((2, 3), 1.0_f32), Array2::from_elem((4, 3), 2.0_f32));
    let exposure = ExposureToWrite {
        images: vec![
            ImageHdu::new("FIRST", Pixels::F32(a.view())).with_cards(tan_cards()),
            ImageHdu::new("SECOND", Pixels::F32(b.view())).with_cards(tan_cards()),
        ],
        ..ExposureToWrite::default()
    };
    write_exposure(&path, &exposure, WriteOptions::default()).unwrap();
    let of = |name: Option<&str>| {
        ExposureFile::open(&path, &OpenOptions { image_hdu: name.map(str::to_owned), ..ESTIMATE() })
            .map(|file| file.bbox().height)
    };
    assert_eq!((of(None).unwrap(), of(Some("second")).unwrap(), of(Some("2")).unwrap()), (2, 4, 4));
    let error = of(Some("THIRD")).unwrap_err().to_string();
    assert!(
        error.contains("found no HDU named or numbered THIRD") && error.contains("HDU 2 (SECOND, 3 × 4)"),
        "{error}"
    );
}

#[test]
fn image_that_is_not_a_plane_is_refused() {
    let folder = Folder::new();
    let error = |name: &str, axes: &[usize]| {
        let bytes = vec![0; axes.iter().product::<usize>() * 4];
        estimated(&folder.file(name, &primary(-32, axes, &[], &bytes))).unwrap_err().to_string()
    };
    assert!(error("line.fits", &[8]).contains("found no two-dimensional image"));
    assert!(error("cube.fits", &[8, 4, 2]).contains("HDU 0 (8 × 4 × 2)"));
    assert!(error("thin.fits", &[0, 4]).contains("found no two-dimensional image"));
    assert!(error("none.fits", &[]).contains("HDU 0 (no data)"));
    let flat = folder.file("flat.fits", &primary(-32, &[8, 4, 1], &[], &[0; 128]));
    assert_eq!(estimated(&flat).unwrap().bbox(), BBox::new(0, 0, 8, 4));
}

#[test]
fn layout_without_names_goes_by_order_and_type() {
    let folder = Folder::new();
    let extension = |bitpix: &str, data: &[u8]| {
        hdu(
            &[
                "XTENSION= 'IMAGE   '",
                bitpix,
                "NAXIS   = 2",
                "NAXIS1  = 2",
                "NAXIS2  = 1",
                "PCOUNT  = 0",
                "GCOUNT  = 1",
            ],
            data,
        )
    };
    let mut bytes = primary(-32, &[2, 1], &[], &[1.0_f32.to_be_bytes(), 2.0_f32.to_be_bytes()].concat());
    bytes.extend(extension("BITPIX  = 16", &[0, 0, 0, 9]));
    bytes.extend(extension("BITPIX  = -32", &[4.0_f32.to_be_bytes(), 5.0_f32.to_be_bytes()].concat()));
    let file = open(&folder.file("a.fits", &bytes)).unwrap();
    let read = file.read(file.bbox()).unwrap();
    assert_eq!(read.variance.as_slice().unwrap(), [4.0, 5.0]);
    // Nothing is known of the mask's values: 9 is bad.
    assert_eq!(read.mask[[0, 0]], 0);
    assert_eq!(file.mask_planes().names_in(read.mask[[0, 1]]).collect::<Vec<_>>(), ["BAD"]);
}

#[test]
fn outside_of_the_image_is_refused() {
    let folder = Folder::new();
    let path = folder.0.path().join("a.fits");
    Small::new(BBox::new(10, 20, 7, 5)).write(&path);
    let file = open(&path).unwrap();
    let error = file.read(BBox::new(9, 20, 7, 5)).unwrap_err().to_string();
    assert!(error.contains("[9:16, 20:25] reaches beyond the image, which covers [10:17, 20:25]"), "{error}");
    let empty = file.read(BBox::new(12, 21, 0, 3)).unwrap();
    assert_eq!(empty.image.dim(), (3, 0));
}

#[test]
fn planes_of_different_size_are_refused() {
    let folder = Folder::new();
    let path = folder.0.path().join("a.fits");
    let (image, mask) = (Array2::<f32>::zeros((2, 3)), Array2::<i32>::zeros((3, 3)));
    let exposure = ExposureToWrite {
        images: vec![
            ImageHdu::new("IMAGE", Pixels::F32(image.view())).with_cards(tan_cards()),
            ImageHdu::new("MASK", Pixels::I32(mask.view())),
            ImageHdu::new("VARIANCE", Pixels::F32(image.view())),
        ],
        ..ExposureToWrite::default()
    };
    write_exposure(&path, &exposure, WriteOptions::default()).unwrap();
    let error = open(&path).unwrap_err().to_string();
    assert!(error.contains("HDU 2 (MASK) has 3 × 3 pixels (columns × rows), its image 3 × 2"), "{error}");
}

#[test]
fn truncated_files_say_so_wherever_they_end() {
    let folder = Folder::new();
    let path = folder.0.path().join("whole.fits");
    let small = Small::new(BBox::new(0, 0, 40, 50));
    small.write(&path);
    let whole = std::fs::read(&path).unwrap();
    // Each cut removes something that reading everything needs.
    let mut cuts: Vec<usize> = (0..whole.len() - 2880).step_by(1440).chain([1, 79, 80, 2879, 2881]).collect();
    cuts.sort_unstable();
    for cut in cuts {
        let path = folder.file("cut.fits", &whole[..cut]);
        let outcome = open(&path).and_then(|file| file.read(file.bbox()));
        let error = outcome.expect_err(&format!("{cut} of {} bytes", whole.len()));
        assert!(error.to_string().contains("cut.fits"), "{error}");
    }
}

#[test]
fn variance_missing_is_refused_or_estimated() {
    let folder = Folder::new();
    let data: Vec<u8> =
        (0..200_u32).flat_map(|i| (if i.is_multiple_of(2) { 1.0_f32 } else { -1.0 }).to_be_bytes()).collect();
    let path = folder.file("a.fits", &primary(-32, &[20, 10], &[], &data));
    let error = open(&path).unwrap_err().to_string();
    assert!(error.contains("found no variance") && error.contains("HDU 0 (20 × 10)"), "{error}");
    let file = estimated(&path).unwrap();
    assert!(file.visit().assumptions.iter().any(|note| note.quantity == "variance" && note.warning));
    let variance = file.read_variance(BBox::new(3, 3, 2, 2)).unwrap();
    assert!(variance.iter().all(|&v| v == variance[[0, 0]]) && (variance[[0, 0]] - 4.396).abs() < 0.01);
}

#[test]
fn wcs_missing_names_the_card() {
    let folder = Folder::new();
    let path = folder.0.path().join("a.fits");
    let image = Array2::<f32>::zeros((2, 3));
    let exposure = ExposureToWrite {
        images: vec![ImageHdu::new("IMAGE", Pixels::F32(image.view()))],
        ..ExposureToWrite::default()
    };
    write_exposure(&path, &exposure, WriteOptions::default()).unwrap();
    let error = estimated(&path).unwrap_err().to_string();
    assert!(error.contains("HDU 1 (IMAGE): no WCS: card CRPIX1"), "{error}");
}

#[test]
fn weights_beside_the_image_become_variance() {
    let folder = Folder::new();
    let (image, weights) =
        (Array2::from_elem((1, 4), 7.0_f32), ndarray::array![[4.0_f32, 0.0, f32::NAN, -1.0]]);
    let bbox = BBox::new(5, 6, 4, 1);
    for (name, pixels) in [("sci.resamp.fits", &image), ("sci.resamp.weight.fits", &weights)] {
        let exposure = ExposureToWrite {
            images: vec![ImageHdu::new("", Pixels::F32(pixels.view())).on_grid(&tan(&bbox), &bbox)],
            ..ExposureToWrite::default()
        };
        write_exposure(&folder.0.path().join(name), &exposure, WriteOptions::default()).unwrap();
    }
    let path = folder.0.path().join("sci.resamp.fits");
    let file = open(&path).unwrap();
    let read = file.read(bbox).unwrap();
    assert_eq!(read.variance[[0, 0]], 0.25);
    assert!(read.variance.iter().skip(1).all(|v| v.is_nan()));
    let no_data = file.mask_planes().bits_of(["NO_DATA"]);
    assert_eq!(read.mask.as_slice().unwrap(), [0, no_data, no_data, no_data]);
    assert_eq!(file.read_mask(bbox).unwrap(), read.mask);
    assert!(same_bits(&file.read_variance(bbox).unwrap(), &read.variance));

    let none = OpenOptions { find_companions: false, ..OpenOptions::default() };
    assert!(matches!(ExposureFile::open(&path, &none), Err(FitsError::NoVariance { .. })));
    let variances = OpenOptions {
        weights: Some(folder.0.path().join("sci.resamp.weight.fits").into()),
        weights_hold: Some(UncertaintyKind::Variance),
        ..OpenOptions::default()
    };
    assert_eq!(ExposureFile::open(&path, &variances).unwrap().read_variance(bbox).unwrap()[[0, 0]], 4.0);
    let sigmas = OpenOptions { weights_hold: Some(UncertaintyKind::StandardDeviation), ..variances };
    assert_eq!(ExposureFile::open(&path, &sigmas).unwrap().read_variance(bbox).unwrap()[[0, 0]], 16.0);
}

#[test]
fn exposures_are_read_from_many_threads() {
    let folder = Folder::new();
    let path = folder.0.path().join("a.fits");
    let small = Small::new(BBox::new(0, 0, 40, 50));
    write_exposure(&path, &small.to_write(), WriteOptions { compress: true, overwrite: false }).unwrap();
    let file = open(&path).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (file, small) = (&file, &small);
            scope.spawn(move || {
                for row in (thread..50).step_by(8) {
                    let part = BBox::new(0, row, 40, 1);
                    let read = file.read(part).unwrap();
                    let expected = small.image.row(row as usize);
                    assert!(read.image.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits()));
                }
            });
        }
    });
}

/// Every algorithm and dither, with NaN and offsets, to the bits that astropy decodes.
#[test]
fn compressed_tiles_decode_as_astropy_decodes_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    for (file, names) in [
        ("tiles_gzip_dither_1.fits", &["IMAGE", "MASK", "VARIANCE"][..]),
        ("tiles_hcompress.fits", &["IMAGE", "MASK", "VARIANCE"]),
        ("tiles_hcompress_u16.fits", &["IMAGE"]),
        ("tiles_rice_dither_2.fits", &["IMAGE", "MASK", "VARIANCE"]),
        ("tiles_rice_u16.fits", &["IMAGE"]),
    ] {
        let path = folder.join(file);
        for name in names {
            let tiles = PlaneFile::open(&path, name).unwrap();
            let decoded = PlaneFile::open(&path, &format!("DECODED_{name}")).unwrap().read_all().unwrap();
            assert!(same_bits(&tiles.read_all().unwrap(), &decoded), "{file} {name}");
            // A part cuts tiles.
            let part = tiles.read(3..17, 5..30).unwrap();
            assert!(same_bits(&part, &decoded.slice(ndarray::s![3..17, 5..30]).to_owned()), "{file} {name}");
        }
    }
}

#[test]
fn psf_malformed_names_file_and_hdu() {
    let folder = Folder::new();
    let small = Small::new(BBox::new(0, 0, 7, 5));
    let write = |name: &str, stamp: Array2<f64>| {
        let path = folder.0.path().join(name);
        let mut exposure = small.to_write();
        exposure.images.push(ImageHdu::new("PSF", Pixels::F64(stamp.view())));
        write_exposure(&path, &exposure, WriteOptions::default()).unwrap();
        open(&path).unwrap_err().to_string()
    };
    for (name, stamp, reason) in [
        ("flat.fits", Array2::ones((4, 5)), "has no peak: all of its pixels are equal"),
        ("flat_9.fits", Array2::from_elem((9, 9), 0.3), "has no peak: its border is at 100 %"),
        ("zero.fits", Array2::zeros((5, 5)), "the sum must be above 0"),
        ("nan.fits", Array2::from_elem((5, 5), f64::NAN), "25 pixels of the PSF stamp are not finite"),
    ] {
        let text = write(name, stamp);
        assert!(text.contains(name) && text.contains("HDU 4 (PSF)") && text.contains(reason), "{text}");
    }
}

#[test]
fn mask_plane_beyond_its_bits_names_the_hdu() {
    let folder = Folder::new();
    let path = folder.0.path().join("a.fits");
    let small = Small::new(BBox::new(0, 0, 7, 5));
    let mut exposure = small.to_write();
    let mask = exposure.images.remove(1).with_cards([Card::new("MP_FAR", 40_i64)]);
    exposure.images.insert(1, mask);
    write_exposure(&path, &exposure, WriteOptions::default()).unwrap();
    let error = open(&path).unwrap_err().to_string();
    assert!(error.contains("HDU 2 (MASK): mask plane FAR has bit 40"), "{error}");
}

#[test]
fn golden_warps_have_what_they_were_made_with() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/golden/run_small/warp_1000.fits");
    let file = open(Path::new(path)).unwrap();
    assert_eq!(file.bbox(), BBox::new(0, 0, 96, 80));
    assert_eq!(file.visit().visit, 1000);
    assert!((file.visit().altitude.unwrap().degrees() - 72.247_209_838_053_31).abs() < 1e-12);
    assert!((file.visit().parallactic_angle.unwrap().degrees() - 115.065_618_882_939_7).abs() < 1e-12);
    assert_eq!(file.psf(), Some(&Psf::Gaussian { fwhm_px: 4.402_364_161_134_53 }));
}
