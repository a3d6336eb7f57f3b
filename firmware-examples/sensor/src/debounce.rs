//! A decision that one odd window does not change.

/// The class decided on, and the one that may follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Debounce {
    needed: u8,
    decided: Option<usize>,
    candidate: Option<usize>,
    agreeing: u8,
}

impl Debounce {
    /// Undecided; `needed` equal classes in succession make a decision, one at least.
    pub const fn new(needed: u8) -> Self {
        Self { needed, decided: None, candidate: None, agreeing: 0 }
    }

    /// Takes the next class; `Some` where the decision changes.
    pub fn observe(&mut self, class: usize) -> Option<usize> {
        if self.candidate == Some(class) {
            self.agreeing = self.agreeing.saturating_add(1);
        } else {
            self.candidate = Some(class);
            self.agreeing = 1;
        }
        if self.agreeing < self.needed || self.decided == Some(class) {
            return None;
        }
        self.decided = Some(class);
        Some(class)
    }

    /// The class decided on.
    pub const fn decided(&self) -> Option<usize> {
        self.decided
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn a_decision_needs_classes_that_agree() {
        let mut debounce = Debounce::new(3);
        let classes = [1, 1, 2, 1, 1, 1, 1, 0, 1, 0, 0, 0, 0];
        let decisions: Vec<_> = classes.into_iter().map(|class| debounce.observe(class)).collect();
        let changes: Vec<_> = (0..).zip(decisions).filter_map(|(at, class)| class.map(|class| (at, class))).collect();
        assert_eq!(changes, [(5, 1), (11, 0)]);
        assert_eq!(debounce.decided(), Some(0));
    }

    #[test]
    fn one_is_enough_where_one_is_asked_for() {
        let mut debounce = Debounce::new(1);
        assert_eq!([2, 2, 0].map(|class| debounce.observe(class)), [Some(2), None, Some(0)]);
    }
}
