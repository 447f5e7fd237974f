//! World coordinate system of an image, and the direction to the zenith in pixels.
//!
//! Pixel coordinates are 0-based parent coordinates: they include the origin of a box, and the
//! centre of pixel (x, y) of the parent has the coordinates (x, y). One `Wcs` therefore serves a
//! patch and its subregions. Positions are ICRS. FK5 at equinox 2000 differs by up to 20 mas, equal
//! for all images of a field, and is treated as ICRS.
//!
//! The crate `fits-well` provides the projections with SIP and TPV distortions. They agree with
//! astropy to 1e-6 px and 0.01 mas (`wcs_agrees_with_astropy`). Other modules use this type only.
//!
//! # References
//!
//! - E. W. Greisen and M. R. Calabretta, 2002, A&A 395, 1061: FITS WCS.
//! - M. R. Calabretta and E. W. Greisen, 2002, A&A 395, 1077: celestial projections.

mod cards;
mod distortion;
mod error;
mod matrix;
mod origin;
mod pixel_size;
mod plausible;
mod read;

use dcr_physics::{Angle, SkyPosition};

use crate::BBox;
use crate::header::Card;

use cards::{Frame, WcsCards};
pub use error::WcsError;
pub use origin::{image_origin, origin_cards};

/// Half step of the finite differences for the [`Jacobian`], in pixels. With a whole pixel, the
/// curvature of any real WCS contributes less than 1e-9, and rounding less than 1e-8.
const STEP_PX: f64 = 1.0;

/// A world coordinate system: a map between the pixels of a parent image and the sky.
#[derive(Clone, Debug)]
pub struct Wcs {
    inner: fits_well::wcs::Wcs,
    cards: WcsCards,
    longitude_first: bool,
    notes: Vec<String>,
}

/// Treatment of distortion polynomials in headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Distortions {
    /// Apply them.
    #[default]
    Header,
    /// Ignore them, e.g. if they are left over in a resampled image.
    Ignored,
}

/// Change of the sky position per pixel step, in the local (East, North) frame, in arcsec per
/// pixel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jacobian {
    /// East per step in x; negative for the usual orientation with East left.
    pub east_x: f64,
    /// East per step in y.
    pub east_y: f64,
    /// North per step in x.
    pub north_x: f64,
    /// North per step in y.
    pub north_y: f64,
}

impl Jacobian {
    /// The determinant in arcsec² per pixel; negative for the usual sky, positive for a mirrored
    /// one.
    #[must_use]
    pub const fn determinant(&self) -> f64 {
        self.east_x * self.north_y - self.east_y * self.north_x
    }

    /// The step (dx, dy) in pixels that corresponds to `east` and `north` arcsec, or `None` if the
    /// matrix is singular.
    #[must_use]
    pub fn pixels_for(&self, east: f64, north: f64) -> Option<(f64, f64)> {
        let determinant = self.determinant();
        let dx = (self.north_y * east - self.east_y * north) / determinant;
        let dy = (self.east_x * north - self.north_x * east) / determinant;
        (dx.is_finite() && dy.is_finite()).then_some((dx, dy))
    }
}

/// The direction to the zenith at a position of an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ZenithDirection {
    /// Component along x of the unit vector in pixels.
    pub dx: f64,
    /// Component along y of the unit vector in pixels.
    pub dy: f64,
    /// Size of a pixel along that vector.
    pub arcsec_per_px: f64,
}

impl ZenithDirection {
    /// The shift (dx, dy) in pixels of light displaced by `lift` towards the zenith.
    #[must_use]
    pub fn pixels(&self, lift: Angle) -> (f64, f64) {
        let length = lift.arcsec() / self.arcsec_per_px;
        (self.dx * length, self.dy * length)
    }
}

impl Wcs {
    /// Warnings about choices between contradictory cards, and about implausible values, one or
    /// more sentences each.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Sky position of the pixel coordinates `(x, y)`.
    ///
    /// # Errors
    ///
    /// [`WcsError::PixelUnmapped`] outside the domain of the projection.
    pub fn pixel_to_sky(&self, x: f64, y: f64) -> Result<SkyPosition, WcsError> {
        let mut world = [f64::NAN; 2];
        let unmapped = |reason: String| WcsError::PixelUnmapped { x, y, reason };
        self.inner
            .pixel_to_world(&[x + 1.0, y + 1.0], &mut world)
            .map_err(|error| unmapped(error.to_string()))?;
        if !world.iter().all(|value| value.is_finite()) {
            return Err(unmapped("the result is not a number".to_owned()));
        }
        let [ra, dec] = if self.longitude_first { world } else { [world[1], world[0]] };
        Ok(SkyPosition::from_degrees(ra, dec))
    }

    /// Pixel coordinates (x, y) of a sky position. Distortions are inverted by iteration rather
    /// than by the approximate inverse in the header, so that round trips close.
    ///
    /// # Errors
    ///
    /// [`WcsError::SkyUnmapped`] outside the domain of the projection.
    pub fn sky_to_pixel(&self, sky: SkyPosition) -> Result<(f64, f64), WcsError> {
        let (ra_deg, dec_deg) = (sky.ra.degrees(), sky.dec.degrees());
        let world = if self.longitude_first { [ra_deg, dec_deg] } else { [dec_deg, ra_deg] };
        let mut pixel = [f64::NAN; 2];
        let unmapped = |reason: String| WcsError::SkyUnmapped { ra_deg, dec_deg, reason };
        self.inner.world_to_pixel(&world, &mut pixel).map_err(|error| unmapped(error.to_string()))?;
        if !pixel.iter().all(|value| value.is_finite()) {
            return Err(unmapped("the result is not a number".to_owned()));
        }
        Ok((pixel[0] - 1.0, pixel[1] - 1.0))
    }

