//! Detection of borders and gaps filled with a constant, in images without weights.
//!
//! Programs that register or crop images fill areas without data with 0, −32768, the most negative
//! number, or 1e-30 (hotpants). Noise never repeats exactly, so a connected region of one value has
//! no data. Rules:
//!
//! - Candidate values are taken from the first and last rows, from the ends of rows, and, for the
//!   values in [`CUSTOMARY`], from anywhere in some rows ([`sampled_rows`]).
//! - A connected region (by pixel sides) of at least 16 pixels of such a value has no data if it
//!   touches the border of the image; for a customary value, anywhere. So do single pixels of the
//!   value if it is too rare elsewhere to occur by chance.
//! - In images of few distinct values (counts near 0, simulations without noise) the regions are
//!   kept, and the value is reported by [`Constant::questionable`].

use super::FitsError;

/// Number of rows sampled for candidate values.
const SAMPLED_ROWS: usize = 32;
/// Minimum run of pixels that makes a value a candidate: at the ends of a row, and anywhere.
const RUN_AT_END: usize = 8;
const RUN: usize = 16;
/// Minimum number of consecutive sampled rows that begin or end with one value.
const ROWS: usize = 4;
/// Minimum pixels per region. At [`MOST_ELSEWHERE`], no image has one by chance.
const SMALLEST: usize = 16;
/// Maximum share of the pixels outside the regions that may have the value as well.
const MOST_ELSEWHERE: f64 = 0.05;
/// Maximum share of the other pixels with the value at which those count as missing too.
const MOST_SINGLE: f64 = 1e-3;
/// Maximum share of equal neighbours in an image with noise.
const MOST_REPEATS: f64 = 0.5;
/// Stars in noise-free images fade into a region that covers most of the image. Next to it, this
/// share of the pixels differs from it by less than usual, and half of them by less than this
/// fraction of that difference.
const FADING: (f64, f64) = (0.85, 0.35);
/// Maximum number of candidate values.
const MOST_VALUES: usize = 4;
/// Minimum run of one value in a row that is reported although it may be data (or a quarter row).
const QUESTIONABLE_RUN: usize = 24;
/// Number of differences kept for comparison.
const MOST_STEPS: usize = 1 << 16;
/// Customary values for missing data.
const CUSTOMARY: [f32; 6] = [0.0, -32_768.0, i32::MIN as f32, 1e-30, -1e30, f32::MIN];

/// Constant values of an image.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Constant {
    /// Pixels without data, by row.
    runs: Vec<Run>,
    /// Values of these pixels.
    pub(super) values: Vec<f32>,
    /// Values that fill regions but may be data.
    pub(super) questionable: Vec<f32>,
}

/// Consecutive pixels of one value in a row, from `first` up to but excluding `end`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Run {
    row: u32,
    first: u32,
    end: u32,
    /// Index of the value.
    value: u8,
}

impl Run {
    fn len(&self) -> usize {
        (self.end - self.first) as usize
    }
}

/// The rows to sample from `height` rows, evenly spaced, including the first and the last.
pub(super) fn sampled_rows(height: usize) -> Vec<usize> {
    let count = SAMPLED_ROWS.min(height);
    (0..count).map(|i| i * (height - 1) / (count - 1).max(1)).collect()
}

/// Candidate values, the most frequent first. `rows` are [`sampled_rows`], with NaN for pixels
/// known to have no data.
pub(super) fn candidates(rows: &[Vec<f32>]) -> Vec<f32> {
    let mut found: Vec<f32> = Vec::new();
    let mut add = |value: f32| {
        if value.is_finite() && !found.contains(&value) {
            found.push(value);
        }
    };
    for (i, row) in rows.iter().enumerate() {
        let outermost = i == 0 || i + 1 == rows.len();
        for run in row.chunk_by(|a, b| a == b) {
            let at_end = run.as_ptr_range().start == row.as_ptr_range().start
                || run.as_ptr_range().end == row.as_ptr_range().end;
            let whole = run.len() == row.len();
            if (at_end && run.len() >= RUN_AT_END)
                || (run.len() >= RUN && (outermost || CUSTOMARY.contains(&run[0])))
                || whole
            {
                add(run[0]);
            }
        }
    }
    for at in [|row: &Vec<f32>| row.first().copied(), |row: &Vec<f32>| row.last().copied()] {
        let column: Vec<f32> = rows.iter().filter_map(at).collect();
        column
            .windows(ROWS.min(rows.len()).max(2))
            .filter(|w| w.iter().all(|v| *v == w[0]))
            .for_each(|w| add(w[0]));
    }
    let all = || rows.iter().flatten().copied().filter(|value| value.is_finite());
    let total = all().count();
    let largest = all().fold(f32::NEG_INFINITY, f32::max);
    let count = |value: f32| all().filter(|other| *other == value).count();
    // Saturated stars at the border do not count as a border.
    found.retain(|value| *value < largest || CUSTOMARY.contains(value) || 100 * count(*value) >= total);
    found.sort_by_key(|value| std::cmp::Reverse(count(*value)));
    found.truncate(MOST_VALUES);
    found
}

