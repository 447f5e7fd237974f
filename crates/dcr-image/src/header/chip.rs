//! Identity of the CCD and exposure of an image: selects its part of a shared file, and separates
//! images of one exposure.

use super::{Header, Value};

/// Keywords, and table columns, with the name of a CCD.
const NAMES: [&str; 4] = ["CCDNAME", "DETPOS", "DET-NAME", "CHIPNAME"];
/// The keyword that names an HDU, and often the CCD in it.
const EXTENSION: &str = "EXTNAME";
/// Keywords, and columns, with the number of a CCD.
const NUMBERS: [&str; 3] = ["CCDNUM", "DETECTOR", "CHIPID"];
/// Keywords, and table columns, with the number of an exposure.
const EXPOSURES: [&str; 1] = ["EXPNUM"];

/// Cards with the number or name of a detector or a part of one. Cards that name the whole camera
/// (DETECTOR and DETNAME of some) are harmless beside a card that differs.
const CARDS: [&str; 26] = [
    "CCDNUM",
    "CCDNAME",
    "CCDNO",
    "CCD",
    "CCDID",
    "CCD_ID",
    "QID",
    "CHIPID",
    "CHIP",
    "CHIPNUM",
    "CHIPNAME",
    "DETECTOR",
    "DETNAME",
    "DET-NAME",
    "DETSER",
    "DETNUM",
    "DET-NUM",
    "DETID",
    "DET-ID",
    "DETPOS",
    "RAFTBAY",
    "CCDSLOT",
    "SENSNAME",
    "IMAGEID",
    "ESO DET CHIP1 ID",
    "EXTVER",
];
/// Values of EXTNAME that denote a kind of plane, not a detector.
const PLANES: [&str; 8] = ["IMAGE", "SCI", "SCIENCE", "PRIMARY", "COMPRESSED_IMAGE", "DATA", "FLUX", "COADD"];

/// Name and number of a CCD, and number of its exposure, as far as known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chip {
    /// Name from a keyword dedicated to it.
    name: Option<String>,
    /// EXTNAME: name of the CCD, or of a plane (`SCI`).
    extension: Option<String>,
    number: Option<i64>,
    exposure: Option<i64>,
}

impl Chip {
    /// The CCD that a header describes.
    pub(crate) fn of_header(header: &Header) -> Self {
        Self::of(|name| header.text(name).map(str::to_owned), |name| header.i64(name))
    }

    /// The CCD described by any source of texts and integers by keyword, in the case used in
    /// headers.
    pub(crate) fn of(
        mut text: impl FnMut(&str) -> Option<String>,
        mut number: impl FnMut(&str) -> Option<i64>,
    ) -> Self {
        let mut name_in = |keywords: &[&str]| {
            let found = keywords.iter().find_map(|keyword| text(keyword));
            found.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty())
        };
        Self {
            name: name_in(&NAMES),
            extension: name_in(&[EXTENSION]),
            number: NUMBERS.iter().find_map(|keyword| number(keyword)),
            exposure: EXPOSURES.iter().find_map(|keyword| number(keyword)),
        }
    }

    /// Keywords, or columns, of the texts that name a CCD.
    pub(crate) fn text_keywords() -> impl Iterator<Item = &'static str> {
        NAMES.into_iter().chain([EXTENSION])
    }

    /// Keywords, or columns, of the numbers of a CCD and of its exposure.
    pub(crate) fn number_keywords() -> impl Iterator<Item = &'static str> {
        NUMBERS.into_iter().chain(EXPOSURES)
    }

    /// The CCD with another EXTNAME, or with none.
    pub(crate) fn with_extension(self, name: Option<&str>) -> Self {
        Self { extension: name.map(str::to_owned), ..self }
    }

    /// Whether names or numbers identify both as one CCD, regardless of the exposure.
    pub(crate) fn is_same_ccd(&self, other: &Self) -> bool {
        let names = |chip: &Self| [chip.name.clone(), chip.extension.clone()].into_iter().flatten();
        names(self).any(|own| names(other).any(|name| own.eq_ignore_ascii_case(&name)))
            || (self.number.is_some() && self.number == other.number)
    }

    /// Whether both are known to belong to different exposures.
    pub(crate) fn is_other_exposure(&self, other: &Self) -> bool {
        matches!((self.exposure, other.exposure), (Some(own), Some(other)) if own != other)
    }

    /// Whether both are known, by dedicated keywords, to be of different CCDs or exposures.
    pub(crate) fn contradicts(&self, other: &Self) -> bool {
        let numbers = matches!((self.number, other.number), (Some(own), Some(other)) if own != other);
        let named = self.name.is_some() && other.name.is_some();
        self.is_other_exposure(other) || ((numbers || named) && !self.is_same_ccd(other))
    }

    /// Description, e.g. `CCD N11, number 42, of exposure 425859`.
    pub(crate) fn describe(&self) -> String {
        let mut parts = vec![];
        if let Some(name) = self.name.as_ref().or(self.extension.as_ref()) {
            parts.push(format!("CCD {name}"));
        }
        if let Some(number) = self.number {
            parts.push(format!("CCD number {number}"));
        }
        if let Some(exposure) = self.exposure {
            parts.push(format!("exposure {exposure}"));
        }
        if parts.is_empty() { "no CCD named".to_owned() } else { parts.join(", ") }
    }
}

