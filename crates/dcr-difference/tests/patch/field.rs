//! Synthetic warps on disk, to be spoilt one way or another before they are written.

use std::path::{Path, PathBuf};

use dcr_coadd::config::{AssembleConfig, MatchConfig, Method, PolynomialOrder};
use dcr_coadd::{AssembleRequest, CoaddError, Summary, Unmonitored, assemble};
use dcr_image::fits::{ExposureToWrite, ImageHdu, MissingVariance, Pixels, WriteOptions, write_exposure};
use dcr_image::header::{Card, Header, Value};
use dcr_image::{BBox, ExposureFile, MaskPlanes, MaskedImage, OpenOptions, Wcs};
use dcr_physics::{Angle, VisitInfo};
use dcr_sim::{ArtefactSettings, Field, FieldConfig, SourceSettings, VisitPlan, VisitSettings};
use ndarray::Array2;

/// A warp in memory.
#[derive(Clone)]
pub(crate) struct Warp {
    pub(crate) pixels: MaskedImage,
    pub(crate) planes: MaskPlanes,
    pub(crate) psf: Option<Array2<f32>>,
    pub(crate) unit: Option<String>,
    pub(crate) header: Header,
    pub(crate) wcs: Wcs,
}

/// The defaults with the iterative method, which runs on good PSFs would not take of themselves.
pub(crate) fn iterative() -> AssembleConfig {
    let mut config = AssembleConfig::default();
    config.solver.method = Method::Iterative;
    config
}

/// A small field of a few stars in g.
pub(crate) fn small_field(visits: usize) -> FieldConfig {
    FieldConfig {
        seed: 5,
        width: 112,
        height: 96,
        visits: VisitSettings { count: visits, held_out: 1, ..VisitSettings::default() },
        sources: SourceSettings { stars: 14, galaxies: 3, ..SourceSettings::default() },
        ..FieldConfig::default()
    }
}

/// Cosmic rays, and a trail in every sixth visit, that no mask tells of; bad columns that one does.
pub(crate) fn unmarked_artefacts(bad_columns: usize) -> ArtefactSettings {
    ArtefactSettings {
        bad_columns,
        edge_px: 4,
        cosmic_rays: 6,
        unflagged: 1.0,
        streak_every: 6,
        saturated_flux_electrons: 0.0,
        ..ArtefactSettings::default()
    }
}

/// The warps of a field.
pub(crate) fn warps(config: &FieldConfig) -> Vec<Warp> {
    let field = Field::draw(config).unwrap();
    field.visits().iter().map(|plan| warp(&field, plan)).collect()
}

/// The first of the field's visits to be predicted.
pub(crate) fn held_out(config: &FieldConfig) -> Warp {
    let field = Field::draw(config).unwrap();
    warp(&field, &field.held_out()[0])
}

fn warp(field: &Field, plan: &VisitPlan) -> Warp {
    warp_again(field, plan, 0)
}

/// A visit, the `draw`-th time it is taken.
pub(crate) fn warp_again(field: &Field, plan: &VisitPlan, draw: u64) -> Warp {
    let visit = field.expose_again(plan, draw).unwrap();
    Warp {
        pixels: visit.exposure,
        planes: visit.planes,
        psf: Some(visit.psf),
        unit: Some("electron".into()),
        header: header(field.config(), &plan.info),
        wcs: wcs(field, 0.0),
    }
}

/// The field's WCS, moved by so many px along x.
pub(crate) fn wcs(field: &Field, moved: f64) -> Wcs {
    let (config, cd) = (field.config(), field.cd_degrees());
    let mut header = Header::new();
    for (keyword, value) in [("CTYPE1", "RA---TAN"), ("CTYPE2", "DEC--TAN"), ("RADESYS", "ICRS")] {
        header.set(keyword, value);
    }
    for (keyword, value) in [
        ("CRVAL1", config.ra_deg),
        ("CRVAL2", config.dec_deg),
        ("CRPIX1", f64::midpoint(config.width as f64, 1.0) + moved),
        ("CRPIX2", f64::midpoint(config.height as f64, 1.0)),
        ("CD1_1", cd[0][0]),
        ("CD1_2", cd[0][1]),
        ("CD2_1", cd[1][0]),
        ("CD2_2", cd[1][1]),
    ] {
        header.set(keyword, value);
    }
    Wcs::from_header(&header, (0, 0)).unwrap()
}

fn header(config: &FieldConfig, info: &VisitInfo) -> Header {
    let degrees = |angle: Option<Angle>| angle.unwrap().degrees();
    let (boresight, site) = (info.boresight.unwrap(), info.site.unwrap());
    let numbers = [
        ("BORE-RA", boresight.ra.degrees()),
        ("BORE-DEC", boresight.dec.degrees()),
        ("BORE-AZ", degrees(info.azimuth)),
        ("BORE-ALT", degrees(info.altitude)),
        ("BORE-AIRMASS", info.airmass.unwrap()),
        ("BORE-PARANG", degrees(info.parallactic_angle)),
        ("BORE-ROTANG", degrees(info.rotator_angle)),
        ("OBS-LONG", site.longitude.degrees()),
        ("OBS-LAT", site.latitude.degrees()),
        ("OBS-ELEV", site.elevation_m),
        ("AIRTEMP", info.weather.temperature_c.unwrap()),
        ("AIRPRESS", info.weather.pressure_pa.unwrap()),
        ("HUMIDITY", info.weather.humidity_percent.unwrap()),
        ("ERA", degrees(info.earth_rotation_angle)),
        ("PSF-FWHM", info.psf_fwhm_px.unwrap()),
        ("EXPTIME", info.exposure_s.unwrap()),
        ("EFFWAVE", config.passband.effective().nm()),
        ("BANDWID", config.passband.bandwidth_nm()),
        ("REFWAVE", config.reference().nm()),
    ];
    let mut header = Header::new();
    header.set("VISIT", info.visit as i64);
    header.set("FILTER", config.passband.name.as_str());
    numbers.into_iter().for_each(|(keyword, value)| header.set(keyword, value));
    header
}

