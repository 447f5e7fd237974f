//! Questionable pixel values found during reading.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::BBox;
use crate::header::UnknownValues;

/// Findings in the pixels read so far; findings of disjoint boxes add up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// Pixels counted as missing because of a constant value, by value (as bits, for sorting).
    pub(super) no_data: BTreeMap<u32, usize>,
    /// Pixels of a constant value that fills borders or gaps but may be data.
    pub(super) questionable: BTreeMap<u32, usize>,
    /// Pixels of a constant value that fills borders but has weights.
    pub(super) weighted: BTreeMap<u32, usize>,
    /// Mask values without a name.
    pub(super) unknown: UnknownValues,
}

/// Findings in the rows read so far.
#[derive(Debug, Default)]
pub(super) struct RowFindings {
    pub(super) findings: Findings,
    /// Rows whose findings are counted.
    rows: Vec<bool>,
}

/// [`RowFindings`], shared between threads.
#[derive(Debug, Default)]
pub(super) struct SharedFindings(Mutex<RowFindings>);

impl SharedFindings {
    pub(super) fn lock(&self) -> MutexGuard<'_, RowFindings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RowFindings {
    /// Rows of a part that are read in full for the first time, and therefore counted.
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

/// A finding as text, the same for all exposures that it applies to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The quantity: `pixels` or `mask`.
    pub quantity: &'static str,
    /// The finding and its treatment, one or more sentences.
    pub text: String,
    /// Number of pixels concerned.
    pub pixels: usize,
}

impl Findings {
    /// Adds the findings in other pixels.
    pub fn add(&mut self, other: &Self) {
        for (own, other) in [
            (&mut self.no_data, &other.no_data),
            (&mut self.questionable, &other.questionable),
            (&mut self.weighted, &other.weighted),
        ] {
            other.iter().for_each(|(value, pixels)| *own.entry(*value).or_default() += pixels);
        }
        self.unknown.add(&other.unknown);
    }

    /// The findings as text; empty if there are none.
    #[must_use]
    pub fn list(&self) -> Vec<Finding> {
        let constant = |found: &BTreeMap<u32, usize>, what: &str| -> Vec<Finding> {
            let finding = |(value, pixels): (&u32, &usize)| {
                let text = format!("Pixels of exactly {} fill {what}", number(f32::from_bits(*value)));
                Finding { quantity: "pixels", text, pixels: *pixels }
            };
            found.iter().map(finding).collect()
        };
        let mut all =
            constant(&self.no_data, "borders or gaps of the image; they are treated as missing data.");
        all.extend(constant(
            &self.questionable,
            "borders or gaps of the image, which has too few other values to tell whether they are data; \
             they are used. If they are not data, provide a mask or weights.",
        ));
        all.extend(constant(
            &self.weighted,
            "borders or gaps of the image, but have weights; they are used. If they are not data, give \
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
                "The mask has bits without a plane name ({}); pixels with such bits are BAD.",
                numbers.join(", ")
            ),
            *bit_pixels,
        );
        let numbers: Vec<String> = codes.iter().map(i64::to_string).collect();
        mask(
            format!("The mask has unknown codes ({}); pixels with such codes are BAD.", numbers.join(", ")),
            *code_pixels,
        );
        mask(
            "The mask has values that are neither bits nor codes (fractions, negative numbers, NaN), as after \
             resampling; pixels with such values are BAD."
                .into(),
            *fraction_pixels,
        );
        all
    }
}

/// A value in decimal notation.
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
                ("The mask has bits without a pl", 6)
            ]
        );
        assert!(told[2].text.contains("(9, 40)"));
    }
}
