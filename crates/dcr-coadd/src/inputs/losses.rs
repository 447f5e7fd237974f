//! Share of each visit that is not used: masked or clipped pixels.

use dcr_image::{MaskPlanes, MaskedImage};
use dcr_solver::GOOD;
use ndarray::ArrayView2;

use crate::run::run_log::RunLog;

/// Reported share of a visit's pixels with data that are not used; such a visit contradicts its
/// mask or the other visits.
const MOST: f64 = 0.5;

/// Pixels of a visit that masks take.
#[derive(Clone, Debug, Default)]
pub(crate) struct MaskLosses {
    /// Pixels with data: image and variance are numbers, and NO_DATA is not set.
    pub(crate) with_data: usize,
    /// Those of them that are not good.
    lost: usize,
    /// The mask planes whose pixels are not used, each with the pixels with data that it takes.
    planes: Vec<(String, usize)>,
}

impl MaskLosses {
    /// Losses of a visit whose pixels in the planes `bad` are not used.
    pub(crate) fn new(bad: &[String]) -> Self {
        let planes = bad.iter().filter(|name| *name != "NO_DATA").map(|name| (name.clone(), 0)).collect();
        Self { planes, ..Self::default() }
    }

    /// Adds a part of the visit, its mask in the dictionary `planes`, with its flags.
    pub(crate) fn add(&mut self, part: &MaskedImage, flags: ArrayView2<'_, u8>, planes: &MaskPlanes) {
        let no_data = planes.bits_of(["NO_DATA"]);
        let bits: Vec<i32> = self.planes.iter().map(|(name, _)| planes.bits_of([name])).collect();
        for (((value, variance), mask), flags) in
            part.image.iter().zip(&part.variance).zip(&part.mask).zip(flags)
        {
            if flags & GOOD != 0 {
                self.with_data += 1;
            } else if mask & no_data == 0 && value.is_finite() && *variance > 0.0 && variance.is_finite() {
                self.with_data += 1;
                self.lost += 1;
                for ((_, count), bit) in self.planes.iter_mut().zip(&bits) {
                    *count += usize::from(mask & bit != 0);
                }
            }
        }
    }

    fn share(&self, pixels: usize) -> f64 {
        pixels as f64 / self.with_data.max(1) as f64
    }

    /// The plane that takes most, and its share of the pixels with data.
    fn largest(&self) -> Option<(&str, f64)> {
        let (name, pixels) = self.planes.iter().max_by_key(|(_, pixels)| *pixels)?;
        Some((name, self.share(*pixels)))
    }
}

/// Warns of masks that take more than half of a visit's pixels with data.
pub(crate) fn warn_of_masks(visits: &[(String, MaskLosses)], log: &mut RunLog<'_>) {
    let most = |visit: &(String, MaskLosses)| visit.1.share(visit.1.lost);
    let lost: Vec<&(String, MaskLosses)> = visits.iter().filter(|visit| most(visit) > MOST).collect();
    let Some(worst) = lost.iter().max_by(|a, b| most(a).total_cmp(&most(b))) else { return };
    let (name, losses) = worst;
    let by = match losses.largest() {
        Some((plane, share)) if share > MOST => {
            format!(
                "{:.0} % of its pixels with data have {plane}. Is the mask 1 for good pixels, that is, inverted?",
                100.0 * share
            )
        }
        _ => format!("{:.0} % of its pixels with data are masked, by several planes.", 100.0 * most(worst)),
    };
    let text = format!(
        "Masks take more than half of the pixels in {} of {} visits, most in {name}: {by} See coadd.bad_mask_planes.",
        lost.len(),
        visits.len()
    );
    log.warn("masks", text);
}

/// Status note on a visit most of which is not used: of `with_data` pixels `good` were not masked,
/// and `clipped` of these were clipped. `None` if half or more were used.
pub(crate) fn remark_on_loss(name: &str, with_data: usize, good: usize, clipped: usize) -> Option<String> {
    let share = |pixels: usize| pixels as f64 / with_data.max(1) as f64;
    let masked = with_data.saturating_sub(good);
    (share(masked + clipped) > MOST).then(|| {
        format!(
            "{:.0} % of the pixels of {name} were not used ({:.0} % masked, {:.0} % clipped)",
            100.0 * share(masked + clipped),
            100.0 * share(masked),
            100.0 * share(clipped)
        )
    })
}

#[cfg(test)]
mod tests {
    use dcr_image::BBox;
    use ndarray::Array2;

    use super::*;
    use crate::run::progress::Unmonitored;

    /// A visit of 100 pixels, the first of which have the planes.
    fn losses(with_planes: &[(&str, usize)]) -> MaskLosses {
        let planes = MaskPlanes::canonical();
        let bad = ["NO_DATA", "BAD", "SAT"].map(str::to_owned);
        let mut mask = Array2::<i32>::zeros((10, 10));
        for (name, count) in with_planes {
            mask.iter_mut().take(*count).for_each(|bits| *bits |= planes.bits_of([*name]));
        }
        let bits = planes.bits_of(&bad);
        let flags = mask.mapv(|mask| GOOD * u8::from(mask & bits == 0));
        let bbox = BBox::new(0, 0, 10, 10);
        let part =
            MaskedImage { bbox, image: Array2::zeros((10, 10)), mask, variance: Array2::ones((10, 10)) };
        let mut losses = MaskLosses::new(&bad);
        losses.add(&part, flags.view(), &planes);
        losses
    }

    fn warning(visits: &[MaskLosses]) -> Option<String> {
        let mut log = RunLog::new(&Unmonitored);
        let named: Vec<_> =
            visits.iter().enumerate().map(|(i, v)| (format!("visit {i}"), v.clone())).collect();
        warn_of_masks(&named, &mut log);
        assert!(log.warnings.len() < 2);
        log.warnings.first().map(|warning| warning.text.clone())
    }

    #[test]
    fn masks_that_take_most_are_reported_with_their_plane() {
        assert_eq!(warning(&[losses(&[("BAD", 50)]), losses(&[])]), None);
        let text = warning(&[losses(&[("BAD", 50)]), losses(&[("BAD", 97)])]).unwrap();
        assert!(
            text.contains("in 1 of 2 visits, most in visit 1: 97 % of its pixels with data have BAD"),
            "{text}"
        );
        let both = warning(&[losses(&[("BAD", 49), ("NO_DATA", 0)])]);
        assert_eq!(both, None);
    }

    #[test]
    fn edges_without_data_are_no_loss() {
        assert_eq!(warning(&[losses(&[("NO_DATA", 97)])]), None);
        let some = losses(&[("NO_DATA", 60), ("BAD", 70)]);
        assert_eq!((some.with_data, some.lost), (40, 10));
    }

    #[test]
    fn remark_says_where_pixels_went() {
        assert_eq!(remark_on_loss("visit 1", 100, 90, 40), None);
        assert_eq!(
            remark_on_loss("visit 1", 100, 90, 45).as_deref(),
            Some("55 % of the pixels of visit 1 were not used (10 % masked, 45 % clipped)")
        );
        assert_eq!(remark_on_loss("visit 1", 0, 0, 0), None);
    }
}
