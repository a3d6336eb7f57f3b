//! The same matrix in groups of another size.
//!
//! [`Convention::Standard`] keeps the weights as near as integers allow. A new group gets the scale b that minimises
//! Σ (|w| − b)² over its non-zero weights, their mean magnitude. E is the power of two that is nearest to b; where
//! votes have been counted, corr takes up the rest of log2 b, so that an update after a regroup weighs as much as one
//! before it. No integer E alone is nearer, group by group. A group of zeros takes the mean of the exponents it comes
//! from, weighted by columns. Regrouping to the same size changes nothing.
//!
//! [`Convention::Compatible`] makes E from the trits alone, E = trunc(log2(mean |T|)), and clears corr and step: the
//! magnitudes are lost. Where a row has as many groups as before, E, corr and step stay, whatever the columns are that
//! they are now about.
//!
//! Accumulators of trit flips belong to weights and stay; those of exponent steps belong to groups and are cleared
//! wherever the groups are made anew.

use super::{Convention, Shape, TernaryState, initial};
use trishift_format::GroupSize;

impl TernaryState {
    /// The state in groups of `group`; `strength` is the correlation strength that its weights are meant with.
    pub fn regroup(&self, group: GroupSize, convention: Convention, strength: f64) -> Self {
        // Same rows and columns: what could be addressed before still can.
        let Ok(shape) = Shape::new(self.shape.rows(), self.shape.columns(), group) else { return self.clone() };
        let keeps = match convention {
            Convention::Standard => group == self.shape.group(),
            Convention::Compatible => shape.row_groups() == self.shape.row_groups(),
        };
        if keeps {
            return Self { shape, ..self.clone() };
        }
        let mut regrouped = Self {
            shape,
            trits: self.trits.clone(),
            exponents: Vec::with_capacity(shape.groups()),
            corr: Vec::with_capacity(shape.groups()),
            step: 0,
            exponent_accumulators: self.exponent_accumulators.as_ref().map(|_| vec![0; shape.groups()]),
            trit_accumulators: self.trit_accumulators.clone(),
        };
        match convention {
            Convention::Standard => self.regroup_weights(&mut regrouped, strength),
            Convention::Compatible => regrouped.exponents_of_trits(),
        }
        regrouped
    }

    fn exponents_of_trits(&mut self) {
        let group = self.shape.group().get();
        let groups = self.trits.chunks(self.shape.columns()).flat_map(|row| row.chunks(group));
        let magnitudes = |trits: &'_ [i8]| trits.iter().map(|trit| f32::from(trit.abs())).collect::<Vec<f32>>();
        let exponent = |trits| initial::exponent(magnitudes(trits).into_iter(), group, Convention::Compatible);
        self.exponents = groups.map(exponent).collect();
        self.corr = vec![0; self.shape.groups()];
    }

    fn regroup_weights(&self, regrouped: &mut Self, strength: f64) {
        let columns = self.shape.columns();
        let (old, new) = (self.shape.group().get(), regrouped.shape.group().get());
        regrouped.step = self.step;
        // What one count of corr adds to an exponent.
        let count = strength / regrouped.votes_of_a_group();
        for (row, trits) in self.trits.chunks(columns).enumerate() {
            let groups = row * self.shape.row_groups()..(row + 1) * self.shape.row_groups();
            let from = self.exponents[groups.clone()].iter().zip(&self.corr[groups]);
            let from: Vec<f64> = from.map(|(e, corr)| self.effective(*e, *corr, strength)).collect();
            for first in (0..columns).step_by(new) {
                let members = first..(first + new).min(columns);
                let used: Vec<f64> = members.clone().filter(|k| trits[*k] != 0).map(|k| from[k / old].exp2()).collect();
                let (exponent, corr) = if used.is_empty() {
                    let mean = members.clone().map(|k| from[k / old]).sum::<f64>() / members.len() as f64;
                    (mean.round_ties_even() as i8, 0)
                } else {
                    let scale = used.iter().sum::<f64>() / used.len() as f64;
                    let exponent = nearest_exponent(scale);
                    let corr = if self.step == 0 { 0 } else { remainder(scale, exponent, count) };
                    (exponent, corr)
                };
                regrouped.exponents.push(exponent);
                regrouped.corr.push(corr);
            }
        }
    }
}

/// The E of int8 whose 2^E is nearest to `scale`; the smaller of two as near.
fn nearest_exponent(scale: f64) -> i8 {
    let low = scale.log2().floor();
    let nearest = if scale > 1.5 * low.exp2() { low + 1.0 } else { low };
    // Saturates, infinities included.
    nearest as i8
}

/// The corr that brings 2^(exponent + corr·count) nearest to `scale`.
fn remainder(scale: f64, exponent: i8, count: f64) -> i64 {
    let exact = (scale.log2() - f64::from(exponent)) / count;
    if !exact.is_finite() {
        return 0;
    }
    let distance = |corr: f64| ((f64::from(exponent) + corr * count).exp2() - scale).abs();
    let (low, high) = (exact.floor(), exact.ceil());
    (if distance(high) < distance(low) { high } else { low }) as i64
}

#[cfg(test)]
mod tests {
    use super::super::naive;
    use super::*;
    use proptest::prelude::*;

    fn group(size: u32) -> GroupSize {
        GroupSize::new(size).unwrap()
    }

