//! `[subtract]`: difference images of `dcr subtract`, and their residuals.

pub use dcr_measure::residuals::Background;
use serde::{Deserialize, Serialize};

use super::table::table;
use super::{ConfigError, refuse};

table! {
    /// Difference images and the detection of residuals.
    pub struct DifferenceConfig = "subtract" {
        /// Detection threshold of residuals, in standard deviations. Lower it to find fainter
        /// changes; false ones grow quickly below 5.
        threshold: f64 = 5.0,
        /// Match the PSFs of template and exposure first, by convolving the sharper of the two, as
        /// `--match` does. Turn it on where the seeing of the exposure is not that of the coadd.
        match_psf: bool = false,
        /// Order of the polynomial by which the matching kernel varies over the exposure: 0
        /// (constant) to 2. Raise it where the PSF varies over the exposure; 1 and 2 need three
        /// bright sources for each of 3 or 6 terms.
        kernel_order: usize = 0,
        /// Order of the polynomial fitted with the kernel to the background between the two: 0 to
        /// 2. Raise it where one of them has a sloping sky. Without PSF matching none is fitted.
        background_order: usize = 0,
        /// Background subtracted before the search for residuals: "plane" (a slope where it is
        /// certain, else the median), "constant" (the median) or "none". Fitted away from sources.
        /// The difference's file keeps it.
        background: Background = Background::Plane,
        /// Mask planes, of exposure or template, whose pixels can have no residual. Planes of a
        /// template that describe single visits (CR, SUSPECT, INTRP, EDGE, CLIPPED, …) do not
        /// count: other visits have data there. Add the planes of your files that mark artefacts.
        bad_mask_planes: Vec<String> = ["NO_DATA", "BAD", "SAT", "CR", "SUSPECT"].map(str::to_owned).to_vec(),
        /// Residuals as a table: "ecsv" (CSV with units and types, for astropy) or "csv". The
        /// difference's file has them as a FITS table in any case. Take "csv" for readers without
        /// support for comments.
        table: TableFormat = TableFormat::Ecsv,
    }
}

/// The form of tables in text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableFormat {
    /// CSV with a header in YAML.
    Ecsv,
    /// Names and values only.
    Csv,
}

impl TableFormat {
    /// The extension of files.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Ecsv => "ecsv",
            Self::Csv => "csv",
        }
    }
}

impl DifferenceConfig {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if !(self.threshold > 0.0 && self.threshold.is_finite()) {
            return Err(refuse("subtract.threshold", self.threshold, "above 0"));
        }
        for (key, order) in [
            ("subtract.kernel_order", self.kernel_order),
            ("subtract.background_order", self.background_order),
        ] {
            if order > 2 {
                return Err(refuse(key, order, "0 to 2"));
            }
        }
        Ok(())
    }
}
