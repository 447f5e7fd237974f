//! Selection of one consistent WCS description from the cards of a header.
//!
//! Headers contain left-overs: CDELT beside CD, CD beside PC, SIP beside TPV, SCAMP's polynomial
//! under the name TAN. One description is selected by these rules:
//!
//! - The matrix is PC with CDELT (also in its old form PC00i00j), else CD (CD00i00j), else CDELT
//!   with CROTA2. A matrix with an implausible pixel size yields to one with a plausible size.
//! - PC without CDELT has CDELT = 1.
//! - SIP terms apply under any projection but TPV, as in astropy.
//! - PV terms under TAN are a TPV polynomial if there are terms above the fourth, or if the linear
//!   ones are near 1, which no parameter of TAN is.
//!
//! Rejected descriptions are kept as [`Rival`]s, for comparison with the selected one.

use dcr_physics::SkyPosition;

use super::WcsError;
use super::distortion::{self, Polynomial};
use super::matrix::{self, number};
use super::pixel_size::size_is_plausible;
use crate::header::{Card, Header, Value, is_sip};

/// The reference frame of the coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Icrs,
    Fk5,
}

/// A consistent description, with CRPIX in 1-based parent coordinates.
#[derive(Clone, Debug)]
pub(super) struct WcsCards {
    cards: Vec<Card>,
    pub(super) frame: Frame,
}

/// A rejected description of the same header.
#[derive(Clone, Debug)]
pub(super) struct Rival {
    /// Its cards, for messages.
    pub(super) named: &'static str,
    /// The preferred cards.
    pub(super) preferred: &'static str,
    /// Tolerated difference, in pixels per pixel of the image side.
    pub(super) tolerance: f64,
    pub(super) cards: WcsCards,
}

/// The selected description, the rejected ones, and notes that need no comparison.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    pub(super) cards: WcsCards,
    pub(super) rivals: Vec<Rival>,
    pub(super) polynomial: Polynomial,
    pub(super) notes: Vec<String>,
}

impl WcsCards {
    /// Selects the description and shifts its CRPIX by the origin of the image.
    pub(super) fn select(
        header: &Header,
        (x0, y0): (f64, f64),
        with_distortion: bool,
    ) -> Result<Selection, WcsError> {
        let frame = frame_of(header)?;
        let mut start = vec![Card::new("WCSAXES", 2_i64)];
        for (axis, origin) in [(1, x0), (2, y0)] {
            start.push(Card::new(&format!("CRPIX{axis}"), number(header, &format!("CRPIX{axis}"))? + origin));
        }
        for axis in [1, 2] {
            start.push(Card::new(&format!("CRVAL{axis}"), number(header, &format!("CRVAL{axis}"))?));
        }
        let types = [axis_type(header, 1)?, axis_type(header, 2)?];
        let mut notes = Vec::new();
        let polynomial =
            if with_distortion { Polynomial::of(header, &types, &mut notes) } else { Polynomial::None };
        let matrices = matrix::candidates(header, &mut notes)?;
        let described = |matrix: &[Card], polynomial: Polynomial| -> Result<Self, WcsError> {
            let mut cards = start.clone();
            for (axis, ctype) in (1..).zip(&types) {
                cards.push(Card::new(&format!("CTYPE{axis}"), polynomial.axis_type(ctype)));
                cards.push(Card::new(&format!("CUNIT{axis}"), axis_unit(header, axis)));
            }
            cards.extend_from_slice(matrix);
            let rest = header.iter().filter(|card| {
                polynomial.takes(&card.keyword) || matches!(card.keyword.as_str(), "LONPOLE" | "LATPOLE")
            });
            for card in rest {
                if card.value.as_f64().is_none() {
                    // Strings are ignored where no number is expected (e.g. the unit A_DMAX);
                    // elsewhere an unreadable number is an error.
                    return Err(WcsError::Missing { keyword: card.keyword.clone() });
                }
                if !cards.iter().any(|known| known.keyword == card.keyword) {
                    cards.push(card.clone());
                }
            }
            // Quoted numbers count as numbers.
            for card in &mut cards {
                if let (Value::Text(_), Some(number)) = (&card.value, card.value.as_f64()) {
                    card.value = Value::Float(number);
                }
            }
            Ok(Self { cards, frame })
        };
        let chosen = &matrices[0];
        // For very small pixels a relative difference is meaningless.
        let in_degrees = [1, 2].iter().all(|axis| axis_unit(header, *axis) == "deg");
        if in_degrees && chosen.arcsec() > 0.0 {
            size_is_plausible(chosen.arcsec())?;
        }
        let mut rivals = Vec::new();
        for other in &matrices[1..] {
            rivals.push(Rival {
                named: other.named,
                preferred: chosen.named,
                tolerance: other.tolerance,
                cards: described(&other.cards, polynomial)?,
            });
        }
        if let Some(other) = polynomial.rival(header) {
            rivals.push(Rival {
                named: other.named(),
                preferred: polynomial.named(),
                tolerance: distortion::SAME_DISTORTION,
                cards: described(&chosen.cards, other)?,
            });
        }
        Ok(Selection { cards: described(&chosen.cards, polynomial)?, rivals, polynomial, notes })
    }

