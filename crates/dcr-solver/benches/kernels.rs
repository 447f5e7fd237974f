//! The kernels, in pixels per second: in cache and out of it.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
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

criterion_group!(benches, shift, whole_plane);
criterion_main!(benches);
