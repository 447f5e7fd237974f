//! Regions of the sky or of an image, in DS9's file format.
//!
//! Supported are circles, boxes, ellipses and polygons in `fk5`, `icrs` (treated as equal: they
//! differ by 25 mas), `image` (pixels of the patch, from 1) and `physical` (pixels of the parent
//! image, from 1); coordinates in degrees or sexagesimal; sizes with `"`, `'`, `d`, `p`, or without
//! unit (degrees on the sky, pixels in images). A `-` before a shape removes its pixels from the
//! regions before it. At an angle of 0 the width of a box lies along right ascension, or x; angles
//! count anticlockwise with North up and East left. Shapes without an area (points, lines, texts)
//! are ignored; anything else is refused.
//!
//! # References
//!
//! - DS9 reference manual, "Regions": <https://ds9.si.edu/doc/ref/region.html>.

mod parse;

use dcr_image::{BBox, Wcs};
use dcr_physics::SkyPosition;
use ndarray::Array2;

pub use parse::{RegionError, parse_regions};

/// A region of the sky or of an image.
#[derive(Clone, Debug, PartialEq)]
pub struct SkyRegion {
    /// Coordinate system of the numbers.
    pub(crate) system: System,
    pub(crate) shape: Shape,
    /// True if its pixels are removed.
    pub(crate) excludes: bool,
}

/// Coordinates of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    /// Right ascension and declination in degrees.
    Sky,
    /// Pixels of the patch, from 1.
    Image,
    /// Pixels of the parent image, from 1.
    Physical,
}

/// A length with its unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Length {
    Degrees(f64),
    Pixels(f64),
}

/// The form of a region.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shape {
    /// Half axes; a circle has two that are alike.
    Ellipse {
        centre: [f64; 2],
        half: [Length; 2],
        angle_deg: f64,
    },
    /// Half sides.
    Box {
        centre: [f64; 2],
        half: [Length; 2],
        angle_deg: f64,
    },
    Polygon(Vec<[f64; 2]>),
}

/// Pixels of a patch whose centres lie in the regions. Regions outside the domain of the WCS are
/// ignored.
#[must_use]
pub fn covered_by(regions: &[SkyRegion], bbox: BBox, wcs: &Wcs) -> Array2<bool> {
    let mut covered = Array2::from_elem(bbox.shape(), false);
    for region in regions {
        let Some(outline) = Outline::new(region, &bbox, wcs) else { continue };
        let Some(part) = outline.around.intersection(&bbox) else { continue };
        for y in part.y0..part.y1() {
            for x in part.x0..part.x1() {
                if outline.contains(x as f64, y as f64) {
                    covered[[(y - bbox.y0) as usize, (x - bbox.x0) as usize]] = !region.excludes;
                }
            }
        }
    }
    covered
}

/// A region in pixel coordinates of the parent, from 0.
struct Outline {
    form: Form,
    /// A box with all of it.
    around: BBox,
}

enum Form {
    /// Where `|M (p − c)|` is within 1: by both components, or as a whole.
    Oval {
        centre: [f64; 2],
        matrix: [[f64; 2]; 2],
        square: bool,
    },
    Polygon(Vec<[f64; 2]>),
}

impl Outline {
    fn new(region: &SkyRegion, bbox: &BBox, wcs: &Wcs) -> Option<Self> {
        let place = |[a, b]: [f64; 2]| -> Option<[f64; 2]> {
            let (x, y) = match region.system {
                System::Sky => wcs.sky_to_pixel(SkyPosition::from_degrees(a, b)).ok()?,
                System::Image => (a - 1.0 + bbox.x0 as f64, b - 1.0 + bbox.y0 as f64),
                System::Physical => (a - 1.0, b - 1.0),
            };
            (x.is_finite() && y.is_finite()).then_some([x, y])
        };
        match &region.shape {
            Shape::Polygon(corners) => {
                let corners: Vec<[f64; 2]> = corners.iter().map(|at| place(*at)).collect::<Option<_>>()?;
                Some(Self { around: around(&corners), form: Form::Polygon(corners) })
            }
            Shape::Ellipse { centre, half, angle_deg } => {
                Self::oval(region.system, place(*centre)?, *half, *angle_deg, false, wcs)
            }
            Shape::Box { centre, half, angle_deg } => {
                Self::oval(region.system, place(*centre)?, *half, *angle_deg, true, wcs)
            }
        }
    }

    fn oval(
        system: System,
        centre: [f64; 2],
        half: [Length; 2],
        angle_deg: f64,
        square: bool,
        wcs: &Wcs,
    ) -> Option<Self> {
        let [x, y] = centre;
        let scale_deg = wcs.pixel_scale(x, y).ok()? / 3600.0;
        // Axes that angles are counted from, as functions of pixels: West and North in degrees, or x and y in pixels.
        let (axes, unit) = match system {
            System::Sky => {
                let jacobian = wcs.jacobian(x, y).ok()?;
                let degrees = |arcsec: f64| arcsec / 3600.0;
                let west = [-degrees(jacobian.east_x), -degrees(jacobian.east_y)];
                ([west, [degrees(jacobian.north_x), degrees(jacobian.north_y)]], scale_deg)
            }
            System::Image | System::Physical => ([[1.0, 0.0], [0.0, 1.0]], 1.0),
        };
        let in_axes = |length: Length| match length {
            Length::Degrees(degrees) => degrees / scale_deg * unit,
            Length::Pixels(pixels) => pixels * unit,
        };
        let [a, b] = half.map(in_axes);
        if !(a > 0.0 && b > 0.0 && a.is_finite() && b.is_finite()) {
            return None;
        }
        let (sin, cos) = angle_deg.to_radians().sin_cos();
        let row = |first: f64, second: f64, size: f64| {
            [0, 1].map(|axis: usize| (first * axes[0][axis] + second * axes[1][axis]) / size)
        };
        let matrix = [row(cos, sin, a), row(-sin, cos, b)];
        let reach = a.hypot(b) / unit;
        let corners = [[x - reach, y - reach], [x + reach, y + reach]];
        Some(Self { form: Form::Oval { centre, matrix, square }, around: around(&corners) })
    }

    fn contains(&self, x: f64, y: f64) -> bool {
        match &self.form {
            Form::Oval { centre, matrix, square } => {
                let (dx, dy) = (x - centre[0], y - centre[1]);
                let [u, v] = matrix.map(|row| row[0] * dx + row[1] * dy);
                if *square { u.abs() <= 1.0 && v.abs() <= 1.0 } else { u * u + v * v <= 1.0 }
            }
            Form::Polygon(corners) => {
                // A ray from inside crosses the outline an odd number of times.
                let mut inside = false;
                for (i, [ax, ay]) in corners.iter().enumerate() {
                    let [bx, by] = corners[(i + 1) % corners.len()];
                    if (*ay > y) != (by > y) && x < (bx - ax) * (y - ay) / (by - ay) + ax {
                        inside = !inside;
                    }
                }
                inside
            }
        }
    }
}

/// Bounding box of the corners with a margin of a pixel, limited to the size of any image.
fn around(corners: &[[f64; 2]]) -> BBox {
    const FAR: f64 = 1e8;
    let bound = |axis: usize| {
        let values = corners.iter().map(|corner| corner[axis].clamp(-FAR, FAR));
        let (low, high) = values
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        (low.floor() as i64 - 1, (high - low).max(0.0).ceil() as usize + 3)
    };
    let ((x0, width), (y0, height)) = (bound(0), bound(1));
    BBox::new(x0, y0, width, height)
}

#[cfg(test)]
mod tests;
