//! Comparison of the solves with dense matrices in double precision, which share only the transfer
//! functions with them.

use std::f64::consts::TAU;

use ndarray::{Array1, Array2, s};
use rustfft::num_complex::{Complex32, Complex64};

use crate::joint::config::JointConfig;
use crate::joint::fixtures::band;
use crate::joint::fourier::grid::{Grid, Way};
use crate::joint::fourier::modes::inner;
use crate::joint::operator::tile::{Buffer, FULL, Tile, TileVisit, inner_product, predict};
use crate::joint::operator::transfer::{Fiducial, visit_transfer};
use crate::joint::problem::psf::PsfStamp;
use crate::joint::problem::spectrum::Spectrum;
use crate::joint::problem::visits::Noise;
use crate::joint::progress::IterationBudget;
use crate::joint::solve::map_final::{FinalSolve, MARGIN};
use crate::joint::solve::map_first::{FirstSolve, UniformPrior};
use crate::kernel::PixelShift;
use crate::linalg::solve_positive_definite;

/// Tolerance of a solve, over the peak: conjugate gradients end at 1e-7, single precision at about
/// the same.
const DENSE: f64 = 1e-5;
/// Relative tolerance of ⟨Ax, y⟩ against ⟨x, A*y⟩: rounding in single precision.
const ADJOINT: f64 = 1e-6;

/// 16 × 16 pixels in `n` subfilters, with 3 visits of different PSF, refraction and masks. The
/// floor under the summed flux is raised: without data, the default amplifies the rounding of
/// single precision to 4e-4 of the peak.
struct SmallProblem {
    tile: Tile,
    spectrum: Spectrum,
    fiducial: Fiducial,
    config: JointConfig,
}

fn small(n: usize) -> SmallProblem {
    let config = JointConfig { total_floor: 1e-2, source_tolerance: 1e-8, ..JointConfig::default() };
    let spectrum = band(n);
    let grid = Grid::new((16, 16), 2);
    let psfs = [3.0, 3.5, 4.5].map(|fwhm| PsfStamp::gaussian(fwhm).unwrap());
    let fiducial = Fiducial::new(&psfs[0], &grid.frequencies());
    let visits: Vec<TileVisit> = (0..3)
        .map(|v| {
            let towards = [(1.5, 0.2), (-0.7, 1.0), (0.1, -1.8)][v];
            let displacements: Vec<PixelShift> = spectrum
                .wavelengths()
                .iter()
                .map(|w| (475.0 - w) / 150.0)
                .map(|r| PixelShift { dy: towards.0 * r, dx: towards.1 * r })
                .collect();
            let frequencies = grid.frequencies();
            let transfer =
                visit_transfer(&frequencies, &spectrum, &fiducial, Some(&psfs[v]), &displacements, &config);
            let star =
                |i: usize| (-0.2 * (((i / 16) as f32 - 7.0).powi(2) + ((i % 16) as f32 - 8.5).powi(2))).exp();
            // Masked pixels, and pixels of half weight.
            let count = |i: usize| if (i + v).is_multiple_of(9) { FULL / 2 } else { FULL };
            let good: Vec<u8> =
                (0..256).map(|i| count(i) * u8::from((i * 7 + v * 13) % 11 != 0 && i / 16 > v)).collect();
            let noise = |i: usize| ((i * 31 + v * 17) % 23) as f32 / 23.0 - 0.5;
            let image = (0..256).map(|i| f32::from(good[i].min(1)) * (100.0 * star(i) + noise(i))).collect();
            let noise = Noise { sky_variance: 0.5 + 0.3 * v as f64, shot: 0.0 };
            TileVisit::new(transfer, image, good, noise, psfs[v].seeing_px())
        })
        .collect();
    let sigma = visits.iter().map(TileVisit::weight).sum::<f64>().sqrt().recip();
    SmallProblem { tile: Tile::new(grid, n, visits, sigma), spectrum, fiducial, config }
}

/// Matrix of a convolution whose kernel has these modes, by a Fourier sum.
fn circulant(grid: &Grid, modes: &dyn Fn(usize, usize) -> Complex64) -> Array2<f64> {
    let frequencies = grid.frequencies();
    let (rows, cols) = grid.padded;
    let kernel = Array2::from_shape_fn((rows, cols), |(y, x)| {
        let mut sum = 0.0;
        for (ix, fx) in frequencies.x.iter().enumerate() {
            for (iy, fy) in frequencies.y.iter().enumerate() {
                let wave = Complex64::cis(TAU * (fy * y as f64 + fx * x as f64));
                sum += grid.multiplicity(ix) * (modes(ix, iy) * wave).re;
            }
        }
        sum
    });
    Array2::from_shape_fn((rows * cols, rows * cols), |(p, q)| {
        let (dy, dx) = ((p / cols + rows - q / cols) % rows, (p % cols + cols - q % cols) % cols);
        kernel[[dy, dx]]
    })
}

