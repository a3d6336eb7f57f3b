//! Where votes on a card come from: a matrix, or the gradients and inputs that they are signs of.

use super::{CardMatrix, CardTernary, CardVoteMatrix, PrimitiveError, THREADS};
use crate::backend::cuda::CudaError;
use crate::backend::cuda::card::{Argument, Card, Grid, Kernel, arguments};
use crate::ternary::{Shape, TernaryError};
use trishift_format::GroupSize;
use trishift_kernels::cuda::DIRECT;

/// Rows and most columns of the tile that a block of the direct kernels takes.
const TILE_ROWS: usize = 32;
const TILE_COLUMNS: usize = 96;

/// Votes on the weights of a matrix [N, K].
#[derive(Clone, Copy, Debug)]
pub enum CardVotes<'a> {
    /// Any votes.
    Matrix(&'a CardVoteMatrix),
    /// Sign votes v = sgn(gyᵀ·x), made as they are needed and never stored.
    Direct {
        /// gy, [batch, N].
        output_gradient: &'a CardMatrix,
        /// x, [batch, K].
        input: &'a CardMatrix,
    },
}

impl CardVotes<'_> {
    /// Rows and columns of the matrix that the votes are about.
    ///
    /// # Errors
    /// [`TernaryError::Length`] where gradients and inputs are of different batches.
    pub fn shape(&self) -> Result<(usize, usize), TernaryError> {
        match self {
            Self::Matrix(votes) => Ok((votes.rows(), votes.columns())),
            Self::Direct { output_gradient, input } => {
                TernaryError::check("samples of the inputs", output_gradient.rows(), input.rows())?;
                Ok((output_gradient.columns(), input.columns()))
            }
        }
    }
}

impl CardTernary {
    /// Checks that votes are about a matrix of this shape.
    pub(super) fn check_votes(&self, votes: &CardVotes<'_>) -> Result<(), TernaryError> {
        let (rows, columns) = votes.shape()?;
        TernaryError::check("rows of the votes", self.shape.rows(), rows)?;
        TernaryError::check("columns of the votes", self.shape.columns(), columns)
    }
}

impl CardVoteMatrix {
    /// The sign votes v = sgn(gyᵀ·x) of gy [batch, N] and x [batch, K], all at once.
    ///
    /// # Errors
    /// [`TernaryError::Length`], [`TernaryError::Empty`] and [`CudaError`].
    pub fn of_product(card: &Card, output_gradient: &CardMatrix, input: &CardMatrix) -> Result<Self, PrimitiveError> {
        let (rows, columns) = CardVotes::Direct { output_gradient, input }.shape()?;
        // Votes know nothing of groups; tiles of the kernels do.
        let shape = Shape::new(rows, columns, GroupSize::ALL[0])?;
        let votes = Self::zeros(card, rows, columns)?;
        launch_direct(card, "direct_votes", &shape, output_gradient, input, arguments![votes.values()])?;
        Ok(votes)
    }
}

/// Launches a kernel that makes votes tile by tile; `more` are its arguments after the group size.
pub(super) fn launch_direct(
    card: &Card,
    name: &'static str,
    shape: &Shape,
    output_gradient: &CardMatrix,
    input: &CardMatrix,
    more: &[Argument],
) -> Result<(), CudaError> {
    let group = shape.group().get();
    let width = TILE_COLUMNS / group * group;
    let blocks = shape.rows().div_ceil(TILE_ROWS) * shape.columns().div_ceil(width);
    let first =
        arguments![output_gradient.values(), input.values(), input.rows(), shape.rows(), shape.columns(), group,];
    card.launch(Kernel::new(DIRECT, name), Grid::new(blocks as u32, THREADS), &[first, more].concat())
}
