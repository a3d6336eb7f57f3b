//! One sample on several threads (feature `threads`): the rows of a large layer are dealt out.

use rayon::ThreadPool;
use std::ops::Range;
use std::vec::Vec;
use trishift_kernels::simd::linear::{PackedMatrix, Workspace};

/// Least weights of a layer whose rows are dealt out: to wake a thread costs some microseconds, in which a vector unit is
/// done with fewer.
const LEAST_WEIGHTS: usize = 1 << 20;

/// Threads, and a workspace for each.
#[derive(Debug)]
pub(crate) struct Team<'pool> {
    pub(crate) threads: &'pool ThreadPool,
    pub(crate) workspaces: &'pool mut Vec<Workspace>,
}

impl Team<'_> {
    /// True where it pays to deal the rows of this matrix out.
    pub(crate) fn pays(&self, matrix: &PackedMatrix) -> bool {
        matrix.rows() * matrix.columns() >= LEAST_WEIGHTS
    }

    /// Calls `share(rows, workspace, output)` for ranges that are all rows together, each on a thread. `output` holds one
    /// sample.
    pub(crate) fn run<T: Send>(
        &mut self,
        matrix: &PackedMatrix,
        output: &mut [T],
        share: impl Fn(Range<usize>, &mut Workspace, &mut [T]) + Sync,
    ) {
        let shares: Vec<_> = matrix.shares(self.threads.current_num_threads()).collect();
        if self.workspaces.len() < shares.len() {
            self.workspaces.resize_with(shares.len(), Workspace::new);
        }
        let share = &share;
        self.threads.scope(|scope| {
            let mut output = output;
            for (rows, workspace) in shares.into_iter().zip(self.workspaces.iter_mut()) {
                let Some((part, rest)) = core::mem::take(&mut output).split_at_mut_checked(rows.len()) else { return };
                output = rest;
                scope.spawn(move |_| share(rows, workspace, part));
            }
        });
    }
}
