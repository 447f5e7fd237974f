//! The content of the page, gathered from a run's folder and its exposures.

use std::path::{Path, PathBuf};

use dcr_coadd::config::SubtractConfig;
use dcr_coadd::{CoaddError, Monitor};
use dcr_difference::DifferenceError;
use dcr_difference::ResidualCounts;
use dcr_difference::review::{CoaddPlanes, Exposures, Remainder, Review, Star};
use dcr_image::BBox;
use dcr_image::fits::is_file;
use ndarray::{Array2, Array3, Axis};
use rayon::prelude::*;

use crate::displacement::Spread;
use crate::picture::{Picture, Stretch, block, composite, counts, flux, shrink};
use crate::run_summary::{RunSummary, Visit};
use crate::views::Views;

/// Ratio of the widest to the narrowest PSF above which PSFs are matched for the differences.
const SEEING_VARIES: f64 = 1.1;
/// Maximum pixels of exposures in work at a time, at about 100 bytes each.
const PIXELS_AT_A_TIME: usize = 1 << 24;
/// The longest side of a picture of a subfilter, and of the one in colours.
const SUBFILTER_PX: usize = 480;
const COMPOSITE_PX: usize = 720;

/// The content of the page.
pub(crate) struct Findings {
    pub(crate) summary: RunSummary,
    pub(crate) bbox: BBox,
    pub(crate) unit: String,
    /// In the order of the summary's visits.
    pub(crate) visits: Vec<Finding>,
    /// Visits with pictures, the worst fit of the standard coadd first.
    pub(crate) shown: Vec<Shown>,
    /// Kind of the standard coadd.
    pub(crate) plain_coadd: PlainCoadd,
    /// True if PSF matching was requested.
    pub(crate) psfs_matched: bool,
    /// Significance of a detection.
    pub(crate) threshold: f64,
    pub(crate) spread: Option<Spread>,
    pub(crate) coadds: CoaddPictures,
    pub(crate) stars: Vec<Star>,
}

/// The coadd that exposures are compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlainCoadd {
    /// The run has written it.
    There,
    /// The sum of the subfilters stands in.
    SumOfSubfilters,
    Missing,
}

/// Result for a visit.
pub(crate) enum Finding {
    /// It was read.
    Seen(Seen),
    /// It could not be, for this reason.
    Missing(String),
}

/// Residuals of an exposure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) plain: Option<Left>,
    pub(crate) matched: Left,
}

/// A visit with its pictures.
pub(crate) struct Shown {
    /// Its rank, capitalised.
    pub(crate) rank: &'static str,
    /// Its place in the summary.
    pub(crate) visit: usize,
    pub(crate) views: Views,
}

/// Statistics of the difference with one template.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Left {
    pub(crate) counts: Option<ResidualCounts>,
    pub(crate) source_rms: Option<f64>,
    /// Share of pixels that could be used.
    pub(crate) usable: f64,
    /// Fraction of the exposure's good pixels that were searched.
    pub(crate) searched: f64,
    /// True if its PSF was matched.
    pub(crate) psf_matched: bool,
}

/// The coadds to be reviewed.
pub(crate) struct CoaddPictures {
    /// Blue to red, all in one stretch.
    pub(crate) subfilters: Vec<Picture>,
    /// In colours; `None` of a single subfilter.
    pub(crate) composite: Option<Picture>,
    /// Number of visits in each pixel, with minimum and maximum.
    pub(crate) n_image: Option<(Picture, f32, f32)>,
}

