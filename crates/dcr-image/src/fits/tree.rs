//! JSON tree of lsst-images files.

use super::FitsError;
use super::layout::Hdu;
use super::reader::FitsReader;

/// JSON tree of an lsst-images file, which replaces the cards of other files.
pub(super) fn observation_tree(
    reader: &mut FitsReader,
    hdus: &[Hdu],
) -> Result<Option<serde_json::Value>, FitsError> {
    let Some(hdu) = hdus.iter().find(|hdu| hdu.name == "JSON") else {
        return Ok(None);
    };
    reader.go_to(hdu.index)?;
    let Some(column) = reader.column("JSON") else {
        let reason = "the column JSON with the tree of lsst-images is missing".to_owned();
        return Err(FitsError::Content { path: reader.path().to_owned(), hdu: hdu.label(), reason });
    };
    let bytes: Vec<u8> = reader.cell::<i32>(column, 0)?.into_iter().map(|byte| byte as u8).collect();
    serde_json::from_slice(&without_nan(bytes)).map(Some).map_err(|error| FitsError::Content {
        path: reader.path().to_owned(),
        hdu: hdu.label(),
        reason: format!("the JSON tree cannot be read: {error}"),
    })
}

/// Python writes NaN and Infinity, which are not JSON: replaced by null.
fn without_nan(bytes: Vec<u8>) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let (mut in_string, mut i) = (false, 0);
    while i < bytes.len() {
        let rest = &bytes[i..];
        let word = [&b"NaN"[..], b"-Infinity", b"Infinity"].into_iter().find(|word| rest.starts_with(word));
        match (in_string, word) {
            (false, Some(word)) => {
                out.extend_from_slice(b"null");
                i += word.len();
                continue;
            }
            // An escaped quote does not end a string.
            (true, _) if bytes[i] == b'\\' && i + 1 < bytes.len() => {
                out.push(bytes[i]);
                i += 1;
            }
            _ if bytes[i] == b'"' => in_string = !in_string,
            _ => {}
        }
        out.push(bytes[i]);
        i += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_nan_outside_strings_becomes_null() {
        let text = br#"{"a": NaN, "NaN \" NaN": -Infinity, "b": "Infinity"}"#;
        let expected = br#"{"a": null, "NaN \" NaN": null, "b": "Infinity"}"#;
        assert_eq!(without_nan(text.to_vec()), expected);
    }
}
