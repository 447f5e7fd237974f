//! Drawing of one exposure: refracted light on pixels, then noise, artefacts and a mask.

use dcr_image::{BBox, MaskPlanes, MaskedImage};
use dcr_physics::{Refraction, RefractionError, SkyPosition, VisitInfo, Wavelength};
use ndarray::{Array2, Zip};

use crate::artefact::{self, Artefact};
use crate::catalogue::Source;
use crate::gaussian::Gaussian;
use crate::horizon::Sighting;
use crate::plan::{self, VisitPlan};
use crate::profile::FWHM_PER_SIGMA;
use crate::random::{Purpose, Random};
use crate::tangent::TangentGrid;
use crate::{FieldConfig, PsfShape, SimError};

/// Half the side of a PSF stamp in units of the FWHM.
const STAMP_REACH_FWHM: f64 = 5.3;

/// Growth of the DETECTED footprints in units of the PSF's σ.
const DETECTION_GROWTH_SIGMA: f64 = 2.4;

/// A simulated exposure with its truth.
#[derive(Clone, Debug)]
pub struct SimVisit {
    /// Metadata, as in a header.
    pub info: VisitInfo,
    /// Pixels, mask and variance as from a pipeline: sky-subtracted, in electrons.
    pub exposure: MaskedImage,
    /// Mask planes.
    pub planes: MaskPlanes,
    /// The PSF at the middle of the band, without refraction: a stamp of sum 1, odd and centred.
    pub psf: Array2<f32>,
    /// Light of the sources without noise and artefacts, in electrons.
    pub noiseless: Array2<f64>,
    /// Artefacts, flagged or not.
    pub artefacts: Vec<Artefact>,
}

/// A sky position with its direction from the horizon.
pub(crate) struct Sight {
    place: SkyPosition,
    sighting: Sighting,
}

/// A source with the wavelengths at which it is drawn, and the share of its flux at each.
#[derive(Clone, Debug)]
pub(crate) struct Drawable {
    pub(crate) source: Source,
    pub(crate) wavelengths: Vec<(Wavelength, f64)>,
}

/// Inputs for drawing one exposure.
pub(crate) struct Scene<'a> {
    pub(crate) config: &'a FieldConfig,
    pub(crate) grid: TangentGrid,
    pub(crate) sources: &'a [Drawable],
}