/// The detector cards, e.g. `CCDNUM 1, CCDNAME S29`; `None` if there are none.
///
/// Images of one exposure with different values come from different detectors.
pub(crate) fn detector(header: &Header) -> Option<String> {
    let described = |card: &&str| match header.get(card)? {
        Value::Int(number) => Some(format!("{card} {number}")),
        Value::Text(text) if !text.trim().is_empty() => Some(format!("{card} {}", text.trim())),
        _ => None,
    };
    let mut cards: Vec<String> = CARDS.iter().filter_map(described).collect();
    let extension = header.text("EXTNAME");
    if let Some(name) = extension.filter(|name| !PLANES.iter().any(|plane| name.eq_ignore_ascii_case(plane)))
    {
        cards.push(format!("EXTNAME {name}"));
    }
    (!cards.is_empty()).then(|| cards.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::Card;

    fn chip(cards: &[(&str, &str)], numbers: &[(&str, i64)]) -> Chip {
        let mut header = Header::new();
        cards.iter().for_each(|(keyword, text)| header.push(Card::new(keyword, *text)));
        numbers.iter().for_each(|(keyword, number)| header.push(Card::new(keyword, *number)));
        Chip::of_header(&header)
    }

    #[test]
    fn ccds_are_compared_by_name_or_number() {
        let exposure = chip(&[("EXTNAME", "n11")], &[("CCDNUM", 42), ("EXPNUM", 425_859)]);
        assert!(exposure.is_same_ccd(&chip(&[("CCDNAME", "N11 ")], &[])));
        assert!(exposure.is_same_ccd(&chip(&[], &[("CCDNUM", 42)])));
        assert!(!exposure.is_same_ccd(&chip(&[("CCDNAME", "N12")], &[])));
        assert!(!exposure.is_same_ccd(&chip(&[], &[])));
        assert!(exposure.is_other_exposure(&chip(&[("CCDNAME", "N11")], &[("EXPNUM", 1)])));
        assert_eq!(exposure.describe(), "CCD n11, CCD number 42, exposure 425859");
    }

    #[test]
    fn name_of_a_plane_contradicts_no_ccd() {
        let plane = chip(&[("EXTNAME", "SCI")], &[]);
        assert!(!plane.contradicts(&chip(&[("CCDNAME", "N11")], &[])));
        let named = chip(&[("CCDNAME", "N10")], &[]);
        assert!(named.contradicts(&chip(&[("CCDNAME", "N11")], &[])));
        assert!(!named.contradicts(&chip(&[("CCDNAME", "n10")], &[])));
        assert!(chip(&[], &[("EXPNUM", 1)]).contradicts(&chip(&[], &[("EXPNUM", 2)])));
    }

    #[test]
    fn detector_is_told_by_numbers_and_names_but_not_by_names_of_planes() {
        let of = |cards: &[Card]| detector(&cards.iter().cloned().collect::<Header>());
        assert_eq!(of(&[Card::new("EXTNAME", "SCI"), Card::new("INSTRUME", "DECam")]), None);
        assert_eq!(
            of(&[Card::new("CCDNUM", 42_i64), Card::new("EXTNAME", "N11")]).as_deref(),
            Some("CCDNUM 42, EXTNAME N11")
        );
        let rubin = |slot: &str| of(&[Card::new("RAFTBAY", "R22"), Card::new("CCDSLOT", slot)]);
        assert_ne!(rubin("S00"), rubin("S11"));
        assert_eq!(of(&[Card::new("DETECTOR", " ")]), None);
    }
}
