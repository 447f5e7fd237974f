//! Headers edited after their checksum was written.

use std::collections::BTreeSet;
use std::path::PathBuf;

use dcr_physics::Assumption;

use super::checksum::Checksums;
use super::{FitsError, FitsReader};

/// Verifies the sums of the files of an exposure; notes edited headers.
///
/// # Errors
///
/// [`FitsError::Checksum`] for wrong data sums; with [`Checksums::All`] also for header sums.
pub(super) fn edited_headers(
    files: impl Iterator<Item = PathBuf>,
    checksums: Checksums,
) -> Result<Vec<Assumption>, FitsError> {
    let mut notes = Vec::new();
    if checksums == Checksums::Ignore {
        return Ok(notes);
    }
    for path in files.collect::<BTreeSet<_>>() {
        let edited = FitsReader::open(&path)?.verify_checksums(checksums == Checksums::All)?;
        if !edited.is_empty() {
            let hdus: Vec<String> = edited.iter().map(|hdu| format!("HDU {hdu}")).collect();
            let text = format!(
                "{}: the header of {} does not agree with its card CHECKSUM: it was edited or damaged after it \
                 was written.",
                path.display(),
                hdus.join(", ")
            );
            notes.push(Assumption { quantity: "checksum".to_owned(), text, warning: true });
        }
    }
    Ok(notes)
}
