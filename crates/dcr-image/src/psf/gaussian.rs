//! Centre and second moments of a Gaussian that describes an image.

/// 2√(2 ln 2).
pub const FWHM_PER_SIGMA: f64 = 2.354_820_045_030_949_3;

/// Centre and adaptive second moments of an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    /// Column of the centre, from 0.
    pub x: f64,
    /// Row of the centre, from 0.
    pub y: f64,
    /// Variance along the columns in px².
    pub xx: f64,
    /// Covariance in px².
    pub xy: f64,
    /// Variance along the rows in px².
    pub yy: f64,
    /// Flux of the best-fitting Gaussian.
    pub flux: f64,
}

impl Moments {
    /// 2√(2 ln 2)·det(Q)^(1/4), in px.
    #[must_use]
    pub fn fwhm_px(&self) -> f64 {
        FWHM_PER_SIGMA * (self.xx * self.yy - self.xy * self.xy).powf(0.25)
    }

    /// `((xx − yy), 2 xy) / (xx + yy)`: 0 for round, (1 − q²)/(1 + q²) for an axis ratio q along x.
    #[must_use]
    pub fn ellipticity(&self) -> [f64; 2] {
        let size = self.xx + self.yy;
        [(self.xx - self.yy) / size, 2.0 * self.xy / size]
    }
}