    /// The Jacobian at `(x, y)`, from central differences of the full map.
    ///
    /// # Errors
    ///
    /// [`WcsError::PixelUnmapped`] outside the domain of the projection.
    pub fn jacobian(&self, x: f64, y: f64) -> Result<Jacobian, WcsError> {
        let centre = self.pixel_to_sky(x, y)?;
        let (sin_ra, cos_ra) = centre.ra.radians().sin_cos();
        let (sin_dec, cos_dec) = centre.dec.radians().sin_cos();
        let east = [-sin_ra, cos_ra, 0.0];
        let north = [-sin_dec * cos_ra, -sin_dec * sin_ra, cos_dec];
        let arcsec_per_unit = Angle::from_radians(1.0).arcsec() / (2.0 * STEP_PX);
        let step = |dx: f64, dy: f64| -> Result<(f64, f64), WcsError> {
            let ahead = unit_vector(self.pixel_to_sky(x + dx, y + dy)?);
            let behind = unit_vector(self.pixel_to_sky(x - dx, y - dy)?);
            let along = |axis: [f64; 3]| {
                (0..3).map(|i| (ahead[i] - behind[i]) * axis[i]).sum::<f64>() * arcsec_per_unit
            };
            Ok((along(east), along(north)))
        };
        let (east_x, north_x) = step(STEP_PX, 0.0)?;
        let (east_y, north_y) = step(0.0, STEP_PX)?;
        Ok(Jacobian { east_x, east_y, north_x, north_y })
    }

    /// Side of a square with the area of the pixel at `(x, y)`, in arcsec.
    ///
    /// # Errors
    ///
    /// As [`Wcs::jacobian`].
    pub fn pixel_scale(&self, x: f64, y: f64) -> Result<f64, WcsError> {
        Ok(self.jacobian(x, y)?.determinant().abs().sqrt())
    }

    /// The direction to the zenith at `(x, y)`, whose position angle is `parallactic_angle` (North
    /// through East): the vector (North, East) = (cos q, sin q) through the inverse Jacobian
    /// (docs/algorithm.md §2). Rotated and mirrored images need no special treatment.
    ///
    /// # Errors
    ///
    /// [`WcsError::Singular`], or as [`Wcs::jacobian`].
    pub fn zenith_direction(
        &self,
        x: f64,
        y: f64,
        parallactic_angle: Angle,
    ) -> Result<ZenithDirection, WcsError> {
        let (sin_q, cos_q) = parallactic_angle.radians().sin_cos();
        let singular = WcsError::Singular { x, y };
        let (dx, dy) = self.jacobian(x, y)?.pixels_for(sin_q, cos_q).ok_or(singular)?;
        let px_per_arcsec = dx.hypot(dy);
        Ok(ZenithDirection {
            dx: dx / px_per_arcsec,
            dy: dy / px_per_arcsec,
            arcsec_per_px: px_per_arcsec.recip(),
        })
    }

    /// Maximum distance in pixels between this WCS and another at the corners and the centre of a
    /// box; 0 for images on the same grid.
    ///
    /// # Errors
    ///
    /// If a point cannot be mapped, e.g. for an image elsewhere on the sky.
    pub fn difference_px(&self, other: &Self, bbox: &BBox) -> Result<f64, WcsError> {
        let (left, right) = (bbox.x0 as f64, bbox.x1() as f64 - 1.0);
        let (bottom, top) = (bbox.y0 as f64, bbox.y1() as f64 - 1.0);
        let points = [(left, bottom), (right, bottom), (left, top), (right, top), bbox.centre()];
        points.iter().try_fold(0.0_f64, |largest, &(x, y)| {
            let (other_x, other_y) = other.sky_to_pixel(self.pixel_to_sky(x, y)?)?;
            Ok(largest.max((other_x - x).hypot(other_y - y)))
        })
    }

    /// Whether both agree within `tolerance_px` over a box; a point that one of them cannot map
    /// counts as disagreement.
    #[must_use]
    pub fn same_as(&self, other: &Self, bbox: &BBox, tolerance_px: f64) -> bool {
        self.difference_px(other, bbox).is_ok_and(|difference| difference <= tolerance_px)
    }

    /// The WCS cards for an array whose first pixel is `(x0, y0)` of the parent, distortions
    /// included. [`origin_cards`] gives the origin itself.
    #[must_use]
    pub fn to_cards(&self, (x0, y0): (i64, i64)) -> Vec<Card> {
        let mut cards = self.cards.moved(-(x0 as f64), -(y0 as f64));
        match self.cards.frame {
            Frame::Icrs => cards.push(Card::new("RADESYS", "ICRS")),
            Frame::Fk5 => {
                cards.push(Card::new("RADESYS", "FK5"));
                cards.push(Card::new("EQUINOX", 2000.0));
            }
        }
        cards
    }
}

fn unit_vector(sky: SkyPosition) -> [f64; 3] {
    let (sin_ra, cos_ra) = sky.ra.radians().sin_cos();
    let (sin_dec, cos_dec) = sky.dec.radians().sin_cos();
    [cos_dec * cos_ra, cos_dec * sin_ra, sin_dec]
}

#[cfg(test)]
mod tests;