impl Warp {
    pub(crate) fn set(&mut self, keyword: &str, value: impl Into<Value>) {
        self.header.set(keyword, value);
    }

    pub(crate) fn write(&self, path: &Path) {
        let bbox = self.pixels.bbox;
        let on_grid = |name, pixels| ImageHdu::new(name, pixels).on_grid(&self.wcs, &bbox);
        let mut image = on_grid("IMAGE", Pixels::F32(self.pixels.image.view()));
        if let Some(unit) = &self.unit {
            image = image.with_unit(unit);
        }
        let mut images = vec![
            image,
            on_grid("MASK", Pixels::I32(self.pixels.mask.view())).with_planes(&self.planes),
            on_grid("VARIANCE", Pixels::F32(self.pixels.variance.view())),
        ];
        images.extend(self.psf.as_ref().map(|psf| ImageHdu::new("PSF", Pixels::F32(psf.view()))));
        let primary: Vec<Card> = self.header.iter().cloned().collect();
        let exposure = ExposureToWrite { primary, images, tables: vec![] };
        write_exposure(path, &exposure, WriteOptions { overwrite: true, compress: false }).unwrap();
    }
}

/// A folder with warps, and one for results.
pub(crate) struct Bench {
    folder: tempfile::TempDir,
    pub(crate) warps: Vec<PathBuf>,
}

impl Bench {
    pub(crate) fn new(warps: &[Warp]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |i: usize| folder.path().join(format!("warp_{i}.fits"));
        let paths: Vec<PathBuf> = (0..warps.len()).map(path).collect();
        warps.iter().zip(&paths).for_each(|(warp, path)| warp.write(path));
        Self { folder, warps: paths }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn request(&self, output: &str) -> AssembleRequest {
        AssembleRequest {
            warps: self.warps.clone(),
            matched: vec![],
            template: None,
            output: self.path(output),
            overwrite: false,
        }
    }

    /// Assembles into `run`.
    pub(crate) fn run(&self, config: &AssembleConfig) -> Result<Summary, CoaddError> {
        self.run_into("run", config)
    }

    pub(crate) fn run_into(&self, output: &str, config: &AssembleConfig) -> Result<Summary, CoaddError> {
        assemble(&self.request(output), config, &Unmonitored)
    }

    /// Assembles into a folder of another bench.
    pub(crate) fn run_to(&self, output: &Path, config: &AssembleConfig) -> Result<Summary, CoaddError> {
        let request = AssembleRequest { output: output.to_owned(), ..self.request("") };
        assemble(&request, config, &Unmonitored)
    }

    /// The message with which assembling fails; nothing may have been written then.
    pub(crate) fn failure(&self, config: &AssembleConfig) -> String {
        let error = self.run(config).unwrap_err();
        assert!(!self.path("run").exists(), "a failed run leaves no folder");
        error.to_string().replace(&*self.folder.path().to_string_lossy(), "")
    }

    /// A file of a run.
    pub(crate) fn read(&self, name: &str) -> MaskedImage {
        let file = ExposureFile::open(&self.path(name), &OpenOptions::default()).unwrap();
        file.read(file.bbox()).unwrap()
    }

    /// How many visits each pixel of a run's file rests on.
    pub(crate) fn n_image(&self, name: &str) -> Array2<f32> {
        let options = OpenOptions {
            image_hdu: Some("N_IMAGE".into()),
            missing_variance: MissingVariance::Estimate,
            ..OpenOptions::default()
        };
        let file = ExposureFile::open(&self.path(name), &options).unwrap();
        file.read_image(file.bbox()).unwrap()
    }

    /// The subfilters of a run.
    pub(crate) fn subfilters(&self, run: &str, n: usize) -> Vec<MaskedImage> {
        (0..n).map(|a| self.read(&format!("{run}/subfilter_{a}.fits"))).collect()
    }
}

/// The largest pixel.
pub(crate) fn peak(image: &Array2<f32>) -> f32 {
    image.iter().copied().filter(|v| v.is_finite()).fold(0.0, f32::max)
}

/// A box with every pixel of a warp.
pub(crate) fn whole(warp: &Warp) -> BBox {
    warp.pixels.bbox
}

/// Switches the calibration of templates against exposures off.
pub(crate) fn without_calibration(config: &mut MatchConfig) {
    config.calibrate_background = PolynomialOrder::Off;
    config.calibrate_flux = PolynomialOrder::Off;
    config.calibrate_displacement = PolynomialOrder::Off;
    config.calibrate_psf = PolynomialOrder::Off;
}
