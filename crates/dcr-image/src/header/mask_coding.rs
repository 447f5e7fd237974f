//! Meaning of the mask values of a file: named bits, bits known from documentation, or codes.

use std::collections::BTreeSet;

use super::Header;
use crate::mask::canonical_plane;
use crate::{MaskError, MaskPlanes};

/// Coding of a mask. Decoded masks always use the bits of [`MaskCoding::planes`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum MaskCoding {
    /// Bits named in the header.
    Named(MaskPlanes),
    /// Bits known from the documentation of an instrument.
    Bits(&'static [(u32, &'static str)]),
    /// An enumeration: one code per pixel, 0 being good.
    Codes(&'static [(i32, &'static str)]),
    /// Every nonzero value is bad.
    NonZero,
}

/// NOIRLab Community Pipeline since PLVER V3.5.0 (DECam, Mosaic-3, 90Prime). Codes missing here are
/// bad.
const COMMUNITY_PIPELINE_CODES: [(i32, &str); 8] = [
    (1, "BAD"),
    (2, "NO_DATA"),
    (3, "SAT"),
    (4, "SAT"),
    (5, "CR"),
    (6, "SUSPECT"),
    (7, "SUSPECT"),
    (8, "CR"),
];

/// NOIRLab Community Pipeline of DECam before V3.5.0.
const COMMUNITY_PIPELINE_BITS: [(u32, &str); 6] =
    [(1, "BAD"), (2, "SAT"), (4, "INTRP"), (16, "CR"), (64, "SAT"), (128, "SUSPECT")];

/// ZTF science images: tracks, sources, low and high responsivity, noisy, ghosts, spillage, spikes,
/// saturated, dead, NaN, PSF sources, halos.
const ZTF_BITS: [(u32, &str); 13] = [
    (1, "CR"),
    (1 << 1, "DETECTED"),
    (1 << 2, "BAD"),
    (1 << 3, "BAD"),
    (1 << 4, "SUSPECT"),
    (1 << 5, "SUSPECT"),
    (1 << 6, "SUSPECT"),
    (1 << 7, "SUSPECT"),
    (1 << 8, "SAT"),
    (1 << 9, "BAD"),
    (1 << 10, "NO_DATA"),
    (1 << 11, "DETECTED"),
    (1 << 12, "SUSPECT"),
];

/// Pan-STARRS warps: flat, dark, blank, CTE, saturated, low, burn-tool, cosmic ray, spike, ghost,
/// streak, star core, convolved bad and poor.
const PAN_STARRS_BITS: [(u32, &str); 14] = [
    (0x0002, "BAD"),
    (0x0004, "BAD"),
    (0x0008, "NO_DATA"),
    (0x0010, "BAD"),
    (0x0020, "SAT"),
    (0x0040, "BAD"),
    (0x0080, "SUSPECT"),
    (0x0100, "CR"),
    (0x0200, "SUSPECT"),
    (0x0400, "SUSPECT"),
    (0x0800, "CR"),
    (0x1000, "SAT"),
    (0x2000, "BAD"),
    (0x4000, "SUSPECT"),
];

impl MaskCoding {
    /// Identifies the coding from the header of a mask, merged with its primary cards.
    pub(crate) fn of(header: &Header) -> Result<Self, MaskError> {
        let named = named_planes(header)?;
        if !named.is_empty() {
            return Ok(Self::Named(named));
        }
        let instrument = header.text("INSTRUME").unwrap_or("").to_ascii_uppercase();
        if let Some(version) = header.text("PLVER") {
            // The pipelines of the other cameras have version numbers of their own, and all write
            // codes.
            let old =
                instrument.starts_with("DECAM") && pipeline_version(version).is_some_and(|v| v < (3, 5));
            return Ok(if old {
                Self::Bits(&COMMUNITY_PIPELINE_BITS)
            } else {
                Self::Codes(&COMMUNITY_PIPELINE_CODES)
            });
        }
        if instrument.starts_with("ZTF") {
            return Ok(Self::Bits(&ZTF_BITS));
        }
        if instrument.starts_with("GPC1") || header.iter().any(|card| card.keyword.starts_with("FPA.")) {
            return Ok(Self::Bits(&PAN_STARRS_BITS));
        }
        Ok(Self::NonZero)
    }

