//! Mask and variance among unnamed HDUs, guessed from order, size and type.
//!
//! An unnamed HDU after the image and of its size is the mask if it holds integers, and the
//! variance otherwise. A WCS of its own, the unit of the image, or negative pixels rule this out:
//! the HDU is then another image, e.g. the next CCD of a camera.

use super::FitsError;
use super::layout::Hdu;
use super::noise;
use super::placement::{SAME_PX, merged};
use super::reader::FitsReader;
use super::role::{Own, Role, distance};
use crate::BBox;
use crate::header::Header;

/// Share of negative pixels, with two or more distinct values, above which an unnamed plane is not
/// a variance. A few can mark missing data, e.g. -1 in rms maps.
const NEGATIVE_SHARE: f64 = 0.01;

/// The first unnamed HDU that qualifies by order, size and type, and the reasons against earlier
/// ones.
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

/// Reason against an HDU as mask or variance of the image, if there is one.
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

/// Whether central pixels are negative, apart from a few and from one marker value.
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
