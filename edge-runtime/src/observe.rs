//! The observer: shown what every operator has written, before a later one writes over it.
//!
//! The arena holds a tensor only while an operator needs it, so that whoever wants to see the integers on their way through
//! the layers must look in between. [`Engine::run`](crate::Engine::run) has no such moment and pays nothing for it.

use trishift_kernels::Values;

/// Receives what the operators of a run write.
///
/// ```
/// # #[cfg(not(all(feature = "std", feature = "all-operators")))]
/// # fn main() {}
/// # #[cfg(all(feature = "std", feature = "all-operators"))]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use trishift::{Engine, HeapArena, Model, Observer, Values};
///
/// struct Layers(Vec<usize>);
/// impl Observer for Layers {
///     fn written(&mut self, _: usize, values: Values<'_>) {
///         self.0.push(match values {
///             Values::I8(activations) => activations.len(),
///             Values::I32(accumulators) => accumulators.len(),
///         });
///     }
/// }
///
/// # let file = std::fs::read("../shared-format/tests/golden/model-0.2.tsm")?;
/// let model = Model::parse(&file)?;
/// let mut arena = HeapArena::new(&model, 1)?;
/// let (mut layers, mut logits) = (Layers(Vec::new()), vec![0i32; model.output().len()]);
/// Engine::new(&model, arena.bytes(), 1)?.run_observed(&[7; 12], &mut logits, &mut layers)?;
/// assert_eq!(layers.0.len(), model.operators().count());
/// # Ok(())
/// # }
/// ```
pub trait Observer {
    /// The operator at this position of the graph has run. `values` is its output tensor as it left it, [batch, tensor]; of
    /// a slide, the whole state.
    fn written(&mut self, index: usize, values: Values<'_>);
}
