// Rule exponent: an exponent steps to where enough sign votes agree.
//
// State: trits [rows, words], exponents and their votes [rows, groups]. The definition stands at the head of the trainer's
// rule/exponent.rs.

// One update of a group with this score.
__device__ __forceinline__ void move_group(int score, int threshold, u64 index, i8 *exponents, i8 *votes) {
    int moved = clamp_int8((int)votes[index] - ((score > 0) - (score < 0)));
    int step = moved >= threshold ? 1 : moved <= -threshold ? -1 : 0;
    votes[index] = (i8)(moved - step * threshold);
    if (step) exponents[index] = (i8)clamp_int8((int)exponents[index] + step);
}

extern "C" __global__ void update(const u16 *gradient, int threshold, int words, int words_per_block, int groups,
                                  const u32 *trits, i8 *exponents, i8 *votes) {
    Place place(words, words_per_block);
    score_groups(place, words, words_per_block, gradient, trits, [&](int group, int score) {
        move_group(score, threshold, place.row * groups + group, exponents, votes);
    });
}

// The same by the scores of all shards, for `count` groups.
extern "C" __global__ void apply_scores(void *values, int narrow, int threshold, u64 count, i8 *exponents,
                                        i8 *votes) {
    u64 index = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (index < count) move_group(Scores{values, narrow}.at(index), threshold, index, exponents, votes);
}
