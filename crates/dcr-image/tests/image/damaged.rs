//! Damaged and hostile files: each is refused at once with the place of the damage, and nothing in
//! a file vanishes without a word.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use dcr_image::fits::{
    Checksums, Column, ColumnValues, ExposureToWrite, ImageHdu, Pixels, PlaneFile, TableHdu, WriteOptions,
    hdu_labels, verify_checksums, write_exposure,
};
use dcr_image::header::Card;
use dcr_image::{BBox, ExposureFile, FitsError, OpenOptions, Psf};
use flate2::Compression;
use flate2::write::GzEncoder;
use ndarray::{Array2, Array3};

use crate::support::{Small, open, same_bits};

/// Bytes of a block.
const BLOCK: usize = 2880;
/// Bytes of a card.
const CARD: usize = 80;

struct Bytes(Vec<u8>);

impl Bytes {
    /// The file of [`Small`], plain or compressed; HDU 1 is the image, 2 the mask, 3 the variance.
    fn small(compress: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.fits");
        let small = Small::new(BBox::new(0, 0, 40, 50));
        write_exposure(&path, &small.to_write(), WriteOptions { compress, overwrite: false }).unwrap();
        Self(std::fs::read(path).unwrap())
    }

    /// Offset of the card of a keyword in an HDU.
    fn card(&self, hdu: usize, keyword: &str) -> usize {
        let starts = self
            .0
            .chunks(BLOCK)
            .enumerate()
            .filter(|(number, block)| *number == 0 || block.starts_with(b"XTENSION"));
        let start = starts.map(|(number, _)| number * BLOCK).nth(hdu).unwrap();
        let name = format!("{keyword:<8}");
        let at = self.0[start..].chunks(CARD).position(|card| card.starts_with(name.as_bytes())).unwrap();
        start + at * CARD
    }

    /// The same file with another value of a card.
    fn with(&self, hdu: usize, keyword: &str, value: &str) -> Self {
        let mut bytes = self.0.clone();
        let at = self.card(hdu, keyword);
        let line = format!("{:<80}", format!("{keyword:<8}= {value:>20}"));
        bytes[at..at + CARD].copy_from_slice(line.as_bytes());
        Self(bytes)
    }

    /// The same file with another line in place of a card.
    fn with_line(&self, hdu: usize, keyword: &str, line: &[u8]) -> Self {
        let mut bytes = self.0.clone();
        let at = self.card(hdu, keyword);
        bytes[at..at + CARD].fill(b' ');
        bytes[at..at + line.len()].copy_from_slice(line);
        Self(bytes)
    }

    fn write(&self, folder: &tempfile::TempDir, name: &str) -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, &self.0).unwrap();
        path
    }

    /// The error of opening and reading all planes.
    fn error(&self) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = self.write(&folder, "damaged.fits");
        let outcome = open(&path).and_then(|file| file.read(file.bbox()));
        let error = outcome.expect_err("a damaged file was read").to_string();
        assert!(error.contains("damaged.fits"), "{error}");
        error
    }
}

/// Opens an input with its sums verified.
fn open_verified(path: &Path) -> Result<ExposureFile, FitsError> {
    let options = OpenOptions { checksums: Checksums::Data, ..OpenOptions::default() };
    ExposureFile::open(path, &options)
}

#[test]
fn mandatory_cards_out_of_range_name_the_card_and_its_byte() {
    let file = Bytes::small(false);
    for (hdu, keyword, value, expected) in [
        (0, "SIMPLE", "F", "SIMPLE = F"),
        (1, "BITPIX", "24", "BITPIX = 24"),
        (1, "BITPIX", "'x'", "BITPIX = 'x'"),
        (1, "NAXIS", "-1", "NAXIS = -1"),
        (1, "NAXIS", "1000", "NAXIS = 1000"),
        (1, "NAXIS", "3", "card NAXIS3 is missing"),
        (1, "NAXIS1", "-1", "NAXIS1 = -1"),
        (2, "NAXIS1", "40.5", "NAXIS1 = 40.5"),
        (1, "NAXIS2", "9223372036854775807", "the number of pixels exceeds any file"),
        (1, "PCOUNT", "-2880", "PCOUNT = -2880"),
        (1, "PCOUNT", "2880", "PCOUNT = 2880"),
        (1, "GCOUNT", "-32", "GCOUNT = -32"),
        (1, "GCOUNT", "9223372036854775808", "GCOUNT = 922337203685477"),
        (1, "GCOUNT", "0", "GCOUNT = 0"),
        (3, "XTENSION", "''", "XTENSION"),
    ] {
        let error = file.with(hdu, keyword, value).error();
        let named = format!("HDU {hdu} is damaged (byte ");
        assert!(error.contains(&named) && error.contains(expected), "{keyword} = {value}: {error}");
    }
    let error = file.with(1, "NAXIS1", "1099511627776").error();
    assert!(error.contains("is truncated") && error.contains("HDU 1 needs"), "{error}");
}

