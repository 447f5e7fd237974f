//! Pixels that are no data, and masks in the type of their file.

use std::path::PathBuf;

use dcr_image::fits::UncertaintyKind;
use dcr_image::{BBox, ExposureFile, OpenOptions};
use ndarray::Array2;

use crate::reading::{ESTIMATE, Folder, estimated, primary};
use crate::support::same_bits;

/// Numbers that no two pixels of a small image share, about 0.
fn noise(i: usize) -> f32 {
    (i as f32 * 12.9898).sin() * 43.758 % 5.0
}

fn bytes_f32(values: impl IntoIterator<Item = f32>) -> Vec<u8> {
    values.into_iter().flat_map(f32::to_be_bytes).collect()
}

/// An image of noise, and what a companion of it holds.
struct Pair {
    folder: Folder,
    image: PathBuf,
}

impl Pair {
    fn new((width, height): (usize, usize)) -> Self {
        let folder = Folder::new();
        let pixels = bytes_f32((0..width * height).map(noise));
        let image = folder.file("image.fits", &primary(-32, &[width, height], &[], &pixels));
        Self { folder, image }
    }

    fn with_weights(&self, hold: UncertaintyKind, companion: &[u8]) -> ExposureFile {
        let weights = Some(self.folder.file("companion.fits", companion).into());
        ExposureFile::open(
            &self.image,
            &OpenOptions { weights, weights_hold: Some(hold), ..OpenOptions::default() },
        )
        .unwrap()
    }

    fn with_mask(&self, companion: &[u8]) -> ExposureFile {
        let mask = Some(self.folder.file("companion.fits", companion).into());
        ExposureFile::open(&self.image, &OpenOptions { mask, ..ESTIMATE() }).unwrap()
    }
}

#[test]
fn no_data_of_every_uncertainty_is_told_alike_by_all_readers() {
    let pair = Pair::new((8, 1));
    for (kind, huge, good) in [
        (UncertaintyKind::Variance, 1e30, 4.0),
        (UncertaintyKind::StandardDeviation, 1e30, 16.0),
        (UncertaintyKind::InverseVariance, 1e-30, 0.25),
    ] {
        let values = [4.0, -1.0, 0.0, f32::NAN, f32::INFINITY, huge, 4.0, f32::MIN];
        let file = pair.with_weights(kind, &primary(-32, &[8, 1], &[], &bytes_f32(values)));
        let read = file.read(file.bbox()).unwrap();
        let no_data = file.mask_planes().bits_of(["NO_DATA"]);
        let without = [false, true, true, true, true, true, false, true];
        assert_eq!(read.mask.mapv(|mask| mask == no_data).as_slice().unwrap(), without, "{kind:?}");
        assert_eq!(read.variance.mapv(f32::is_nan).as_slice().unwrap(), without, "{kind:?}");
        assert_eq!((read.variance[[0, 0]], read.variance[[0, 6]]), (good, good));
        assert_eq!(file.read_mask(file.bbox()).unwrap(), read.mask);
        assert!(same_bits(&file.read_variance(file.bbox()).unwrap(), &read.variance));
        // Values are kept; mask and variance mark them as missing data.
        assert!(
            same_bits(&file.read_image(file.bbox()).unwrap(), &read.image) && read.image[[0, 1]].is_finite()
        );
    }
}

#[test]
fn no_data_in_units_of_large_variances_is_told_by_the_others() {
    let pair = Pair::new((4, 1));
    let variance = |values: [f32; 4]| {
        let file =
            pair.with_weights(UncertaintyKind::Variance, &primary(-32, &[4, 1], &[], &bytes_f32(values)));
        file.read_variance(file.bbox()).unwrap().into_raw_vec_and_offset().0
    };
    assert_eq!(variance([1e17, 4e20, 2e18, 1e17]), [1e17, 4e20, 2e18, 1e17]);
    let with_sentinel = variance([1e17, 1e30, 2e18, 1e25]);
    assert!(with_sentinel[1].is_nan() && with_sentinel[3].is_nan() && with_sentinel[2] == 2e18);
    assert_eq!(variance([1e-24, 3e-26, 1e-24, 1e-24])[1], 3e-26);
}

