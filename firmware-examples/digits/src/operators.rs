//! Counts the instructions of each operator of a run.

use crate::Fault;
use crate::report::{Line, Name};
use emulated_board::{CountError, Counter};
use trishift::{Engine, Model, Profiler, RunError, Step};

/// Operators that are counted; those of a longer model are left out.
const OPERATORS: usize = 16;

/// Instructions of each operator, of the sample that took the most.
pub(crate) struct OperatorCounts {
    instructions: [u32; OPERATORS],
    /// Which kernels ran them.
    kernels: &'static str,
}

/// One run's profile.
struct Profile<'a> {
    counts: &'a mut OperatorCounts,
    counter: &'a mut Counter,
    fault: Option<CountError>,
}

impl OperatorCounts {
    pub(crate) fn new() -> Self {
        Self { instructions: [0; OPERATORS], kernels: "" }
    }

    /// Runs a sample and counts its operators.
    pub(crate) fn count(
        &mut self,
        counter: &mut Counter,
        engine: &mut Engine<'_, '_>,
        sample: &[i8],
        output: &mut [i32],
    ) -> Result<(), Fault> {
        let mut profile = Profile { counts: self, counter, fault: None };
        let run: Result<(), RunError> = engine.run_profiled(sample, output, &mut profile);
        run?;
        profile.fault.map_or(Ok(()), |fault| Err(fault.into()))
    }

    /// One line for each operator, named like `digits_mlp.0.linear_64x128`: columns, then rows.
    pub(crate) fn print(&self, model: &Model<'_>, samples: usize) {
        for (index, (operator, instructions)) in model.operators().zip(self.instructions).enumerate() {
            // Looking up a row of a table is no product.
            let macs = model.macs_of(&operator);
            let ternary = operator.weights().map(|weights| (weights.columns, weights.rows));
            let weights = ternary.or(operator.int8_weights().map(|weights| (weights.columns, weights.rows)));
            let (columns, rows) =
                weights.filter(|_| macs > 0).unwrap_or((0, model.tensor(operator.output()).len() as u32));
            let mut line = Line::new("digits_mlp");
            line.name = Name::Operator { index, kind: operator.kind(), columns, rows, kernels: self.kernels };
            line.samples = samples;
            line.macs = macs;
            line.instructions = instructions.into();
            line.print(&[]);
        }
    }
}

impl Profiler for Profile<'_> {
    fn begin(&mut self, _: &Step) {
        self.counter.start();
    }

    fn end(&mut self, step: &Step) {
        match (self.counter.stop(), self.counts.instructions.get_mut(step.index)) {
            (Ok(instructions), Some(most)) => *most = instructions.max(*most),
            (Err(fault), _) => self.fault = Some(fault),
            (Ok(_), None) => {}
        }
        self.counts.kernels = step.kernels;
    }
}
