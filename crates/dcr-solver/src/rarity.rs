//! Connected groups of pixels, and the number of exposures in which each pixel is in one.
//!
//! Signal in few exposures of many is not part of the sky (docs/algorithm.md §9). The epoch-count
//! rule, with `n` exposures that have data, calls a number few that is at most
//!
//! ```text
//! min(low · n, most + high · n), rounded down
//! ```
//!
//! a broken line. By default it allows one of three, two of five, three of forty, and none of one
//! or two, which cannot decide. A group is an artefact when more than a certain share of its pixels
//! are in few exposures' groups, with `n` its mean. A variable star, which deviates from its mean
//! in many exposures, stays whole.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

/// Pixels of a patch in ascending order, `row × cols + col`.
pub type PixelList = Vec<u32>;

/// Adjacent pixels of a row.
struct Run {
    row: u32,
    /// First column, and the one behind the last.
    cols: (u32, u32),
    /// Index of its first pixel in the list.
    first: usize,
    /// A run of the same group; itself for the group's first.
    parent: usize,
}

/// Divides pixels, ascending, into groups connected by sides or corners, in the order of their
/// first pixels.
#[must_use]
pub fn groups(pixels: &[u32], cols: usize) -> Vec<PixelList> {
    let mut runs = runs(pixels, cols as u32);
    // A window over the runs of the row above.
    let mut above = 0;
    for here in 0..runs.len() {
        let (row, (start, end)) = (runs[here].row, runs[here].cols);
        while runs[above].row + 1 < row || (runs[above].row + 1 == row && runs[above].cols.1 < start) {
            above += 1;
        }
        let mut other = above;
        while other < here && runs[other].row + 1 == row && runs[other].cols.0 <= end {
            let (a, b) = (root(&runs, other), root(&runs, here));
            runs[a.max(b)].parent = a.min(b);
            other += 1;
        }
    }
    let mut of_root: Vec<Option<usize>> = vec![None; runs.len()];
    let mut out: Vec<PixelList> = vec![];
    for (index, run) in runs.iter().enumerate() {
        let group = *of_root[root(&runs, index)].get_or_insert_with(|| {
            out.push(vec![]);
            out.len() - 1
        });
        out[group].extend(&pixels[run.first..run.first + (run.cols.1 - run.cols.0) as usize]);
    }
    out
}

fn runs(pixels: &[u32], cols: u32) -> Vec<Run> {
    let mut runs: Vec<Run> = vec![];
    for (first, pixel) in pixels.iter().enumerate() {
        let (row, col) = (pixel / cols, pixel % cols);
        match runs.last_mut() {
            Some(run) if run.row == row && run.cols.1 == col => run.cols.1 += 1,
            _ => runs.push(Run { row, cols: (col, col + 1), first, parent: runs.len() }),
        }
    }
    runs
}

fn root(runs: &[Run], mut run: usize) -> usize {
    while runs[run].parent != run {
        run = runs[run].parent;
    }
    run
}

/// The epoch-count rule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rarity {
    /// `most`.
    pub most: f64,
    /// `low`, a fraction.
    pub low: f64,
    /// `high`, a fraction.
    pub high: f64,
    /// Minimum share of rare pixels in a group that is an artefact.
    pub share: f64,
}

impl Default for Rarity {
    fn default() -> Self {
        Self { most: 2.0, low: 0.4, high: 0.03, share: 0.5 }
    }
}

impl Rarity {
    /// Maximum number of exposures, of `n`, that is few.
    #[must_use]
    pub fn few(&self, n: f64) -> usize {
        (self.low * n).min(self.most + self.high * n).max(0.0) as usize
    }

    /// Pixels of each exposure's groups that occur in few exposures. `data_yx` counts the exposures
    /// with data. The groups of an exposure have no pixel in common.
    #[must_use]
    pub fn rare(&self, groups: &[Vec<PixelList>], data_yx: &Array2<u16>) -> Vec<PixelList> {
        self.chosen(groups, data_yx, |seen| seen == Seen::Rarely)
    }

    /// Pixels of each exposure's groups that occur in more than few exposures. Where none would be
    /// few, none is more.
    #[must_use]
    pub fn frequent(&self, groups: &[Vec<PixelList>], data_yx: &Array2<u16>) -> Vec<PixelList> {
        self.chosen(groups, data_yx, |seen| seen == Seen::Often)
    }

    /// Pixels of each exposure that occur in few exposures, whatever their groups.
    #[must_use]
    pub fn pixels_of_few(&self, pixels: &[PixelList], data_yx: &Array2<u16>) -> Vec<PixelList> {
        let epochs_yx = epochs(pixels.iter().flatten(), data_yx.dim());
        let cols = data_yx.ncols().max(1);
        let few = |pixel: &&u32| {
            let at = place(**pixel, cols);
            usize::from(epochs_yx[at]) <= self.few(f64::from(data_yx[at]))
        };
        pixels.iter().map(|pixels| pixels.iter().filter(few).copied().collect()).collect()
    }

    fn chosen(
        &self,
        candidates: &[Vec<PixelList>],
        data_yx: &Array2<u16>,
        wanted: impl Fn(Seen) -> bool,
    ) -> Vec<PixelList> {
        let cols = data_yx.ncols().max(1);
        let epochs_yx = epochs(candidates.iter().flatten().flatten(), data_yx.dim());
        let seen = |group: &PixelList| {
            let n = group.iter().map(|pixel| f64::from(data_yx[place(*pixel, cols)])).sum::<f64>();
            let few = self.few(n / group.len() as f64);
            let rare =
                group.iter().filter(|pixel| usize::from(epochs_yx[place(**pixel, cols)]) <= few).count();
            match rare as f64 > self.share * group.len() as f64 {
                true => Seen::Rarely,
                false if few == 0 => Seen::Undecided,
                false => Seen::Often,
            }
        };
        let of_visit = |groups: &Vec<PixelList>| {
            let mut pixels: PixelList =
                groups.iter().filter(|group| wanted(seen(group))).flatten().copied().collect();
            pixels.sort_unstable();
            pixels
        };
        candidates.iter().map(of_visit).collect()
    }
}