    /// The dictionary of decoded masks.
    pub(crate) fn planes(&self) -> MaskPlanes {
        match self {
            Self::Named(planes) => planes.clone(),
            _ => MaskPlanes::canonical(),
        }
    }

    /// Decodes values of the file into bits of `planes`, the result of [`MaskCoding::planes`].
    pub(crate) fn decoder(&self, planes: &MaskPlanes) -> MaskDecoder {
        let bits_of = |name: &str| planes.bits_of([name]);
        let bad = Some(bits_of("BAD")).filter(|bits| *bits != 0).unwrap_or_else(|| bits_of("NO_DATA"));
        let meaning = match self {
            Self::Named(named) => Meaning::Named(i64::from(named.all_bits() as u32)),
            Self::Bits(table) => {
                Meaning::Bits(table.iter().map(|&(bit, name)| (i64::from(bit), bits_of(name))).collect())
            }
            Self::Codes(table) => {
                Meaning::Codes(table.iter().map(|&(code, name)| (i64::from(code), bits_of(name))).collect())
            }
            Self::NonZero => Meaning::NonZero,
        };
        MaskDecoder { meaning, bad }
    }
}

/// Decodes mask values into bits of planes. A nonzero value never becomes 0: bits without a plane,
/// unknown codes and fractions become BAD (NO_DATA in a dictionary without that plane), and are
/// counted as [`UnknownValues`].
pub(crate) struct MaskDecoder {
    meaning: Meaning,
    bad: i32,
}

enum Meaning {
    /// The bits of all planes.
    Named(i64),
    Bits(Vec<(i64, i32)>),
    Codes(Vec<(i64, i32)>),
    NonZero,
}

/// Mask values of unknown meaning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UnknownValues {
    /// Bits without a plane.
    pub(crate) bits: u64,
    /// Pixels with such a bit.
    pub(crate) bit_pixels: usize,
    /// Codes missing from the enumeration (a sample).
    pub(crate) codes: BTreeSet<i64>,
    /// Pixels with such a code.
    pub(crate) code_pixels: usize,
    /// Pixels with a fraction, a negative number or NaN, in a mask of bits or codes.
    pub(crate) fraction_pixels: usize,
}

impl UnknownValues {
    /// Maximum number of codes kept.
    const MOST_CODES: usize = 8;

    /// Adds the unknown values in other pixels.
    pub(crate) fn add(&mut self, other: &Self) {
        self.bits |= other.bits;
        self.bit_pixels += other.bit_pixels;
        self.codes.extend(&other.codes);
        while self.codes.len() > Self::MOST_CODES {
            self.codes.pop_last();
        }
        self.code_pixels += other.code_pixels;
        self.fraction_pixels += other.fraction_pixels;
    }
}

impl MaskDecoder {
    /// The planes of an integer; the sign bit is a mask bit.
    pub(crate) fn integer(&self, value: i64, unknown: &mut UnknownValues) -> i32 {
        if value == 0 {
            return 0;
        }
        match &self.meaning {
            Meaning::NonZero => self.bad,
            Meaning::Named(known) => (value & known) as u32 as i32 | self.beyond(value & !known, unknown),
            Meaning::Bits(table) => {
                let (known, planes) = table
                    .iter()
                    .filter(|(bit, _)| value & bit != 0)
                    .fold((0, 0), |(known, planes), (bit, plane)| (known | bit, planes | plane));
                planes | self.beyond(value & !known, unknown)
            }
            Meaning::Codes(table) => match table.iter().find(|(code, _)| *code == value) {
                Some((_, plane)) => *plane,
                None => {
                    unknown.code_pixels += 1;
                    if unknown.codes.len() < UnknownValues::MOST_CODES {
                        unknown.codes.insert(value);
                    }
                    self.bad
                }
            },
        }
    }

