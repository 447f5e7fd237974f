//! Pictures of one visit: the exposure and both differences, reduced as a whole, and a part at full
//! resolution.

use dcr_difference::review::{Remainder, ResidualMark, VisitReview};
use dcr_image::BBox;
use ndarray::{Array2, ArrayView2, s};

use crate::picture::{Picture, Stretch, block, differences, flux, shrink};

/// The longest side of a picture of the whole exposure.
pub(crate) const WHOLE_PX: usize = 560;
/// The side of a part that is shown at full resolution.
pub(crate) const PART_PX: usize = 360;
/// Maximum number of marked residuals in a picture, most significant first.
const MOST_MARKS: usize = 250;

/// The pictures of a visit.
#[derive(Clone, Debug)]
pub(crate) struct Views {
    pub(crate) exposure: View,
    pub(crate) plain: Option<View>,
    pub(crate) matched: View,
    /// The part with most residuals, unless the whole is shown at full resolution.
    pub(crate) part: Option<Part>,
    /// Pixels along each side that became one; 1 is full resolution.
    pub(crate) block: usize,
}

/// Differences in a part of the exposure, at full resolution.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) bbox: BBox,
    pub(crate) plain: Option<View>,
    pub(crate) matched: View,
}

/// A picture with marks on it.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) picture: Picture,
    pub(crate) marks: Vec<Mark>,
}

/// A residual in pixels of the picture, from its upper left corner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Mark {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) positive: bool,
}

impl Views {
    pub(crate) fn of(review: &VisitReview, bbox: &BBox) -> Self {
        let block = block(review.exposure.dim(), WHOLE_PX);
        let exposure = shrink(review.exposure.view(), block);
        let stretch = Stretch::of(&exposure);
        let whole = |remainder: &Remainder| shrink(remainder.image.view(), block);
        let (plain, matched) = pair(review, bbox, block, whole);
        Self {
            exposure: View { picture: flux(exposure.view(), &stretch), marks: vec![] },
            plain,
            matched,
            part: (block > 1).then(|| Part::of(review, bbox)),
            block,
        }
    }
}

impl Part {
    fn of(review: &VisitReview, bbox: &BBox) -> Self {
        let telling = review.plain.as_ref().unwrap_or(&review.matched);
        let part = fullest(telling.residuals.as_deref().unwrap_or_default(), bbox);
        let cut = |remainder: &Remainder| part_of(remainder.image.view(), &part, bbox);
        let (plain, matched) = pair(review, &part, 1, cut);
        Self { bbox: part, plain, matched }
    }
}

/// The differences in one grey scale with their marks; that with the standard coadd is optional.
fn pair(
    review: &VisitReview,
    bbox: &BBox,
    block: usize,
    plane: impl Fn(&Remainder) -> Array2<f32>,
) -> (Option<View>, View) {
    let view = |remainder: &Remainder, picture: Picture| {
        let residuals = remainder.residuals.as_deref().unwrap_or_default();
        View { picture, marks: marks(residuals, bbox, block) }
    };
    let plain = review.plain.as_ref();
    // Matching PSFs smooths noise, in one more than in the other.
    let alike = [plain, Some(&review.matched)].into_iter().flatten().all(|left| left.matching.is_none());
    let (plain_picture, matched_picture) =
        differences(plain.map(&plane).as_ref(), &plane(&review.matched), alike);
    (
        plain.zip(plain_picture).map(|(remainder, picture)| view(remainder, picture)),
        view(&review.matched, matched_picture),
    )
}

fn part_of(plane: ArrayView2<f32>, part: &BBox, bbox: &BBox) -> Array2<f32> {
    match part.slice_in(bbox) {
        Some((rows, cols)) => plane.slice(s![rows, cols]).to_owned(),
        None => plane.to_owned(),
    }
}

/// The residuals inside a box, in pixels of its picture.
fn marks(residuals: &[ResidualMark], bbox: &BBox, block: usize) -> Vec<Mark> {
    let rows = bbox.height.div_ceil(block) as f64;
    residuals
        .iter()
        .filter(|residual| inside(residual, bbox))
        .take(MOST_MARKS)
        .map(|residual| Mark {
            x: (residual.x - bbox.x0 as f64 + 0.5) / block as f64,
            y: rows - (residual.y - bbox.y0 as f64 + 0.5) / block as f64,
            positive: residual.significance > 0.0,
        })
        .collect()
}

