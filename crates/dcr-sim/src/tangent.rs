//! Pixel grid on the sky: a linear gnomonic (TAN) projection, and the displacement by refraction.
//!
//! Implemented here rather than taken from `dcr-image`, so that a field also tests the WCS of that
//! crate, and with `libm`, so that pixels are the same on every machine.
//!
//! With position angles from North through East, +y of the image has the position angle `θ`, and +x
//! has `θ − 90°` (East left) or `θ + 90°` (East right). Refracted light moves along the great
//! circle to the zenith, whose position angle is the parallactic angle `q`: from `p` to `p cos ΔR +
//! t sin ΔR`, with `t = north cos q + east sin q`.

use dcr_physics::{Angle, SkyPosition};

/// Positions are rounded to this number of steps per pixel. The tangents of the refraction model
/// can differ in the last digit between machines; rounded positions do not.
const STEPS_PER_PIXEL: f64 = 1_073_741_824.0;

/// Pixel grid of a field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TangentGrid {
    pub(crate) centre: SkyPosition,
    /// Pixel of the field centre, 0-based.
    pub(crate) centre_px: [f64; 2],
    pub(crate) scale: Angle,
    /// Position angle of +y.
    pub(crate) rotation: Angle,
    pub(crate) east_left: bool,
}

/// A direction as a unit vector, and the local East and North.
struct Frame {
    point: [f64; 3],
    east: [f64; 3],
    north: [f64; 3],
}

impl Frame {
    fn new(place: SkyPosition) -> Self {
        let (sin_ra, cos_ra) = libm::sincos(place.ra.radians());
        let (sin_dec, cos_dec) = libm::sincos(place.dec.radians());
        Self {
            point: [cos_dec * cos_ra, cos_dec * sin_ra, sin_dec],
            east: [-sin_ra, cos_ra, 0.0],
            north: [-sin_dec * cos_ra, -sin_dec * sin_ra, cos_dec],
        }
    }
}

impl TangentGrid {
    /// The CD matrix in radians per pixel: rows (East, North), columns (x, y).
    pub(crate) fn cd(&self) -> [[f64; 2]; 2] {
        let (sin, cos) = libm::sincos(self.rotation.radians());
        let (scale, x_sign) = (self.scale.radians(), if self.east_left { -1.0 } else { 1.0 });
        [[x_sign * scale * cos, scale * sin], [-x_sign * scale * sin, scale * cos]]
    }

    /// Sky position of pixel `(x, y)`.
    pub(crate) fn sky(&self, [x, y]: [f64; 2]) -> SkyPosition {
        let cd = self.cd();
        let (dx, dy) = (x - self.centre_px[0], y - self.centre_px[1]);
        let east = cd[0][0] * dx + cd[0][1] * dy;
        let north = cd[1][0] * dx + cd[1][1] * dy;
        let centre = Frame::new(self.centre);
        let v: [f64; 3] =
            std::array::from_fn(|i| centre.point[i] + east * centre.east[i] + north * centre.north[i]);
        let turn = std::f64::consts::TAU;
        let ra = libm::atan2(v[1], v[0]);
        SkyPosition {
            ra: Angle::from_radians(if ra < 0.0 { ra + turn } else { ra }),
            dec: Angle::from_radians(libm::atan2(v[2], libm::sqrt(v[0] * v[0] + v[1] * v[1]))),
        }
    }

    /// Rounded pixel position of light from `place` displaced by `lift` towards the position angle
    /// `q`.
    pub(crate) fn pixel_of_lifted(&self, place: SkyPosition, lift: Angle, q: Angle) -> [f64; 2] {
        let frame = Frame::new(place);
        let (sin_q, cos_q) = libm::sincos(q.radians());
        let (sin_lift, cos_lift) = libm::sincos(lift.radians());
        let lifted: [f64; 3] = std::array::from_fn(|i| {
            frame.point[i] * cos_lift + (frame.north[i] * cos_q + frame.east[i] * sin_q) * sin_lift
        });
        self.pixel(lifted).map(|v| libm::rint(v * STEPS_PER_PIXEL) / STEPS_PER_PIXEL)
    }

