//! A synthetic field: sources, visits and truth.

use ndarray::Array2;

use crate::catalogue::{self, Source};
use crate::exposure::{Drawable, Scene, SimVisit, add_blurred};
use crate::gaussian::Gaussian;
use crate::passband::DetectedSpectrum;
use crate::plan::{self, VisitPlan};
use crate::tangent::TangentGrid;
use crate::{FieldConfig, SimError};
use dcr_physics::{Angle, Wavelength};

/// A field whose exposures can be drawn individually, in any order and from any thread.
///
/// A field is cheap; each exposure is drawn on request, and identical every time.
///
/// ```
/// use dcr_sim::{Field, FieldConfig};
///
/// let config = FieldConfig { width: 64, height: 64, ..FieldConfig::default() };
/// let field = Field::draw(&config)?;
/// let first = field.expose(&field.visits()[0])?;
/// assert_eq!(first.exposure.image.dim(), (64, 64));
/// # Ok::<(), dcr_sim::SimError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Field {
    config: FieldConfig,
    grid: TangentGrid,
    sources: Vec<Drawable>,
    visits: Vec<VisitPlan>,
    held_out: Vec<VisitPlan>,
}

impl Field {
    /// The field for `config`.
    ///
    /// # Errors
    ///
    /// [`SimError`] for invalid settings.
    pub fn draw(config: &FieldConfig) -> Result<Self, SimError> {
        config.validate()?;
        Self::with_catalogue(config, catalogue::draw(config))
    }

    /// A field with the given sources in place of random ones.
    ///
    /// # Errors
    ///
    /// As [`Field::draw`], and [`SimError::Setting`] for a source with position, flux or shape that
    /// are not finite.
    pub fn with_catalogue(config: &FieldConfig, catalogue: Vec<Source>) -> Result<Self, SimError> {
        config.validate()?;
        if let Some(source) = catalogue.iter().find(|source| !is_drawable(source)) {
            let problem = format!("source {} cannot be drawn: {source:?}", source.id);
            return Err(SimError::Setting { setting: "catalogue", problem });
        }
        let (visits, held_out) = plan::visits(config, &catalogue)?;
        let grid = TangentGrid {
            centre: config.centre(),
            centre_px: [0.5 * (config.width as f64 - 1.0), 0.5 * (config.height as f64 - 1.0)],
            scale: Angle::from_arcsec(config.scale_arcsec),
            rotation: Angle::from_degrees(config.rotation_deg),
            east_left: config.east_left,
        };
        let drawable =
            |source: Source| Drawable { source, wavelengths: config.passband.see(&source.spectrum).nodes() };
        let sources = catalogue.into_iter().map(drawable).collect();
        Ok(Self { config: config.clone(), grid, sources, visits, held_out })
    }

    /// Settings of the field.
    #[must_use]
    pub fn config(&self) -> &FieldConfig {
        &self.config
    }

    /// Visits to coadd.
    #[must_use]
    pub fn visits(&self) -> &[VisitPlan] {
        &self.visits
    }

    /// Held-out visits.
    #[must_use]
    pub fn held_out(&self) -> &[VisitPlan] {
        &self.held_out
    }

    /// Sources with their photon distributions over wavelength.
    pub fn catalogue(&self) -> impl ExactSizeIterator<Item = (&Source, DetectedSpectrum)> {
        self.sources
            .iter()
            .map(|Drawable { source, .. }| (source, self.config.passband.see(&source.spectrum)))
    }

    /// Draws one exposure.
    ///
    /// # Errors
    ///
    /// [`SimError::Refraction`] for a position below the horizon; never for plans of this field.
    pub fn expose(&self, plan: &VisitPlan) -> Result<SimVisit, SimError> {
        self.expose_again(plan, 0)
    }

    /// Draws the exposure with noise realisation `noise_draw`; 0 is that of [`Field::expose`].
    ///
    /// # Errors
    ///
    /// As [`Field::expose`].
    pub fn expose_again(&self, plan: &VisitPlan, noise_draw: u64) -> Result<SimVisit, SimError> {
        let same = |other: &VisitPlan| other.info.visit == plan.info.visit;
        let index = self.visits.iter().chain(&self.held_out).position(same).unwrap_or(0);
        self.scene().expose(plan, index, noise_draw)
    }

    /// Noiseless light of one exposure from every cell of the wavelength grid: exact, some fifty
    /// times slower than [`SimVisit::noiseless`], and used to verify it.
    ///
    /// # Errors
    ///
    /// As [`Field::expose`].
    pub fn noiseless_from_all_wavelengths(&self, plan: &VisitPlan) -> Result<Array2<f64>, SimError> {
        let air = plan::air(&self.config, plan);
        let mut image = Array2::zeros((self.config.height, self.config.width));
        for (source, seen) in self.catalogue() {
            self.scene().add_source(source, source.flux, &seen.fine(), plan, &*air, &mut image)?;
        }
        Ok(image)
    }

    /// The sky in `n` subfilters, blue to red, without noise and refraction, at a PSF of
    /// `fwhm_arcsec`. They sum to the sky in the whole band.
    ///
    /// # Panics
    ///
    /// If `n` is 0.
    #[must_use]
    pub fn truth_subfilters(&self, n: usize, fwhm_arcsec: f64) -> Vec<Array2<f64>> {
        let fwhm = fwhm_arcsec / self.config.scale_arcsec;
        let mut planes = vec![Array2::zeros((self.config.height, self.config.width)); n];
        for (source, seen) in self.catalogue() {
            let fractions = seen.fractions(n);
            for (part, covariance) in source.shape.mixture() {
                for (plane, fraction) in planes.iter_mut().zip(&fractions) {
                    let flux = source.flux * part * fraction;
                    let gaussian = Gaussian { flux, x: source.x, y: source.y, covariance };
                    // The same extent in each subfilter as in the whole band, so that they sum to
                    // it.
                    let floor = self.config.floor_electrons * fraction;
                    add_blurred(self.config.psf, gaussian, fwhm, floor, plane);
                }
            }
        }
        planes
    }

    /// Sky positions of the pixels, for headers: CD matrix in degrees per pixel, rows (East,
    /// North), columns (x, y), about the image centre.
    #[must_use]
    pub fn cd_degrees(&self) -> [[f64; 2]; 2] {
        self.grid.cd().map(|row| row.map(f64::to_degrees))
    }

    /// Pixel position (x, y) in an exposure of a source at pixel `(x, y)`, for light of
    /// `wavelength`.
    ///
    /// # Errors
    ///
    /// As [`Field::expose`].
    pub fn pixel_seen(
        &self,
        plan: &VisitPlan,
        at: [f64; 2],
        wavelength: Wavelength,
    ) -> Result<[f64; 2], SimError> {
        let air = plan::air(&self.config, plan);
        let scene = self.scene();
        Ok(scene.seen_at(&scene.sight(at, plan, &*air)?, wavelength, plan, &*air)?)
    }

    fn scene(&self) -> Scene<'_> {
        Scene { config: &self.config, grid: self.grid, sources: &self.sources }
    }
}

/// Whether position, flux and shape of a source are finite.
fn is_drawable(source: &Source) -> bool {
    source.x.is_finite()
        && source.y.is_finite()
        && source.flux.is_finite()
        && source.shape.mixture().iter().all(|(_, covariance)| covariance.is_possible())
}
