//! Calibration of a template against its exposure ([`dcr_solver::calibration`]).

use dcr_image::MaskedImage;
use dcr_image::header::Card;
use dcr_solver::GOOD;
use dcr_solver::calibration::{Calibration, CalibrationData, CalibrationOrders, LocalTerms, fit};
use ndarray::Zip;
use serde::Serialize;

use super::joint_target::RunScalePixels;

/// How a template was fitted to its exposure.
///
/// Backgrounds are in the units of the run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TemplateCalibration {
    /// Bright sources of the fit.
    pub sources: usize,
    /// Orders of the polynomials; absent terms were not determined, or are off.
    pub orders: CalibrationOrders,
    /// The terms in the middle of the exposure.
    pub middle: LocalTerms,
    /// Errors of the terms in the middle.
    pub errors: LocalTerms,
    /// The terms in the exposure's corners: by rows, then by columns.
    pub corners: [LocalTerms; 4],
}

impl TemplateCalibration {
    fn of(found: &Calibration, (rows, cols): (usize, usize)) -> Self {
        let (last_y, last_x) = (rows as f64 - 1.0, cols as f64 - 1.0);
        Self {
            sources: found.sources(),
            orders: found.orders(),
            middle: found.middle(),
            errors: found.middle_errors(),
            corners: [(0.0, 0.0), (0.0, last_x), (last_y, 0.0), (last_y, last_x)]
                .map(|(y, x)| found.at(y, x)),
        }
    }

    /// The cards of the template's file.
    pub(crate) fn cards(&self) -> Vec<Card> {
        let LocalTerms { background, flux, displacement, moments: [size, e1, e2] } = self.middle;
        let card = |name: &str, value: f64, about: &str| Card::new(name, value).with_comment(about);
        vec![
            Card::new("CALNSRC", self.sources as i64).with_comment("sources that calibrated the template"),
            card("CALFLUX", flux, "applied relative flux, in the middle"),
            card("CALDX", displacement.dx, "[px] applied displacement, in the middle"),
            card("CALDY", displacement.dy, "[px] applied displacement along y"),
            card("CALSIZE", size, "[px^2] applied change of the PSF moment (xx + yy)/2"),
            card("CALE1", e1, "[px^2] applied change of (xx - yy)/2"),
            card("CALE2", e2, "[px^2] applied change of xy"),
            card("CALBACK", background, "applied background, in the run's units"),
        ]
    }
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
) -> Option<TemplateCalibration> {
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
    Some(TemplateCalibration::of(&found, template.image.dim()))
}
