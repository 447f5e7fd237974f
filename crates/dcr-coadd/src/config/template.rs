//! `[template]`: how `dcr template` makes the matched template of an exposure.

use dcr_image::resample::WarpKernel;
use dcr_solver::calibration::{CalibrationOrders, PolynomialOrder};
use dcr_solver::iterative::Interpolation;
use dcr_solver::kernel::Order;
use serde::{Deserialize, Serialize};

use super::table::table;

table! {
    /// Matched templates made from the subfilters. Band and refraction are those of the coadd.
    pub struct MatchConfig = "template" {
        /// Interpolation of the shifts: spline order 1, 3 or 5, or "fourier" (exact, but an
        /// unmasked bad pixel rings through its row and column). 1 blurs; there is little reason to
        /// change 3.
        order: Interpolation = Interpolation::Spline(Order::CUBIC),
        /// Displace every subfilter as two halves; if off, none. Turn it off to save time, at the
        /// price of sharpness at high airmass.
        split_subfilters: bool = true,
        /// Variance: "propagated", or "reference" (times the number of subfilters, as in LSST's
        /// DcrAssembleCoaddTask). Change it only to compare with that.
        variance: TemplateVariance = TemplateVariance::Propagated,
        /// Interpolation onto exposures on other pixels than the coadd's: "lanczos3", "lanczos4",
        /// "lanczos5" or "bilinear". Take a higher order for stars sharper than 2.5 px FWHM; it
        /// reaches further around holes.
        warp: WarpKernel = WarpKernel::Lanczos3,
        /// Register templates of a joint run: shift them by the offset that best fits their
        /// exposure, where that lies on the coadd's pixels. Turn it off if the exposure's
        /// astrometry is better than a fit to its stars.
        register: bool = true,
        /// Sky level that templates of a joint run take from their exposure: highest order of its
        /// polynomial in x and y, "off", "constant", "linear" or "quadratic". The order in use is
        /// lower where the exposure does not determine it. Turn it off for templates without sky.
        calibrate_background: PolynomialOrder = PolynomialOrder::Quadratic,
        /// Flux scale of templates, fitted to the bright sources of the exposure: highest order, as
        /// for calibrate_background. Turn it off where zero points are exact.
        calibrate_flux: PolynomialOrder = PolynomialOrder::Linear,
        /// Displacement of templates, fitted to the bright sources of the exposure: highest order,
        /// as for calibrate_background. None is fitted with register = false. Turn it off if the
        /// exposure's astrometry is better than a fit to its stars.
        calibrate_displacement: PolynomialOrder = PolynomialOrder::Quadratic,
        /// Width and ellipticity of the PSF of templates, fitted to the bright sources of the
        /// exposure: highest order, as for calibrate_background. Turn it off if the exposures' PSFs
        /// are exact everywhere.
        calibrate_psf: PolynomialOrder = PolynomialOrder::Linear,
    }
}

impl MatchConfig {
    /// Highest orders of the calibration of templates against exposures.
    #[must_use]
    pub fn calibration(&self) -> CalibrationOrders {
        CalibrationOrders {
            background: self.calibrate_background.order(),
            flux: self.calibrate_flux.order(),
            displacement: self.calibrate_displacement.order().filter(|_| self.register),
            moments: self.calibrate_psf.order(),
        }
    }
}

/// The variance of a matched template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TemplateVariance {
    /// The sum of the subfilters' variances, through the squared weights of the interpolation.
    Propagated,
    /// The propagated variance times the number of subfilters.
    Reference,
}
