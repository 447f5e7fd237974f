//! Choice of the science image among the HDUs of a file.

use std::path::Path;

use super::FitsError;
use super::layout::{Hdu, find_one, inventory};
use super::placement::{SAME_PX, distance_px, own_wcs, wcs};
use super::plane_names::{is_image, is_mask, is_uncertainty};

/// The science image: the requested HDU, else the one named IMAGE or SCI, else the first image
/// whose name is not that of a mask, a PSF or uncertainties.
///
/// # Errors
///
/// [`FitsError::Missing`] without an image; [`FitsError::Ambiguous`] if several HDUs have the
/// requested name; [`FitsError::SeveralImages`] if no HDU is requested and other images have a WCS
/// of their own, as the CCDs of a camera do.
pub(super) fn choose_image<'a>(
    path: &Path,
    hdus: &'a [Hdu],
    wanted: Option<&str>,
) -> Result<&'a Hdu, FitsError> {
    if let Some(wanted) = wanted {
        return find_one(path, hdus, wanted);
    }
    let is_plane = |hdu: &&Hdu| hdu.plane_shape().is_some();
    let named: Vec<&Hdu> = hdus.iter().filter(|hdu| is_image(hdu)).collect();
    let candidates: Vec<&Hdu> = if named.is_empty() {
        let other = |hdu: &Hdu| is_mask(hdu) || is_uncertainty(hdu) || hdu.name.eq_ignore_ascii_case("PSF");
        hdus.iter().filter(is_plane).filter(|hdu| !other(hdu)).collect()
    } else {
        named.iter().copied().filter(is_plane).collect()
    };
    // If every HDU has the name of another plane, any image will do.
    let fallback = || named.first().copied().or_else(|| hdus.iter().find(is_plane));
    let image = candidates.first().copied().or_else(fallback).ok_or_else(|| FitsError::Missing {
        path: path.to_owned(),
        wanted: "two-dimensional image (an HDU called IMAGE, or the first with two axes)".into(),
        found: inventory(hdus),
    })?;
    let rivals: Vec<&Hdu> =
        candidates.into_iter().skip(1).filter(|other| is_rival(hdus, image, other)).collect();
    if rivals.is_empty() {
        return Ok(image);
    }
    let images: Vec<Hdu> = std::iter::once(image).chain(rivals).cloned().collect();
    Err(FitsError::SeveralImages { path: path.to_owned(), found: inventory(&images) })
}

/// Whether another HDU could be the science image too, by a WCS that differs.
///
/// Beside an image in the primary HDU, an extension with another name is auxiliary.
fn is_rival(hdus: &[Hdu], image: &Hdu, other: &Hdu) -> bool {
    let addition = image.index == 0 && !other.name.is_empty() && other.name != image.name;
    if addition && !is_image(other) {
        return false;
    }
    let (Some(shape), Some(places), Some(own)) =
        (image.plane_shape(), wcs(hdus, image), own_wcs(hdus, other))
    else {
        return false;
    };
    distance_px(&places, &own, shape) > SAME_PX
}

#[cfg(test)]
mod tests {
    use super::super::reader::HduKind;
    use super::*;
    use crate::header::{Card, Header};

    /// HDUs of 4 × 4 pixels; a right ascension gives a WCS, and an empty name no EXTNAME.
    fn hdus(of: &[(&str, Option<f64>)]) -> Vec<Hdu> {
        let mut hdus = vec![Hdu {
            index: 0,
            name: String::new(),
            kind: HduKind::Image { axes: vec![], integer: true },
            header: Header::new(),
        }];
        for &(name, ra) in of {
            let cards = ra.map(|ra| {
                vec![
                    Card::new("CTYPE1", "RA---TAN"),
                    Card::new("CTYPE2", "DEC--TAN"),
                    Card::new("CRVAL1", ra),
                    Card::new("CRVAL2", -25.0),
                    Card::new("CRPIX1", 2.5),
                    Card::new("CRPIX2", 2.5),
                    Card::new("CD1_1", -5e-5),
                    Card::new("CD2_2", 5e-5),
                ]
            });
            hdus.push(Hdu {
                index: hdus.len(),
                name: name.to_owned(),
                kind: HduKind::Image { axes: vec![4, 4], integer: false },
                header: cards.into_iter().flatten().collect(),
            });
        }
        hdus
    }

    fn chosen(of: &[(&str, Option<f64>)], wanted: Option<&str>) -> Result<usize, String> {
        choose_image(Path::new("a.fits"), &hdus(of), wanted)
            .map(|hdu| hdu.index)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn image_is_chosen_by_name_or_order() {
        let here = Some(53.0);
        assert_eq!(chosen(&[("", here), ("", here)], None), Ok(1));
        assert_eq!(chosen(&[("", here), ("SCI", here)], None), Ok(2));
        assert_eq!(chosen(&[("MASK", here), ("WGT", here), ("N4", here)], None), Ok(3));
        assert_eq!(chosen(&[("WGT", here)], None), Ok(1), "a file of weights may be looked at");
        assert_eq!(chosen(&[("SCI", here), ("N4", Some(54.0))], None), Ok(1));
        assert_eq!(chosen(&[("", here), ("", None)], None), Ok(1));
        assert!(chosen(&[], None).unwrap_err().contains("found no two-dimensional image"));
    }

    #[test]
    fn several_ccds_are_refused_unless_one_is_asked_for() {
        for name in ["", "SCI", "N"] {
            let ccds = [(name, Some(53.0)), ("WGT", Some(53.0)), (name, Some(53.02)), (name, Some(53.04))];
            let message = chosen(&ccds, None).unwrap_err();
            assert!(message.contains("several images") && message.contains("HDU 4"), "{message}");
            assert!(!message.contains("HDU 2"), "{message}");
            assert_eq!(chosen(&ccds, Some("3")), Ok(3));
        }
        let ccds = [("SCI", Some(53.0)), ("SCI", Some(53.02))];
        assert!(chosen(&ccds, Some("SCI")).unwrap_err().contains("SCI names several HDUs"));
    }
}
