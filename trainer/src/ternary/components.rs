//! Components: several losses that vote on the same weights, each with a weight of its own.
//!
//! A [`Component`] is a value, not a setting that is switched on and off: whoever runs a backward pass hands it along,
//! on whatever thread, so it holds there and nowhere else. (A setting per thread would be wrong here twice: the backward
//! pass runs on other threads than the loss, and a thread of a pool that waits inside one scope may be given work of
//! another.)
//!
//! Votes are either applied on the way or deferred: a [`Scope`] gathers the vote matrices of one component, and
//! [`Scope::keep`] hands them to the [`DeferredVotes`], which apply them when told. A scope that is left in any other
//! way, by an error or a panic, takes what it gathered with it.

use super::votes::{VoteSource, Votes};
use super::{TernaryError, TernaryState};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A loss by name, and how often its votes count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    name: Arc<str>,
    count: i32,
}

impl Component {
    /// A component of this weight: its votes count max(1, round(|weight|)) times, halves to even, and are negated where
    /// the weight is below 0.
    ///
    /// # Errors
    /// [`TernaryError::ComponentWeight`] where the weight is not finite or rounds to more than 2^31 − 1.
    pub fn new(name: &str, weight: f64) -> Result<Self, TernaryError> {
        let magnitude = weight.abs().round_ties_even();
        if !magnitude.is_finite() || magnitude > f64::from(i32::MAX) {
            return Err(TernaryError::ComponentWeight { name: name.into(), weight });
        }
        let count = magnitude.max(1.0) as i32;
        Ok(Self { name: name.into(), count: if weight < 0.0 { -count } else { count } })
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// c: how often the votes count; negative where they count against. Never 0.
    pub fn count(&self) -> i32 {
        self.count
    }
}

/// The only loss: named `loss`, counting once.
impl Default for Component {
    fn default() -> Self {
        Self { name: "loss".into(), count: 1 }
    }
}

/// One vote matrix that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deferred {
    /// The layer it is about; numbers are the caller's.
    pub layer: usize,
    /// The votes.
    pub votes: Votes,
    /// How often they count.
    pub count: i32,
}

/// Votes that wait to be applied, by the name of their component, in the order in which they were kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeferredVotes {
    waiting: BTreeMap<Arc<str>, Vec<Deferred>>,
}

impl DeferredVotes {
    /// Opens a scope that gathers votes for this component.
    pub fn scope(&mut self, component: &Component) -> Scope<'_> {
        Scope { component: component.clone(), gathered: Vec::new(), target: self }
    }

    /// The components that have votes waiting.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.waiting.keys().map(AsRef::as_ref)
    }

    /// True where nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes a component's votes out, for a rule of the caller's own.
    pub fn take(&mut self, component: &str) -> Vec<Deferred> {
        self.waiting.remove(component).unwrap_or_default()
    }

    /// Applies a component's votes on one layer as correlation updates, in their order, and forgets them. Returns how
    /// many matrices there were; the state is the same as if each had been applied in its backward pass.
    ///
    /// # Errors
    /// [`TernaryError::Length`] where one is about a matrix of another shape; nothing is applied or forgotten then.
    pub fn apply_correlation(
        &mut self,
        component: &str,
        layer: usize,
        state: &mut TernaryState,
    ) -> Result<usize, TernaryError> {
        let Some(waiting) = self.waiting.get_mut(component) else { return Ok(0) };
        for deferred in waiting.iter().filter(|deferred| deferred.layer == layer) {
            state.shape().check_votes(&deferred.votes)?;
        }
        let (applied, rest): (Vec<_>, Vec<_>) =
            std::mem::take(waiting).into_iter().partition(|deferred| deferred.layer == layer);
        *waiting = rest;
        if waiting.is_empty() {
            self.waiting.remove(component);
        }
        for deferred in &applied {
            state.update_correlation(&deferred.votes, deferred.count)?;
        }
        Ok(applied.len())
    }
}

/// Gathers the votes of one component until they are kept; dropped, it leaves no trace.
///
/// Can be handed to another thread.
#[derive(Debug)]
#[must_use = "what a scope gathers is lost unless it is kept"]
pub struct Scope<'a> {
    component: Component,
    gathered: Vec<Deferred>,
    target: &'a mut DeferredVotes,
}

