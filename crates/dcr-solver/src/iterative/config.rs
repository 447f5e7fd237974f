//! Settings of the iterative solver, and the preset that reproduces LSST's DcrAssembleCoaddTask.

use serde::{Deserialize, Serialize};

use crate::kernel::Order;

/// Interpolation of displaced planes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "OrderName", into = "OrderName")]
pub enum Interpolation {
    /// B-splines of this order.
    Spline(Order),
    /// Exact band-limited shifts.
    Fourier,
}

/// Value in a configuration: a number or `"fourier"`.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum OrderName {
    Number(u8),
    Name(String),
}

impl TryFrom<OrderName> for Interpolation {
    type Error = String;

    fn try_from(name: OrderName) -> Result<Self, String> {
        match name {
            OrderName::Number(n @ (1 | 3 | 5)) => Order::new(n).map(Self::Spline).ok_or_else(String::new),
            OrderName::Name(name) if name == "fourier" => Ok(Self::Fourier),
            OrderName::Number(n) => Err(format!("order = {n}: expected 1, 3, 5 or \"fourier\"")),
            OrderName::Name(name) => Err(format!("order = {name:?}: expected 1, 3, 5 or \"fourier\"")),
        }
    }
}

impl From<Interpolation> for OrderName {
    fn from(interpolation: Interpolation) -> Self {
        match interpolation {
            Interpolation::Spline(order) => Self::Number(order.get()),
            Interpolation::Fourier => Self::Name("fourier".into()),
        }
    }
}

/// Treatment of samples beyond the edge of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edge {
    /// Weight 0, also for a pixel whose model needs such a sample.
    NoWeight,
    /// A measurement of 0 (the reference, docs/algorithm.md §12.2).
    Zero,
}

/// Limit on the change of a plane in one iteration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IterationClamp {
    /// Symmetric, with a floor of three times the noise.
    Symmetric,
    /// Between y/f and |y|·f (docs/algorithm.md §6.4): lopsided, and stuck at 0.
    Reference,
}

/// Limit on colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FrequencyClamp {
    /// Colours are smooth on the scale of `regularization_width`; flux is conserved in every pixel,
    /// whatever its sign.
    Conserving,
    /// Planes follow a smoothed ratio to the positive part of their mean (docs/algorithm.md §6.9).
    Reference,
}

/// Weight of a new solution relative to the old.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gain {
    /// The base gain in every iteration.
    Fixed,
    /// Increased as the history of the metric allows (docs/algorithm.md §7.3).
    Progressive,
}

/// Settings of the iterative solver, with the names of docs/algorithm.md. Defaults are those of
/// this crate; [`IterativeConfig::reference`] has those of the reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IterativeConfig {
    /// Interpolation of displaced planes: 1, 3, 5 or "fourier".
    pub order: Interpolation,
    /// Maximum number of iterations; `None`: 3 N.
    pub max_iterations: Option<usize>,
    /// Minimum number of iterations; `None`: N.
    pub min_iterations: Option<usize>,
    /// Relative improvement of the metric below which the iteration ends.
    pub convergence_threshold: f64,
    /// Stop by the metric; if not, `max_iterations` are made.
    pub use_convergence: bool,
    /// Gain of the first iterations; `None`: 1/(N − 1).
    pub base_gain: Option<f64>,
    /// Development of the gain.
    pub gain: Gain,
    /// Factor on the step in the contrast between subfilters, relative to that in their sum; 1 is
    /// off.
    pub accelerate_model: f64,
    /// Free model near detected sources only, with the template elsewhere.
    pub use_model_weights: bool,
    /// Width in px (Gaussian σ) over which the model tapers to the template away from sources.
    pub model_weights_width: f64,
    /// Largest factor by which a pixel may change in an iteration; 0 is off.
    pub regularize_model_iterations: f64,
    /// Form of the clamp between iterations.
    pub iteration_clamp: IterationClamp,
    /// Largest ratio of a pixel between subfilters; 0 is off.
    pub regularize_model_frequency: f64,
    /// Form of the clamp between subfilters.
    pub frequency_clamp: FrequencyClamp,
    /// Radius in px below which groups of out-of-range pixels are ignored; also the scale on which
    /// colours are smooth.
    pub regularization_width: usize,
    /// Minimum number of visits with data in every subfilter for a pixel to be solved.
    pub min_coverage: f64,
    /// Treatment of samples beyond the edge.
    pub edge: Edge,
    /// Bookkeeping of the reference: the loop makes up to two iterations more than the maximum and
    /// at least one more, a diverged iteration is kept, coverage must exceed `min_coverage`, and
    /// the metric uses each visit's own DETECTED.
    pub reference_bookkeeping: bool,
}

