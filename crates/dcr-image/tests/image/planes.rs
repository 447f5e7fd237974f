//! Choice of planes: HDUs by name, number, UTYPE or order; files named and files beside the image;
//! and what is never a mask or a variance.

use std::path::{Path, PathBuf};

use dcr_image::fits::{
    CompanionFile, ExposureToWrite, ImageHdu, MissingVariance, Pixels, UncertaintyKind, WriteOptions,
    write_exposure,
};
use dcr_image::header::Card;
use dcr_image::{ExposureFile, FitsError, OpenOptions, Psf};
use ndarray::{Array2, array};

use crate::support::{open, tan_cards};

/// Rows and columns of all planes.
const SHAPE: (usize, usize) = (4, 6);

/// An HDU of a file to be made.
enum Content {
    /// Real numbers, all of one value.
    Real(f32),
    /// Real numbers.
    Reals(Array2<f32>),
    /// Integers: the first pixel has the value, the others 0.
    Bits(i32),
}

/// Name, pixels and cards of an HDU.
type Plane = (&'static str, Content, Vec<Card>);

/// A WCS whose reference pixel lies `x` px further to the right.
fn tan_moved(x: f64) -> Vec<Card> {
    let moved = |card: Card| if card.keyword == "CRPIX1" { Card::new("CRPIX1", 50.5 + x) } else { card };
    tan_cards().into_iter().map(moved).collect()
}

fn with_unit(mut cards: Vec<Card>, unit: &str) -> Vec<Card> {
    cards.push(Card::new("BUNIT", unit));
    cards
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file with an empty primary HDU and these.
    fn file(&self, name: &str, planes: Vec<Plane>) -> PathBuf {
        let path = self.path(name);
        let pixels: Vec<(Array2<f32>, Array2<i32>)> = planes
            .iter()
            .map(|(_, content, _)| match content {
                Content::Real(value) => (Array2::from_elem(SHAPE, *value), Array2::zeros((0, 0))),
                Content::Reals(values) => (values.clone(), Array2::zeros((0, 0))),
                Content::Bits(value) => {
                    let mut bits = Array2::zeros(SHAPE);
                    bits[[0, 0]] = *value;
                    (Array2::zeros((0, 0)), bits)
                }
            })
            .collect();
        let images = planes
            .into_iter()
            .zip(&pixels)
            .map(|((name, _, cards), (real, bits))| {
                let pixels =
                    if bits.is_empty() { Pixels::F32(real.view()) } else { Pixels::I32(bits.view()) };
                ImageHdu::new(name, pixels).with_cards(cards)
            })
            .collect();
        let exposure = ExposureToWrite { images, ..ExposureToWrite::default() };
        write_exposure(&path, &exposure, WriteOptions { overwrite: true, compress: false }).unwrap();
        path
    }
}

fn hdu_of(path: &Path, hdu: &str) -> Option<CompanionFile> {
    Some(CompanionFile { path: path.to_owned(), hdu: Some(hdu.to_owned()) })
}

fn file(path: &Path) -> Option<CompanionFile> {
    Some(path.to_owned().into())
}

fn estimate() -> OpenOptions {
    OpenOptions { missing_variance: MissingVariance::Estimate, ..OpenOptions::default() }
}

fn message(path: &Path, options: &OpenOptions) -> String {
    ExposureFile::open(path, options).unwrap_err().to_string()
}

/// Variance of the first pixel, its mask by names, and warnings.
fn read(path: &Path, options: &OpenOptions) -> (f32, Vec<String>, Vec<String>) {
    let file = ExposureFile::open(path, options).unwrap();
    let read = file.read(file.bbox()).unwrap();
    let names = file.mask_planes().names_in(read.mask[[0, 0]]).map(str::to_owned).collect();
    let warnings = file.visit().assumptions.iter().filter(|note| note.warning);
    let of_planes = warnings.filter(|note| ["mask", "variance", "weights"].contains(&note.quantity.as_str()));
    (read.variance[[0, 0]], names, of_planes.map(|note| note.text.clone()).collect())
}

fn bad() -> Vec<String> {
    vec!["BAD".to_owned()]
}

#[test]
fn planes_by_the_names_of_many_pipelines() {
    let folder = Folder::new();
    for (image, mask, uncertainty, variance) in [
        ("SCI", "MSK", "WGT", 0.25),
        ("SCI", "BPM", "IVM", 0.25),
        ("IMAGE", "FLAG", "rms", 16.0),
        ("SCIENCE", "DQ", "STDDEV", 16.0),
        ("sci", "msk", "Sigma", 16.0),
        ("DATA", "MASK", "STAT", 4.0),
    ] {
        let path = folder.file(
            "a.fits",
            vec![
                (image, Content::Real(7.0), with_unit(tan_cards(), "adu")),
                (mask, Content::Bits(3), vec![]),
                // A header copied from the image, unit included, is no reason to doubt a name.
                (uncertainty, Content::Real(4.0), with_unit(tan_cards(), "adu")),
            ],
        );
        assert_eq!(read(&path, &OpenOptions::default()), (variance, bad(), vec![]), "{uncertainty}");
    }
}

#[test]
fn planes_before_the_image_are_found_by_name() {
    let folder = Folder::new();
    let path = folder.file(
        "a.fits",
        vec![
            ("WGT", Content::Real(4.0), vec![]),
            ("MSK", Content::Bits(1), vec![]),
            ("SCI", Content::Real(7.0), tan_cards()),
        ],
    );
    assert_eq!(read(&path, &OpenOptions::default()), (0.25, bad(), vec![]));
}

#[test]
fn utype_decides_what_uncert_holds() {
    let folder = Folder::new();
    let with = |utype: Option<&str>| {
        let cards = utype.map(|utype| Card::new("UTYPE", utype)).into_iter().collect();
        folder.file(
            "a.fits",
            vec![
                ("", Content::Real(7.0), with_unit(tan_cards(), "adu")),
                ("MASK", Content::Bits(1), vec![]),
                ("UNCERT", Content::Real(4.0), cards),
            ],
        )
    };
    for (utype, variance) in
        [("StdDevUncertainty", 16.0), ("VarianceUncertainty", 4.0), ("InverseVariance", 0.25)]
    {
        assert_eq!(read(&with(Some(utype)), &OpenOptions::default()), (variance, bad(), vec![]), "{utype}");
    }
    let (variance, _, warnings) = read(&with(None), &OpenOptions::default());
    assert!(variance == 16.0 && warnings[0].contains("has no UTYPE"), "{warnings:?}");
    let path = with(Some("UnknownUncertainty"));
    let text = message(&path, &OpenOptions::default());
    assert!(text.contains("HDU 3 (UNCERT): UTYPE = 'UnknownUncertainty'"), "{text}");
    assert!(text.contains("{stem}.fits[3]") && text.contains("input.weights_hold"), "{text}");
    // The remedy in the error.
    let told = OpenOptions {
        weights: hdu_of(&path, "3"),
        weights_hold: Some(UncertaintyKind::Variance),
        ..OpenOptions::default()
    };
    assert_eq!(read(&path, &told), (4.0, bad(), vec![]));
}

/// An image, two masks and three uncertainties, some of names that mean nothing.
fn many(folder: &Folder) -> PathBuf {
    folder.file(
        "a.fits",
        vec![
            ("IMAGE", Content::Real(7.0), tan_cards()),
            ("MASK", Content::Bits(0), vec![]),
            ("MINE", Content::Real(4.0), vec![Card::new("EXTVER", 1_i64)]),
            ("MINE", Content::Real(16.0), vec![Card::new("EXTVER", 2_i64)]),
            ("HIS", Content::Bits(8), vec![]),
            ("VARIANCE", Content::Real(100.0), vec![]),
        ],
    )
}

#[test]
fn hdus_are_named_by_name_version_or_number() {
    let folder = Folder::new();
    let path = many(&folder);
    let with = |weights: &str, mask: &str| OpenOptions {
        weights: hdu_of(&path, weights),
        mask: hdu_of(&path, mask),
        ..OpenOptions::default()
    };
    assert_eq!(read(&path, &with("MINE,2", "HIS")), (1.0 / 16.0, bad(), vec![]));
    assert_eq!(read(&path, &with("3", "his")), (0.25, bad(), vec![]));
    assert_eq!(read(&path, &with("VARIANCE", "2")), (100.0, vec![], vec![]));
    // The image's EXTVER, 1 without a card, decides between HDUs of one name.
    assert_eq!(read(&path, &with("MINE", "5")), (0.25, bad(), vec![]));
    let text = message(&path, &with("THEIRS", "HIS"));
    assert!(
        text.contains("found no HDU named or numbered THEIRS") && text.contains("HDU 4 (MINE,2, 6 × 4)"),
        "{text}"
    );
    assert!(message(&path, &with("99", "HIS")).contains("named or numbered 99"));
    let other = OpenOptions { weights: hdu_of(&folder.path("none.fits"), "1"), ..OpenOptions::default() };
    assert!(message(&path, &other).contains("none.fits: cannot open it for reading"));
}

#[test]
fn setting_and_name_that_contradict_each_other_are_reported() {
    let folder = Folder::new();
    let path = many(&folder);
    let with = |hdu: &str, kind| OpenOptions {
        weights: hdu_of(&path, hdu),
        weights_hold: Some(kind),
        ..OpenOptions::default()
    };
    let (variance, _, warnings) = read(&path, &with("VARIANCE", UncertaintyKind::StandardDeviation));
    assert_eq!(variance, 1e4);
    assert!(
        warnings[0].contains("variance by its name or UTYPE, and standard deviation by input.weights_hold")
    );
    assert_eq!(read(&path, &with("MINE,1", UncertaintyKind::Variance)), (4.0, vec![], vec![]));
}

#[test]
fn image_is_never_its_own_companion() {
    let folder = Folder::new();
    let path = folder.file("a.fits", vec![("SCI", Content::Real(7.0), tan_cards())]);
    let mut same = vec![path.clone(), folder.0.path().join(".").join("a.fits")];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("a.fits", folder.path("soft.fits")).unwrap();
        std::fs::hard_link(&path, folder.path("hard.fits")).unwrap();
        same.extend([folder.path("soft.fits"), folder.path("hard.fits")]);
    }
    for other in same {
        for companion in [file(&other), hdu_of(&other, "SCI"), hdu_of(&other, "1")] {
            for (setting, options) in [
                ("input.weights", OpenOptions { weights: companion.clone(), ..estimate() }),
                ("input.masks", OpenOptions { mask: companion.clone(), ..estimate() }),
                ("input.psfs", OpenOptions { psf: companion.clone(), ..estimate() }),
            ] {
                let text = message(&path, &options);
                assert!(text.contains(&format!("{setting} names the image itself")), "{text}");
                assert!(text.contains("HDU 1 (SCI, 6 × 4)"), "{text}");
            }
        }
    }
    // A copy of the image is another file, and may be meant.
    std::fs::copy(&path, folder.path("copy.fits")).unwrap();
    assert!(
        ExposureFile::open(&path, &OpenOptions { weights: file(&folder.path("copy.fits")), ..estimate() })
            .is_ok()
    );
}