#[test]
fn header_that_lost_its_end_is_named() {
    let file = Bytes::small(false);
    let error = file.with_line(0, "END", b"").error();
    assert!(error.contains("HDU 0 is damaged (byte 2880): expected an END card"), "{error}");
    let error = file.with_line(3, "END", b"").error();
    assert!(error.contains("HDU 3 is damaged"), "{error}");
    let error = file.with_line(1, "CRVAL1", b"\0\0\0\0").error();
    assert!(error.contains("HDU 1 is damaged") && error.contains("expected a header card"), "{error}");
}

#[test]
fn card_that_stands_twice_with_two_values_is_refused() {
    let file = Bytes::small(false);
    let error = file.with_line(1, "BUNIT", b"NAXIS1  =                   41").error();
    assert!(error.contains("NAXIS1 = 41 stands after 40"), "{error}");
    let same = file.with_line(1, "BUNIT", b"NAXIS1  =                   40");
    let folder = tempfile::tempdir().unwrap();
    assert!(open(&same.write(&folder, "a.fits")).is_ok());
}

/// Every cut is an error, the few exactly between two HDUs excepted, which no file can show.
#[test]
fn truncation_anywhere_is_an_error() {
    for compress in [false, true] {
        let file = Bytes::small(compress);
        let boundaries: Vec<usize> =
            (0..4).map(|hdu| file.card(hdu, if hdu == 0 { "SIMPLE" } else { "XTENSION" })).collect();
        let folder = tempfile::tempdir().unwrap();
        for cut in (1..file.0.len()).step_by(311).chain(boundaries.iter().map(|at| at + 7)) {
            let path = Bytes(file.0[..cut].to_vec()).write(&folder, "cut.fits");
            if !boundaries.contains(&cut) {
                let error = hdu_labels(&path).expect_err(&format!("{cut} bytes"));
                assert!(error.to_string().contains("cut.fits"), "{error}");
            }
        }
    }
}

#[test]
fn bytes_after_the_last_hdu_are_padding_or_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for (fill, fine) in [(0, true), (b' ', true), (b'x', false), (0xff, false)] {
        let mut file = Bytes::small(false);
        file.0.extend(std::iter::repeat_n(fill, 3000));
        let labels = hdu_labels(&file.write(&folder, "a.fits"));
        match labels {
            Ok(labels) => assert!(fine && labels.len() == 4, "{fill}: {labels:?}"),
            Err(error) => {
                assert!(!fine && error.to_string().contains("HDU 4 is damaged"), "{fill}: {error}");
            }
        }
    }
    // One row fewer than were written: what is left is not padding.
    let error = Bytes::small(false).with(3, "NAXIS2", "10").error();
    assert!(error.contains("the end of the file; found"), "{error}");
}

#[test]
fn cards_of_compressed_images_are_checked() {
    let file = Bytes::small(true);
    for (keyword, value, expected) in [
        ("ZBITPIX", "33", "ZBITPIX = 33"),
        ("ZNAXIS", "0", "ZNAXIS = 0"),
        ("ZNAXIS1", "-40", "ZNAXIS1 = -40"),
        ("ZNAXIS2", "51", "51 tiles"),
        ("ZNAXIS1", "4611686018427387904", "tiles"),
        ("ZTILE1", "0", "ZTILE1 = 0"),
        ("ZTILE2", "-1", "ZTILE2 = -1"),
        ("ZTILE2", "7", "8 tiles"),
        ("ZCMPTYPE", "'GZIP_9'", "ZCMPTYPE = 'GZIP_9'"),
        ("NAXIS1", "20", ""),
        ("TFORM1", "'1PZ'", "TFORM1 = '1PZ'"),
        ("TFIELDS", "0", ""),
        ("TFIELDS", "1000", "TFIELDS = 1000"),
        ("PCOUNT", "-1", "PCOUNT = -1"),
        ("TTYPE1", "'OTHER'", "COMPRESSED_DATA"),
    ] {
        let error = file.with(1, keyword, value).error();
        assert!(error.contains("HDU 1 ") && error.contains(expected), "{keyword} = {value}: {error}");
    }
    let error = file.with_line(1, "BUNIT", b"TSCAL1  =                  1.5").error();
    assert!(error.contains("TSCAL1 = 1.5; expected no scaling"), "{error}");
    // A tile of all columns as one huge row is bounded by the compressed bytes.
    let error = file.with(1, "ZNAXIS1", "99999999999").with(1, "ZTILE1", "99999999999").error();
    assert!(error.contains("exceed any compression"), "{error}");
}

