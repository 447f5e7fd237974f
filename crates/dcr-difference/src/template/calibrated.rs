//! Calibration of a template against its exposure ([`dcr_solver::calibration`]).

use dcr_image::MaskedImage;
use dcr_image::header::Card;
use dcr_solver::GOOD;
use dcr_solver::calibration::{
    CalibrationData, CalibrationOrders, CalibrationReport, LocalTerms, ModelError, fit,
};
use ndarray::Zip;

use super::joint_target::RunScalePixels;

/// The cards of a template's file that state its calibration.
pub(crate) fn calibration_cards(calibration: &CalibrationReport) -> Vec<Card> {
    let LocalTerms { background, flux, displacement, moments: [size, e1, e2] } = calibration.middle;
    let card = |name: &str, value: f64, about: &str| Card::new(name, value).with_comment(about);
    vec![
        Card::new("CALNSRC", calibration.sources as i64).with_comment("sources that calibrated the template"),
        card("CALFLUX", flux, "applied relative flux, in the middle"),
        card("CALDX", displacement.dx, "[px] applied displacement, in the middle"),
        card("CALDY", displacement.dy, "[px] applied displacement along y"),
        card("CALSIZE", size, "[px^2] applied change of the PSF moment (xx + yy)/2"),
        card("CALE1", e1, "[px^2] applied change of (xx - yy)/2"),
        card("CALE2", e2, "[px^2] applied change of xy"),
        card("CALBACK", background, "applied background, in the run's units"),
    ]
}

/// Fits a template, in the run's flux scale, to its exposure, and applies the fit. Pixels with a
/// bit of `bad` in the template's mask are not fitted.
///
/// `None` if nothing is to be calibrated, or no pixel is usable in both.
pub(super) fn calibrate(
    template: &mut MaskedImage,
    exposure: &RunScalePixels,
    bad: i32,
    fwhm_px: f64,
    orders: &CalibrationOrders,
) -> Option<CalibrationReport> {
    let RunScalePixels { pixels, flags } = exposure;
    let good =
        Zip::from(flags).and(&template.mask).map_collect(|own, mask| own & GOOD != 0 && mask & bad == 0);
    let data = CalibrationData {
        image: pixels.image.view(),
        variance: pixels.variance.view(),
        prediction: template.image.view(),
        good: good.view(),
        fwhm_px,
    };
    let found = fit(&data, orders)?;
    template.image = found.apply(template.image.view());
    Some(found.report())
}

/// Measures the error of a calibrated template in proportion to flux, and adds it to the variance.
/// `None` with fewer than three bright stars.
pub(super) fn add_model_error(
    template: &mut MaskedImage,
    exposure: &RunScalePixels,
    bad: i32,
    fwhm_px: f64,
) -> Option<f64> {
    let RunScalePixels { pixels, flags } = exposure;
    let good =
        Zip::from(flags).and(&template.mask).map_collect(|own, mask| own & GOOD != 0 && mask & bad == 0);
    let variance = &pixels.variance + &template.variance;
    let data = CalibrationData {
        image: pixels.image.view(),
        variance: variance.view(),
        prediction: template.image.view(),
        good: good.view(),
        fwhm_px,
    };
    let error = ModelError::measure(&data)?;
    template.variance += &error.variance(template.image.view(), fwhm_px);
    Some(error.fraction)
}
