//! Names of HDUs, and the kind of plane that each denotes.
//!
//! The name is EXTNAME, or EXTTYPE in old files, compared without case. UTYPE states the kind of an
//! HDU of uncertainties in files of astropy's CCDData; otherwise the name does:
//!
//! | plane | names |
//! |---|---|
//! | image | IMAGE, SCI, SCIENCE |
//! | mask | MASK, MSK, BPM, DQ, FLAG, FLAGS, OOD, QUALITY, BADPIX |
//! | variance | VARIANCE, VAR, STAT |
//! | inverse variance | WEIGHT, WEIGHTS, WHT, WGT, WT, OOW, INVVAR, IVAR, IVM |
//! | standard deviation | ERR, ERROR, SIGMA, STDDEV, STDEV, STD, RMS, NOISE |
//! | by UTYPE, else standard deviation | UNCERT, UNCERTAINTY, UNC |

use super::layout::{Hdu, UncertaintyKind};

use self::PlaneKind::{Image, Mask, Uncertainty, UncertaintyByType};
use super::layout::UncertaintyKind::{InverseVariance, StandardDeviation, Variance};

/// The kind of plane that a name denotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PlaneKind {
    Image,
    Mask,
    Uncertainty(UncertaintyKind),
    /// Uncertainties whose kind is in the card UTYPE.
    UncertaintyByType,
}

/// Names that identify a plane, in upper case.
const NAMES: [(&str, PlaneKind); 35] = [
    ("IMAGE", Image),
    ("SCI", Image),
    ("SCIENCE", Image),
    ("MASK", Mask),
    ("MSK", Mask),
    ("BPM", Mask),
    ("DQ", Mask),
    ("FLAG", Mask),
    ("FLAGS", Mask),
    ("OOD", Mask),
    ("QUALITY", Mask),
    ("BADPIX", Mask),
    ("VARIANCE", Uncertainty(Variance)),
    ("VAR", Uncertainty(Variance)),
    // MUSE and other ESO pipelines.
    ("STAT", Uncertainty(Variance)),
    ("WEIGHT", Uncertainty(InverseVariance)),
    ("WEIGHTS", Uncertainty(InverseVariance)),
    ("WHT", Uncertainty(InverseVariance)),
    // DES.
    ("WGT", Uncertainty(InverseVariance)),
    ("WT", Uncertainty(InverseVariance)),
    ("OOW", Uncertainty(InverseVariance)),
    ("INVVAR", Uncertainty(InverseVariance)),
    ("IVAR", Uncertainty(InverseVariance)),
    ("IVM", Uncertainty(InverseVariance)),
    ("ERR", Uncertainty(StandardDeviation)),
    ("ERROR", Uncertainty(StandardDeviation)),
    ("SIGMA", Uncertainty(StandardDeviation)),
    ("STDDEV", Uncertainty(StandardDeviation)),
    ("STDEV", Uncertainty(StandardDeviation)),
    ("STD", Uncertainty(StandardDeviation)),
    ("RMS", Uncertainty(StandardDeviation)),
    ("NOISE", Uncertainty(StandardDeviation)),
    ("UNCERT", UncertaintyByType),
    ("UNCERTAINTY", UncertaintyByType),
    ("UNC", UncertaintyByType),
];

/// Values of UTYPE from astropy, its short names, and their kinds.
const UTYPES: [(&str, UncertaintyKind); 7] = [
    ("StdDevUncertainty", StandardDeviation),
    ("std", StandardDeviation),
    ("VarianceUncertainty", Variance),
    ("var", Variance),
    ("InverseVariance", InverseVariance),
    ("InverseVarianceUncertainty", InverseVariance),
    ("ivar", InverseVariance),
];

/// Kind of the uncertainties stated by an HDU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StatedKind {
    /// Neither name nor UTYPE states a kind.
    Unstated,
    /// The kind, with a note if name and UTYPE disagree or UTYPE is missing.
    Stated(UncertaintyKind, Option<String>),
    /// UTYPE has an unknown value.
    Unknown(String),
}

fn kind_of(name: &str) -> Option<PlaneKind> {
    NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name.trim())).map(|&(_, kind)| kind)
}

/// Whether an HDU is an image by its name.
pub(super) fn is_image(hdu: &Hdu) -> bool {
    kind_of(&hdu.name) == Some(Image)
}

