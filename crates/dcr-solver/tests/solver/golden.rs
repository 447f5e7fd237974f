//! Golden numbers of LSST's DcrAssembleCoaddTask, and every tolerance that these tests allow.

use std::fs::File;
use std::path::PathBuf;

use ndarray::{ArrayD, ArrayViewD};
use ndarray_npy::{NpzReader, ReadableElement};

/// Absolute tolerance of a shift in double precision against SciPy: rounding of a few additions.
pub(crate) const SHIFT_F64: f64 = 1e-12;
/// Tolerance of a shift in single precision, over the input's peak: seven digits, a few additions.
pub(crate) const SHIFT_F32: f64 = 1e-6;
/// Tolerance of one step of the solver over the model's peak: twice the reference's own scatter
/// under rounding.
pub(crate) const STEP: f64 = 3e-6;
/// Relative tolerance of a standard deviation: the reference sums in single precision.
pub(crate) const NOISE: f64 = 1e-5;
/// Absolute tolerance of the gain (by the golden files).
pub(crate) const GAIN: f64 = 1e-3;

/// The path of a file of golden numbers.
pub(crate) fn golden(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/golden")).join(name)
}

/// A `.npz` file and its `.json` companion.
pub(crate) struct Golden {
    arrays: NpzReader<File>,
    /// The companion's content.
    pub(crate) json: serde_json::Value,
}

impl Golden {
    pub(crate) fn open(name: &str) -> Self {
        let file = |extension: &str| File::open(golden(&format!("{name}.{extension}"))).unwrap();
        let arrays = NpzReader::new(file("npz")).unwrap();
        let json = serde_json::from_reader(file("json")).unwrap();
        Self { arrays, json }
    }

    /// An array by name.
    pub(crate) fn get<T: ReadableElement + Clone, D: ndarray::Dimension>(
        &mut self,
        key: &str,
    ) -> ndarray::Array<T, D> {
        let array: ndarray::Array<T, D> = self.arrays.by_name(key).unwrap_or_else(|e| panic!("{key}: {e}"));
        array.as_standard_layout().into_owned()
    }

    /// An array of either precision, as `f64`.
    pub(crate) fn get_f64(&mut self, key: &str) -> ArrayD<f64> {
        match self.arrays.by_name::<ndarray::OwnedRepr<f64>, ndarray::IxDyn>(key) {
            Ok(array) => array,
            Err(_) => self.get::<f32, ndarray::IxDyn>(key).mapv(f64::from),
        }
    }
}

/// The largest difference over the expected array's peak.
pub(crate) fn worst_over_peak<A: Into<f64> + Copy, B: Into<f64> + Copy>(
    got: ArrayViewD<A>,
    expected: ArrayViewD<B>,
) -> f64 {
    assert_eq!(got.shape(), expected.shape());
    let peak = expected.iter().map(|v| (*v).into().abs()).filter(|v| v.is_finite()).fold(0.0, f64::max);
    let mut worst = 0.0_f64;
    for (g, e) in got.iter().zip(expected) {
        let (g, e) = ((*g).into(), (*e).into());
        if g.is_nan() && e.is_nan() {
            continue;
        }
        let d = (g - e).abs();
        worst = if d.is_nan() { f64::INFINITY } else { worst.max(d) };
    }
    // Expected zeros must be zeros.
    if peak > 0.0 { worst / peak } else { worst }
}
