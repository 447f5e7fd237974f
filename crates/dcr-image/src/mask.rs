//! Mask planes: what each bit of a mask means.
//!
//! Each file has its own dictionary of plane names and bits. The same name can have different bits
//! in different files, so masks of two files are compared or combined only after [`remap`] has
//! translated both to one dictionary.
//!
//! Names are compared by [`same_plane`], because lsst-images uses SATURATED for afw's SAT. A
//! dictionary keeps the name of afw, so that planes of both have one bit.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

/// Planes created here use the bits 0 to 30, so that a mask value is never negative.
const FREE_BITS: u8 = 31;

/// The planes of a new mask, in bit order.
const CANONICAL: [&str; 13] = [
    "BAD",
    "SAT",
    "INTRP",
    "CR",
    "EDGE",
    "DETECTED",
    "DETECTED_NEGATIVE",
    "SUSPECT",
    "NO_DATA",
    "CLIPPED",
    "REJECTED",
    "SENSOR_EDGE",
    "INEXACT_PSF",
];

/// Other planes of afw and lsst-images, by the name of afw where both have one.
const KNOWN: [&str; 17] = [
    "BRIGHT_OBJECT",
    "CROSSTALK",
    "NOT_DEBLENDED",
    "UNMASKEDNAN",
    "VIGNETTED",
    "PARTLY_VIGNETTED",
    "STREAK",
    "SPIKE",
    "ITL_DIP",
    "HIGH_VARIANCE",
    "INJECTED",
    "INJECTED_CORE",
    "INJECTED_TEMPLATE",
    "INJECTED_CORE_TEMPLATE",
    "SAT_TEMPLATE",
    "LOW_COVERAGE",
    "VARIABLE",
];

/// Names in lsst-images and other software, and the name in afw for the same plane.
const SYNONYMS: [(&str, &str); 9] = [
    ("SATURATED", "SAT"),
    ("COSMIC_RAY", "CR"),
    ("COSMICRAY", "CR"),
    ("DETECTION_EDGE", "EDGE"),
    ("INTERPOLATED", "INTRP"),
    ("INTERP", "INTRP"),
    ("UNMASKED_NAN", "UNMASKEDNAN"),
    ("NODATA", "NO_DATA"),
    ("SATURATED_TEMPLATE", "SAT_TEMPLATE"),
];

/// Canonical name of a plane: that of afw among synonyms, in upper case if it is known.
#[must_use]
pub fn canonical_plane(name: &str) -> &str {
    let synonym = SYNONYMS.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|&(_, ours)| ours);
    let known = || known_planes().find(|known| known.eq_ignore_ascii_case(name));
    synonym.or_else(known).unwrap_or(name)
}

/// Whether two names denote one plane, ignoring case and resolving synonyms.
#[must_use]
pub fn same_plane(a: &str, b: &str) -> bool {
    canonical_plane(a).eq_ignore_ascii_case(canonical_plane(b))
}

/// Names of planes in masks of afw, lsst-images and dcr.
pub fn known_planes() -> impl Iterator<Item = &'static str> {
    CANONICAL.into_iter().chain(KNOWN)
}

/// A dictionary of mask planes, ordered by bit.
///
/// Two names can share a bit, as they do in some files; a name has one bit. Synonyms are stored
/// under one name ([`canonical_plane`]) unless a file has two of them.
///
/// ```
/// use dcr_image::MaskPlanes;
/// let planes = MaskPlanes::canonical();
/// assert_eq!(planes.bits_of(["SAT", "NOT_A_PLANE", "NO_DATA"]), 0b1_0000_0010);
/// assert_eq!(planes.bit("SATURATED"), planes.bit("SAT"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MaskPlanes {
    planes: Vec<(String, u8)>,
}

/// A request that a mask dictionary cannot satisfy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MaskError {
    /// All 31 bits are taken.
    #[error("no bit is left for mask plane {name}: 31 planes are in use")]
    Full {
        /// The plane to be added.
        name: String,
    },
    /// A plane was given two bits.
    #[error("mask plane {name} already has bit {old} and cannot also have bit {new}")]
    Redefined {
        /// The plane.
        name: String,
        /// Its bit so far.
        old: u8,
        /// The other bit.
        new: u8,
    },
    /// A bit beyond those of a 32-bit mask.
    #[error("mask plane {name} has bit {bit}; a mask has the bits 0 to 31")]
    BitOutOfRange {
        /// The plane.
        name: String,
        /// The bit asked for.
        bit: i64,
    },
    /// The target dictionary lacks a plane.
    #[error("mask plane {name} is not in the dictionary to translate to; merge the dictionaries first")]
    Untranslatable {
        /// The plane.
        name: String,
    },
}