/// Whether an HDU is a mask by its name.
pub(super) fn is_mask(hdu: &Hdu) -> bool {
    kind_of(&hdu.name) == Some(Mask)
}

/// Whether an HDU holds uncertainties by its name.
pub(super) fn is_uncertainty(hdu: &Hdu) -> bool {
    matches!(kind_of(&hdu.name), Some(Uncertainty(_) | UncertaintyByType))
}

/// Kind of the uncertainties of an HDU, by UTYPE or else by name.
pub(super) fn stated_kind(hdu: &Hdu) -> StatedKind {
    let by_name = kind_of(&hdu.name);
    let utype = hdu.header.text("UTYPE").map(str::trim).filter(|utype| !utype.is_empty());
    let by_type = utype.and_then(|utype| {
        UTYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(utype)).map(|&(_, kind)| kind)
    });
    match (by_name, utype, by_type) {
        (Some(Uncertainty(name)), Some(utype), Some(kind)) if kind != name => StatedKind::Stated(
            kind,
            Some(format!(
                "{} is {name} by its name and {kind} by UTYPE = '{utype}'; UTYPE is followed.",
                hdu.label()
            )),
        ),
        (_, _, Some(kind)) => StatedKind::Stated(kind, None),
        (Some(UncertaintyByType), Some(utype), None) => StatedKind::Unknown(utype.to_owned()),
        (Some(UncertaintyByType), None, None) => StatedKind::Stated(
            StandardDeviation,
            Some(format!("{} has no UTYPE; it is read as a standard deviation.", hdu.label())),
        ),
        // UTYPE has other uses too: an unknown value is ignored for a plane with a clear name.
        (Some(Uncertainty(kind)), _, None) => StatedKind::Stated(kind, None),
        _ => StatedKind::Unstated,
    }
}

#[cfg(test)]
mod tests {
    use super::super::reader::HduKind;
    use super::*;
    use crate::header::{Card, Header};

    fn hdu(name: &str, utype: Option<&str>) -> Hdu {
        let header: Header = utype.map(|utype| Card::new("UTYPE", utype)).into_iter().collect();
        Hdu {
            index: 2,
            name: name.to_owned(),
            kind: HduKind::Image { axes: vec![2, 2], integer: false },
            header,
        }
    }

    #[test]
    fn names_are_unique_and_stand_for_kinds_in_any_case() {
        for (at, (name, _)) in NAMES.iter().enumerate() {
            assert!(NAMES[..at].iter().all(|(other, _)| other != name), "{name}");
            assert_eq!(*name, name.to_ascii_uppercase());
        }
        for (name, kind) in [
            ("wgt", InverseVariance),
            ("IVM", InverseVariance),
            ("rms", StandardDeviation),
            ("Variance", Variance),
        ] {
            assert_eq!(stated_kind(&hdu(name, None)), StatedKind::Stated(kind, None), "{name}");
        }
        assert!(is_mask(&hdu("msk", None)) && is_image(&hdu("sci", None)));
        assert!(is_uncertainty(&hdu("Uncert", None)) && !is_uncertainty(&hdu("BACKGROUND", None)));
        assert_eq!(stated_kind(&hdu("BACKGROUND", None)), StatedKind::Unstated);
    }

    #[test]
    fn utype_decides_the_kind() {
        let kind = |name, utype| match stated_kind(&hdu(name, utype)) {
            StatedKind::Stated(kind, note) => (Some(kind), note.is_some()),
            StatedKind::Unknown(_) | StatedKind::Unstated => (None, false),
        };
        assert_eq!(kind("UNCERT", Some("StdDevUncertainty")), (Some(StandardDeviation), false));
        assert_eq!(kind("UNCERT", Some("VarianceUncertainty")), (Some(Variance), false));
        assert_eq!(kind("UNCERT", Some("InverseVariance")), (Some(InverseVariance), false));
        assert_eq!(kind("UNCERT", None), (Some(StandardDeviation), true), "a choice is noted");
        assert_eq!(kind("UNCERT", Some("UnknownUncertainty")), (None, false));
        assert_eq!(kind("VARIANCE", Some("StdDevUncertainty")), (Some(StandardDeviation), true));
        assert_eq!(kind("VARIANCE", Some("phot:flux")), (Some(Variance), false));
        assert_eq!(kind("MINE", Some("VarianceUncertainty")), (Some(Variance), false));
    }
}
