//! Comparison of the kernels with SciPy's numbers, as used by the reference (docs/algorithm.md §4,
//! golden/applyDcr, golden/model_ops).

use dcr_solver::kernel::{
    Boundary, Order, PixelShift, Region, gaussian_filter, open_diamond, prefilter, prefilter_f32, shift_add,
    shift_scalar,
};
use ndarray::{Array2, Ix2};

use crate::golden::{Golden, SHIFT_F32, SHIFT_F64, worst_over_peak};

fn pixel_shift(json: &serde_json::Value, inverse: bool) -> PixelShift {
    let shift = PixelShift { dy: json[0].as_f64().unwrap(), dx: json[1].as_f64().unwrap() };
    if inverse { shift.reversed() } else { shift }
}

#[test]
fn shift_matches_scipy_at_every_order() {
    let mut golden = Golden::open("applyDcr");
    let image: Array2<f32> = golden.get("image");
    let pixels = image.mapv(f64::from);
    let everywhere = Region::whole(image.dim());
    let mut compared = 0;
    for case in golden.json["cases"].as_array().unwrap().clone() {
        let key = case["key"].as_str().unwrap();
        let order = Order::new(case["order"].as_u64().unwrap() as u8).unwrap();
        let inverse = case["inverse"].as_bool().unwrap();
        if key.starts_with("nan") || key.contains("noprefilter") {
            continue;
        }
        let shifts: Vec<PixelShift> = if case["split"].as_bool().unwrap() {
            if case["really_split"].as_bool().unwrap() {
                (0..2).map(|i| pixel_shift(&case["shift"][i], inverse)).collect()
            } else {
                vec![pixel_shift(&case["used_shift_if_not_split"], inverse)]
            }
        } else {
            vec![pixel_shift(&case["shift"], inverse)]
        };
        let expected = golden.get_f64(key);

        let coefficients = prefilter(pixels.view(), order);
        let share = 1.0 / shifts.len() as f64;
        let slow = shifts.iter().fold(Array2::zeros(pixels.dim()), |sum: Array2<f64>, s| {
            sum + share * shift_scalar(coefficients.view(), *s, order)
        });
        let tolerance = if order.needs_prefilter() { SHIFT_F64 } else { SHIFT_F32 };
        let worst = worst_over_peak(slow.view().into_dyn(), expected.view());
        assert!(worst < tolerance, "{key}: scalar kernel off by {worst:e}");

        let coefficients = prefilter_f32(image.view(), order);
        let mut fast = Array2::<f32>::zeros(image.dim());
        for s in &shifts {
            shift_add(coefficients.view(), *s, order, share as f32, fast.view_mut(), &everywhere);
        }
        let worst = worst_over_peak(fast.view().into_dyn(), expected.view());
        assert!(worst < SHIFT_F32, "{key}: fast kernel off by {worst:e}");
        compared += 1;
    }
    assert!(compared > 60, "only {compared} cases were compared");
}

#[test]
fn prefilter_matches_scipy() {
    let mut golden = Golden::open("applyDcr");
    let pixels: Array2<f64> = golden.get_f64("image").into_dimensionality().unwrap();
    for (key, order) in [("prefilter_o3", Order::CUBIC), ("prefilter_o5", Order::QUINTIC)] {
        let worst =
            worst_over_peak(prefilter(pixels.view(), order).view().into_dyn(), golden.get_f64(key).view());
        assert!(worst < SHIFT_F64, "{key}: {worst:e}");
    }
}

#[test]
fn gaussian_filter_matches_scipy() {
    let mut golden = Golden::open("applyDcr");
    let image: Array2<f32> = golden.get("image");
    let cases = [
        ("gauss_const_2", 2.0, Boundary::Zero),
        ("gauss_reflect_2_3", 2.0 / 3.0, Boundary::Reflect),
        ("gauss_reflect_3", 3.0, Boundary::Reflect),
    ];
    for (key, sigma, boundary) in cases {
        let expected: Array2<f32> = golden.get(key);
        let got = gaussian_filter(image.view(), sigma, boundary);
        let worst = worst_over_peak(got.view().into_dyn(), expected.view().into_dyn());
        assert!(worst < SHIFT_F32, "{key}: {worst:e}");
    }
}

#[test]
fn open_diamond_matches_scipy() {
    let mut golden = Golden::open("model_ops");
    let flags: ndarray::Array<bool, Ix2> = golden.get("opening_in");
    let expected: ndarray::Array<bool, Ix2> = golden.get("opening_out_w2");
    assert_eq!(open_diamond(flags.view(), 2), expected);
}