/// Descriptors and payloads of compressed tiles: an error or the right pixels, never a crash.
#[test]
fn damaged_tiles_are_errors() {
    let file = Bytes::small(true);
    let start = file.card(1, "END").next_multiple_of(BLOCK);
    let folder = tempfile::tempdir().unwrap();
    // The first descriptor: bytes and place of the first tile.
    for (offset, value) in [(0, 1_u32 << 31), (0, 0), (0, 5), (4, u32::MAX), (4, 1 << 20)] {
        let mut damaged = Bytes(file.0.clone());
        damaged.0[start + offset..start + offset + 4].copy_from_slice(&value.to_be_bytes());
        let error = damaged.error();
        assert!(error.contains("HDU 1 is damaged"), "{offset} {value}: {error}");
    }
    let good = open(&file.write(&folder, "good.fits")).unwrap();
    let good = good.read(good.bbox()).unwrap();
    for at in (start..start + 2000).step_by(13) {
        let mut damaged = Bytes(file.0.clone());
        damaged.0[at] ^= 0x10;
        let path = damaged.write(&folder, "flipped.fits");
        if let Ok(read) = open(&path).and_then(|file| file.read(file.bbox())) {
            // gzip has a checksum of its own: what passes it was not part of the image.
            assert!(same_bits(&read.image, &good.image), "byte {at}");
        }
        let error = open_verified(&path).map(|_| ()).expect_err("a flipped bit in the data");
        assert!(matches!(error, FitsError::Checksum { keyword: "DATASUM", .. }), "{error}");
    }
}

#[test]
fn sizes_of_psf_cubes_and_tables_are_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("psf.fits");
    let stamps = Array3::from_shape_fn((2, 5, 5), |(_, y, x)| if (y, x) == (2, 2) { 1.0 } else { 0.1 });
    let number = |name: &str, value| Column {
        name: name.into(),
        unit: String::new(),
        values: ColumnValues::I64(vec![value, value]),
    };
    let mut columns = vec![number("X0", 0), number("Y0", 0), number("WIDTH", 9), number("HEIGHT", 9)];
    columns.push(Column { name: "STAMP".into(), unit: String::new(), values: ColumnValues::Images(stamps) });
    let table = TableHdu { name: "PSF_GRID".into(), columns, cards: vec![] };
    let exposure = ExposureToWrite { tables: vec![table], ..ExposureToWrite::default() };
    write_exposure(&path, &exposure, WriteOptions::default()).unwrap();
    let file = Bytes(std::fs::read(&path).unwrap());
    let bbox = BBox::new(0, 0, 9, 9);
    for (keyword, value) in [
        ("NAXIS2", "9223372036854775807"),
        ("NAXIS1", "1"),
        ("TFIELDS", "4"),
        ("TFORM5", "'9223372036854775807E'"),
        ("TFORM1", "'2147483648K'"),
        ("TDIM5", "'(9223372036854775807,9223372036854775807)'"),
        ("TDIM5", "'(-5,5)'"),
    ] {
        let path = file.with(1, keyword, value).write(&folder, "bad.fits");
        let error = Psf::open(&path, &bbox).expect_err(&format!("{keyword} = {value}")).to_string();
        assert!(error.contains("bad.fits") && error.contains("HDU 1"), "{keyword} = {value}: {error}");
    }
}

#[test]
fn names_are_literal() {
    let folder = tempfile::tempdir().unwrap();
    let small = Small::new(BBox::new(0, 0, 7, 5));
    for name in [
        "~x.fits",
        " leading.fits",
        "a[1].fits",
        "b.fits[1]",
        "c+2.fits",
        "-",
        "stdin",
        "mem:",
        "ftp:x",
        "d(e).fits",
        "f,g.fits",
        "%41.fits",
        "!h.fits",
        "*.fits",
        "i'.fits",
        "ö.fits",
        "trailing.fits ",
    ] {
        for compress in [false, true] {
            let path = folder.path().join(name);
            let options = WriteOptions { compress, overwrite: true };
            write_exposure(&path, &small.to_write(), options).unwrap();
            let read = open(&path).and_then(|file| file.read(file.bbox())).unwrap();
            assert!(same_bits(&read.image, &small.image), "{name}");
        }
    }
    for (there, given) in [("a[1].fits", "a.fits[1]"), ("c+2.fits", "c.fits+2")] {
        assert!(folder.path().join(there).exists());
        assert!(matches!(open(&folder.path().join(given)), Err(FitsError::Io { .. })), "{given}");
    }
}

