//! How a file's mask values stand for defects: bits with names, bits known by heart, or codes.

use super::Header;
use crate::mask::canonical_plane;
use crate::{MaskError, MaskPlanes, remap};

/// The coding of a mask. Whatever it is, decoded masks are bits of [`MaskCoding::planes`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum MaskCoding {
    /// Bits whose names are in the header.
    Named(MaskPlanes),
    /// Bits that an instrument's documentation names.
    Bits(&'static [(u32, &'static str)]),
    /// An enumeration: each pixel has one code, 0 being good.
    Codes(&'static [(i32, &'static str)]),
    /// Anything but 0 is bad.
    NonZero,
}

/// NOIRLab Community Pipeline since PLVER V3.5.0 (DECam, Mosaic-3, 90Prime). A code that is not here
/// is bad.
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
    /// Finds out from the header of a mask, its primary cards merged in.
    pub(crate) fn of(header: &Header) -> Result<Self, MaskError> {
        let named = named_planes(header)?;
        if !named.is_empty() {
            return Ok(Self::Named(named));
        }
        let instrument = header.text("INSTRUME").unwrap_or("").to_ascii_uppercase();
        if let Some(version) = header.text("PLVER") {
            // The versions of the other cameras' pipelines are counted apart, and all write codes.
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

    /// Turns the values of the file into bits of [`MaskCoding::planes`].
    pub(crate) fn decode(&self, mask: &mut ndarray::Array2<i32>) {
        let planes = self.planes();
        let bits_of = |name: &str| planes.bits_of([name]);
        match self {
            // Undeclared bits mean nothing, and are cleared.
            Self::Named(named) => remap(mask, named, named).unwrap_or_else(|_| mask.fill(0)),
            Self::Bits(table) => {
                let table: Vec<(i32, i32)> =
                    table.iter().map(|&(bit, name)| (bit as i32, bits_of(name))).collect();
                mask.mapv_inplace(|value| {
                    table.iter().filter(|(bit, _)| value & bit != 0).fold(0, |bits, (_, plane)| bits | plane)
                });
            }
            Self::Codes(table) => {
                let table: Vec<(i32, i32)> =
                    table.iter().map(|&(code, name)| (code, bits_of(name))).collect();
                let bad = bits_of("BAD");
                mask.mapv_inplace(|value| match value {
                    0 => 0,
                    _ => table.iter().find(|(code, _)| *code == value).map_or(bad, |(_, plane)| *plane),
                });
            }
            Self::NonZero => {
                let bad = bits_of("BAD");
                mask.mapv_inplace(|value| if value == 0 { 0 } else { bad });
            }
        }
    }
}

/// The planes that a mask header names: `MP_<name>` = bit (afw), or `MSKNnnnn` = name with
/// `MSKMnnnn` = value (lsst-images).
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
    // Of synonyms in one file, the name that is ours keeps it.
    named.sort_by_key(|&(name, _)| canonical_plane(name) != name);
    let mut planes = MaskPlanes::new();
    for (name, bit) in named {
        planes.insert_at(name, bit)?;
    }
    Ok(planes)
}

/// `V3.5.0` → (3, 5).
fn pipeline_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text
        .trim_start_matches(['V', 'v'])
        .split('.')
        .map(|part| part.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<u32>().ok());
    Some((numbers.next()??, numbers.next().flatten().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::header::Card;

    fn header(cards: &[(&str, &str)]) -> Header {
        cards.iter().map(|&(keyword, value)| Card::new(keyword, value)).collect()
    }

    fn names(coding: &MaskCoding, value: i32) -> Vec<String> {
        let mut mask = array![[value]];
        coding.decode(&mut mask);
        coding.planes().names_in(mask[[0, 0]]).map(str::to_owned).collect()
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
    fn named_planes_keep_their_bits_and_lose_undeclared_ones() {
        let mut afw = Header::new();
        afw.set("MP_BAD", 3_i64);
        afw.set("MP_NO_DATA", 0_i64);
        let coding = MaskCoding::of(&afw).unwrap();
        assert_eq!(names(&coding, 0b1001 | 0b10), ["NO_DATA", "BAD"]);

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
        assert_eq!(names(&coding, -7), ["BAD"]);
    }

    #[test]
    fn plane_beyond_bit_31_is_refused() {
        let mut afw = Header::new();
        afw.set("MP_FAR", 40_i64);
        assert!(matches!(MaskCoding::of(&afw), Err(MaskError::BitOutOfRange { bit: 40, .. })));
    }
}
