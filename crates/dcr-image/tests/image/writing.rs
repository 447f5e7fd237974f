//! What is written is read back, by us and by astropy.

use std::path::{Path, PathBuf};

use dcr_image::fits::{
    Column, ColumnValues, ExposureToWrite, ImageHdu, Pixels, TableHdu, WriteOptions, write_exposure,
};
use dcr_image::{BBox, ExposureFile, FitsError, OpenOptions};
use ndarray::Array2;

use crate::support::{Small, open, same_bits};

fn check_round_trip(options: WriteOptions) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a[1].fits");
    let small = Small::new(BBox::new(-20, 1000, 7, 5));
    write_exposure(&path, &small.to_write(), options).unwrap();
    let file = open(&path).unwrap();
    assert_eq!(file.bbox(), small.bbox);
    assert_eq!(file.unit(), Some("nJy"));
    assert_eq!(file.mask_planes(), &small.planes);
    assert_eq!(file.header().f64("BORE-AIRMASS"), Some(1.25));
    assert!(file.header().text("PROVENANCE").unwrap().ends_with("isn't it?"));
    assert!(file.wcs().difference_px(&crate::support::tan(&small.bbox), &small.bbox).unwrap() < 1e-9);
    let read = file.read(small.bbox).unwrap();
    assert!(same_bits(&read.image, &small.image) && same_bits(&read.variance, &small.variance));
    assert_eq!(read.mask, small.mask);
    let part = BBox::new(-19, 1001, 3, 2);
    let (sub, read) = (read.sub_image(part).unwrap(), file.read(part).unwrap());
    assert!(same_bits(&read.image, &sub.image) && read.mask == sub.mask);
}

#[test]
fn round_trip_is_exact() {
    check_round_trip(WriteOptions::default());
}

#[test]
fn round_trip_compressed_is_exact() {
    check_round_trip(WriteOptions { compress: true, overwrite: false });
}

/// A header of more characters than a formatted text may be wide.
#[test]
fn long_header_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.fits");
    let small = Small::new(BBox::new(0, 0, 7, 5));
    let text: String = (0..20_000).map(|i| format!("{i} ")).collect();
    let mut exposure = small.to_write();
    exposure.primary.push(dcr_image::header::Card::new("CURVE", text.as_str()));
    write_exposure(&path, &exposure, WriteOptions::default()).unwrap();
    assert_eq!(open(&path).unwrap().header().text("CURVE").map(str::trim_end), Some(text.trim_end()));
}

#[test]
fn existing_file_is_kept_unless_overwriting_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.fits");
    std::fs::write(&path, "mine").unwrap();
    let small = Small::new(BBox::new(0, 0, 7, 5));
    assert!(matches!(
        write_exposure(&path, &small.to_write(), WriteOptions::default()),
        Err(FitsError::Exists { .. })
    ));
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    write_exposure(&path, &small.to_write(), WriteOptions { overwrite: true, compress: false }).unwrap();
    assert!(open(&path).is_ok());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn folder_that_is_missing_is_named() {
    let small = Small::new(BBox::new(0, 0, 7, 5));
    let error =
        write_exposure(Path::new("/no/such/folder/a.fits"), &small.to_write(), WriteOptions::default())
            .unwrap_err();
    assert!(error.to_string().starts_with("/no/such/folder/a.fits: cannot create it"), "{error}");
}

#[test]
fn output_is_the_same_each_time() {
    let folder = tempfile::tempdir().unwrap();
    for compress in [false, true] {
        let bytes = |name: &str| {
            let path = folder.path().join(name);
            let options = WriteOptions { compress, overwrite: true };
            write_exposure(&path, &Small::new(BBox::new(0, 0, 7, 5)).to_write(), options).unwrap();
            std::fs::read(path).unwrap()
        };
        assert_eq!(bytes("a.fits"), bytes("b.fits"));
    }
}

#[test]
fn table_columns_must_have_one_length() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.fits");
    let column = |name: &str, values| Column { name: name.into(), unit: String::new(), values };
    let exposure = ExposureToWrite {
        tables: vec![TableHdu {
            name: "INPUTS".into(),
            columns: vec![
                column("visit", ColumnValues::I64(vec![1, 2])),
                column("airmass", ColumnValues::F64(vec![1.0])),
            ],
            cards: Vec::new(),
        }],
        ..ExposureToWrite::default()
    };
    let error = write_exposure(&path, &exposure, WriteOptions::default()).unwrap_err();
    assert!(error.to_string().contains("column airmass has 1 rows, the first column 2"), "{error}");
    assert!(!path.exists());
}