    fn pixel(&self, point: [f64; 3]) -> [f64; 2] {
        let centre = Frame::new(self.centre);
        let dot = |a: [f64; 3]| a[0] * point[0] + a[1] * point[1] + a[2] * point[2];
        let depth = dot(centre.point);
        let (east, north) = (dot(centre.east) / depth, dot(centre.north) / depth);
        let cd = self.cd();
        let determinant = cd[0][0] * cd[1][1] - cd[0][1] * cd[1][0];
        [
            self.centre_px[0] + (cd[1][1] * east - cd[0][1] * north) / determinant,
            self.centre_px[1] + (cd[0][0] * north - cd[1][0] * east) / determinant,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Positions are kept to 2⁻³⁰ px; a unit vector's rounding over a scale of 1e-6 rad adds 1e-9
    /// px.
    const POSITION_PX: f64 = 3e-9;

    fn grid(rotation: f64, east_left: bool) -> TangentGrid {
        TangentGrid {
            centre: SkyPosition::from_degrees(53.0, -25.0),
            centre_px: [79.5, 79.5],
            scale: Angle::from_arcsec(0.2),
            rotation: Angle::from_degrees(rotation),
            east_left,
        }
    }

    #[test]
    fn grid_goes_there_and_back() {
        for grid in [grid(0.0, true), grid(25.0, true), grid(200.0, false)] {
            for place in [[0.0, 0.0], [79.5, 79.5], [150.25, 12.75]] {
                let back = grid.pixel_of_lifted(grid.sky(place), Angle::default(), Angle::default());
                assert!((back[0] - place[0]).abs() < POSITION_PX && (back[1] - place[1]).abs() < POSITION_PX);
            }
        }
    }

    #[test]
    fn grid_meets_astropy() {
        // astropy 8.0.2 WCS of the CD matrix of the synthetic files: CRPIX 80.5, +y at 25°, East left.
        let sky = grid(25.0, true).sky([10.0, 150.0]);
        let (ra, dec) = ASTROPY_SKY;
        assert!((sky.ra.degrees() - ra).abs() < 1e-11, "{}", sky.ra.degrees());
        assert!((sky.dec.degrees() - dec).abs() < 1e-11, "{}", sky.dec.degrees());
    }

    /// RA and Dec in degrees at (10, 150), 0-based.
    const ASTROPY_SKY: (f64, f64) = (53.005_687_393_977_47, -24.998_081_962_455_73);

    #[test]
    fn lift_moves_along_the_position_angle() {
        // With East left, position angles grow counter-clockwise in the image: when +y points at θ, North
        // (q = 0) lies clockwise of it, towards +x. With East right it is the mirror image.
        let theta = 25_f64.to_radians();
        for (east_left, sign) in [(true, 1.0), (false, -1.0)] {
            let grid = grid(25.0, east_left);
            let place = [79.5, 79.5];
            let moved = grid.pixel_of_lifted(grid.sky(place), Angle::from_arcsec(1.0), Angle::default());
            assert!((moved[0] - place[0] - sign * 5.0 * theta.sin()).abs() < 1e-7, "{moved:?}");
            assert!((moved[1] - place[1] - 5.0 * theta.cos()).abs() < 1e-7, "{moved:?}");
        }
    }

    #[test]
    fn lift_to_the_east_goes_left_when_east_is_left() {
        let q = Angle::from_degrees(90.0);
        for (east_left, sign) in [(true, -1.0), (false, 1.0)] {
            let grid = grid(0.0, east_left);
            let moved = grid.pixel_of_lifted(grid.sky([40.0, 60.0]), Angle::from_arcsec(0.4), q);
            assert!((moved[0] - 40.0 - sign * 2.0).abs() < 1e-3 && (moved[1] - 60.0).abs() < 1e-3);
        }
    }
}
