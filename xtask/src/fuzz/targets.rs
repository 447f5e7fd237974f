//! Readers of damaged input.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};
use dcr_coadd::Unmonitored;
use dcr_coadd::config::{AssembleConfig, SubtractConfig, TemplateConfig};
use dcr_coadd::regions::{covered_by, parse_regions};
use dcr_difference::review::Review;
use dcr_difference::{TemplateRequest, matched_templates};
use dcr_image::fits::{MissingVariance, hdu_labels};
use dcr_image::header::{Header, VisitHeader};
use dcr_image::{BBox, ExposureFile, OpenOptions, Psf, Wcs};

use super::mutation::{damage_fits, damage_text};
use super::random::Random;
use super::seeds::Seeds;

/// Cards of a header, covering all that readers interpret.
const HEADER: &str = include_str!("header.txt");

/// Targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Exposures with all planes.
    Exposure,
    /// PSF files.
    Psf,
    /// Headers and their WCS.
    Header,
    /// Settings as TOML.
    Settings,
    /// Regions in the DS9 format.
    Regions,
    /// Files of a run, for templates and reports.
    Run,
}

/// Outcome of a run.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// With a result.
    Read,
    /// With an error.
    Refused,
    /// A finding.
    Finding(String),
}

impl Outcome {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Refused => "refused",
            Self::Finding(_) => "finding",
        }
    }

    fn of<T, E>(result: &Result<T, E>) -> Self {
        if result.is_ok() { Self::Read } else { Self::Refused }
    }
}

impl Target {
    const ALL: [Self; 6] =
        [Self::Exposure, Self::Psf, Self::Header, Self::Settings, Self::Regions, Self::Run];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Exposure => "exposure",
            Self::Psf => "psf",
            Self::Header => "header",
            Self::Settings => "settings",
            Self::Regions => "regions",
            Self::Run => "run",
        }
    }

    pub(super) fn named(name: &str) -> Result<Self> {
        match Self::ALL.into_iter().find(|target| target.name() == name) {
            Some(target) => Ok(target),
            None => bail!("no target {name}; one of {:?} was expected", Self::ALL.map(Self::name)),
        }
    }

    /// A random target; half of the runs are exposures.
    pub(super) fn drawn(random: &mut Random, with_run: bool) -> Self {
        match random.below(20) {
            0..=9 => Self::Exposure,
            10..=12 => Self::Psf,
            13..=14 => Self::Header,
            15..=16 => Self::Settings,
            17..=18 => Self::Regions,
            // These take a hundred times as long as the others.
            _ if with_run && random.once_in(2) => Self::Run,
            _ => Self::Exposure,
        }
    }
}

/// Damages an input of the target, writes it to `folder`, and reads it.
pub(super) fn run(target: Target, seeds: &Seeds, random: &mut Random, folder: &Path) -> Outcome {
    match target {
        Target::Exposure => exposure(seeds, random, folder),
        Target::Psf => psf(seeds, random, folder),
        Target::Header => header(random),
        Target::Settings => settings(seeds, random),
        Target::Regions => regions(seeds, random),
        Target::Run => finished_run(seeds, random, folder),
    }
}

/// Writes a damaged file. An HDU that is then missing without an error is a finding.
fn damaged(good: &[u8], random: &mut Random, path: &Path) -> Result<(), Outcome> {
    let mut bytes = good.to_vec();
    let removed = damage_fits(&mut bytes, random);
    let write = |bytes: &[u8]| fs::write(path, bytes).map_err(|error| Outcome::Finding(error.to_string()));
    write(good)?;
    let before = hdu_labels(path).map(|labels| labels.len()).unwrap_or_default();
    write(&bytes)?;
    match hdu_labels(path) {
        Ok(labels) if labels.len() < before && !removed => {
            Err(Outcome::Finding(format!("{before} HDUs, and {} without an error: {labels:?}", labels.len())))
        }
        _ => Ok(()),
    }
}

fn exposure(seeds: &Seeds, random: &mut Random, folder: &Path) -> Outcome {
    let path = folder.join("exposure_7.fits");
    let good = random.one_of(&seeds.exposures).clone();
    if let Err(finding) = damaged(&good, random, &path) {
        return finding;
    }
    let options = OpenOptions { missing_variance: MissingVariance::Estimate, ..OpenOptions::default() };
    let outcome = ExposureFile::open(&path, &options).and_then(|file| {
        let bbox = file.bbox();
        file.read(bbox)?;
        // Reading a part takes other code paths.
        let part = BBox::new(bbox.x0, bbox.y0, bbox.width.div_ceil(2), bbox.height.div_ceil(3));
        file.read(part)?;
        let (x, y) = bbox.centre();
        let _ = (file.wcs().pixel_to_sky(x, y), file.psf().map(|psf| psf.stamp_at(x, y)));
        Ok(())
    });
    Outcome::of(&outcome)
}

