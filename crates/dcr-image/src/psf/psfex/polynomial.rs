//! Polynomial of the variation of a PSFEx model: its axes, and the order of its terms.
//!
//! Axis `n` is a key of the source catalogue (POLNAMEn), normalised to `(value −
//! POLZEROn)/POLSCALn`. It belongs to the group POLGRPn; the exponents of the axes of a group add
//! up to at most the degree of the group, POLDEGg. The terms are all products within these bounds,
//! with the exponent of the first axis varying fastest: 1, u, u², v, uv, v² for two axes in one
//! group of degree 2, and 1, u, v, uv for two groups of degree 1.
//!
//! At a pixel, only the position on the image is known. Other keys are errors, unless the degree of
//! their group is 0.

use super::super::StampError;

/// Maximum number of axes of a model.
pub(super) const MOST_AXES: usize = 4;
/// Maximum degree of a group.
pub(super) const HIGHEST_DEGREE: usize = 20;
/// Keys of positions along x: barycentre, windowed, fitted, brightest pixel.
const ALONG_X: [&str; 6] =
    ["X_IMAGE", "X_IMAGE_DBL", "XWIN_IMAGE", "XPSF_IMAGE", "XMODEL_IMAGE", "XPEAK_IMAGE"];
/// Keys of positions along y.
const ALONG_Y: [&str; 6] =
    ["Y_IMAGE", "Y_IMAGE_DBL", "YWIN_IMAGE", "YPSF_IMAGE", "YMODEL_IMAGE", "YPEAK_IMAGE"];

/// An axis of the model.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct AxisCards {
    /// POLNAMEn.
    pub(in super::super) key: String,
    /// POLZEROn.
    pub(in super::super) zero: f64,
    /// POLSCALn.
    pub(in super::super) scale: f64,
    /// POLGRPn, from 1.
    pub(in super::super) group: usize,
}