#[test]
fn own_file_without_an_hdu_goes_by_the_names_of_planes() {
    let folder = Folder::new();
    let mut stamp = Array2::zeros((5, 5));
    stamp[[2, 2]] = 1.0;
    let path = folder.file(
        "a.fits",
        vec![
            ("SCI", Content::Real(7.0), tan_cards()),
            ("MSK", Content::Bits(1), vec![]),
            ("WGT", Content::Real(4.0), vec![]),
            ("PSF", Content::Reals(stamp), vec![]),
        ],
    );
    let own =
        OpenOptions { weights: file(&path), mask: file(&path), psf: file(&path), ..OpenOptions::default() };
    assert_eq!(read(&path, &own), (0.25, bad(), vec![]));
    assert!(matches!(ExposureFile::open(&path, &own).unwrap().psf(), Some(Psf::Stamp(_))));
    let by_number = OpenOptions { psf: hdu_of(&path, "4"), ..OpenOptions::default() };
    assert!(matches!(ExposureFile::open(&path, &by_number).unwrap().psf(), Some(Psf::Stamp(_))));
}

#[test]
fn ccds_without_names_are_refused_and_lend_each_other_nothing() {
    let folder = Folder::new();
    let path = folder.file(
        "a.fits",
        vec![
            ("", Content::Real(7.0), tan_moved(0.0)),
            ("", Content::Real(8.0), tan_moved(-300.0)),
            ("", Content::Bits(1), tan_moved(-600.0)),
        ],
    );
    for options in [OpenOptions::default(), estimate()] {
        let text = message(&path, &options);
        assert!(text.contains("several images, each with its own WCS: HDU 1 (6 × 4), HDU 2"), "{text}");
    }
    let first = OpenOptions { image_hdu: Some("1".into()), ..OpenOptions::default() };
    let text = message(&path, &first);
    assert!(text.contains("found no variance") && text.contains("HDU 2 has a WCS of its own"), "{text}");
    let (_, mask, warnings) = read(&path, &OpenOptions { image_hdu: Some("1".into()), ..estimate() });
    // Not that of HDU 3: the image has no noise, and so no data.
    assert_eq!(mask, ["NO_DATA"]);
    assert!(
        warnings.iter().any(|text| text.contains("HDU 3 has a WCS of its own: it is not used as the mask"))
    );
    assert!(
        warnings
            .iter()
            .any(|text| text.contains("HDU 2 has a WCS of its own: it is not used as the variance"))
    );
}