#[test]
fn no_data_beyond_single_precision_is_no_error() {
    let folder = Folder::new();
    let values = [1.5_f64, 1e300, f64::MIN, -2.0, 0.5, 1e30, 3.0, 7.0];
    let bytes: Vec<u8> = values.into_iter().flat_map(f64::to_be_bytes).collect();
    let file = estimated(&folder.file("a.fits", &primary(-64, &[8, 1], &[], &bytes))).unwrap();
    let read = file.read(file.bbox()).unwrap();
    let no_data = file.mask_planes().bits_of(["NO_DATA"]);
    assert_eq!(read.mask.as_slice().unwrap(), [0, no_data, no_data, 0, 0, no_data, 0, 0]);
    assert!(read.image[[0, 1]].is_nan() && read.image[[0, 2]].is_nan() && read.image[[0, 3]] == -2.0);
}

#[test]
fn masks_of_every_type_are_judged_in_that_type() {
    let pair = Pair::new((4, 1));
    let names = |bitpix, more: &[&str], data: &[u8]| {
        let file = pair.with_mask(&primary(bitpix, &[4, 1], more, data));
        let mask = file.read(file.bbox()).unwrap().mask;
        assert_eq!(file.read_mask(file.bbox()).unwrap(), mask);
        let bad = file.mask_planes().bits_of(["BAD"]);
        mask.mapv(|mask| mask & bad != 0).into_raw_vec_and_offset().0
    };
    let all = [false, true, true, true];
    let i64s = |values: [i64; 4]| values.into_iter().flat_map(i64::to_be_bytes).collect::<Vec<u8>>();
    assert_eq!(names(64, &[], &i64s([0, 1 << 40, i64::MIN, 7])), all);
    // Unsigned: the zero of the file is 2^63 below.
    let unsigned = ["BZERO   = 9223372036854775808"];
    assert_eq!(names(64, &unsigned, &i64s([i64::MIN, i64::MAX, 0, i64::MIN + 1])), all);
    let i32s = |values: [i32; 4]| values.into_iter().flat_map(i32::to_be_bytes).collect::<Vec<u8>>();
    assert_eq!(names(32, &[], &i32s([0, i32::MIN, -1, 1 << 30])), all);
    let unsigned = ["BZERO   = 2147483648"];
    assert_eq!(names(32, &unsigned, &i32s([i32::MIN, i32::MAX, 0, i32::MIN + 1])), all);
    assert_eq!(names(16, &[], &[0, 0, 0x80, 0, 0xff, 0xff, 0, 1]), all);
    assert_eq!(names(8, &[], &[0, 255, 1, 128]), all);
    assert_eq!(names(-32, &[], &bytes_f32([0.0, 1e-3, f32::NAN, -0.25])), all);
    assert_eq!(names(-32, &[], &bytes_f32([-0.0, 1e38, 0.999, 3e9])), all);
    let f64s: Vec<u8> =
        [0.0_f64, 1e-300, 1e300, f64::INFINITY].into_iter().flat_map(f64::to_be_bytes).collect();
    assert_eq!(names(-64, &[], &f64s), all);
}

#[test]
fn mask_bits_without_a_name_are_bad_and_told_once() {
    let pair = Pair::new((3, 2));
    let planes = ["MP_BAD  = 0", "MP_SAT  = 3"];
    let values: Vec<u8> = [0_i16, 8, 8 | 64, 1, i16::MIN, 0].into_iter().flat_map(i16::to_be_bytes).collect();
    let file = pair.with_mask(&primary(16, &[3, 2], &planes, &values));
    assert!(file.findings().list().is_empty());
    let mask = file.read(file.bbox()).unwrap().mask;
    assert_eq!(mask.as_slice().unwrap(), [0, 8, 9, 1, 1, 0]);
    for _ in 0..2 {
        // Rows that are read again are not counted again, nor are parts of rows.
        file.read(file.bbox()).unwrap();
        file.read(BBox::new(0, 0, 1, 2)).unwrap();
        let told = file.findings().list();
        assert_eq!((told.len(), told[0].quantity, told[0].pixels), (1, "mask", 2));
        assert!(told[0].text.contains("without a plane name (6, 15)"), "{}", told[0].text);
    }
    // A real number is a set of bits only if it is whole.
    let file =
        pair.with_mask(&primary(-32, &[3, 2], &planes, &bytes_f32([0.0, 8.0, 2.5, 1.0, f32::NAN, -8.0])));
    assert_eq!(file.read_mask(file.bbox()).unwrap().as_slice().unwrap(), [0, 8, 1, 1, 1, 1]);
    assert_eq!(file.findings().list()[0].pixels, 3);
}

/// An image of noise of which `fill` takes what `without` says.
fn padded(width: usize, height: usize, fill: f32, without: impl Fn(usize, usize) -> bool) -> Vec<u8> {
    let pixels = (0..width * height).map(|i| if without(i % width, i / width) { fill } else { noise(i) });
    primary(-32, &[width, height], &[], &bytes_f32(pixels))
}

