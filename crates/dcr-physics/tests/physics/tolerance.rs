//! Tolerances of the tests of this crate, each with its reason.

/// Refraction against the numbers of the reference, relative: double precision and a different
/// order of operations.
pub(crate) const REFERENCE_RELATIVE: f64 = 1e-12;

/// Differences of refraction, relative to the refraction itself, of which they are a hundredth.
pub(crate) const REFERENCE_DIFFERENCE: f64 = 1e-14;

/// The ray integral against the reference values of docs/algorithm.md §1, which have a resolution
/// of 0.1 mas.
pub(crate) const YARDSTICK_RAY_ARCSEC: f64 = 0.1e-3;

/// The expansion against the same reference values: the accuracy stated in docs/algorithm.md §1,
/// and the last digit.
pub(crate) const YARDSTICK_EXPANSION_ARCSEC: f64 = 0.55e-3;

/// The quadrature of the ray integral against one with a quarter of its steps.
pub(crate) const QUADRATURE_ARCSEC: f64 = 1e-6;

/// The hydrostatic expansion against the ray integral with the same index, to airmass 2 (measured:
/// 0.099 mas).
pub(crate) const HYDROSTATIC_ARCSEC: f64 = 0.11e-3;

/// The default model, which has Owens' index, against the ray integral with Ciddor's, to airmass 2:
/// the goal of docs/algorithm.md §1 is 1 mas (measured: 0.82 mas).
pub(crate) const OWENS_ARCSEC: f64 = 0.9e-3;

/// The same in hot and humid air, where the two indices differ by 1.3e-3 (measured: 2.43 mas).
pub(crate) const OWENS_IN_THE_TROPICS_ARCSEC: f64 = 2.5e-3;

/// Stone's formula as published: its factor κ is up to 0.3 % (measured: 6.6 mas at 51° north).
pub(crate) const STONE_PUBLISHED_ARCSEC: f64 = 7e-3;

/// Dispersion in an atmosphere with a lapse rate of 4 to 9 K/km instead of 6.5, at airmass 2.
pub(crate) const LAPSE_RATE_ARCSEC: f64 = 0.1e-3;

/// Ciddor's table gives `(n − 1)·10⁸` to one digit after the point.
pub(crate) const CIDDOR_TABLE: f64 = 0.06;

/// Altitude and parallactic angle by time against astropy with the same Earth orientation: the
/// remainder is a different refraction formula, below 0.3″ above 20°, and light deflection by the
/// Sun.
pub(crate) const ASTROPY_DEG: f64 = 1e-4;

/// The same with the Earth's real orientation: UT1 − UTC of up to 0.9 s is 13.5″ of hour angle.
pub(crate) const UT1_ALTITUDE_DEG: f64 = 0.01;
pub(crate) const UT1_PARALLACTIC_ANGLE_DEG: f64 = 0.02;

/// Published altitudes and parallactic angles given to two decimals, with or without refraction
/// (0.02° at 45° altitude).
pub(crate) const TWO_DECIMALS_DEG: f64 = 0.021;

/// Parallactic angles in headers that were computed by the same formula from an ERA of 12 digits.
pub(crate) const ERA_DEG: f64 = 1e-7;

/// Effect of 24 years of precession on hour angles that ignore it (measured: 0.06° and 0.32°, at
/// 66° altitude).
pub(crate) const PRECESSION_ALTITUDE_DEG: f64 = 0.1;
pub(crate) const PRECESSION_PARALLACTIC_ANGLE_DEG: f64 = 0.4;

/// Two sources of the same zenith, in degrees: rounding, divided by the step of 1e-5 rad for the
/// direction.
pub(crate) const SAME_ZENITH_DEG: f64 = 1e-8;

/// A uniform smear on the fewest steps, eight: the midpoint rule's variance is 1/64 too small, half
/// that in σ.
pub(crate) const GRID_RELATIVE: f64 = 0.01;

/// Mean displacements on a grid against one twice as fine, at airmass 2, in g with Rubin's
/// throughput. Measured: 0.04 mas.
pub(crate) const GRID_ARCSEC: f64 = 0.1e-3;