/// Whether differences of neighbours in these rows look like noise, ignoring `values`.
pub(super) fn is_noisy(rows: &[Vec<f32>], values: &[f32]) -> bool {
    let tells = |value: &f32| value.is_finite() && !values.contains(value);
    let pairs = rows.iter().flat_map(|row| row.windows(2)).filter(|pair| pair.iter().all(tells));
    let (mut all, mut equal) = (0_usize, 0_usize);
    pairs.for_each(|pair| {
        all += 1;
        equal += usize::from(pair[0] == pair[1]);
    });
    all > 0 && (equal as f64) < MOST_REPEATS * all as f64
}

/// Whether the value has enough pixels in a row to be reported although it may be data.
pub(super) fn fills_rows(rows: &[Vec<f32>], value: f32) -> bool {
    rows.iter().any(|row| has_run(row, value, row.len() / 4))
}

/// Whether a row has a run of [`QUESTIONABLE_RUN`] pixels of a value, or of `long` if fewer.
fn has_run(row: &[f32], value: f32, long: usize) -> bool {
    let long = QUESTIONABLE_RUN.min(long).max(RUN_AT_END);
    row.chunk_by(|a, b| a == b).any(|run| run[0] == value && run.len() >= long)
}

/// Finds the regions of an image, given its rows in order.
pub(super) struct Finder<'a> {
    width: usize,
    rows: u32,
    values: &'a [f32],
    runs: Vec<Run>,
    /// Union-find parent of each run; the first run of a region is its own parent.
    parents: Vec<u32>,
    /// The runs of the row before.
    before: std::ops::Range<usize>,
    /// Differences between long runs and their neighbours, for each value.
    steps: Vec<Vec<f32>>,
    /// Whether the number of runs exceeds the limit.
    scattered: bool,
}

impl<'a> Finder<'a> {
    pub(super) fn new(width: usize, values: &'a [f32]) -> Self {
        let steps = vec![Vec::new(); values.len()];
        Self { width, rows: 0, values, runs: vec![], parents: vec![], before: 0..0, steps, scattered: false }
    }

    /// Adds the next row.
    pub(super) fn add(&mut self, row: &[f32]) {
        let begin = self.runs.len();
        let mut x = 0;
        for run in row.chunk_by(|a, b| a == b) {
            let (first, end) = (x, x + run.len());
            x = end;
            let Some(value) = self.values.iter().position(|value| *value == run[0]) else { continue };
            if run.len() >= RUN_AT_END && self.steps[value].len() < MOST_STEPS {
                let beside =
                    [first.checked_sub(1), Some(end)].into_iter().flatten().filter_map(|x| row.get(x));
                self.steps[value].extend(beside.map(|v| (v - run[0]).abs()).filter(|step| step.is_finite()));
            }
            self.parents.push(self.runs.len() as u32);
            self.runs.push(Run { row: self.rows, first: first as u32, end: end as u32, value: value as u8 });
        }
        let mut above = self.before.clone();
        for below in begin..self.runs.len() {
            let run = self.runs[below];
            while above.start < above.end && self.runs[above.start].end <= run.first {
                above.start += 1;
            }
            for other in above.clone() {
                let upper = self.runs[other];
                if upper.first >= run.end {
                    break;
                }
                if upper.value == run.value {
                    self.join(other as u32, below as u32);
                }
            }
        }
        self.before = begin..self.runs.len();
        self.rows += 1;
        // A region has few runs per row; isolated pixels of few distinct values are everywhere.
        self.scattered |= self.runs.len() > (self.rows as usize + 64) * (8 + self.width / 16);
    }