impl Findings {
    /// Reviews the run in `folder`, whose `summary.json` is given.
    ///
    /// # Errors
    ///
    /// [`DifferenceError`] if the coadds cannot be read, or the monitor asks to stop. Exposures
    /// that are missing or unreadable are findings.
    pub(crate) fn gather(
        folder: &Path,
        summary: RunSummary,
        monitor: &dyn Monitor,
    ) -> Result<Self, DifferenceError> {
        let mut config = SubtractConfig::from(&summary.settings());
        config.subtract.match_psf |= seeing_varies(&summary.visits);
        let (psfs_matched, threshold) = (config.subtract.match_psf, config.subtract.threshold);
        let mut review = Review::open(folder, config)?;
        review.check_run(&folder.join("summary.json"), &summary.run)?;
        let files: Vec<Option<Vec<PathBuf>>> =
            summary.visits.iter().map(|visit| files_of(visit, folder)).collect::<Result<_, _>>()?;
        if let Some(first) = files.iter().flatten().flatten().next() {
            review.scale_to(first)?;
        }

        monitor.stage("looking", summary.visits.len() as u64);
        let exposures = review.exposures()?;
        let bbox = review.bbox();
        let all: Vec<usize> = (0..files.len()).collect();
        let visits = in_groups(&all, &bbox, monitor, |i| {
            let finding = look(&exposures, &summary.visits[i], files[i].as_deref(), &bbox);
            monitor.step(&summary.visits[i].file_name());
            finding
        })?;

        monitor.stage("drawing", 1);
        // Pictures are made of a few only: to look at those again costs less than to keep the pixels of all.
        let ranks = ranks(&ranked(&visits));
        let chosen: Vec<usize> = ranks.iter().map(|(_, visit)| *visit).collect();
        let views = in_groups(&chosen, &bbox, monitor, |i| {
            // Those chosen were seen a moment ago.
            let seen = files[i].as_deref().map(|files| exposures.visit(files)).transpose()?;
            Ok(seen.map(|seen| Views::of(&seen, &bbox)))
        })?;
        let shown = ranks
            .into_iter()
            .zip(views)
            .filter_map(|((rank, visit), views)| Some(Shown { rank, visit, views: views? }))
            .collect();
        drop(exposures);
        let coadds = review.coadds()?;
        let stars = review.stars(&coadds)?;
        Ok(Self {
            bbox,
            unit: if summary.unit.is_empty() { review.unit().into() } else { summary.unit.clone() },
            visits,
            shown,
            plain_coadd: match review.plain_coadd() {
                Some("coadd.fits") => PlainCoadd::SumOfSubfilters,
                Some(_) => PlainCoadd::There,
                None => PlainCoadd::Missing,
            },
            psfs_matched,
            threshold,
            spread: Spread::of(&summary),
            coadds: CoaddPictures::of(&coadds, &summary.band.fractions),
            stars,
            summary,
        })
    }

    /// Indices of the reviewed visits, from the worst to the best fit of the standard coadd.
    pub(crate) fn ranked(&self) -> Vec<usize> {
        ranked(&self.visits)
    }

    /// Result for a visit, if it was reviewed.
    pub(crate) fn seen(&self, visit: usize) -> Option<&Seen> {
        match self.visits.get(visit)? {
            Finding::Seen(seen) => Some(seen),
            Finding::Missing(_) => None,
        }
    }

    /// The visits that could not be read, with the reason.
    pub(crate) fn missing(&self) -> Vec<(&Visit, &str)> {
        self.summary
            .visits
            .iter()
            .zip(&self.visits)
            .filter_map(|(visit, finding)| match finding {
                Finding::Missing(reason) => Some((visit, reason.as_str())),
                Finding::Seen(_) => None,
            })
            .collect()
    }

    /// Detections in all visits, with the standard coadd and with the matched templates. `None`
    /// where they were not counted.
    pub(crate) fn detections(&self) -> (Option<usize>, Option<usize>) {
        let all = (0..self.visits.len()).filter_map(|i| self.seen(i));
        let total = |of: fn(&Seen) -> Option<Left>| {
            let counts: Vec<usize> =
                all.clone().filter_map(|seen| Some(of(seen)?.counts?.detections)).collect();
            (!counts.is_empty()).then(|| counts.iter().sum())
        };
        (total(|seen| seen.plain), total(|seen| Some(seen.matched)))
    }
}

/// The visits that were read, as [`Findings::ranked`] has them.
fn ranked(visits: &[Finding]) -> Vec<usize> {
    let mut seen: Vec<(usize, (usize, f64))> = visits
        .iter()
        .enumerate()
        .filter_map(|(i, finding)| match finding {
            Finding::Seen(seen) => {
                let telling = seen.plain.unwrap_or(seen.matched);
                let detections = telling.counts.map_or(0, |counts| counts.detections);
                Some((i, (detections, telling.source_rms.unwrap_or(0.0))))
            }
            Finding::Missing(_) => None,
        })
        .collect();
    seen.sort_by(|(i, a), (j, b)| b.0.cmp(&a.0).then(b.1.total_cmp(&a.1)).then(i.cmp(j)));
    seen.into_iter().map(|(i, _)| i).collect()
}

