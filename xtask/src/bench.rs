//! `cargo xtask bench`: cost of each step, compared with memory speed and SciPy.

#![expect(clippy::print_stdout, reason = "the tables are what the command is for")]

use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use dcr_solver::iterative::{Interpolation, IterativeConfig, Problem, solve};
use dcr_solver::kernel::{
    Boundary, Order, PixelShift, Region, gaussian_filter, open_diamond, prefilter_f32, shift_add,
};
use ndarray::Array2;
use synthetic::{smooth_spectrum, visits};

#[path = "../../crates/dcr-solver/benches/synthetic/mod.rs"]
mod synthetic;

/// Sides of the planes for the kernels in px.
const SIDE: usize = 2048;
const SHIFT: PixelShift = PixelShift { dy: 0.3, dx: -0.7 };
/// Minimum duration of each measurement; the fastest repetition counts, because the others include
/// other processes.
const PATIENCE: Duration = Duration::from_millis(700);

/// Prints the tables.
pub(crate) fn run() -> Result<()> {
    if cfg!(debug_assertions) {
        println!("Built without optimisation: these figures mean nothing.");
    }
    println!("{}\n", machine());
    println!("## Kernels, one thread, {SIDE}² px\n");
    println!("| operation | ns per px |\n|---|---|");
    kernels();
    scipy_shifts();
    println!("\n## Solver, whole iterations: forward, residual, back, clamps, metric\n");
    println!(
        "| px | visits | subfilters | order | threads | ns per px, visit and iteration |\n|---|---|---|---|---|---|"
    );
    for case in [
        Case { order: Order::LINEAR, ..Case::USUAL },
        Case::USUAL,
        Case { side: 500, ..Case::USUAL },
        Case { side: 1400, ..Case::USUAL },
        Case { count: 10, ..Case::USUAL },
        Case { count: 40, ..Case::USUAL },
        Case { subfilters: 2, ..Case::USUAL },
        Case { subfilters: 5, ..Case::USUAL },
        Case { threads: 2, ..Case::USUAL },
        Case { order: Order::LINEAR, threads: 2, ..Case::USUAL },
        Case { threads: 4, ..Case::USUAL },
    ] {
        case.measure()?;
    }
    Ok(())
}

/// Name of the processor from the operating system.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let name = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        line.split_once(':').map(|(_, name)| name.trim().to_owned())
    });
    format!("{}, {cores} threads at hand", name.unwrap_or_else(|| "unknown processor".into()))
}

fn plane() -> Array2<f32> {
    Array2::from_shape_fn((SIDE, SIDE), |(y, x)| ((y * 31 + x * 17) % 101) as f32)
}

fn kernels() {
    let (input, mut out) = (plane(), Array2::<f32>::zeros((SIDE, SIDE)));
    let everywhere = Region::whole((SIDE, SIDE));
    row("memory: copy a plane", fastest(|| out.assign(black_box(&input))));
    row("memory: add a plane to another", fastest(|| out += black_box(&input)));
    for order in [Order::LINEAR, Order::CUBIC, Order::QUINTIC] {
        let time =
            fastest(|| shift_add(black_box(input.view()), SHIFT, order, 1.0, out.view_mut(), &everywhere));
        row(&format!("shift and add, order {}", order.get()), time);
    }
    row("prefilter, order 3", fastest(|| drop(black_box(prefilter_f32(input.view(), Order::CUBIC)))));
    row(
        "Gaussian filter, σ 2 px",
        fastest(|| drop(black_box(gaussian_filter(input.view(), 2.0, Boundary::Reflect)))),
    );
    let flags = input.mapv(|v| v > 60.0);
    row("open with a diamond of radius 2", fastest(|| drop(black_box(open_diamond(flags.view(), 2)))));
}

fn row(name: &str, time: Duration) {
    println!("| {name} | {:.2} |", time.as_secs_f64() * 1e9 / (SIDE * SIDE) as f64);
}

/// The minimum over many repetitions.
fn fastest(mut work: impl FnMut()) -> Duration {
    let started = Instant::now();
    let mut best = Duration::MAX;
    while started.elapsed() < PATIENCE {
        let now = Instant::now();
        work();
        best = best.min(now.elapsed());
    }
    best
}

/// The same shifts by SciPy, if the interpreter `PYTHON` (default `python3`) has it.
fn scipy_shifts() {
    let program = format!(
        "import numpy, scipy, time\n\
         from scipy.ndimage import shift\n\
         a = numpy.random.default_rng(1).normal(size=({SIDE}, {SIDE})).astype('f4')\n\
         for order in (1, 3):\n    \
             best = 9e9\n    \
             for _ in range(3):\n        \
                 t = time.perf_counter(); shift(a, (0.3, -0.7), order=order, prefilter=False); best = min(best, time.perf_counter() - t)\n    \
             print(f'| SciPy {{scipy.__version__}} ndimage.shift, order {{order}} | {{best * 1e9 / a.size:.1f}} |')\n"
    );
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    match Command::new(&python).args(["-c", &program]).output() {
        Ok(output) if output.status.success() => print!("{}", String::from_utf8_lossy(&output.stdout)),
        Ok(output) => {
            let reason = String::from_utf8_lossy(&output.stderr);
            println!("\nSciPy is left out: {}", reason.lines().last().unwrap_or("it failed"));
        }
        Err(error) => println!("\nSciPy is left out: {python}: {error}"),
    }
}

/// A solve to be timed.
#[derive(Clone, Copy)]
struct Case {
    side: usize,
    count: usize,
    subfilters: usize,
    order: Order,
    threads: usize,
}

impl Case {
    const USUAL: Self = Self { side: 1000, count: 20, subfilters: 3, order: Order::CUBIC, threads: 1 };

    /// Times solves of 3 and 9 iterations; the difference is six iterations without fixed costs.
    fn measure(self) -> Result<()> {
        let Self { side, count, subfilters, order, threads } = self;
        if threads > std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            return Ok(());
        }
        let pool =
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("starting threads")?;
        let observations = visits(side, count, subfilters);
        let template = observations.visits[0].image.clone();
        let (detected, bad) = (template.mapv(|t| t > 50.0), template.mapv(|_| false));
        let (cells, basis) = ([Region::whole((side, side))], smooth_spectrum(subfilters));
        let fractions = vec![1.0 / subfilters as f64; subfilters];
        let problem = Problem {
            observations: &observations,
            cells: &cells,
            basis: &basis,
            fractions: &fractions,
            template: template.view(),
            detected: detected.view(),
            bad: bad.view(),
        };
        let config = |iterations: usize| IterativeConfig {
            order: Interpolation::Spline(order),
            max_iterations: Some(iterations),
            use_convergence: false,
            ..IterativeConfig::default()
        };
        let (few, many) = (config(3), config(9));
        let time = |config: &IterativeConfig| -> Result<f64> {
            let mut best = f64::INFINITY;
            for _ in 0..3 {
                let now = Instant::now();
                pool.install(|| solve(&problem, config, &mut |_, _, _| true))?;
                best = best.min(now.elapsed().as_secs_f64());
            }
            Ok(best)
        };
        let per_iteration = (time(&many)? - time(&few)?) / 6.0;
        let ns = per_iteration * 1e9 / (side * side * count) as f64;
        println!("| {side}² | {count} | {subfilters} | {} | {threads} | {ns:.2} |", order.get());
        Ok(())
    }
}
