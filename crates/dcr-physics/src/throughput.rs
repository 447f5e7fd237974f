//! Throughput of a band: a transmission curve over wavelength, read from a text of two columns.

use crate::Wavelength;

/// Wavelengths above this value, in nm, indicate angstrom.
const ANGSTROM_ABOVE_NM: f64 = 2500.0;
/// Wavelengths below this value, in nm, indicate µm.
const MICROMETRE_BELOW_NM: f64 = 10.0;

/// An invalid throughput curve.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ThroughputError {
    /// A line has more or fewer than two columns.
    #[error("line {line}: expected two columns, wavelength in nm and transmission, found {found}")]
    Columns {
        /// The line, counted from 1.
        line: usize,
        /// Number of columns found.
        found: usize,
    },
    /// A field is not a finite number.
    #[error("line {line}: '{text}' is not a number")]
    NotANumber {
        /// The line, counted from 1.
        line: usize,
        /// Text of the field.
        text: String,
    },
    /// A wavelength is zero or negative, or a transmission negative.
    #[error("line {line}: {quantity} {value} is negative")]
    Negative {
        /// The line, counted from 1.
        line: usize,
        /// `wavelength` or `transmission`.
        quantity: &'static str,
        /// Its value.
        value: f64,
    },
    /// Wavelengths do not increase from line to line.
    #[error("line {line}: wavelength {nm} nm follows {previous_nm} nm; wavelengths must increase")]
    NotIncreasing {
        /// The line, counted from 1.
        line: usize,
        /// Its wavelength.
        nm: f64,
        /// The wavelength before it.
        previous_nm: f64,
    },
    /// The wavelengths are in another unit.
    #[error("wavelengths reach {largest}, which looks like {unit}; give them in nm")]
    Unit {
        /// The maximum wavelength.
        largest: f64,
        /// The apparent unit.
        unit: &'static str,
    },
    /// A curve needs two points.
    #[error("the curve has {found} points; it needs at least 2")]
    TooFewPoints {
        /// Number of points found.
        found: usize,
    },
    /// No light passes at any wavelength.
    #[error("the transmission is zero at every wavelength")]
    Dark,
}

/// Transmission over wavelength: linear between its points, zero outside them.
///
/// Only ratios of transmissions matter, so fractions and percent are equivalent.
#[derive(Clone, Debug, PartialEq)]
pub struct Throughput {
    nm: Vec<f64>,
    transmission: Vec<f64>,
}

impl Throughput {
    /// Reads wavelengths in nm and transmissions, one pair a line, separated by blanks or a comma.
    ///
    /// A `#` starts a comment; empty lines are skipped, and so is one line of column names before
    /// the first numbers.
    ///
    /// ```
    /// use dcr_physics::{Throughput, Wavelength};
    ///
    /// let curve = Throughput::parse("# g\nwavelength,transmission\n400,0\n410,0.5\n500,0.5\n")?;
    /// assert_eq!(curve.at(Wavelength::from_nm(405.0)), 0.25);
    /// assert_eq!(curve.at(Wavelength::from_nm(399.0)), 0.0);
    /// # Ok::<(), dcr_physics::ThroughputError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ThroughputError`], with the line, unless the text has two columns of finite numbers with
    /// increasing wavelengths and nonnegative transmissions; also for fewer than two points, a zero
    /// curve, and wavelengths in angstrom or µm.
    pub fn parse(text: &str) -> Result<Self, ThroughputError> {
        let mut points: Vec<(usize, f64, f64)> = Vec::new();
        let mut heading_allowed = true;
        for (line, content) in (1..).zip(text.lines()) {
            let content = content.split('#').next().unwrap_or_default().trim();
            if content.is_empty() {
                continue;
            }
            let fields = columns(content);
            let heading = fields.iter().all(|field| field.parse::<f64>().is_err());
            if std::mem::take(&mut heading_allowed) && heading {
                continue;
            }
            let [nm, transmission] = fields[..] else {
                return Err(ThroughputError::Columns { line, found: fields.len() });
            };
            points.push((line, number(line, nm)?, number(line, transmission)?));
        }
        check(&points)?;
        Ok(Self {
            nm: points.iter().map(|&(_, nm, _)| nm).collect(),
            transmission: points.iter().map(|&(_, _, transmission)| transmission).collect(),
        })
    }

    /// The transmission at a wavelength, in the units of the curve.
    #[must_use]
    pub fn at(&self, wavelength: Wavelength) -> f64 {
        let nm = wavelength.nm();
        let right = self.nm.partition_point(|&point| point <= nm);
        if right == 0 || nm.is_nan() {
            return 0.0;
        }
        if right == self.nm.len() {
            let last = right - 1;
            return if nm == self.nm[last] { self.transmission[last] } else { 0.0 };
        }
        let left = right - 1;
        let fraction = (nm - self.nm[left]) / (self.nm[right] - self.nm[left]);
        self.transmission[left] + fraction * (self.transmission[right] - self.transmission[left])
    }

    /// The points of the curve, by wavelength in nm.
    pub fn points(&self) -> impl ExactSizeIterator<Item = (f64, f64)> {
        self.nm.iter().copied().zip(self.transmission.iter().copied())
    }

    /// The highest transmission.
    #[must_use]
    pub fn peak(&self) -> f64 {
        self.transmission.iter().copied().fold(0.0, f64::max)
    }