/// The worst, median and best of ranked visits, each with its name; fewer for less than three
/// visits.
fn ranks(ranked: &[usize]) -> Vec<(&'static str, usize)> {
    match *ranked {
        [] => vec![],
        [only] => vec![("Only", only)],
        [worst, best] => vec![("Worst", worst), ("Best", best)],
        [worst, .., best] => {
            vec![("Worst", worst), ("Median", ranked[ranked.len() / 2]), ("Best", best)]
        }
    }
}

/// Results of `work` for each visit, in order, with as many in parallel as fit in memory.
fn in_groups<T: Send>(
    visits: &[usize],
    bbox: &BBox,
    monitor: &dyn Monitor,
    work: impl Fn(usize) -> Result<T, DifferenceError> + Sync,
) -> Result<Vec<T>, DifferenceError> {
    let mut out = Vec::with_capacity(visits.len());
    for group in visits.chunks(at_a_time(bbox)) {
        if monitor.cancelled() {
            return Err(CoaddError::Cancelled.into());
        }
        let done: Vec<Result<T, DifferenceError>> = group.par_iter().map(|visit| work(*visit)).collect();
        for result in done {
            out.push(result?);
        }
    }
    Ok(out)
}

/// True if widths differ so much that differences without matching show the seeing.
fn seeing_varies(visits: &[Visit]) -> bool {
    let widths: Vec<f64> = visits.iter().filter_map(|visit| visit.psf_fwhm_px).collect();
    let widest = widths.iter().copied().fold(0.0, f64::max);
    let narrowest = widths.iter().copied().fold(f64::INFINITY, f64::min);
    widest > SEEING_VARIES * narrowest
}

