//! Mask and variance without names: guessed by order, size and type of the HDUs.
//!
//! An HDU after the image, of the image's size, is its mask if it has integers and its variance
//! otherwise, but only if nothing speaks against it: a WCS of its own, the image's unit, or
//! negative pixels. Then it is another image, as the next CCD of a camera.

use super::FitsError;
use super::layout::Hdu;
use super::noise;
use super::placement::{SAME_PX, merged};
use super::reader::FitsReader;
use super::role::{Own, Role, distance};
use crate::BBox;
use crate::header::Header;

/// Share of negative pixels, of two values or more, at which a plane without a name is no variance.
/// A few may mark pixels without data, as -1 does in rms maps.
const NEGATIVE_SHARE: f64 = 0.01;

/// The first HDU without a name that may have a use by its order, size and type, and the reasons
/// against those before it.
///
/// # Errors
///
/// [`FitsError`] if pixels cannot be read.
pub(super) fn guessed_plane<'a>(
    role: Role,
    reader: &mut FitsReader,
    own: &Own<'a>,
) -> Result<(Option<&'a Hdu>, Vec<String>), FitsError> {
    let mut rejected = Vec::new();
    let candidates = own.hdus.iter().filter(|hdu| {
        hdu.index > own.image.index
            && hdu.name.is_empty()
            && hdu.plane_shape() == Some(own.shape)
            && hdu.is_integer() == (role == Role::Mask)
    });
    for hdu in candidates {
        match contradiction(role, reader, hdu, own)? {
            None => return Ok((Some(hdu), rejected)),
            Some(reason) => rejected.push(format!("{} {reason}", hdu.label())),
        }
    }
    Ok((None, rejected))
}

/// What speaks against an HDU as mask or variance of the image, if anything does.
fn contradiction(
    role: Role,
    reader: &mut FitsReader,
    hdu: &Hdu,
    own: &Own<'_>,
) -> Result<Option<String>, FitsError> {
    if distance(own, own.hdus, hdu).is_some_and(|px| px > SAME_PX) {
        return Ok(Some("has a WCS of its own".to_owned()));
    }
    let unit = |header: &Header| header.text("BUNIT").map(|unit| unit.trim().to_ascii_lowercase());
    let own_unit = unit(&merged(own.hdus, own.image)).filter(|unit| !unit.is_empty());
    if own_unit.is_some() && unit(&hdu.header) == own_unit {
        return Ok(Some("has the image's unit (BUNIT)".to_owned()));
    }
    if role == Role::Weights && has_negative_pixels(reader, hdu, own.shape)? {
        return Ok(Some("has negative pixels".to_owned()));
    }
    Ok(None)
}

/// Whether pixels in the middle are negative, beyond a few and beyond one value that may be a mark.
fn has_negative_pixels(reader: &mut FitsReader, hdu: &Hdu, shape: (usize, usize)) -> Result<bool, FitsError> {
    let whole = BBox::of_shape((0, 0), shape);
    let Some((rows, columns)) = noise::sample(&whole).slice_in(&whole) else { return Ok(false) };
    reader.go_to(hdu.index)?;
    let pixels = reader.pixels::<f32>(rows, columns, &hdu.label())?;
    let mut negative = pixels.iter().copied().filter(|value| *value < 0.0);
    let Some(first) = negative.next() else { return Ok(false) };
    let (others, count) =
        negative.fold((false, 1_usize), |(others, count), value| (others || value != first, count + 1));
    Ok(others && count as f64 > NEGATIVE_SHARE * pixels.len() as f64)
}
