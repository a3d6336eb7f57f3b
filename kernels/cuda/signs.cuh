// Votes of the rules that count signs: v = sgn(D), and scores of groups, the sums of v*T.

// sgn of a gradient; 0 for what is not a number.
__device__ __forceinline__ int sign_of(float gradient) { return (gradient > 0.0f) - (gradient < 0.0f); }

// Scores of groups: int8 where those of all shards fit, else int32.
struct Scores {
    void *values;
    int narrow;

    __device__ __forceinline__ int at(u64 index) const {
        return narrow ? (int)((const i8 *)values)[index] : (int)((const i32 *)values)[index];
    }

    __device__ __forceinline__ void set(u64 index, int score) const {
        if (narrow) ((i8 *)values)[index] = (i8)score;
        else ((i32 *)values)[index] = score;
    }
};

// Votes times trits of a word's columns, added up to the units that they belong to.
__device__ __forceinline__ void score_units(const Gradients &gradients, u32 trits, int (&units)[UNITS]) {
#pragma unroll
    for (int quarter = 0; quarter < 4; quarter++) {
        u32 votes = 0;
#pragma unroll
        for (int i = 0; i < 4; i++) votes |= ((u32)sign_of(gradients.value(4 * quarter + i)) & 0xFFu) << (8 * i);
        u32 four = four_trits(byte_of(trits, quarter));
        if (UNIT == 4) {
            units[quarter] = __dp4a((int)votes, (int)four, 0);
        } else {
            units[2 * quarter % UNITS] = __dp4a((int)votes, (int)(four & 0xFFFFu), 0);
            units[(2 * quarter + 1) % UNITS] = __dp4a((int)votes, (int)(four & 0xFFFF0000u), 0);
        }
    }
}

// Calls `finish(group, score)` once for each group of the block's stretch of a row. Every thread of the block must call it.
template <class Finish>
__device__ __forceinline__ void score_groups(const Place &place, int words, int words_per_block, const u16 *gradient,
                                             const u32 *trits, Finish finish) {
    int units[UNITS] = {};
    if (place.active) {
        u64 index = place.index(words);
        score_units(Gradients(gradient + index * WORD), trits[index], units);
    }
    sum_units(place, words, words_per_block, units, finish);
}
