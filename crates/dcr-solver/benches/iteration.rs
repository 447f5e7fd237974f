//! Whole iterations: everything between one model and the next, per pixel, visit and iteration.

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use dcr_solver::iterative::{Interpolation, IterativeConfig, Problem, solve};
use dcr_solver::kernel::{Order, Region};
use dcr_solver::{DETECTED, ForwardShift, GOOD, InMemory, PixelShift, SpectralBasis, SubfilterShift, Visit};
use ndarray::Array2;

/// The most that the default settings allow with three subfilters.
const ITERATIONS: usize = 9;

/// Wavelengths of the band.
const POINTS: [f64; 12] = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0];

fn visits(side: usize, count: usize) -> InMemory {
    let visits = (0..count)
        .map(|i| {
            let (strength, angle) = (0.1 + 1.5 * i as f64 / count as f64, 0.7 * i as f64);
            let shifts = (0..3)
                .map(|a| {
                    let at = |r: f64| PixelShift {
                        dy: r * strength * angle.sin(),
                        dx: r * strength * angle.cos(),
                    };
                    let mean = 1.0 - f64::from(a);
                    SubfilterShift {
                        forward: ForwardShift::Halves([at(mean + 0.29), at(mean - 0.29)]),
                        mean: at(mean),
                    }
                })
                .collect();
            let image =
                Array2::from_shape_fn((side, side), |(y, x)| ((y * 31 + x * 17 + i * 7) % 101) as f32);
            Visit { image, flags: Array2::from_elem((side, side), GOOD | DETECTED), weight: 1.0, shifts }
        })
        .collect();
    InMemory { visits }
}

fn iteration(c: &mut Criterion) {
    let mut group = c.benchmark_group("iteration");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    let smooth = || SpectralBasis::smooth(&POINTS, &[1.0; 12], &[0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2], 3);
    for (side, count, order, name, basis) in [
        (512, 10, Order::LINEAR, "staircase", SpectralBasis::constant(3)),
        (1000, 20, Order::LINEAR, "staircase", SpectralBasis::constant(3)),
        (1000, 20, Order::LINEAR, "smooth spectrum", smooth()),
        (1000, 20, Order::CUBIC, "smooth spectrum", smooth()),
    ] {
        let observations = visits(side, count);
        let template = observations.visits[0].image.clone();
        let detected = template.mapv(|t| t > 50.0);
        let bad = template.mapv(|_| false);
        let cells = [Region::whole((side, side))];
        let problem = Problem {
            observations: &observations,
            cells: &cells,
            basis: &basis,
            fractions: &[1.0 / 3.0; 3],
            template: template.view(),
            detected: detected.view(),
            bad: bad.view(),
        };
        let config = IterativeConfig {
            order: Interpolation::Spline(order),
            max_iterations: Some(ITERATIONS),
            use_convergence: false,
            ..IterativeConfig::default()
        };
        // One pass more than iterations: the last model is measured too.
        group.throughput(Throughput::Elements((side * side * count * (ITERATIONS + 1)) as u64));
        let name = format!("order {}, {name}, {side}² × {count}", order.get());
        group.bench_function(BenchmarkId::from_parameter(name), |b| {
            b.iter(|| solve(&problem, &config, &mut |_, _, _| true).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, iteration);
criterion_main!(benches);
