//! Construction of a WCS from the cards of a header, with notes on the choices made.

use dcr_physics::Angle;

use super::cards::{Rival, Selection, WcsCards};
use super::distortion::Polynomial;
use super::plausible::{self, Area};
use super::{Distortions, Wcs, WcsError};
use crate::header::{Header, Value};

/// Minimum side in pixels of the area over which two descriptions are compared: in a small cutout
/// their difference could be invisible.
const LEAST_SIDE_PX: f64 = 1000.0;

impl Wcs {
    /// Reads the primary WCS of an image header whose first pixel is `(x0, y0)` of the parent; see
    /// [`image_origin`](super::image_origin).
    ///
    /// TAN with or without SIP, TPV (also under the name TAN, as written by SCAMP) and the other
    /// projections of FITS; PC with CDELT, a CD matrix (both also in the old forms PC00i00j and
    /// CD00i00j), or CDELT with CROTA. A missing RADESYS means ICRS. For contradictory cards,
    /// [`Wcs::notes`] names those used.
    ///
    /// ```
    /// use dcr_image::Wcs;
    /// use dcr_image::header::Header;
    /// use dcr_physics::Angle;
    ///
    /// let mut header = Header::new();
    /// header.set("CTYPE1", "RA---TAN");
    /// header.set("CTYPE2", "DEC--TAN");
    /// let cards = [("CRPIX1", 51.0), ("CRPIX2", 51.0), ("CRVAL1", 53.0), ("CRVAL2", -25.0)];
    /// for (card, value) in cards {
    ///     header.set(card, value);
    /// }
    /// header.set("CD1_1", -0.2 / 3600.0);
    /// header.set("CD2_2", 0.2 / 3600.0);
    /// let wcs = Wcs::from_header(&header, (0, 0))?;
    ///
    /// // CRPIX counts from 1, pixel coordinates from 0.
    /// let centre = wcs.pixel_to_sky(50.0, 50.0)?;
    /// assert!((centre.ra.degrees() - 53.0).abs() < 1e-9);
    /// // North is up: with the zenith in the north, blue light is displaced along +y.
    /// let zenith = wcs.zenith_direction(50.0, 50.0, Angle::from_degrees(0.0))?;
    /// let (dx, dy) = zenith.pixels(Angle::from_arcsec(0.3));
    /// assert!(dx.abs() < 1e-6 && (dy - 1.5).abs() < 1e-6);
    /// # Ok::<(), dcr_image::WcsError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`WcsError`] for missing cards, axes other than RA and Dec, an equinox other than 2000, and
    /// an inconsistent or implausible coordinate system.
    pub fn from_header(header: &Header, origin: (i64, i64)) -> Result<Self, WcsError> {
        Self::read(header, origin, Distortions::Header)
    }

    /// Reads the primary WCS of an image header with or without its distortions.
    ///
    /// # Errors
    ///
    /// As [`Wcs::from_header`].
    pub fn read(header: &Header, (x0, y0): (i64, i64), distortions: Distortions) -> Result<Self, WcsError> {
        let origin = (x0 as f64, y0 as f64);
        let Selection { cards, rivals, polynomial, notes } =
            WcsCards::select(header, origin, distortions == Distortions::Header)?;
        let mut wcs = Self::of_cards(cards)?;
        wcs.notes = notes;
        // A matrix of zeros or a reference pixel far from the sky is detected here.
        let (x, y) = wcs.cards.reference_pixel();
        wcs.zenith_direction(x, y, Angle::default())?;
        let area = Area::of(header, origin, (x, y));
        for rival in &rivals {
            wcs.notes.extend(wcs.contradiction(rival, &area));
        }
        let distorted = matches!(polynomial, Polynomial::Sip | Polynomial::Tpv);
        let plain = if distorted { Self::of_cards(wcs.cards.undistorted()).ok() } else { None };
        if polynomial == Polynomial::Sip && !header.text("CTYPE1").is_some_and(|ctype| ctype.contains("-SIP"))
        {
            let most = plain.as_ref().map_or(0.0, |plain| wcs.most_apart(plain, &area, 1.0));
            wcs.notes.push(format!(
                "CTYPE1 = '{}' names no SIP, but A_i_j and B_i_j are there; they are applied, and move pixels by up to \
                 {most:.1} px. In a resampled image such terms are left over; input.distortion = \"none\" drops \
                 them.",
                header.text("CTYPE1").unwrap_or_default()
            ));
        }
        wcs.notes.extend(plausible::warnings(&wcs, plain.as_ref(), &area)?);
        Ok(wcs)
    }

    fn of_cards(cards: WcsCards) -> Result<Self, WcsError> {
        let mut described = fits_well::header::Header::new();
        for card in cards.iter() {
            let set = match &card.value {
                Value::Int(value) => described.set(card.keyword.as_str(), *value),
                Value::Float(value) => described.set(card.keyword.as_str(), *value),
                Value::Text(text) => described.set(card.keyword.as_str(), text.as_str()),
                _ => return Err(WcsError::Missing { keyword: card.keyword.clone() }),
            };
            set.map_err(|error| WcsError::Invalid { reason: error.to_string() })?;
        }
        let inner = fits_well::wcs::Wcs::from_header(&described, None)
            .map_err(|error| WcsError::Invalid { reason: error.to_string() })?;
        let longitude_first = match inner.description().celestial_projection {
            Some(projection) if inner.description().unsupported_axes.is_empty() => {
                projection.longitude_axis == 0
            }
            _ => {
                return Err(WcsError::Unsupported {
                    found: format!("CTYPE1 = '{}'", cards.text("CTYPE1")),
                    wanted: "expected a celestial projection such as TAN, TAN-SIP or TPV",
                });
            }
        };
        Ok(Self { inner, cards, longitude_first, notes: Vec::new() })
    }

    /// Difference of a rejected description from this one, if significant.
    fn contradiction(&self, rival: &Rival, area: &Area) -> Option<String> {
        let Rival { named, preferred, tolerance, cards } = rival;
        let apart = Self::of_cards(cards.clone())
            .map_or(f64::INFINITY, |other| self.most_apart(&other, area, LEAST_SIDE_PX));
        if apart <= tolerance * area.side().max(LEAST_SIDE_PX) {
            return None;
        }
        let by = if apart.is_finite() {
            format!("differ by up to {apart:.3} px")
        } else {
            "describe different places".to_owned()
        };
        Some(format!("The header has both {preferred} and {named}, which {by}; {preferred} is used."))
    }

    /// Maximum distance in pixels from another WCS at the corners of an area of at least `least_px`
    /// a side; infinite if the other cannot map a point.
    fn most_apart(&self, other: &Self, area: &Area, least_px: f64) -> f64 {
        let wanted = area.side().max(least_px) / area.side();
        let ((x, y), corners) = (area.centre, area.corners());
        corners.iter().fold(0.0_f64, |most, (corner_x, corner_y)| {
            let (at_x, at_y) = (x + (corner_x - x) * wanted, y + (corner_y - y) * wanted);
            let there = self.pixel_to_sky(at_x, at_y).and_then(|sky| other.sky_to_pixel(sky));
            there.map_or(f64::INFINITY, |(to_x, to_y)| most.max((to_x - at_x).hypot(to_y - at_y)))
        })
    }
}