fn inside(residual: &ResidualMark, bbox: &BBox) -> bool {
    bbox.contains(residual.x.round() as i64, residual.y.round() as i64)
}

/// The box of [`PART_PX`] with the most residuals, around one of them; the middle without any.
fn fullest(residuals: &[ResidualMark], bbox: &BBox) -> BBox {
    let (width, height) = (bbox.width.min(PART_PX), bbox.height.min(PART_PX));
    let about = |x: f64, y: f64| {
        let start = |centre: f64, side: usize, first: i64, end: i64| {
            ((centre - side as f64 / 2.0).round() as i64).clamp(first, end - side as i64)
        };
        BBox::new(start(x, width, bbox.x0, bbox.x1()), start(y, height, bbox.y0, bbox.y1()), width, height)
    };
    let held = |part: &BBox| residuals.iter().filter(|residual| inside(residual, part)).count();
    let (x, y) = bbox.centre();
    let mut best = (about(x, y), 0);
    for residual in residuals.iter().take(MOST_MARKS) {
        let part = about(residual.x, residual.y);
        let count = held(&part);
        if count > best.1 {
            best = (part, count);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn residual(x: f64, y: f64) -> ResidualMark {
        ResidualMark { x, y, significance: 6.0, dipole: false }
    }

    fn remainder(shape: (usize, usize), residuals: Option<Vec<ResidualMark>>) -> Remainder {
        Remainder {
            image: Array2::from_shape_fn(shape, |(y, x)| ((3 * y + 5 * x) % 7) as f32 - 3.0),
            usable: 1.0,
            searched: 1.0,
            source_rms: None,
            residuals,
            counts: None,
            matching: None,
        }
    }

    #[test]
    fn views_of_a_small_exposure_are_at_full_resolution_and_of_a_large_one_have_a_part() {
        for (shape, block, part) in [((60, 80), 1, false), ((600, 1200), 3, true)] {
            let bbox = BBox::new(10, 20, shape.1, shape.0);
            let review = VisitReview {
                exposure: Array2::zeros(shape),
                matched: remainder(shape, None),
                plain: Some(remainder(shape, Some(vec![residual(40.0, 30.0)]))),
            };
            let views = Views::of(&review, &bbox);
            assert_eq!((views.block, views.part.is_some()), (block, part));
            assert_eq!(views.exposure.picture.width, shape.1.div_ceil(block));
            assert_eq!(views.matched.marks, []);
            assert_eq!(views.plain.unwrap().marks.len(), 1);
            if let Some(part) = views.part {
                assert!(part.bbox.contains(40, 30) && part.bbox.width == PART_PX);
                assert_eq!(part.matched.picture.width, PART_PX);
            }
        }
    }

    #[test]
    fn views_without_a_number_or_a_plain_coadd() {
        let mut matched = remainder((30, 30), None);
        matched.image.fill(f32::NAN);
        let review = VisitReview { exposure: Array2::from_elem((30, 30), f32::NAN), matched, plain: None };
        let views = Views::of(&review, &BBox::new(0, 0, 30, 30));
        assert!(views.plain.is_none());
        assert_eq!(views.matched.picture.height, 30);
    }

    #[test]
    fn marks_are_counted_from_the_top_of_the_picture() {
        let bbox = BBox::new(100, 200, 50, 40);
        let found = marks(&[residual(100.0, 200.0), residual(90.0, 210.0)], &bbox, 1);
        assert_eq!(found, [Mark { x: 0.5, y: 39.5, positive: true }]);
        let shrunk = marks(&[residual(149.0, 239.0)], &bbox, 2);
        assert_eq!(shrunk, [Mark { x: 24.75, y: 0.25, positive: true }]);
    }

    #[test]
    fn fullest_part_lies_inside_and_holds_the_crowd() {
        let bbox = BBox::new(0, 0, 2000, 1000);
        let mut residuals: Vec<ResidualMark> =
            (0..5).map(|i| residual(1990.0 - 9.0 * f64::from(i), 5.0)).collect();
        residuals.insert(0, residual(300.0, 500.0));
        let part = fullest(&residuals, &bbox);
        assert!(bbox.contains_box(&part) && part.contains(1990, 5) && !part.contains(300, 500));
        assert!(fullest(&[], &bbox).contains(1000, 500));
        assert_eq!(fullest(&[], &BBox::new(0, 0, 100, 50)), BBox::new(0, 0, 100, 50));
    }
}