    /// The planes of a real number, as after resampling: every nonzero value is at least BAD.
    pub(crate) fn real(&self, value: f64, unknown: &mut UnknownValues) -> i32 {
        /// Below this value, integers are exact.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if value == 0.0 {
            0
        } else if matches!(self.meaning, Meaning::NonZero) {
            self.bad
        } else if value > 0.0 && value < EXACT && value.fract() == 0.0 {
            self.integer(value as i64, unknown)
        } else {
            unknown.fraction_pixels += 1;
            self.bad
        }
    }

    fn beyond(&self, bits: i64, unknown: &mut UnknownValues) -> i32 {
        if bits == 0 {
            return 0;
        }
        unknown.bits |= bits as u64;
        unknown.bit_pixels += 1;
        self.bad
    }
}

/// Mask planes declared by a header: `MP_<name>` = bit (afw), or `MSKNnnnn` = name with `MSKMnnnn`
/// = value (lsst-images).
fn named_planes(header: &Header) -> Result<MaskPlanes, MaskError> {
    let mut named: Vec<(&str, i64)> = Vec::new();
    for card in header.iter() {
        if let Some(name) = card.keyword.strip_prefix("MP_") {
            if let Some(bit) = card.value.as_i64() {
                named.push((name, bit));
            }
        } else if let Some(number) = card.keyword.strip_prefix("MSKN")
            && let Some(name) = card.value.as_text()
        {
            let value = header.i64(&format!("MSKM{number}"));
            let bit = match value {
                Some(value) if value > 0 && value.count_ones() == 1 => i64::from(value.trailing_zeros()),
                _ => number.parse().unwrap_or(-1),
            };
            named.push((name, bit));
        }
    }
    // Among synonyms in one file, the canonical name keeps its bit.
    named.sort_by_key(|&(name, _)| canonical_plane(name) != name);
    let mut planes = MaskPlanes::new();
    for (name, bit) in named {
        planes.insert_at(name, bit)?;
    }
    Ok(planes)
}

