//! Origin of an image in its parent: the linear WCS "A" of afw, and LTV of IRAF.

use crate::header::{Card, Header};

/// Parent coordinates of the first pixel of an image, or (0, 0) if the header has none.
///
/// The linear WCS "A" comes first (`CRVALnA` is the parent coordinate of pixel `CRPIXnA`; old files
/// have CRVAL1A and CRVAL2A only), then `LTVn`, the negative of the origin. Both must be integers,
/// and for LTV the image must not be binned: other values are another use of these keywords.
#[must_use]
pub fn image_origin(header: &Header) -> (i64, i64) {
    let both = |axis: fn(&Header, u8) -> Option<i64>| Some((axis(header, 1)?, axis(header, 2)?));
    both(linear_wcs_origin).or_else(|| both(ltv_origin)).unwrap_or((0, 0))
}

/// The cards for the origin `(x0, y0)` of an array in its parent, in both forms.
#[must_use]
pub fn origin_cards((x0, y0): (i64, i64)) -> Vec<Card> {
    let mut cards = vec![
        Card::new("LTV1", -(x0 as f64)).with_comment("minus the column of the first pixel"),
        Card::new("LTV2", -(y0 as f64)).with_comment("minus the row of the first pixel"),
    ];
    for (axis, origin) in [(1, x0), (2, y0)] {
        cards.push(Card::new(&format!("CTYPE{axis}A"), "LINEAR"));
        cards.push(Card::new(&format!("CUNIT{axis}A"), "pixel"));
        cards.push(Card::new(&format!("CRPIX{axis}A"), 1.0));
        cards.push(Card::new(&format!("CRVAL{axis}A"), origin as f64));
    }
    cards
}

fn linear_wcs_origin(header: &Header, axis: u8) -> Option<i64> {
    let kind = header.text(&format!("CTYPE{axis}A"));
    if !matches!(kind.map(str::to_ascii_uppercase).as_deref(), None | Some("LINEAR" | "PIXEL")) {
        return None;
    }
    let value = header.f64(&format!("CRVAL{axis}A"))?;
    let pixel = header.f64(&format!("CRPIX{axis}A")).unwrap_or(1.0);
    whole(value + 1.0 - pixel)
}

fn ltv_origin(header: &Header, axis: u8) -> Option<i64> {
    let binning = header.f64(&format!("LTM{axis}_{axis}")).unwrap_or(1.0);
    if binning != 1.0 {
        return None;
    }
    whole(-header.f64(&format!("LTV{axis}"))?)
}

fn whole(value: f64) -> Option<i64> {
    (value.fract() == 0.0 && value.abs() < 1e9).then_some(value as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(cards: &[(&str, f64)]) -> Header {
        cards.iter().map(|&(keyword, value)| Card::new(keyword, value)).collect()
    }

    #[test]
    fn origin_from_each_form() {
        assert_eq!(image_origin(&Header::new()), (0, 0));
        assert_eq!(image_origin(&header(&[("LTV1", -10.0), ("LTV2", 5.0)])), (10, -5));
        assert_eq!(image_origin(&header(&[("CRVAL1A", 10.0), ("CRVAL2A", -5.0)])), (10, -5));
        assert_eq!(
            image_origin(&header(&[("CRVAL1A", 10.0), ("CRPIX1A", 1.0), ("CRVAL2A", 0.0), ("CRPIX2A", 0.0)])),
            (10, 1)
        );
        assert_eq!(image_origin(&origin_cards((-3, 12_345)).into_iter().collect()), (-3, 12_345));
    }

    #[test]
    fn origin_ignores_other_uses_of_its_keywords() {
        let binned = header(&[("LTV1", -10.0), ("LTV2", -10.0), ("LTM1_1", 0.5), ("LTM2_2", 0.5)]);
        assert_eq!(image_origin(&binned), (0, 0));
        assert_eq!(image_origin(&header(&[("LTV1", -10.25), ("LTV2", 0.0)])), (0, 0));
        let mut detector = header(&[("CRVAL1A", 10.0), ("CRVAL2A", 20.0)]);
        detector.set("CTYPE1A", "DETX");
        assert_eq!(image_origin(&detector), (0, 0));
    }
}
