//! Sources of a field: position, brightness, shape and spectrum.

use serde::{Deserialize, Serialize};

use crate::profile::{GalaxyShape, SourceShape};
use crate::random::{Purpose, Random};
use crate::{FieldConfig, Spectrum};

/// Attempts to place a source at the required separation before a closer place is accepted.
const PLACE_TRIES: usize = 200;

/// A source above the atmosphere.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// Number in the catalogue, from 1.
    pub id: u32,
    /// Column of its centre at the reference wavelength, 0-based.
    pub x: f64,
    /// Row of its centre at the reference wavelength, 0-based.
    pub y: f64,
    /// Counts in the band, in electrons per exposure.
    pub flux: f64,
    /// Shape.
    pub shape: SourceShape,
    /// Spectrum.
    pub spectrum: Spectrum,
}

impl Source {
    /// Whether its centre lies on the image.
    pub(crate) fn is_inside(&self, config: &FieldConfig) -> bool {
        let within = |v: f64, side: usize| (-0.5..side as f64 - 0.5).contains(&v);
        within(self.x, config.width) && within(self.y, config.height)
    }
}

/// The catalogue for the settings: stars, then galaxies, then the saturated star.
pub(crate) fn draw(config: &FieldConfig) -> Vec<Source> {
    let mut random = Random::new(config.seed, Purpose::Catalogue, 0);
    let sources = &config.sources;
    let mut catalogue: Vec<Source> = Vec::with_capacity(sources.stars + sources.galaxies + 1);
    let mut places = Places::new(config);
    for i in 0..sources.stars + sources.galaxies {
        let [x, y] = places.draw(&mut random);
        let flux = draw_flux(config, &mut random);
        let (shape, spectrum) = if i < sources.stars {
            (SourceShape::Point, draw_star_spectrum(config, &mut random))
        } else {
            (draw_galaxy(config, &mut random), draw_galaxy_spectrum(config, &mut random))
        };
        catalogue.push(Source { id: i as u32 + 1, x, y, flux, shape, spectrum });
    }
    let saturated = config.artefacts.as_ref().map_or(0.0, |artefacts| artefacts.saturated_flux_electrons);
    if saturated > 0.0 {
        let [x, y] = place_inside(config, &mut random);
        let spectrum = Spectrum::BlackBody { temperature_k: 6000.0 };
        let id = catalogue.len() as u32 + 1;
        catalogue.push(Source { id, x, y, flux: saturated, shape: SourceShape::Point, spectrum });
    }
    catalogue
}

/// New point sources for one held-out visit, numbered from `first_id`.
pub(crate) fn draw_transients(config: &FieldConfig, random: &mut Random, first_id: u32) -> Vec<Source> {
    (0..config.sources.transients as u32)
        .map(|i| {
            let [x, y] = place_inside(config, random);
            // Well above the noise, so that they can be detected.
            let flux = config.sources.flux_electrons[0] * random.uniform(4.0, 12.0);
            let spectrum = Spectrum::BlackBody { temperature_k: random.uniform(8000.0, 15_000.0) };
            Source { id: first_id + i, x, y, flux, shape: SourceShape::Point, spectrum }
        })
        .collect()
}

/// A random position well inside the image.
fn place_inside(config: &FieldConfig, random: &mut Random) -> [f64; 2] {
    [config.width, config.height].map(|side| side as f64 * random.uniform(0.1, 0.9) - 0.5)
}

/// Random positions with a minimum separation, from a grid of cells of that size.
struct Places {
    low: f64,
    size: [f64; 2],
    separation: f64,
    columns: usize,
    rows: usize,
    cells: Vec<Vec<[f64; 2]>>,
}

impl Places {
    fn new(config: &FieldConfig) -> Self {
        let margin = config.sources.margin_px;
        let size = [config.width as f64 + 2.0 * margin, config.height as f64 + 2.0 * margin];
        let separation = config.sources.separation_arcsec / config.scale_arcsec;
        let cells = |length: f64| ((length / separation.max(1.0)) as usize).max(1);
        let (columns, rows) = (cells(size[0]), cells(size[1]));
        Self { low: -margin - 0.5, size, separation, columns, rows, cells: vec![Vec::new(); columns * rows] }
    }

    fn draw(&mut self, random: &mut Random) -> [f64; 2] {
        let mut place = [0.0; 2];
        for _ in 0..PLACE_TRIES {
            place = [random.uniform(0.0, self.size[0]), random.uniform(0.0, self.size[1])];
            if self.is_free(place) {
                break;
            }
        }
        let (column, row) = self.cell(place);
        self.cells[row * self.columns + column].push(place);
        place.map(|v| v + self.low)
    }

    fn cell(&self, place: [f64; 2]) -> (usize, usize) {
        let index = |v: f64, size: f64, count: usize| ((v / size * count as f64) as usize).min(count - 1);
        (index(place[0], self.size[0], self.columns), index(place[1], self.size[1], self.rows))
    }

