//! A small WCS, temporary files, and the folder ../shared of real and simulated files.

use std::path::{Path, PathBuf};

use dcr_image::fits::{ExposureToWrite, ImageHdu, Pixels, WriteOptions, write_exposure};
use dcr_image::header::{Card, Header};
use dcr_image::{BBox, ExposureFile, FitsError, MaskPlanes, OpenOptions, Wcs};
use ndarray::Array2;

/// A header with a plain TAN WCS.
pub(crate) fn tan_cards() -> Vec<Card> {
    vec![
        Card::new("CTYPE1", "RA---TAN"),
        Card::new("CTYPE2", "DEC--TAN"),
        Card::new("CRVAL1", 53.0),
        Card::new("CRVAL2", -28.0),
        Card::new("CRPIX1", 50.5),
        Card::new("CRPIX2", 40.5),
        Card::new("CD1_1", -5e-5),
        Card::new("CD2_2", 5e-5),
    ]
}

pub(crate) fn tan(bbox: &BBox) -> Wcs {
    Wcs::from_header(&tan_cards().into_iter().collect::<Header>(), (bbox.x0, bbox.y0)).unwrap()
}

/// An exposure in `bbox` with a ramp, a NaN and mask bits of its own dictionary.
pub(crate) struct Small {
    pub(crate) bbox: BBox,
    pub(crate) image: Array2<f32>,
    pub(crate) mask: Array2<i32>,
    pub(crate) variance: Array2<f32>,
    pub(crate) planes: MaskPlanes,
}

impl Small {
    pub(crate) fn new(bbox: BBox) -> Self {
        let mut planes = MaskPlanes::new();
        planes.insert_at("NO_DATA", 3).unwrap();
        planes.insert_at("DETECTED_NEGATIVE", 0).unwrap();
        planes.insert_at("SAT", 31).unwrap();
        let mut image =
            Array2::from_shape_fn(bbox.shape(), |(y, x)| (y as f32).mul_add(10.0, x as f32) / 7.0);
        image[[1, 2]] = f32::NAN;
        let mut mask = Array2::zeros(bbox.shape());
        mask[[1, 2]] = planes.bits_of(["NO_DATA", "SAT"]);
        mask[[0, 3]] = planes.bits_of(["DETECTED_NEGATIVE"]);
        let mut variance = Array2::from_elem(bbox.shape(), 0.25);
        variance[[1, 2]] = f32::NAN;
        Self { bbox, image, mask, variance, planes }
    }

    pub(crate) fn to_write(&self) -> ExposureToWrite<'_> {
        let wcs = tan(&self.bbox);
        ExposureToWrite {
            primary: vec![
                Card::new("VISIT", 77_i64),
                Card::new("BORE-AIRMASS", 1.25).with_comment("a HIERARCH card"),
                Card::new(
                    "PROVENANCE",
                    "a string that is far too long for one card of eighty characters, isn't it?",
                ),
            ],
            images: vec![
                ImageHdu::new("IMAGE", Pixels::F32(self.image.view()))
                    .on_grid(&wcs, &self.bbox)
                    .with_unit("nJy"),
                ImageHdu::new("MASK", Pixels::I32(self.mask.view()))
                    .on_grid(&wcs, &self.bbox)
                    .with_planes(&self.planes),
                ImageHdu::new("VARIANCE", Pixels::F32(self.variance.view()))
                    .on_grid(&wcs, &self.bbox)
                    .with_unit("nJy2"),
            ],
            ..ExposureToWrite::default()
        }
    }

    pub(crate) fn write(&self, path: &Path) {
        write_exposure(path, &self.to_write(), WriteOptions::default()).unwrap();
    }
}

pub(crate) fn open(path: &Path) -> Result<ExposureFile, FitsError> {
    ExposureFile::open(path, &OpenOptions::default())
}

/// The path of a file under ../shared, for tests in `needs_shared`.
pub(crate) fn shared(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(path)
}

/// Equality to the last bit, in which NaN equals NaN.
pub(crate) fn same_bits(a: &Array2<f32>, b: &Array2<f32>) -> bool {
    a.dim() == b.dim() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}
