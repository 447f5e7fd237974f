//! How far refraction moved blue light against red, in each visit and between visits.

use crate::run_summary::{RunSummary, Visit};

/// Displacement of the band's blue edge relative to its red edge in the pixels of a visit, `[dx,
/// dy]`; `None` if unknown, or for one subfilter.
///
/// From the middle of the first subfilter to that of the last is `(N − 1)/N` of the band.
pub(crate) fn across_band(visit: &Visit) -> Option<[f64; 2]> {
    let n = visit.shifts_px.len();
    let ([Some(blue_x), Some(blue_y)], [Some(red_x), Some(red_y)]) =
        (*visit.shifts_px.first()?, *visit.shifts_px.last()?)
    else {
        return None;
    };
    let scale = n as f64 / (n as f64 - 1.0);
    (n > 1).then_some([scale * (blue_x - red_x), scale * (blue_y - red_y)])
}

/// The length of a displacement.
pub(crate) fn length([x, y]: [f64; 2]) -> f64 {
    x.hypot(y)
}

/// Spread of the displacements of a set of visits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    /// The largest in any visit, in px.
    pub(crate) largest_px: f64,
    /// The largest difference between two visits, in px.
    pub(crate) between_px: f64,
    /// DCR leverage in px: rms distance of the displacements from their mean.
    pub(crate) rms_px: f64,
    /// The visits whose displacement is known.
    pub(crate) visits: usize,
}

impl Spread {
    /// The spread for a run; `None` if no visit's displacement is known.
    pub(crate) fn of(summary: &RunSummary) -> Option<Self> {
        let all: Vec<[f64; 2]> = summary.visits.iter().filter_map(across_band).collect();
        let n = all.len() as f64;
        if all.is_empty() {
            return None;
        }
        let largest = |lengths: &mut dyn Iterator<Item = f64>| lengths.fold(0.0, f64::max);
        let mean = [0, 1].map(|axis| all.iter().map(|d| d[axis]).sum::<f64>() / n);
        let apart = |a: &[f64; 2], b: &[f64; 2]| length([a[0] - b[0], a[1] - b[1]]);
        let variance = all.iter().map(|d| apart(d, &mean).powi(2)).sum::<f64>() / n;
        Some(Self {
            largest_px: largest(&mut all.iter().map(|d| length(*d))),
            between_px: largest(&mut all.iter().flat_map(|a| all.iter().map(move |b| apart(a, b)))),
            rms_px: variance.sqrt(),
            visits: all.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(shifts: &[[f64; 2]]) -> Visit {
        Visit { shifts_px: shifts.iter().map(|[x, y]| [Some(*x), Some(*y)]).collect(), ..Visit::default() }
    }

    fn run(visits: Vec<Visit>) -> RunSummary {
        let mut summary = RunSummary::parse(r#"{"run": "1", "band": {}, "visits": []}"#).unwrap();
        summary.visits = visits;
        summary
    }

    #[test]
    fn displacement_reaches_from_edge_to_edge_of_the_band() {
        let three = across_band(&visit(&[[1.0, 2.0], [0.0, 0.0], [-1.0, -2.0]])).unwrap();
        assert!((three[0] - 3.0).abs() < 1e-12 && (three[1] - 6.0).abs() < 1e-12);
        assert_eq!(across_band(&visit(&[[1.0, 2.0]])), None);
        assert_eq!(across_band(&visit(&[])), None);
        let unknown =
            Visit { shifts_px: vec![[None, Some(1.0)], [Some(0.0), Some(0.0)]], ..Visit::default() };
        assert_eq!(across_band(&unknown), None);
    }

    #[test]
    fn spread_is_that_between_visits_not_within() {
        let alike = || visit(&[[1.0, 0.0], [-1.0, 0.0]]);
        let same = Spread::of(&run(vec![alike(), alike()])).unwrap();
        assert_eq!((same.largest_px, same.between_px, same.rms_px), (4.0, 0.0, 0.0));
        let opposite = Spread::of(&run(vec![alike(), visit(&[[-1.0, 0.0], [1.0, 0.0]])])).unwrap();
        assert_eq!((opposite.largest_px, opposite.between_px, opposite.rms_px), (4.0, 8.0, 4.0));
        assert_eq!(Spread::of(&run(vec![])), None);
    }
}
