//! Distortion polynomials of a WCS: SIP before the matrix, or TPV after it, under any name.

use crate::header::{Header, is_digits, is_sip};

/// Tolerated difference of two distortions, in pixels per pixel of the image side: SIP fits of TPV
/// agree to some hundredths of a pixel in 4000.
pub(super) const SAME_DISTORTION: f64 = 1e-4;
/// Maximum deviation from 1 of the linear term of a TPV polynomial.
const NEAR_ONE: f64 = 0.5;

/// Kind of polynomial of a description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Polynomial {
    /// None; PV cards are ignored too.
    None,
    /// None; PV cards are parameters of the projection.
    Parameters,
    /// SIP.
    Sip,
    /// TPV, under its own name or as TAN.
    Tpv,
}

impl Polynomial {
    /// The polynomial of a header with these axis types.
    pub(super) fn of(header: &Header, types: &[String; 2], notes: &mut Vec<String>) -> Self {
        let both = |ending: &str| types.iter().all(|ctype| ctype.ends_with(ending));
        if both("-TPV") {
            return Self::Tpv;
        }
        if both("-TAN") {
            if has_scamp_terms(header) {
                return Self::Tpv;
            }
            if has_linear_terms(header) {
                notes.push(
                    "PVi_1 near 1 under the name TAN are a polynomial, as written by SCAMP; they are read as TPV.".into(),
                );
                return Self::Tpv;
            }
        }
        if both("-SIP") {
            return Self::Sip;
        }
        if has_sip(header) {
            if header.get("A_ORDER").is_some() && header.get("B_ORDER").is_some() {
                return Self::Sip;
            }
            notes.push("A_i_j or B_i_j without A_ORDER and B_ORDER are ignored.".into());
        }
        if both("-TAN")
            && (0..=4).any(|term| header.f64(&format!("PV2_{term}")).is_some_and(|value| value != 0.0))
        {
            notes.push("TAN has no parameters PV2_m, and those of the header are not a polynomial near 1; they are ignored.".into());
            return Self::None;
        }
        Self::Parameters
    }

    /// Axis type with the name of this polynomial.
    pub(super) fn axis_type(self, ctype: &str) -> String {
        let plain = ctype.strip_suffix("-SIP").unwrap_or(ctype);
        match self {
            Self::Tpv => plain.replace("-TAN", "-TPV"),
            Self::Sip => format!("{}-SIP", plain.replace("-TPV", "-TAN")),
            Self::None => plain.replace("-TPV", "-TAN"),
            Self::Parameters => ctype.to_owned(),
        }
    }

    /// Whether a card belongs to the polynomial.
    pub(super) fn takes(self, keyword: &str) -> bool {
        match self {
            Self::None => false,
            Self::Parameters | Self::Tpv => is_pv(keyword),
            Self::Sip => is_sip(keyword),
        }
    }

    /// The other polynomial in the header, if any.
    pub(super) fn rival(self, header: &Header) -> Option<Self> {
        match self {
            Self::Tpv => has_sip(header).then_some(Self::Sip),
            Self::Sip => (has_scamp_terms(header) || has_linear_terms(header)).then_some(Self::Tpv),
            Self::None | Self::Parameters => None,
        }
    }

    /// Its cards, for messages.
    pub(super) const fn named(self) -> &'static str {
        match self {
            Self::Sip => "SIP (A_i_j, B_i_j)",
            Self::Tpv => "TPV (PVi_m)",
            Self::None | Self::Parameters => "no distortion",
        }
    }
}

/// Whether a keyword is a parameter of a projection.
pub(super) fn is_pv(keyword: &str) -> bool {
    ["PV1_", "PV2_"].iter().any(|root| keyword.strip_prefix(root).is_some_and(is_digits))
}

/// Whether there is a SIP polynomial with a term that is not 0.
pub(super) fn has_sip(header: &Header) -> bool {
    header.iter().any(|card| {
        let forward = card.keyword.starts_with("A_") || card.keyword.starts_with("B_");
        forward
            && is_sip(&card.keyword)
            && !card.keyword.ends_with("ORDER")
            && card.value.as_f64().is_none_or(|value| value != 0.0)
    })
}

/// SCAMP before 2.0 wrote the TPV polynomial under the name TAN. TAN has no terms beyond the fourth
/// on its longitude axis, so these identify it.
fn has_scamp_terms(header: &Header) -> bool {
    header
        .iter()
        .filter_map(|card| card.keyword.strip_prefix("PV1_").or_else(|| card.keyword.strip_prefix("PV2_")))
        .any(|term| term.parse::<u32>().is_ok_and(|term| term > 4))
}

/// Whether the linear terms are those of a polynomial near identity. In TAN, PV1_1 and PV1_2 are
/// native coordinates of the reference point in degrees, 0 and 90, and PV2_m do not exist.
fn has_linear_terms(header: &Header) -> bool {
    let near_one = |keyword: &str| header.f64(keyword).map(|value| (value - 1.0).abs() < NEAR_ONE);
    match (near_one("PV1_1"), near_one("PV2_1")) {
        (Some(longitude), Some(latitude)) => longitude && latitude,
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => false,
    }
}
