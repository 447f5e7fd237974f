//! Scale of pixel values: zero points, relative factors, and asinh compression.
//!
//! # References
//!
//! - CFHT, *MegaCam data calibration*: `m = −2.5 log(DN/EXPTIME) + PHOT_C + PHOT_K (X − 1)`.
//! - CASU, *INT wide field survey photometry*: `m = MAGZPT − 2.5 log(N/t) − EXTINCT (X − 1)`.
//! - LCO, BANZAI `photometry.py`: L1ZP is fitted to magnitudes of flux over exposure time.
//! - STScI, *PS1 FITS image format quirks*, and the comments of BSOFTEN and BOFFSET.

use dcr_physics::Assumption;

use super::Header;
use super::given::ZeroPointOf;
use super::profile::{Per, ZeroPointCard};
use super::reading::Reading;
use super::unit::{self, UnitKind};

/// Words in the comment of a card that mark the zero point of one second.
const PER_SECOND_COMMENTS: [&str; 14] = [
    "per sec",
    "/sec",
    "1 sec",
    "1sec",
    "1-sec",
    "one second",
    "adu/s",
    "dn/s",
    "e-/s",
    "counts/s",
    "count/s",
    "electron/s",
    "electrons/s",
    "exptime",
];

impl Reading<'_> {
    /// Zero point of the pixel values as stored, in mag.
    ///
    /// For a card that refers to one second, 2.5 log10 of the exposure time and the extinction term
    /// of the header are added, unless the pixels are counts per second. `airmass` is the best
    /// known value.
    pub(super) fn zero_point(
        &mut self,
        unit: Option<&str>,
        exposure_s: Option<f64>,
        airmass: Option<f64>,
    ) -> Option<f64> {
        let header = self.header;
        let (card, number) =
            self.profile.zero_point.iter().find_map(|card| Some((card, header.f64(card.keyword)?)))?;
        let per_second = match self.given.zero_point_of {
            ZeroPointOf::Second => true,
            ZeroPointOf::Exposure => false,
            ZeroPointOf::Auto => card.per == Per::Second || comment_says_per_second(header, card.keyword),
        };
        let kind = unit.map(unit::kind);
        if !per_second || kind == Some(UnitKind::CountRate) {
            return Some(number);
        }
        if !matches!(kind, None | Some(UnitKind::Counts)) {
            self.note(
                "zero point",
                format!(
                    "{} = {number} refers to one second, but the pixels are in {}; it is used unchanged.",
                    card.keyword,
                    unit.unwrap_or_default()
                ),
            );
            return Some(number);
        }
        let Some(seconds) = exposure_s else {
            self.warn(
                "zero point",
                format!(
                    "{} = {number} refers to one second, but the header has no exposure time; the zero \
                     point is unknown.",
                    card.keyword
                ),
            );
            return None;
        };
        let extinction = self.extinction(card, airmass);
        let zero_point = number + 2.5 * seconds.log10() + extinction.unwrap_or(0.0);
        let with_extinction = match (card.extinction, extinction) {
            (Some((keyword, _)), Some(mag)) => format!(" and {mag:+.3} mag for {keyword}"),
            _ => String::new(),
        };
        self.note(
            "zero point",
            format!(
                "{} = {number} refers to one second; with 2.5 log10 of {seconds} s{with_extinction}, the zero point \
                 of the pixels is {zero_point:.3}.",
                card.keyword
            ),
        );
        Some(zero_point)
    }

    /// The term of an extinction card for a zero point at airmass 1.
    fn extinction(&mut self, card: &ZeroPointCard, airmass: Option<f64>) -> Option<f64> {
        let (keyword, sign) = card.extinction?;
        let mag_per_airmass = self.header.f64(keyword)?;
        match airmass {
            Some(airmass) => Some(sign * mag_per_airmass * (airmass - 1.0)),
            None => {
                self.warn(
                    "zero point",
                    format!("{keyword} = {mag_per_airmass} is not applied, because the airmass is unknown."),
                );
                None
            }
        }
    }

    /// The factor FLXSCALE from SCAMP, which resampled images of SWarp still need; `None` if it is
    /// missing or 1.
    pub(super) fn flux_scale(&mut self) -> Option<f64> {
        const CARD: &str = "FLXSCALE";
        let factor = self.header.f64(CARD)?;
        if !(factor > 0.0 && (1e-30..=1e30).contains(&factor)) {
            self.warn(
                "flux scale",
                format!(
                    "{CARD} = {factor} is not a flux factor (expected a positive number); it is ignored."
                ),
            );
            return None;
        }
        if factor == 1.0 {
            return None;
        }
        self.note("flux scale", format!("The pixels need the factor {CARD} = {factor}, which is applied."));
        Some(factor)
    }
}