impl SmallProblem {
    /// `(H, b)` of the data for the planes on the whole grid.
    fn normal_equations(&self) -> (Array2<f64>, Array1<f64>) {
        let (grid, n) = (&self.tile.grid, self.tile.n);
        let (pixels, ky) = (grid.pixels(), grid.ky());
        let mut hessian = Array2::zeros((n * pixels, n * pixels));
        let mut right_side = Array1::zeros(n * pixels);
        for visit in &self.tile.visits {
            let mut rows = Array2::zeros((256, n * pixels));
            let mut data = Array1::zeros(256);
            for a in 0..n {
                let matrix = circulant(grid, &|ix, iy| {
                    let value = visit.transfer[(ix * n + a) * ky + iy];
                    Complex64::new(f64::from(value.re), f64::from(value.im))
                });
                for i in (0..256).filter(|i| visit.used[*i] != 0) {
                    let pixel =
                        (grid.tile_rows().start + i / 16) * grid.padded.1 + grid.tile_cols().start + i % 16;
                    let mut target = rows.slice_mut(s![i, a * pixels..(a + 1) * pixels]);
                    target.assign(&matrix.row(pixel));
                    let weight = visit.weight() * f64::from(visit.used[i]) / f64::from(FULL);
                    target *= weight.sqrt();
                    data[i] = f64::from(visit.image[i]) * weight.sqrt();
                }
            }
            hessian += &rows.t().dot(&rows);
            right_side += &rows.t().dot(&data);
        }
        (hessian, right_side)
    }

    fn prior(&self) -> UniformPrior {
        UniformPrior::new(&self.tile.grid, &self.spectrum, &self.fiducial, self.tile.sigma, &self.config)
    }

    /// Largest difference between planes on the tile, over the peak.
    fn worst(&mut self, model: &[Complex32], dense: &Array1<f64>) -> f64 {
        let planes = self.tile.planes(model, 0);
        let grid = &self.tile.grid;
        let peak = planes.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
        let mut worst = 0.0_f64;
        for ((a, y, x), got) in planes.indexed_iter() {
            let row = grid.tile_rows().start + y;
            let pixel = row * grid.padded.1 + grid.tile_cols().start + x;
            worst = worst.max((f64::from(*got) - dense[a * grid.pixels() + pixel]).abs());
        }
        worst / f64::from(peak)
    }
}

/// Planes on the whole grid, row by row.
fn whole_planes(tile: &mut Tile, model: &[Complex32]) -> Vec<f32> {
    let (grid, n) = (&tile.grid, tile.n);
    let mut buffer = Buffer::new(grid);
    let mut out = vec![];
    for a in 0..n {
        for (target, modes) in
            buffer.spectrum.chunks_exact_mut(grid.ky()).zip(model.chunks_exact(n * grid.ky()))
        {
            target.copy_from_slice(&modes[a * grid.ky()..][..grid.ky()]);
        }
        grid.inverse(&mut buffer.spectrum, 0..grid.padded.0, &mut buffer.scratch, |_, line| {
            out.extend(line.iter().map(|v| v * grid.scale()));
        });
    }
    out
}

/// The solution of a dense positive definite system.
fn solve_dense(matrix: &Array2<f64>, right_side: &Array1<f64>) -> Array1<f64> {
    let (matrix, right_side) = (matrix.as_slice().unwrap(), right_side.as_slice().unwrap());
    solve_positive_definite(matrix, right_side, 0.0).unwrap().into()
}

#[test]
fn dense_first_solve() {
    let mut small = small(2);
    let (mut hessian, right_side) = small.normal_equations();
    let pixels = small.tile.grid.pixels();
    let prior = small.prior();
    for a in 0..2 {
        for b in 0..2 {
            let ky = small.tile.grid.ky();
            let part = circulant(&small.tile.grid, &|ix, iy| prior.at(ix * ky + iy).at(a, b));
            let mut block = hessian.slice_mut(s![a * pixels..(a + 1) * pixels, b * pixels..(b + 1) * pixels]);
            block += &part;
        }
    }
    let dense = solve_dense(&hessian, &right_side);
    let mut solve = FirstSolve::new(&small.tile, prior, &small.spectrum, 8);
    solve.start(&mut small.tile, (400, 1e-8), &mut IterationBudget::new(&mut |_, _| true, 0));
    let worst = small.worst(solve.model(), &dense);
    assert!(worst < DENSE, "{worst:e}");
}

