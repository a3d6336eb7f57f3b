//! The state of one ternary matrix on a card, and its ways there and back.

use super::{PrimitiveError, launch_each};
use crate::backend::cuda::CudaError;
use crate::backend::cuda::card::{Buffer, Card, arguments};
use crate::backend::cuda::extent::WORD;
use crate::ternary::{Shape, TernaryError, TernaryState};
use trishift_kernels::cuda::PACK;

/// A ternary matrix on a card: what [`TernaryState`] holds, nothing padded but the trits, which begin on a word in every
/// row.
#[derive(Debug)]
pub struct CardTernary {
    pub(super) shape: Shape,
    /// [N, words], 16 to a word.
    pub(super) trits: Buffer<u32>,
    /// [N, R].
    pub(super) exponents: Buffer<i8>,
    /// [N, R].
    pub(super) corr: Buffer<i64>,
    pub(super) step: i64,
    /// [N, R]; absent until they are needed.
    pub(super) exponent_accumulators: Option<Buffer<i8>>,
    /// [N, K]; absent until they are needed.
    pub(super) trit_accumulators: Option<Buffer<i8>>,
}

/// Words of trits of a row.
pub(super) fn words(shape: &Shape) -> usize {
    shape.columns().div_ceil(WORD)
}

impl CardTernary {
    /// A matrix of zeros: T = 0, E = 0.
    ///
    /// # Errors
    /// [`CudaError`].
    pub fn zeros(card: &Card, shape: Shape) -> Result<Self, CudaError> {
        Ok(Self {
            shape,
            trits: card.zeros("trits", shape.rows() * words(&shape))?,
            exponents: card.zeros("exponents", shape.groups())?,
            corr: card.zeros("correlations", shape.groups())?,
            step: 0,
            exponent_accumulators: None,
            trit_accumulators: None,
        })
    }

    /// The same as on the host.
    ///
    /// # Errors
    /// [`CudaError`].
    pub fn upload(card: &Card, state: &TernaryState) -> Result<Self, CudaError> {
        let shape = *state.shape();
        let mut uploaded = Self::zeros(card, shape)?;
        let values = card.upload("trits", state.trits())?;
        let arguments = arguments![&values, shape.rows(), shape.columns(), &uploaded.trits];
        launch_each(card, PACK, "pack_trits", shape.rows() * words(&shape), arguments)?;
        card.write(&mut uploaded.exponents, state.exponents())?;
        card.write(&mut uploaded.corr, state.corr())?;
        uploaded.step = state.step();
        let upload = |what, values: Option<&[i8]>| values.map(|values| card.upload(what, values)).transpose();
        uploaded.exponent_accumulators = upload("exponent accumulators", state.exponent_accumulators())?;
        uploaded.trit_accumulators = upload("trit accumulators", state.trit_accumulators())?;
        Ok(uploaded)
    }

    /// A matrix of trits packed flat, five to a byte; corr and step are 0, accumulators absent.
    ///
    /// # Errors
    /// [`TernaryError::Length`], [`TernaryError::Packed`] and [`CudaError`].
    pub fn from_packed(card: &Card, shape: Shape, packed: &[u8], exponents: &[i8]) -> Result<Self, PrimitiveError> {
        TernaryState::check_packed(&shape, packed)?;
        TernaryError::check("exponents", shape.groups(), exponents.len())?;
        let mut state = Self::zeros(card, shape)?;
        let bytes = card.upload("packed trits", packed)?;
        let arguments = arguments![&bytes, shape.rows(), shape.columns(), &state.trits];
        launch_each(card, PACK, "unpack_bytes", shape.rows() * words(&shape), arguments)?;
        card.write(&mut state.exponents, exponents)?;
        Ok(state)
    }

    /// The state on the host.
    ///
    /// # Errors
    /// [`CudaError`].
    pub fn download(&self, card: &Card) -> Result<TernaryState, PrimitiveError> {
        let Self { shape, .. } = self;
        let values: Buffer<i8> = card.zeros("trits", shape.weights())?;
        let arguments = arguments![&self.trits, shape.rows(), shape.columns(), &values];
        launch_each(card, PACK, "unpack_trits", shape.weights(), arguments)?;
        let state = TernaryState::new(*shape, card.read(&values)?, card.read(&self.exponents)?)?;
        let state = state.with_correlation(card.read(&self.corr)?, self.step)?;
        let state = match &self.exponent_accumulators {
            Some(accumulators) => state.with_exponent_accumulators(card.read(accumulators)?)?,
            None => state,
        };
        Ok(match &self.trit_accumulators {
            Some(accumulators) => state.with_trit_accumulators(card.read(accumulators)?)?,
            None => state,
        })
    }

    /// Trits packed flat, ⌈N·K/5⌉ bytes.
    ///
    /// # Errors
    /// [`CudaError`].
    pub fn packed(&self, card: &Card) -> Result<Vec<u8>, CudaError> {
        let Self { shape, .. } = self;
        let bytes: Buffer<u8> = card.zeros("packed trits", shape.packed_bytes())?;
        let arguments = arguments![&self.trits, shape.rows(), shape.columns(), &bytes];
        launch_each(card, PACK, "pack_bytes", shape.packed_bytes(), arguments)?;
        card.read(&bytes)
    }

    /// The shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Votes counted so far by correlation updates.
    pub fn step(&self) -> i64 {
        self.step
    }

    /// Where the trits lie, [N, words].
    pub fn trits(&self) -> &Buffer<u32> {
        &self.trits
    }

    /// Where the exponents lie, [N, R].
    pub fn exponents(&self) -> &Buffer<i8> {
        &self.exponents
    }

    /// Where the correlations lie, [N, R].
    pub fn corr(&self) -> &Buffer<i64> {
        &self.corr
    }

    /// The accumulators of exponent steps, [N, R], made of zeros where there are none.
    ///
    /// # Errors
    /// [`CudaError`].
    pub fn exponent_accumulators(&mut self, card: &Card) -> Result<&Buffer<i8>, CudaError> {
        present(&mut self.exponent_accumulators, card, "exponent accumulators", self.shape.groups())
    }

    /// The accumulators of trit flips, [N, K], made of zeros where there are none.
    ///
    /// # Errors
    /// [`CudaError`].
    pub fn trit_accumulators(&mut self, card: &Card) -> Result<&Buffer<i8>, CudaError> {
        present(&mut self.trit_accumulators, card, "trit accumulators", self.shape.weights())
    }

    /// Bytes on the card.
    pub fn bytes(&self) -> usize {
        let accumulators = [&self.exponent_accumulators, &self.trit_accumulators];
        let accumulators = accumulators.into_iter().flatten().map(Buffer::bytes).sum::<usize>();
        self.trits.bytes() + self.exponents.bytes() + self.corr.bytes() + accumulators
    }
}

fn present<'a>(
    buffer: &'a mut Option<Buffer<i8>>,
    card: &Card,
    what: &'static str,
    len: usize,
) -> Result<&'a Buffer<i8>, CudaError> {
    let made = match buffer.take() {
        Some(buffer) => buffer,
        None => card.zeros(what, len)?,
    };
    Ok(buffer.insert(made))
}
