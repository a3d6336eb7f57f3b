//! What AVX2 and AVX-VNNI have in common: vectors of 8 words, blocks of up to two vectors.

/// The leaf `$leaf` with vectors of 8 words: `$dot` adds the products of quads to sums, tiles of two fields have `$runs` runs
/// of one window, those of one field have as many of two.
macro_rules! leaf_256 {
    ($leaf:ident, $features:literal, $dot:ident, $runs:literal) => {
        /// The proof that the processor has the instructions: made for a table of kernels that has the same need.
        #[derive(Clone, Copy, Debug)]
        pub(in crate::simd) struct $leaf(());

        impl $leaf {
            /// # Safety
            /// The processor has the instructions wherever the value is used.
            pub(in crate::simd) const unsafe fn new() -> Self {
                Self(())
            }
        }

        impl Leaf<L> for $leaf {
            const FIELDS: usize = 2;
            const FLIP: u8 = 128;

            fn tile(fields: usize, _: usize) -> [usize; 2] {
                [$runs, if fields == 1 { 2 } else { 1 }]
            }

            fn write(self, image: &Image, geometry: &Geometry, sample: &[i8], bytes: &mut [u8]) {
                #[target_feature(enable = $features)]
                fn compiled(image: &Image, geometry: &Geometry, sample: &[i8], bytes: &mut [u8]) {
                    image.write(geometry, sample, $leaf::FLIP, bytes);
                }
                // SAFETY: `self` proves that the processor has the instructions.
                unsafe { compiled(image, geometry, sample, bytes) }
            }

            fn multiply(self, block: &Block, tile: &Tile<'_>, output: &mut Outputs<'_>) {
                // SAFETY: `self` proves that the processor has the instructions.
                unsafe {
                    match block.fields {
                        1 => multiply::<1, $runs, 2>(block, tile, output),
                        _ => multiply::<2, $runs, 1>(block, tile, output),
                    }
                }
            }
        }

        /// The outputs of a block of `F` fields and a tile of `R` runs, `P` windows each.
        #[target_feature(enable = $features)]
        fn multiply<const F: usize, const R: usize, const P: usize>(
            block: &Block,
            tile: &Tile<'_>,
            output: &mut Outputs<'_>,
        ) {
            if !tile.is_inside(block, R, P) {
                return;
            }
            let Some(runs) = tile.runs.first_chunk::<R>() else { return };
            let mut images = [tile.images.as_ptr(); R];
            for r in 0..R {
                images[r] = images[r].wrapping_add(runs[r].start);
            }
            let mut quads = block.offsets.as_slice();
            let mut words = block.words.words().as_chunks::<L>().0.as_chunks::<F>().0;
            let mut sums = [[[_mm256_setzero_si256(); F]; P]; R];
            for digit in &block.digits {
                for sum in sums.as_flattened_mut().as_flattened_mut() {
                    *sum = _mm256_slli_epi32::<{ DIGIT as i32 }>(*sum);
                }
                let (of_digit, rest) = quads.split_at(*digit);
                let (of_digit_words, rest_words) = words.split_at(*digit);
                (quads, words) = (rest, rest_words);
                for (offset, words) in of_digit.iter().zip(of_digit_words) {
                    let mut weights = [_mm256_setzero_si256(); F];
                    for f in 0..F {
                        weights[f] = load(&words[f]);
                    }
                    let mut at = *offset;
                    for p in 0..P {
                        for r in 0..R {
                            // SAFETY: `is_inside`, whatever the quad.
                            let input = unsafe { images[r].add(at).cast::<i32>().read_unaligned() };
                            let input = _mm256_set1_epi32(input);
                            for f in 0..F {
                                sums[r][p][f] = $dot(sums[r][p][f], input, weights[f]);
                            }
                        }
                        at += tile.right;
                    }
                }
            }
            let starts = block.starts.as_chunks::<L>().0;
            for (run, sums) in tile.runs.iter().zip(&sums) {
                for (window, sums) in sums.iter().enumerate().take(run.windows) {
                    let mut words = [[0; L]; F];
                    for ((words, sum), start) in words.iter_mut().zip(sums).zip(starts) {
                        store(words, _mm256_add_epi32(*sum, load(start)));
                    }
                    finish(block, tile, tile.first + run.window + window, words.as_flattened(), output);
                }
            }
        }

        #[target_feature(enable = "avx2")]
        #[inline]
        fn load(words: &[u32; L]) -> __m256i {
            // SAFETY: the array is 32 bytes, and the load asks for no alignment.
            unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
        }

        #[target_feature(enable = "avx2")]
        #[inline]
        fn store(words: &mut [u32; L], vector: __m256i) {
            // SAFETY: the array is 32 bytes, and the store asks for no alignment.
            unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), vector) }
        }
    };
}

pub(super) use leaf_256;
