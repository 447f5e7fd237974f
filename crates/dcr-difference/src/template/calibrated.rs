//! Calibration of a template against its exposure ([`dcr_solver::calibration`]).

use dcr_coadd::config::MatchConfig;
use dcr_coadd::model::JointSettings;
use dcr_image::header::Card;
use dcr_image::{MaskPlanes, MaskedImage};
use dcr_solver::GOOD;
use dcr_solver::calibration::{Calibration, CalibrationData, CalibrationOrders, LocalTerms, fit};
use ndarray::Zip;
use serde::Serialize;

use super::joint_target::pixels_in_run_scale;
use crate::error::DifferenceError;
use crate::template::target::Target;

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
            middle: found.at(last_y / 2.0, last_x / 2.0),
            errors: found.errors(),
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
            card("CALDY", displacement.dy, "[px] the same along y"),
            card("CALSIZE", size, "[px^2] applied change of the PSF's (xx + yy)/2"),
            card("CALE1", e1, "[px^2] the same of (xx - yy)/2"),
            card("CALE2", e2, "[px^2] the same of xy"),
            card("CALBACK", background, "applied background, in the run's units"),
        ]
    }
}

/// Fits a template, in the run's flux scale, to its exposure, and applies the fit.
///
/// # Errors
///
/// [`DifferenceError`] if the exposure's pixels cannot be read.
pub(super) fn calibrate(
    template: &mut MaskedImage,
    exposure: &Target,
    fwhm_px: f64,
    settings: &JointSettings,
    planes: &MaskPlanes,
    config: &MatchConfig,
) -> Result<Option<TemplateCalibration>, DifferenceError> {
    let orders = config.calibration();
    if orders == CalibrationOrders::NONE {
        return Ok(None);
    }
    let (masked, flags) = pixels_in_run_scale(exposure, settings)?;
    let bad = planes.bits_of(settings.bad.iter().map(String::as_str).chain(["NO_DATA"]));
    let good =
        Zip::from(&flags).and(&template.mask).map_collect(|own, mask| own & GOOD != 0 && mask & bad == 0);
    let data = CalibrationData {
        image: masked.image.view(),
        variance: masked.variance.view(),
        prediction: template.image.view(),
        good: good.view(),
        fwhm_px,
    };
    let Some(found) = fit(&data, &orders) else { return Ok(None) };
    template.image = found.apply(template.image.view());
    Ok(Some(TemplateCalibration::of(&found, template.image.dim())))
}
