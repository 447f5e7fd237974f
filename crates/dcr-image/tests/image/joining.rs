//! Files of one visit that are read as one exposure.

use dcr_image::fits::{ExposureToWrite, ImageHdu, JoinError, Pixels, WriteOptions, write_exposure};
use dcr_image::header::Card;
use dcr_image::{BBox, ExposureFile, MaskPlanes};
use ndarray::Array2;

use crate::support::{open, tan};

/// One CCD, with data in columns of its own.
struct Ccd {
    columns: std::ops::Range<usize>,
    variance: f32,
    fwhm: f64,
    planes: &'static [(&'static str, i64)],
    bits: i32,
}

const BBOX: BBox = BBox { x0: 7, y0: -3, width: 80, height: 40 };

impl Ccd {
    fn open(&self, folder: &tempfile::TempDir, number: i64) -> ExposureFile {
        let mut planes = MaskPlanes::new();
        self.planes.iter().for_each(|(name, bit)| planes.insert_at(name, *bit).unwrap());
        let covered = |x: usize| self.columns.contains(&x);
        let image =
            Array2::from_shape_fn(BBOX.shape(), |(y, x)| (number * 1000) as f32 + (y * 80 + x) as f32);
        let variance =
            Array2::from_shape_fn(BBOX.shape(), |(_, x)| if covered(x) { self.variance } else { f32::NAN });
        let mask = Array2::from_elem(BBOX.shape(), self.bits);
        let wcs = tan(&BBOX);
        let exposure = ExposureToWrite {
            primary: vec![
                Card::new("EXPNUM", 5_i64),
                Card::new("CCDNUM", number),
                Card::new("PSF-FWHM", self.fwhm),
            ],
            images: vec![
                ImageHdu::new("IMAGE", Pixels::F32(image.view())).on_grid(&wcs, &BBOX),
                ImageHdu::new("MASK", Pixels::I32(mask.view())).on_grid(&wcs, &BBOX).with_planes(&planes),
                ImageHdu::new("VARIANCE", Pixels::F32(variance.view())).on_grid(&wcs, &BBOX),
            ],
            ..ExposureToWrite::default()
        };
        let path = folder.path().join(format!("ccd_{number}.fits"));
        write_exposure(&path, &exposure, WriteOptions::default()).unwrap();
        open(&path).unwrap()
    }
}

const LEFT: Ccd = Ccd { columns: 0..42, variance: 4.0, fwhm: 3.0, planes: &[("DETECTED", 0)], bits: 1 };
const RIGHT: Ccd = Ccd { columns: 40..70, variance: 1.0, fwhm: 4.5, planes: &[("CROSSTALK", 0)], bits: 1 };

#[test]
fn parts_are_read_as_one_exposure() {
    let folder = tempfile::tempdir().unwrap();
    let (left, right) = (LEFT.open(&folder, 1), RIGHT.open(&folder, 2));
    assert_eq!(left.detector().as_deref(), Some("CCDNUM 1"));
    let joined = left.join(vec![(right, 2.0)]).unwrap();
    assert_eq!((joined.parts().count(), joined.bbox()), (2, BBOX));
    let note = joined.visit().assumptions.iter().find(|note| note.quantity == "parts").unwrap();
    assert!(note.text.contains("ccd_1.fits") && note.text.contains("ccd_2.fits") && !note.warning);
    let bits = |name: &str| joined.mask_planes().bits_of([name]);
    assert!(bits("DETECTED") != 0 && bits("CROSSTALK") != 0 && bits("DETECTED") != bits("CROSSTALK"));
    let part = BBox::new(BBOX.x0 + 3, BBOX.y0 + 5, 75, 11);
    let read = joined.read(part).unwrap();
    for ((y, x), value) in read.image.indexed_iter() {
        let (row, column) = (y + 5, x + 3);
        let (variance, mask) = (read.variance[[y, x]], read.mask[[y, x]]);
        let own = (row * 80 + column) as f32;
        match column {
            // In the overlap the smaller variance decides: 1 × 2² = 4 is none, so the first has it.
            0..42 => assert_eq!((*value, variance, mask), (1000.0 + own, 4.0, bits("DETECTED"))),
            42..70 => assert_eq!((*value, variance, mask), (2.0 * (2000.0 + own), 4.0, bits("CROSSTALK"))),
            _ => assert!(variance.is_nan() && mask & bits("NO_DATA") != 0),
        }
    }
    assert_eq!(joined.read_image(part).unwrap(), read.image);
    assert_eq!(joined.read_mask(part).unwrap(), read.mask);
    let x = |column: f64| BBOX.x0 as f64 + column;
    let fwhm = |column| joined.psf().unwrap().fwhm_px(x(column), 0.0).unwrap();
    assert_eq!([fwhm(2.0), fwhm(30.0), fwhm(50.0), fwhm(79.0)], [3.0, 3.0, 4.5, 4.5]);
}

#[test]
fn pixel_of_the_smaller_variance_without_flaws_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let first = Ccd { variance: 4.0, ..LEFT }.open(&folder, 1);
    let second = Ccd { variance: 3.0, ..RIGHT }.open(&folder, 2);
    let joined = first.join(vec![(second, 1.0)]).unwrap();
    let overlap = BBox::new(BBOX.x0 + 40, BBOX.y0, 2, 1);
    assert_eq!(joined.read_variance(overlap).unwrap().as_slice().unwrap(), [3.0, 3.0]);
    let first = LEFT.open(&folder, 4);
    let flawed = Ccd { variance: 3.0, planes: &[("SAT", 0)], ..RIGHT }.open(&folder, 3);
    let joined = first.join(vec![(flawed, 1.0)]).unwrap();
    assert_eq!(joined.read_variance(overlap).unwrap().as_slice().unwrap(), [4.0, 4.0]);
}

#[test]
fn parts_that_cover_each_other_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = LEFT.open(&folder, 1);
    let second = Ccd { columns: 36..70, ..RIGHT }.open(&folder, 2);
    let error = first.join(vec![(second, 1.0)]).unwrap_err();
    let JoinError::Overlap { share, .. } = &error else { panic!("{error}") };
    assert!((share - 6.0 / 34.0).abs() < 1e-9 && error.to_string().contains("18 %"), "{error}");
}
