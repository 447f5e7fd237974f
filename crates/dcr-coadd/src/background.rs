//! What is left of the sky's background in each visit. It should be nothing: a model takes what visits have in common for light of sources, and
//! what they have not in common for artefacts, or leaves it in every difference.

use dcr_solver::{DETECTED, GOOD};

use crate::journal::Journal;
use crate::scatter::{median, median_of_pixels};

/// Levels this far from that of the other visits are told of, in σ of a pixel: averaged over a PSF it is 3 σ or more.
const DIFFERENT: f64 = 0.5;
/// A level that visits have in common is told of from here on; less may be a field full of faint sources.
const COMMON: f64 = 3.0;
/// Pixels of a visit that tell its level.
const ENOUGH: usize = 1 << 16;

/// Pixels of which the level is told: good and without sources, as far as masks tell, some of all that a patch has.
pub(crate) struct Sample {
    every: usize,
    seen: usize,
    values: Vec<f32>,
}

impl Sample {
    /// Of a patch of so many pixels.
    pub(crate) fn of(area: usize) -> Self {
        Self { every: (area / ENOUGH).max(1), seen: 0, values: vec![] }
    }

    /// Adds pixels with these flags.
    pub(crate) fn add<'a>(&mut self, pixels: impl Iterator<Item = (&'a f32, &'a u8)>) {
        for (value, flags) in pixels {
            if flags & (GOOD | DETECTED) == GOOD {
                if self.seen.is_multiple_of(self.every) {
                    self.values.push(*value);
                }
                self.seen += 1;
            }
        }
    }

    /// Their median; `None` without any.
    pub(crate) fn level(self) -> Option<f64> {
        (!self.values.is_empty()).then(|| f64::from(median_of_pixels(self.values)))
    }
}

/// A visit's level, and σ of its pixels.
pub(crate) struct Level {
    pub(crate) visit: String,
    pub(crate) level: f64,
    pub(crate) sigma: f64,
}

/// Warns of visits that have another level than most, and of a level that all have.
pub(crate) fn warn_of_levels(levels: &[Level], journal: &mut Journal<'_>) {
    let [common, sigma] =
        [|l: &Level| l.level, |l: &Level| l.sigma].map(|of| median(levels.iter().map(of).collect()));
    let (Some(common), Some(sigma)) = (common, sigma) else { return };
    if common.abs() > COMMON * sigma {
        let text = format!(
            "The sky of the visits has a median level of {common:.4}, {:+.1} σ of a pixel. Coadding takes it for light of sources: \
             subtract the background first.",
            common / sigma
        );
        journal.warn("background", text);
    }
    let departure = |l: &Level| (l.level - common) / l.sigma;
    let different: Vec<&Level> = levels.iter().filter(|l| departure(l).abs() > DIFFERENT).collect();
    let Some(most) = different.iter().max_by(|a, b| departure(a).abs().total_cmp(&departure(b).abs())) else {
        return;
    };
    let text = format!(
        "The level of the sky in {} of {} visits differs from that of the others by more than {DIFFERENT} σ of a pixel, most in {}: {:+.1} σ. \
         Subtract the background first: what differs is left in differences, or found to be artefacts.",
        different.len(),
        levels.len(),
        most.visit,
        departure(most)
    );
    journal.warn("background", text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Unmonitored;

    fn told(levels: &[f64]) -> Vec<String> {
        let mut journal = Journal::new(&Unmonitored);
        let level =
            |(i, level): (usize, &f64)| Level { visit: format!("visit {i}"), level: *level, sigma: 2.0 };
        warn_of_levels(&levels.iter().enumerate().map(level).collect::<Vec<_>>(), &mut journal);
        journal.warnings.iter().map(|warning| warning.text.clone()).collect()
    }

    #[test]
    fn background_that_is_left_is_told() {
        assert!(told(&[]).is_empty());
        assert!(told(&[5.0]).is_empty());
        assert!(told(&[0.0, 0.3, -0.8, 0.9]).is_empty());
        let of_one = told(&[0.0, 0.3, -0.2, 21.0, 1.2]);
        assert_eq!(of_one.len(), 1);
        assert!(
            of_one[0].contains("in 1 of 5 visits") && of_one[0].contains("visit 3: +10.3 σ"),
            "{of_one:?}"
        );
        let of_all = told(&[100.0, 100.2]);
        assert!(of_all.len() == 1 && of_all[0].contains("+50.0 σ"), "{of_all:?}");
    }

    #[test]
    fn background_is_that_of_good_pixels_without_sources() {
        let mut sample = Sample::of(9);
        let flags = [GOOD, GOOD, GOOD | DETECTED, 0, GOOD];
        sample.add([1.0, 3.0, 900.0, f32::NAN, 2.0].iter().zip(&flags));
        assert_eq!(sample.level(), Some(2.0));
        assert_eq!(Sample::of(9).level(), None);
        let mut some = Sample::of(4 * ENOUGH);
        some.add([1.0, 9.0, 9.0, 9.0, 1.0].iter().zip(&[GOOD; 5]));
        assert_eq!(some.level(), Some(1.0));
    }
}