#[test]
fn gzipped_files_are_read_up_to_a_limit() {
    let folder = tempfile::tempdir().unwrap();
    let pack = |name: &str, bytes: &mut dyn Iterator<Item = Vec<u8>>| {
        let path = folder.path().join(name);
        let mut encoder = GzEncoder::new(std::fs::File::create(&path).unwrap(), Compression::best());
        bytes.for_each(|bytes| encoder.write_all(&bytes).unwrap());
        encoder.finish().unwrap();
        path
    };
    let small = Small::new(BBox::new(0, 0, 40, 50));
    let file = Bytes::small(false);
    let path = pack("a.fits.gz", &mut std::iter::once(file.0.clone()));
    let read = open(&path).and_then(|file| file.read(file.bbox())).unwrap();
    assert!(same_bits(&read.image, &small.image));

    let zeros = std::iter::repeat_n(vec![0; 1 << 20], 300);
    let path = pack("bomb.fits.gz", &mut std::iter::once(file.0.clone()).chain(zeros));
    assert!(std::fs::metadata(&path).unwrap().len() < 1 << 20);
    let error = open(&path).unwrap_err().to_string();
    assert!(error.contains("bomb.fits.gz") && error.contains("unpacks to more than"), "{error}");

    let bytes = std::fs::read(folder.path().join("a.fits.gz")).unwrap();
    let path = Bytes(bytes[..bytes.len() / 2].to_vec()).write(&folder, "cut.fits.gz");
    assert!(open(&path).unwrap_err().to_string().contains("damaged or truncated"));
    let path = Bytes(b"BZh91AY&SY".to_vec()).write(&folder, "a.fits.bz2");
    assert!(open(&path).unwrap_err().to_string().contains("bunzip2"));
}

#[test]
fn checksums_tell_changed_data_from_edited_headers() {
    let folder = tempfile::tempdir().unwrap();
    for compress in [false, true] {
        let file = Bytes::small(compress);
        let good = file.write(&folder, "good.fits");
        verify_checksums(&good).unwrap();

        let mut data = Bytes(file.0.clone());
        let at = data.card(2, "END").next_multiple_of(BLOCK) + 100;
        data.0[at] ^= 1;
        let path = data.write(&folder, "data.fits");
        let error = open_verified(&path).unwrap_err().to_string();
        assert!(error.contains("data.fits: HDU 2 has changed since it was written"), "{error}");
        assert!(verify_checksums(&path).is_err());

        // The same value in other digits.
        let path = file.with(2, "CRVAL1", "53.000").write(&folder, "header.fits");
        let read = open_verified(&path).unwrap();
        let warned = |note: &&dcr_physics::Assumption| note.quantity == "checksum" && note.warning;
        let note = read.visit().assumptions.iter().find(warned).unwrap();
        assert!(note.text.contains("header.fits") && note.text.contains("HDU 2"), "{}", note.text);
        let error = verify_checksums(&path).unwrap_err();
        assert!(matches!(error, FitsError::Checksum { keyword: "CHECKSUM", .. }), "{error}");
    }
}

#[test]
fn files_without_checksums_are_not_doubted() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = Bytes::small(false);
    for hdu in 0..4 {
        file = file.with_line(hdu, "DATASUM", b"COMMENT").with_line(hdu, "CHECKSUM", b"COMMENT");
    }
    let path = file.write(&folder, "a.fits");
    verify_checksums(&path).unwrap();
    let notes = open_verified(&path).unwrap().visit().assumptions.clone();
    assert!(notes.iter().all(|note| note.quantity != "checksum"));
}

#[cfg(unix)]
#[test]
fn pipes_and_folders_are_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    assert!(open(folder.path()).unwrap_err().to_string().contains("directory"));
    assert!(open(Path::new("/dev/null")).unwrap_err().to_string().contains("not a regular file"));
}

#[test]
fn bscale_without_sense_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.fits");
    let counts = Array2::<u16>::zeros((3, 4));
    let image = ImageHdu::new("COUNTS", Pixels::U16(counts.view())).with_cards([Card::new("X", 1_i64)]);
    let exposure = ExposureToWrite { images: vec![image], ..ExposureToWrite::default() };
    write_exposure(&path, &exposure, WriteOptions::default()).unwrap();
    for (value, reason) in [("0", "BSCALE = 0"), ("'x'", "BSCALE = 'x'")] {
        let path = Bytes(std::fs::read(&path).unwrap()).with(1, "BSCALE", value).write(&folder, "b.fits");
        let error =
            PlaneFile::open(&path, "COUNTS").and_then(|plane| plane.read_all()).unwrap_err().to_string();
        assert!(error.contains("HDU 1 is damaged") && error.contains(reason), "{error}");
    }
}
