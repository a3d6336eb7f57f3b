//! The profile hook: called around every operator, so that cycles, time or energy can be counted by whoever can.

use trishift_format::OperatorKind;

/// What is about to run, or has run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Step {
    /// Position of the operator in the graph.
    pub index: usize,
    /// What it is.
    pub kind: OperatorKind,
    /// Multiply-accumulates of the whole batch, as the field counts them; 0 for operators without weights.
    pub macs: u64,
    /// The instruction set whose kernel runs it.
    pub kernels: &'static str,
    /// The kernel, where the instruction set has several to choose from by the layer's shape.
    pub kernel: &'static str,
}

/// Receives every operator of a run.
pub trait Profiler {
    /// The operator is about to run.
    fn begin(&mut self, step: &Step);
    /// The operator has run; not called for one that ends its run with an error.
    fn end(&mut self, step: &Step);
}

/// No profile.
impl Profiler for () {
    fn begin(&mut self, _: &Step) {}
    fn end(&mut self, _: &Step) {}
}
