//! The beginning of a run: batch norms take the statistics of its first batch, as the CPU's do.
//!
//! A layer's statistics depend on the shifts of those before it, so this is done over and over. The statistics are found on
//! the card; the host moves the norms, by their own definition, and sends them back.

use super::body::Body;
use super::graph::Pass;
use super::{BackendError, CudaBackend, Step, Steps, prefix, transfer};
use crate::frozen::FrozenLayer;
use crate::rule::Ternary;
use crate::rule::batch_norm::Statistics;

impl CudaBackend<'_> {
    /// Lets every batch norm begin with the statistics of the first of these steps' batch; nothing in a network without.
    pub(super) fn calibrate(&mut self, steps: &Steps) -> Result<(), BackendError> {
        if !self.network.stages.iter().any(|stage| stage.batch_norm) {
            return Ok(());
        }
        self.download()?;
        let source = self.samples.prepare(&self.card, (steps.epoch, steps.first_batch as usize), 1, self.batch)?;
        self.tell(&source, &[Step::of(steps.first, steps)])?;
        self.gather(&self.body, &self.control, 0, self.samples.stride(self.data), true)?;
        let stages = self.network.stages.iter().zip(&self.host);
        let units: Vec<Vec<i32>> = stages
            .map(|(stage, host)| {
                let Ternary { trits, exponents } = host.ternary();
                FrozenLayer::from_weights(stage, trits, exponents).units
            })
            .collect();
        for _ in 0..2 * self.network.stages.len() + 2 {
            self.body.forward(&self.shared(), Pass::Calibration)?;
            let Body::Graph(graph) = &mut self.body else { return Ok(()) };
            let moments = graph.moments(&self.card)?;
            let norms = self.host.iter_mut().enumerate().zip(moments).zip(&units);
            for (((index, host), moments), units) in norms {
                let (Some(norm), Some(moments)) = (host.norm_mut(), moments) else { continue };
                let (means, variances) = moments.into_iter().map(|[mean, variance]| (mean, variance)).unzip();
                norm.calibrate(&Statistics { means, variances }, units);
                transfer(
                    |writer| Ok(norm.save(&prefix(index), writer)?),
                    |reader| graph.load_norm(&self.card, index, &prefix(index), reader),
                )?;
            }
        }
        Ok(())
    }
}