    /// Whether the result is undecidable.
    pub(super) fn is_scattered(&self) -> bool {
        self.scattered
    }

    fn root(&mut self, mut run: u32) -> u32 {
        while self.parents[run as usize] != run {
            let above = self.parents[self.parents[run as usize] as usize];
            self.parents[run as usize] = above;
            run = above;
        }
        run
    }

    fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.root(a), self.root(b));
        self.parents[a.max(b) as usize] = a.min(b);
    }

    /// The regions; `sample` are the [`sampled_rows`].
    pub(super) fn finish(mut self, sample: &[Vec<f32>]) -> Constant {
        let questionable = |value: &f32| sample.iter().any(|row| has_run(row, *value, self.width / 3));
        let questionable: Vec<f32> = self.values.iter().copied().filter(questionable).collect();
        if self.scattered {
            return Constant { questionable, ..Constant::default() };
        }
        let roots: Vec<u32> = (0..self.runs.len() as u32).map(|run| self.root(run)).collect();
        let mut sizes = vec![0_usize; self.runs.len()];
        let mut outside = vec![false; self.runs.len()];
        for (run, root) in self.runs.iter().zip(&roots) {
            sizes[*root as usize] += run.len();
            let at_border =
                run.row == 0 || run.row + 1 == self.rows || run.first == 0 || run.end as usize == self.width;
            outside[*root as usize] |= at_border;
        }
        let is_region = |run: &Run, root: u32| {
            let may_lie_anywhere = CUSTOMARY.contains(&self.values[run.value as usize]);
            sizes[root as usize] >= SMALLEST && (outside[root as usize] || may_lie_anywhere)
        };
        let kept: Vec<Run> = self
            .runs
            .iter()
            .zip(&roots)
            .filter(|(run, root)| is_region(run, **root))
            .map(|(run, _)| *run)
            .collect();
        let mut constant = Constant::default();
        // Per value: whether regions have no data, and whether single pixels have none.
        let mut taken = vec![(false, false); self.values.len()];
        let noisy = is_noisy(sample, self.values);
        for (number, value) in self.values.iter().enumerate() {
            let own = || kept.iter().filter(|run| run.value as usize == number);
            let pixels: usize = own().map(Run::len).sum();
            if pixels == 0 {
                continue;
            }
            if noisy && self.is_certain(number, pixels, own().count(), sample) {
                taken[number] = (true, self.elsewhere(number, pixels) <= MOST_SINGLE);
                constant.values.push(*value);
            } else if questionable.contains(value) {
                constant.questionable.push(*value);
            }
        }
        let is_taken = |(run, root): &(&Run, &u32)| {
            let (regions, singles) = taken[run.value as usize];
            singles || (regions && is_region(run, **root))
        };
        constant.runs = self.runs.iter().zip(&roots).filter(is_taken).map(|(run, _)| *run).collect();
        constant
    }

    /// Share of the other pixels with a value, given the number of pixels in its regions.
    fn elsewhere(&self, number: usize, pixels: usize) -> f64 {
        let of_value: usize = self.runs.iter().filter(|run| run.value as usize == number).map(Run::len).sum();
        (of_value - pixels) as f64 / (self.rows as usize * self.width - pixels).max(1) as f64
    }

    /// Whether regions with this number of pixels and runs differ from those of an image with few
    /// distinct values.
    fn is_certain(&self, number: usize, pixels: usize, runs: usize, sample: &[Vec<f32>]) -> bool {
        let all = self.rows as usize * self.width;
        let most_runs = self.rows as usize * (4 + self.width / 50);
        if self.elsewhere(number, pixels) > MOST_ELSEWHERE || runs > most_runs {
            return false;
        }
        if 2 * pixels <= all {
            return true;
        }
        let value = self.values[number];
        let others = sample.iter().flatten().filter(|other| other.is_finite() && **other != value);
        let usual = median(others.map(|other| (other - value).abs()).collect());
        let steps = &self.steps[number];
        let small = steps.iter().filter(|step| f64::from(**step) < usual).count() as f64;
        // Regions of whole rows have no neighbours in their rows.
        steps.is_empty() || small < FADING.0 * steps.len() as f64 || median(steps.clone()) >= FADING.1 * usual
    }
}

fn median(mut values: Vec<f32>) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let middle = values.len() / 2;
    f64::from(*values.select_nth_unstable_by(middle, f32::total_cmp).1)
}

