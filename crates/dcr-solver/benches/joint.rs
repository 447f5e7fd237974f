//! The joint solver: a template, and whole solves by pixels and visits, on fields without
//! artefacts.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dcr_solver::joint::{
    JointConfig, JointInMemory, JointModel, JointProblem, JointVisit, Noise, PsfStamp, Spectrum, TemplatePsf,
    TemplateWanted, joint_template, solve_joint,
};
use dcr_solver::kernel::Region;
use dcr_solver::{GOOD, PixelShift};
use ndarray::{Array2, Array3};

/// Stars of σ = 1.5 px, one on every 32 × 32 pixels, displaced by up to 3 px; the noise is a fixed
/// pattern.
fn visits(side: usize, count: usize) -> (JointInMemory, Spectrum) {
    let wavelengths: Vec<f64> = (0..24).map(|l| 400.0 + 150.0 * (f64::from(l) + 0.5) / 24.0).collect();
    let subfilters: Vec<usize> = (0..24).map(|l| l / 8).collect();
    let spectrum = Spectrum::new(&wavelengths, &[1.0; 24], &subfilters, 475.0).expect("a band");
    let visit = |i: usize| {
        let (sin, cos) = (i as f64 * 2.4).sin_cos();
        let displacement =
            |w: &f64| PixelShift { dy: 3.0 * sin * (475.0 - w) / 150.0, dx: 3.0 * cos * (475.0 - w) / 150.0 };
        let image = Array2::from_shape_fn((side, side), |(y, x)| {
            let (dy, dx) = ((y % 32) as f32 - 16.0, (x % 32) as f32 - 16.0);
            500.0 * (-(dy * dy + dx * dx) / 4.5).exp() + ((y * 31 + x * 17 + i * 7) % 29) as f32 / 10.0 - 1.4
        });
        JointVisit {
            flags: Array2::from_elem(image.dim(), GOOD),
            image,
            noise: Noise { sky_variance: 1.0, shot: 0.0 },
            psf: PsfStamp::gaussian(3.5 + 0.02 * i as f64).expect("a PSF"),
            displacements: wavelengths.iter().map(displacement).collect(),
        }
    };
    (JointInMemory { visits: (0..count).map(visit).collect() }, spectrum)
}

fn whole_solve(c: &mut Criterion) {
    let mut group = c.benchmark_group("solve_joint");
    group.sample_size(10);
    for (side, count) in [(128, 8), (256, 8), (256, 16)] {
        let (visits, spectrum) = visits(side, count);
        let problem =
            JointProblem { visits: &visits, shape: (side, side), spectrum: &spectrum, fiducial: None };
        let config = JointConfig::default();
        group.throughput(Throughput::Elements((side * side * count) as u64));
        let name = BenchmarkId::from_parameter(format!("{side}² × {count}"));
        group.bench_with_input(name, &problem, |b, problem| {
            b.iter(|| solve_joint(black_box(problem), &config, &mut |_, _| true).map(|s| s.sigma));
        });
    }
    group.finish();
}

fn template(c: &mut Criterion) {
    let (visits, spectrum) = visits(256, 6);
    let problem = JointProblem { visits: &visits, shape: (256, 256), spectrum: &spectrum, fiducial: None };
    let config = JointConfig::default();
    let Ok(solution) = solve_joint(&problem, &config, &mut |_, _| true) else { return };
    let model = JointModel {
        patch: solution.covered_yx.dim(),
        held: Region::whole(solution.covered_yx.dim()),
        planes_ayx: solution.planes_ayx.view(),
        border: solution.border,
        covered_yx: solution.covered_yx.view(),
        spectrum: &spectrum,
        fiducial: &solution.fiducial,
        noise: None,
    };
    for register in [false, true] {
        let wanted = TemplateWanted { region: model.held.clone(), psf: TemplatePsf::Exposure, register };
        let name = format!("joint_template 256²{}", if register { ", registered" } else { "" });
        c.bench_function(&name, |b| {
            b.iter(|| joint_template(black_box(&model), &visits, 3, &wanted, &config).map(|t| t.offset));
        });
    }
}

/// A template of a part of a large patch, without reading, registration and variance.
fn template_of_a_part(c: &mut Criterion) {
    let (visits, spectrum) = visits(32, 1);
    let (patch, held) = ((4096, 4096), Region { rows: 512..1536, cols: 1024..3072 });
    let config = JointConfig::default();
    let (rows, cols) = (held.rows.len() + 2 * config.border, held.cols.len() + 2 * config.border);
    let planes_ayx = Array3::from_shape_fn((3, rows, cols), |(a, y, x)| ((a + y * 31 + x * 17) % 29) as f32);
    let covered_yx = Array2::from_elem(held.shape(), true);
    let model = JointModel {
        patch,
        held: held.clone(),
        planes_ayx: planes_ayx.view(),
        border: config.border,
        covered_yx: covered_yx.view(),
        spectrum: &spectrum,
        fiducial: &visits.visits[0].psf,
        noise: None,
    };
    let wanted = TemplateWanted { region: held, psf: TemplatePsf::Exposure, register: false };
    let mut group = c.benchmark_group("joint_template of a part");
    group.sample_size(10);
    group.throughput(Throughput::Elements(1024 * 2048));
    group.bench_function("1024 × 2048 of 4096²", |b| {
        b.iter(|| joint_template(black_box(&model), &visits, 0, &wanted, &config).map(|t| t.offset));
    });
    group.finish();
}

criterion_group!(benches, whole_solve, template, template_of_a_part);
criterion_main!(benches);