/// The polynomial of a model.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Polynomial {
    axes: Vec<Axis>,
    /// Exponents of every axis in each term.
    exponents: Vec<Vec<i32>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Axis {
    along: Along,
    zero: f64,
    scale: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Along {
    X,
    Y,
    /// A key that is not a position, in a group of degree 0.
    Nothing,
}

impl Polynomial {
    /// The polynomial for axes whose groups have these degrees, the first for group 1.
    ///
    /// # Errors
    ///
    /// [`StampError::Model`] for too many axes, a group without a degree, a degree above
    /// [`HIGHEST_DEGREE`], a scale that is 0 or not finite, and a key that is not a position on the
    /// image.
    pub(in super::super) fn new(axes: &[AxisCards], degrees: &[usize]) -> Result<Self, StampError> {
        let refuse = |reason: String| Err(StampError::Model { reason });
        if axes.len() > MOST_AXES {
            return refuse(format!("it varies along {} axes; at most {MOST_AXES} can be read", axes.len()));
        }
        if let Some(degree) = degrees.iter().find(|degree| **degree > HIGHEST_DEGREE) {
            return refuse(format!("POLDEG is {degree}; it must be 0 to {HIGHEST_DEGREE}"));
        }
        let mut groups = Vec::with_capacity(axes.len());
        let mut known = Vec::with_capacity(axes.len());
        for (n, axis) in (1..).zip(axes) {
            let AxisCards { key, zero, scale, group } = axis;
            let Some(degree) = group.checked_sub(1).and_then(|group| degrees.get(group)) else {
                return refuse(format!(
                    "POLGRP{n} is {group}, and the model has {} groups (POLNGRP)",
                    degrees.len()
                ));
            };
            if !zero.is_finite() || !scale.is_finite() || *scale == 0.0 {
                return refuse(format!(
                    "POLZERO{n} is {zero} and POLSCAL{n} is {scale}; both must be finite, and the scale not 0"
                ));
            }
            let is_in = |keys: [&str; 6]| keys.iter().any(|known| known.eq_ignore_ascii_case(key.trim()));
            let along = match (is_in(ALONG_X), is_in(ALONG_Y)) {
                (true, _) => Along::X,
                (_, true) => Along::Y,
                _ if *degree == 0 => Along::Nothing,
                _ => {
                    return refuse(format!(
                        "it varies with {} (POLNAME{n}), and at a pixel only the position on the image is \
                         known; make the model with PSFVAR_KEYS X_IMAGE,Y_IMAGE",
                        key.trim()
                    ));
                }
            };
            groups.push(group - 1);
            known.push(Axis { along, zero: *zero, scale: *scale });
        }
        Ok(Self { axes: known, exponents: exponents(&groups, degrees) })
    }

    /// Number of terms.
    pub(in super::super) fn terms(&self) -> usize {
        self.exponents.len()
    }

    /// The values of the terms at the pixel `(x, y)`, counted from 1 as in PSFEx.
    pub(in super::super) fn values(&self, x: f64, y: f64) -> Vec<f64> {
        let axis = |axis: &Axis| match axis.along {
            Along::X => (x - axis.zero) / axis.scale,
            Along::Y => (y - axis.zero) / axis.scale,
            Along::Nothing => 0.0,
        };
        let along: Vec<f64> = self.axes.iter().map(axis).collect();
        let term = |exponents: &Vec<i32>| along.iter().zip(exponents).map(|(v, e)| v.powi(*e)).product();
        self.exponents.iter().map(term).collect()
    }
}

/// The exponents of all terms, with the first axis varying fastest.
fn exponents(groups: &[usize], degrees: &[usize]) -> Vec<Vec<i32>> {
    let mut terms = vec![];
    let mut term = vec![0; groups.len()];
    'terms: loop {
        terms.push(term.iter().map(|exponent| *exponent as i32).collect());
        for axis in 0..groups.len() {
            term[axis] += 1;
            let of_group = term.iter().zip(groups).filter(|(_, group)| **group == groups[axis]);
            if of_group.map(|(exponent, _)| exponent).sum::<usize>() <= degrees[groups[axis]] {
                continue 'terms;
            }
            term[axis] = 0;
        }
        return terms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(key: &str, group: usize) -> AxisCards {
        AxisCards { key: key.into(), zero: 10.0, scale: 4.0, group }
    }

    fn order(groups: &[usize], degrees: &[usize]) -> Vec<Vec<i32>> {
        exponents(groups, degrees)
    }

    /// As PSFEx 3.21 writes them: compared with models that it made of simulated stars.
    #[test]
    fn terms_are_in_the_order_of_psfex() {
        assert_eq!(order(&[], &[]), [Vec::<i32>::new()]);
        assert_eq!(order(&[0], &[2]), [[0], [1], [2]]);
        assert_eq!(order(&[0, 0], &[2]), [[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [0, 2]]);
        assert_eq!(order(&[0, 1], &[1, 1]), [[0, 0], [1, 0], [0, 1], [1, 1]]);
        assert_eq!(order(&[0, 1], &[2, 1]), [[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1]]);
        assert_eq!(order(&[0, 0], &[0]), [[0, 0]]);
        let mixed = order(&[0, 1, 0], &[2, 1]);
        assert_eq!(mixed.len(), 12);
        assert_eq!(mixed[3..7], [[0, 1, 0], [1, 1, 0], [2, 1, 0], [0, 0, 1]]);
    }

    #[test]
    fn axes_follow_their_names() {
        let xy = Polynomial::new(&[axis("X_IMAGE", 1), axis("Y_IMAGE", 1)], &[1]).unwrap();
        let yx = Polynomial::new(&[axis("ywin_image ", 1), axis("XWIN_IMAGE", 1)], &[1]).unwrap();
        assert_eq!(xy.values(14.0, 18.0), [1.0, 1.0, 2.0]);
        assert_eq!(yx.values(14.0, 18.0), [1.0, 2.0, 1.0]);
        let constant = Polynomial::new(&[], &[]).unwrap();
        assert_eq!(constant.values(14.0, 18.0), [1.0]);
    }

    #[test]
    fn keys_that_are_no_positions_are_refused_unless_nothing_varies_with_them() {
        let reason =
            |axes: &[AxisCards], degrees: &[usize]| Polynomial::new(axes, degrees).unwrap_err().to_string();
        let axes = [axis("X_IMAGE", 1), axis("MAG_AUTO", 2)];
        let text = reason(&axes, &[1, 1]);
        assert!(text.contains("MAG_AUTO (POLNAME2)") && text.contains("PSFVAR_KEYS"), "{text}");
        assert_eq!(Polynomial::new(&axes, &[1, 0]).unwrap().values(14.0, 0.0), [1.0, 1.0]);
        assert!(reason(&axes, &[1]).contains("POLGRP2 is 2, and the model has 1 groups"));
        assert!(reason(&[axis("X_IMAGE", 0)], &[1]).contains("POLGRP1 is 0"));
        assert!(reason(&[axis("X_IMAGE", 1)], &[21]).contains("POLDEG is 21"));
        let broken = AxisCards { scale: 0.0, ..axis("X_IMAGE", 1) };
        assert!(reason(&[broken], &[1]).contains("POLSCAL1 is 0"));
        assert!(
            reason(&[const { AxisCards { key: String::new(), zero: f64::NAN, scale: 1.0, group: 1 } }], &[1])
                .contains("POLZERO1 is NaN")
        );
        assert!(reason(&vec![axis("X_IMAGE", 1); 5], &[1]).contains("5 axes"));
    }
}