impl MaskPlanes {
    /// A dictionary without planes.
    #[must_use]
    pub const fn new() -> Self {
        Self { planes: Vec::new() }
    }

    /// The planes of a new mask: BAD 0, SAT 1, INTRP 2, CR 3, EDGE 4, DETECTED 5, DETECTED_NEGATIVE
    /// 6, SUSPECT 7, NO_DATA 8, CLIPPED 9, REJECTED 10, SENSOR_EDGE 11, INEXACT_PSF 12.
    #[must_use]
    pub fn canonical() -> Self {
        Self { planes: CANONICAL.iter().zip(0..).map(|(name, bit)| ((*name).to_owned(), bit)).collect() }
    }

    /// Number of planes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.planes.len()
    }

    /// Whether no plane is defined.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.planes.is_empty()
    }

    /// Names and bits, in bit order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u8)> {
        self.planes.iter().map(|(name, bit)| (name.as_str(), *bit))
    }

    /// Bit number of a plane, by its name or a synonym.
    #[must_use]
    pub fn bit(&self, name: &str) -> Option<u8> {
        let alike = || self.planes.iter().find(|(known, _)| same_plane(known, name)).map(|&(_, bit)| bit);
        self.exact_bit(name).or_else(alike)
    }

    /// The named planes and their synonyms as a mask value. Unknown names are ignored: a file
    /// without a CLIPPED plane has no clipped pixels.
    #[must_use]
    pub fn bits_of<I: IntoIterator<Item: AsRef<str>>>(&self, names: I) -> i32 {
        let bits_of_one = |name: I::Item| {
            let alike = self.planes.iter().filter(|(known, _)| same_plane(known, name.as_ref()));
            alike.fold(0, |bits, &(_, bit)| bits | value_of(bit))
        };
        names.into_iter().map(bits_of_one).fold(0, |bits, own| bits | own)
    }

    /// Bits of a mask value without a plane.
    #[must_use]
    pub fn undeclared_bits(&self, value: i32) -> i32 {
        value & !self.all_bits()
    }

    /// All declared planes as a mask value.
    #[must_use]
    pub fn all_bits(&self) -> i32 {
        self.planes.iter().fold(0, |bits, &(_, bit)| bits | value_of(bit))
    }

    /// Names of the planes in a mask value, in bit order.
    pub fn names_in(&self, value: i32) -> impl Iterator<Item = &str> {
        self.iter().filter(move |&(_, bit)| value & value_of(bit) != 0).map(|(name, _)| name)
    }

    /// Adds a plane at the lowest free bit and returns that bit; an existing plane keeps its bit.
    ///
    /// # Errors
    ///
    /// [`MaskError::Full`] if the bits 0 to 30 are taken.
    pub fn insert(&mut self, name: &str) -> Result<u8, MaskError> {
        if let Some(bit) = self.bit(name) {
            return Ok(bit);
        }
        let taken = self.all_bits();
        let free = (0..FREE_BITS).find(|&bit| taken & value_of(bit) == 0);
        let bit = free.ok_or_else(|| MaskError::Full { name: name.to_owned() })?;
        self.place(canonical_plane(name), bit);
        Ok(bit)
    }

    /// Adds a plane at the bit given by a file. The second of two synonyms with different bits
    /// keeps its own name.
    ///
    /// # Errors
    ///
    /// [`MaskError::BitOutOfRange`] or [`MaskError::Redefined`].
    pub fn insert_at(&mut self, name: &str, bit: i64) -> Result<(), MaskError> {
        let new = u8::try_from(bit)
            .ok()
            .filter(|&bit| bit < 32)
            .ok_or_else(|| MaskError::BitOutOfRange { name: name.to_owned(), bit })?;
        let ours = canonical_plane(name);
        for kept in [ours, name] {
            match self.exact_bit(kept) {
                Some(old) if old == new => return Ok(()),
                Some(old) if kept == name => {
                    return Err(MaskError::Redefined { name: name.to_owned(), old, new });
                }
                Some(_) => {}
                None => {
                    self.place(kept, new);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Adds the missing planes of `other`, each at its own bit if free, else at the lowest free
    /// bit.
    ///
    /// # Errors
    ///
    /// [`MaskError::Full`] if the union has more than 31 planes.
    pub fn merge(&mut self, other: &Self) -> Result<(), MaskError> {
        for (name, bit) in other.iter() {
            if self.bit(name).is_some() {
                continue;
            }
            if bit < FREE_BITS && self.all_bits() & value_of(bit) == 0 {
                self.place(name, bit);
            } else {
                self.insert(name)?;
            }
        }
        Ok(())
    }

    fn exact_bit(&self, name: &str) -> Option<u8> {
        self.planes.iter().find(|(known, _)| known == name).map(|&(_, bit)| bit)
    }

    fn place(&mut self, name: &str, bit: u8) {
        let at = self.planes.partition_point(|&(_, other)| other <= bit);
        self.planes.insert(at, (name.to_owned(), bit));
    }
}

/// The mask value of one bit. Bit 31 is the sign of an `i32`.
const fn value_of(bit: u8) -> i32 {
    (1_u32 << bit) as i32
}

/// Translates a mask from the dictionary `from` to the dictionary `to`, by plane name.
///
/// Bits that `from` does not declare are cleared.
///
/// # Errors
///
/// [`MaskError::Untranslatable`] if `to` lacks a plane of `from`; the mask is then unchanged.
pub fn remap(mask: &mut Array2<i32>, from: &MaskPlanes, to: &MaskPlanes) -> Result<(), MaskError> {
    let translation = Translation::new(from, to)?;
    mask.mapv_inplace(|old| translation.of(old));
    Ok(())
}

/// Translation of mask values between dictionaries. Bits without a plane are cleared.
#[derive(Clone, Debug)]
pub struct Translation {
    /// Bits that are equal in both.
    staying: i32,
    /// Bits that change, with their new bits.
    moving: Vec<(i32, i32)>,
}

impl Translation {
    /// The translation from one dictionary to another.
    ///
    /// # Errors
    ///
    /// [`MaskError::Untranslatable`] if `to` lacks a plane of `from`.
    pub fn new(from: &MaskPlanes, to: &MaskPlanes) -> Result<Self, MaskError> {
        let pairs = from
            .iter()
            .map(|(name, bit)| match to.bit(name) {
                Some(target) => Ok((value_of(bit), value_of(target))),
                None => Err(MaskError::Untranslatable { name: name.to_owned() }),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let (stay, moving): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(bit, target)| bit == target);
        Ok(Self { staying: stay.into_iter().fold(0, |bits, (bit, _)| bits | bit), moving })
    }

    /// Translates a value.
    #[must_use]
    pub fn of(&self, value: i32) -> i32 {
        let start = value & self.staying;
        if value == start {
            return start;
        }
        self.moving
            .iter()
            .fold(start, |new, &(bit, target)| if value & bit == 0 { new } else { new | target })
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn bits_31_and_32() {
        let mut planes = MaskPlanes::new();
        planes.insert_at("TOP", 31).unwrap();
        assert_eq!(planes.bits_of(["TOP"]), i32::MIN);
        assert!(matches!(planes.insert_at("OVER", 32), Err(MaskError::BitOutOfRange { bit: 32, .. })));
        assert!(matches!(planes.insert_at("UNDER", -1), Err(MaskError::BitOutOfRange { bit: -1, .. })));
    }

    #[test]
    fn canonical_planes_have_their_published_bits() {
        let planes = MaskPlanes::canonical();
        assert_eq!(planes.len(), 13);
        assert_eq!(
            (planes.bit("BAD"), planes.bit("NO_DATA"), planes.bit("INEXACT_PSF")),
            (Some(0), Some(8), Some(12))
        );
        assert_eq!(planes.names_in(0b11).collect::<Vec<_>>(), ["BAD", "SAT"]);
    }

    #[test]
    fn insert_takes_the_lowest_free_bit_until_31_are_used() {
        let mut planes = MaskPlanes::new();
        planes.insert_at("ONE", 1).unwrap();
        assert_eq!(planes.insert("A"), Ok(0));
        assert_eq!(planes.insert("A"), Ok(0));
        assert_eq!(planes.insert("B"), Ok(2));
        for i in 3..31 {
            planes.insert(&format!("P{i}")).unwrap();
        }
        assert_eq!(planes.insert("ONE_TOO_MANY"), Err(MaskError::Full { name: "ONE_TOO_MANY".into() }));
    }

    #[test]
    fn merge_moves_a_plane_whose_bit_is_taken() {
        let mut ours = MaskPlanes::new();
        ours.insert_at("BAD", 0).unwrap();
        let mut theirs = MaskPlanes::new();
        theirs.insert_at("CR", 0).unwrap();
        theirs.insert_at("SAT", 5).unwrap();
        ours.merge(&theirs).unwrap();
        assert_eq!(ours.iter().collect::<Vec<_>>(), [("BAD", 0), ("CR", 1), ("SAT", 5)]);
    }

    #[test]
    fn redefinition_is_refused() {
        let mut planes = MaskPlanes::canonical();
        assert_eq!(planes.insert_at("SAT", 1), Ok(()));
        assert_eq!(
            planes.insert_at("SAT", 2),
            Err(MaskError::Redefined { name: "SAT".into(), old: 1, new: 2 })
        );
    }

    #[test]
    fn synonyms_are_one_plane() {
        for (theirs, ours) in SYNONYMS {
            assert!(known_planes().any(|known| known == ours), "{ours}");
            assert!(same_plane(theirs, ours) && same_plane(&theirs.to_ascii_lowercase(), ours));
        }
        assert!(!same_plane("SAT", "SATT") && !same_plane("EDGE", "SENSOR_EDGE"));
        let mut lsst = MaskPlanes::new();
        for (name, bit) in
            [("NO_DATA", 0), ("INTERPOLATED", 1), ("COSMIC_RAY", 2), ("SATURATED", 3), ("MINE", 4)]
        {
            lsst.insert_at(name, bit).unwrap();
        }
        let names: Vec<_> = lsst.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["NO_DATA", "INTRP", "CR", "SAT", "MINE"]);
        assert_eq!(lsst.bits_of(["SATURATED", "sat", "CR"]), 0b1100);
        assert_eq!(lsst.undeclared_bits(0b110_0001), 0b110_0000);
        let mut ours = MaskPlanes::canonical();
        ours.merge(&lsst).unwrap();
        assert_eq!((ours.len(), ours.bit("MINE")), (14, Some(13)));
        let mut mask = array![[0b1101]];
        remap(&mut mask, &lsst, &ours).unwrap();
        assert_eq!(mask[[0, 0]], ours.bits_of(["NO_DATA", "CR", "SAT"]));
    }

    #[test]
    fn two_synonyms_of_one_file_both_count() {
        let mut planes = MaskPlanes::new();
        planes.insert_at("SAT", 1).unwrap();
        planes.insert_at("SATURATED", 5).unwrap();
        assert_eq!(planes.iter().collect::<Vec<_>>(), [("SAT", 1), ("SATURATED", 5)]);
        assert_eq!((planes.bits_of(["SAT"]), planes.bits_of(["SATURATED"])), (0b10_0010, 0b10_0010));
        let mut mask = array![[0b10_0000, 0b10]];
        remap(&mut mask, &planes, &MaskPlanes::canonical()).unwrap();
        assert_eq!(mask, array![[2, 2]]);
        assert!(matches!(planes.insert_at("SATURATED", 6), Err(MaskError::Redefined { old: 5, new: 6, .. })));
    }

    #[test]
    fn remap_follows_names_and_clears_undeclared_bits() {
        let mut from = MaskPlanes::new();
        from.insert_at("SAT", 0).unwrap();
        from.insert_at("BAD", 1).unwrap();
        let mut mask = array![[0, 1], [2, 3 | 64]];
        remap(&mut mask, &from, &MaskPlanes::canonical()).unwrap();
        assert_eq!(mask, array![[0, 2], [1, 3]]);

        from.insert("MINE").unwrap();
        assert_eq!(
            remap(&mut mask, &from, &MaskPlanes::canonical()),
            Err(MaskError::Untranslatable { name: "MINE".into() })
        );
    }
}