/// Parses a version, e.g. `V3.5.0` → (3, 5).
fn pipeline_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text
        .trim_start_matches(['V', 'v'])
        .split('.')
        .map(|part| part.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<u32>().ok());
    Some((numbers.next()??, numbers.next().flatten().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::Card;

    fn header(cards: &[(&str, &str)]) -> Header {
        cards.iter().map(|&(keyword, value)| Card::new(keyword, value)).collect()
    }

    fn names(coding: &MaskCoding, value: i32) -> Vec<String> {
        decoded(coding, &coding.planes(), i64::from(value)).0
    }

    fn decoded(coding: &MaskCoding, planes: &MaskPlanes, value: i64) -> (Vec<String>, UnknownValues) {
        let mut unknown = UnknownValues::default();
        let mask = coding.decoder(planes).integer(value, &mut unknown);
        (planes.names_in(mask).map(str::to_owned).collect(), unknown)
    }

    #[test]
    fn community_pipeline_changed_from_bits_to_codes() {
        let old = MaskCoding::of(&header(&[("PLVER", "V3.4.1"), ("INSTRUME", "DECam")])).unwrap();
        let new = MaskCoding::of(&header(&[("PLVER", "V4.8.2a"), ("INSTRUME", "DECam")])).unwrap();
        assert_eq!(names(&old, 3), ["BAD", "SAT"]);
        assert_eq!(names(&new, 3), ["SAT"]);
        assert_eq!(names(&new, 99), ["BAD"]);
        assert!(names(&new, 0).is_empty());
        let bok = MaskCoding::of(&header(&[("PLVER", "V2.3"), ("INSTRUME", "90prime")])).unwrap();
        assert_eq!(bok, new);
    }

    #[test]
    fn named_planes_keep_their_bits_and_undeclared_ones_are_bad() {
        let mut afw = Header::new();
        afw.set("MP_BAD", 3_i64);
        afw.set("MP_NO_DATA", 0_i64);
        let coding = MaskCoding::of(&afw).unwrap();
        assert_eq!(names(&coding, 0b1001), ["NO_DATA", "BAD"]);
        assert_eq!(names(&coding, 0b10), ["BAD"]);
        let (planes, unknown) = decoded(&coding, &coding.planes(), 1 << 40 | 0b11);
        assert_eq!(
            (planes, unknown.bits, unknown.bit_pixels),
            (vec!["NO_DATA".into(), "BAD".into()], 1 << 40 | 2, 1)
        );

        let mut lsst = header(&[("MSKN0000", "BAD"), ("MSKN0002", "DCR_LIMITED")]);
        lsst.set("MSKM0000", 1_i64);
        lsst.set("MSKM0002", 4_i64);
        assert_eq!(MaskCoding::of(&lsst).unwrap().planes().bit("DCR_LIMITED"), Some(2));
    }

    #[test]
    fn planes_of_lsst_images_have_afw_names() {
        let mut lsst =
            header(&[("MSKN0000", "NO_DATA"), ("MSKN0001", "SATURATED"), ("MSKN0002", "DETECTION_EDGE")]);
        for (keyword, value) in [("MSKM0000", 1_i64), ("MSKM0001", 2), ("MSKM0002", 4)] {
            lsst.set(keyword, value);
        }
        let coding = MaskCoding::of(&lsst).unwrap();
        assert_eq!(names(&coding, 0b111), ["NO_DATA", "SAT", "EDGE"]);

        // Both names in one file, in whichever order: each keeps its pixels, and either setting finds both.
        let mut both = Header::new();
        both.set("MP_SATURATED", 5_i64);
        both.set("MP_SAT", 1_i64);
        let planes = MaskCoding::of(&both).unwrap().planes();
        assert_eq!(planes.bits_of(["SAT"]), 0b10_0010);
    }

    #[test]
    fn nonzero_is_bad_when_nothing_is_known() {
        let coding = MaskCoding::of(&Header::new()).unwrap();
        for value in [-7, 1, 1 << 40, i64::MIN, i64::MAX] {
            let (planes, unknown) = decoded(&coding, &coding.planes(), value);
            assert_eq!((planes, unknown), (vec!["BAD".into()], UnknownValues::default()), "{value}");
        }
        let decoder = coding.decoder(&coding.planes());
        for (value, bad) in [(0.0, 0), (-0.0, 0), (1e-12, 1), (0.4, 1), (-0.1, 1), (f64::NAN, 1), (1e300, 1)]
        {
            assert_eq!(decoder.real(value, &mut UnknownValues::default()), bad, "{value}");
        }
    }

    #[test]
    fn unknown_bits_codes_and_fractions_are_bad_and_counted() {
        let bits = MaskCoding::Bits(&COMMUNITY_PIPELINE_BITS);
        let (planes, unknown) = decoded(&bits, &bits.planes(), 2 | 1 << 33);
        assert_eq!((planes, unknown.bits), (vec!["BAD".into(), "SAT".into()], 1 << 33));
        let codes = MaskCoding::Codes(&COMMUNITY_PIPELINE_CODES);
        let mut unknown = UnknownValues::default();
        let decoder = codes.decoder(&codes.planes());
        for code in [9, 9, 1 << 40, -1, 3] {
            decoder.integer(code, &mut unknown);
        }
        assert_eq!((unknown.code_pixels, unknown.codes), (4, BTreeSet::from([-1, 9, 1 << 40])));
        let mut unknown = UnknownValues::default();
        for value in [3.0, 2.5, -3.0, f64::NAN, 1e17] {
            assert_ne!(decoder.real(value, &mut unknown), 0);
        }
        assert_eq!(unknown.fraction_pixels, 4);
        let mut named = Header::new();
        named.set("MP_NO_DATA", 3_i64);
        let coding = MaskCoding::of(&named).unwrap();
        // Without a plane BAD it is NO_DATA.
        assert_eq!(decoded(&coding, &coding.planes(), 1).0, ["NO_DATA"]);
    }

    #[test]
    fn plane_beyond_bit_31_is_refused() {
        let mut afw = Header::new();
        afw.set("MP_FAR", 40_i64);
        assert!(matches!(MaskCoding::of(&afw), Err(MaskError::BitOutOfRange { bit: 40, .. })));
    }
}
