//! How far a solve has come, told to the caller, who may stop it.

/// Counts iterations.
pub(crate) struct Pace<'p> {
    tell: &'p mut (dyn FnMut(usize, usize) -> bool + 'p),
    done: usize,
    most: usize,
    stopped: bool,
}

impl<'p> Pace<'p> {
    pub(crate) fn new(tell: &'p mut (dyn FnMut(usize, usize) -> bool + 'p), most: usize) -> Self {
        Self { tell, done: 0, most, stopped: false }
    }

    /// An iteration is done; whether to go on.
    pub(crate) fn step(&mut self) -> bool {
        self.done += 1;
        self.stopped |= !(self.tell)(self.done.min(self.most), self.most);
        !self.stopped
    }

    /// So many iterations need not be made.
    pub(crate) fn skip(&mut self, iterations: usize) {
        self.done += iterations;
    }

    /// Whether the caller wants to stop.
    pub(crate) fn stopped(&self) -> bool {
        self.stopped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pace_counts_to_the_end_and_stops_when_told() {
        let mut told = vec![];
        let mut tell = |done: usize, most: usize| {
            told.push((done, most));
            done < 6
        };
        let mut pace = Pace::new(&mut tell, 7);
        assert!(pace.step() && !pace.stopped());
        pace.skip(4);
        assert!(!pace.step() && pace.stopped());
        assert!(!pace.step(), "once stopped, always");
        assert_eq!(told, [(1, 7), (6, 7), (7, 7)]);
    }
}
