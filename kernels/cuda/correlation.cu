// Rule correlation: T*2^e forward, e = E + corr/max(step*G, 1)*S; backward corr -= score of sign votes, step += 1.
//
// State: trits [rows, words], exponents and correlations [rows, groups], the number of steps. The definition stands at the
// head of the trainer's rule/correlation.rs.

constexpr i64 LARGEST = 0x7FFFFFFFFFFFFFFFll;

// How many votes a group has had: what correlations are divided by.
__device__ __forceinline__ double votes_of(i64 steps) {
    return (double)(steps <= 0 ? 1 : steps > LARGEST / GROUP ? LARGEST : steps * GROUP);
}

// The exponent of the forward pass; at step 0 that is E, whatever the correlation.
__device__ __forceinline__ float effective(int exponent, i64 correlation, i64 steps, float strength) {
    double bent = (double)exponent;
    if (steps != 0) bent += (double)correlation / votes_of(steps) * (double)strength;
    return (float)fmin(fmax(bent, -14.0), 15.0);
}

// Weights as bfloat16, [rows, pitch]: 2^e is rounded to it.
extern "C" __global__ void expand(const u32 *trits, const i8 *exponents, const i64 *correlations, const i64 *steps,
                                  float strength, int words, int words_per_block, int groups, uint4 *weights) {
    Place place(words, words_per_block);
    if (!place.active) return;
    u32 magnitudes[GROUPS_OF_WORD];
#pragma unroll
    for (int i = 0; i < GROUPS_OF_WORD; i++) {
        u64 group = place.row * groups + min(first_group(place.word) + i, groups - 1);
        float exponent = effective(exponents[group], correlations[group], *steps, strength);
        magnitudes[i] = float_to_bf16(exp2f(exponent));
    }
    u64 index = place.index(words);
    u32 word = trits[index], pairs[WORD / 2];
#pragma unroll
    for (int pair = 0; pair < WORD / 2; pair++) {
        // Group sizes are even, so that two neighbours share a group.
        pairs[pair] = two_weights(word >> (4 * pair) & 15u, of_group(magnitudes, place.word, 2 * pair));
    }
    weights[2 * index] = make_uint4(pairs[0], pairs[1], pairs[2], pairs[3]);
    weights[2 * index + 1] = make_uint4(pairs[4], pairs[5], pairs[6], pairs[7]);
}

// a - b, within 64 bits.
__device__ __forceinline__ i64 saturating_difference(i64 a, i64 b) {
    i64 difference = (i64)((u64)a - (u64)b);
    bool overflows = ((a ^ b) & (a ^ difference)) < 0;
    return !overflows ? difference : a < 0 ? -LARGEST - 1 : LARGEST;
}

// Correlations; `count_step` follows.
extern "C" __global__ void update(const u16 *gradient, int words, int words_per_block, int groups, const u32 *trits,
                                  i64 *correlations) {
    Place place(words, words_per_block);
    score_groups(place, words, words_per_block, gradient, trits, [&](int group, int score) {
        i64 *correlation = &correlations[place.row * groups + group];
        *correlation = saturating_difference(*correlation, score);
    });
}

// Correlations after the scores of all shards, `count` of both.
extern "C" __global__ void apply_scores(void *values, int narrow, u64 count, i64 *correlations) {
    u64 index = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (index < count) correlations[index] = saturating_difference(correlations[index], Scores{values, narrow}.at(index));
}

// One thread: after everybody has read the number. Every shard counts.
extern "C" __global__ void count_steps(int shards, i64 *steps) {
    *steps = *steps > LARGEST - shards ? LARGEST : *steps + shards;
}
