//! How a layer's matrices lie on a card.

use super::card::Grid;
use crate::network::Stage;
use trishift_format::GroupSize;

/// Columns that share one word of trits; rows and columns are padded to a multiple of it.
pub const WORD: usize = 16;

/// A size with its padding.
pub const fn padded(size: usize) -> usize {
    size.next_multiple_of(WORD)
}

/// Sizes of a matrix [rows, columns] of groups, with padding that holds zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
    /// Group size G.
    pub group: GroupSize,
}

impl Extent {
    /// Of a stage's weights.
    pub const fn of(stage: &Stage) -> Self {
        Self { rows: stage.rows, columns: stage.columns, group: stage.group }
    }

    /// Columns with padding: values from one row to the next.
    pub const fn pitch(&self) -> usize {
        padded(self.columns)
    }

    /// Rows with padding.
    pub const fn padded_rows(&self) -> usize {
        padded(self.rows)
    }

    /// Words of trits of a row.
    pub const fn words(&self) -> usize {
        self.pitch() / WORD
    }

    /// Groups of a row, the padding's included.
    pub const fn groups(&self) -> usize {
        self.group.count(self.pitch())
    }

    /// Groups of a row without padding.
    pub const fn own_groups(&self) -> usize {
        self.group.count(self.columns)
    }

    /// Weights with padding.
    pub const fn padded_weights(&self) -> usize {
        self.padded_rows() * self.pitch()
    }

    /// Words of a row that one block takes: whole groups, at most 256. Smaller blocks were no faster.
    pub fn words_per_block(&self) -> usize {
        // Words of the shortest stretch that holds whole groups.
        let period = (1..).find(|words| (words * WORD).is_multiple_of(self.group.get())).unwrap_or(1);
        let most = 256 / period * period;
        most.min(self.words().next_multiple_of(period))
    }

    /// Blocks for a row kernel over `rows` rows: rows in x, stretches of a row in y.
    pub fn row_grid(&self, rows: usize) -> Grid {
        let words_per_block = self.words_per_block();
        let stretches = self.words().div_ceil(words_per_block);
        let threads = words_per_block.next_multiple_of(32) as u32;
        Grid { blocks: [rows as u32, stretches as u32], threads, shared: 0 }
    }

    /// Blocks for a kernel over all rows, the padding's included, whose threads take half a word of two rows each.
    pub fn half_word_grid(&self) -> Grid {
        let threads = (2 * self.words_per_block()).next_multiple_of(32) as u32;
        Grid { threads, ..self.row_grid(self.padded_rows() / 2) }
    }

    /// A matrix of `columns` columns, [rows, columns], as it lies on the card: [padded rows, pitch].
    pub fn pad<T: Copy + Default>(&self, values: &[T], columns: usize, pitch: usize) -> Vec<T> {
        let mut padded = vec![T::default(); self.padded_rows() * pitch];
        for (to, from) in padded.chunks_mut(pitch).zip(values.chunks(columns)) {
            to[..from.len()].copy_from_slice(from);
        }
        padded
    }

    /// The opposite of [`Extent::pad`].
    pub fn unpad<T: Copy>(&self, padded: &[T], columns: usize, pitch: usize) -> Vec<T> {
        padded.chunks(pitch).take(self.rows).flat_map(|row| row[..columns].iter().copied()).collect()
    }

    /// Trits [rows, columns] as words, [padded rows, words].
    pub fn pack_trits(&self, trits: &[i8]) -> Vec<u32> {
        let pack = |trits: &[i8]| {
            trits.iter().enumerate().fold(0u32, |word, (index, trit)| word | (*trit as u32 & 3) << (2 * index))
        };
        let rows = trits.chunks(self.columns).flat_map(|row| {
            let words = row.chunks(WORD).map(pack);
            words.chain(std::iter::repeat(0)).take(self.words())
        });
        let padding = std::iter::repeat(0);
        rows.chain(padding).take(self.padded_rows() * self.words()).collect()
    }

    /// The opposite of [`Extent::pack_trits`].
    pub fn unpack_trits(&self, words: &[u32]) -> Vec<i8> {
        let unpack = |word: u32| (0..WORD as u32).map(move |index| (word << (30 - 2 * index)) as i32 >> 30);
        let row = |words: &[u32]| words.iter().flat_map(|word| unpack(*word)).take(self.columns).collect::<Vec<_>>();
        words.chunks(self.words()).take(self.rows).flat_map(row).map(|trit| trit as i8).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn blocks_hold_whole_groups() {
        for group in [4, 6, 8, 16, 20, 32, 40, 64, 80, 96] {
            for columns in [1, 15, 16, 31, 784, 4096, 65_536] {
                let extent = Extent { rows: 3, columns, group: GroupSize::new(group).unwrap() };
                let words = extent.words_per_block();
                assert!(
                    (words * WORD).is_multiple_of(group as usize) && (1..=256).contains(&words),
                    "{group} {columns}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_back(
            rows in 1usize..20,
            columns in 1usize..70,
            trits in proptest::collection::vec(-1i8..2, 20 * 70),
        ) {
            let extent = Extent { rows, columns, group: GroupSize::new(6).unwrap() };
            let trits = &trits[..rows * columns];
            let words = extent.pack_trits(trits);
            prop_assert_eq!(words.len(), extent.padded_rows() * extent.words());
            prop_assert_eq!(extent.unpack_trits(&words), trits);
            let padded = extent.pad(trits, columns, extent.pitch());
            prop_assert_eq!(padded.len(), extent.padded_weights());
            prop_assert_eq!(extent.unpad(&padded, columns, extent.pitch()), trits);
        }
    }
}
