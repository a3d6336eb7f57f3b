//! The same matrix in groups of another size, on a card; [`crate::ternary::regroup`] has the definition.

use super::{CardTernary, PrimitiveError, launch_each};
use crate::backend::cuda::card::{Buffer, Card, arguments};
use crate::ternary::{Convention, Shape};
use trishift_format::GroupSize;
use trishift_kernels::cuda::REGROUP;

impl CardTernary {
    /// The state in groups of `group`; `strength` is the correlation strength that its weights are meant with.
    ///
    /// # Errors
    /// [`CudaError`](crate::backend::cuda::CudaError).
    pub fn regroup(
        self,
        card: &Card,
        group: GroupSize,
        convention: Convention,
        strength: f64,
    ) -> Result<Self, PrimitiveError> {
        let shape = Shape::new(self.shape.rows(), self.shape.columns(), group)?;
        let keeps = match convention {
            Convention::Standard => group == self.shape.group(),
            Convention::Compatible => shape.row_groups() == self.shape.row_groups(),
        };
        if keeps {
            return Ok(Self { shape, ..self });
        }
        let exponents: Buffer<i8> = card.zeros("exponents", shape.groups())?;
        let corr: Buffer<i64> = card.zeros("correlations", shape.groups())?;
        let (rows, columns) = (shape.rows(), shape.columns());
        let step = match convention {
            Convention::Standard => {
                // What one count of the new correlations adds to an exponent.
                let count = strength / (self.step as f64 * group.get() as f64).max(1.0);
                let arguments = arguments![
                    &self.trits,
                    &self.exponents,
                    &self.corr,
                    rows,
                    columns,
                    self.shape.group().get(),
                    group.get(),
                    self.step as u64,
                    strength,
                    count,
                    &exponents,
                    &corr,
                ];
                launch_each(card, REGROUP, "regroup_weights", shape.groups(), arguments)?;
                self.step
            }
            Convention::Compatible => {
                let arguments = arguments![&self.trits, rows, columns, group.get(), &exponents];
                launch_each(card, REGROUP, "exponents_of_trits", shape.groups(), arguments)?;
                0
            }
        };
        let cleared = || card.zeros("exponent accumulators", shape.groups());
        let exponent_accumulators = self.exponent_accumulators.as_ref().map(|_| cleared()).transpose()?;
        Ok(Self { shape, exponents, corr, step, exponent_accumulators, ..self })
    }
}