impl Scope<'_> {
    /// The component.
    pub fn component(&self) -> &Component {
        &self.component
    }

    /// Gathers the votes of a source on a layer, as a matrix.
    ///
    /// # Errors
    /// [`TernaryError::Length`] where the source's parts do not fit together.
    pub fn defer(&mut self, layer: usize, votes: &dyn VoteSource) -> Result<(), TernaryError> {
        let votes = Votes::collect(votes)?;
        self.gathered.push(Deferred { layer, votes, count: self.component.count });
        Ok(())
    }

    /// Ends the scope; its votes wait to be applied.
    pub fn keep(self) {
        if !self.gathered.is_empty() {
            self.target.waiting.entry(self.component.name).or_default().extend(self.gathered);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::naive;
    use super::*;
    use crate::ternary::Shape;
    use proptest::prelude::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use trishift_format::GroupSize;

    fn votes() -> Votes {
        Votes::new(1, 2, vec![1, -1]).unwrap()
    }

    fn state() -> TernaryState {
        TernaryState::ones(Shape::new(1, 2, GroupSize::new(4).unwrap()).unwrap())
    }

    #[test]
    fn weights_become_counts() {
        let counts = [0.0, -0.0, 0.4, -0.4, 1.5, 2.5, -2.5, -3.4, 2_147_483_647.0].map(|w| {
            let component = Component::new("a", w).unwrap();
            component.count()
        });
        assert_eq!(counts, [1, 1, 1, -1, 2, 2, -2, -3, i32::MAX]);
        for weight in [f64::NAN, f64::INFINITY, 2_147_483_648.0, -2_147_483_648.0] {
            assert!(matches!(Component::new("a", weight), Err(TernaryError::ComponentWeight { .. })), "{weight}");
        }
    }

    #[test]
    fn a_scope_left_early_leaves_no_trace() {
        let mut deferred = DeferredVotes::default();
        let component = Component::new("a", 2.0).unwrap();
        let mut early = |votes: &Votes| -> Result<(), TernaryError> {
            let mut scope = deferred.scope(&component);
            scope.defer(0, &votes.clone())?;
            Votes::new(1, 1, Vec::new())?;
            scope.keep();
            Ok(())
        };
        assert!(early(&votes()).is_err());
        assert!(deferred.is_empty());
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let mut scope = deferred.scope(&component);
            scope.defer(0, &votes()).unwrap();
            panic!("in the middle of a backward pass");
        }));
        assert!(panicked.is_err());
        assert_eq!(deferred, DeferredVotes::default());
    }

    #[test]
    fn votes_wait_by_component_and_layer() {
        let mut deferred = DeferredVotes::default();
        for (name, weight, layers) in [("a", 1.0, [0, 1]), ("b", -3.0, [1, 1])] {
            let mut scope = deferred.scope(&Component::new(name, weight).unwrap());
            for layer in layers {
                scope.defer(layer, &Votes::new(1, 2, vec![1, 1]).unwrap()).unwrap();
            }
            scope.keep();
        }
        deferred.scope(&Component::new("empty", 1.0).unwrap()).keep();
        assert_eq!(deferred.components().collect::<Vec<_>>(), ["a", "b"]);
        let mut layer = state();
        assert_eq!(deferred.apply_correlation("nobody", 1, &mut layer), Ok(0));
        assert_eq!(deferred.apply_correlation("b", 1, &mut layer), Ok(2));
        assert_eq!((layer.corr(), layer.step()), ([12].as_slice(), 6));
        assert_eq!(deferred.components().collect::<Vec<_>>(), ["a"]);
        assert_eq!(deferred.apply_correlation("a", 1, &mut layer), Ok(1));
        assert_eq!((layer.corr(), layer.step()), ([10].as_slice(), 7));
        assert_eq!(deferred.take("a").len(), 1);
        assert!(deferred.is_empty());
    }

    #[test]
    fn votes_of_another_shape_stay_and_change_nothing() {
        let mut deferred = DeferredVotes::default();
        let mut scope = deferred.scope(&Component::default());
        scope.defer(0, &votes()).unwrap();
        scope.defer(0, &Votes::new(2, 1, vec![1, 1]).unwrap()).unwrap();
        scope.keep();
        let mut layer = state();
        assert!(deferred.apply_correlation("loss", 0, &mut layer).is_err());
        assert_eq!(layer, state());
        assert_eq!(deferred.take("loss").len(), 2);
    }

    proptest! {
        /// A component holds on the threads that vote, and deferred votes leave the state of immediate ones.
        #[test]
        fn deferred_and_immediate_updates_agree(case in naive::case(), weights in proptest::array::uniform3(-4.0f64..4.0)) {
            let components = weights.map(|weight| Component::new("a", weight).unwrap());
            let mut immediate = case.state.clone();
            for component in &components {
                immediate.update_correlation(&case.gradient(), component.count()).unwrap();
            }
            let mut deferred = DeferredVotes::default();
            for component in &components {
                let mut scope = deferred.scope(component);
                std::thread::scope(|threads| threads.spawn(|| scope.defer(7, &case.gradient())).join().unwrap()).unwrap();
                scope.keep();
            }
            let mut applied = case.state.clone();
            prop_assert_eq!(deferred.apply_correlation("a", 7, &mut applied), Ok(3));
            prop_assert_eq!(applied, immediate);
        }
    }
}
