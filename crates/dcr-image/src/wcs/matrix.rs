//! Linear part of a WCS: PC with CDELT, CD, or CDELT with CROTA2, in all their forms.

use super::WcsError;
use super::pixel_size::PIXEL_ARCSEC;
use crate::header::{Card, Header};

/// Difference of two matrices that counts as rounding, in pixels per pixel of the image side: 0.01
/// px in 1000.
const SAME_MATRIX: f64 = 1e-5;
/// Tolerated difference from CROTA2, which many writers round to degrees or do not update: half a
/// degree.
const SAME_ROTATION: f64 = 0.01;

/// Elements, with their defaults in PC and CD.
const ELEMENTS: [(&str, &str, f64, f64); 4] = [
    ("1_1", "001001", 1.0, 0.0),
    ("1_2", "001002", 0.0, 0.0),
    ("2_1", "002001", 0.0, 0.0),
    ("2_2", "002002", 1.0, 0.0),
];

/// One form of the linear part.
#[derive(Clone, Debug)]
pub(super) struct Matrix {
    pub(super) named: &'static str,
    pub(super) cards: Vec<Card>,
    /// Tolerated difference from another form, in pixels per pixel.
    pub(super) tolerance: f64,
}

/// All forms in the header, the preferred one first.
pub(super) fn candidates(header: &Header, notes: &mut Vec<String>) -> Result<Vec<Matrix>, WcsError> {
    let mut found = Vec::new();
    for (root, old, named) in [
        ("PC", false, "PCi_j with CDELT"),
        ("PC", true, "PC00i00j with CDELT"),
        ("CD", false, "CDi_j"),
        ("CD", true, "CD00i00j"),
    ] {
        if let Some(elements) = elements(header, root, old) {
            let mut cards = Vec::new();
            if root == "PC" {
                for axis in [1, 2] {
                    let keyword = format!("CDELT{axis}");
                    let step = if header.get(&keyword).is_some() { number(header, &keyword)? } else { 1.0 };
                    cards.push(Card::new(&keyword, step));
                }
            }
            cards.extend(elements);
            found.push(Matrix { named, cards, tolerance: SAME_MATRIX });
        }
    }
    // CROTA2 beside a matrix is compared only if it is nonzero.
    let rotation = header.f64("CROTA2");
    let steps = header.f64("CDELT1").is_some() && header.f64("CDELT2").is_some();
    if found.is_empty() || (steps && rotation.is_some_and(|angle| angle != 0.0)) {
        let mut cards = vec![
            Card::new("CDELT1", number(header, "CDELT1")?),
            Card::new("CDELT2", number(header, "CDELT2")?),
        ];
        cards.extend(rotation.map(|angle| Card::new("CROTA2", angle)));
        if let (true, None, Some(angle)) = (found.is_empty(), rotation, header.f64("CROTA1"))
            && angle != 0.0
        {
            notes.push(format!("CROTA1 = {angle} without CROTA2 is ignored."));
        }
        found.push(Matrix { named: "CDELT with CROTA2", cards, tolerance: SAME_ROTATION });
    }
    // PC = 1 and CDELT = 1 are left-overs beside a CD with a plausible pixel size.
    if let Some(first) = found.iter().position(Matrix::is_plausible) {
        found[..=first].rotate_right(1);
    }
    Ok(found)
}

/// Elements of a matrix, if the header has any of them.
fn elements(header: &Header, root: &str, old: bool) -> Option<Vec<Card>> {
    let keyword = |new: &str, old_form: &str| format!("{root}{}", if old { old_form } else { new });
    let given = |(new, old_form, _, _): &(&str, &str, f64, f64)| header.f64(&keyword(new, old_form));
    ELEMENTS.iter().any(|element| given(element).is_some()).then(|| {
        let card = |element: &(&str, &str, f64, f64)| {
            let (new, _, of_pc, of_cd) = element;
            let default = if root == "PC" { of_pc } else { of_cd };
            Card::new(&format!("{root}{new}"), given(element).unwrap_or(*default))
        };
        ELEMENTS.iter().map(card).collect()
    })
}

impl Matrix {
    /// Whether the pixel size, in degrees, is plausible.
    fn is_plausible(&self) -> bool {
        PIXEL_ARCSEC.contains(&self.arcsec())
    }

    /// Side of a square with the area of a pixel, for a matrix in degrees.
    pub(super) fn arcsec(&self) -> f64 {
        let value = |keyword: &str, default: f64| {
            let card = self.cards.iter().find(|card| card.keyword == keyword);
            card.and_then(|card| card.value.as_f64()).unwrap_or(default)
        };
        let steps = value("CDELT1", 1.0) * value("CDELT2", 1.0);
        let root = if self.named.starts_with("CD0") || self.named.starts_with("CDi") { "CD" } else { "PC" };
        let at = |ij: &str, default: f64| value(&format!("{root}{ij}"), default);
        let determinant = at("1_1", 1.0) * at("2_2", 1.0) - at("1_2", 0.0) * at("2_1", 0.0);
        3600.0 * (steps * determinant).abs().sqrt()
    }
}

/// Value of a required card.
///
/// # Errors
///
/// [`WcsError::Missing`].
pub(super) fn number(header: &Header, keyword: &str) -> Result<f64, WcsError> {
    header.f64(keyword).ok_or_else(|| WcsError::Missing { keyword: keyword.to_owned() })
}
