//! Whole iterations of the iterative solver, per pixel, visit and iteration.

mod synthetic;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use dcr_solver::SpectralBasis;
use dcr_solver::iterative::{Interpolation, IterativeConfig, Problem, solve};
use dcr_solver::kernel::{Order, Region};
use synthetic::{smooth_spectrum, visits};

/// Maximum iterations of the default settings with three subfilters.
const ITERATIONS: usize = 9;

fn iteration(c: &mut Criterion) {
    let mut group = c.benchmark_group("iteration");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    for (side, count, order, name, basis) in [
        (512, 10, Order::LINEAR, "staircase", SpectralBasis::constant(3)),
        (1000, 20, Order::LINEAR, "staircase", SpectralBasis::constant(3)),
        (1000, 20, Order::LINEAR, "smooth spectrum", smooth_spectrum(3)),
        (1000, 20, Order::CUBIC, "smooth spectrum", smooth_spectrum(3)),
    ] {
        let observations = visits(side, count, 3);
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