fn comment_says_per_second(header: &Header, keyword: &str) -> bool {
    let comment = header.card(keyword).map(|card| card.comment.to_ascii_lowercase()).unwrap_or_default();
    PER_SECOND_COMMENTS.iter().any(|words| comment.contains(words))
}

/// The asinh compression of Pan-STARRS stacks: `flux = BOFFSET + 2 BSOFTEN sinh(v / a)` for a pixel
/// value `v`, with a = 2.5 log10 e.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct AsinhScaling {
    soften: f64,
    offset: f64,
}

impl AsinhScaling {
    /// The compression described by a header, if any.
    ///
    /// # Errors
    ///
    /// The problem, if one of the two cards is missing or out of range.
    pub(crate) fn of(header: &Header) -> Result<Option<Self>, String> {
        if header.get("BSOFTEN").is_none() && header.get("BOFFSET").is_none() {
            return Ok(None);
        }
        match (header.f64("BSOFTEN"), header.f64("BOFFSET")) {
            (Some(soften), Some(offset)) if soften > 0.0 => Ok(Some(Self { soften, offset })),
            _ => {
                let shown =
                    |keyword: &str| header.get(keyword).map_or("missing".to_owned(), ToString::to_string);
                Err(format!(
                    "BSOFTEN ({}) and BOFFSET ({}) say that pixels are asinh of flux, and both are needed as \
                     numbers, BSOFTEN above 0, to make flux of them",
                    shown("BSOFTEN"),
                    shown("BOFFSET")
                ))
            }
        }
    }

    /// Message for the record.
    pub(crate) fn note(self) -> Assumption {
        let text = format!(
            "The pixels are asinh-compressed (BSOFTEN = {}, BOFFSET = {}); they are converted to flux.",
            self.soften, self.offset
        );
        Assumption { quantity: "flux scale".to_owned(), text, warning: false }
    }

    /// The flux of a pixel value.
    pub(crate) fn flux(self, value: f32) -> f32 {
        let pogson = 2.5 * std::f64::consts::LOG10_E;
        (self.offset + 2.0 * self.soften * (f64::from(value) / pogson).sinh()) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::Card;

    #[test]
    fn asinh_is_undone() {
        let header: Header =
            [Card::new("BSOFTEN", 384.173), Card::new("BOFFSET", 52.161)].into_iter().collect();
        let scaling = AsinhScaling::of(&header).unwrap().unwrap();
        // The compression as Pan-STARRS describes it, the other way.
        let compressed = |flux: f64| ((flux - 52.161) / (2.0 * 384.173)).asinh() * 1.085_736_204_758_129_6;
        for flux in [-40.0, 0.0, 52.161, 1000.0, 3e5] {
            let back = f64::from(scaling.flux(compressed(flux) as f32));
            assert!((back - flux).abs() < 1e-3 + 1e-6 * flux.abs(), "{flux} {back}");
        }
        assert!(scaling.flux(f32::NAN).is_nan());
    }

    #[test]
    fn half_an_asinh_is_refused() {
        assert_eq!(AsinhScaling::of(&Header::new()), Ok(None));
        for cards in [
            vec![Card::new("BSOFTEN", 10.0)],
            vec![Card::new("BOFFSET", 10.0)],
            vec![Card::new("BSOFTEN", 0.0), Card::new("BOFFSET", 1.0)],
            vec![Card::new("BSOFTEN", "x"), Card::new("BOFFSET", 1.0)],
        ] {
            let error = AsinhScaling::of(&cards.into_iter().collect()).unwrap_err();
            assert!(error.contains("BSOFTEN") && error.contains("BOFFSET"), "{error}");
        }
    }
}
