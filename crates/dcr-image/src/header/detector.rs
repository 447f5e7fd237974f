//! The detector of a camera that took an image, as far as its header says.

use super::{Header, Value};

/// Cards that number or name a detector, or a part of one. A camera has some of them; a card that
/// names the whole camera (DETECTOR and DETNAME of some) does no harm beside one that differs.
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
/// Values of EXTNAME that name a kind of plane, not a detector.
const PLANES: [&str; 8] = ["IMAGE", "SCI", "SCIENCE", "PRIMARY", "COMPRESSED_IMAGE", "DATA", "FLUX", "COADD"];

/// The cards that tell the detector, as `CCDNUM 1, CCDNAME S29`; `None` if there is none.
///
/// Images of one exposure are of different detectors where this differs.
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
