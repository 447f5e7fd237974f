//! All tolerances, each with its reason.

/// Subfilter planes of a whole golden run, of their peak: the reference itself moves by 3.5e-6
/// under rounding.
pub(crate) const GOLDEN_MODEL: f64 = 1e-5;
/// Convergence metrics of a golden run, relative: the reference's own spread is 8e-6.
pub(crate) const GOLDEN_METRIC: f64 = 2e-5;
/// Gains of a golden run, absolute: they are a difference of metrics, magnified.
pub(crate) const GOLDEN_GAIN: f64 = 1e-3;
/// Variances that are copied or divided by the number of subfilters, relative: one rounding to
/// `f32`.
pub(crate) const ROUNDING: f64 = 3e-7;
/// One subfilter against the weighted mean, of the peak: sums in `f32`.
pub(crate) const COADD_OF_ONE: f32 = 1e-5;
/// Subregions of 64 px against the whole, of the peak. Measured: 1.7e-5.
pub(crate) const SUBREGIONS: f32 = 1e-4;
/// Mean squared difference between a held-out visit and its template on sources, in units of both
/// variances. 1 would be noise alone; bright cores are left with the model's own errors. Measured:
/// 1.16, and 2.81 with the standard coadd.
pub(crate) const MATCHED: f64 = 1.3;
/// Scatter of the coadds' pixels over the variance written, on detected pixels. Measured: 0.96,
/// 1.04 and 0.82 in the subfilters, 0.97 in their sum; the mean of 16 draws over some thousand
/// pixels is good to 2 %.
pub(crate) const NOISE_ON_SOURCES: std::ops::Range<f64> = 0.75..1.15;
/// The same on the other pixels, where model and template are mixed and their noise is taken for
/// fully correlated. Measured: 0.66, 0.74, 0.64 and 0.70.
pub(crate) const NOISE_AROUND: std::ops::Range<f64> = 0.55..1.1;
/// The same of matched templates, in which the subfilters' noise, anticorrelated, is taken for
/// independent. Measured: 0.61 on sources, 0.85 around.
pub(crate) const NOISE_OF_TEMPLATES: std::ops::Range<f64> = 0.5..1.1;
/// The flux of a star in two patches' templates, joined, against one patch that has it whole,
/// relative. The noise of both is 3e-4 of it; what is left is the models'. Measured: 1.0e-3.
pub(crate) const STAR_FLUX: f64 = 2e-3;
/// Templates of a model filtered as a whole against those of its cells, in σ of the difference:
/// what splines reach beyond 12 px.
pub(crate) const SAME_TEMPLATE: f32 = 1e-4;
/// The ratio of fluxes that a matching kernel finds between an exposure and its template, on ten to
/// twenty stars. Measured: 0.013, 0.009.
pub(crate) const MATCHED_SCALE: f64 = 0.02;
/// As [`MATCHED`], with the joint method, on the brightest sources. Measured: see the test.
pub(crate) const JOINT_MATCHED: f64 = 1.3;
/// The same on other pixels, where templates are not registered and interpolated twice. Measured:
/// see the test.
pub(crate) const JOINT_WARPED: f64 = 1.3;
/// Light of a field in one subfilter's plane over that of the mean visit.
pub(crate) const SEEN_IN_FLUX: f64 = 5e-3;
/// The width of a measured PSF against the one that stars were drawn with, relative. Measured:
/// 0.002, and 0.005 in the shared fields.
pub(crate) const PSF_WIDTH: f64 = 0.01;
/// Its ellipticity, absolute. Measured: 0.0035 of 0.21, 0.0040 of 0.19 where it varies; 0.0044 in
/// the shared fields, in their joint coadds 0.0038.
pub(crate) const PSF_SHAPE: f64 = 0.005;
/// The standard deviation that is told of it, of 5 to 11 stars. In ten draws of the noise of each
/// shared field it is 0.0025, 0.0029 and 0.0014.
pub(crate) const PSF_SHAPE_ERROR: std::ops::Range<f64> = 0.001..0.003;
/// How far off a component of the ellipticity may be, in those standard deviations.
pub(crate) const PSF_SHAPE_SIGMAS: f64 = 3.5;
/// Its ellipticity where the iterative method amplifies the contrast between subfilters, and leaves
/// stars less round than it found them. Measured: 0.006 and 0.008.
pub(crate) const PSF_SHAPE_OF_COADD: f64 = 0.01;
/// Rms of what a model leaves of the three visits that it was made from, in σ of the sky: √(2/3) if
/// it were their mean. Measured: 0.76.
pub(crate) const RMS_OF_RESIDUALS: std::ops::Range<f64> = 0.6..1.0;
/// The share of an artefact's bright pixels that must be found. Measured: 0.99 and more.
pub(crate) const ARTEFACTS_FOUND: f64 = 0.95;
/// The share of good pixels that may be taken for artefacts. Measured: 0, and 6e-5 in the shared
/// fields.
pub(crate) const GOOD_PIXELS_LOST: f64 = 1e-4;
/// The same by comparison with the static sky. Measured: 0.93 in seeing from 0.6 to 1.1″.
pub(crate) const FOUND_IN_STATIC_SKY: f64 = 0.9;
/// The share of artefact pixels that are found alike in PSF-matched warps that are given and in
/// those that are made: kernels are sampled, and cut, differently.
pub(crate) const SAME_ARTEFACTS: f64 = 0.9;
/// The share of a streak's pixels that must be found.
pub(crate) const STREAK_FOUND: f64 = 0.95;
/// Of what is found of spikes, the share that may lie where they are fainter than a twentieth of σ:
/// ends are those of segments. Measured: 0.15 and 0.11.
pub(crate) const BEYOND_SPIKES: f64 = 0.25;
/// False detections of 5 σ in each held-out visit with the joint method's templates; noise alone
/// has none. Measured: 0.00 to 0.12.
pub(crate) const FALSE_IN_CONSTANT_SEEING: f64 = 0.2;
/// The same in seeing from 0.6″ to 1.3″. Measured: 0.00 to 0.25.
pub(crate) const FALSE_IN_VARIABLE_SEEING: f64 = 0.5;
/// Rms of those differences around bright stars, in units of their noise.
pub(crate) const RESIDUAL_RMS: f64 = 1.05;
/// Slope of the measured against the true colours of the outermost subfilters, S/N above 100.
pub(crate) const COLOUR_SLOPE: std::ops::Range<f64> = 0.95..1.05;
/// Their scatter about that line, in magnitudes.
pub(crate) const COLOUR_SCATTER: f64 = 0.08;
/// The slope at S/N from 30 to 100.
pub(crate) const FAINT_COLOUR_SLOPE: std::ops::Range<f64> = 0.88..1.12;
/// Light of bright stars in the stack, relative.
pub(crate) const STACK_FLUX: f64 = 5e-3;
/// Scatter of the joint method's sums and templates over the variance written, in the sky and on
/// pixels above 1, 10 and 100 σ of it. Measured: 1.02, 1.04, 1.02, 1.00 and 1.00, 1.02, 1.00, 0.98,
/// each good to 1 % in the sky and 4 % on the few bright pixels.
pub(crate) const JOINT_NOISE: [std::ops::Range<f64>; 4] = [0.95..1.05, 0.95..1.05, 0.95..1.05, 0.92..1.08];
/// The same of subfilters. Measured: 1.02, 1.01, 1.05, 1.01; 1.02, 1.06, 1.02, 1.07; 1.01, 1.02,
/// 1.03, 1.05; with 96 draws within 1.05 and 0.97.
pub(crate) const JOINT_NOISE_OF_PLANES: [std::ops::Range<f64>; 4] =
    [0.95..1.05, 0.95..1.06, 0.94..1.06, 0.92..1.08];
/// The same of all planes 5 to 18 px from a hole that a saturated star makes: where they are marked
/// LOW_COVERAGE, and where not. Measured: 1.02 to 1.07, and 0.99 to 1.00; with weights of the sky
/// alone 10 to 400.
pub(crate) const NOISE_OF_LIT_SKY: [std::ops::Range<f64>; 2] = [0.92..1.12, 0.95..1.05];
/// Light of sources that change in the coadd against that of the mean visit, relative; of what is
/// left out as an artefact, two fifths of it. Measured: 0.019 (their change goes along with airmass
/// by chance, which looks like colour), and 0.006 of the light of the visits left out.
pub(crate) const VARIABLE_FLUX: f64 = 0.03;

/// Share of a source that a minority of visits has that may remain in the coadd: noise of the
/// aperture is 0.9 % of the faintest.
pub(crate) const NEW_LIGHT: f64 = 0.03;
/// Coadds with glitches against those without, in σ of the coadd, more than 4 px from a glitch.
pub(crate) const BESIDE_GLITCHES: f32 = 0.3;
/// The same near glitches, where a visit of six is missing: on a star the others differ by
/// refraction. Measured: 4.1 in the standard coadd.
pub(crate) const IN_GLITCHES: f32 = 6.0;
