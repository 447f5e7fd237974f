//! Clipping of unflagged artefacts: pixels that deviate from the prediction for their own visit.
//!
//! The prediction has the visit's refraction and PSF, so a deviation ([`OutlierTest`]) is not in
//! the sky, or not always. Every round starts from the input's flags, so that a pixel clipped early
//! can come back.

use ndarray::Array2;

use crate::joint::config::JointConfig;
use crate::joint::fourier::grid::Grid;
use crate::joint::operator::tile::TileVisit;
use crate::kernel::{FWHM_PER_SIGMA, dilate_diamond};
use crate::outliers::OutlierTest;

/// Selects the used pixels of a visit, given its prediction on the tile; thresholds in σ are
/// multiplied by `factor`.
pub(crate) fn clip(grid: &Grid, visit: &mut TileVisit, model: &[f32], factor: f64, config: &JointConfig) {
    let shape = grid.shape;
    let plane =
        |values: Vec<f32>| Array2::from_shape_vec(shape, values).expect("planes have the tile's shape");
    let pixels = visit.image.iter().zip(&visit.good).zip(model);
    let residual = plane(pixels.map(|((s, good), m)| (s - m) * f32::from(u8::from(*good != 0))).collect());
    let test = OutlierTest {
        noise: visit.noise,
        sigmas: config.clip_sigmas * factor,
        fraction: config.clip_fraction,
        psf_sigma: visit.seeing_px / FWHM_PER_SIGMA,
    };
    let hit = test.outliers(residual.view(), plane(model.to_vec()).view());
    let hit = dilate_diamond(hit.view(), config.clip_grow);
    for ((used, good), hit) in visit.used.iter_mut().zip(&visit.good).zip(&hit) {
        *used = good * u8::from(!hit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::joint::operator::tile::FULL;
    use crate::joint::problem::visits::Noise;

    fn visit(shape: (usize, usize)) -> TileVisit {
        let pixels = shape.0 * shape.1;
        let noise = Noise { sky_variance: 4.0, shot: 0.0 };
        TileVisit::new(vec![], vec![0.0; pixels], vec![FULL; pixels], noise, 3.0)
    }

    #[test]
    fn clip_takes_out_a_cosmic_ray_and_its_neighbours_and_lets_them_back() {
        let grid = Grid::new((16, 16), 4);
        let mut visit = visit(grid.shape);
        visit.image[8 * 16 + 5] = 100.0;
        let config = JointConfig { clip_fraction: 0.0, ..JointConfig::default() };
        clip(&grid, &mut visit, &[0.0; 256], 1.0, &config);
        assert_eq!(visit.used[8 * 16 + 5], 0);
        assert_eq!(visit.used[7 * 16 + 5], 0);
        assert_eq!(visit.used[0], FULL);
        let explained = visit.image.clone();
        clip(&grid, &mut visit, &explained, 1.0, &config);
        assert!(visit.used.iter().all(|u| *u == FULL), "every round starts from the input's flags");
    }

    #[test]
    fn clip_never_uses_what_was_bad() {
        let grid = Grid::new((8, 8), 4);
        let mut visit = visit(grid.shape);
        visit.good[9] = 0;
        clip(&grid, &mut visit, &[0.0; 64], 1.0, &JointConfig::default());
        assert_eq!((visit.used[9], visit.used[8]), (0, FULL));
    }
}