#[test]
fn borders_of_a_constant_are_no_data_where_no_weights_tell() {
    let folder = Folder::new();
    for (name, fill) in [("zero", 0.0), ("short", -32_768.0), ("hotpants", 1e-30), ("other", 77.0)] {
        let without = |x: usize, y: usize| x < 20 || y < 12 || x + y > 190;
        let path = folder.file(&format!("{name}.fits"), &padded(100, 120, fill, without));
        let file = estimated(&path).unwrap();
        let (first, second) = (BBox::new(0, 0, 100, 50), BBox::new(0, 50, 100, 70));
        let no_data = file.mask_planes().bits_of(["NO_DATA"]);
        let mut count = 0;
        for part in [first, second] {
            let read = file.read(part).unwrap();
            for ((y, x), mask) in read.mask.indexed_iter() {
                let is_without = without(x, y + part.y0 as usize);
                assert_eq!(*mask == no_data, is_without, "{name} ({x}, {y})");
                assert_eq!(read.image[[y, x]].is_nan(), is_without, "{name} ({x}, {y})");
                count += usize::from(is_without);
            }
            assert_eq!(file.read_mask(part).unwrap(), read.mask);
            assert!(same_bits(&file.read_image(part).unwrap(), &read.image));
        }
        let told = file.findings().list();
        assert_eq!((told.len(), told[0].quantity, told[0].pixels), (1, "pixels", count), "{name}");
        assert!(told[0].text.contains("treated as missing data"), "{}", told[0].text);
        assert_eq!(file.look().unwrap().list()[0].text, told[0].text);
        // The estimate of the noise is that of the pixels with data.
        let whole = estimated(&folder.file("whole.fits", &padded(100, 120, fill, |_, _| false))).unwrap();
        let of =
            |file: &ExposureFile| f64::from(file.read_variance(BBox::new(50, 60, 1, 1)).unwrap()[[0, 0]]);
        assert!((of(&file) / of(&whole) - 1.0).abs() < 0.1, "{} {}", of(&file), of(&whole));
        assert!(whole.findings().list().is_empty() && whole.look().unwrap().list().is_empty());
    }
}

#[test]
fn noise_is_estimated_where_data_are() {
    let folder = Folder::new();
    // The middle of the image, where noise is looked at first, is empty.
    let without = |x: usize, _: usize| x < 1300;
    let file = estimated(&folder.file("a.fits", &padded(1400, 60, 0.0, without))).unwrap();
    let whole = estimated(&folder.file("whole.fits", &padded(1400, 60, 0.0, |_, _| false))).unwrap();
    let of = |file: &ExposureFile| f64::from(file.read_variance(BBox::new(1350, 5, 1, 1)).unwrap()[[0, 0]]);
    assert!((of(&file) / of(&whole) - 1.0).abs() < 0.1, "{} {}", of(&file), of(&whole));
}

#[test]
fn borders_with_weights_are_used_and_told_without_weights_are_not_told() {
    let pair = |weight: &dyn Fn(usize) -> f32| {
        let folder = Folder::new();
        let image = folder.file("image.fits", &padded(64, 64, 0.0, |x, _| x < 18));
        let weights = bytes_f32((0..64 * 64).map(|i| weight(i % 64)));
        let weights = Some(folder.file("weights.fits", &primary(-32, &[64, 64], &[], &weights)).into());
        let file = ExposureFile::open(&image, &OpenOptions { weights, ..OpenOptions::default() }).unwrap();
        let mask = file.read(file.bbox()).unwrap().mask;
        let no_data = file.mask_planes().bits_of(["NO_DATA"]);
        (mask.iter().filter(|mask| **mask == no_data).count(), file.findings().list())
    };
    let (count, told) = pair(&|_| 0.5);
    assert_eq!((count, told.len(), told[0].pixels), (0, 1, 64 * 18));
    assert!(told[0].text.contains("but have weights"), "{}", told[0].text);
    let (count, told) = pair(&|x| if x < 18 { 0.0 } else { 0.5 });
    assert_eq!((count, told.len()), (64 * 18, 0));
}

#[test]
fn images_of_one_value_lose_nothing() {
    let folder = Folder::new();
    let file = estimated(&folder.file("a.fits", &padded(40, 40, 0.0, |_, _| true))).unwrap();
    let read = file.read(file.bbox()).unwrap();
    assert_eq!(read.image, Array2::<f32>::zeros((40, 40)));
    assert!(file.findings().list()[0].text.contains("too few other values"));
}