/// Writes an exposure with images and a table of every kind, compressed or not; gives its path.
fn write_every_kind(folder: &Path, compress: bool) -> PathBuf {
    let small = Small::new(BBox::new(3, 4, 7, 5));
    let mut counts = Array2::from_elem((5, 7), 3_u16);
    counts[[0, 0]] = u16::MAX;
    let mut stamp = Array2::zeros((3, 3));
    stamp[[1, 1]] = 1.0_f64;
    let mut exposure = small.to_write();
    exposure.images.push(ImageHdu::new("N_IMAGE", Pixels::U16(counts.view())));
    exposure.images.push(ImageHdu::new("PSF", Pixels::F64(stamp.view())));
    let column = |name: &str, unit: &str, values| Column { name: name.into(), unit: unit.into(), values };
    exposure.tables.push(TableHdu {
        name: "INPUTS".into(),
        columns: vec![
            column("visit", "", ColumnValues::I64(vec![1, -2])),
            column("airmass", "", ColumnValues::F64(vec![1.25, 1.5])),
            column("name", "", ColumnValues::Text(vec!["a".into(), "warp b".into()])),
            column("altitude", "deg", ColumnValues::F64(vec![f64::NAN, 41.8])),
        ],
        cards: Vec::new(),
    });
    let path = folder.join(format!("{compress}.fits"));
    write_exposure(&path, &exposure, WriteOptions { compress, overwrite: false }).unwrap();
    path
}

#[test]
fn psf_that_we_write_is_read() {
    let folder = tempfile::tempdir().unwrap();
    for compress in [false, true] {
        let path = write_every_kind(folder.path(), compress);
        let file = ExposureFile::open(&path, &OpenOptions::default()).unwrap();
        assert!(file.psf().is_some(), "compress={compress}");
    }
}

mod needs_python {
    use std::process::Command;

    use super::*;

    /// What astropy says of a file: its structure, values, and whether all checksums hold.
    const ASTROPY: &str = r#"
import sys, warnings
from astropy.io import fits
import numpy as np
warnings.simplefilter("error")
with fits.open(sys.argv[1]) as f:
    f.verify("exception")
    assert [h.name for h in f[1:]] == ["IMAGE", "MASK", "VARIANCE", "N_IMAGE", "PSF", "INPUTS"], f.info(False)
    assert f[0].header["BORE-AIRMASS"] == 1.25
    assert f[0].header["PROVENANCE"].endswith("isn't it?"), f[0].header["PROVENANCE"]
    image = f["IMAGE"].data
    assert image.shape == (5, 7) and np.isnan(image[1, 2]) and abs(image[4, 3] - 43 / 7) < 1e-6
    assert f["MASK"].header["MP_DETECTED_NEGATIVE"] == 0 and f["MASK"].data[0, 3] == 1
    assert f["N_IMAGE"].data.dtype.kind == "u" and f["N_IMAGE"].data[0, 0] == 65535 and f["N_IMAGE"].data[1, 0] == 3
    assert f["PSF"].data[1, 1] == 1.0
    table = f["INPUTS"].data
    assert list(table["visit"]) == [1, -2] and list(table["name"]) == ["a", "warp b"] and table["airmass"][1] == 1.5
with fits.open(sys.argv[1], checksum=True, disable_image_compression=True) as f:
    for h in f:
        assert "CHECKSUM" in h.header and "DATASUM" in h.header, h.name
"#;

    #[test]
    #[ignore = "needs Python with astropy: set DCR_PYTHON"]
    fn astropy_reads_what_we_write() {
        let python = std::env::var("DCR_PYTHON").expect("DCR_PYTHON names a Python with astropy");
        let folder = tempfile::tempdir().unwrap();
        for compress in [false, true] {
            let path = write_every_kind(folder.path(), compress);
            let output = Command::new(&python).args(["-c", ASTROPY]).arg(&path).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "compress={compress}: {said}");
        }
    }
}
