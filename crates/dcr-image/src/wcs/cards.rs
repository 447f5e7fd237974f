//! The cards that make a WCS: which they are, and one consistent set of them.
//!
//! Headers carry left-overs: CDELT beside CD, SIP beside TPV, SCAMP's polynomial under the name TAN.
//! Here one description is chosen, so that what follows need not guess.

use super::WcsError;
use crate::header::{Card, Header, Value};

/// The reference frame of the coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Icrs,
    Fk5,
}

/// One consistent description, its CRPIX in 1-based parent coordinates.
#[derive(Clone, Debug)]
pub(super) struct WcsCards {
    cards: Vec<Card>,
    pub(super) frame: Frame,
}

impl WcsCards {
    /// Picks the description out of a header and moves its CRPIX by the image's origin.
    pub(super) fn select(header: &Header, (x0, y0): (f64, f64)) -> Result<Self, WcsError> {
        let frame = frame_of(header)?;
        let mut cards = vec![Card::new("WCSAXES", 2_i64)];
        for (axis, origin) in [(1, x0), (2, y0)] {
            cards.push(Card::new(&format!("CRPIX{axis}"), number(header, &format!("CRPIX{axis}"))? + origin));
        }
        for axis in [1, 2] {
            cards.push(Card::new(&format!("CRVAL{axis}"), number(header, &format!("CRVAL{axis}"))?));
        }
        let scamp = has_scamp_polynomial(header);
        for axis in [1, 2] {
            cards.push(Card::new(&format!("CTYPE{axis}"), axis_type(header, axis, scamp)?));
            cards.push(Card::new(&format!("CUNIT{axis}"), axis_unit(header, axis)));
        }
        cards.extend(matrix(header)?);
        let tpv = cards.iter().any(|card| card.value.as_text().is_some_and(|ctype| ctype.ends_with("-TPV")));
        let rest = header.iter().filter(|card| {
            is_pv(&card.keyword)
                || matches!(card.keyword.as_str(), "LONPOLE" | "LATPOLE")
                || (!tpv && is_sip(&card.keyword))
        });
        for card in rest {
            if card.value.as_f64().is_none() {
                // Strings such as A_DMAX's unit have no place here; a number that cannot be read does.
                return Err(WcsError::Missing { keyword: card.keyword.clone() });
            }
            if !cards.iter().any(|known| known.keyword == card.keyword) {
                cards.push(card.clone());
            }
        }
        // Numbers that a writer put in quotes are numbers.
        for card in &mut cards {
            if let (Value::Text(_), Some(number)) = (&card.value, card.value.as_f64()) {
                card.value = Value::Float(number);
            }
        }
        Ok(Self { cards, frame })
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

    /// The cards with the reference pixel moved by `(dx, dy)`.
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

/// Whether a keyword belongs to the WCS of an image or to its place in a parent image.
pub(crate) fn is_wcs_keyword(keyword: &str) -> bool {
    const PER_AXIS: [&str; 8] = ["CTYPE", "CRVAL", "CRPIX", "CDELT", "CROTA", "CUNIT", "LTV", "CNAME"];
    let stem = keyword.strip_suffix(|c: char| c.is_ascii_uppercase()).unwrap_or(keyword);
    let per_axis = PER_AXIS.iter().any(|root| stem.strip_prefix(root).is_some_and(is_digits));
    per_axis
        || ["CD", "PC", "LTM", "PV", "PS"]
            .iter()
            .any(|root| stem.strip_prefix(root).is_some_and(is_digit_pair))
        || is_sip(keyword)
        || matches!(keyword, "WCSAXES" | "LONPOLE" | "LATPOLE" | "WCSNAME")
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_digit_pair(text: &str) -> bool {
    text.split_once('_').is_some_and(|(first, second)| is_digits(first) && is_digits(second))
}

fn is_pv(keyword: &str) -> bool {
    ["PV1_", "PV2_"].iter().any(|root| keyword.strip_prefix(root).is_some_and(is_digits))
}

fn is_sip(keyword: &str) -> bool {
    ["A_", "B_", "AP_", "BP_"]
        .iter()
        .any(|root| keyword.strip_prefix(root).is_some_and(|rest| rest == "ORDER" || is_digit_pair(rest)))
}

fn number(header: &Header, keyword: &str) -> Result<f64, WcsError> {
    header.f64(keyword).ok_or_else(|| WcsError::Missing { keyword: keyword.to_owned() })
}

/// SCAMP before 2.0 wrote the TPV polynomial under the name TAN. TAN itself has no terms beyond the
/// fourth on its longitude axis, so those give it away.
fn has_scamp_polynomial(header: &Header) -> bool {
    header
        .iter()
        .filter_map(|card| card.keyword.strip_prefix("PV1_").or_else(|| card.keyword.strip_prefix("PV2_")))
        .any(|term| term.parse::<u32>().is_ok_and(|term| term > 4))
}

fn axis_type(header: &Header, axis: u8, scamp: bool) -> Result<String, WcsError> {
    let keyword = format!("CTYPE{axis}");
    let ctype = header.text(&keyword).ok_or(WcsError::Missing { keyword })?.to_ascii_uppercase();
    if !(ctype.starts_with("RA--") || ctype.starts_with("DEC-")) {
        return Err(WcsError::Unsupported {
            found: format!("CTYPE{axis} = '{ctype}'"),
            wanted: "axes of right ascension and declination are needed",
        });
    }
    Ok(if scamp && ctype.ends_with("-TAN") { ctype.replace("-TAN", "-TPV") } else { ctype })
}

/// Degrees under any of the names they are given; other units as they stand.
fn axis_unit(header: &Header, axis: u8) -> String {
    match header.text(&format!("CUNIT{axis}")) {
        Some(unit) if !unit.to_ascii_lowercase().starts_with("deg") => unit.to_owned(),
        _ => "deg".to_owned(),
    }
}

/// The linear part as a CD matrix, PC with CDELT, or CDELT with CROTA2, the first that is there.
fn matrix(header: &Header) -> Result<Vec<Card>, WcsError> {
    const ELEMENTS: [(&str, f64); 4] = [("1_1", 1.0), ("1_2", 0.0), ("2_1", 0.0), ("2_2", 1.0)];
    let named = |root: &str| -> Vec<Card> {
        let element = |(ij, default): (&str, f64)| {
            let keyword = format!("{root}{ij}");
            let default = if root == "CD" { 0.0 } else { default };
            Card::new(&keyword, header.f64(&keyword).unwrap_or(default))
        };
        ELEMENTS.map(element).to_vec()
    };
    let has = |root: &str| ELEMENTS.iter().any(|(ij, _)| header.f64(&format!("{root}{ij}")).is_some());
    if has("CD") {
        return Ok(named("CD"));
    }
    let mut cards =
        vec![Card::new("CDELT1", number(header, "CDELT1")?), Card::new("CDELT2", number(header, "CDELT2")?)];
    if has("PC") {
        cards.extend(named("PC"));
    } else if let Some(rotation) = header.f64("CROTA2") {
        cards.push(Card::new("CROTA2", rotation));
    }
    Ok(cards)
}

fn frame_of(header: &Header) -> Result<Frame, WcsError> {
    const WANTED: &str = "ICRS, or FK5 at equinox 2000, is needed";
    let system = header.text("RADESYS").or_else(|| header.text("RADECSYS")).map(str::to_ascii_uppercase);
    // 'J2000' is not a number, but no riddle either.
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