    /// The first and last point whose transmission exceeds `fraction` of the peak (0 to below 1).
    #[must_use]
    pub fn extent_above(&self, fraction: f64) -> Option<(Wavelength, Wavelength)> {
        let threshold = fraction * self.peak();
        let above = |&transmission: &f64| transmission > threshold;
        let first = self.transmission.iter().position(above)?;
        let last = self.transmission.iter().rposition(above)?;
        Some((Wavelength::from_nm(self.nm[first]), Wavelength::from_nm(self.nm[last])))
    }
}

fn columns(content: &str) -> Vec<&str> {
    if content.contains(',') {
        content.split(',').map(str::trim).collect()
    } else {
        content.split_whitespace().collect()
    }
}

fn number(line: usize, text: &str) -> Result<f64, ThroughputError> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err(ThroughputError::NotANumber { line, text: text.into() }),
    }
}

/// Verifies signs, order, unit and number of `(line, nm, transmission)`.
fn check(points: &[(usize, f64, f64)]) -> Result<(), ThroughputError> {
    for &(line, nm, transmission) in points {
        if nm <= 0.0 {
            return Err(ThroughputError::Negative { line, quantity: "wavelength", value: nm });
        }
        if transmission < 0.0 {
            return Err(ThroughputError::Negative { line, quantity: "transmission", value: transmission });
        }
    }
    for pair in points.windows(2) {
        let (_, previous_nm, _) = pair[0];
        let (line, nm, _) = pair[1];
        if nm <= previous_nm {
            return Err(ThroughputError::NotIncreasing { line, nm, previous_nm });
        }
    }
    let &[_, .., (_, largest, _)] = points else {
        return Err(ThroughputError::TooFewPoints { found: points.len() });
    };
    if largest > ANGSTROM_ABOVE_NM {
        return Err(ThroughputError::Unit { largest, unit: "angstrom" });
    }
    if largest < MICROMETRE_BELOW_NM {
        return Err(ThroughputError::Unit { largest, unit: "µm" });
    }
    if points.iter().all(|&(_, _, transmission)| transmission == 0.0) {
        return Err(ThroughputError::Dark);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> ThroughputError {
        Throughput::parse(text).expect_err("no curve")
    }

    #[test]
    fn throughput_is_linear_between_points_and_zero_outside() {
        let curve = Throughput::parse("400 0.0\n500 1.0 # peak\n\n600 0.5\n").unwrap();
        let at = |nm| curve.at(Wavelength::from_nm(nm));
        assert_eq!([at(399.9), at(400.0), at(450.0), at(500.0), at(550.0)], [0.0, 0.0, 0.5, 1.0, 0.75]);
        assert_eq!([at(600.0), at(600.1), at(f64::NAN), at(f64::INFINITY)], [0.5, 0.0, 0.0, 0.0]);
        assert_eq!(curve.peak(), 1.0);
    }

    #[test]
    fn throughput_accepts_blanks_commas_comments_and_a_heading() {
        let curve = Throughput::parse("400 1\n500 2").unwrap();
        for text in [
            "# c\n400,1\n500,2\n",
            "nm transmission\r\n  400\t1\r\n500 2\r\n",
            "wavelength, T\n400 , 1\n500, 2",
            "4.0e2 1.0 # blue\n5.0e2 2.0",
        ] {
            assert_eq!(Throughput::parse(text).unwrap(), curve, "{text:?}");
        }
    }

    #[test]
    fn throughput_errors_name_line_and_value() {
        assert_eq!(error("400 1\n500"), ThroughputError::Columns { line: 2, found: 1 });
        assert_eq!(error("400 1 2\n500 1"), ThroughputError::Columns { line: 1, found: 3 });
        assert_eq!(error("400 1\n500 x"), ThroughputError::NotANumber { line: 2, text: "x".into() });
        assert_eq!(error("400 1\n500 nan"), ThroughputError::NotANumber { line: 2, text: "nan".into() });
        assert_eq!(error("a b\nc d"), ThroughputError::NotANumber { line: 2, text: "c".into() });
        assert_eq!(
            error("400 1\n500 -0.1"),
            ThroughputError::Negative { line: 2, quantity: "transmission", value: -0.1 }
        );
        assert_eq!(
            error("# \n500 1\n400 1"),
            ThroughputError::NotIncreasing { line: 3, nm: 400.0, previous_nm: 500.0 }
        );
        assert!(matches!(error("400 1\n400 1"), ThroughputError::NotIncreasing { .. }));
        assert_eq!(error(""), ThroughputError::TooFewPoints { found: 0 });
        assert_eq!(error("400 1"), ThroughputError::TooFewPoints { found: 1 });
        assert_eq!(error("400 0\n500 0"), ThroughputError::Dark);
    }

    #[test]
    fn throughput_recognises_other_units() {
        assert_eq!(
            error("3000 0.0\n5500 1.0").to_string(),
            "wavelengths reach 5500, which looks like angstrom; give them in nm"
        );
        assert_eq!(error("0.3 0.0\n0.55 1.0"), ThroughputError::Unit { largest: 0.55, unit: "µm" });
    }

    #[test]
    fn throughput_extent_ignores_what_is_below_the_fraction() {
        let curve = Throughput::parse("400 0.001\n410 0.5\n420 1\n430 0.5\n440 0.002").unwrap();
        let extent = |fraction| curve.extent_above(fraction).map(|(lo, hi)| (lo.nm(), hi.nm()));
        assert_eq!(extent(3e-3), Some((410.0, 430.0)));
        assert_eq!(extent(0.0), Some((400.0, 440.0)));
        assert_eq!(extent(1.0), None);
    }
}
