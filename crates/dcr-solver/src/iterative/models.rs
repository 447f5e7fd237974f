//! The model and the best one so far, without copies of planes.

use ndarray::Array3;

/// The present model, and two buffers, one of which may hold the best model so far.
#[derive(Default)]
pub(super) struct Models {
    /// The present model, `(subfilters, rows, cols)`.
    pub(super) now_byx: Array3<f32>,
    /// The previous model, or scratch.
    before_byx: Option<Array3<f32>>,
    /// An older model, or scratch.
    kept_byx: Option<Array3<f32>>,
    best: Best,
}

/// Place of the best model.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Best {
    #[default]
    Now,
    Before,
    Kept,
}

impl Models {
    pub(super) fn new(now_byx: Array3<f32>) -> Self {
        Self { now_byx, ..Self::default() }
    }

    /// Marks the present model as the best so far.
    pub(super) fn mark_best(&mut self) {
        self.best = Best::Now;
    }

    /// Memory for the next model, for [`Models::advance`], with undefined contents.
    pub(super) fn buffer(&mut self) -> Array3<f32> {
        if self.best == Best::Before {
            std::mem::swap(&mut self.before_byx, &mut self.kept_byx);
            self.best = Best::Kept;
        }
        self.before_byx.take().unwrap_or_else(|| Array3::zeros(self.now_byx.dim()))
    }

    /// Replaces the present model by the next.
    pub(super) fn advance(&mut self, next_byx: Array3<f32>) {
        self.before_byx = Some(std::mem::replace(&mut self.now_byx, next_byx));
        if self.best == Best::Now {
            self.best = Best::Before;
        }
    }

    /// Restores the best model.
    pub(super) fn restore_best(&mut self) {
        let best = match self.best {
            Best::Now => None,
            Best::Before => self.before_byx.take(),
            Best::Kept => self.kept_byx.take(),
        };
        if let Some(best) = best {
            self.now_byx = best;
        }
        self.best = Best::Now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_keep_the_best_however_old() {
        for (best_at, steps) in [(0, 0), (0, 1), (0, 3), (2, 3), (3, 3), (1, 5)] {
            let mut models = Models::new(Array3::from_elem((1, 1, 1), 0.0));
            for step in 0..=steps {
                if step > 0 {
                    let mut next = models.buffer();
                    next.fill(step as f32);
                    models.advance(next);
                }
                if step <= best_at {
                    models.mark_best();
                }
            }
            assert_eq!(models.now_byx[[0, 0, 0]], steps as f32);
            models.restore_best();
            assert_eq!(models.now_byx[[0, 0, 0]], best_at.min(steps) as f32);
        }
    }
}
