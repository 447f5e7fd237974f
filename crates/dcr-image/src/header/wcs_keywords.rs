//! WCS keywords.

/// Whether a keyword belongs to the WCS of an image or to its origin in a parent image.
pub(crate) fn is_wcs_keyword(keyword: &str) -> bool {
    const PER_AXIS: [&str; 8] = ["CTYPE", "CRVAL", "CRPIX", "CDELT", "CROTA", "CUNIT", "LTV", "CNAME"];
    let stem = keyword.strip_suffix(|c: char| c.is_ascii_uppercase()).unwrap_or(keyword);
    let per_axis = PER_AXIS.iter().any(|root| stem.strip_prefix(root).is_some_and(is_digits));
    per_axis
        || is_old_form(keyword)
        || ["CD", "PC", "LTM", "PV", "PS"]
            .iter()
            .any(|root| stem.strip_prefix(root).is_some_and(is_digit_pair))
        || is_sip(keyword)
        || matches!(keyword, "WCSAXES" | "LONPOLE" | "LATPOLE" | "WCSNAME")
}

/// Whether a text consists of digits.
pub(crate) fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_digit_pair(text: &str) -> bool {
    text.split_once('_').is_some_and(|(first, second)| is_digits(first) && is_digits(second))
}

/// Whether a keyword is a term or the order of a SIP polynomial.
pub(crate) fn is_sip(keyword: &str) -> bool {
    ["A_", "B_", "AP_", "BP_"]
        .iter()
        .any(|root| keyword.strip_prefix(root).is_some_and(|rest| rest == "ORDER" || is_digit_pair(rest)))
}

/// Whether a keyword is a matrix element in the old form, `PC001001`.
fn is_old_form(keyword: &str) -> bool {
    ["PC", "CD"]
        .iter()
        .any(|root| keyword.strip_prefix(root).is_some_and(|rest| rest.len() == 6 && is_digits(rest)))
}
