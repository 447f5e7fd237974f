//! Shifts of every order, size and direction: the fast kernel against the scalar one, tiles against
//! the whole plane.

use dcr_solver::kernel::{
    Order, PixelShift, Region, prefilter, prefilter_f32, shift_add, shift_scalar, support,
};
use ndarray::Array2;
use proptest::prelude::*;

use crate::golden::SHIFT_F32;

fn plane(rows: usize, cols: usize, seed: u64) -> Array2<f32> {
    Array2::from_shape_fn((rows, cols), |(y, x)| {
        let hash =
            (seed.wrapping_add((y * 7919 + x) as u64)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31);
        (hash.wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40) as f32 / 1e7
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn fast_shift_matches_the_scalar_one(
        rows in 1_usize..20, cols in 1_usize..24, order in 0_u8..6, dy in -25.0..25.0, dx in -25.0..25.0, seed: u64,
    ) {
        let order = Order::new(order).unwrap();
        let shift = PixelShift { dy, dx };
        let image = plane(rows, cols, seed);
        let slow = shift_scalar(prefilter(image.mapv(f64::from).view(), order).view(), shift, order);
        let mut fast = Array2::zeros((rows, cols));
        shift_add(prefilter_f32(image.view(), order).view(), shift, order, 1.0, fast.view_mut(), &Region::whole((rows, cols)));
        let peak = image.iter().fold(1e-6_f32, |m, v| m.max(v.abs()));
        for (f, s) in fast.iter().zip(&slow) {
            // Coefficients of an uneven plane exceed its pixels several times.
            prop_assert!((f64::from(*f) - s).abs() < 5.0 * SHIFT_F32 * f64::from(peak), "{f} {s}");
        }
    }

    #[test]
    fn shift_of_a_part_is_the_part_of_the_shift(
        rows in 4_usize..20, cols in 4_usize..24, order in 0_u8..6, dy in -6.0..6.0, dx in -6.0..6.0, seed: u64,
    ) {
        let order = Order::new(order).unwrap();
        let shift = PixelShift { dy, dx };
        let image = plane(rows, cols, seed);
        let mut whole = Array2::zeros((rows, cols));
        shift_add(image.view(), shift, order, 0.7, whole.view_mut(), &Region::whole((rows, cols)));
        let region = Region { rows: rows / 3..rows - 1, cols: cols / 4..cols - 1 };
        let mut part = Array2::zeros(region.shape());
        shift_add(image.view(), shift, order, 0.7, part.view_mut(), &region);
        prop_assert_eq!(part.view(), region.of(&whole.view()));
    }

    #[test]
    fn shift_by_whole_pixels_copies(dy in -3_i32..4, dx in -3_i32..4, order in 0_u8..6, seed: u64) {
        let order = Order::new(order).unwrap();
        let image = plane(12, 13, seed);
        let mut moved = Array2::zeros((12, 13));
        let shift = PixelShift { dy: dy.into(), dx: dx.into() };
        shift_add(prefilter_f32(image.view(), order).view(), shift, order, 1.0, moved.view_mut(), &Region::whole((12, 13)));
        for ((y, x), v) in moved.indexed_iter() {
            let from = ((y as i32 - dy).try_into(), (x as i32 - dx).try_into());
            let expected = match from {
                (Ok(y), Ok(x)) => image.get::<(usize, usize)>((y, x)).copied().unwrap_or(0.0),
                _ => 0.0,
            };
            prop_assert!((v - expected).abs() < 1e-5, "{v} {expected}");
        }
    }

    #[test]
    fn linear_shift_and_its_reverse_are_adjoint(dy in -3.0..3.0, dx in -3.0..3.0, a: u64, b: u64) {
        // Away from the edges: ⟨shift(u), v⟩ = ⟨u, shift⁻¹(v)⟩.
        let inner = Region { rows: 5..13, cols: 5..14 };
        let bordered = |seed| {
            let mut out = Array2::zeros((18, 19));
            inner.of_mut(out.view_mut()).assign(&plane(8, 9, seed));
            out
        };
        let (u, v) = (bordered(a), bordered(b));
        let shift = PixelShift { dy, dx };
        let moved = |image: &Array2<f32>, shift| {
            let mut out = Array2::zeros((18, 19));
            shift_add(image.view(), shift, Order::LINEAR, 1.0, out.view_mut(), &Region::whole((18, 19)));
            out
        };
        let dot = |a: &Array2<f32>, b: &Array2<f32>| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        let (left, right) = (dot(&moved(&u, shift), &v), dot(&u, &moved(&v, shift.reversed())));
        prop_assert!((left - right).abs() < 1e-5 * (1.0 + left.abs()), "{left} {right}");
    }

    #[test]
    fn support_is_where_samples_fall_inside(n in 1_usize..30, shift in -40.0..40.0) {
        let inside = support(n, shift);
        for i in 0..n {
            let sample = i as f64 - shift;
            prop_assert_eq!(inside.contains(&i), (0.0..=n as f64 - 1.0).contains(&sample));
        }
    }
}

#[test]
fn support_of_a_shift_that_is_not_a_number_is_nothing() {
    assert!(support(10, f64::NAN).is_empty());
    assert!(support(10, f64::INFINITY).is_empty());
}