impl Constant {
    /// A result with possible data only, and no missing pixels.
    pub(super) fn questionable(questionable: Vec<f32>) -> Self {
        Self { questionable, ..Self::default() }
    }

    /// Finds the regions of an image of `height` rows and `width` columns, given its
    /// [`sampled_rows`] in `sample`. Rows are read in strips if the sample has candidate values.
    pub(super) fn find(
        sample: &[Vec<f32>],
        (height, width): (usize, usize),
        strip: usize,
        mut read: impl FnMut(std::ops::Range<usize>) -> Result<ndarray::Array2<f32>, FitsError>,
    ) -> Result<Self, FitsError> {
        let values = candidates(sample);
        if values.is_empty() {
            return Ok(Self::default());
        }
        let mut finder = Finder::new(width, &values);
        for start in (0..height).step_by(strip.max(1)) {
            let rows = read(start..(start + strip.max(1)).min(height))?;
            rows.rows().into_iter().for_each(|row| finder.add(row.to_slice().unwrap_or(&[])));
            if finder.is_scattered() {
                break;
            }
        }
        Ok(finder.finish(sample))
    }

    /// Flags the pixels without data in a part of the image, given by rows and columns; returns
    /// their number.
    pub(super) fn mark(
        &self,
        rows: std::ops::Range<usize>,
        columns: std::ops::Range<usize>,
        mut mark: impl FnMut(std::ops::Range<usize>, usize),
    ) -> usize {
        let from = self.runs.partition_point(|run| (run.row as usize) < rows.start);
        let mut count = 0;
        for run in self.runs[from..].iter().take_while(|run| (run.row as usize) < rows.end) {
            let first = (run.first as usize).max(columns.start);
            let end = (run.end as usize).min(columns.end);
            if first < end {
                count += end - first;
                mark(first - columns.start..end - columns.start, run.row as usize - rows.start);
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, s};

    use super::*;

    /// Numbers that look like noise, of mean 0 and some σ.
    fn noise(shape: (usize, usize), sigma: f32) -> Array2<f32> {
        let mut state = 7_u64;
        Array2::from_shape_simple_fn(shape, || {
            let sum: f32 = (0..12)
                .map(|_| {
                    state =
                        state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (state >> 40) as f32 / (1 << 24) as f32
                })
                .sum();
            sigma * (sum - 6.0)
        })
    }

    fn found(image: &Array2<f32>) -> (Constant, Array2<bool>) {
        let (height, width) = image.dim();
        let sample: Vec<Vec<f32>> = sampled_rows(height).iter().map(|y| image.row(*y).to_vec()).collect();
        let read = |rows: std::ops::Range<usize>| Ok(image.slice(s![rows, ..]).to_owned());
        let constant = Constant::find(&sample, image.dim(), 7, read).unwrap();
        let mut marked = Array2::from_elem(image.dim(), false);
        constant.mark(0..height, 0..width, |columns, row| marked.slice_mut(s![row, columns]).fill(true));
        (constant, marked)
    }

    fn whole_numbers(mut image: Array2<f32>) -> Array2<f32> {
        image.mapv_inplace(f32::round);
        image
    }

    #[test]
    fn borders_of_any_constant_are_found_to_the_pixel() {
        for fill in [0.0, -32_768.0, 1e-30, -1e30, f32::MIN, 17.25] {
            for (sky, sigma) in [(0.0, 5.0), (500.0, 5.0), (0.0, 1e-6)] {
                let mut image = noise((90, 70), sigma) + sky;
                image.slice_mut(s![..12, ..]).fill(fill);
                image.slice_mut(s![.., 68..]).fill(fill);
                // A corner that is cut off aslant, and a notch.
                for y in 70..90 {
                    image.slice_mut(s![y, ..y - 69]).fill(fill);
                }
                let expected = image.mapv(|value| value == fill);
                let (constant, marked) = found(&image);
                assert_eq!(marked, expected, "{fill} {sky} {sigma}");
                assert_eq!((constant.values, constant.questionable.len()), (vec![fill], 0));
            }
        }
    }

    #[test]
    fn columns_at_the_side_and_gaps_inside_are_found() {
        let mut image = whole_numbers(noise((200, 150), 8.0) + 300.0);
        image.slice_mut(s![.., ..2]).fill(0.0);
        image.slice_mut(s![.., 80..100]).fill(0.0);
        image[[50, 50]] = 0.0;
        let (constant, marked) = found(&image);
        assert_eq!(marked.iter().filter(|marked| **marked).count(), 200 * 22 + 1);
        assert_eq!(constant.values, [0.0]);
        // The same value that is none of the customary ones fills borders only.
        let mut image = noise((200, 150), 8.0);
        image.slice_mut(s![.., ..20]).fill(7.5);
        image.slice_mut(s![100..120, 80..100]).fill(7.5);
        assert_eq!(found(&image).1.iter().filter(|marked| **marked).count(), 200 * 20);
    }

    #[test]
    fn parts_of_the_regions_are_marked_in_parts_of_the_image() {
        let mut image = noise((60, 50), 1.0);
        image.slice_mut(s![..20, ..10]).fill(0.0);
        let (constant, _) = found(&image);
        let mut marked = Vec::new();
        let count = constant.mark(18..25, 8..30, |columns, row| marked.push((row, columns)));
        assert_eq!((count, marked), (4, vec![(0, 0..2), (1, 0..2)]));
    }

    #[test]
    fn images_without_borders_lose_nothing() {
        for image in [
            noise((80, 80), 3.0),
            whole_numbers(noise((80, 80), 3.0)),
            whole_numbers(noise((80, 80), 0.6)),
            noise((80, 80), 3.0).mapv(|value| value.min(4.0)),
            Array2::from_elem((80, 80), 0.0),
            Array2::from_elem((80, 80), 3.0),
            Array2::from_elem((1, 1), 0.0),
            Array2::from_elem((3, 1), f32::NAN),
        ] {
            assert!(!found(&image).1.iter().any(|marked| *marked));
        }
        assert_eq!(found(&noise((80, 80), 3.0)).0, Constant::default());
    }

    #[test]
    fn whole_numbers_around_zero_keep_those_that_are_by_chance() {
        let mut image = whole_numbers(noise((300, 300), 10.0));
        let by_chance = image.iter().filter(|value| **value == 0.0).count();
        image.slice_mut(s![.., ..30]).fill(0.0);
        let (constant, marked) = found(&image);
        let marked = marked.iter().filter(|marked| **marked).count();
        assert!(by_chance > 2000 && (300 * 30..300 * 30 + 100).contains(&marked), "{marked}");
        assert_eq!(constant.values, [0.0]);
    }

    #[test]
    fn few_counts_and_images_without_noise_are_doubtful() {
        // Counts, most of them 0, and values that were cut off at 0.
        for image in [
            whole_numbers(noise((120, 120), 0.4)).mapv(f32::abs),
            noise((120, 120), 1.0).mapv(|value| value.max(0.0)),
            noise((120, 120), 1.0).mapv(|value| (value - 0.5).max(0.0)),
        ] {
            let (constant, marked) = found(&image);
            assert!(!marked.iter().any(|marked| *marked), "{:?}", constant.values);
        }
        // Stars without noise, as far as their stamps reach.
        let stars = Array2::from_shape_fn((120, 120), |(y, x)| {
            let (dy, dx) = ((y % 40) as f32 - 20.0, (x % 40) as f32 - 20.0);
            let r2 = dy * dy + dx * dx;
            if r2 < 100.0 { 1e4 * (1.0 + r2 / 9.0).powf(-2.5) } else { 0.0 }
        });
        let (constant, marked) = found(&stars);
        assert!(!marked.iter().any(|marked| *marked));
        assert_eq!(constant.questionable, [0.0]);
        // A frame that is mostly empty, with noise, is certain.
        let mut image = Array2::zeros((120, 120));
        image.slice_mut(s![30..80, 40..90]).assign(&noise((50, 50), 2.0));
        assert_eq!(found(&image).1.iter().filter(|marked| **marked).count(), 120 * 120 - 50 * 50);
        let mut image = noise((120, 120), 2.0);
        image.slice_mut(s![..90, ..]).fill(0.0);
        assert_eq!(found(&image).1.iter().filter(|marked| **marked).count(), 120 * 90);
    }

    #[test]
    fn saturated_stars_at_the_border_are_no_border() {
        let mut image = whole_numbers(noise((400, 400), 9.0) + 800.0);
        image.slice_mut(s![..30, 50..70]).fill(65_535.0);
        assert_eq!(found(&image).0, Constant::default());
    }
}
