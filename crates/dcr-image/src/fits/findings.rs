//! What pixel values gave cause to doubt while they were read.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::BBox;
use crate::header::UnknownValues;

/// Doubts about the pixels that were read; those of boxes that do not overlap add up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// Pixels that a constant value takes for no data, for each value (as bits, to be sorted).
    pub(super) no_data: BTreeMap<u32, usize>,
    /// Pixels of a constant value that fills borders or gaps but may be data.
    pub(super) doubtful: BTreeMap<u32, usize>,
    /// Pixels of a constant value that fills borders but has weights.
    pub(super) weighted: BTreeMap<u32, usize>,
    /// Mask values that nobody names.
    pub(super) unknown: UnknownValues,
}

/// What was found in the rows that were read so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) findings: Findings,
    /// Rows of which the findings count.
    rows: Vec<bool>,
}

/// [`Seen`], shared between threads.
#[derive(Debug, Default)]
pub(super) struct SharedSeen(Mutex<Seen>);

impl SharedSeen {
    pub(super) fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Which rows of a part of the image are read whole for the first time: they are to be counted.
    pub(super) fn claim(&mut self, part: BBox, whole: &BBox) -> Vec<bool> {
        let mut fresh = vec![false; part.height];
        if part.width != whole.width {
            return fresh;
        }
        self.rows.resize(whole.height, false);
        let Some((rows, _)) = part.slice_in(whole) else { return fresh };
        for (fresh, row) in fresh.iter_mut().zip(&mut self.rows[rows]) {
            *fresh = !std::mem::replace(row, true);
        }
        fresh
    }
}

/// A doubt in words, the same for all exposures that it applies to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The quantity: `pixels` or `mask`.
    pub quantity: &'static str,
    /// What was found and what is made of it, a whole sentence or more.
    pub text: String,
    /// The pixels of which it is said.
    pub pixels: usize,
}

impl Findings {
    /// Adds the findings in other pixels.
    pub fn add(&mut self, other: &Self) {
        for (own, other) in [
            (&mut self.no_data, &other.no_data),
            (&mut self.doubtful, &other.doubtful),
            (&mut self.weighted, &other.weighted),
        ] {
            other.iter().for_each(|(value, pixels)| *own.entry(*value).or_default() += pixels);
        }
        self.unknown.add(&other.unknown);
    }

    /// The findings in words; none where there is nothing to doubt.
    #[must_use]
    pub fn list(&self) -> Vec<Finding> {
        let constant = |found: &BTreeMap<u32, usize>, what: &str| -> Vec<Finding> {
            let finding = |(value, pixels): (&u32, &usize)| {
                let text = format!("Pixels of exactly {} fill {what}", number(f32::from_bits(*value)));
                Finding { quantity: "pixels", text, pixels: *pixels }
            };
            found.iter().map(finding).collect()
        };
        let mut all = constant(&self.no_data, "borders or gaps of the image: they are taken for no data.");
        all.extend(constant(
            &self.doubtful,
            "borders or gaps of the image, but the image has too few other values to tell whether they are data: \
             they are used. If they are none, give a mask or weights.",
        ));
        all.extend(constant(
            &self.weighted,
            "borders or gaps of the image, but have weights: they are used. If they are no data, give \
             them weight 0, or mask them.",
        ));
        let UnknownValues { bits, bit_pixels, codes, code_pixels, fraction_pixels } = &self.unknown;
        let mut mask = |text: String, pixels: usize| {
            if pixels > 0 {
                all.push(Finding { quantity: "mask", text, pixels });
            }
        };
        let numbers: Vec<String> =
            (0..64).filter(|bit| bits >> bit & 1 == 1).map(|bit: u32| bit.to_string()).collect();
        mask(
            format!(
                "The mask has bits that no plane names ({}): pixels with one are BAD.",
                numbers.join(", ")
            ),
            *bit_pixels,
        );
        let numbers: Vec<String> = codes.iter().map(i64::to_string).collect();
        mask(
            format!(
                "The mask has codes that are not known ({}): pixels with one are BAD.",
                numbers.join(", ")
            ),
            *code_pixels,
        );
        mask(
            "The mask has numbers that are no bits or codes (not whole, negative, or NaN), as resampling makes \
             them: pixels with one are BAD."
                .into(),
            *fraction_pixels,
        );
        all
    }
}

/// A value as a person writes it.
fn number(value: f32) -> String {
    let size = value.abs();
    if size == 0.0 || (1e-3..1e7).contains(&size) { format!("{value}") } else { format!("{value:e}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_add_up_and_are_told_with_their_pixels() {
        assert!(Findings::default().list().is_empty());
        let unknown = UnknownValues { bits: 1 << 9 | 1 << 40, bit_pixels: 3, ..UnknownValues::default() };
        let one = Findings { no_data: [(0, 5)].into(), unknown, ..Findings::default() };
        let mut sum = Findings { weighted: [(1e-30_f32.to_bits(), 2)].into(), ..Findings::default() };
        sum.add(&one);
        sum.add(&one);
        let told = sum.list();
        let starts: Vec<(&str, usize)> = told.iter().map(|f| (&f.text[..30], f.pixels)).collect();
        assert_eq!(
            starts,
            [
                ("Pixels of exactly 0 fill borde", 10),
                ("Pixels of exactly 1e-30 fill b", 2),
                ("The mask has bits that no plan", 6)
            ]
        );
        assert!(told[2].text.contains("(9, 40)"));
    }
}