/// Number of occurrences of each pixel of a patch.
fn epochs<'a>(pixels: impl Iterator<Item = &'a u32>, shape: (usize, usize)) -> Array2<u16> {
    let mut epochs_yx = Array2::<u16>::zeros(shape);
    for pixel in pixels {
        epochs_yx[place(*pixel, shape.1.max(1))] += 1;
    }
    epochs_yx
}

fn place(pixel: u32, cols: usize) -> [usize; 2] {
    [pixel as usize / cols, pixel as usize % cols]
}

/// Frequency of a group.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Rarely,
    /// Undecided, with data in one or two exposures only.
    Undecided,
    Often,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rarity() -> Rarity {
        Rarity::default()
    }

    #[test]
    fn groups_touch_by_sides_and_corners() {
        // . X . . X     A hook, whose ends meet in the last row; and a pixel that wraps round to no
        // neighbour. X . . . . . X . X . . . X . .
        let pixels = [1, 4, 5, 11, 13, 17];
        assert_eq!(groups(&pixels, 5), vec![vec![1, 5, 11, 13, 17], vec![4]]);
        assert!(groups(&[], 5).is_empty());
        assert_eq!(groups(&[3], 1), vec![vec![3]]);
        assert_eq!(groups(&[0, 1, 2, 3], 1), vec![vec![0, 1, 2, 3]]);
    }

    /// Runs that only a later row joins.
    #[test]
    fn groups_of_a_comb_are_one() {
        let cols = 9;
        let mut pixels: Vec<u32> =
            (0..4).flat_map(|row| (0..9).step_by(2).map(move |col| row * cols + col)).collect();
        pixels.extend((0..9).map(|col| 4 * cols + col));
        assert_eq!(groups(&pixels, 9).len(), 1);
        assert_eq!(groups(&pixels[..20], 9).len(), 5);
    }

    /// Comparison with a flood fill.
    #[test]
    fn groups_are_those_of_a_flood_fill() {
        let (rows, cols) = (23_usize, 31_usize);
        let mut state = 11_u64;
        let mut set = Array2::from_elem((rows, cols), false);
        for flag in &mut set {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *flag = state >> 40 & 7 < 3;
        }
        let pixels: Vec<u32> =
            (0..(rows * cols) as u32).filter(|p| set.as_slice().unwrap()[*p as usize]).collect();
        let mut open = set.clone();
        let mut expected = vec![];
        for pixel in &pixels {
            let mut todo = vec![(*pixel as usize / cols, *pixel as usize % cols)];
            let mut group = vec![];
            while let Some((y, x)) = todo.pop() {
                if !std::mem::take(&mut open[[y, x]]) {
                    continue;
                }
                group.push((y * cols + x) as u32);
                for ny in y.saturating_sub(1)..(y + 2).min(rows) {
                    todo.extend((x.saturating_sub(1)..(x + 2).min(cols)).map(|nx| (ny, nx)));
                }
            }
            group.sort_unstable();
            if !group.is_empty() {
                expected.push(group);
            }
        }
        assert_eq!(groups(&pixels, cols), expected);
    }

    #[test]
    fn few_is_a_broken_line() {
        let few: Vec<usize> = [0.0, 1.0, 2.0, 3.0, 5.0, 10.0, 40.0, 100.0].map(|n| rarity().few(n)).to_vec();
        assert_eq!(few, [0, 0, 0, 1, 2, 2, 3, 5]);
    }

    #[test]
    fn rare_is_what_few_exposures_have_most_of() {
        let data = Array2::from_elem((4, 6), 10_u16);
        let star = vec![7, 8, 13, 14];
        let mut candidates = vec![vec![]; 10];
        // A variable star in four exposures, once with an additional wing; a cosmic ray in one.
        for visit in &mut candidates[..3] {
            visit.push(star.clone());
        }
        candidates[3] = vec![vec![7, 8, 9, 13, 14], vec![23]];
        let rare = rarity().rare(&candidates, &data);
        assert_eq!(rare[3], vec![23]);
        assert!(rare[..3].iter().chain(&rare[4..]).all(Vec::is_empty));
        let frequent = rarity().frequent(&candidates, &data);
        assert_eq!((&frequent[0], &frequent[3]), (&star, &vec![7, 8, 9, 13, 14]));
        assert!(frequent[4..].iter().all(Vec::is_empty));
        // Pixel by pixel the wing is rare as well.
        let pixels: Vec<PixelList> = candidates.iter().map(|groups| groups.concat()).collect();
        let of_few = rarity().pixels_of_few(&pixels, &data);
        assert_eq!(of_few[3], [9, 23]);
        assert!(of_few[..3].iter().chain(&of_few[4..]).all(Vec::is_empty));
        // Two exposures with data cannot decide.
        let two = Array2::from_elem((4, 6), 2_u16);
        for groups in [[vec![vec![23]], vec![]], [vec![vec![23]], vec![vec![23]]]] {
            assert!(rarity().rare(&groups, &two).iter().all(Vec::is_empty));
            assert!(rarity().frequent(&groups, &two).iter().all(Vec::is_empty));
        }
    }
}