    /// The same position, scale and rotation without the polynomials.
    pub(super) fn undistorted(&self) -> Self {
        let kept =
            self.cards.iter().filter(|card| !is_sip(&card.keyword) && !distortion::is_pv(&card.keyword));
        let mut cards: Vec<Card> = kept.cloned().collect();
        for card in &mut cards {
            if let (true, Value::Text(ctype)) = (card.keyword.starts_with("CTYPE"), &mut card.value) {
                *ctype = Polynomial::None.axis_type(ctype);
            }
        }
        Self { cards, frame: self.frame }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Card> {
        self.cards.iter()
    }

    pub(super) fn text(&self, keyword: &str) -> &str {
        self.cards
            .iter()
            .find(|card| card.keyword == keyword)
            .and_then(|card| card.value.as_text())
            .unwrap_or("")
    }

    /// The reference pixel in 0-based parent coordinates.
    pub(super) fn reference_pixel(&self) -> (f64, f64) {
        let crpix = |keyword: &str| {
            self.cards
                .iter()
                .find(|card| card.keyword == keyword)
                .and_then(|card| card.value.as_f64())
                .map_or(0.0, |value| value - 1.0)
        };
        (crpix("CRPIX1"), crpix("CRPIX2"))
    }

    /// Sky position of the reference pixel.
    pub(super) fn reference_sky(&self) -> SkyPosition {
        let value = |keyword: &str| {
            let card = self.cards.iter().find(|card| card.keyword == keyword);
            card.and_then(|card| card.value.as_f64()).unwrap_or(0.0)
        };
        let (first, second) = (value("CRVAL1"), value("CRVAL2"));
        let (ra, dec) =
            if self.text("CTYPE1").starts_with("DEC") { (second, first) } else { (first, second) };
        SkyPosition::from_degrees(ra, dec)
    }

    /// The cards with the reference pixel shifted by `(dx, dy)`.
    pub(super) fn moved(&self, dx: f64, dy: f64) -> Vec<Card> {
        let mut cards = self.cards.clone();
        for card in &mut cards {
            let by = match card.keyword.as_str() {
                "CRPIX1" => dx,
                "CRPIX2" => dy,
                _ => continue,
            };
            if let Value::Float(value) = &mut card.value {
                *value += by;
            }
        }
        cards
    }
}

/// Axis type in upper case; must be right ascension or declination.
fn axis_type(header: &Header, axis: u8) -> Result<String, WcsError> {
    let keyword = format!("CTYPE{axis}");
    let ctype = header.text(&keyword).ok_or(WcsError::Missing { keyword })?.to_ascii_uppercase();
    if !(ctype.starts_with("RA--") || ctype.starts_with("DEC-")) {
        return Err(WcsError::Unsupported {
            found: format!("CTYPE{axis} = '{ctype}'"),
            wanted: "expected axes of right ascension and declination",
        });
    }
    Ok(ctype)
}

/// Degrees under any of their names; other units are returned unchanged.
fn axis_unit(header: &Header, axis: u8) -> String {
    match header.text(&format!("CUNIT{axis}")) {
        Some(unit) if !unit.to_ascii_lowercase().starts_with("deg") => unit.to_owned(),
        _ => "deg".to_owned(),
    }
}

fn frame_of(header: &Header) -> Result<Frame, WcsError> {
    const WANTED: &str = "expected ICRS, or FK5 at equinox 2000";
    let system = header.text("RADESYS").or_else(|| header.text("RADECSYS")).map(str::to_ascii_uppercase);
    // 'J2000' is not a number, but unambiguous.
    let equinox = header
        .get("EQUINOX")
        .and_then(|value| value.as_f64().or_else(|| value.as_text()?.trim_start_matches('J').parse().ok()));
    match system.as_deref() {
        Some("ICRS" | "GAIA" | "GAIA-CRF2" | "GAIA-CRF3") => Ok(Frame::Icrs),
        None | Some("FK5") => match equinox {
            Some(equinox) if (equinox - 2000.0).abs() > 0.01 => {
                Err(WcsError::Unsupported { found: format!("EQUINOX = {equinox}"), wanted: WANTED })
            }
            Some(_) => Ok(Frame::Fk5),
            None => Ok(if system.is_none() { Frame::Icrs } else { Frame::Fk5 }),
        },
        Some(other) => Err(WcsError::Unsupported { found: format!("RADESYS = '{other}'"), wanted: WANTED }),
    }
}