#[test]
fn dense_final_solve() {
    let mut small = small(2);
    let (hessian, right_side) = small.normal_equations();
    let prior = small.prior();
    let mut first = FirstSolve::new(&small.tile, prior, &small.spectrum, 8);
    first.start(&mut small.tile, (400, 1e-8), &mut IterationBudget::new(&mut |_, _| true, 0));
    let (grid, amplitude) = (Grid::new((16, 16), 2), small.fiducial.amplitude());
    let (total, fwhm_px) = (first.flux_prior().to_vec(), small.tile.visits[0].seeing_px);
    let mut solve = FinalSolve::new(
        &mut small.tile,
        &small.spectrum,
        &amplitude,
        &first,
        (fwhm_px, 8),
        &JointConfig { source_iterations: 400, ..small.config.clone() },
    );
    let width: Vec<f64> = solve.width_on_grid().iter().map(|w| f64::from(*w)).collect();
    let config = JointConfig { source_iterations: 400, ..small.config.clone() };
    solve.solve(&config, &mut IterationBudget::new(&mut |_, _| true, 0));
    let model = solve.into_model();
    // y = f t + E P τ u, with t and u on the whole grid.
    let (pixels, ky) = (grid.pixels(), grid.ky());
    let (f, e) = (small.spectrum.fractions(), small.spectrum.components(small.config.colour_damping));
    let psf = circulant(&grid, &|ix, iy| Complex64::from(f64::from(amplitude[ix * ky + iy])));
    let mut to_planes = Array2::zeros((2 * pixels, 2 * pixels));
    for a in 0..2 {
        for p in 0..pixels {
            to_planes[[a * pixels + p, p]] = f[a];
            for q in 0..pixels {
                to_planes[[a * pixels + p, pixels + q]] = e[[a, 0]] * psf[[p, q]] * width[q];
            }
        }
    }
    let mut normal = to_planes.t().dot(&hessian).dot(&to_planes);
    let mut held = circulant(&grid, &|ix, iy| Complex64::from(f64::from(total[ix * ky + iy])));
    let outside = |p: usize| {
        let (y, x) = (p / grid.padded.1, p % grid.padded.1);
        !(grid.tile_rows().contains(&y) && grid.tile_cols().contains(&x))
    };
    let margin = MARGIN / (small.tile.sigma * small.tile.sigma);
    (0..pixels).filter(|p| outside(*p)).for_each(|p| held[[p, p]] += margin);
    let mut corner = normal.slice_mut(s![..pixels, ..pixels]);
    corner += &held;
    for p in pixels..2 * pixels {
        normal[[p, p]] += 1.0;
    }
    // Floor and margin hold the flux to the first solve's.
    let mut pulled = to_planes.t().dot(&right_side);
    let start = whole_planes(&mut small.tile, first.model());
    let start: Array1<f64> = (0..pixels).map(|p| f64::from(start[p] + start[pixels + p])).collect();
    let mut totals = pulled.slice_mut(s![..pixels]);
    totals += &held.dot(&start);
    let dense = to_planes.dot(&solve_dense(&normal, &pulled));
    let worst = small.worst(&model, &dense);
    assert!(worst < DENSE, "{worst:e}");
}

#[test]
fn adjoint_of_the_prediction_is_the_back_projection() {
    let mut small = small(3);
    let random = |i: usize| ((i * 7919 + 13) % 1009) as f32 / 1009.0 - 0.5;
    let (grid, n) = (Grid::new((16, 16), 2), 3);
    // A model that is the transform of real planes: one visit's back-projection of noise.
    let mut model = vec![Complex32::default(); small.tile.unknowns()];
    small.tile.back_project(&mut model, |grid, _, buffer| {
        let rows = 0..grid.padded.0;
        grid.forward(&mut buffer.spectrum, rows, &mut buffer.scratch, |y, line| {
            line.iter_mut().enumerate().for_each(|(x, v)| *v = random(y * 31 + x * 7));
        });
    });
    for v in 0..3 {
        let mut buffer = Buffer::new(&grid);
        let transfer = small.tile.visits[v].transfer.clone();
        predict(&grid, n, &transfer, &model, &mut buffer.spectrum, &mut buffer.scratch, |_, _| {});
        // ⟨A x, r⟩ in pixels, for white noise r.
        let mut in_pixels = 0.0;
        let width = grid.padded.1;
        grid.read_rows(&buffer.spectrum, 0..grid.padded.0, &mut buffer.scratch, |y, line| {
            in_pixels +=
                (0..width).map(|x| f64::from(line[x]) * f64::from(random(y * width + x))).sum::<f64>();
        });
        in_pixels *= f64::from(grid.scale());
        // ⟨x, A* r⟩ in modes.
        let mut back = vec![Complex32::default(); small.tile.unknowns()];
        let rows = 0..grid.padded.0;
        grid.write_rows(&mut buffer.spectrum, rows, &mut buffer.scratch, |y, line| {
            line.iter_mut().enumerate().for_each(|(x, v)| *v = random(y * width + x));
        });
        grid.columns(&mut buffer.spectrum, Way::Forward, &mut buffer.scratch);
        for (ix, back) in back.chunks_exact_mut(n * grid.ky()).enumerate() {
            let residual = &buffer.spectrum[ix * grid.ky()..][..grid.ky()];
            for (a, back) in back.chunks_exact_mut(grid.ky()).enumerate() {
                let transfer = &transfer[(ix * n + a) * grid.ky()..][..grid.ky()];
                crate::joint::fourier::modes::add_conjugate_product(back, transfer, residual);
            }
        }
        let in_modes = inner_product(&grid, &model, &back);
        let scale = (inner(&back, &back) * inner(&model, &model)).sqrt() / grid.pixels() as f64;
        assert!((in_pixels - in_modes).abs() < ADJOINT * scale, "{in_pixels} {in_modes} {scale}");
    }
}