    fn state(trits: &[i8], size: u32, exponents: &[i8]) -> TernaryState {
        let shape = Shape::new(1, trits.len(), group(size)).unwrap();
        TernaryState::new(shape, trits.to_vec(), exponents.to_vec()).unwrap()
    }

    #[test]
    fn compatible_forgets_magnitudes() {
        let before = state(&[1, -1, 1, 1, 0, 1, 0, 0, 0, 0], 8, &[-7, -5]);
        let before = before.with_correlation(vec![3, 4], 9).unwrap();
        let after = before.regroup(group(4), Convention::Compatible, 4.0);
        // Mean |T| of 1, ¼ and 0.
        assert_eq!((after.exponents(), after.corr(), after.step()), ([0, -2, 0].as_slice(), [0; 3].as_slice(), 0));
        // Two groups as before, though of other columns.
        let after = before.regroup(group(6), Convention::Compatible, 4.0);
        assert_eq!((after.exponents(), after.corr(), after.step()), (before.exponents(), before.corr(), 9));
    }

    #[test]
    fn standard_keeps_magnitudes() {
        let before = state(&[1, -1, 1, 1, 0, 0, 0, 0, 0, 1], 4, &[-7, -5, 2]);
        let after = before.regroup(group(8), Convention::Standard, 4.0);
        assert_eq!((after.exponents(), after.corr(), after.step()), ([-7, 2].as_slice(), [0; 2].as_slice(), 0));
        // Finer: the zeros of a group keep its exponent, and folded correlations stay: E + 8/(1·8)·4 = E + 4.
        let before = state(&[1, -1, 1, 1, 0, 0, 0, 0, 0, 1], 8, &[-7, -5]).with_correlation(vec![8, 0], 1).unwrap();
        let after = before.regroup(group(4), Convention::Standard, 4.0);
        assert_eq!((after.exponents(), after.corr(), after.step()), ([-3, -3, -5].as_slice(), [0; 3].as_slice(), 1));
        // Between 2^0 and 2^1 the middle is 1.5: means of 1.5 and 1.75.
        assert_eq!([1.5, 1.75, 1.0, 0.0, f64::INFINITY].map(nearest_exponent), [0, 1, 0, -128, 127]);
    }

    #[test]
    fn accumulators_stay_with_what_they_are_about() {
        let before = state(&[1; 8], 8, &[0]).with_exponent_accumulators(vec![5]).unwrap();
        let before = before.with_trit_accumulators((0..8).collect()).unwrap();
        for convention in [Convention::Standard, Convention::Compatible] {
            let after = before.regroup(group(4), convention, 4.0);
            assert_eq!(after.exponent_accumulators(), Some([0, 0].as_slice()));
            assert_eq!(after.trit_accumulators(), before.trit_accumulators());
        }
    }

    /// Σ (w − T·scale)² over columns `first..first + group` of a row.
    fn error(state: &TernaryState, row: usize, members: std::ops::Range<usize>, strength: f64, scale: f64) -> f64 {
        let trit = |k: usize| f64::from(state.trits()[row * state.shape().columns() + k]);
        members.map(|k| (naive::weight(state, row, k, strength) - trit(k) * scale).powi(2)).sum()
    }

    proptest! {
        /// No integer exponent comes nearer to the weights than what a regroup leaves.
        #[test]
        fn no_integer_exponent_is_nearer(
            case in naive::case(),
            size in 0..GroupSize::ALL.len(),
            strength in 0.0f64..20.0,
        ) {
            let size = GroupSize::ALL[size];
            // Exponents whose squares f64 holds.
            let corr = case.state.corr().iter().map(|corr| corr % 30).collect();
            let before = &case.state.clone().with_correlation(corr, case.state.step()).unwrap();
            let after = before.regroup(size, Convention::Standard, strength);
            prop_assert_eq!(after.trits(), before.trits());
            if size == before.shape().group() {
                prop_assert_eq!(&after, before);
                return Ok(());
            }
            let columns = before.shape().columns();
            for group in 0..after.shape().groups() {
                let (row, index) = (group / after.shape().row_groups(), group % after.shape().row_groups());
                let members = index * size.get()..((index + 1) * size.get()).min(columns);
                let scale = after.effective_exponent(group, strength).unwrap().exp2();
                let found = error(before, row, members.clone(), strength, scale);
                for exponent in -128..=127 {
                    let other = error(before, row, members.clone(), strength, f64::from(exponent).exp2());
                    prop_assert!(found <= other * (1.0 + 1e-9), "{group}: {found} > {other} of {exponent}");
                }
            }
        }

        /// Many votes make corr fine: splitting groups loses next to nothing.
        #[test]
        fn splitting_keeps_weights(trits in proptest::collection::vec(-1i8..=1, 1..40), corr in -900_000i64..900_000) {
            let shape = Shape::new(1, trits.len(), group(96)).unwrap();
            let state = TernaryState::new(shape, trits, vec![-3]).unwrap().with_correlation(vec![corr], 100_000).unwrap();
            let after = state.regroup(group(4), Convention::Standard, 4.0);
            for (old, new) in state.weights::<f32>(4.0).iter().zip(&after.weights::<f32>(4.0)) {
                prop_assert!((old - new).abs() <= 1e-4 * old.abs());
            }
        }
    }
}
