//! The kernels, in pixels per second: in cache and out of it.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dcr_solver::OutlierTest;
use dcr_solver::joint::Noise;
use dcr_solver::kernel::{
    Boundary, Order, PixelShift, Region, gaussian_filter, open_diamond, prefilter_f32, shift_add,
};
use ndarray::Array2;

const SIDES: [usize; 2] = [128, 1024];
const SHIFT: PixelShift = PixelShift { dy: 0.3, dx: -0.7 };

fn plane(side: usize) -> Array2<f32> {
    Array2::from_shape_fn((side, side), |(y, x)| ((y * 31 + x * 17) % 101) as f32)
}

fn shift(c: &mut Criterion) {
    for order in [Order::LINEAR, Order::CUBIC, Order::QUINTIC] {
        let mut group = c.benchmark_group(format!("shift_add order {}", order.get()));
        for side in SIDES {
            let (input, mut out) = (plane(side), Array2::zeros((side, side)));
            let everywhere = Region::whole((side, side));
            group.throughput(Throughput::Elements((side * side) as u64));
            group.bench_with_input(BenchmarkId::from_parameter(side), &input, |b, input| {
                b.iter(|| shift_add(black_box(input.view()), SHIFT, order, 1.0, out.view_mut(), &everywhere));
            });
        }
        group.finish();
    }
}

fn whole_plane(c: &mut Criterion) {
    let mut group = c.benchmark_group("whole plane");
    let side = 1024;
    let input = plane(side);
    let flags = input.mapv(|v| v > 60.0);
    group.throughput(Throughput::Elements((side * side) as u64));
    group.bench_function("prefilter order 3", |b| {
        b.iter(|| prefilter_f32(black_box(input.view()), Order::CUBIC))
    });
    group.bench_function("gaussian_filter σ 2", |b| {
        b.iter(|| gaussian_filter(black_box(input.view()), 2.0, Boundary::Reflect))
    });
    group.bench_function("open_diamond radius 2", |b| b.iter(|| open_diamond(black_box(flags.view()), 2)));
    group.finish();
}

/// Noise and stars of many brightnesses with predictions 2 % too faint, as in a search for
/// artefacts.
fn outliers(c: &mut Criterion) {
    let mut group = c.benchmark_group("outliers");
    let (side, sigma) = (1024, 1.7);
    let mut state = 1_u64;
    let mut even = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32
    };
    let mut stars = Array2::zeros((side, side));
    for _ in 0..400 {
        let at = [0, 1].map(|_| (even() * side as f32) as usize);
        stars[at] += 3e3 / (even() + 1e-3);
    }
    let prediction = gaussian_filter(stars.view(), sigma, Boundary::Reflect);
    // The sum of twelve even numbers has a variance of 1.
    let residual = prediction.mapv(|light| 0.02 * light + (0..12).map(|_| even()).sum::<f32>() - 6.0);
    group.throughput(Throughput::Elements((side * side) as u64));
    for psf_sigma in [0.0, sigma] {
        let noise = Noise { sky_variance: 1.0, shot: 0.01 };
        let test = OutlierTest { noise, sigmas: 5.0, fraction: 0.05, psf_sigma };
        group.bench_function(format!("σ {psf_sigma}"), |b| {
            b.iter(|| test.outliers(black_box(residual.view()), prediction.view()));
        });
    }
    group.finish();
}

criterion_group!(benches, shift, whole_plane, outliers);
criterion_main!(benches);