impl Scene<'_> {
    /// The exposure described by `plan`, with noise realisation `noise_draw`.
    ///
    /// `index` is the index of the visit in its list; it determines streaks.
    pub(crate) fn expose(
        &self,
        plan: &VisitPlan,
        index: usize,
        noise_draw: u64,
    ) -> Result<SimVisit, SimError> {
        let config = self.config;
        let noiseless = self.noiseless(plan)?;
        let mut light = noiseless.clone();
        let mut planes = MaskPlanes::canonical();
        let sky_variance = config.sky_electrons + config.read_noise_electrons * config.read_noise_electrons;
        let sky_sigma = libm::sqrt(sky_variance);

        let mut artefacts = Vec::new();
        let mut missing = None;
        if let Some(settings) = &config.artefacts {
            let mut random = Random::new(config.seed, Purpose::Artefact, plan.info.visit);
            artefacts = artefact::add_light(settings, index, sky_sigma, &mut random, &mut light);
            artefacts.extend(artefact::saturate(settings.saturation_electrons, &mut light));
            missing = artefact::missing(settings, light.dim(), &mut random);
        }
        // Variance of the detected light. Bad columns come later, because their charge is not
        // light.
        let variance = light.mapv(|electrons| sky_variance + electrons);
        if let Some(settings) = &config.artefacts {
            let mut random = Random::new(config.seed, Purpose::Artefact, plan.info.visit ^ (1 << 32));
            artefacts.extend(artefact::bad_columns(settings, sky_sigma, &mut random, &mut light));
            artefacts.extend(missing);
        }
        let mut noise =
            Random::new(config.seed ^ noise_draw.rotate_left(32), Purpose::Noise, plan.info.visit);
        let mut image = Zip::from(&light)
            .and(&variance)
            .map_collect(|&light, &variance| (light + libm::sqrt(variance) * noise.normal()) as f32);
        let mut variance = variance.mapv(|v| v as f32);

        let mut mask = self.detected(&noiseless, sky_sigma, plan) * planes.bits_of(["DETECTED"]);
        for artefact in artefacts.iter().filter(|artefact| artefact.flagged) {
            let bit = 1 << planes.insert(artefact.plane())?;
            for &pixel in &artefact.pixels {
                mask[pixel] |= bit;
                if artefact.plane() == "NO_DATA" {
                    image[pixel] = f32::NAN;
                    variance[pixel] = f32::NAN;
                }
            }
        }
        let bbox = BBox { x0: 0, y0: 0, width: config.width, height: config.height };
        Ok(SimVisit {
            info: plan.info.clone(),
            exposure: MaskedImage::new(bbox, image, mask, variance)?,
            planes,
            psf: psf_stamp(config.psf, plan.seeing_arcsec / config.scale_arcsec).mapv(|v| v as f32),
            noiseless,
            artefacts,
        })
    }

    /// Light of the sources, with each wavelength at its refracted position.
    pub(crate) fn noiseless(&self, plan: &VisitPlan) -> Result<Array2<f64>, SimError> {
        let air = plan::air(self.config, plan);
        let mut image = Array2::zeros((self.config.height, self.config.width));
        for Drawable { source, wavelengths } in self.sources {
            let factor =
                plan.variables.iter().find(|(id, _)| *id == source.id).map_or(1.0, |(_, factor)| *factor);
            self.add_source(source, factor * source.flux, wavelengths, plan, &*air, &mut image)?;
        }
        for source in &plan.transients {
            let nodes = self.config.passband.see(&source.spectrum).nodes();
            self.add_source(source, source.flux, &nodes, plan, &*air, &mut image)?;
        }
        Ok(image)
    }

    /// Adds one source of the given flux, at each of `wavelengths` with its share.
    pub(crate) fn add_source(
        &self,
        source: &Source,
        flux: f64,
        wavelengths: &[(Wavelength, f64)],
        plan: &VisitPlan,
        air: &dyn Refraction,
        image: &mut Array2<f64>,
    ) -> Result<(), SimError> {
        let config = self.config;
        let sight = self.sight([source.x, source.y], plan, air)?;
        let mixture = source.shape.mixture();
        for &(wavelength, share) in wavelengths {
            let [x, y] = self.seen_at(&sight, wavelength, plan, air)?;
            let ratio = wavelength.nm() / config.passband.effective().nm();
            let fwhm =
                plan.seeing_arcsec / config.scale_arcsec * libm::pow(ratio, config.visits.seeing_exponent);
            for &(part, covariance) in &mixture {
                let gaussian = Gaussian { flux: flux * share * part, x, y, covariance };
                add_blurred(config.psf, gaussian, fwhm, config.floor_electrons, image);
            }
        }
        Ok(())
    }

    /// The sky position and horizon coordinates of pixel `at` for the reference wavelength.
    pub(crate) fn sight(
        &self,
        [x, y]: [f64; 2],
        plan: &VisitPlan,
        air: &dyn Refraction,
    ) -> Result<Sight, RefractionError> {
        let place = self.grid.sky([x, y]);
        let site = self.config.physical_site();
        let sighting = Sighting::new(place, &site, plan.rotation, air, self.config.reference())?;
        Ok(Sight { place, sighting })
    }

    /// Pixel position of light of `wavelength` from there.
    pub(crate) fn seen_at(
        &self,
        sight: &Sight,
        wavelength: Wavelength,
        plan: &VisitPlan,
        air: &dyn Refraction,
    ) -> Result<[f64; 2], RefractionError> {
        let Sight { place, sighting } = sight;
        let lift = air.differential(wavelength, self.config.reference(), sighting.altitude)?;
        let [x, y] = self.grid.pixel_of_lifted(*place, lift, sighting.parallactic_angle);
        Ok([x + plan.jitter_px[0], y + plan.jitter_px[1]])
    }

    /// 1 where the noiseless light exceeds the detection threshold, grown by a share of the PSF;
    /// else 0.
    fn detected(&self, noiseless: &Array2<f64>, sky_sigma: f64, plan: &VisitPlan) -> Array2<i32> {
        let threshold = self.config.detection_sigma * sky_sigma;
        let sigma = plan.seeing_arcsec / self.config.scale_arcsec / FWHM_PER_SIGMA;
        grown(&noiseless.mapv(|v| v > threshold), DETECTION_GROWTH_SIGMA * sigma)
    }
}

/// Adds `gaussian`, convolved with the PSF of width `fwhm` in pixels, out to `floor` per pixel.
pub(crate) fn add_blurred(
    shape: PsfShape,
    gaussian: Gaussian,
    fwhm: f64,
    floor: f64,
    image: &mut Array2<f64>,
) {
    for component in shape.components() {
        let blur = shape.covariance(component, fwhm);
        let blurred = Gaussian {
            flux: gaussian.flux * component.share,
            covariance: gaussian.covariance.convolved(blur),
            ..gaussian
        };
        blurred.add_to(image.view_mut(), floor);
    }
}

/// PSF stamp of sum 1, centred in a square of odd side.
pub(crate) fn psf_stamp(shape: PsfShape, fwhm_px: f64) -> Array2<f64> {
    let reach = libm::ceil(STAMP_REACH_FWHM * fwhm_px) as usize;
    let mut stamp = Array2::zeros((2 * reach + 1, 2 * reach + 1));
    for component in shape.components() {
        let covariance = shape.covariance(component, fwhm_px);
        let centre = reach as f64;
        Gaussian { flux: component.share, x: centre, y: centre, covariance }.add_to(stamp.view_mut(), 1e-15);
    }
    let sum: f64 = stamp.sum();
    stamp / sum
}

/// The pixels within `radius` of a flagged one.
fn grown(flags: &Array2<bool>, radius: f64) -> Array2<i32> {
    let (rows, columns) = flags.dim();
    let reach = radius as usize;
    let mut out = Array2::zeros((rows, columns));
    for ((row, column), _) in flags.indexed_iter().filter(|(_, flag)| **flag) {
        for y in row.saturating_sub(reach)..(row + reach + 1).min(rows) {
            for x in column.saturating_sub(reach)..(column + reach + 1).min(columns) {
                let (dy, dx) = (y as f64 - row as f64, x as f64 - column as f64);
                if dx * dx + dy * dy <= radius * radius {
                    out[[y, x]] = 1;
                }
            }
        }
    }
    out
}