impl Default for IterativeConfig {
    fn default() -> Self {
        Self {
            order: Interpolation::Spline(Order::CUBIC),
            max_iterations: None,
            min_iterations: None,
            convergence_threshold: 1e-3,
            use_convergence: true,
            base_gain: None,
            gain: Gain::Progressive,
            accelerate_model: 3.0,
            use_model_weights: true,
            model_weights_width: 3.0,
            regularize_model_iterations: 2.0,
            iteration_clamp: IterationClamp::Symmetric,
            regularize_model_frequency: 4.0,
            frequency_clamp: FrequencyClamp::Conserving,
            regularization_width: 2,
            min_coverage: 1.0,
            edge: Edge::NoWeight,
            reference_bookkeeping: false,
        }
    }
}

impl IterativeConfig {
    /// Settings that reproduce LSST's DcrAssembleCoaddTask, its faults included.
    #[must_use]
    pub fn reference() -> Self {
        Self {
            order: Interpolation::Spline(Order::LINEAR),
            iteration_clamp: IterationClamp::Reference,
            frequency_clamp: FrequencyClamp::Reference,
            edge: Edge::Zero,
            reference_bookkeeping: true,
            ..Self::default()
        }
    }

    /// Maximum number of iterations for `n` subfilters.
    #[must_use]
    pub fn max_iterations(&self, n: usize) -> usize {
        self.max_iterations.unwrap_or(3 * n)
    }

    /// Minimum number of iterations for `n` subfilters.
    #[must_use]
    pub fn min_iterations(&self, n: usize) -> usize {
        self.min_iterations.unwrap_or(n).min(self.max_iterations(n))
    }

    /// Spline order of coefficients; Fourier shifts need none.
    #[must_use]
    pub fn spline_order(&self) -> Order {
        match self.order {
            Interpolation::Spline(order) => order,
            Interpolation::Fourier => Order::QUINTIC,
        }
    }

    /// Checks the values.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], with the key, the value and the allowed range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let check = |key, value: f64, allowed: &'static str, ok: bool| {
            if ok && value.is_finite() { Ok(()) } else { Err(ConfigError { key, value, allowed }) }
        };
        check(
            "convergence_threshold",
            self.convergence_threshold,
            "at least 0",
            self.convergence_threshold >= 0.0,
        )?;
        let gain = self.base_gain.unwrap_or(1.0);
        check("base_gain", gain, "above 0", gain > 0.0)?;
        check("accelerate_model", self.accelerate_model, "above 0", self.accelerate_model > 0.0)?;
        check(
            "model_weights_width",
            self.model_weights_width,
            "at least 0",
            self.model_weights_width >= 0.0,
        )?;
        for (key, clamp) in [
            ("regularize_model_iterations", self.regularize_model_iterations),
            ("regularize_model_frequency", self.regularize_model_frequency),
        ] {
            check(key, clamp, "above 1, or 0 for off", clamp == 0.0 || clamp > 1.0)?;
        }
        check("min_coverage", self.min_coverage, "above 0", self.min_coverage > 0.0)
    }
}

/// A setting outside its allowed range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{key} = {value}: expected {allowed}")]
pub struct ConfigError {
    /// The setting.
    pub key: &'static str,
    /// Its value.
    pub value: f64,
    /// The allowed range.
    pub allowed: &'static str,
}
