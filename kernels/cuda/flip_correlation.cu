// Rule flip-correlation: T·2^e forward, votes, flips and correlation backward; and integrating correlation, which is the
// same without flips.
//
// State: trits [rows, words], flips [rows, pitch], exponents and correlations [rows, groups]. The definition stands at the
// head of the trainer's rule/flip_correlation.rs.

constexpr int FLIP_THRESHOLD = 63;
constexpr int CORRELATION_BITS = 13;
constexpr int CORRELATION_LIMIT = 4 << CORRELATION_BITS;

// The exponent that forward pass and export use: E bent by its correlation.
__device__ __forceinline__ int bent_exponent(int exponent, int correlation) {
    return clamp_exponent(exponent + ((correlation + (1 << (CORRELATION_BITS - 1))) >> CORRELATION_BITS));
}

// Weights as bfloat16, [rows, pitch]. A null `correlations` leaves the exponents as they are, clamped.
extern "C" __global__ void expand(const u32 *trits, const i8 *exponents, const i32 *correlations, int words,
                                  int words_per_block, int groups, u16 *weights) {
    Place place(words, words_per_block);
    if (!place.active) return;
    u32 magnitudes[GROUPS_OF_WORD];
#pragma unroll
    for (int i = 0; i < GROUPS_OF_WORD; i++) {
        u64 group = place.row * groups + min(first_group(place.word) + i, groups - 1);
        int correlation = correlations ? correlations[group] : 0;
        magnitudes[i] = bf16_magnitude(bent_exponent(exponents[group], correlation));
    }
    u64 index = place.index(words);
    store_weights(weights + index * WORD, trits[index],
                  [&](int i) { return of_group(magnitudes, place.word, i); });
}

__device__ __forceinline__ float vote_factor(float gain, const Step *step, const Scale *scale) {
    return gain * step->lambda * power_of_two(-scale->exponent);
}

// How far one vote moves a correlation: max(1, round(first·λ)).
__device__ __forceinline__ int correlation_step(float first, const Step *step) {
    return (int)fmaxf(rintf(first * step->lambda), 1.0f);
}

__device__ __forceinline__ void move_correlation(i32 *correlation, int step, int score) {
    int moved = *correlation - step * score;
    *correlation = min(max(moved, -CORRELATION_LIMIT), CORRELATION_LIMIT);
}

// Votes, flips and correlations. `gain` and `first_step` are those at λ = 1.
extern "C" __global__ void update(const u16 *gradient, const Scale *scale, const Step *step, float gain,
                                  float first_step, int words, int words_per_block, int groups, u32 *trits, uint4 *flips,
                                  i32 *correlations) {
    if (!scale->votes) return;
    float factor = vote_factor(gain, step, scale);
    Place place(words, words_per_block);
    int products[WORD];
    if (place.active) {
        u64 index = place.index(words);
        Gradients gradients(gradient + index * WORD);
        u32 word = trits[index], moved_word = 0;
        uint4 vector = flips[index];
        u32 accumulators[4] = {vector.x, vector.y, vector.z, vector.w};
#pragma unroll
        for (int quarter = 0; quarter < 4; quarter++) {
            u32 moved_accumulators = 0;
#pragma unroll
            for (int byte = 0; byte < 4; byte++) {
                int i = 4 * quarter + byte;
                int vote = vote_of(gradients.at(i), factor);
                int trit = trit_of(word, i);
                products[i] = vote * trit;
                int moved = clamp_int8((int)(i8)(accumulators[quarter] >> (8 * byte)) - vote);
                int direction = (moved > FLIP_THRESHOLD) - (moved < -FLIP_THRESHOLD);
                trit = min(max(trit + direction, -1), 1);
                moved_word |= ((u32)trit & 3u) << (2 * i);
                moved_accumulators |= (direction ? 0u : (u32)moved & 0xFFu) << (8 * byte);
            }
            accumulators[quarter] = moved_accumulators;
        }
        flips[index] = make_uint4(accumulators[0], accumulators[1], accumulators[2], accumulators[3]);
        if (moved_word != word) trits[index] = moved_word;
    }
    int move = correlation_step(first_step, step);
    sum_groups(place, words, words_per_block, [&](int i) { return products[i]; }, [&](int group, int score) {
        move_correlation(&correlations[place.row * groups + group], move, score);
    });
}

// The same without flips: rule integrating-correlation.
extern "C" __global__ void update_correlations(const u16 *gradient, const Scale *scale, const Step *step, float gain,
                                               float first_step, int words, int words_per_block, int groups,
                                               const u32 *trits, i32 *correlations) {
    if (!scale->votes) return;
    float factor = vote_factor(gain, step, scale);
    Place place(words, words_per_block);
    int products[WORD];
    if (place.active) {
        u64 index = place.index(words);
        Gradients gradients(gradient + index * WORD);
        u32 word = trits[index];
#pragma unroll
        for (int i = 0; i < WORD; i++) products[i] = vote_of(gradients.at(i), factor) * trit_of(word, i);
    }
    int move = correlation_step(first_step, step);
    sum_groups(place, words, words_per_block, [&](int i) { return products[i]; }, [&](int group, int score) {
        move_correlation(&correlations[place.row * groups + group], move, score);
    });
}
