//! Hough transform: the straight line with most votes of a set of points.
//!
//! Every point votes for the lines through it, `ρ = x cos θ + y sin θ`, in cells of `θ` and `ρ`
//! (Duda & Hart 1972). The votes of a line are those of two cells adjacent in `ρ`, so that no line
//! is split between cells. The votes by chance are Poisson-distributed with mean
//!
//! ```text
//! μ = 2 p c
//! ```
//!
//! for the length `c` of the line within the box and the density `p` of points. The score is
//! `(votes − μ) / √max(μ, 1)`. Cells are one unit wide in `ρ`; a step in `θ` moves the ends of a
//! line by one unit.

use std::f64::consts::PI;

/// A straight line, about the middle of a box: `x cos θ + y sin θ = ρ`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Direction of the normal, in radians from +x.
    pub theta: f64,
    /// Signed distance from the middle of the box.
    pub rho: f64,
}

impl Line {
    /// Axes across it and along it, to ask for many points.
    pub fn axes(&self) -> Axes {
        let (sin, cos) = self.theta.sin_cos();
        Axes { sin, cos, rho: self.rho }
    }
}

/// Axes across a line and along it.
#[derive(Clone, Copy, Debug)]
pub struct Axes {
    sin: f64,
    cos: f64,
    rho: f64,
}

impl Axes {
    /// How far a point lies from the line, and where along it.
    pub(crate) fn across_and_along(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (self.across((x, y)), y * self.cos - x * self.sin)
    }

    /// How far a point lies from the line.
    pub fn across(&self, (x, y): (f64, f64)) -> f64 {
        x * self.cos + y * self.sin - self.rho
    }
}

/// Points in a box of `shape` rows and columns, in coordinates about its middle.
pub struct Points {
    /// Rows and columns of the box.
    pub shape: (usize, usize),
    /// `(x, y)`.
    pub places: Vec<(f64, f64)>,
    /// The number of places at which a point could be.
    pub possible: usize,
}

impl Points {
    /// The line of the highest score, and that.
    pub fn best_line(&self) -> Option<(Line, f64)> {
        let (height, width) = (self.shape.0 as f64, self.shape.1 as f64);
        let diagonal = height.hypot(width);
        let angles = (PI * diagonal / 2.0).ceil() as usize;
        let density = self.places.len() as f64 / self.possible.max(1) as f64;
        // Outer cells stay empty: neighbours can be looked up without a check.
        let half = diagonal / 2.0 + 1.5;
        let mut votes = vec![0_u16; 2 * half.ceil() as usize + 3];
        let mut best: Option<(Line, f64)> = None;
        for angle in 0..angles {
            let theta = PI * angle as f64 / angles as f64;
            let (sin, cos) = theta.sin_cos();
            votes.fill(0);
            for (x, y) in &self.places {
                let cell = &mut votes[(x * cos + y * sin + half) as usize];
                *cell = cell.saturating_add(1);
            }
            let chord = Chord::new((height, width), (sin.abs(), cos.abs()));
            let least = best.map_or(0.0, |(_, score)| score);
            for (cell, pair) in votes.windows(2).enumerate() {
                let count = f64::from(pair[0]) + f64::from(pair[1]);
                if count <= least {
                    continue;
                }
                let rho = cell as f64 + 1.0 - half;
                let by_chance = 2.0 * density * chord.length(rho);
                let score = (count - by_chance) / by_chance.max(1.0).sqrt();
                if best.is_none_or(|(_, highest)| score > highest) {
                    best = Some((Line { theta, rho }, score));
                }
            }
        }
        best
    }

    /// Removes the points within `distance` of a line.
    pub fn remove_near(&mut self, line: &Line, distance: f64) {
        let axes = line.axes();
        self.places.retain(|place| axes.across(*place).abs() > distance);
    }
}

/// The length within a box of lines of one direction: a trapezium over `ρ`.
struct Chord {
    most: f64,
    /// `|ρ|` where the length begins to fall, and where it reaches 0.
    inner: f64,
    outer: f64,
}

impl Chord {
    fn new((height, width): (f64, f64), (sin, cos): (f64, f64)) -> Self {
        let (across, along) = (width * cos, height * sin);
        let most = (width / sin.max(f64::EPSILON)).min(height / cos.max(f64::EPSILON));
        Self { most, inner: (across - along).abs() / 2.0, outer: f64::midpoint(across, along) }
    }

    fn length(&self, rho: f64) -> f64 {
        let fall = (self.outer - rho.abs()) / (self.outer - self.inner).max(f64::EPSILON);
        self.most * fall.clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chord_is_the_length_in_the_box() {
        let chord = |theta: f64, rho| {
            let (sin, cos) = theta.sin_cos();
            Chord::new((10.0, 20.0), (sin.abs(), cos.abs())).length(rho)
        };
        assert!((chord(0.0, 3.0) - 10.0).abs() < 1e-9 && chord(0.0, 10.5) == 0.0);
        assert!((chord(PI / 2.0, 3.0) - 20.0).abs() < 1e-9 && chord(PI / 2.0, 5.5) == 0.0);
        let diagonal = 200.0_f64.sqrt();
        assert!((chord(PI / 4.0, 0.0) - diagonal).abs() < 1e-9);
        assert!((chord(PI / 4.0, 15.0 / 2.0_f64.sqrt() - 1.0) - 2.0).abs() < 1e-9);
    }

    #[test]
    fn best_line_goes_through_the_points() {
        let expected = Line { theta: 1.1, rho: -7.3 };
        let (sin, cos) = expected.theta.sin_cos();
        let on_line = (-40..40).step_by(4).map(|t| {
            let t = f64::from(t);
            (expected.rho * cos - t * sin, expected.rho * sin + t * cos)
        });
        // Points of a generator whose lattice does not line up at this size.
        let mut state = 5_u64;
        let mut even = move |width: f64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 40) as f64 / f64::from(1 << 24) - 0.5) * width
        };
        let strewn: Vec<(f64, f64)> = (0..60).map(|_| (even(98.0), even(84.0))).collect();
        let places: Vec<(f64, f64)> = on_line.chain(strewn).collect();
        let mut points = Points { shape: (84, 98), places, possible: 84 * 98 };
        let (line, score) = points.best_line().unwrap();
        assert!(
            (line.theta - expected.theta).abs() < 0.04 && (line.rho - expected.rho).abs() < 1.0,
            "{line:?}"
        );
        assert!(score > 10.0, "{score}");
        points.remove_near(&line, 2.5);
        let next = points.best_line().unwrap();
        assert!(next.1 < 6.0, "{next:?}");
    }

    #[test]
    fn best_line_of_no_points_is_none() {
        let points = Points { shape: (5, 0), places: vec![], possible: 0 };
        assert_eq!(points.best_line(), None);
        let one = Points { shape: (1, 1), places: vec![(0.0, 0.0)], possible: 1 };
        assert!(one.best_line().is_some());
    }
}
