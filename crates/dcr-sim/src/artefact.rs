//! Artefacts of an exposure: cosmic rays, a streak, bad columns, missing edges, a saturated core.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::ArtefactSettings;
use crate::random::Random;

/// Kinds of artefacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArtefactKind {
    /// A short bright track of a cosmic ray.
    CosmicRay,
    /// A satellite trail across the image.
    Streak,
    /// A bad column with excess charge.
    BadColumn,
    /// A strip or corner without data.
    NoData,
    /// Saturated pixels.
    Saturation,
}

/// One artefact, and whether the mask flags it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artefact {
    /// Kind of the artefact.
    pub kind: ArtefactKind,
    /// Whether the exposure's mask flags its pixels.
    pub flagged: bool,
    /// Its pixels as (row, column).
    pub pixels: Vec<(usize, usize)>,
}

impl Artefact {
    /// Mask plane of this kind.
    pub(crate) fn plane(&self) -> &'static str {
        match self.kind {
            ArtefactKind::CosmicRay | ArtefactKind::Streak => "CR",
            ArtefactKind::BadColumn => "BAD",
            ArtefactKind::NoData => "NO_DATA",
            ArtefactKind::Saturation => "SAT",
        }
    }
}

/// Adds cosmic rays, and the streak if this visit has one, to `light`, in electrons.
pub(crate) fn add_light(
    settings: &ArtefactSettings,
    visit_index: usize,
    sky_sigma: f64,
    random: &mut Random,
    light: &mut Array2<f64>,
) -> Vec<Artefact> {
    let mut artefacts = Vec::new();
    for _ in 0..settings.cosmic_rays {
        let pixels = cosmic_ray(light.dim(), random);
        let charge = sky_sigma * random.uniform(15.0, 200.0);
        for &pixel in &pixels {
            light[pixel] += charge * random.uniform(0.5, 1.5);
        }
        let flagged = random.unit() >= settings.unflagged;
        artefacts.push(Artefact { kind: ArtefactKind::CosmicRay, flagged, pixels });
    }
    if settings.streak_every > 0 && visit_index % settings.streak_every == settings.streak_every - 1 {
        artefacts.push(streak(sky_sigma, random, light));
    }
    artefacts
}

/// The pixels of a straight track of up to 12 pixels.
fn cosmic_ray((rows, columns): (usize, usize), random: &mut Random) -> Vec<(usize, usize)> {
    let (y, x) = (random.uniform(0.0, rows as f64), random.uniform(0.0, columns as f64));
    let (sin, cos) = libm::sincos(random.uniform(0.0, std::f64::consts::TAU));
    let steps = 1 + random.below(12);
    let mut pixels: Vec<(usize, usize)> = Vec::with_capacity(steps);
    for step in 0..steps {
        let (py, px) = (y + step as f64 * sin, x + step as f64 * cos);
        let pixel = (py as usize, px as usize);
        let inside = py >= 0.0 && px >= 0.0 && pixel.0 < rows && pixel.1 < columns;
        if inside && !pixels.contains(&pixel) {
            pixels.push(pixel);
        }
    }
    pixels
}

/// Adds a straight trail of Gaussian cross-section, σ 1.5 pixels, across the image.
fn streak(sky_sigma: f64, random: &mut Random, light: &mut Array2<f64>) -> Artefact {
    let (rows, columns) = light.dim();
    let (y, x) = (random.uniform(0.3, 0.7) * rows as f64, random.uniform(0.3, 0.7) * columns as f64);
    let (sin, cos) = libm::sincos(random.uniform(0.0, std::f64::consts::PI));
    let height = sky_sigma * random.uniform(5.0, 20.0);
    let mut pixels = Vec::new();
    for ((row, column), pixel) in light.indexed_iter_mut() {
        let across = ((row as f64 - y) * cos - (column as f64 - x) * sin) / 1.5;
        if across.abs() < 4.0 {
            *pixel += height * libm::exp(-0.5 * across * across);
        }
        if across.abs() < 2.0 {
            pixels.push((row, column));
        }
    }
    Artefact { kind: ArtefactKind::Streak, flagged: false, pixels }
}

/// Caps `light` at saturation.
pub(crate) fn saturate(level: f64, light: &mut Array2<f64>) -> Option<Artefact> {
    let mut pixels = Vec::new();
    for (pixel, value) in light.indexed_iter_mut() {
        if *value >= level {
            *value = level;
            pixels.push(pixel);
        }
    }
    (!pixels.is_empty()).then_some(Artefact { kind: ArtefactKind::Saturation, flagged: true, pixels })
}

/// Adds charge to a few columns.
pub(crate) fn bad_columns(
    settings: &ArtefactSettings,
    sky_sigma: f64,
    random: &mut Random,
    light: &mut Array2<f64>,
) -> Vec<Artefact> {
    let (rows, columns) = light.dim();
    (0..settings.bad_columns)
        .map(|_| {
            let column = random.below(columns);
            let offset = sky_sigma * random.uniform(-5.0, 20.0);
            light.column_mut(column).map_inplace(|pixel| *pixel += offset);
            let pixels = (0..rows).map(|row| (row, column)).collect();
            Artefact { kind: ArtefactKind::BadColumn, flagged: true, pixels }
        })
        .collect()
}

/// Missing pixels of a visit: a strip along one edge and a triangle in one corner.
pub(crate) fn missing(
    settings: &ArtefactSettings,
    (rows, columns): (usize, usize),
    random: &mut Random,
) -> Option<Artefact> {
    let edge = random.below(4);
    let width = random.below(settings.edge_px + 1);
    let corner = random.below(4);
    let leg = random.below(2 * settings.edge_px + 1);
    let mut pixels = Vec::new();
    for row in 0..rows {
        for column in 0..columns {
            let (from_bottom, from_top) = (row, rows - 1 - row);
            let (from_left, from_right) = (column, columns - 1 - column);
            let from_edge = [from_bottom, from_top, from_left, from_right][edge];
            let from_corner = [from_bottom, from_top][corner / 2] + [from_left, from_right][corner % 2];
            if from_edge < width || from_corner < leg {
                pixels.push((row, column));
            }
        }
    }
    (!pixels.is_empty()).then_some(Artefact { kind: ArtefactKind::NoData, flagged: true, pixels })
}