#[test]
fn planes_of_several_ccds_go_by_extver() {
    let folder = Folder::new();
    let version = |mut cards: Vec<Card>, version: i64| {
        cards.push(Card::new("EXTVER", version));
        cards
    };
    let path = folder.file(
        "a.fits",
        vec![
            ("SCI", Content::Real(7.0), version(tan_moved(0.0), 1)),
            ("SCI", Content::Real(8.0), version(tan_moved(-300.0), 2)),
            ("ERR", Content::Real(1.0), version(tan_moved(0.0), 1)),
            ("ERR", Content::Real(2.0), version(tan_moved(-300.0), 2)),
            ("DQ", Content::Bits(0), version(vec![], 1)),
            ("DQ", Content::Bits(1), version(vec![], 2)),
        ],
    );
    assert!(message(&path, &OpenOptions::default()).contains("HDU 1 (SCI,1, 6 × 4), HDU 2 (SCI,2, 6 × 4)"));
    let of = |hdu: &str| OpenOptions { image_hdu: Some(hdu.into()), ..OpenOptions::default() };
    assert!(message(&path, &of("SCI")).contains("SCI names several HDUs"));
    assert_eq!(read(&path, &of("SCI,1")), (1.0, vec![], vec![]));
    assert_eq!(read(&path, &of("sci,2")), (4.0, bad(), vec![]));
}

