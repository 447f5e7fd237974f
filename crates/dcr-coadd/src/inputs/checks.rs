//! Agreement of exposures in pixel grid, unit and filter.

use dcr_image::header::unit::{self, UnitKind};
use dcr_image::{BBox, Exposure, Wcs};

use crate::error::{GridDifference, InputError};

/// Refuses a file that does not cover the pixels of `first`, or covers other places with them.
pub(crate) fn check_grid(
    file: &dyn Exposure,
    first: &dyn Exposure,
    allowed_px: f64,
) -> Result<(), InputError> {
    let difference = if file.bbox() == first.bbox() {
        grid_difference(first.wcs(), file.wcs(), &first.bbox(), allowed_px)
    } else {
        Some(GridDifference::Box { got: file.bbox(), expected: first.bbox() })
    };
    match difference {
        None => Ok(()),
        Some(difference) => {
            Err(InputError::Grid { path: file.path().to_owned(), first: first.path().to_owned(), difference })
        }
    }
}

/// The difference of two WCS over a box; `None` within `allowed_px`.
pub fn grid_difference(expected: &Wcs, got: &Wcs, bbox: &BBox, allowed_px: f64) -> Option<GridDifference> {
    match expected.difference_px(got, bbox) {
        Ok(px) if px <= allowed_px => None,
        Ok(px) => Some(GridDifference::Place { px, allowed_px }),
        Err(error) => Some(GridDifference::Apart(error)),
    }
}

/// The unit of a file's pixel values, from the settings or its header.
///
/// # Errors
///
/// [`InputError::NoUnit`] without one, [`InputError::NotFlux`] for magnitudes and logarithms.
pub fn unit_of(file: &dyn Exposure) -> Result<String, InputError> {
    let unit = file.unit().ok_or_else(|| InputError::NoUnit { path: file.path().to_owned() })?;
    if unit::kind(unit) == UnitKind::NotFlux {
        return Err(InputError::NotFlux { path: file.path().to_owned(), unit: unit.to_owned() });
    }
    Ok(unit.to_owned())
}

/// Refuses a filter that is another than `expected`, if both are known.
pub(crate) fn check_filter(
    file: &dyn Exposure,
    expected: Option<&str>,
    against: &str,
) -> Result<(), InputError> {
    let (Some(filter), Some(expected)) = (file.visit().filter.as_deref(), expected) else { return Ok(()) };
    if may_be_the_same(filter, expected) {
        return Ok(());
    }
    Err(InputError::Filter {
        path: file.path().to_owned(),
        filter: filter.into(),
        against: against.into(),
        expected: expected.into(),
    })
}

/// True if two names may denote one filter: they are equal, share the band letter, or one has none.
///
/// A name without a band letter, as a user may call a band, contradicts no other.
pub fn may_be_the_same(a: &str, b: &str) -> bool {
    match (band_letter(a), band_letter(b)) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    }
}

/// The band letter in a filter's name: `g` of "g", "HSC-G", "g_6", "lsst-g" and "g DECam SDSS c0001
/// 4720.0 1520.0".
fn band_letter(name: &str) -> Option<char> {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words
        .filter_map(|word| {
            let mut letters = word.chars();
            let letter = letters.next()?.to_ascii_lowercase();
            let rest_is_number = letters.all(|c| c.is_ascii_digit());
            (rest_is_number && "ugrizy".contains(letter)).then_some(letter)
        })
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_compared_by_their_band() {
        for (a, b) in [
            ("g", "G"),
            ("g", "g DECam SDSS c0001 4720.0 1520.0"),
            ("HSC-I2", "i"),
            ("lsst-g", "g_6"),
            ("mine", "g"),
            ("VR DECam c0007 6300.0 2600.0", "mine"),
        ] {
            assert!(may_be_the_same(a, b), "{a} {b}");
        }
        for (a, b) in [("g", "r"), ("HSC-G", "HSC-R"), ("decam-u", "lsst-y")] {
            assert!(!may_be_the_same(a, b), "{a} {b}");
        }
    }
}