    fn is_free(&self, place: [f64; 2]) -> bool {
        let (column, row) = self.cell(place);
        let columns = column.saturating_sub(1)..(column + 2).min(self.columns);
        let mut rows = row.saturating_sub(1)..(row + 2).min(self.rows);
        let far = |other: &[f64; 2]| {
            let (dx, dy) = (other[0] - place[0], other[1] - place[1]);
            dx * dx + dy * dy >= self.separation * self.separation
        };
        rows.all(|row| columns.clone().all(|column| self.cells[row * self.columns + column].iter().all(far)))
    }
}

/// A flux with cumulative counts `N(>F) ∝ F^−slope`.
fn draw_flux(config: &FieldConfig, random: &mut Random) -> f64 {
    let [faint, bright] = config.sources.flux_electrons;
    let slope = config.sources.count_slope;
    let (at_faint, at_bright) = (libm::pow(faint, -slope), libm::pow(bright, -slope));
    libm::pow(random.uniform(at_bright, at_faint), -1.0 / slope).clamp(faint, bright)
}

fn draw_star_spectrum(config: &FieldConfig, random: &mut Random) -> Spectrum {
    let band = &config.passband;
    match random.below(10) {
        0 => Spectrum::Quasar { redshift: random.uniform(0.5, 3.0) },
        1 => Spectrum::EmissionLine {
            wavelength_nm: random.uniform(band.low_nm + 5.0, band.high_nm - 5.0),
            equivalent_width_nm: random.uniform(30.0, 150.0),
            sigma_nm: random.uniform(0.8, 3.0),
        },
        2 => Spectrum::PowerLaw { index: random.uniform(-4.0, 4.0) },
        // Black bodies from M dwarfs to hot white dwarfs, uniform in log T.
        _ => Spectrum::BlackBody { temperature_k: 3000.0 * libm::pow(20_000.0 / 3000.0, random.unit()) },
    }
}

fn draw_galaxy(config: &FieldConfig, random: &mut Random) -> SourceShape {
    SourceShape::Galaxy {
        shape: if random.unit() < 0.7 { GalaxyShape::Exponential } else { GalaxyShape::DeVaucouleurs },
        half_light_radius_px: random.uniform(0.3, 1.2) / config.scale_arcsec,
        axis_ratio: random.uniform(0.3, 1.0),
        angle_rad: random.uniform(0.0, std::f64::consts::PI),
    }
}

fn draw_galaxy_spectrum(config: &FieldConfig, random: &mut Random) -> Spectrum {
    let band = &config.passband;
    match random.below(3) {
        0 => Spectrum::PowerLaw { index: random.uniform(-2.0, 2.0) },
        1 => Spectrum::EmissionLine {
            wavelength_nm: random.uniform(band.low_nm + 5.0, band.high_nm - 5.0),
            equivalent_width_nm: random.uniform(5.0, 40.0),
            sigma_nm: random.uniform(0.5, 1.0),
        },
        _ => Spectrum::Break {
            wavelength_nm: random.uniform(band.low_nm + 20.0, band.high_nm - 20.0),
            ratio: random.uniform(1.5, 3.0),
            width_nm: random.uniform(2.0, 6.0),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SourceSettings;

    #[test]
    fn catalogue_keeps_its_distances_and_ranges() {
        let config = FieldConfig::default();
        let catalogue = draw(&config);
        assert_eq!(catalogue.len(), 53);
        for (i, a) in catalogue.iter().enumerate() {
            assert!((1.6e3..=4.8e5).contains(&a.flux));
            assert!((-12.5..=172.0).contains(&a.x) && (-12.5..=172.0).contains(&a.y));
            assert_eq!(a.id as usize, i + 1);
            for b in &catalogue[i + 1..] {
                assert!(libm::hypot(a.x - b.x, a.y - b.y) >= 4.0);
            }
        }
    }

    #[test]
    fn catalogue_of_a_full_field_ends() {
        let sources = SourceSettings { stars: 300, separation_arcsec: 1e3, ..SourceSettings::default() };
        assert_eq!(draw(&FieldConfig { sources, ..FieldConfig::default() }).len(), 308);
    }

    #[test]
    fn catalogue_counts_follow_their_slope() {
        let sources = SourceSettings { stars: 4000, separation_arcsec: 0.0, ..SourceSettings::default() };
        let config = FieldConfig { sources, ..FieldConfig::default() };
        let catalogue = draw(&config);
        let brighter = |flux: f64| catalogue.iter().filter(|s| s.flux > flux).count() as f64 / 4008.0;
        // N(>F) between the limits, with F^−½.
        let expected = |flux: f64| {
            (flux.powf(-0.5) - 4.8e5_f64.powf(-0.5)) / (1.6e3_f64.powf(-0.5) - 4.8e5_f64.powf(-0.5))
        };
        for flux in [3e3, 1e4, 1e5] {
            assert!((brighter(flux) - expected(flux)).abs() < 0.03);
        }
    }
}