#[test]
fn unnamed_extension_with_the_images_unit_is_another_image() {
    let folder = Folder::new();
    let with = |unit: &str| {
        folder.file(
            "a.fits",
            vec![
                ("", Content::Real(7.0), with_unit(tan_cards(), "adu")),
                ("", Content::Real(4.0), with_unit(vec![], unit)),
            ],
        )
    };
    assert_eq!(read(&with("adu**2"), &OpenOptions::default()).0, 4.0);
    let text = message(&with("ADU"), &OpenOptions::default());
    assert!(text.contains("HDU 2 has the image's unit (BUNIT): not a variance"), "{text}");
}

#[test]
fn unnamed_extension_with_negative_pixels_is_no_variance() {
    let folder = Folder::new();
    let with = |values: Array2<f32>| {
        folder
            .file("a.fits", vec![("", Content::Real(7.0), tan_cards()), ("", Content::Reals(values), vec![])])
    };
    let sky = Array2::from_shape_fn(SHAPE, |(y, x)| if (x + y) % 2 == 0 { -1.5 - x as f32 } else { 2.0 });
    let text = message(&with(sky), &OpenOptions::default());
    assert!(text.contains("HDU 2 has negative pixels: not a variance"), "{text}");
    // One negative value may mark pixels without data.
    let mut marked = Array2::from_elem(SHAPE, 4.0);
    marked.row_mut(3).fill(-1.0);
    assert_eq!(read(&with(marked), &OpenOptions::default()).0, 4.0);
}

#[test]
fn weights_beside_the_image_hold_what_their_name_says() {
    let folder = Folder::new();
    let path = folder.file("x.fits", vec![("", Content::Real(7.0), tan_cards())]);
    for (name, variance) in [
        ("x.weight.fits", 0.25),
        ("x.wht.fits", 0.25),
        ("x_ivar.fits", 0.25),
        ("x.rms.fits", 16.0),
        ("x-unc.fits", 16.0),
        ("x.var.fits", 4.0),
    ] {
        let weights = folder.file(name, vec![("", Content::Real(4.0), tan_cards())]);
        assert_eq!(read(&path, &OpenOptions::default()).0, variance, "{name}");
        let told = OpenOptions { weights_hold: Some(UncertaintyKind::Variance), ..OpenOptions::default() };
        assert_eq!(read(&path, &told).0, 4.0, "{name}: a setting wins");
        std::fs::remove_file(weights).unwrap();
    }
    folder.file("x.wt.fits", vec![("", Content::Real(4.0), tan_cards())]);
    assert!(matches!(open(&path), Err(FitsError::NoVariance { .. })), "variances of some, weights of others");
}

#[test]
fn planes_of_another_place_are_refused_and_small_differences_reported() {
    let folder = Folder::new();
    let path = folder.file("x.fits", vec![("", Content::Real(7.0), tan_cards())]);
    let beside = |moved: f64| folder.file("x.weight.fits", vec![("", Content::Real(4.0), tan_moved(moved))]);
    beside(0.5);
    assert_eq!(
        read(&path, &OpenOptions::default()).2,
        ["There is no mask; only pixels without a value or weight are bad."]
    );
    beside(1.5);
    let (variance, _, warnings) = read(&path, &OpenOptions::default());
    assert_eq!(variance, 0.25);
    assert!(
        warnings[1].contains("The WCS of the weights in HDU 1 is 1.5 px from the image's"),
        "{warnings:?}"
    );
    let weights = beside(300.0);
    let text = message(&path, &OpenOptions::default());
    assert!(text.contains("x.weight.fits: HDU 1 belongs to another image: its WCS is 300 px from"), "{text}");
    assert!(message(&path, &OpenOptions { mask: file(&weights), ..estimate() }).contains("another image"));
}