/// Path of an exposure: that of the summary, resolved from the run's folder or one above it if
/// needed.
///
/// # Errors
///
/// [`DifferenceError`] for an error of the operating system.
fn located(file: &Path, folder: &Path) -> Result<Option<PathBuf>, DifferenceError> {
    let base = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    for path in std::iter::once(file.to_owned()).chain(base.ancestors().map(|above| above.join(file))) {
        if is_file(&path)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// How many exposures are worked on at a time.
fn at_a_time(bbox: &BBox) -> usize {
    (PIXELS_AT_A_TIME / bbox.area().max(1)).clamp(1, rayon::current_num_threads().max(1))
}

/// The files of a visit, if all are there.
fn files_of(visit: &Visit, folder: &Path) -> Result<Option<Vec<PathBuf>>, DifferenceError> {
    let mut files = Vec::new();
    for file in std::iter::once(&visit.file).chain(&visit.other_files) {
        match located(file, folder)? {
            Some(file) => files.push(file),
            None => return Ok(None),
        }
    }
    Ok(Some(files))
}

/// Result for an exposure. A missing or unfitting exposure gives the reason.
///
/// # Errors
///
/// [`DifferenceError`] if the operating system fails to read it, since a retry would give another
/// page.
fn look(
    exposures: &Exposures<'_>,
    visit: &Visit,
    files: Option<&[PathBuf]>,
    bbox: &BBox,
) -> Result<Finding, DifferenceError> {
    let missing = |reason: String| Ok(Finding::Missing(reason));
    let Some(files) = files else {
        return missing(format!("{} is not there any more", visit.file.display()));
    };
    let file = &visit.file;
    let seen = match exposures.visit(files) {
        Ok(seen) => seen,
        Err(error) if error.is_io() => return Err(error),
        Err(error) => return missing(error.to_string()),
    };
    if seen.exposure.dim() != bbox.shape() {
        return missing(format!("{} does not have the pixels of the run", file.display()));
    }
    if seen.matched.usable == 0.0 && seen.plain.as_ref().is_none_or(|plain| plain.usable == 0.0) {
        return missing(format!("{} and the coadds have no usable pixel in common", file.display()));
    }
    Ok(Finding::Seen(Seen { plain: seen.plain.as_ref().map(Left::of), matched: Left::of(&seen.matched) }))
}

impl Left {
    fn of(remainder: &Remainder) -> Self {
        Self {
            counts: remainder.counts,
            source_rms: remainder.source_rms,
            usable: remainder.usable,
            searched: remainder.searched,
            psf_matched: remainder.matching.is_some(),
        }
    }
}

impl CoaddPictures {
    /// Planes are divided by their shares of a flat spectrum, so that a flat spectrum is equally
    /// bright in all.
    pub(crate) fn of(coadds: &CoaddPlanes, fractions: &[f64]) -> Self {
        let (n, rows, cols) = coadds.image_byx.dim();
        let level = |b: usize| {
            let fraction = fractions.get(b).copied().filter(|fraction| *fraction > 0.0);
            fraction.map_or(1.0, |fraction| (fraction * n as f64).recip() as f32)
        };
        let small = |limit: usize| -> Array3<f32> {
            let block = block((rows, cols), limit);
            let mut out = Array3::from_elem((n, rows.div_ceil(block), cols.div_ceil(block)), f32::NAN);
            for (b, plane) in coadds.image_byx.axis_iter(Axis(0)).enumerate() {
                out.index_axis_mut(Axis(0), b).assign(&(shrink(plane, block) * level(b)));
            }
            out
        };
        let planes = small(SUBFILTER_PX);
        let stretch = Stretch::of(&planes);
        let coloured = (n > 1).then(|| {
            let planes = small(COMPOSITE_PX);
            composite(planes.view(), &Stretch::of(&mean(&planes)))
        });
        Self {
            subfilters: planes.axis_iter(Axis(0)).map(|plane| flux(plane, &stretch)).collect(),
            composite: coloured,
            n_image: coadds.n_image.as_ref().map(|plane| {
                let small = shrink(plane.view(), block(plane.dim(), SUBFILTER_PX));
                let least = small.iter().copied().fold(f32::INFINITY, f32::min);
                let most = small.iter().copied().fold(0.0, f32::max);
                (counts(small.view(), least, most), least, most)
            }),
        }
    }
}

fn mean(planes_byx: &Array3<f32>) -> Array2<f32> {
    planes_byx.sum_axis(Axis(0)) / planes_byx.len_of(Axis(0)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeing_varies_if_the_widest_is_much_wider() {
        let visit = |fwhm| Visit { psf_fwhm_px: fwhm, ..Visit::default() };
        assert!(!seeing_varies(&[]));
        assert!(!seeing_varies(&[visit(None), visit(Some(3.0))]));
        assert!(!seeing_varies(&[visit(Some(3.2)), visit(Some(3.0))]));
        assert!(seeing_varies(&[visit(Some(3.4)), visit(Some(3.0)), visit(None)]));
    }

    #[test]
    fn exposures_are_found_from_where_the_run_was_started() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("night/coadds");
        std::fs::create_dir_all(&run).unwrap();
        std::fs::create_dir(folder.path().join("warps")).unwrap();
        std::fs::write(folder.path().join("warps/a.fits"), "").unwrap();
        let found = located(Path::new("warps/a.fits"), &run).unwrap().unwrap();
        assert!(found.ends_with("warps/a.fits") && found.is_file());
        assert_eq!(located(Path::new("warps/b.fits"), &run).unwrap(), None);
        assert_eq!(located(Path::new("warps"), &run).unwrap(), None);
    }

    #[test]
    fn pictures_of_coadds_of_any_number_of_subfilters_and_without_data() {
        for n in 1..=5 {
            let planes = CoaddPlanes {
                image_byx: Array3::from_elem((n, 30, 1000), f32::NAN),
                variance_byx: Array3::from_elem((n, 30, 1000), 1.0),
                sum: Array2::from_elem((30, 1000), f32::NAN),
                n_image: Some(Array2::from_elem((30, 1000), 4.0)),
                sources: Array2::from_elem((30, 1000), false),
            };
            let pictures = CoaddPictures::of(&planes, &vec![1.0 / n as f64; n]);
            assert_eq!(pictures.subfilters.len(), n);
            assert_eq!(pictures.subfilters[0].width, 334);
            assert_eq!(pictures.composite.is_some(), n > 1);
            let (_, least, most) = pictures.n_image.unwrap();
            assert_eq!((least, most), (4.0, 4.0));
        }
    }
}
