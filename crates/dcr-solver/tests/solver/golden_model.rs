//! Comparison of gain, clamps, weights and noise with the reference (golden/calculateGain,
//! golden/model_ops).

use dcr_solver::iterative::regularize::{Surroundings, clamp_frequency, clamp_groups, clamp_iteration};
use dcr_solver::iterative::weights::{background_noise, model_weights};
use dcr_solver::iterative::{Gain, IterativeConfig, base_gain, next_gain};
use ndarray::{Array2, Array3, Axis, s};

use crate::golden::{GAIN, Golden, NOISE, STEP, golden, worst_over_peak};

fn numbers(json: &serde_json::Value) -> Vec<f64> {
    json.as_array().unwrap().iter().map(|v| v.as_f64().unwrap_or(f64::NAN)).collect()
}

#[test]
fn gain_follows_the_reference() {
    let json: serde_json::Value =
        serde_json::from_reader(std::fs::File::open(golden("calculateGain.json")).unwrap()).unwrap();
    let mut compared = 0;
    for case in json["cases"].as_array().unwrap() {
        let Some(expected) = case["gain"].as_f64() else { continue };
        // The reference's single-precision metric rounds differently where it stands still; ours is
        // double precision.
        let exact = case["conv_dtype"] == "float64";
        if !exact && case["name"] == "stalled_equal" {
            continue;
        }
        let config = &case["config"];
        let n = config["dcrNumSubfilters"].as_u64().unwrap_or(3) as usize;
        let base = base_gain(config["baseGain"].as_f64(), n);
        let mode = if config["useProgressiveGain"] == false { Gain::Fixed } else { Gain::Progressive };
        let got = next_gain(mode, base, &numbers(&case["convergenceList"]), &numbers(&case["gainList_in"]));
        let tolerance = if exact { 1e-12 } else { GAIN };
        assert!((got - expected).abs() < tolerance, "{}: {got} instead of {expected}", case["name"]);
        compared += 1;
    }
    assert!(compared > 20, "only {compared} cases were compared");

    let (metrics, expected) = (
        numbers(&json["sequence_self_driven"]["convergence"]),
        numbers(&json["sequence_self_driven"]["gain"]),
    );
    let mut gains = vec![];
    for expected in expected {
        let gain = next_gain(Gain::Progressive, 0.5, &metrics[..=gains.len()], &gains);
        assert!((gain - expected).abs() < 1e-12, "{gain} instead of {expected}");
        gains.push(gain);
    }
}

struct ModelOps {
    golden: Golden,
    model: Array3<f32>,
    new: Array3<f32>,
    background: Array2<bool>,
}

impl ModelOps {
    fn open() -> Self {
        let mut golden = Golden::open("model_ops");
        let (model, new) = (golden.get("model"), golden.get("new"));
        let mask: Array2<i32> = golden.get("mask");
        let planes = golden.json["mask_planes"].clone();
        let bit = |name: &str| 1 << planes[name].as_i64().unwrap();
        let not_background = golden.json["badBits"].as_i64().unwrap() as i32 | bit("DETECTED");
        Self { golden, model, new, background: mask.mapv(|m| m & not_background == 0) }
    }

    fn expect(&mut self, key: &str, got: ndarray::ArrayViewD<f32>) {
        let expected = self.golden.get_f64(key);
        let worst = worst_over_peak(got, expected.view());
        assert!(worst < STEP, "{key}: {worst:e}");
    }
}

/// The two boxes of model_ops: everything, and x 7..77, y 5..65.
const BOXES: [(&str, [std::ops::Range<usize>; 2]); 2] = [("full", [0..80, 0..96]), ("sub", [5..65, 7..77])];

#[test]
fn clamp_groups_follows_the_reference() {
    let mut ops = ModelOps::open();
    let (image, high, low): (Array2<f32>, Array2<f32>, Array2<f32>) =
        (ops.golden.get("thr_image"), ops.golden.get("thr_high"), ops.golden.get("thr_low"));
    for width in 0..4 {
        let mut plane = image.clone();
        clamp_groups(plane.view_mut(), Some(high.view()), Some(low.view()), width);
        ops.expect(&format!("thresholds_w{width}"), plane.view().into_dyn());
    }
    let mut plane = image.clone();
    clamp_groups(plane.view_mut(), Some(high.view()), None, 2);
    ops.expect("thresholds_highonly_w2", plane.view().into_dyn());
    let mut plane = image;
    clamp_groups(plane.view_mut(), None, Some(low.view()), 2);
    ops.expect("thresholds_lowonly_w2", plane.view().into_dyn());
}