fn psf(seeds: &Seeds, random: &mut Random, folder: &Path) -> Outcome {
    let path = folder.join("psf.fits");
    let good = random.one_of(&seeds.psfs).clone();
    if let Err(finding) = damaged(&good, random, &path) {
        return finding;
    }
    let outcome = Psf::open(&path, &BBox::new(0, 0, 60, 50));
    if let Ok(psf) = &outcome {
        let _ = (psf.stamp_at(3.0, 4.0), psf.fwhm_px(1e9, -1e9));
    }
    Outcome::of(&outcome)
}

fn header(random: &mut Random) -> Outcome {
    let lines: Vec<String> =
        damage_text(HEADER, random).lines().map(|line| format!("{line:<80.80}")).collect();
    let header = Header::parse(lines.concat().as_bytes());
    let visit = VisitHeader::read(&header, Path::new("x_12.fits"), None);
    let _ = dcr_physics::ZenithGeometry::resolve(&visit.visit, dcr_physics::GeometrySource::Auto);
    let wcs = Wcs::from_header(&header, (0, 0));
    if let Ok(wcs) = &wcs {
        let sky = wcs.pixel_to_sky(10.0, 20.0);
        let _ = (sky.map(|sky| wcs.sky_to_pixel(sky)), wcs.jacobian(1e6, -1e6), wcs.pixel_scale(0.0, 0.0));
    }
    Outcome::of(&wcs)
}

fn settings(seeds: &Seeds, random: &mut Random) -> Outcome {
    let text = damage_text(&seeds.settings, random);
    let outcome = toml::from_str::<AssembleConfig>(&text).map_err(anyhow::Error::from);
    Outcome::of(&outcome.and_then(|config| Ok(config.validate()?)))
}

fn regions(seeds: &Seeds, random: &mut Random) -> Outcome {
    let text = damage_text(seeds.regions, random);
    let outcome = parse_regions(&text);
    let lines: Vec<String> = HEADER.lines().map(|line| format!("{line:<80.80}")).collect();
    let wcs = Wcs::from_header(&Header::parse(lines.concat().as_bytes()), (0, 0));
    if let (Ok(regions), Ok(wcs)) = (&outcome, wcs) {
        let _ = covered_by(regions, BBox::new(0, 0, 100, 80), &wcs);
    }
    Outcome::of(&outcome)
}

fn finished_run(seeds: &Seeds, random: &mut Random, folder: &Path) -> Outcome {
    let run = folder.join("run");
    let write =
        |path: &Path, bytes: &[u8]| fs::write(path, bytes).map_err(|e| Outcome::Finding(e.to_string()));
    let prepared = fs::create_dir_all(&run).map_err(|error| Outcome::Finding(error.to_string()));
    let prepared =
        prepared.and_then(|()| seeds.run.iter().try_for_each(|(name, good)| write(&run.join(name), good)));
    if let Err(finding) = prepared {
        return finding;
    }
    let (name, good) = random.one_of(&seeds.run);
    let path = run.join(name);
    if name.ends_with(".json") {
        let text = damage_text(&String::from_utf8_lossy(good), random);
        let outcome = dcr_report::report(&run, &text, &Unmonitored);
        return Outcome::of(&outcome);
    }
    let finding = damaged(good, random, &path);
    // The damaged file, for --keep.
    let kept = fs::copy(&path, folder.join(name)).map(|_| ()).map_err(|e| Outcome::Finding(e.to_string()));
    if let Err(finding) = finding.and(kept) {
        return finding;
    }
    if !random.once_in(4) {
        let review = Review::open(&run, SubtractConfig::default());
        return Outcome::of(&review.and_then(|review| review.coadds().map(|_| ())));
    }
    let exposure = folder.join("exposure_5001.fits");
    if let Err(finding) = write(&exposure, &seeds.warp) {
        return finding;
    }
    let request = TemplateRequest {
        coadds: vec![run],
        exposures: vec![exposure],
        output: folder.join("template.fits"),
        overwrite: true,
    };
    Outcome::of(&matched_templates(&request, &TemplateConfig::default(), &Unmonitored))
}
