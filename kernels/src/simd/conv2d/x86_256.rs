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
            let mut sums = [[[[0; L]; F]; P]; R];
            // SAFETY: every quad of every window is inside.
            unsafe { add_products(block, tile, &mut sums) };
            for (run, sums) in tile.runs.iter().zip(&sums) {
                for (window, sums) in sums.iter().enumerate().take(run.windows) {
                    finish(block, tile, tile.first + run.window + window, sums.as_flattened(), output);
                }
            }
        }

        /// Gives the sums of all products, and what they start with. They leave their registers at the end alone, which they
        /// would not where what follows were part of the function.
        ///
        /// # Safety
        /// [`Tile::is_inside`].
        #[target_feature(enable = $features)]
        #[inline(never)]
        unsafe fn add_products<const F: usize, const R: usize, const P: usize>(
            block: &Block,
            tile: &Tile<'_>,
            out: &mut [[[[u32; L]; F]; P]; R],
        ) {
            let Some(runs) = tile.runs.first_chunk::<R>() else { return };
            let mut images = [tile.images.as_ptr(); R];
            for r in 0..R {
                images[r] = images[r].wrapping_add(runs[r].start);
            }
            let mut quads = block.offsets.as_slice();
            let mut words = block.words.words().as_chunks::<L>().0.as_chunks::<F>().0;
            let mut sums = [[[_mm256_setzero_si256(); F]; P]; R];
            for (index, digit) in block.digits.iter().enumerate() {
                if index > 0 {
                    for r in 0..R {
                        for p in 0..P {
                            for f in 0..F {
                                sums[r][p][f] = _mm256_slli_epi32::<{ DIGIT as i32 }>(sums[r][p][f]);
                            }
                        }
                    }
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
                            // SAFETY: as the caller promises.
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
            let Some(starts) = block.starts.as_chunks::<L>().0.first_chunk::<F>() else { return };
            for f in 0..F {
                let start = load(&starts[f]);
                for r in 0..R {
                    for p in 0..P {
                        store(&mut out[r][p][f], _mm256_add_epi32(sums[r][p][f], start));
                    }
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
