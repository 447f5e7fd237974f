//! Progress of a solve, reported to the caller, who may stop it.

/// Counter of iterations against their maximum.
pub(crate) struct IterationBudget<'p> {
    report: &'p mut (dyn FnMut(usize, usize) -> bool + 'p),
    done: usize,
    most: usize,
    stopped: bool,
}

impl<'p> IterationBudget<'p> {
    pub(crate) fn new(report: &'p mut (dyn FnMut(usize, usize) -> bool + 'p), most: usize) -> Self {
        Self { report, done: 0, most, stopped: false }
    }

    /// Counts an iteration; `false` if the caller stops the solve.
    pub(crate) fn step(&mut self) -> bool {
        self.done += 1;
        self.stopped |= !(self.report)(self.done.min(self.most), self.most);
        !self.stopped
    }

    /// Counts iterations that are not needed.
    pub(crate) fn skip(&mut self, iterations: usize) {
        self.done += iterations;
    }

    /// True if the caller stopped the solve.
    pub(crate) fn stopped(&self) -> bool {
        self.stopped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budget_counts_to_the_end_and_stops_on_request() {
        let mut reports = vec![];
        let mut report = |done: usize, most: usize| {
            reports.push((done, most));
            done < 6
        };
        let mut budget = IterationBudget::new(&mut report, 7);
        assert!(budget.step() && !budget.stopped());
        budget.skip(4);
        assert!(!budget.step() && budget.stopped());
        assert!(!budget.step(), "once stopped, always");
        assert_eq!(reports, [(1, 7), (6, 7), (7, 7)]);
    }
}