// The golden file comes from in-place calls, one after the other: each array is the input of the
// next.

#[test]
fn clamp_iteration_follows_the_reference() {
    let mut ops = ModelOps::open();
    let (_, [rows, cols]) = BOXES[1].clone();
    let config = IterativeConfig { regularization_width: 0, ..IterativeConfig::reference() };
    let old = ops.model.slice(s![1, rows, cols]).to_owned();
    let mut new: Array2<f32> = ops.golden.get("regIter_f2.0_w2_sub");
    clamp_iteration(new.view_mut(), old.view(), 0.0, &config);
    ops.expect("regIter_f2.0_w0_sub", new.view().into_dyn());
}

#[test]
fn clamp_frequency_follows_the_reference() {
    let mut ops = ModelOps::open();
    let (full, sub) = (BOXES[0].1.clone(), BOXES[1].1.clone());
    let steps = [
        ("regFreq_f4.0_w2_full", "regFreq_f4.0_w2_sub", 4.0, 2, &sub),
        ("regFreq_f4.0_w2_full", "regFreq_f2.0_w2_full", 2.0, 2, &full),
        ("regFreq_f2.0_w2_full", "regFreq_f2.0_w2_sub", 2.0, 2, &sub),
        ("regFreq_f2.0_w2_full", "regFreq_f3.0_w1_full", 3.0, 1, &full),
        ("regFreq_f3.0_w1_full", "regFreq_f3.0_w1_sub", 3.0, 1, &sub),
    ];
    for (input, output, factor, width, [rows, cols]) in steps {
        let config = IterativeConfig {
            regularize_model_frequency: factor,
            regularization_width: width,
            ..IterativeConfig::reference()
        };
        let at = s![.., rows.clone(), cols.clone()];
        let mut new = ops.golden.get::<f32, ndarray::Ix3>(input).slice(at).to_owned();
        let old = ops.model.slice(at).to_owned();
        let background = ops.background.slice(s![rows.clone(), cols.clone()]).to_owned();
        let around =
            Surroundings { old_byx: old.view(), background: background.view(), fractions: &[1.0 / 3.0; 3] };
        clamp_frequency(&mut new, &around, &config);
        ops.expect(output, new.view().into_dyn());
    }
    // The file's "new" is the last of them.
    let left: Array3<f32> = ops.golden.get("regFreq_f3.0_w1_full");
    assert_eq!(left, ops.new);
}

#[test]
fn model_weights_follow_the_reference() {
    let mut ops = ModelOps::open();
    let mask: Array2<i32> = ops.golden.get("mask");
    let detected = mask.mapv(|m| m & (1 << 5) != 0);
    for width in [3.0, 1.5] {
        for (name, [rows, cols]) in BOXES {
            let weights = model_weights(detected.slice(s![rows, cols]), width);
            ops.expect(&format!("modelWeights_{width:.1}_{name}"), weights.view().into_dyn());
        }
    }
}

#[test]
fn background_noise_follows_the_reference() {
    let ops = ModelOps::open();
    for case in ops.golden.json["noiseCutoff"].as_array().unwrap() {
        let plane = case["image"]
            .as_str()
            .unwrap()
            .trim_start_matches("model[")
            .trim_end_matches(']')
            .parse()
            .unwrap();
        let (_, [rows, cols]) = BOXES[usize::from(case["bbox"] == "sub")].clone();
        let at = s![rows, cols];
        let plane = ops.model.index_axis(Axis(0), plane).slice(at).to_owned();
        let margin = case["bufferSize"].as_u64().unwrap() as usize;
        let got = background_noise(plane.view(), ops.background.slice(at), margin);
        let expected = case["value"].as_f64().unwrap();
        assert!((got / expected - 1.0).abs() < NOISE, "{case}: {got}");
    }
}

#[test]
fn model_weights_of_nothing_detected_are_zero_and_of_everything_one() {
    let none = model_weights(Array2::from_elem((9, 4), false).view(), 3.0);
    assert!(none.iter().all(|w| *w == 0.0));
    let all = model_weights(Array2::from_elem((9, 4), true).view(), 3.0);
    assert!(all.iter().all(|w| (*w - 1.0).abs() < 1e-6));
}