#[test]
fn companion_of_several_ccds_gives_the_one_of_the_image() {
    let folder = Folder::new();
    let ccds = |name: &str, value: f32| {
        folder.file(
            name,
            vec![
                ("", Content::Real(value), tan_moved(0.0)),
                ("", Content::Real(2.0 * value), tan_moved(-300.0)),
            ],
        )
    };
    let path = ccds("x.fits", 7.0);
    ccds("x.weight.fits", 4.0);
    for (hdu, variance) in [("1", 0.25), ("2", 0.125)] {
        let options = OpenOptions { image_hdu: Some(hdu.into()), ..OpenOptions::default() };
        assert_eq!(read(&path, &options).0, variance);
    }
    // Without a WCS nothing tells which is meant.
    let weights =
        folder.file("w.fits", vec![("", Content::Real(4.0), vec![]), ("", Content::Real(5.0), vec![])]);
    let options =
        OpenOptions { image_hdu: Some("1".into()), weights: file(&weights), ..OpenOptions::default() };
    let text = message(&path, &options);
    assert!(text.contains("w.fits: found several images") && text.contains("input.weights"), "{text}");
    assert_eq!(read(&path, &OpenOptions { weights: hdu_of(&weights, "2"), ..options }).0, 0.2);
}

#[test]
fn masks_of_lsst_images_have_the_names_of_afw() {
    let folder = Folder::new();
    let mut cards = vec![];
    for (number, name) in ["NO_DATA", "SATURATED", "COSMIC_RAY", "DETECTION_EDGE"].iter().enumerate() {
        cards.push(Card::new(&format!("MSKN{number:04}"), *name));
        cards.push(Card::new(&format!("MSKM{number:04}"), 1_i64 << number));
    }
    let path = folder.file(
        "a.fits",
        vec![
            ("IMAGE", Content::Real(7.0), tan_cards()),
            ("MASK", Content::Bits(0b1110), cards.clone()),
            ("VARIANCE", Content::Real(4.0), vec![]),
        ],
    );
    let (_, names, warnings) = read(&path, &OpenOptions::default());
    assert_eq!((names, warnings), (vec!["SAT".to_owned(), "CR".into(), "EDGE".into()], vec![]));
    let path = folder.file(
        "a.fits",
        vec![
            ("IMAGE", Content::Real(7.0), tan_cards()),
            ("MASK", Content::Bits(0b1110), cards),
            ("MASK", Content::Bits(1), vec![Card::new("EXTVER", 2_i64)]),
            ("VARIANCE", Content::Real(4.0), vec![]),
        ],
    );
    let (_, _, warnings) = read(&path, &OpenOptions::default());
    assert_eq!(warnings, ["Of several masks HDU 2 (MASK) is read; HDU 3 (MASK) is not."]);
}

#[cfg(unix)]
#[test]
fn links_to_nowhere_are_named_with_their_target() {
    let folder = Folder::new();
    let path = folder.file("x.fits", vec![("", Content::Real(7.0), tan_cards())]);
    std::os::unix::fs::symlink("gone.fits", folder.path("link.fits")).unwrap();
    let text = message(&folder.path("link.fits"), &estimate());
    assert!(text.contains("link.fits: this link points to gone.fits, which does not exist"), "{text}");
    std::os::unix::fs::symlink("gone.fits", folder.path("x.weight.fits")).unwrap();
    assert!(message(&path, &estimate()).contains("x.weight.fits: this link points to gone.fits"));
}

#[test]
fn file_whose_name_ends_in_brackets_is_taken_literally() {
    let folder = Folder::new();
    let path = folder.file("x.fits", vec![("", Content::Real(7.0), tan_cards())]);
    let weights = folder.file("x.w.fits", vec![("", Content::Real(4.0), tan_cards())]);
    let options = OpenOptions { weights: hdu_of(&weights, "1"), ..OpenOptions::default() };
    assert_eq!(read(&path, &options).0, 0.25);
    std::fs::rename(
        folder.file("other.fits", vec![("", Content::Reals(array![[1.0]]), vec![])]),
        folder.path("x.w.fits[1]"),
    )
    .unwrap();
    assert!(message(&path, &options).contains("x.w.fits[1]: HDU 1 has 1 × 1 pixels"));
}
