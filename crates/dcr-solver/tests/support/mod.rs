//! Golden numbers of the established implementation, and every tolerance that these tests allow.
#![allow(dead_code, reason = "every test binary uses a part")]

use std::fs::File;
use std::path::PathBuf;

use ndarray::{ArrayD, ArrayViewD};
use ndarray_npy::{NpzReader, ReadableElement};

/// A shift in double precision against SciPy's: rounding of a few additions.
pub(crate) const SHIFT_F64: f64 = 1e-12;
/// A shift in single precision, over the input's peak: seven digits, a handful of additions.
pub(crate) const SHIFT_F32: f64 = 1e-6;
/// One step of the solver over the model's peak: what the reference itself scatters by under rounding, doubled.
pub(crate) const STEP: f64 = 3e-6;
/// A whole run with N = 3 over the model's peak (golden/README.md).
pub(crate) const RUN: f64 = 1e-5;
/// The convergence metric, relative (golden/README.md).
pub(crate) const CONVERGENCE: f64 = 2e-5;
/// A standard deviation in single precision, relative: the reference sums in f32.
pub(crate) const NOISE: f64 = 1e-5;
/// The gain, absolute (golden/README.md).
pub(crate) const GAIN: f64 = 1e-3;

/// The folder of golden numbers, or `None`, with a printed reason, where it is absent.
#[expect(clippy::print_stderr, reason = "a skipped test says why")]
pub(crate) fn golden() -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/golden"));
    if !path.is_dir() {
        eprintln!("skipped: the golden numbers (../shared/golden) are not here");
        return None;
    }
    Some(path)
}

/// A `.npz` file and its `.json` companion.
pub(crate) struct Golden {
    arrays: NpzReader<File>,
    /// The companion.
    pub(crate) json: serde_json::Value,
}

impl Golden {
    pub(crate) fn open(name: &str) -> Option<Self> {
        let folder = golden()?;
        let arrays = NpzReader::new(File::open(folder.join(format!("{name}.npz"))).unwrap()).unwrap();
        let json = serde_json::from_reader(File::open(folder.join(format!("{name}.json"))).unwrap()).unwrap();
        Some(Self { arrays, json })
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
    // Where all zeros are expected, zeros are asked for.
    if peak > 0.0 { worst / peak } else { worst }
}
